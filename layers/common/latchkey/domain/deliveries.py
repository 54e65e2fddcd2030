"""An event's way to its webhookUrl. Pure: each step takes the link and the time in milliseconds.

The link item holds the debt: when the next attempt is due, or until when one has the event to itself.
"""

from dataclasses import replace
from typing import Any, cast

from latchkey.domain.links import Link, Webhook
from latchkey.domain.retry_schedule import DeliveryError, Outcome, next_attempt

# An attempt takes at most 15 s; reading what it needs and recording how it went at most four calls of 7 s.
LEASE_MS = 45_000
KEPT = 100  # attempts that a link remembers, the newest; the schedule makes ten, redeliveries the others
REDELIVERY_MS = 30 * 86_400_000  # after the end


def is_due(link: Link, now: int) -> bool:
    """Whether an attempt may begin."""
    webhook = link.webhook
    if webhook is None or webhook.due_at is None:
        return False
    return max(webhook.due_at, webhook.lease_until) <= link.clock(now)


def leased(link: Link, now: int, token: str) -> Link:
    """An attempt has the event to itself: one that was asked for, or else the schedule's.

    From here on it counts, because a process that dies may have sent it.
    """
    webhook = webhook_of(link)
    asked = webhook.asked_at is not None or webhook.redelivering
    link = replace(link, planned_failures=link.planned_failures[1:])
    return _changed(
        link,
        now,
        attempts=webhook.attempts + 1,
        redeliveries=webhook.redeliveries + asked,
        asked_at=None,
        redelivering=asked,
        lease_token=token,
        lease_until=link.clock(now) + LEASE_MS,
    )


def recorded(link: Link, now: int, began: int, outcome: Outcome, random: float) -> Link:
    """The attempt that had the event, and began at `began` by the link's clock, is over.

    `random`, in [0, 1), spreads the next ones.
    """
    webhook = webhook_of(link)
    status, at = webhook.status, webhook.next_attempt_at
    if outcome.delivered:
        status, at = "delivered", None
    elif status == "pending" and (outcome.gone or not webhook.redelivering):
        real = next_attempt(webhook.attempts - webhook.redeliveries, outcome, now, random)
        at = None if real is None else link.clock(real)
        if at is None:
            status = "exhausted"
    delivery: dict[str, Any] = {
        "attempt": webhook.attempts,
        "at": began,
        "durationMs": outcome.duration_ms,
        "statusCode": outcome.status_code,
        "error": outcome.error,
    }
    kept = {name: value for name, value in delivery.items() if value is not None}
    link = replace(link, deliveries=(*link.deliveries, kept)[-KEPT:])
    return _changed(
        link,
        now,
        status=status,
        next_attempt_at=at,
        redelivering=False,
        lease_token=None,
        lease_until=0,
    )


def planned(link: Link) -> Outcome | None:
    """How the next attempt is to fail without being made, if the owner of a test link wants that."""
    match link.planned_failures:
        case [int(status), *_]:
            return Outcome(duration_ms=0, status_code=status)
        case [error, *_]:
            return Outcome(duration_ms=0, error=cast("DeliveryError", error))
    return None


def gave_up(before: Link, after: Link) -> bool:
    """Whether the schedule has come to its end without a delivery."""
    return (webhook_of(before).status, webhook_of(after).status) == ("pending", "exhausted")


def asked_again(link: Link, now: int) -> Link:
    """The event is to be sent once more, beside its schedule and whatever became of it."""
    return _changed(link, now, asked_at=link.clock(now))


def webhook_of(link: Link) -> Webhook:
    """The event's state of a link that owes or owed one."""
    if link.webhook is None:
        raise ValueError("the link has no event")
    return link.webhook


def _changed(link: Link, now: int, **changes: Any) -> Link:
    return replace(link, updated_at=link.clock(now), webhook=replace(webhook_of(link), **changes))
