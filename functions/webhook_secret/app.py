"""GET /v1/webhook-secret, POST /v1/webhook-secret/rotate."""

from latchkey import http
from latchkey.domain.errors import ValidationFailedError
from latchkey.domain.validation import rotate_issues
from latchkey.services import webhook_secrets

DEFAULT_OVERLAP = 86_400  # seconds


@http.private
def lambda_handler(request: http.CallerRequest) -> http.Response:
    """Show the secrets that the account's webhooks are signed with, or make a new one."""
    account = request.caller.account
    if request.route.startswith("GET"):
        secrets = webhook_secrets.valid(account, request.now)
        return http.answer(
            200, {"secrets": [{"secret": s.secret, "expiresAt": s.expires_at} for s in secrets]}
        )
    body = request.json_object()
    if issues := rotate_issues(body):
        raise ValidationFailedError(issues)
    new = webhook_secrets.rotate(account, body.get("overlapSeconds", DEFAULT_OVERLAP), request.now)
    return http.answer(200, {"secret": new.secret})
