"""Sweep: gives every link that is due what it needs, whoever should have given it before.

Each link is read again and written under conditions, so that sweeping twice, late, or beside a live
worker does no harm. Each shard has a sweep of its own, because one alone does not keep up: docs/costs.md.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from latchkey import ending, queues, sessions, store, telemetry
from latchkey.errors import UnavailableError
from latchkey.links import OPEN, as_of

THREADS = 16


def sweep(shard: int, clock: Callable[[], int], seconds_left: Callable[[], float]) -> int:
    """Do what is due in a shard; returns how late the latest was, in milliseconds.

    What there is no time left for is still due at the next run.
    """

    def attend_in_time(due: tuple[str, int]) -> int:
        link_id, due_at = due
        now = clock()
        if seconds_left() > 0:
            attend(link_id, now)
        return now - due_at

    late = 0
    try:
        with ThreadPoolExecutor(THREADS) as pool:
            for page in store.due_links(shard, clock()):
                late = max(late, *pool.map(attend_in_time, page))
                if seconds_left() <= 0:
                    break
    except UnavailableError:
        telemetry.logger.warning("a shard was not swept to its end", shard=shard)
    return late


def attend(link_id: str, now: int) -> None:
    """Do what the link needs at `now`: expire, time out, wake its worker, settle what its end owes."""
    link = store.get_link(link_id)
    if link is None:
        return
    due_at = link.due_at()
    if due_at is None or now < due_at:  # the index is behind
        return
    last = as_of(link, now)
    try:
        if last.status != link.status:
            ending.end(link, last, now)
        elif link.status not in OPEN:
            ending.settle(link)
        elif sessions.is_workers_turn(link, now):
            queues.wake_worker(link)
    except store.SupersededError:
        telemetry.logger.info("overtaken", linkId=link_id)
    except Exception as error:  # noqa: BLE001 # one link's fault must not keep the others waiting
        telemetry.logger.error("unexpected", linkId=link_id, **telemetry.unexpected(error))
