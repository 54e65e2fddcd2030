"""GET /v1/webhook-secret, POST /v1/webhook-secret/rotate, POST /v1/webhook-tests."""

import time

from latchkey import http
from latchkey.domain.errors import ValidationFailedError
from latchkey.domain.validation import idempotency_key_issues, rotate_issues
from latchkey.services import webhook_secrets, webhook_tests


@http.private
def lambda_handler(request: http.CallerRequest) -> http.Response:
    """Show the secrets that webhooks are signed with, make a new one, or sign and send an example."""
    match request.route:
        case "GET /v1/webhook-secret":
            secrets = webhook_secrets.valid(request.caller.account, request.now)
            return http.answer(
                200, {"secrets": [{"secret": s.secret, "expiresAt": s.expires_at} for s in secrets]}
            )
        case "POST /v1/webhook-tests":
            test = webhook_tests.send(
                request.json_object(), request.caller, clock=lambda: time.time_ns() // 1_000_000
            )
            return http.answer(200, test)
    body, key = request.json_object(), request.header("idempotency-key")
    if issues := rotate_issues(body) + idempotency_key_issues(key, least=1):
        raise ValidationFailedError(issues)
    secret, replayed = webhook_secrets.rotate(request.caller, body, key, request.now)
    return http.answer(200, {"secret": secret}, http.REPLAYED if replayed else None)
