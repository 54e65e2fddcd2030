"""The secrets that an account's webhooks are signed with: sealed, at most two at a time."""

import json
from collections.abc import Callable
from typing import Any, NamedTuple

from latchkey.adapters import sealing, store
from latchkey.domain import ids, signing, strictjson
from latchkey.domain.errors import IdempotencyKeyReusedError, UnavailableError
from latchkey.services.authenticate import Caller

MAX_VALID = 2
MAX_REMEMBERED = 50  # rotations with an Idempotency-Key, the newest
DEFAULT_OVERLAP = 86_400  # seconds


class Secret(NamedTuple):
    secret: str
    expires_at: int | None  # None for the newest, which has no end yet


class _Row(NamedTuple):
    secrets: list[Secret]
    # Of each rotation with an Idempotency-Key: a digest of the key, and one of the body.
    rotations: dict[str, str]


def valid(account: str, now: int) -> list[Secret]:
    """The account's valid secrets, newest first; its first is made when it is first asked for."""

    def made(row: _Row) -> _Row:
        return row if row.secrets else row._replace(secrets=[Secret(signing.new_secret(), None)])

    return _change(account, now, made).secrets


def rotate(caller: Caller, body: dict[str, Any], idempotency_key: str | None, now: int) -> tuple[str, bool]:
    """Make a new secret; the one before it stays valid for the overlap.

    Returns it, and whether a request with this Idempotency-Key had made it before: it is derived from the API
    key and that key, so that no secret that is over has to be kept. Raises IdempotencyKeyReusedError for
    another body.
    """
    secret, name, replayed = signing.new_secret(), None, False
    if idempotency_key is not None:
        key = idempotency_key.encode()
        secret = signing.secret_of(ids.keyed_digest(caller.api_key, "webhook-secret", key))
        name = ids.keyed_digest(caller.api_key, "rotation", key).hex()
    request = ids.keyed_digest(caller.api_key, "rotation-body", strictjson.canonical(body)).hex()
    ends_at = now + 1000 * int(body.get("overlapSeconds", DEFAULT_OVERLAP))

    def rotated(row: _Row) -> _Row:
        nonlocal replayed
        replayed = name in row.rotations
        if name is not None and replayed:
            if row.rotations[name] != request:
                raise IdempotencyKeyReusedError
            return row
        older = [old._replace(expires_at=min(old.expires_at or ends_at, ends_at)) for old in row.secrets]
        kept = [old for old in older if now < (old.expires_at or 0)]
        rotations = row.rotations if name is None else row.rotations | {name: request}
        return _Row(
            [Secret(secret, None), *kept][:MAX_VALID], dict(list(rotations.items())[-MAX_REMEMBERED:])
        )

    _change(caller.account, now, rotated)
    return secret, replayed


def _change(account: str, now: int, change: Callable[[_Row], _Row]) -> _Row:
    """What `change` makes of the account's valid secrets, stored if it is anything else."""
    subject = f"account#{account}"
    for _ in range(store.MAX_ROUNDS):
        sealed = store.get_account_secrets(account)
        stored = _Row([], {})
        if sealed is not None:
            text = sealing.unseal(
                sealed, account=account, subject=subject, purpose=sealing.WEBHOOK_SECRET, now=now
            )
            content = json.loads(text)
            if isinstance(content, list):  # as release 0.1.0 stored it
                content = {"secrets": content, "rotations": {}}
            stored = _Row([Secret(*item) for item in content["secrets"]], content["rotations"])
        current = stored._replace(
            secrets=[each for each in stored.secrets if each.expires_at is None or now < each.expires_at]
        )
        wanted = change(current)
        if wanted == current:
            return current
        new = sealing.seal(
            json.dumps(wanted._asdict()).encode(),
            account=account,
            subject=subject,
            purpose=sealing.WEBHOOK_SECRET,
            now=now,
        )
        if store.put_account_secrets(account, new, instead_of=sealed):
            return wanted
    raise UnavailableError
