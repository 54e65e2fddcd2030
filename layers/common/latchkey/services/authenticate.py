"""Who is calling: the API-key check."""

from dataclasses import dataclass, field
from typing import NamedTuple

from latchkey.adapters import store
from latchkey.adapters.settings import settings
from latchkey.domain import ids
from latchkey.domain.errors import UnauthorizedError
from latchkey.domain.limits import Limit
from latchkey.services import key_use

CACHE_MS = 60_000  # a revoked key is refused within this time
CACHE_ENTRIES = 4096

EXPIRY_TOLD_MS = 14 * key_use.DAY_MS


class _Known(NamedTuple):
    until: int  # ms
    row: store.ApiKeyRow
    use: key_use.KeyUse


# By a key's SHA-256. Keys that were refused are not kept.
_known: dict[str, _Known] = {}


@dataclass(frozen=True, slots=True)
class Caller:
    """An account in one mode, and the key it came with."""

    account: str
    livemode: bool
    api_key: str = field(repr=False)
    label: str | None = None
    expires_at: int | None = None
    scopes: tuple[str, ...] | None = None  # None for all
    limit: Limit | None = None

    @property
    def owner(self) -> str:
        """What the caller's links are filed under: neither account nor mode sees another's."""
        return f"{self.account}#{'live' if self.livemode else 'test'}"

    @property
    def last4(self) -> str:
        """What a key is told by, wherever it must not stand."""
        return self.api_key[-4:]

    def expires_soon(self, now: int) -> bool:
        """Whether that is to be told."""
        return self.expires_at is not None and now >= self.expires_at - EXPIRY_TOLD_MS


def authenticate(key: str, now: int) -> tuple[Caller, key_use.Standing | None]:
    """The caller behind an API key, and how that stands with its limit after this request, at `now` (ms).

    Raises UnauthorizedError; a key whose checksum is wrong costs no look-up.
    """
    livemode = ids.api_key_mode(key)
    if livemode is None:
        raise UnauthorizedError(
            "That is no API key of this service: one is lk_test_ or lk_live_ and 36 more characters; "
            "check that it was copied whole"
        )
    key_hash = ids.api_key_hash(key)
    known = _known.get(key_hash)
    if known is None or now >= known.until:
        known = _look_up(key_hash, livemode, None if known is None else known.use, now)
    row = known.row
    if row.expires_at is not None and now >= row.expires_at:
        raise UnauthorizedError("This API key has expired; use the one that replaces it, or have one made")
    limit = _limit(row)
    caller = Caller(row.account, livemode, key, row.label, row.expires_at, row.scopes, limit)
    return caller, known.use.take(limit, now)


def _look_up(key_hash: str, livemode: bool, use: key_use.KeyUse | None, now: int) -> _Known:
    _known.pop(key_hash, None)
    use = use or key_use.KeyUse(key_hash)
    use.look(now)
    row = store.get_api_key(key_hash)
    if row is None or row.revoked or row.livemode != livemode:
        raise UnauthorizedError("This API key is unknown or was revoked")
    if len(_known) >= CACHE_ENTRIES:
        del _known[next(iter(_known))]  # the oldest
    known = _known[key_hash] = _Known(now + CACHE_MS, row, use)
    return known


def _limit(row: store.ApiKeyRow) -> Limit | None:
    rate = settings().key_rate if row.rate is None else row.rate
    return Limit(rate, row.burst or settings().key_burst) if rate else None
