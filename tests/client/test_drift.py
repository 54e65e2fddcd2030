"""The client is held to openapi.json, its sync half to its async one, and its import to what it needs."""

import importlib.util
import inspect
import json
import subprocess
import sys
import typing
from typing import Any

import pytest

from latchkey_client import models
from latchkey_client.models import Model, wire_name
from tests.template import ROOT

DOCUMENT = json.loads((ROOT / "schemas/openapi.json").read_text())
SCHEMAS = DOCUMENT["components"]["schemas"]
CLASSES = {name: c for name, c in inspect.getmembers(models, inspect.isclass) if issubclass(c, Model)}
# Answers that the client hands out in another shape: pages, and errors.
OTHERWISE = {"LinkList", "EventList", "ApiError", "AnyError", "GatewayError", "Issue"}


def answered() -> set[str]:
    """The object schemas that answers are made of."""
    found: set[str] = set()

    def follow(node: Any) -> None:
        if isinstance(node, list):
            for item in node:
                follow(item)
        elif isinstance(node, dict):
            name = str(node.get("$ref", "")).rpartition("/")[2]
            if name in SCHEMAS and name not in found:
                found.add(name)
                follow(SCHEMAS[name])
            for item in node.values():
                follow(item)

    for path in DOCUMENT["paths"].values():
        for operation in path.values():
            follow(operation["responses"])
    follow(SCHEMAS["Event"])
    # A result of the catalogue is handed out as the JSON that it is.
    objects = {name for name in found if "properties" in SCHEMAS[name]}
    return objects - OTHERWISE - {name for name in objects if name.endswith("Result")}


def test_every_object_that_is_answered_has_its_model() -> None:
    assert answered() <= set(CLASSES)


def _resolved(schema: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in schema:
        return _resolved(SCHEMAS[schema["$ref"].rpartition("/")[2]])
    return schema


def _fits(schema: dict[str, Any], annotation: Any) -> bool:
    """Whether the annotation takes what the schema allows."""
    if "$ref" in schema and (name := schema["$ref"].rpartition("/")[2]) in CLASSES:
        return annotation is CLASSES[name]
    schema = _resolved(schema)
    arguments = typing.get_args(annotation)
    if "anyOf" in schema:
        options = [o for o in schema["anyOf"] if o.get("type") != "null"]
        if len(options) < len(schema["anyOf"]):
            if type(None) not in arguments:
                return False
            # Null may be told twice: by a member that may be absent, of a type that takes it.
            annotation = typing.Union[tuple(a for a in arguments if a is not type(None))]  # noqa: UP007
            options = [
                o for option in options for o in option.get("anyOf", [option]) if o.get("type") != "null"
            ]
        return all(_fits(option, annotation) for option in options)
    if "enum" in schema or "const" in schema:
        literals = {v for a in arguments for v in typing.get_args(a)}
        return str in arguments and set(schema.get("enum", [schema.get("const")])) <= literals
    match schema.get("type"):
        case "array":
            return typing.get_origin(annotation) is list and _fits(schema["items"], arguments[0])
        case "object":
            return typing.get_origin(annotation) is dict
        case "string":
            return annotation is str or str in arguments
        case "integer":
            return annotation is int
        case "boolean":
            return annotation is bool
    return True


@pytest.mark.parametrize("name", sorted(answered()))
def test_a_model_has_every_member_with_its_type(name: str) -> None:
    model, schema = CLASSES[name], SCHEMAS[name]
    hints = {wire_name(k): v for k, v in typing.get_type_hints(model).items() if not k.startswith("_")}
    required = set(schema.get("required", []))
    for member, described in schema["properties"].items():
        assert member in hints, f"{name} lacks {member}"
        hint = hints[member]
        if member not in required:
            assert type(None) in typing.get_args(hint), f"{name}.{member} may be absent"
            described = {"anyOf": [described, {"type": "null"}]}
        assert _fits(described, hint), f"{name}.{member}: {hint} does not take {described}"


def test_what_repr_shows_is_there() -> None:
    for model in CLASSES.values():
        hints = typing.get_type_hints(model)
        missing = {name for name in model._shown if name not in hints}
        assert missing <= {"status", "operation_index"}, model  # of the classes that grow by them


def test_the_sync_client_is_made_of_the_async_one() -> None:
    source = ROOT / "clients/python"
    spec = importlib.util.spec_from_file_location("unasync", source / "unasync.py")
    assert spec is not None
    assert spec.loader is not None
    unasync = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(unasync)
    made = unasync.sync((source / "latchkey_client/_async.py").read_text())
    assert made == (source / "latchkey_client/_sync.py").read_text(), "run make schemas"
    assert "sync def" not in made
    assert "await" not in made


def test_webhooks_are_verified_without_an_http_library_and_nothing_brings_the_server() -> None:
    program = "import sys, latchkey_client{}; print(*sys.modules)"
    loaded = {}
    for then in ("", "; latchkey_client.Latchkey"):
        run = [sys.executable, "-c", program.format(then)]
        text = subprocess.run(
            run, capture_output=True, check=True, text=True, cwd=ROOT / "clients/python"
        ).stdout
        loaded[then] = set(text.split())
    assert not {"httpx2", "asyncio", "pydantic"} & loaded[""]
    assert "httpx2" in loaded["; latchkey_client.Latchkey"]
    assert not {"latchkey", "pydantic", "rich", "cyclopts"} & loaded["; latchkey_client.Latchkey"]
