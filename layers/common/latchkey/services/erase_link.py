"""Erasing: what is left of a link says nothing of its user, and that it was erased.

One write puts that in place of all that the link's item held, so nobody who is at the link can write it any
more. Then what is sealed is deleted. Who does not know yet may seal something more and die before taking it
back, so the link stays due, and sweep looks once more when all are done; that also ends what a crash in
between left.
"""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

from latchkey.adapters import store, telemetry
from latchkey.domain.errors import NotFoundError
from latchkey.domain.links import OPEN, Link, as_of, erased
from latchkey.services import end_link
from latchkey.services.authenticate import Caller

MAX_LINKS = 100  # of one request
THREADS = 16
INDEXED_MS = 2_000  # an index shows what was written some tenths of a second ago


def erase(link: Link, caller: Caller, now: int) -> tuple[Link, bool]:
    """Erase the link, canceled if it is open; returns what is left of it, and whether this call did that."""
    left, did = store.retrying(link, lambda current: _written_over(current, caller, now))
    if left.secrets:
        end_link.delete_secrets(left)
    return left, did


def _written_over(link: Link, caller: Caller, now: int) -> tuple[Link, bool]:
    if link.erased_at is not None:
        return link, False
    last = as_of(link, now)
    if last.status in OPEN:
        last = end_link.canceled(link, now)
    left = store.write_over(link, erased(last, now))
    if link.status in OPEN:
        end_link.report(left)
    telemetry.logger.info(
        "erased",
        account=caller.account,
        livemode=caller.livemode,
        keyLast4=caller.last4,
        linkId=left.link_id,
        audited="link.erased",
    )
    return left, True


def erase_user(user: str, caller: Caller, clock: Callable[[], int]) -> tuple[int, bool]:
    """Erase links of one of the caller's users; returns how many this call erased, and if there are more.

    There are none when all that were made before the call are erased.
    """
    began = clock()

    def erases(link: Link) -> bool:
        try:
            return erase(link, caller, clock())[1]
        except NotFoundError:
            return False  # its time was over

    found = list(islice(_links_of(user, caller), MAX_LINKS + 1))
    with ThreadPoolExecutor(THREADS) as pool:
        count = sum(pool.map(erases, found[:MAX_LINKS]))
    if len(found) > MAX_LINKS:
        return count, True
    time.sleep(max(0, began + INDEXED_MS - clock()) / 1000)
    return count, next(_links_of(user, caller), None) is not None


def _links_of(user: str, caller: Caller) -> Iterator[Link]:
    """The user's links; the index may still have some that were erased."""
    after = None
    while True:
        links, after = store.list_links(
            caller.owner, external_user_id=user, matching=None, after=after, limit=MAX_LINKS
        )
        yield from (link for link in links if link.external_user_id == user)
        if after is None:
            return
