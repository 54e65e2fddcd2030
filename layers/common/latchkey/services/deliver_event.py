"""Delivering an event: read, lease, send, record. A crash in between costs one more attempt and no event."""

import random
from collections.abc import Callable

from latchkey.adapters import queues, sealing, store, telemetry, webhook_sender
from latchkey.adapters.settings import settings
from latchkey.domain import deliveries, ids, signing
from latchkey.domain.errors import ConflictError, GoneError, HandBackError, UnavailableError
from latchkey.domain.links import OPEN, Link, as_of
from latchkey.domain.retry_schedule import Outcome
from latchkey.domain.urls import InvalidUrl, parse_webhook_url
from latchkey.services import webhook_secrets

# An attempt's 15 s, and what is read before it.
NEEDED_SECONDS = 17
# Lambda breaks a chain of messages that a function sends to its own queue at the 16th; an event's first
# retry is one, and after the last sweep goes on.
MAX_HOPS = 12
SOON_SECONDS = 60  # a wait that sweep, which runs once a minute, would stretch


def deliver(link_id: str, hops: int, clock: Callable[[], int], seconds_left: Callable[[], float]) -> None:
    """Attempt the link's delivery if it is due, and then those that wait in line for its place.

    An account has few places at a host, so that a slow host gets no flood and other accounts get theirs.
    Whoever finds none free waits in line, and whoever leaves one serves the line. `hops` counts the messages
    that functions sent on for it. Raises HandBackError, and does nothing, when there is no time left for an
    attempt.
    """
    link = store.get_link(link_id)
    if link is None or not deliveries.is_due(link, clock()):
        return  # delivered, or not due yet, or in other hands
    if seconds_left() < NEEDED_SECONDS:
        raise HandBackError
    line = store.Line(link.account, host_of(link.webhook_url or ""))
    while link is not None:
        if not _in_its_place(link, line, clock):
            return
        link = _next(line, clock)
        if link is not None and seconds_left() < NEEDED_SECONDS:
            if hops < MAX_HOPS:
                queues.wake_deliverer(link, hops=hops + 1)
            return


def redeliver(link: Link, now: int) -> Link:
    """Have the event of an ended link sent once more.

    Raises GoneError if it was erased, ConflictError if there is none to send.
    """

    def step(current: Link) -> Link:
        if current.erased_at is not None:
            raise GoneError("The link was erased, and its event with it")
        last = as_of(current, now)
        if last.status in OPEN or last.webhook_url is None:
            raise ConflictError("Only a link that has ended and has a webhookUrl has an event to send")
        if last.clock(now) >= (last.completed_at or 0) + deliveries.REDELIVERY_MS:
            raise ConflictError("An event can be sent again for 30 days after the link's end")
        if current.webhook is None:
            return last  # sweep is about to write the end, and then the event is sent for the first time
        saved = store.save(current, deliveries.asked_again(current, now))
        queues.wake_deliverer(saved)
        return saved

    return store.retrying(link, step)


def _in_its_place(link: Link, line: store.Line, clock: Callable[[], int]) -> bool:
    """Attempt the delivery in one of its account's places at the host; whether there was one."""
    now = clock()
    until = now + deliveries.LEASE_MS
    place = store.take_place(line, now, until)
    if place is None:
        store.stand_in_line(line, link.link_id, until)
        # Whoever gave a place back before that has not seen it in line.
        place = store.take_place(line, now, until)
        if place is None:
            return False
        store.leave_line(line, link.link_id)
    try:
        _attempt(link, clock)
    except store.SupersededError:
        telemetry.logger.info("overtaken", linkId=link.link_id)
    except UnavailableError:
        # It is still due, and sweep finds it.
        telemetry.logger.warning("a dependency is unavailable", linkId=link.link_id)
    finally:
        store.give_place_back(line, place, until)
    return True


def _next(line: store.Line, clock: Callable[[], int]) -> Link | None:
    """Take the next event out of the line."""
    while (link_id := store.first_in_line(line)) is not None:
        store.leave_line(line, link_id)
        link = store.get_link(link_id)
        if link is not None and deliveries.is_due(link, clock()):
            return link
    return None


def _attempt(link: Link, clock: Callable[[], int]) -> None:
    assert link.event is not None
    assert link.webhook_url is not None
    # What can fail on our side comes before the lease: from there on the attempt counts.
    body = sealing.unseal(
        link.event, account=link.account, subject=link.link_id, purpose=sealing.EVENT, now=clock()
    )
    secrets = [secret.secret for secret in webhook_secrets.valid(link.account, clock())]
    token, started, planned = ids.new_token(), clock(), deliveries.planned(link)
    link = store.save(link, deliveries.leased(link, started, token))
    outcome = planned or webhook_sender.send(
        link.webhook_url or "",
        signing.headers(deliveries.webhook_of(link).message_id, started // 1000, body, secrets),
        body,
        ports=settings().webhook_ports,
        allow_loopback=settings().allow_loopback_webhooks,
    )
    began = link.clock(started)
    recorded = store.retrying(link, lambda current: _record(current, token, began, outcome, clock()))
    if recorded.erased_at is not None:
        telemetry.logger.info("erased while its event was sent", linkId=link.link_id)
        return
    _report(recorded, began, outcome, gave_up=deliveries.gave_up(link, recorded))


def _record(link: Link, token: str, began: int, outcome: Outcome, now: int) -> Link:
    if link.webhook is None or link.webhook.lease_token != token:
        return link  # erased, or the lease ran out and another attempt is under way
    return store.save(link, deliveries.recorded(link, now, began, outcome, random.random()))  # noqa: S311 # jitter


def _report(link: Link, began: int, outcome: Outcome, *, gave_up: bool) -> None:
    webhook = deliveries.webhook_of(link)
    metrics = {}
    if webhook.attempts == 1 and link.completed_at is not None:
        metrics["FirstAttemptLateness"] = began - link.completed_at
    if gave_up and not link.clock_offset:  # no alarm for what somebody wanted to see
        metrics["DeliveriesExhausted"] = 1
    if not outcome.delivered:
        metrics["DeliveryFailures"] = 1
    telemetry.logger.info(
        "attempted",
        account=link.account,
        linkId=link.link_id,
        attempt=webhook.attempts,
        statusCode=outcome.status_code,
        error=outcome.error,
        durationMs=outcome.duration_ms,
        gaveUp=gave_up,
        **(telemetry.metrics(metrics) if metrics else {}),
    )
    if webhook.due_at is not None:
        wait = -(-(webhook.due_at - began - outcome.duration_ms) // 1000)
        if wait <= SOON_SECONDS:
            queues.wake_deliverer(link, max(wait, 0))


def host_of(webhook_url: str) -> str:
    """Whose places a delivery to this address takes."""
    try:
        url = parse_webhook_url(webhook_url, settings().webhook_ports, settings().allow_loopback_webhooks)
    except InvalidUrl:
        return "none"  # refused by the sender
    return f"{url.host}:{url.port}"
