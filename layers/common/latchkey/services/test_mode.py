"""What a test link's owner may make happen: time, ends, and deliveries that fail.

All of it by the steps that sessions, sweep and deliveries take.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from latchkey.adapters import store
from latchkey.adapters.settings import settings
from latchkey.domain import connector_protocol, ids, sessions, validation
from latchkey.domain.catalogue import providers
from latchkey.domain.errors import ConflictError, Issue, NotFoundError, ValidationFailedError
from latchkey.domain.links import MAX_TURNED_MS, OPEN, Link, Session, as_of, ended, session_of, turned
from latchkey.services import deliver_event, end_link

PAUSE_SECONDS = 0.05  # before another look at a delivery that another has in hand


def advance(
    link: Link, body: dict[str, Any], clock: Callable[[], int], seconds_left: Callable[[], float]
) -> Link:
    """Turn a test link's clock forward, moment by moment, and do at each what is due then.

    Returns the link after it, or as it was last if its retention is over by then. `clock` tells the real
    time. Raises ValidationFailedError, or ConflictError for what will never come, what is too far, and what
    does not fit in the time that is left: then the clock stands where it came to.
    """
    if issues := validation.advance_issues(body):
        raise ValidationFailedError(issues)
    journey = _Journey(link, clock, seconds_left)
    if "seconds" in body:
        journey.go(1000 * body["seconds"])
    else:
        journey.go(0)  # what is due already is not what is still to come
        journey.go(journey.to(body["until"]))
    return journey.link


class _Journey:
    def __init__(self, link: Link, clock: Callable[[], int], seconds_left: Callable[[], float]) -> None:
        self.link = link
        self.clock = clock
        self.seconds_left = seconds_left

    def to(self, moment: str) -> int:
        """How far it is to a moment of the link's life; raises ConflictError for one that will never come."""
        link = self.link
        at = {
            "expiry": link.expires_at if link.status == "pending" else None,
            "session_end": session_of(link).ends_at if link.status == "active" else None,
            "next_attempt": None if link.webhook is None else link.webhook.due_at,
            "retention": link.kept_until(settings().retention_days),
        }[moment]
        if at is None:
            raise ConflictError(f"The link is {link.status}: its {moment} will not come")
        return max(0, at - link.clock(self.clock()))

    def go(self, left: int) -> None:
        """Turn the clock by so much, in steps that end where something is due; others' steps add to it."""
        while True:
            left = store.retrying(self.link, partial(self._step, left=left))
            due = self._next()
            if due <= self.link.clock(self.clock()):
                if not self._do():
                    return
            elif not left:
                return

    def _step(self, link: Link, left: int) -> int:
        """Turn the clock to where something is next due, or as far as is left; returns what is left then."""
        self.link = link
        if link.clock_offset + left > MAX_TURNED_MS:
            raise ConflictError("A link's clock goes at most 120 days forward in all")
        step = min(left, max(0, self._next() - link.clock(self.clock())))
        if step:
            self.link = store.save(link, turned(link, step))
        return left - step

    def _next(self) -> int:
        """When something next happens to the link by itself."""
        link = self.link
        moments = [link.kept_until(settings().retention_days)]
        if link.status == "pending":
            moments.append(link.expires_at)
        elif link.status == "active":
            moments.append(session_of(link).ends_at)
        elif link.secrets:
            moments.append(link.updated_at)
        elif link.webhook is not None and link.webhook.due_at is not None:
            in_hand = link.webhook.lease_until > 0
            moments.append(link.updated_at if in_hand else link.webhook.due_at)
        return min(moments)

    def _do(self) -> bool:
        """Do what is due; whether the link is still there."""
        link, now = self.link, self.clock()
        if link.status in OPEN:
            self.link = store.retrying(link, lambda current: self._end(current, now))
        elif link.secrets:
            self.link = end_link.settle(link)
        elif link.clock(now) >= link.kept_until(settings().retention_days):
            store.retrying(link, store.delete_test_link)
            return False
        else:
            self._deliver()
        return True

    def _end(self, link: Link, now: int) -> Link:
        last = as_of(link, now)
        return link if last.status == link.status else end_link.end(link, last, now)

    def _deliver(self) -> None:
        """See the attempt that is due made: here, or by the worker that has it in hand."""
        if self.seconds_left() < deliver_event.NEEDED_SECONDS:
            raise ConflictError(
                "Its webhook's receiver took too long: testClock says how far the link came; ask for the rest"
            )
        deliver_event.deliver(self.link.link_id, 0, self.clock, self.seconds_left)
        link = store.get_link(self.link.link_id)
        if link is None:
            raise NotFoundError
        self.link = link
        if self._next() <= link.clock(self.clock()):
            time.sleep(PAUSE_SECONDS)


def simulate(link: Link, body: dict[str, Any], now: int) -> Link:
    """End a test link as a session would have: claimed, its results checked, its event frozen and sent.

    Raises ValidationFailedError, or ConflictError of a link that has ended or whose operation is running.
    """
    if issues := validation.simulate_issues(body):
        raise ValidationFailedError(issues)
    complete = body["outcome"] == "complete"
    data = _data(link, body.get("data"), now) if complete else []
    indexed = body.get("code") in validation.INDEXED
    index = body.get("operationIndex", 0)
    if index >= len(link.operations):
        message = f"must be less than {len(link.operations)}, the number of the link's operations"
        raise ValidationFailedError([Issue("operationIndex", message, "range")])

    def step(current: Link) -> Link:
        last = as_of(current, now)
        if last.status not in OPEN:
            raise ConflictError(f"The link has ended: it is {last.status}")
        if any(operation.status == "running" for operation in current.operations):
            raise ConflictError("An operation is running: wait for its end, or for the session's")
        played = _logged_in(current, now) if complete or indexed else _claimed(current, now)
        if complete:
            for done in range(len(data)):
                played = _run(played, done, now)
            last = ended(played, "complete", played.clock(now))
            return end_link.end(current, last, now, end_link.result_of(current, data))
        if indexed:
            for done in range(index):
                played = _run(played, done, now)
            if played.operations[index].status == "succeeded":
                raise ConflictError("That operation has succeeded")
            played = sessions.began(played, now, index, polled=False)
        return end_link.end(
            current, end_link.failed(played, now, body["code"], connector_protocol.reason(body)), now
        )

    return store.retrying(link, step)


def _data(link: Link, given: list[dict[str, Any]] | None, now: int) -> list[dict[str, Any]]:
    """Each operation's result, of a link that can end with them; raises ValidationFailedError."""
    resources = providers()[link.integration_id].resources
    if given is None:
        return [resources[o.resource][o.action].result["examples"][0] for o in link.operations]
    if len(given) != len(link.operations):
        message = f"must be one result for each of the link's operations: {len(link.operations)}"
        raise ValidationFailedError([Issue("data", message, "range")])
    issues = []
    for index, (operation, data) in enumerate(zip(link.operations, given, strict=True)):
        schema = validation.result_validator(link.integration_id, operation.resource, operation.action)
        issues += connector_protocol.data_issues(schema, data, f"data.{index}")
    if not issues and not end_link.fits(link, end_link.result_of(link, given), now):
        issues.append(Issue("data", "must leave the event, with the metadata in it, at 256 KiB", "range"))
    if issues:
        raise ValidationFailedError(issues)
    return given


def _claimed(link: Link, now: int) -> Link:
    """The link with a session, of nobody's if it was never claimed."""
    if link.session is not None:
        return link
    nobody = ids.token_hash(ids.new_client_token(link.link_id))
    ends_at = now + 1000 * settings().session_seconds
    return sessions.claimed(link, now, Session(claimed_at=now, ends_at=ends_at, token_hash=nobody))


def _logged_in(link: Link, now: int) -> Link:
    link = _claimed(link, now)
    session = session_of(link)
    return link if session.authenticated else sessions.authenticated(link, now, session.state_row)


def _run(link: Link, index: int, now: int) -> Link:
    """The link with one more of its operations done."""
    if link.operations[index].status == "succeeded":
        return link
    return sessions.succeeded(
        sessions.began(link, now, index, polled=False), now, index, None, session_of(link).state_row
    )


def fail_deliveries(link: Link, body: dict[str, Any]) -> Link:
    """Plan how the next attempts to deliver a test link's event fail, in place of what was planned before.

    Raises ValidationFailedError, or ConflictError of a link without a webhookUrl.
    """
    if issues := validation.fail_deliveries_issues(body):
        raise ValidationFailedError(issues)
    planned = (body["as"],) * body["count"]

    def step(current: Link) -> Link:
        if current.webhook_url is None:
            raise ConflictError("The link has no webhookUrl")
        return store.save(current, replace(current, planned_failures=planned))

    return store.retrying(link, step)
