"""POST /v1/links/{linkId}/cancel."""

from latchkey import http
from latchkey.domain.views import link_view
from latchkey.services.end_link import cancel


@http.private
def lambda_handler(request: http.CallerRequest) -> http.Response:
    """Cancel a link that has not ended; one that was canceled stays so."""
    link = cancel(request.link(), request.now)
    return http.answer(200, link_view(link, request.now) | {"result": None})
