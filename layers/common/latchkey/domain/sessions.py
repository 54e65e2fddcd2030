"""A session's steps. Pure: each takes the link and the time in milliseconds, and returns the link after it.

The user and the worker take turns: the worker stops at a challenge, and goes on when it is answered. A wait
is both's turn: a worker polls it at its time, and an action that the user chooses meanwhile comes after that.
"""

import json
from dataclasses import replace
from typing import Any

from latchkey.domain.links import Link, Session, as_of, noted, session_of

MAX_CALL_SECONDS = 60  # a session gives up waiting for a connector's reply after this
# A worker renews its lease before each call of a connector. The call takes at most 60 s, and what is
# stored around it at most three calls of 7 s.
LEASE_MS = (MAX_CALL_SECONDS + 30) * 1000
MAX_TRIES = 3  # of a read whose connector dies; a write has one
MAX_ASKED = 5  # challenges for one operation
CLOCKS_MS = 500  # by which two workers' clocks may differ, and a poll come early
TOKEN_MS = 24 * 3_600_000  # for so long after the end the client may read how it went


def is_workers_turn(link: Link, now: int) -> bool:
    """Whether a worker may take the session up."""
    if as_of(link, now).status != "active":
        return False
    session = session_of(link)
    at = link.clock(now)
    its_turn = not session.awaits_input or 0 < session.poll_at <= at + CLOCKS_MS
    return its_turn and at >= session.lease_until


def is_readable(link: Link, now: int) -> bool:
    """Whether the client's token still opens the session."""
    end = as_of(link, now).completed_at
    return end is None or link.clock(now) < end + TOKEN_MS


def claimed(link: Link, now: int, session: Session) -> Link:
    """The session that a claim begins at `now`; its times, which are real, become the link's own."""
    session = replace(session, claimed_at=link.clock(session.claimed_at), ends_at=link.clock(session.ends_at))
    return replace(link, status="active", session=session, secrets=True, updated_at=link.clock(now))


def leased(link: Link, now: int) -> Link:
    """A worker has the session to itself."""
    return _changed(link, now, lease_until=link.clock(now) + LEASE_MS)


def released(link: Link, now: int) -> Link:
    """The worker lets go; another one goes on."""
    return _changed(link, now, lease_until=0)


def asked(
    link: Link, now: int, challenge: dict[str, Any], state_row: str | None, new_id: str, *, polled: bool
) -> Link:
    """It is the user's turn to answer the challenge.

    A wait that goes on keeps its id, its end as long as no other is told, and the action that the user chose.
    """
    session, index = session_of(link), link.running
    same = polled and challenge["type"] == "wait"
    before = json.loads(session.challenge or "") if same else {"id": new_id}
    question = {"id": before["id"]} | challenge
    if (seconds := challenge.get("expiresInSeconds")) is not None:
        told = same and before.get("expiresInSeconds") == seconds
        question["expiresAt"] = before["expiresAt"] if told else link.clock(now) + 1000 * seconds
    if not same:
        link = noted(link, now, f"challenge.{challenge['type']}", index)
    if index is not None:
        count = link.operations[index].asked + (not same)
        link = _operation(link, index, status="asking", tries=0, asked=count)
    return _changed(
        link,
        now,
        challenge=json.dumps(question, ensure_ascii=False),
        input_row=session.input_row if same else None,
        state_row=state_row,
        poll_at=link.clock(now) + 1000 * challenge["pollSeconds"] if challenge["type"] == "wait" else 0,
        lease_until=0,
    )


def answered(link: Link, now: int, input_row: str) -> Link:
    """It is the worker's turn to try the answer."""
    return _changed(noted(link, now, "challenge.answered"), now, input_row=input_row)


def authenticated(link: Link, now: int, state_row: str | None) -> Link:
    """The user is logged in."""
    link = noted(link, now, "session.authenticated")
    return _changed(link, now, **_NOTHING_ASKED, state_row=state_row, authenticated=True)


def began(link: Link, now: int, index: int, *, polled: bool) -> Link:
    """An operation is handed to the connector, also with the answer to its challenge, or to poll its wait."""
    operation = link.operations[index]
    if operation.status == "pending" or operation.tries:
        link = noted(link, now, "operation.started", index)
    link = _operation(link, index, status="running", tries=operation.tries + 1)
    return _changed(leased(link, now), now, **({} if polled else _NOTHING_ASKED))


def succeeded(link: Link, now: int, index: int, result_row: str | None, state_row: str | None) -> Link:
    """An operation is done; its result is sealed in a row, or about to be part of the event."""
    began = session_of(link).lease_until - LEASE_MS  # the lease was renewed when the operation began
    took = link.clock(now) - began
    link = noted(link, now, "operation.succeeded", index, took)
    link = _operation(link, index, status="succeeded", result_row=result_row)
    return _changed(link, now, **_NOTHING_ASKED, state_row=state_row)


_NOTHING_ASKED: dict[str, Any] = {"challenge": None, "input_row": None, "poll_at": 0}


def _operation(link: Link, index: int, **changes: Any) -> Link:
    operations = list(link.operations)
    operations[index] = replace(operations[index], **changes)
    return replace(link, operations=tuple(operations))


def _changed(link: Link, now: int, **changes: Any) -> Link:
    return replace(link, updated_at=link.clock(now), session=replace(session_of(link), **changes))
