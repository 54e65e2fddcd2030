"""GET /v1/events."""

import time

from latchkey import http
from latchkey.services import list_events


@http.private
def lambda_handler(request: http.CallerRequest) -> http.Response:
    """List what became of the caller's links, a page at a time."""
    events, cursor = list_events.page(
        request.query(), request.caller, clock=lambda: time.time_ns() // 1_000_000
    )
    return http.answer(200, {"events": events, "nextCursor": cursor})
