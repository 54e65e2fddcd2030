"""What an account has set for all its links."""

from typing import Any

from latchkey.adapters import store
from latchkey.services.authenticate import CACHE_ENTRIES, CACHE_MS, Caller

# Account -> (when to forget it, in ms; its default webhookUrl).
_known: dict[str, tuple[int, str | None]] = {}


def default_webhook(account: str, now: int) -> str | None:
    """Where the events of links without a webhookUrl go, as of at most a minute ago."""
    until, url = _known.get(account, (0, None))
    if now >= until:
        _known.pop(account, None)
        url = store.get_default_webhook(account)
        if len(_known) >= CACHE_ENTRIES:
            del _known[next(iter(_known))]  # the oldest
        _known[account] = (now + CACHE_MS, url)
    return url


def view(caller: Caller, now: int) -> dict[str, Any]:
    """The account and its key, as GET /v1/account has them."""
    return {
        "account": caller.account,
        "livemode": caller.livemode,
        "limits": None if caller.limit is None else caller.limit._asdict(),
        "webhookUrl": default_webhook(caller.account, now),
        "key": {
            "last4": caller.last4,
            "label": caller.label,
            "scopes": caller.scopes,
            "expiresAt": caller.expires_at,
        },
    }
