"""GET /v1/links/{linkId}."""

from latchkey import ending, http, owned
from latchkey.views import link_view


@http.private
def lambda_handler(request: http.CallerRequest) -> http.Response:
    """Show a link to the account and mode that made it."""
    link = owned.link(request)
    result = ending.result_of(link, request.now)
    return http.answer(200, link_view(link, request.now) | {"result": result})
