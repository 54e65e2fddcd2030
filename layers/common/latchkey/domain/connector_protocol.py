"""What a session and a connector say to each other, version 1.

schemas/connector_request.json and schemas/connector_reply.json are the protocol; here is what a reply
must keep beyond its schema.
"""

import json
import math
from collections.abc import Iterator
from functools import cache
from itertools import chain
from typing import Any

from latchkey.domain.catalogue import SCHEMAS, read_schema
from latchkey.domain.errors import Issue
from latchkey.domain.validation import Validator, schema_issues, validator

VERSION = 1
MAX_REPLY_BYTES = 1024 * 1024
MAX_STATE_BYTES = 64 * 1024
# What is asked is kept in the link's item, of at most 400 KB: 108 KB are metadata, some 30 KB all else.
MAX_CHALLENGE_BYTES = 64 * 1024
# A result becomes part of the link's event, whose 256 KiB also hold the caller's metadata (ending.py).
MAX_DATA_BYTES = 240 * 1024
MAX_INTEGER = 2**53 - 1  # what every reader of JSON takes for the same number (RFC 8259, 6)

# What may be replied, and with which error codes: to `execute`, and to all that logs in.
_LOGIN = ("challenge", "authenticated", "error"), ("LOGIN_FAILED", "CONNECTION_FAILED")
_OPERATION = ("result", "challenge", "error"), ("CONNECTION_FAILED", "AUTOMATION_ERROR", "OUTCOME_UNKNOWN")

# What an error may say of itself beside its code; `other` goes with each.
OTHER = "other"
REASONS: dict[str, tuple[str, ...]] = {
    "LOGIN_FAILED": (
        "bad_credentials",
        "account_locked",
        "password_expired",
        "terms_not_accepted",
        "mfa_unsupported",
        "captcha",
        "code_expired",
    ),
    "AUTOMATION_ERROR": (
        "card_declined",
        "card_not_supported",
        "duplicate",
        "not_found",
        "limit_reached",
        "page_changed",
        "not_offered",
    ),
    "CONNECTION_FAILED": ("provider_maintenance", "provider_unreachable", "blocked_by_provider"),
}


class UnreadableReplyError(Exception):
    """The reply is no JSON, or too large; the text holds nothing of it."""


def read_reply(payload: bytes) -> Any:
    """The JSON value that a connector replied; raises UnreadableReplyError.

    A number such as 1704067200000.0 is read as the integer that it is, but in the state, which is the
    connector's own.
    """
    if len(payload) > MAX_REPLY_BYTES:
        raise UnreadableReplyError("the reply is too large")
    try:
        reply = json.loads(payload, parse_constant=_number, parse_float=_number)
        json.dumps(reply, ensure_ascii=False).encode()  # which half of a surrogate pair does not survive
        if not isinstance(reply, dict):
            return reply
        state = {"state": reply["state"]} if "state" in reply else {}
        return _with_integers(reply) | state
    except (ValueError, RecursionError):
        raise UnreadableReplyError("the reply is not JSON") from None


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("JSON has no such number")
    return value


def _with_integers(value: Any) -> Any:
    """The value with each number that has no fraction as an integer."""
    match value:
        case dict():
            return {name: _with_integers(member) for name, member in value.items()}
        case list():
            return [_with_integers(member) for member in value]
        case float() if value.is_integer():
            return int(value)
    return value


def data_issues(schema: Validator, data: dict[str, Any], path: str = "") -> list[Issue]:
    """All that is wrong with an operation's result, by its schema and by what a link can hold."""
    issues = schema_issues(schema, data, path)
    if any(abs(number) > MAX_INTEGER for number in _integers(data)):
        issues.append(Issue(path, "must hold no integer of more than 53 bits", "range"))
    if json_size(data) > MAX_DATA_BYTES:
        issues.append(Issue(path, f"must be at most {MAX_DATA_BYTES // 1024} KiB of JSON", "range"))
    return issues


def _integers(value: Any) -> Iterator[int]:
    match value:
        case int():
            yield value
        case dict():
            yield from chain.from_iterable(map(_integers, value.values()))
        case list():
            yield from chain.from_iterable(map(_integers, value))


def reason(error: dict[str, Any]) -> str | None:
    """The reason of an error that was replied; one that does not go with its code counts as `other`."""
    said: str | None = error.get("reason")
    return said if said is None or said in REASONS.get(error["code"], ()) else OTHER


def is_secret(field: dict[str, Any]) -> bool:
    """Whether what is typed into a challenge's field is shown to nobody."""
    return "format" in field or "writeOnly" in field


def reply_issues(reply: Any, action: str) -> list[Issue]:
    """All that is wrong with a connector's reply to an action; no message holds anything of the reply."""
    return schema_issues(_reply_validator(), reply) or list(_beyond_the_schema(reply, action))


@cache
def _reply_validator() -> Validator:
    return validator(read_schema(f"{SCHEMAS}/connector_reply.json"))


def _beyond_the_schema(reply: dict[str, Any], action: str) -> Iterator[Issue]:
    statuses, codes = _OPERATION if action == "execute" else _LOGIN
    if reply["status"] not in statuses:
        yield Issue("status", f"must be one of {', '.join(statuses)} in reply to {action}", "schema")
    elif reply["status"] == "error" and reply["code"] not in codes:
        yield Issue("code", f"must be one of {', '.join(codes)} in reply to {action}", "schema")
    if json_size(reply) > MAX_REPLY_BYTES:
        yield Issue("", f"must be at most {MAX_REPLY_BYTES // 1024} KiB of JSON", "range")
    if json_size(reply.get("state")) > MAX_STATE_BYTES:
        yield Issue("state", f"must be at most {MAX_STATE_BYTES // 1024} KiB of JSON", "range")
    if json_size(reply.get("challenge")) > MAX_CHALLENGE_BYTES:
        yield Issue("challenge", f"must be at most {MAX_CHALLENGE_BYTES // 1024} KiB of JSON", "range")
    if reply["status"] == "challenge":
        yield from _unfillable(reply["challenge"]["schema"], "challenge.schema")
        yield from _unusable(reply["challenge"])


def _unusable(challenge: dict[str, Any]) -> Iterator[Issue]:
    """What no page could show beside the fields."""
    fields = challenge["schema"]["properties"]
    for name in challenge.get("values", ()):
        if name not in fields or is_secret(fields[name]):
            message = "must be of a field that is there and has neither format nor writeOnly"
            yield Issue(f"challenge.values.{name}", message, "schema")
    actions = [action["id"] for action in challenge.get("actions", ())]
    if len(set(actions)) < len(actions):
        yield Issue("challenge.actions", "must be actions of which no two have the same id", "schema")


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
        if "pattern" in field and not _can_be_used(field["pattern"]):
            message = "must be a regular expression that compiles within 10 MB: ask for fewer repetitions"
            yield Issue(f"{at}.pattern", message, "range")
        options = [option["const"] for option in field.get("oneOf", ())]
        if len(set(options)) < len(options):
            yield Issue(f"{at}.oneOf", "must be options of which no two have the same const", "schema")


def _can_be_used(pattern: str) -> bool:
    """Whether answers can be judged by the pattern: asked of the validator that will judge them."""
    try:
        validator({"pattern": pattern})
    except ValueError:
        return False
    return True
