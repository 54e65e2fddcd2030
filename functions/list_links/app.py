"""GET /v1/links."""

from latchkey import http
from latchkey.domain.views import link_view
from latchkey.services import list_links


@http.private
def lambda_handler(request: http.CallerRequest) -> http.Response:
    """List the caller's links, newest first, a page at a time."""
    links, cursor = list_links.page(request.query(), request.caller, request.now)
    views = [link_view(link, request.now) for link in links]
    return http.answer(200, {"links": views, "nextCursor": cursor})
