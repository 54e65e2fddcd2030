"""What the client that claimed a link may do in its session."""

import hmac
from typing import Any

from latchkey.adapters import queues, sealing, store
from latchkey.adapters.settings import settings
from latchkey.domain import ids, sessions, strictjson, validation
from latchkey.domain.errors import (
    ConflictError,
    GoneError,
    Issue,
    NotFoundError,
    UnauthorizedError,
    ValidationFailedError,
)
from latchkey.domain.links import OPEN, Link, Session, as_of, ended, interrupted
from latchkey.domain.views import session_view
from latchkey.services import end_link


def claim(code: str, key: str | None, now: int) -> tuple[Link, str, bool]:
    """Begin the one session of the link that a claim code opens, at `now` (ms).

    Returns the link, its client token, and whether a claim with the same Idempotency-Key had begun it before.
    Raises NotFoundError for an unknown code, ConflictError for a link that was claimed otherwise, GoneError
    for one that ended unclaimed.
    """
    link_id = ids.link_id(code)
    token = ids.new_client_token(link_id) if key is None else ids.derived_client_token(code, key)
    begun = Session(
        claimed_at=now, ends_at=now + 1000 * settings().session_seconds, token_hash=ids.token_hash(token)
    )
    replayed = False
    try:
        link = store.claim(link_id, begun, ids.new_token())
    except NotFoundError:
        raise NotFoundError("No link has this claim code") from None
    except store.SupersededError as error:
        link, replayed = store.retrying(error.link, lambda current: _claimed(current, begun, now))
    queues.wake_worker(link)
    return link, token, replayed


def _claimed(link: Link, begun: Session, now: int) -> tuple[Link, bool]:
    """A link that the store did not let be claimed unseen: over, claimed before, or of a clock of its own."""
    if link.session is not None:
        if not hmac.compare_digest(link.session.token_hash, begun.token_hash):
            raise ConflictError("The link was claimed before")
        return link, True
    if as_of(link, now).status != "pending":
        raise GoneError("The link was canceled or has expired; ask for a new one")
    return store.save(link, sessions.claimed(link, now, begun)), False


def session(token: str, now: int) -> Link:
    """The link whose session the client token opens; raises UnauthorizedError."""
    link_id = ids.link_of_client_token(token)
    link = None if link_id is None else store.get_link(link_id)
    if (
        link is None
        or link.session is None
        or not hmac.compare_digest(link.session.token_hash, ids.token_hash(token))
        or not sessions.is_readable(link, now)
    ):
        raise UnauthorizedError("Send the session's client token as Authorization: Bearer ct_...")
    return link


def answer_challenge(link: Link, body: dict[str, Any], now: int) -> Link:
    """Take the user's answer to the open challenge, or one of its actions in its place, and have it tried.

    Raises ValidationFailedError, or ConflictError when that challenge is not, or no longer, open.
    """
    if issues := validation.input_issues(body):
        raise ValidationFailedError(issues)
    challenge = session_view(link, now)["challenge"]
    if challenge is None or challenge["id"] != body["challengeId"]:
        raise ConflictError("This challenge is not open; read the session for what is asked now")
    if issues := _misfits(challenge, body):
        raise ValidationFailedError(issues)
    row = f"{sealing.INPUT}#{ids.new_token()}"
    sealed = sealing.seal(
        strictjson.canonical(body.get("action", body.get("input"))),
        account=link.account,
        subject=link.link_id,
        purpose=sealing.INPUT,
        now=now,
    )
    store.put_secret(link, row, sealed)  # first, so that no worker finds the answer missing
    try:
        link = store.save(link, sessions.answered(link, now, row))
    except store.SupersededError:
        store.delete_secret(link, row)
        raise ConflictError("The session has moved on; read it for what is asked now") from None
    queues.wake_worker(link)
    return link


def _misfits(challenge: dict[str, Any], body: dict[str, Any]) -> list[Issue]:
    """What the challenge does not take."""
    if "action" in body:
        offered = [action["id"] for action in challenge.get("actions", ())]
        known = body["action"] in offered
        return (
            [] if known else [Issue("action", "must be the id of one of the challenge's actions", "schema")]
        )
    if challenge["type"] == "wait":
        return [Issue("input", "must be left out of a wait, which goes away by itself", "schema")]
    return validation.schema_issues(validation.validator(challenge["schema"]), body["input"], "input")


def cancel(link: Link, now: int) -> Link:
    """End the session because its user wants so; raises ConflictError once it has ended."""

    def step(current: Link) -> Link:
        if as_of(current, now).status not in OPEN:
            raise ConflictError("The session has ended")
        return end_link.end(
            current,
            ended(current, "failed", current.clock(now), interrupted(current, "USER_CANCELED")),
            now,
        )

    return store.retrying(link, step)
