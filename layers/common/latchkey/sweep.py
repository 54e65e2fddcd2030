"""Sweep: gives every link that is due what it needs, whoever should have given it before.

Each link is read again and written under conditions, so that sweeping twice, late, or beside a live
worker does no harm.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from latchkey import ending, queues, sessions, store, telemetry
from latchkey.errors import UnavailableError
from latchkey.links import DUE_SHARDS, OPEN, as_of

# Of one shard in one run: 16 x 500 links. What is left over is still due at the next run.
MOST_PER_SHARD = 500
THREADS = 16


def sweep(clock: Callable[[], int], seconds_left: Callable[[], float]) -> int:
    """Do what is due; returns how late the latest was, in milliseconds."""
    with ThreadPoolExecutor(THREADS) as pool:
        return max(pool.map(lambda shard: _sweep_shard(shard, clock, seconds_left), range(DUE_SHARDS)))


def _sweep_shard(shard: int, clock: Callable[[], int], seconds_left: Callable[[], float]) -> int:
    late = 0
    try:
        for link_id, due_at in store.due_links(shard, clock(), MOST_PER_SHARD):
            if seconds_left() < 0:
                break
            late = max(late, clock() - due_at)
            attend(link_id, clock())
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
