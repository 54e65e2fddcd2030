"""How many requests an API key may make. Pure; times are in microseconds.

A bucket holds `burst` tokens, `rate` of them come back each second, and a request takes one. It is told by
the one time at which it will be full again: tokens that are out stand between that and now. A table's row is
the bucket of a key, and each environment has its own copy of it, from which it gives at once; it tells the
row what it gave, and hears there what others have. So a copy lags behind by what others have given and not
told, and what was given too much keeps the bucket empty for longer: in the long run no more than the rate
passes.
"""

from dataclasses import dataclass
from typing import NamedTuple

SECOND = 1_000_000
TOLD_EACH = SECOND // 4  # at most
TOLD_AGAIN = 5 * SECOND  # after a failure
FORGOTTEN = 60 * SECOND  # without a request: what is not told by then is back, and an idle key costs nothing


class Limit(NamedTuple):
    """So many requests a second, and so many at once."""

    rate: int
    burst: int

    @property
    def token(self) -> int:
        """The time in which one comes back."""
        return SECOND // self.rate

    @property
    def window(self) -> int:
        """The time in which an empty bucket is full again."""
        return self.burst * self.token


@dataclass(slots=True)
class Bucket:
    """One environment's copy of a key's bucket."""

    row: int = 0  # the row, when it was last heard of
    full_at: int = 0
    untold: int = 0  # tokens that were given and that the row has not counted
    heard: bool = False  # whether the row was in reach when it was last asked
    tell_from: int = 0  # not earlier

    def take(self, limit: Limit, now: int) -> int:
        """Take a token: 0, or how long to wait for one. Without word from the row nobody has to wait."""
        if now - self.full_at > FORGOTTEN:
            self.untold = 0
        full_at = max(self.full_at, now) + limit.token
        wait = full_at - limit.window - now
        if wait <= 0:
            self.full_at = full_at
            self.untold += 1
            return 0
        return wait if self.heard else 0

    def out(self, limit: Limit, now: int) -> int:
        """How many tokens are out; more than there are, if others have taken some meanwhile."""
        return max(0, -(-(self.full_at - now) // limit.token))

    def is_due(self, limit: Limit, now: int) -> bool:
        """Whether there is enough to tell the row: a tenth of a burst, or anything when half of it is out."""
        least = limit.burst / 10 if 2 * self.out(limit, now) < limit.burst else 1
        return self.untold >= least

    def hear(self, limit: Limit | None, row: int, told: int) -> None:
        """Take over the row as it is after it was told of so many tokens."""
        self.row, self.heard = row, True
        self.untold = max(0, self.untold - told)  # they may be forgotten by now
        if limit is not None:
            self.full_at = max(self.full_at, row + self.untold * limit.token)

    def miss(self, told: int, now: int) -> None:
        """Go on without the row, which may have counted them or not."""
        self.heard = False
        self.untold = max(0, self.untold - told)  # they may be forgotten by now
        self.tell_from = now + TOLD_AGAIN
