"""POST /v1/links."""

from latchkey import http
from latchkey.adapters import telemetry
from latchkey.adapters.settings import settings
from latchkey.domain.catalogue import providers
from latchkey.domain.errors import ValidationFailedError
from latchkey.domain.validation import Rules, create_link_issues, idempotency_key_issues
from latchkey.domain.views import created_view
from latchkey.services.create_link import create_link


@http.private
def lambda_handler(request: http.CallerRequest) -> http.Response:
    """Create a link, or answer again what an earlier request with the same Idempotency-Key was answered."""
    body = request.json_object()
    if body.get("integrationId") in list(providers()):
        request.log["integrationId"] = body["integrationId"]
    idempotency_key = request.header("idempotency-key")
    issues = create_link_issues(body, _rules(request)) + idempotency_key_issues(idempotency_key, least=1)
    if issues:
        raise ValidationFailedError(issues)
    base_url = settings().link_base_url or f"https://{request.host}"
    link, claim_code, replayed = create_link(body, request.caller, idempotency_key, base_url, request.now)
    request.log["linkId"] = link.link_id
    if not replayed:
        request.log.update(telemetry.metrics({"LinksCreated": 1}))
    return http.answer(201, created_view(link, claim_code), http.REPLAYED if replayed else None)


def _rules(request: http.CallerRequest) -> Rules:
    config = settings()
    return Rules(
        max_expires_in=config.max_expires_in,
        webhook_ports=config.webhook_ports,
        allow_loopback=config.allow_loopback_webhooks,
        livemode=request.caller.livemode,
        live_connectors=config.live_connectors,
    )
