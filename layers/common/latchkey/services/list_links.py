"""Listing: pages of an owner's links, and the cursors between them.

A cursor says after which link to go on. It is signed under the API key, together with the filters it
belongs to, so that it can be neither made up nor used for another list.
"""

import base64
import binascii
import hmac
import json
from collections.abc import Callable
from typing import Any

from latchkey.adapters import store
from latchkey.domain import ids, strictjson, validation
from latchkey.domain.errors import Issue, ValidationFailedError
from latchkey.domain.links import Link
from latchkey.domain.views import link_view
from latchkey.services.authenticate import Caller

DEFAULT_LIMIT = 20
MAX_LIMIT = 100  # as schemas/requests.py has it
# Of the index, for one page; each reads up to 1 MB. A page whose filters match little may be short.
MAX_QUERIES = 4
# Of an answer, which Lambda takes to 6 MB: its body's text is a JSON string there, and headers are beside it.
MAX_BYTES = 5_900_000
_MAC_BYTES = 16


def page(query: dict[str, str], caller: Caller, now: int) -> tuple[list[dict[str, Any]], str | None]:
    """The links that a query asks for, as their owner reads them, and the cursor of the next page.

    A page that would be too large for an answer is shorter. Raises ValidationFailedError.
    """
    parameters = checked(query, validation.list_issues)
    limit = parameters.pop("limit", DEFAULT_LIMIT)
    cursor = parameters.pop("cursor", None)
    after = None if cursor is None else opened(cursor, parameters, caller)
    matching: list[tuple[Link, dict[str, Any]]] = []
    for _ in range(MAX_QUERIES):
        found, after = store.list_links(
            caller.owner,
            external_user_id=parameters.get("externalUserId"),
            matching=_condition(parameters, now),
            after=after,
            # The indexes do not know what became of events, and few may be what is asked for.
            limit=MAX_LIMIT if "webhookStatus" in parameters else limit - len(matching),
        )
        seen = [(link, link_view(link, now)) for link in found]
        matching += [(link, view) for link, view in seen if _matches(view, parameters)]
        if after is None or len(matching) >= limit:
            break
    views = [view for _, view in matching[:limit]]
    fitting = _fitting(views)
    if fitting < len(matching):
        after = store.key_in_list(matching[fitting - 1][0], of_user="externalUserId" in parameters)
    return views[:fitting], None if after is None else sealed(after, parameters, caller)


def _matches(view: dict[str, Any], parameters: dict[str, Any]) -> bool:
    """Whether a link as it is now is asked for; the indexes are behind by some milliseconds."""
    status, webhook_status = parameters.get("status"), parameters.get("webhookStatus")
    return (
        status in (None, view["status"])
        and webhook_status in (None, view["webhook"]["status"])
        and parameters.get("externalUserId") in (None, view["externalUserId"])
    )


def _fitting(views: list[dict[str, Any]]) -> int:
    """How many fit into an answer; one always does."""
    size = 0
    for count, view in enumerate(views):
        text = json.dumps(view, ensure_ascii=False)
        size += len(json.dumps(text, ensure_ascii=False).encode())
        if size > MAX_BYTES:
            return count
    return len(views)


def checked(query: dict[str, str], issues_of: Callable[[dict[str, Any]], list[Issue]]) -> dict[str, Any]:
    """A list's parameters, `limit` as a number; raises ValidationFailedError."""
    parameters: dict[str, Any] = dict(query)
    limit = query.get("limit", "")
    if limit.isascii() and limit.isdecimal() and len(limit) < 10:
        parameters["limit"] = int(limit)
    if issues := issues_of(parameters):
        raise ValidationFailedError(issues)
    return parameters


def _condition(parameters: dict[str, Any], now: int) -> tuple[str, dict[str, Any]] | None:
    """The filter, over links as they are at `now` and not as they were last written.

    A link with a clock of its own passes whatever its status, which only `as_of` can tell.
    """
    conditions, values = [], {}
    if "integrationId" in parameters:
        conditions.append("#integrationId = :integration")
        values[":integration"] = parameters["integrationId"]
    timed_out = "#status = :active AND #sessionEndsAt <= :now"
    standing = ""
    match parameters.get("status"):
        case "pending":
            standing = "#status = :pending AND #expiresAt > :now"
            values |= {":pending": "pending", ":now": now}
        case "expired":
            standing = "#status = :expired OR (#status = :pending AND #expiresAt <= :now)"
            values |= {":expired": "expired", ":pending": "pending", ":now": now}
        case "active":
            standing = "#status = :active AND #sessionEndsAt > :now"
            values |= {":active": "active", ":now": now}
        case "failed":
            standing = f"#status = :failed OR ({timed_out})"
            values |= {":failed": "failed", ":active": "active", ":now": now}
        case "complete" | "canceled" as status:
            standing = "#status = :status"
            values[":status"] = status
    if standing:
        conditions.append(f"({standing} OR attribute_exists(#clockOffset))")
    return (" AND ".join(conditions), values) if conditions else None


def _mac(text: bytes, parameters: dict[str, Any], caller: Caller) -> bytes:
    message = text + b"\0" + strictjson.canonical(parameters)
    return ids.keyed_digest(caller.api_key, "cursor", message)[:_MAC_BYTES]


def sealed(after: dict[str, Any], parameters: dict[str, Any], caller: Caller) -> str:
    """The cursor of the page after this place of the list that the parameters describe."""
    text = json.dumps(after).encode()
    return base64.urlsafe_b64encode(_mac(text, parameters, caller) + text).decode().rstrip("=")


def opened(cursor: str, parameters: dict[str, Any], caller: Caller) -> dict[str, Any]:
    """The place that a cursor of the same list names; raises ValidationFailedError."""
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    mac, text = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
    if not hmac.compare_digest(mac, _mac(text, parameters, caller)):
        message = "must be the nextCursor of a page of this same list"
        raise ValidationFailedError([Issue("cursor", message, "format")])
    after: dict[str, Any] = json.loads(text)
    return after
