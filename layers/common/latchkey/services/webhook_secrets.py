"""The secrets that an account's webhooks are signed with: sealed, at most two at a time."""

import json
from collections.abc import Callable
from typing import NamedTuple

from latchkey.adapters import sealing, store
from latchkey.domain import signing
from latchkey.domain.errors import UnavailableError

MAX_VALID = 2


class Secret(NamedTuple):
    secret: str
    expires_at: int | None  # None for the newest, which has no end yet


def valid(account: str, now: int) -> list[Secret]:
    """The account's valid secrets, newest first; its first is made when it is first asked for."""
    return _change(account, now, lambda secrets: secrets or [Secret(signing.new_secret(), None)])


def rotate(account: str, overlap_seconds: int, now: int) -> Secret:
    """Make a new secret; the one before it stays valid for the overlap."""
    new = Secret(signing.new_secret(), None)
    ends_at = now + 1000 * overlap_seconds

    def rotated(secrets: list[Secret]) -> list[Secret]:
        older = [secret._replace(expires_at=min(secret.expires_at or ends_at, ends_at)) for secret in secrets]
        return [new, *(secret for secret in older if now < (secret.expires_at or 0))][:MAX_VALID]

    _change(account, now, rotated)
    return new


def _change(account: str, now: int, change: Callable[[list[Secret]], list[Secret]]) -> list[Secret]:
    """What `change` makes of the account's valid secrets, stored if it is anything else."""
    row = f"account#{account}"
    for _ in range(store.MAX_ROUNDS):
        sealed = store.get_account_secrets(account)
        stored: list[Secret] = []
        if sealed is not None:
            text = sealing.unseal(
                sealed, account=account, subject=row, purpose=sealing.WEBHOOK_SECRET, now=now
            )
            stored = [Secret(*item) for item in json.loads(text)]
        current = [secret for secret in stored if secret.expires_at is None or now < secret.expires_at]
        wanted = change(current)
        if wanted == current:
            return current
        new = sealing.seal(
            json.dumps(wanted).encode(), account=account, subject=row, purpose=sealing.WEBHOOK_SECRET, now=now
        )
        if store.put_account_secrets(account, new, instead_of=sealed):
            return wanted
    raise UnavailableError
