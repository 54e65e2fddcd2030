"""A request's JSON, read strictly."""

import json
import math
from typing import Any, NoReturn

from latchkey.domain.errors import Issue, ValidationFailedError

MAX_DEPTH = 64


def _refuse(message: str, code: str = "json") -> NoReturn:
    raise ValidationFailedError([Issue("", message, code)])


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        _refuse("must not have two members of the same name in one object")
    return members


def _constant(_: str) -> NoReturn:
    _refuse("must not hold NaN or Infinity: JSON has no such numbers")


def _fraction(text: str) -> float:
    # To JSON Schema 60.0 and 1e3 are integers, to the contract they are not. NaN is neither an
    # integer nor a number to the validator, and no field of the contract takes a fraction.
    value = float(text)
    return math.nan if value.is_integer() else value


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant, parse_float=_fraction)
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _check_depth(value: Any) -> None:
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for node in level
            for child in (node.values() if isinstance(node, dict) else node)
            if isinstance(child, (dict, list))
        ]
        if not level:
            return
    _refuse(f"must not be nested deeper than {MAX_DEPTH} levels")


def read_object(body: bytes) -> dict[str, Any]:
    """The JSON object in the body; raises ValidationFailedError with path "" for anything else."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        _refuse("must be UTF-8")
    if text.startswith("\ufeff"):
        _refuse("must not start with a byte-order mark")
    if not text or text.isspace():
        _refuse("must not be empty: send a JSON object")
    try:
        value = _DECODER.decode(text)
    except RecursionError:
        _refuse(f"must not be nested deeper than {MAX_DEPTH} levels")
    except json.JSONDecodeError as error:  # whose own text may hold a character of the body
        _refuse(f"must be valid JSON; it goes wrong at line {error.lineno}, column {error.colno}")
    except ValueError:  # an integer of more digits than Python converts
        _refuse("must not hold a number of thousands of digits")
    if not isinstance(value, dict):
        _refuse("must be a JSON object", "type")
    _check_depth(value)
    if "\\u" in text:
        try:
            json.dumps(value, ensure_ascii=False).encode("utf-8")
        except UnicodeEncodeError:
            _refuse("must not hold half of a surrogate pair")
    return value


def canonical(value: Any) -> bytes:
    """The same bytes for the same JSON value, whatever its key order and white space were."""
    return _CANONICAL.encode(value).encode()
