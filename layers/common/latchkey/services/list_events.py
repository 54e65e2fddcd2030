"""Listing events: the ends of an owner's links, in the order in which they were written.

An end's place in that order is the time at which its write is sent off, but it can be read only when that
is done and the index has it. So another may come to stand before one that was read already, and whoever
went on after that one would never see it. A reader who goes on is therefore shown none that is so young: it
waits for them, and has then all that had ended when it asked. The list of the newest, which nobody goes on
in, shows them at once.
"""

import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import batched
from typing import Any

from latchkey.adapters import sealing, store
from latchkey.domain import ids, validation
from latchkey.domain.errors import Issue, ValidationFailedError
from latchkey.domain.links import Link
from latchkey.domain.views import listed_event_view
from latchkey.services import list_links, read_link
from latchkey.services.authenticate import Caller

# A write takes at most 7 s (latchkey/adapters/aws.py), and its index some tenths of a second more.
SETTLED_MS = 10_000
BATCH = 16  # links read at once, of at most 400 KB each
# Of the events of a page. Lambda takes an answer of 6 MB, in which each quotation mark is two bytes.
MAX_PAGE_BYTES = 2_500_000


def page(
    query: dict[str, str], caller: Caller, clock: Callable[[], int]
) -> tuple[list[dict[str, Any]], str | None]:
    """The events that a query asks for, and the cursor of the next page; raises ValidationFailedError."""
    parameters = list_links.checked(query, validation.list_events_issues)
    limit = parameters.pop("limit", list_links.DEFAULT_LIMIT)
    cursor = parameters.pop("cursor", None)
    this_list = parameters | {"list": "events"}
    after = parameters.get("after")
    beyond = None if after is None else _place_of(after, caller)
    if cursor is not None:
        beyond = list_links.opened(cursor, this_list, caller)["place"]
    ends = partial(_ends, caller.owner, parameters.get("type"), limit, beyond, oldest_first=after is not None)
    places, more = ends()
    if after is not None and places:
        wait = _written_at(places[-1]) + SETTLED_MS - clock()
        if wait > 0:
            time.sleep(wait / 1000)
            places, more = ends()
            settled = [place for place in places if _written_at(place) + SETTLED_MS <= clock()]
            if len(settled) < len(places):  # the others ended while this one waited
                places, more = settled, None
    events: list[dict[str, Any]] = []
    size = 0
    for place, link, body in _read(places, caller, clock()):
        size += len(body)
        if events and size > MAX_PAGE_BYTES:
            break
        events.append(listed_event_view(link, body))
        last = place
    else:
        return events, None if more is None else list_links.sealed({"place": more}, this_list, caller)
    return events, list_links.sealed({"place": last}, this_list, caller)


def _place_of(event: str, caller: Caller) -> str:
    link = read_link.known(ids.link_of_event(event))
    if link is None or link.owner != caller.owner or link.end_order is None or not event.startswith("msg_"):
        message = "must be the id of an event of this key's account and mode"
        raise ValidationFailedError([Issue("after", message, "format")])
    return link.end_order


def _written_at(place: str) -> int:
    return int(place.partition(".")[0])


def _read(places: list[str], caller: Caller, now: int) -> Iterator[tuple[str, Link, bytes]]:
    """The events of the links at these places, but for those that are gone."""
    for some in batched(places, BATCH, strict=False):
        link_ids = {place: place.partition(".")[2] for place in some}
        links = store.get_links(list(link_ids.values()))
        for place, link_id in link_ids.items():
            link = links.get(link_id)
            if link is not None and link.event is not None:
                body = sealing.unseal(
                    link.event, account=caller.account, subject=link_id, purpose=sealing.EVENT, now=now
                )
                yield place, link, body


def _ends(
    owner: str, type_: str | None, limit: int, place: str | None, *, oldest_first: bool
) -> tuple[list[str], str | None]:
    """The places beyond one, and the one to go on beyond; None when there are no more."""
    places: list[str] = []
    for _ in range(list_links.MAX_QUERIES):
        found, place = store.ended_links(
            owner,
            status=None if type_ is None else type_.removeprefix("link."),
            beyond=place,
            oldest_first=oldest_first,
            limit=limit - len(places),
        )
        places += found
        if place is None or len(places) == limit:
            break
    return places, place
