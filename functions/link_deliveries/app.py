"""GET /v1/links/{linkId}/deliveries, POST /v1/links/{linkId}/redeliver."""

from latchkey import deliveries, http, owned, queues, store
from latchkey.errors import ConflictError
from latchkey.links import OPEN, Link, as_of
from latchkey.views import webhook_view


@http.private
def lambda_handler(request: http.CallerRequest) -> http.Response:
    """Show the attempts to deliver a link's event, or have it sent again."""
    link = owned.link(request)
    if request.route.startswith("GET"):
        return http.answer(200, {"deliveries": deliveries.deliveries_view(link)})
    link = store.retrying(link, lambda link: _redeliver(link, request.now))
    return http.answer(202, {"linkId": link.link_id, "webhook": webhook_view(link)})


def _redeliver(link: Link, now: int) -> Link:
    current = as_of(link, now)
    if current.status in OPEN or current.webhook_url is None:
        raise ConflictError("Only a link that has ended and has a webhookUrl has an event to send")
    if now >= (current.completed_at or 0) + deliveries.REDELIVERY_MS:
        raise ConflictError("An event can be sent again for 30 days after the link's end")
    if link.webhook is None:
        return current  # sweep is about to write the end, and then the event is sent for the first time
    link = store.save(link, deliveries.asked_again(link, now))
    queues.wake_deliverer(link)
    return link
