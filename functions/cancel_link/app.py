"""POST /v1/links/{linkId}/cancel."""

from latchkey import ending, http, owned, store
from latchkey.errors import ConflictError
from latchkey.links import OPEN, Link, as_of, ended, interrupted
from latchkey.views import link_view


@http.private
def lambda_handler(request: http.CallerRequest) -> http.Response:
    """Cancel a link that has not ended; one that was canceled stays so."""
    link = store.retrying(owned.link(request), lambda link: _cancel(link, request.now))
    return http.answer(200, link_view(link, request.now) | {"result": None})


def _cancel(link: Link, now: int) -> Link:
    current = as_of(link, now)
    if current.status == "canceled":
        return current
    if current.status not in OPEN:
        raise ConflictError(f"The link has ended: it is {current.status}")
    return ending.end(link, ended(link, "canceled", now, interrupted(link, None)), now)
