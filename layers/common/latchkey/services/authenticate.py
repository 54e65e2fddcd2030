"""Who is calling: the API-key check."""

from dataclasses import dataclass, field

from latchkey.adapters import store
from latchkey.domain import ids
from latchkey.domain.errors import UnauthorizedError

CACHE_MS = 60_000  # a revoked key is refused within this time
CACHE_ENTRIES = 4096

# SHA-256 of a key -> (when to forget it, in ms; its account). Keys that were refused are not kept.
_known: dict[str, tuple[int, str]] = {}


@dataclass(frozen=True, slots=True)
class Caller:
    """An account in one mode, and the key it came with."""

    account: str
    livemode: bool
    api_key: str = field(repr=False)

    @property
    def owner(self) -> str:
        """What the caller's links are filed under: neither account nor mode sees another's."""
        return f"{self.account}#{'live' if self.livemode else 'test'}"

    @property
    def last4(self) -> str:
        """What a key is told by, wherever it must not stand."""
        return self.api_key[-4:]


def authenticate(key: str, now: int) -> Caller:
    """The caller behind an API key, at `now` (ms).

    Raises UnauthorizedError; a key whose checksum is wrong costs no look-up.
    """
    livemode = ids.api_key_mode(key)
    if livemode is None:
        raise UnauthorizedError(
            "That is no API key of this service: one is lk_test_ or lk_live_ and 36 more characters; "
            "check that it was copied whole"
        )
    key_hash = ids.api_key_hash(key)
    expires_at, account = _known.get(key_hash, (0, ""))
    if now >= expires_at:
        _known.pop(key_hash, None)
        row = store.get_api_key(key_hash)
        if row is None or row.revoked or row.livemode != livemode:
            raise UnauthorizedError("This API key is unknown or was revoked")
        account = row.account
        if len(_known) >= CACHE_ENTRIES:
            del _known[next(iter(_known))]  # the oldest
        _known[key_hash] = (now + CACHE_MS, account)
    return Caller(account, livemode, key)
