"""GET /v1/links/{linkId}/deliveries, POST /v1/links/{linkId}/redeliver."""

from latchkey import http
from latchkey.domain.views import deliveries_view, webhook_view
from latchkey.services.deliver_event import redeliver


@http.private
def lambda_handler(request: http.CallerRequest) -> http.Response:
    """Show the attempts to deliver a link's event, or have it sent again."""
    link = request.link()
    if request.route.startswith("GET"):
        return http.answer(200, {"deliveries": deliveries_view(link)})
    link = redeliver(link, request.now)
    return http.answer(202, {"linkId": link.link_id, "webhook": webhook_view(link)})
