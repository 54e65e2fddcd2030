"""DELETE /v1/links/{linkId}, POST /v1/erasures."""

import time

from latchkey import http
from latchkey.domain.errors import ValidationFailedError
from latchkey.domain.validation import erasure_issues
from latchkey.domain.views import link_view
from latchkey.services.erase_link import erase, erase_user


@http.private
def lambda_handler(request: http.CallerRequest) -> http.Response:
    """Erase a link, or links of a user."""
    if request.route == "DELETE /v1/links/{linkId}":
        link, _ = erase(request.link(), request.caller, request.now)
        return http.answer(200, link_view(link, request.now) | {"result": None})
    body = request.json_object()
    if issues := erasure_issues(body):
        raise ValidationFailedError(issues)
    count, remaining = erase_user(
        body["externalUserId"], request.caller, clock=lambda: time.time_ns() // 1_000_000
    )
    request.log["erased"] = count
    return http.answer(200, {"erased": count, "remaining": remaining})
