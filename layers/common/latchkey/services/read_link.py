"""Reading a link: by its owner, or by who has its page."""

import json
from typing import Any

from latchkey.adapters import sealing, store
from latchkey.domain import ids
from latchkey.domain.errors import NotFoundError
from latchkey.domain.links import Link
from latchkey.services.authenticate import Caller


def own(link_id: str, caller: Caller) -> Link:
    """A link of the caller's; raises one NotFoundError for unknown, malformed and somebody else's ids."""
    link = known(link_id)
    if link is None or link.owner != caller.owner:
        raise NotFoundError
    return link


def known(link_id: str) -> Link | None:
    """The link of any owner; None for an id that is unknown or malformed."""
    return store.get_link(link_id) if ids.is_link_id(link_id) else None


def result_of(link: Link, now: int) -> dict[str, Any] | None:
    """The result of a complete link; None of any other."""
    if link.status != "complete" or link.event is None:
        return None
    body = sealing.unseal(
        link.event, account=link.account, subject=link.link_id, purpose=sealing.EVENT, now=now
    )
    result: dict[str, Any] = json.loads(body)["data"]["result"]
    return result
