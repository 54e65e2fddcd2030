"""What a session and a connector say to each other, version 1.

schemas/connector_request.json and schemas/connector_reply.json are the protocol; here is what a reply
must keep beyond its schema.
"""

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

from latchkey.catalogue import SCHEMAS, read_schema
from latchkey.errors import Issue
from latchkey.validation import Validator, schema_issues, validator

VERSION = 1
MAX_REPLY_BYTES = 1024 * 1024
MAX_STATE_BYTES = 64 * 1024
MAX_CALL_SECONDS = 60  # a session gives up waiting for a reply after this

# What each action may be replied, and with which error codes.
_STATUSES = {
    "start": ("challenge", "authenticated", "error"),
    "answer": ("challenge", "authenticated", "error"),
    "execute": ("result", "error"),
}
_CODES = {
    "start": ("LOGIN_FAILED", "CONNECTION_FAILED"),
    "answer": ("LOGIN_FAILED", "CONNECTION_FAILED"),
    "execute": ("CONNECTION_FAILED", "AUTOMATION_ERROR", "OUTCOME_UNKNOWN"),
}


def reply_issues(reply: Any, action: str) -> list[Issue]:
    """All that is wrong with a connector's reply to an action; no message holds anything of the reply."""
    return schema_issues(_reply_validator(), reply) or list(_beyond_the_schema(reply, action))


@cache
def _reply_validator() -> Validator:
    return validator(read_schema(f"{SCHEMAS}/connector_reply.json"))


def _beyond_the_schema(reply: dict[str, Any], action: str) -> Iterator[Issue]:
    statuses, codes = _STATUSES[action], _CODES[action]
    if reply["status"] not in statuses:
        yield Issue("status", f"must be one of {', '.join(statuses)} in reply to {action}", "schema")
    elif reply["status"] == "error" and reply["code"] not in codes:
        yield Issue("code", f"must be one of {', '.join(codes)} in reply to {action}", "schema")
    if json_size(reply) > MAX_REPLY_BYTES:
        yield Issue("", f"must be at most {MAX_REPLY_BYTES // 1024} KiB of JSON", "range")
    if json_size(reply.get("state")) > MAX_STATE_BYTES:
        yield Issue("state", f"must be at most {MAX_STATE_BYTES // 1024} KiB of JSON", "range")
    if reply["status"] == "challenge":
        yield from _unfillable(reply["challenge"]["schema"], "challenge.schema")


def json_size(value: Any) -> int:
    """Bytes of the value as compact JSON in UTF-8."""
    return len(json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode())


def _unfillable(form: dict[str, Any], path: str) -> Iterator[Issue]:
    """What no user could ever fill in right."""
    fields = form["properties"]
    if not set(form.get("required", ())) <= fields.keys():
        yield Issue(f"{path}.required", "must be an array of names of the fields", "schema")
    for name, field in fields.items():
        at = f"{path}.properties.{name}"
        if field.get("minLength", 0) > field.get("maxLength", 1000):
            yield Issue(f"{at}.minLength", "must be at most maxLength", "range")
        options = [option["const"] for option in field.get("oneOf", ())]
        if len(set(options)) < len(options):
            yield Issue(f"{at}.oneOf", "must be options of which no two have the same const", "schema")
