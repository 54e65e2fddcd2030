"""Webhook tests: an example event, signed and sent as a real one is, at once and once."""

from collections.abc import Callable
from typing import Any

from latchkey.adapters import store, telemetry, webhook_sender
from latchkey.adapters.settings import settings
from latchkey.domain import deliveries, examples, ids, signing, validation
from latchkey.domain.errors import RateLimitedError, ValidationFailedError
from latchkey.services import deliver_event, webhook_secrets
from latchkey.services.authenticate import Caller


def send(body: dict[str, Any], caller: Caller, clock: Callable[[], int]) -> dict[str, Any]:
    """What was sent and how that went. Raises ValidationFailedError, or RateLimitedError."""
    ports, allow_loopback = settings().webhook_ports, settings().allow_loopback_webhooks
    if issues := validation.webhook_test_issues(body, ports, allow_loopback=allow_loopback):
        raise ValidationFailedError(issues)
    now = clock()
    if not store.take_turn(ids.api_key_hash(caller.api_key), now):
        raise RateLimitedError("A key may test one webhook a second; try again in a second")
    secrets = [secret.secret for secret in webhook_secrets.valid(caller.account, now)]
    line, until = store.Line(caller.account, deliver_event.host_of(body["url"])), now + deliveries.LEASE_MS
    place = store.take_place(line, now, until)
    if place is None:
        raise RateLimitedError("As many deliveries to this host are under way as may be; try again later")
    try:
        event = examples.event(body["type"], "link_test", now, livemode=caller.livemode)
        headers = signing.headers(ids.new_message_id(), clock() // 1000, event, secrets)
        outcome = webhook_sender.send(body["url"], headers, event, ports=ports, allow_loopback=allow_loopback)
    finally:
        store.give_place_back(line, place, until)
    telemetry.logger.info("tested", statusCode=outcome.status_code, error=outcome.error)
    return {
        "request": {"headers": webhook_sender.HEADERS | headers, "body": event.decode()},
        "statusCode": outcome.status_code,
        "durationMs": outcome.duration_ms,
        "error": outcome.error,
    }
