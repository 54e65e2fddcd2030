"""What an API key has been used for: its share of the limit, and the day of its last use.

Each request is judged at once by what this environment knows. All that is asked of the table and told to it
is done in a thread beside the request, which waits for none of it: Lambda may freeze the thread with the
environment once the request is answered, and it goes on or fails with the next one. While the table is away,
throttled, or slow from the beginning, every request passes. What could not be told is not told again, so that
nobody pays for it later; where the table hangs after it has answered, its last word counts until the call
fails.
"""

import time
from collections.abc import Callable
from functools import partial
from threading import Lock, Thread
from typing import NamedTuple

from latchkey.adapters import store, telemetry
from latchkey.domain.limits import TOLD_EACH, Bucket, Limit
from latchkey.domain.links import DAY

type _Call = Callable[[], tuple[store.KeyUseRow, bool]]

DAY_MS = 1000 * DAY


class Standing(NamedTuple):
    """How a key stands after a request."""

    wait: float  # seconds until a request will pass, 0 for one that passes
    left: int  # requests that would pass now
    full_in: float  # seconds until all would


class KeyUse:
    """The use of one key, as one environment knows it."""

    def __init__(self, key_hash: str) -> None:
        self._key_hash = key_hash
        self._bucket = Bucket()
        self._used_on = 0  # the last day that the row is known to have
        self._missed_on = 0  # the last day that the row is known not to have had
        self._taken_on = 0  # the day of the last request
        # What a thread changes, and by whom it is held:
        self._lock = Lock()
        self._calling = False
        # What the last call brought, until the next request takes it over.
        self._brought: tuple[store.KeyUseRow | None, int, bool] | None = None

    def look(self, now: int) -> None:
        """Ask for the row, once a day, at `now` (ms), while it is not known whether there is such a key."""
        if self._used_on != now - now % DAY_MS and self._may_call():
            self._beside(lambda: (store.get_key_use(self._key_hash), False), 0, looks=True)

    def take(self, limit: Limit | None, now: int) -> Standing | None:
        """Take a request's share of a valid key's limit, at `now` (ms); None where there is none."""
        bucket, micros, today = self._bucket, 1000 * now, now - now % DAY_MS
        with self._lock:
            self._taken_on = today
            brought, self._brought = self._brought, None
        if brought is not None:
            self._take_over(*brought, limit, micros, today)
        wait = 0 if limit is None else bucket.take(limit, micros)
        is_first = self._missed_on == today != self._used_on
        is_due = limit is not None and bucket.is_due(limit, micros)
        if (is_first or is_due) and micros >= bucket.tell_from and self._may_call():
            bucket.tell_from = micros + TOLD_EACH
            told, row, full_at = bucket.untold, bucket.row, max(bucket.full_at, micros)
            more = 0 if limit is None else told * limit.token
            tell = partial(store.tell_key_use, self._key_hash, today, micros)
            self._beside(lambda: tell(row=row, full_at=full_at, more=more), told, looks=False)
        if limit is None:
            return None
        out = bucket.out(limit, micros)
        return Standing(wait / 1e6, max(0, limit.burst - out), max(0, bucket.full_at - micros) / 1e6)

    def _take_over(
        self,
        row: store.KeyUseRow | None,
        told: int,
        written: bool,
        limit: Limit | None,
        micros: int,
        today: int,
    ) -> None:
        if row is None:
            self._bucket.miss(told, micros)
            return
        self._bucket.hear(limit, row.full_at, told if written else 0)
        self._used_on = row.used_on
        if row.used_on != today:
            self._missed_on = today

    def _may_call(self) -> bool:
        with self._lock:
            return not self._calling and self._brought is None

    def _beside(self, call: _Call, told: int, *, looks: bool) -> None:
        self._calling = True
        Thread(target=self._do, args=(call, told, looks), daemon=True).start()

    def _do(self, call: _Call, told: int, looks: bool) -> None:
        row, written = None, False
        try:
            row, written = call()
        except Exception as error:  # noqa: BLE001 # nobody is there to catch it, and requests go on without
            telemetry.logger.warning("use of a key not told", **telemetry.unexpected(error))
        with self._lock:
            self._brought = row, told, written
            # The day's first request was faster than this thread, and may be the only one.
            day = self._taken_on
            self._calling = goes_on = looks and row is not None and row.used_on < day
        if goes_on and row is not None:
            micros = time.time_ns() // 1000
            tell = partial(store.tell_key_use, self._key_hash, day, micros, row=row.full_at)
            self._do(lambda: tell(full_at=micros, more=0), 0, looks=False)
