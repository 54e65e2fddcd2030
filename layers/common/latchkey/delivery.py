"""Delivering an event: lease, send, record. A crash in between costs one more attempt and no event."""

import random
from collections.abc import Callable

from latchkey import (
    deliveries,
    ending,
    ids,
    queues,
    sealing,
    sender,
    signing,
    store,
    telemetry,
    webhook_secrets,
)
from latchkey.links import Link
from latchkey.schedule import Outcome
from latchkey.settings import settings
from latchkey.urls import InvalidUrl, parse_webhook_url

# An attempt's 15 s, and what is read before it.
NEEDED_SECONDS = 17
HOST_SLOTS = 5  # deliveries that one host has in flight
# Seconds after which a delivery that found its host busy is tried again; then it is left to sweep. Lambda
# breaks a chain of messages that a function sends to its own queue at the 16th.
BUSY_WAITS = (1, 2, 4, 8, 16)
SOON_SECONDS = 60  # a wait that sweep, which runs once a minute, would stretch


def deliver(link_id: str, busy: int, clock: Callable[[], int], seconds_left: Callable[[], float]) -> None:
    """Attempt the link's delivery if it is due, found `busy` times before.

    Raises HandBackError, and does nothing, when there is no time left for an attempt.
    """
    link = store.get_link(link_id)
    if link is None or not deliveries.is_due(link, clock()):
        return  # delivered, or not due yet, or in other hands
    if seconds_left() < NEEDED_SECONDS:
        raise queues.HandBackError
    until = clock() + deliveries.LEASE_MS
    host = _host(link)
    slot = store.take_slot(host, HOST_SLOTS, clock(), until, random.randrange(HOST_SLOTS))  # noqa: S311 # no secret
    if slot is None:
        if busy < len(BUSY_WAITS):
            queues.wake_deliverer(link, BUSY_WAITS[busy], busy + 1)
        return
    try:
        _attempt(link, clock)
    except store.SupersededError:
        telemetry.logger.info("overtaken", linkId=link_id)
    finally:
        store.give_slot_back(host, slot, until)


def _attempt(link: Link, clock: Callable[[], int]) -> None:
    token, started = ids.new_token(), clock()
    link = store.save(link, deliveries.leased(link, started, token))
    webhook = deliveries.webhook_of(link)
    assert link.event is not None
    assert link.webhook_url is not None
    body = sealing.unseal(
        link.event, account=link.account, subject=link.link_id, purpose=ending.EVENT, now=started
    )
    secrets = [secret.secret for secret in webhook_secrets.valid(link.account, started)]
    outcome = sender.send(
        link.webhook_url,
        signing.headers(webhook.message_id, clock() // 1000, body, secrets),
        body,
        ports=settings().webhook_ports,
        allow_loopback=settings().allow_loopback_webhooks,
    )
    link = store.retrying(link, lambda current: _record(current, token, started, outcome, clock()))
    _report(link, started, outcome)


def _record(link: Link, token: str, started: int, outcome: Outcome, now: int) -> Link:
    if deliveries.webhook_of(link).lease_token != token:
        return link  # the lease ran out, and another attempt is under way
    return store.save(link, deliveries.recorded(link, now, started, outcome, random.random()))  # noqa: S311 # jitter


def _report(link: Link, started: int, outcome: Outcome) -> None:
    webhook = deliveries.webhook_of(link)
    metrics = {"DeliveryAttempts": 1}
    if webhook.attempts == 1 and link.completed_at is not None:
        metrics["FirstAttemptLateness"] = started - link.completed_at
    if webhook.status == "exhausted":
        metrics["DeliveriesExhausted"] = 1
    elif not outcome.delivered:
        metrics["DeliveryFailures"] = 1
    telemetry.logger.info(
        "attempted",
        linkId=link.link_id,
        attempt=webhook.attempts,
        statusCode=outcome.status_code,
        error=outcome.error,
        durationMs=outcome.duration_ms,
        **telemetry.metrics(metrics),
    )
    if webhook.next_attempt_at is not None:
        wait = -(-(webhook.next_attempt_at - started - outcome.duration_ms) // 1000)
        if wait <= SOON_SECONDS:
            queues.wake_deliverer(link, max(wait, 0))


def _host(link: Link) -> str:
    try:
        url = parse_webhook_url(
            link.webhook_url or "", settings().webhook_ports, settings().allow_loopback_webhooks
        )
    except InvalidUrl:
        return "none"  # refused by the sender
    return f"{url.host}:{url.port}"
