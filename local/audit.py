"""The audit log of the local stack or of a deployed one, oldest first: `make audit`."""

import argparse
import json
import re
import time
from collections.abc import Iterator
from typing import Any

from local import keys


def told(logs: Any, group: str, since: int) -> Iterator[dict[str, Any]]:
    """Its lines since a time (ms), in order."""
    pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group, startTime=since)
    texts = [event["message"] for page in pages for event in page["events"]]
    # The emulator puts Lambda's own lines there too.
    lines = [json.loads(text) for text in texts if text.startswith("{")]
    return iter(sorted((line for line in lines if "action" in line), key=lambda line: str(line["at"])))


def milliseconds(text: str) -> int:
    """Of 12h or 7d."""
    if not re.fullmatch(r"[0-9]+[hd]", text):
        raise argparse.ArgumentTypeError("write it like 12h or 7d")
    return int(text[:-1]) * (3_600_000 if text[-1] == "h" else 86_400_000)


def main() -> None:
    parser = argparse.ArgumentParser(prog="audit", description=__doc__)
    parser.add_argument("--stack", help="a deployed stack's name; the local stack if left out")
    parser.add_argument("--since", type=milliseconds, default="1d", help="how far back (1d)")
    arguments = parser.parse_args()
    session, endpoint, stack = keys.reach(arguments.stack)
    group = keys.outputs(session, endpoint, stack)["AuditLogGroupName"]
    since = time.time_ns() // 1_000_000 - arguments.since
    for line in told(session.client("logs", endpoint_url=endpoint), group, since):
        print(json.dumps(line))


if __name__ == "__main__":
    main()
