"""Keys that expire, that are restricted, and what is told of that."""

import pytest

from latchkey.domain import ids
from tests.integration.conftest import Stack, founding

DAY = 86_400_000
SOON = 14 * DAY


def test_a_key_that_has_expired_is_told_so(stack: Stack) -> None:
    key = stack.new_key(expiresAt=stack.now + 1)
    assert stack.create(founding(), key=key).status == 201
    stack.now += 1  # also in an environment that knows it
    answer = stack.create(founding(), key=key)
    assert (answer.status, answer.json["code"]) == (401, "unauthorized")
    assert answer.json["error"].startswith("This API key has expired")
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert "Latchkey-Key-Expires" not in answer.headers
    assert len(stack.links()) == 1


def test_a_revoked_key_is_told_as_such_also_when_it_has_expired(stack: Stack) -> None:
    key = stack.new_key(expiresAt=stack.now, revokedAt=1)
    assert stack.create(founding(), key=key).json["error"] == "This API key is unknown or was revoked"


@pytest.mark.parametrize(("left", "told"), [(SOON + 1, False), (SOON, True), (1, True)])
def test_every_answer_tells_of_a_key_that_expires_within_14_days(stack: Stack, left: int, told: bool) -> None:
    expires_at = stack.now + left
    key = stack.new_key(expiresAt=expires_at)
    for answer in (stack.create(founding(), key=key), stack.create("{", key=key), stack.get("x", key=key)):
        assert answer.headers.get("Latchkey-Key-Expires") == (str(expires_at) if told else None)


def test_a_restricted_key_is_told_what_it_lacks_and_does_what_it_may(stack: Stack) -> None:
    key = stack.new_key(scopes=["links:write", "providers:read"])
    link = stack.create(founding(), key=key)
    assert link.status == 201
    answer = stack.get(link.json["linkId"], key=key)
    assert (answer.status, answer.json["code"]) == (403, "forbidden")
    assert "links:read" in answer.json["error"]
    nothing = stack.new_key(scopes=[])
    assert stack.create("{", key=nothing).status == 403  # before anything is read of it
    assert stack.create(founding(), key=ids.new_api_key(livemode=False)).status == 401


def test_what_a_key_is_refused_for_counts(stack: Stack) -> None:
    stack.threads.at_once = True
    key = stack.new_key(scopes=[], rate=1, burst=2)
    assert [stack.create(founding(), key=key).status for _ in range(3)] == [403, 403, 429]
