"""Sweep: gives every link that is due what it needs, whoever should have given it before.

Each link is read again and written under conditions, so that sweeping twice, late, or beside a live
worker does no harm.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

from latchkey.adapters import queues, store, telemetry
from latchkey.domain import sessions
from latchkey.domain.errors import UnavailableError
from latchkey.domain.links import OPEN, as_of
from latchkey.services import end_link

THREADS = 16
# What nobody could read may be late by any time: more than its alarm's threshold.
UNREAD_MS = 600_000


def sweep(
    shards: Iterable[int],
    clock: Callable[[], int],
    seconds_left: Callable[[], float],
    handed_over: Callable[[int], bool],
) -> int:
    """Do what is due in the shards; returns how late the latest was, in milliseconds.

    A shard with a full page is handed over if it can be: one sweep of all would not keep up (docs/costs.md).
    What there is no time left for is still due at the next run. What cannot be read counts as UNREAD_MS late.
    """
    late = 0

    def attend_in_time(due: tuple[str, int]) -> int:
        link_id, due_at = due
        now = clock()
        if seconds_left() > 0:
            attend(link_id, now)
        return now - due_at

    with ThreadPoolExecutor(THREADS) as pool:
        for shard in shards:
            try:
                for page in store.due_links(shard, clock()):
                    # Before anybody gets a turn, and of who may get none: the longest due is first.
                    late = max(late, clock() - page[0][1])
                    if seconds_left() <= 0 or (len(page) == store.DUE_PAGE and handed_over(shard)):
                        break
                    late = max(late, *pool.map(attend_in_time, page))
            except UnavailableError:
                telemetry.logger.warning("a shard was not swept to its end", shard=shard)
                late = max(late, UNREAD_MS)
    return late


def attend(link_id: str, now: int) -> None:
    """Do what the link needs at `now`: expire, time out, wake its worker, settle what its end owes."""
    try:
        link = store.get_link(link_id)
        if link is None:
            return
        due_at = link.due_at()
        if due_at is None or link.clock(now) < due_at:  # the index is behind
            return
        last = as_of(link, now)
        if last.status != link.status:
            end_link.end(link, last, now)
        elif link.status not in OPEN:
            end_link.settle(link)
        elif sessions.is_workers_turn(link, now):
            queues.wake_worker(link)
    except store.SupersededError:
        telemetry.logger.info("overtaken", linkId=link_id)
    except UnavailableError:
        telemetry.logger.warning("a dependency is unavailable", linkId=link_id)
    except Exception as error:  # noqa: BLE001 # one link's fault must not keep the others waiting
        telemetry.logger.error("unexpected", linkId=link_id, **telemetry.unexpected(error))
