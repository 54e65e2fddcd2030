"""GET /v1/links/{linkId}."""

from latchkey import http
from latchkey.domain.views import link_view
from latchkey.services.read_link import result_of


@http.private
def lambda_handler(request: http.CallerRequest) -> http.Response:
    """Show a link to the account and mode that made it."""
    link = request.link()
    return http.answer(200, link_view(link, request.now) | {"result": result_of(link, request.now)})
