"""What is wrong with a request: every issue at once, in words that say what is wanted.

A message is made of the schema alone, of its `description`s and property names, and so it never
repeats a value of the request.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from latchkey.domain.catalogue import SCHEMAS, Operation, providers, read_schema
from latchkey.domain.errors import Issue
from latchkey.domain.urls import InvalidUrl, check_origin, check_return_url, parse_webhook_url

if TYPE_CHECKING:
    import jsonschema_rs

MAX_ISSUES = 1000
MAX_HINTS = 20  # unknown fields of one object that get a "did you mean": each costs a comparison

INDEXED = ("AUTOMATION_ERROR", "RESULT_VALIDATION_ERROR", "OUTCOME_UNKNOWN")  # codes that name an operation

_SIZES = ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties")
_BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
_CODES = {"type": "type", **dict.fromkeys(_SIZES + _BOUNDS, "range")}  # by keyword; all others: "schema"
_WEIGHT = {"type": 4, "required": 3, "unknown_field": 2, "range": 1, "schema": 0}
_ANY_ACTION: Mapping[str, Operation | None] = {"read": None, "write": None}


class Rules(NamedTuple):
    """What a deployment and the API key add to the schema of a link."""

    max_expires_in: int  # seconds
    webhook_ports: frozenset[int]
    allow_loopback: bool  # webhooks by http to 127.0.0.1
    livemode: bool
    live_connectors: Collection[str]  # integrations that can be used in live mode


class Validator(NamedTuple):
    schema: dict[str, Any]
    compiled: jsonschema_rs.Draft202012Validator


def validator(schema: dict[str, Any]) -> Validator:
    """Compile a JSON Schema (2020-12) that holds no `$ref`."""
    import jsonschema_rs

    formats = {"card-number": _passes_luhn}
    compiled = jsonschema_rs.Draft202012Validator(schema, formats=formats, validate_formats=True)
    return Validator(schema, compiled)


def create_link_issues(body: dict[str, Any], rules: Rules) -> list[Issue]:
    """All that is wrong with the body of POST /v1/links; an empty list when nothing is."""
    wire = _create_link_validator(rules.max_expires_in)
    issues = [] if _fits(wire, body) else schema_issues(wire, _clipped(body, wire.schema))
    if any(issue.code == "json" for issue in issues):
        return issues
    refused = {issue.path for issue in issues}

    def accepted(path: str, holder: dict[str, Any]) -> Any:
        """The member of `holder` that the path ends in; None when it is absent or already refused."""
        return None if path in refused else holder.get(path.rpartition(".")[2])

    def judge_url(path: str, url: str | None, check: Callable[[str], object]) -> None:
        if url is not None and path not in refused:
            try:
                check(url)
            except InvalidUrl as invalid:
                issues.append(Issue(path, str(invalid), "format"))

    integration_id = accepted("integrationId", body)
    provider = providers().get(integration_id)
    if integration_id is not None:
        if provider is None:
            issues.append(_unknown("integrationId", "unknown_integration", integration_id, providers()))
        elif rules.livemode and integration_id not in rules.live_connectors:
            message = "not available in live mode: LiveConnectors names none for the integration"
            issues.append(Issue("integrationId", message, "unknown_integration"))

    for index, operation in enumerate(accepted("operations", body) or ()):
        at = f"operations.{index}"
        if at in refused:
            continue
        actions: Mapping[str, Operation | None] = _ANY_ACTION
        resource, action = accepted(f"{at}.resource", operation), accepted(f"{at}.action", operation)
        if provider and resource is not None:
            if resource in provider.resources:
                actions = provider.resources[resource]
            else:
                issues.append(_unknown(f"{at}.resource", "unknown_resource", resource, provider.resources))
        if action is not None:
            if action not in actions:
                issues.append(_unknown(f"{at}.action", "unknown_action", action, actions))
            elif provider and (offered := actions[action]) and f"{at}.arguments" not in refused:
                given = operation.get("arguments", {})
                if given or offered.arguments:  # most reads take none and are given none
                    arguments = _arguments_validator(provider.id, resource, action)
                    issues += schema_issues(arguments, given, f"{at}.arguments")

    webhook, back = body.get("webhookUrl"), body.get("returnUrl")
    judge_url(
        "webhookUrl", webhook, lambda u: parse_webhook_url(u, rules.webhook_ports, rules.allow_loopback)
    )
    judge_url("returnUrl", back, lambda u: check_return_url(u, allow_loopback=not rules.livemode))
    origins = accepted("embedOrigins", body) or ()
    for index, origin in enumerate(origins):
        at = f"embedOrigins.{index}"
        if origin in origins[:index] and at not in refused:
            issues.append(Issue(at, "must be given once", "range"))
        else:
            judge_url(at, origin, lambda u: check_origin(u, allow_loopback=not rules.livemode))
    if len(issues) > MAX_ISSUES:
        unlisted = len(issues) - MAX_ISSUES + 1
        issues[MAX_ISSUES - 1 :] = [Issue("", f"has {unlisted} more issues that are not listed", "range")]
    return issues


def idempotency_key_issues(key: str | None, *, least: int) -> list[Issue]:
    """What is wrong with an Idempotency-Key of at least so many characters, if there is one."""
    if key is None or (least <= len(key) <= 255 and key.isascii() and key.isprintable()):
        return []
    return [Issue("Idempotency-Key", f"must be {least} to 255 printable ASCII characters", "format")]


def claim_issues(body: dict[str, Any]) -> list[Issue]:
    """All that is wrong with the body of POST /link/claim or POST /link/status."""
    return schema_issues(_wire_validator("claim_request.json"), body)


def input_issues(body: dict[str, Any]) -> list[Issue]:
    """All that is wrong with the body of POST /link/session/input, whatever the challenge asks."""
    return schema_issues(_wire_validator("session_input_request.json"), body)


def rotate_issues(body: dict[str, Any]) -> list[Issue]:
    """All that is wrong with the body of POST /v1/webhook-secret/rotate."""
    return schema_issues(_wire_validator("rotate_secret_request.json"), body)


def erasure_issues(body: dict[str, Any]) -> list[Issue]:
    """All that is wrong with the body of POST /v1/erasures."""
    return schema_issues(_wire_validator("erasure_request.json"), body)


def advance_issues(body: dict[str, Any]) -> list[Issue]:
    """All that is wrong with the body of POST /v1/test/links/{linkId}/advance."""
    return schema_issues(_wire_validator("advance_request.json"), body)


def simulate_issues(body: dict[str, Any]) -> list[Issue]:
    """All that is wrong with the body of POST /v1/test/links/{linkId}/simulate, whatever the link."""
    issues = schema_issues(_wire_validator("simulate_request.json"), body)
    if issues:
        return issues
    fails = body["outcome"] == "fail"
    if fails and "code" not in body:
        issues.append(Issue("code", "is required", "required"))
    for name in ("data",) if fails else ("code", "reason", "operationIndex"):
        if name in body:
            issues.append(Issue(name, f"must be left out with outcome {body['outcome']}", "schema"))
    if "operationIndex" in body and fails and body.get("code") not in INDEXED:
        message = f"must be left out but with {', '.join(INDEXED)}"
        issues.append(Issue("operationIndex", message, "schema"))
    return issues


def fail_deliveries_issues(body: dict[str, Any]) -> list[Issue]:
    """All that is wrong with the body of POST /v1/test/links/{linkId}/fail-deliveries."""
    return schema_issues(_wire_validator("fail_deliveries_request.json"), body)


def webhook_test_issues(body: dict[str, Any], ports: frozenset[int], *, allow_loopback: bool) -> list[Issue]:
    """All that is wrong with the body of POST /v1/webhook-tests."""
    issues = schema_issues(_wire_validator("webhook_test_request.json"), body)
    if not any(issue.path in ("", "url") for issue in issues):
        try:
            parse_webhook_url(body["url"], ports, allow_loopback)
        except InvalidUrl as invalid:
            issues.append(Issue("url", str(invalid), "format"))
    return issues


def list_issues(parameters: dict[str, Any]) -> list[Issue]:
    """All that is wrong with the parameters of GET /v1/links."""
    return schema_issues(_wire_validator("list_links_query.json"), parameters)


def list_events_issues(parameters: dict[str, Any]) -> list[Issue]:
    """All that is wrong with the parameters of GET /v1/events."""
    return schema_issues(_wire_validator("list_events_query.json"), parameters)


def schema_issues(validator: Validator, value: Any, path: str = "") -> list[Issue]:
    """All that is wrong with a JSON value by its schema, one issue per path, each path beginning with `path`.

    A value that fails in several ways is told of its type, else its size, else its form. Of a container
    with too many members only that is told. Never raises, and no message holds anything of the value.
    """
    try:
        errors = list(validator.compiled.iter_errors(value))
    except ValueError:
        return [Issue(path, "must be Unicode text nested at most 64 levels deep", "json")]
    found: dict[tuple[str | int, ...], tuple[str, str]] = {}
    crowded = set()
    for error in errors:
        if error.kind.name in ("maxItems", "maxProperties"):
            crowded.add(tuple(error.instance_path))
        for location, message, code in _translated(error, value, validator.schema):
            if location not in found or _WEIGHT[code] > _WEIGHT[found[location][1]]:
                found[location] = message, code
    prefix = (path,) if path else ()
    return [
        Issue(".".join(map(str, prefix + location)), message, code)
        for location, (message, code) in found.items()
        if not any(location[:depth] in crowded for depth in range(len(location)))
    ]


def _fits(validator: Validator, value: Any) -> bool:
    try:
        return validator.compiled.is_valid(value)
    except ValueError:
        return False


def _translated(
    error: jsonschema_rs.ValidationError, value: Any, schema: dict[str, Any]
) -> Iterator[tuple[tuple[str | int, ...], str, str]]:
    """Location, message and code of what one error of the validator says; its own text holds values."""
    from jsonschema_rs import ValidationErrorKind as Kind

    location = tuple(error.instance_path)
    failed: Any = schema
    for step in error.schema_path[:-1]:
        failed = failed[step]
    match error.kind:
        case Kind.Required(missing):
            yield (*location, missing), "is required", "required"
        case Kind.AdditionalProperties(unexpected):
            known = failed.get("properties", {})
            for count, name in enumerate(unexpected):
                hint = _hint(name, known) if count < MAX_HINTS else ""
                yield (*location, name), f"is not a known field{hint}", "unknown_field"
        case kind:
            if isinstance(kind, Kind.PropertyNames):
                location, kind = (*location, str(kind.error.instance)), kind.error.kind
            wanted = failed.get("description", "a value that fits the schema")
            # `error.instance` is None for NaN too, which stands for a fraction: see strictjson.
            null = error.instance is None and _at(location, value) is None
            if null and _is_optional(error.schema_path, schema):
                wanted += "; leave it out instead of null"
            yield location, f"must be {wanted}", _CODES.get(kind.name, "schema")


def _at(location: Iterable[str | int], value: Any) -> Any:
    for step in location:
        # To the validator a member's name of digits is a number, 01 as 1: what is not found again is None.
        if isinstance(value, dict):
            value = value.get(str(step))
        else:
            value = value[int(step)] if isinstance(value, list) else None
    return value


def _is_optional(path: Sequence[str | int], schema: dict[str, Any]) -> bool:
    """Whether what failed the keyword at the end of the path is a member that need not be there."""
    holder: Any = schema
    for step in path[:-3]:
        holder = holder[step]
    match path[-3:-1]:
        case ["properties", name]:
            return name not in holder.get("required", ())
        case [*_, applicator]:
            return applicator == "additionalProperties"
    return False


def _unknown(path: str, code: str, value: str, choices: Iterable[str]) -> Issue:
    quoted = [f'"{choice}"' for choice in choices]
    listed = f"one of {', '.join(quoted)}" if len(quoted) > 2 else " or ".join(quoted)
    return Issue(path, f"must be {listed}{_hint(value, choices)}", code)


def _hint(word: str, choices: Iterable[str]) -> str:
    """The nearest choice at most two edits away, case ignored; a transposition is two edits."""
    close = [
        (edits, choice)
        for choice in choices
        if abs(len(choice) - len(word)) <= 2 and (edits := _edits(word.lower(), choice.lower())) <= 2
    ]
    return f'; did you mean "{min(close)[1]}"?' if close else ""


def _edits(a: str, b: str) -> int:
    """How many insertions, deletions and substitutions turn one word into the other (Levenshtein)."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        above, row = row, [i]
        for j, y in enumerate(b, 1):
            row.append(min(above[j] + 1, row[-1] + 1, above[j - 1] + (x != y)))
    return row[-1]


def _passes_luhn(number: str) -> bool:
    if not (number.isascii() and number.isdigit()):
        return False
    digits = [int(digit) for digit in reversed(number)]
    return (sum(digits[::2]) + sum(sum(divmod(2 * digit, 10)) for digit in digits[1::2])) % 10 == 0


def _clipped(body: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """The body with its over-long members cut to one more than allowed, to bound what a refusal costs."""
    return {name: _cut(value, schema["properties"].get(name, {})) for name, value in body.items()}


def _cut(value: Any, schema: dict[str, Any]) -> Any:
    if isinstance(value, list) and "maxItems" in schema:
        return value[: schema["maxItems"] + 1]
    if isinstance(value, dict) and "maxProperties" in schema:
        return dict(islice(value.items(), schema["maxProperties"] + 1))
    return value


@cache
def _create_link_validator(max_expires_in: int) -> Validator:
    schema = read_schema(f"{SCHEMAS}/create_link_request.json")
    expires_in = schema["properties"]["expiresIn"] | {
        "description": f"an integer from 1 to {max_expires_in} (seconds)",
        "maximum": max_expires_in,
    }
    return validator(schema | {"properties": schema["properties"] | {"expiresIn": expires_in}})


@cache
def _wire_validator(name: str) -> Validator:
    return validator(read_schema(f"{SCHEMAS}/{name}"))


@cache
def result_validator(integration_id: str, resource: str, action: str) -> Validator:
    """The validator of an operation's result."""
    return validator(providers()[integration_id].resources[resource][action].result)


@cache
def _arguments_validator(integration_id: str, resource: str, action: str) -> Validator:
    takes_none = {"type": "object", "properties": {}, "additionalProperties": False}
    return validator(providers()[integration_id].resources[resource][action].arguments or takes_none)
