"""What a restricted key may do."""

import pytest

from latchkey.domain import scopes
from latchkey.domain.errors import ForbiddenError
from tests.template import routes


def test_each_private_route_has_one_scope() -> None:
    assert sorted(route for each in scopes.ROUTES.values() for route in each) == sorted(
        route for route in routes() if "/v1/" in route
    )


@pytest.mark.parametrize("route", scopes.SCOPE_OF)
def test_a_route_is_open_to_its_scope_and_to_keys_without_any_and_to_no_other(route: str) -> None:
    scopes.check(route, None)
    scopes.check(route, [scopes.SCOPE_OF[route]])
    with pytest.raises(ForbiddenError, match=f"scope {scopes.SCOPE_OF[route]};"):
        scopes.check(route, scopes.ROUTES.keys() - {scopes.SCOPE_OF[route]})
