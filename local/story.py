"""What became of one link, from the store and from the log, in the order of time: `make link`.

Neither holds anything secret; what the caller said of its user is left out too.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from latchkey.adapters import store
from latchkey.domain import ids
from latchkey.domain.links import Link
from latchkey.domain.views import deliveries_view, link_view
from local import keys

SHOWN = ("integrationId", "status", "livemode", "debug", "operations", "error", "webhook", "expiresAt")
# Of a log line: what is known anyway, and what makes metrics of it.
UNTOLD = {
    "level",
    "message",
    "timestamp",
    "service",
    "linkId",
    "livemode",
    "account",
    "_aws",
    "xray_trace_id",
}

type Moment = tuple[int, str, str, dict[str, Any]]  # milliseconds, source, what, more of it


def of_store(link: Link, now: int) -> Iterator[Moment]:
    view = link_view(link, now)
    yield link.created_at, "store", "link.created", {}
    if link.session is not None:
        yield link.session.claimed_at, "store", "link.claimed", {"sessionId": view["sessionId"]}
    for step in link.timeline:
        yield step["at"], "store", step["event"], without(step, "at", "event")
    if view["completedAt"] is not None:
        yield view["completedAt"], "store", f"link.{view['status']}", {}
    for delivery in deliveries_view(link):
        yield delivery["at"], "store", "delivery", without(delivery, "at")
    if link.erased_at is not None:
        yield link.erased_at, "store", "link.erased", {}


def of_log(events: Iterable[dict[str, Any]], link_id: str) -> Iterator[Moment]:
    """The link's lines; events are CloudWatch's."""
    for event in events:
        try:
            line = json.loads(event["message"])
        except ValueError:
            continue  # Lambda's own
        if isinstance(line, dict) and line.get("linkId") == link_id:
            what = line["message"] if line["level"] == "INFO" else f"{line['level']} {line['message']}"
            if what == "step":
                yield line["at"], "log", line["event"], without(line, *UNTOLD, "at", "event")
            else:
                yield event["timestamp"], "log", what, without(line, *UNTOLD)


def without(row: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in names and value is not None}


def story(link: Link | None, moments: Iterable[Moment], now: int) -> Iterator[str]:
    """Its lines of text."""
    if link is None:
        yield "The store has no such link: its record is kept for RetentionDays after it has expired"
    else:
        view = link_view(link, now) | {"expiresAt": at(link.expires_at)}
        yield f"{link.link_id}, account {link.account}"
        yield from (f"  {name}: {json.dumps(view[name])}" for name in SHOWN)
    for milliseconds, source, what, more in sorted(moments, key=lambda moment: moment[0]):
        told = "  ".join(f"{name}={value}" for name, value in more.items())
        yield f"{at(milliseconds)}  {source:5}  {what}  {told}".rstrip()


def at(milliseconds: int) -> str:
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def main() -> None:
    parser = argparse.ArgumentParser(prog="story", description=__doc__)
    parser.add_argument("link_id")
    parser.add_argument("--stack", help="a deployed stack's name; the local stack if left out")
    arguments = parser.parse_args()
    link_id, now = arguments.link_id, time.time_ns() // 1_000_000
    if not ids.is_link_id(link_id):
        sys.exit("That is no link's id: one is link_ and 22 more characters")
    session, endpoint, stack = keys.reach(arguments.stack)
    outputs = keys.outputs(session, endpoint, stack)
    table = session.client("dynamodb", endpoint_url=endpoint)
    key = {"pk": {"S": link_id}, "sk": {"S": store.LINK_ROW}}
    item = table.get_item(TableName=outputs["LinksTableName"], Key=key).get("Item")
    link = None if item is None else store._link(item)
    lines = session.client("logs", endpoint_url=endpoint).get_paginator("filter_log_events")
    pages = lines.paginate(
        logGroupName=outputs["LogGroupName"],
        filterPattern=f'{{ $.linkId = "{link_id}" }}',
        startTime=0 if link is None else link.created_at - 1000,
    )
    moments = list(of_log((event for page in pages for event in page["events"]), link_id))
    if link is not None:
        moments += of_store(link, now)
    print("\n".join(story(link, moments, now)))


if __name__ == "__main__":
    main()
