"""POST /v1/test/links/{linkId}/advance, /simulate and /fail-deliveries; GET /v1/test/outcomes."""

import time

from latchkey import http
from latchkey.domain.errors import NotFoundError
from latchkey.domain.views import link_view, outcomes_view
from latchkey.services import test_mode
from latchkey.services.read_link import result_of

ANSWER_SECONDS = 28  # within the function's 29 s and the gateway's 30 s


def _clock() -> int:
    return time.time_ns() // 1_000_000


@http.private
def lambda_handler(request: http.CallerRequest) -> http.Response:
    """Make happen to a test link what its owner wants to see."""
    if request.caller.livemode:
        raise NotFoundError
    if request.route == "GET /v1/test/outcomes":
        return http.answer(200, {"outcomes": outcomes_view()})
    link, body = request.link(), request.json_object()
    match request.route.rpartition("/")[2]:
        case "advance":
            link = test_mode.advance(
                link,
                body,
                clock=_clock,
                seconds_left=lambda: ANSWER_SECONDS - (_clock() - request.now) / 1000,
            )
        case "simulate":
            link = test_mode.simulate(link, body, request.now)
        case _:
            link = test_mode.fail_deliveries(link, body)
    now = _clock()
    return http.answer(200, link_view(link, now) | {"result": result_of(link, now)})
