"""What an API key has been used for: its share of the limit, and the day of its last use.

Each request is judged at once by what this environment knows. All that is asked of the table and told to it
is done in a thread beside the request, which waits for none of it: Lambda may freeze the thread with the
environment once the request is answered, and it goes on or fails with the next one. While the table is away,
throttled, or slow from the beginning, every request passes. What could not be told is not told again, so that
nobody pays for it later; where the table hangs after it has answered, its last word counts until the call
fails.
"""

from collections.abc import Callable
from threading import Thread
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
        self._calling = False
        # What the last call brought, until the next request takes it over: a thread changes nothing else.
        self._brought: tuple[store.KeyUseRow | None, int, bool] | None = None

    @property
    def _is_free(self) -> bool:
        return not self._calling and self._brought is None  # in this order: a thread sets them the other way

    def look(self, now: int) -> None:
        """Ask for the row, once a day, at `now` (ms)."""
        if self._used_on != now - now % DAY_MS and self._is_free:
            self._beside(lambda: (store.get_key_use(self._key_hash), False), told=0)

    def take(self, limit: Limit | None, now: int) -> Standing | None:
        """Take a request's share of the limit, at `now` (ms); None where there is no limit."""
        bucket, micros, today = self._bucket, 1000 * now, now - now % DAY_MS
        self._take_over(limit, micros, today)
        wait = 0 if limit is None else bucket.take(limit, micros)
        is_first = self._missed_on == today != self._used_on
        is_due = limit is not None and bucket.is_due(limit, micros)
        if (is_first or is_due) and micros >= bucket.tell_from and self._is_free:
            bucket.tell_from = micros + TOLD_EACH
            told, row, full_at = bucket.untold, bucket.row, max(bucket.full_at, micros)
            more = 0 if limit is None else told * limit.token
            self._beside(
                lambda: store.tell_key_use(
                    self._key_hash, today, now=micros, row=row, full_at=full_at, more=more
                ),
                told,
            )
        if limit is None:
            return None
        out = bucket.out(limit, micros)
        return Standing(wait / 1e6, max(0, limit.burst - out), max(0, bucket.full_at - micros) / 1e6)

    def _take_over(self, limit: Limit | None, micros: int, today: int) -> None:
        if self._brought is None:
            return
        (row, told, written), self._brought = self._brought, None
        if row is None:
            self._bucket.miss(told, micros)
            return
        self._bucket.hear(limit, row.full_at, told if written else 0)
        self._used_on = row.used_on
        if row.used_on != today:
            self._missed_on = today

    def _beside(self, call: _Call, told: int) -> None:
        self._calling = True
        Thread(target=self._do, args=(call, told), daemon=True).start()

    def _do(self, call: _Call, told: int) -> None:
        try:
            row, written = call()
        except Exception as error:  # noqa: BLE001 # nobody is there to catch it, and requests go on without
            telemetry.logger.warning("use of a key not told", **telemetry.unexpected(error))
            self._brought = None, told, False
        else:
            self._brought = row, told, written
        finally:
            self._calling = False
