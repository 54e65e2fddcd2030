"""The end of a link: one write that also freezes its event and records that it is owed; then what is owed.

A crash after that write loses nothing: the link stays due until its secrets are deleted and its event
is delivered, and sweep finds it.
"""

from dataclasses import replace
from typing import Any

from latchkey.adapters import queues, sealing, store, telemetry
from latchkey.domain import ids
from latchkey.domain.errors import ConflictError
from latchkey.domain.links import OPEN, Link, Webhook, as_of, ended, interrupted, noted
from latchkey.domain.views import event_body

# Of an event's body. An item holds 400 KB: the body, metadata once more (at most 108 KB), and some 20 KB.
MAX_EVENT_BYTES = 256 * 1024

PROVIDERS_FAULTS = {"CONNECTION_FAILED", "AUTOMATION_ERROR", "RESULT_VALIDATION_ERROR", "OUTCOME_UNKNOWN"}


def end(link: Link, last: Link, now: int, result: dict[str, Any] | None = None) -> Link:
    """Write `last`, the link in its end state, over the open `link`, at `now` (ms); returns what is stored.

    Raises SupersededError if another writer came first. A result must be one that `fits`.
    """
    body = event_body(last, result)
    sealed = sealing.seal(body, account=link.account, subject=link.link_id, purpose=sealing.EVENT, now=now)
    last = replace(last, event=sealed)
    if last.webhook_url is not None:
        last = replace(last, webhook=Webhook(ids.event_id(link.link_id), next_attempt_at=last.clock(now)))
    stored = store.save(link, last)
    report(stored)
    return settle(stored)


def report(link: Link) -> None:
    """Log that the link has ended, and how."""
    code = link.error.code if link.error else None
    metrics = {}
    # Whether an integration works is told by live links that got as far as its provider.
    if link.livemode and (link.status == "complete" or code in PROVIDERS_FAULTS):
        metrics = telemetry.metrics({"IntegrationFailed": int(code is not None)}, link.integration_id)
    telemetry.logger.info(
        "ended",
        linkId=link.link_id,
        integrationId=link.integration_id,
        livemode=link.livemode,
        status=link.status,
        code=code,
        reason=link.error.reason if link.error else None,
        sessionMs=at - link.session.claimed_at if link.session and (at := link.completed_at) else None,
        **metrics,
    )


def cancel(link: Link, now: int) -> Link:
    """Cancel a link that has not ended; one that was canceled stays so. Raises ConflictError of any other."""

    def step(current: Link) -> Link:
        last = as_of(current, now)
        if last.status == "canceled":
            return last
        if last.status not in OPEN:
            raise ConflictError(f"The link has ended: it is {last.status}")
        return end(current, canceled(current, now), now)

    return store.retrying(link, step)


def canceled(link: Link, now: int) -> Link:
    """The open link as it was canceled."""
    return ended(link, "canceled", link.clock(now), interrupted(link, None))


def fail(link: Link, now: int, code: str, reason: str | None = None) -> Link:
    """End the link as failed; the connector may have said a reason."""
    return end(link, failed(link, now, code, reason), now)


def failed(link: Link, now: int, code: str, reason: str | None = None) -> Link:
    """The link as it failed."""
    last = ended(link, "failed", link.clock(now), code, reason)
    if link.running is not None:
        step = "operation.unknown" if code == "OUTCOME_UNKNOWN" else "operation.failed"
        last = noted(last, now, step, link.running)
    return last


def settle(link: Link) -> Link:
    """Delete what is sealed for an ended link, and have its event delivered."""
    if link.secrets:
        delete_secrets(link)
        erased_at = link.erased_at
        link = store.retrying(link, lambda current: _without_secrets(current, erased_at))
    if link.webhook is not None and link.webhook.due_at is not None:
        queues.wake_deliverer(link)
    return link


def _without_secrets(link: Link, erased_at: int | None) -> Link:
    if link.erased_at != erased_at:
        return link  # erased meanwhile: what others seal until they notice is still to be deleted
    return store.save(link, replace(link, secrets=False))


def delete_secrets(link: Link) -> None:
    """Delete all that is sealed for the link but its event."""
    for row in store.secret_rows(link):
        store.delete_secret(link, row)


def result_of(link: Link, data: list[dict[str, Any]]) -> dict[str, Any]:
    """The link's result, of those of its operations so far: of one it is flat."""
    if len(link.operations) == 1:
        return data[0]
    return {
        "operations": [
            {"resource": operation.resource, "action": operation.action, "data": result}
            for operation, result in zip(link.operations, data, strict=False)
        ]
    }


def fits(link: Link, result: dict[str, Any], now: int) -> bool:
    """Whether the link can end at `now` with the result."""
    return len(event_body(ended(link, "complete", now), result)) <= MAX_EVENT_BYTES
