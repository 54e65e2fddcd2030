"""Python's jsonschema as a judge beside the validator that functions use, and values for both to judge."""

import json
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import jsonschema_rs
import referencing
from hypothesis import strategies as st
from pydantic import BaseModel
from referencing.jsonschema import DRAFT202012

from latchkey.domain.catalogue import SCHEMAS

type Json = dict[str, Any]


def _retrieve(uri: str) -> referencing.Resource[Any]:
    contents = json.loads(Path(uri.removeprefix("file://")).read_bytes())
    del contents["$schema"]  # it would bring the library's own reading of `pattern` back
    return DRAFT202012.create_resource(contents)


_FILES: Any = referencing.Registry(retrieve=_retrieve)  # type: ignore[call-arg] # attrs alias, unknown to mypy


def _passes_luhn(number: str) -> bool:
    doubled = [2 * int(digit) if place % 2 else int(digit) for place, digit in enumerate(reversed(number))]
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0


def _matches(_: Any, pattern: str, value: Any, __: Any) -> Any:
    """The keyword `pattern` as ECMA-262 means it: `$` is the end, not the newline before it; \\d are ten."""
    if isinstance(value, str) and not re.search(pattern.replace("$", r"\Z"), value, re.ASCII):
        yield jsonschema.ValidationError("pattern")


_CLASS: Any = jsonschema.validators.extend(  # type: ignore[no-untyped-call] # its stub is partial
    jsonschema.Draft202012Validator, {"pattern": _matches}
)


def judge(schema: Json) -> Callable[[Any], bool]:
    """Whether a value fits, with the formats that functions know."""
    formats = jsonschema.FormatChecker(formats=["date", "regex"])
    formats.checks("card-number")(
        lambda value: not re.fullmatch("[0-9]+", str(value)) or _passes_luhn(str(value))
    )
    made = _CLASS(schema, registry=_FILES, format_checker=formats)
    return lambda value: bool(made.is_valid(value))


def judge_of_file(name: str, pointer: str = "") -> Callable[[Any], bool]:
    """The judge by a file of schemas/ as it is written, `$ref`s included."""
    return judge({"$ref": f"{Path(SCHEMAS).resolve().as_uri()}/{name}#{pointer}"})


@cache
def judges_of(model: type[BaseModel]) -> tuple[Callable[[Any], bool], Callable[[Any], bool]]:
    """The independent judge and the functions' validator, by a model's own strict schema."""
    schema = model.model_json_schema()
    return judge(schema), jsonschema_rs.Draft202012Validator(schema).is_valid


def hold(model: type[BaseModel], text: str | bytes) -> None:
    """Fail unless the model and both judges of its schema accept the JSON."""
    model.model_validate_json(text)
    assert [fits(json.loads(text)) for fits in judges_of(model)] == [True, True]


# --- Values ----------------------------------------------------------------------------------------

_NAMES = st.sampled_from(["x", "code", "status", "state", "data", "oneOf", "1", ""]) | st.text(max_size=3)
ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-1, 101)
    | st.sampled_from([10**400, 2.0, 0.5])
    | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=3),
    max_leaves=4,
)
_ASCII = st.characters(codec="ascii")
_FORMATS = {
    "date": ["2026-02-28", "2026-02-29", "2026-2-01", "20260228"],
    "date-time": ["2026-11-26T14:00:00.000Z"],
    "card-number": ["4242424242424242", "4242424242424241"],
    "regex": ["^[0-9]{6}$", "(", "a{2,1}"],
}


@st.composite
def values(draw: st.DrawFn, schema: Json) -> Any:
    """A value that fits the schema, or one with a fault here and there."""
    faulty = draw(st.booleans())

    def fault(one_in: int) -> bool:
        return faulty and draw(st.integers(1, one_in)) == one_in

    def make(part: Any) -> Any:
        if part is True or fault(40):
            return draw(ANYTHING)
        match part:
            case {"$ref": str(target)}:
                found: Any = schema
                for step in target.removeprefix("#/").split("/"):
                    found = found[step]
                return make(found)
            case {"const": value}:
                return value
            case {"enum": choices}:
                return draw(st.sampled_from(choices))
            case {"anyOf": choices} | {"oneOf": choices}:
                return make(draw(st.sampled_from(choices)))
            case {"allOf": conditions}:
                return make(draw(st.sampled_from(conditions))["then"])
            case {"type": "object"}:
                return members(part)
            case {"type": "array"}:
                most = min(part.get("maxItems", 3), 3)
                return [make(part["items"]) for _ in range(draw(st.integers(part.get("minItems", 0), most)))]
            case {"type": "string"}:
                return text(part)
            case {"type": "integer"}:
                edges = [part[edge] for edge in ("minimum", "maximum") if edge in part]
                return draw(st.sampled_from([*near(edges, 5), 5.0 if faulty else 5]))
            case {"type": "boolean"}:
                return draw(st.booleans())
            case {"type": "null"}:
                return None
            case {"then": one, "else": other}:
                return make(draw(st.sampled_from([one, other])))
        return draw(ANYTHING)

    def near(edges: list[int], otherwise: int) -> list[int]:
        """The edges, and with a fault what lies beside them."""
        steps = (-1, 0, 1) if faulty else (0,)
        return [max(edge + step, -1) for edge in edges for step in steps] or [otherwise]

    def members(part: Json) -> Json:
        made = {
            name: make(member)
            for name, member in part.get("properties", {}).items()
            if not (fault(30) if name in part.get("required", ()) else draw(st.booleans()))
        }
        if fault(20) and part.get("properties"):
            made[draw(_NAMES)] = draw(ANYTHING)
        if others := part.get("additionalProperties"):
            names = part.get("propertyNames")
            for _ in range(draw(st.integers(part.get("minProperties", 0), 2))):
                made[str(make({"type": "string"} | names) if names else draw(_NAMES))] = make(others)
        return made

    def text(part: Json) -> str:
        if "format" in part and not fault(4):
            known = _FORMATS.get(part["format"], ["https://a.example"])
            return draw(st.sampled_from(known if faulty else known[:1]))
        if "pattern" in part:
            found = draw(st.from_regex(part["pattern"], alphabet=None if faulty else _ASCII))
            return found if faulty else found.rstrip("\n")
        sizes = near([part[edge] for edge in ("minLength", "maxLength") if edge in part], 3)
        return draw(st.sampled_from(["x" * size for size in sizes]))

    return make(schema)
