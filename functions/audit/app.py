"""Tells of each action in a log of its own, which is kept for longer; what the functions' log hands over."""

import base64
import gzip
import json
import sys
from typing import Any

TOLD = ("account", "livemode", "keyLast4", "linkId", "erased", "requestId")


def lambda_handler(event: dict[str, Any], _context: Any) -> None:
    """Write a line for each line of the event that tells of an action."""
    batch = json.loads(gzip.decompress(base64.b64decode(event["awslogs"]["data"])))
    for logged in batch["logEvents"]:
        try:
            line = json.loads(logged["message"])
        except ValueError:
            continue  # CloudWatch's own
        if isinstance(line, dict) and "audited" in line:
            known = {name: line[name] for name in TOLD if name in line}
            told = {"at": line["timestamp"], "action": line["audited"]} | known
            sys.stdout.write(json.dumps(told) + "\n")
