"""GET /v1/links."""

from latchkey import http
from latchkey.services import list_links


@http.private
def lambda_handler(request: http.CallerRequest) -> http.Response:
    """List the caller's links, newest first, a page at a time."""
    views, cursor = list_links.page(request.query(), request.caller, request.now)
    return http.answer(200, {"links": views, "nextCursor": cursor})
