"""The link: what it holds, when it ends, when it next needs attention. Pure; times are in milliseconds.

What a link holds is by its own clock, which a test link's owner may turn forward. `now` is the real time.

pending -> active -> complete | failed;  pending -> expired;  pending | active -> canceled
"""

import hashlib
from dataclasses import dataclass, replace
from typing import Any

DEFAULT_EXPIRES_IN = 14_400  # seconds: 4 hours
DUE_SHARDS = 16
# How long a session may wait for its worker before the message that called it counts as lost.
NUDGE_MS = 15_000
MAX_STEPS = 200  # of a timeline; four are kept free for creation, claim and end
DAY = 86_400  # seconds
MAX_TURNED_MS = 120 * DAY * 1000  # of a test link's clock, in all
# After an erasure: whoever was at the link when it was erased is done by then, or dead.
AFTERMATH_MS = 360_000

OPEN = frozenset({"pending", "active"})


@dataclass(frozen=True, slots=True)
class Operation:
    """One step of a link; its arguments are sealed elsewhere."""

    resource: str
    action: str
    # pending; running: the connector has it; asking: it asks the user something, and has written nothing yet;
    # succeeded. The link's end makes another of the first three.
    status: str = "pending"
    tries: int = 0  # since it began, or last asked
    asked: int = 0  # how many challenges
    result_row: str | None = None  # of the sealed result, until the link ends


@dataclass(frozen=True, slots=True)
class Session:
    """What begins with the claim: the user's time to log in, and the worker's to run the operations."""

    claimed_at: int
    ends_at: int
    token_hash: bytes = b""  # that of no token, once the link is erased
    challenge: str | None = None  # JSON text of what the user is asked: its id, what the connector replied
    input_row: str | None = None  # of the sealed answer, until the worker has used it
    poll_at: int = 0  # when the connector is asked how the challenge, a wait, stands; 0 for none
    state_row: str | None = None  # of the connector's sealed state
    authenticated: bool = False
    lease_until: int = 0  # until then a worker is at it; 0 for none

    @property
    def awaits_input(self) -> bool:
        """Whether it is the user's turn, and not the worker's."""
        return self.challenge is not None and self.input_row is None


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a link failed, and the operation that was running."""

    code: str
    operation_index: int | None = None
    reason: str | None = None  # what the connector said of it, in one word


@dataclass(frozen=True, slots=True)
class Webhook:
    """The event that an ended link owes its webhookUrl."""

    message_id: str
    status: str = "pending"  # of its schedule: pending, delivered, exhausted
    attempts: int = 0  # in all
    redeliveries: int = 0  # of these, the ones that were asked for and that the schedule does not count
    next_attempt_at: int | None = None  # by the schedule
    asked_at: int | None = None  # when one more attempt was asked for that has not begun
    redelivering: bool = False  # whether the attempt that is under way was asked for
    lease_token: str | None = None  # of the attempt that is under way
    lease_until: int = 0

    @property
    def due_at(self) -> int | None:
        """When an attempt is next due, if none is under way; None for never."""
        if self.redelivering:
            return self.lease_until  # it was lost: what was asked for is still owed
        return min((at for at in (self.asked_at, self.next_attempt_at) if at is not None), default=None)


@dataclass(frozen=True, slots=True)
class Sealed:
    """A ciphertext (nonce first) and the wrapped key that opens it."""

    ciphertext: bytes
    wrapped_key: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A link as it is stored."""

    link_id: str
    owner: str
    livemode: bool
    integration_id: str
    operations: tuple[Operation, ...]
    status: str
    base_url: str
    created_at: int
    updated_at: int
    expires_at: int
    write_token: str  # a new one for each write: tells who wrote what is stored
    arguments_row: str | None = None  # of the sealed arguments
    secrets: bool = False  # whether the Secrets table may hold rows of this link
    debug: bool = False
    webhook_url: str | None = None
    return_url: str | None = None
    embed_origins: tuple[str, ...] = ()  # that may show its page in a frame
    external_user_id: str | None = None
    metadata: dict[str, str] | None = None
    fingerprint: bytes | None = None  # keyed digest of the body that an Idempotency-Key came with
    session: Session | None = None
    completed_at: int | None = None
    error: Failure | None = None
    event: Sealed | None = None  # what is told of the end, with the result in it: the webhook's body
    end_order: str | None = None  # sorts the links of an owner by when their ends were written
    webhook: Webhook | None = None
    deliveries: tuple[dict[str, Any], ...] = ()  # the webhook's attempts
    # The steps that no other field tells: of a debug link all, of another those that are about to be logged.
    timeline: tuple[dict[str, Any], ...] = ()
    clock_offset: int = 0  # how far a test link's clock is ahead
    planned_failures: tuple[int | str, ...] = ()  # how a test link's next deliveries are to fail
    erased_at: int | None = None  # since when nothing is kept of its user

    @property
    def account(self) -> str:
        """The account, of either mode."""
        return self.owner.partition("#")[0]

    def clock(self, now: int) -> int:
        """What the link's own clock shows at `now`."""
        return now + self.clock_offset

    @property
    def running(self) -> int | None:
        """Index of the operation that is running, also if that now asks the user something."""
        begun = ("running", "asking")
        return next((i for i, operation in enumerate(self.operations) if operation.status in begun), None)

    def due_shard(self) -> int:
        """The part of the `due` index that the link is filed in."""
        return hashlib.sha256(self.link_id.encode()).digest()[0] % DUE_SHARDS

    def due_at(self) -> int | None:
        """When the link next needs attention that nothing else may give it; None for never."""
        if self.status == "pending":
            return self.expires_at
        if self.status == "active":
            session = session_of(self)
            if session.awaits_input and not session.poll_at:
                return session.ends_at
            turn = session.poll_at if session.awaits_input else self.updated_at
            return min(session.ends_at, session.lease_until or turn + NUDGE_MS)
        if self.secrets:
            return self.updated_at if self.erased_at is None else self.erased_at + AFTERMATH_MS
        if self.webhook is not None:
            return self.webhook.lease_until or self.webhook.due_at
        return None

    def kept_until(self, retention_days: int) -> int:
        """When the record's time is over."""
        return self.expires_at + 1000 * retention_days * DAY

    def ttl(self, retention_days: int) -> int:
        """When the record may be deleted, in real seconds."""
        return -(-(self.expires_at - self.clock_offset) // 1000) + retention_days * DAY

    def secrets_ttl(self) -> int:
        """When what is sealed is deleted at the latest, in real seconds; a session may outlive expiry."""
        return self.ttl(1)


def session_of(link: Link) -> Session:
    """The session of a link that was claimed."""
    if link.session is None:
        raise ValueError("the link was never claimed")
    return link.session


def as_of(link: Link, now: int) -> Link:
    """The link as it is at `now`: it expires, and its session ends, whatever the store still says."""
    at = link.clock(now)
    if link.status == "pending" and at >= link.expires_at:
        return ended(link, "expired", link.expires_at)
    if link.status == "active" and at >= session_of(link).ends_at:
        return ended(link, "failed", session_of(link).ends_at, interrupted(link, "CLIENT_TIMEOUT"))
    return link


def turned(link: Link, by: int) -> Link:
    """The link with its clock so much further. Who works at it keeps the real time that was left."""
    session, webhook = link.session, link.webhook
    if session is not None and session.lease_until:
        session = replace(session, lease_until=session.lease_until + by)
    if webhook is not None and webhook.lease_until:
        webhook = replace(webhook, lease_until=webhook.lease_until + by)
    return replace(link, clock_offset=link.clock_offset + by, session=session, webhook=webhook)


def turned_since(old: Link, stored: Link, new: Link) -> Link | None:
    """`new`, which was made of `old`, with the clock of `stored`; None if more than a turn came between."""
    by = stored.clock_offset - old.clock_offset
    if not by or stored != replace(turned(old, by), write_token=stored.write_token):
        return None
    return turned(new, by)


def interrupted[T](link: Link, code: T) -> T | str:
    """The error of a link that is stopped in its tracks, by whomever; `code` if no write was running.

    One that was may have happened.
    """
    running = link.running
    if running is None:
        return code
    operation = link.operations[running]
    return "OUTCOME_UNKNOWN" if (operation.action, operation.status) == ("write", "running") else code


def ended(link: Link, status: str, at: int, error_code: str | None = None, reason: str | None = None) -> Link:
    """The link in an end state, which it entered at `at`. What the user was asked is over with it."""
    return replace(
        link,
        status=status,
        updated_at=at,
        completed_at=at,
        session=None if link.session is None else replace(link.session, challenge=None),
        error=None if error_code is None else Failure(error_code, link.running, reason),
    )


def erased(link: Link, now: int) -> Link:
    """What is left of a link that has ended: what it was, how it ended, and when. Nothing of its user.

    It may still have secrets, of whoever is at the link and does not know yet.
    """
    at, session, error = link.clock(now), link.session, link.error
    return Link(
        link_id=link.link_id,
        owner=link.owner,
        livemode=link.livemode,
        integration_id=link.integration_id,
        operations=tuple(Operation(o.resource, o.action, o.status) for o in link.operations),
        status=link.status,
        base_url=link.base_url,
        created_at=link.created_at,
        updated_at=at,
        expires_at=link.expires_at,
        write_token=link.write_token,
        secrets=True,
        session=None if session is None else Session(session.claimed_at, session.ends_at),
        completed_at=link.completed_at,
        error=None if error is None else Failure(error.code, error.operation_index),
        end_order=link.end_order,
        clock_offset=link.clock_offset,
        erased_at=at,
    )


def noted(link: Link, now: int, event: str, index: int | None = None, took: int | None = None) -> Link:
    """The link with a step added to its timeline, while there is room; `took` in milliseconds."""
    if len(link.timeline) >= MAX_STEPS - 4:
        return link
    step: dict[str, Any] = {"at": link.clock(now), "event": event}
    if index is not None:
        step["operationIndex"] = index
    if took is not None:
        step["durationMs"] = took
    return replace(link, timeline=(*link.timeline, step))
