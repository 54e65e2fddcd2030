"""The catalogue: which integrations there are and what can be done at each, read from schemas/."""

import json
from collections.abc import Mapping
from functools import cache
from glob import glob
from hashlib import sha256
from os.path import dirname
from typing import Any, NamedTuple

SCHEMAS = f"{dirname(dirname(__file__))}/schemas"


class Operation(NamedTuple):
    description: str
    arguments: dict[str, Any] | None
    """JSON Schema of the arguments; None for an operation that takes none."""
    result: dict[str, Any]
    """JSON Schema of the result."""


class Provider(NamedTuple):
    id: str
    name: str
    logo: str | None
    """An SVG element, safe to stand in a page."""
    resources: dict[str, dict[str, Operation]]
    """Resource name, then action, to operation."""


class Document(NamedTuple):
    """An answer's body and its strong entity tag."""

    body: str
    etag: str

    @staticmethod
    def of(body: str) -> "Document":
        """The document with this body."""
        return Document(body, f'"{sha256(body.encode()).hexdigest()[:32]}"')


@cache
def providers() -> Mapping[str, Provider]:
    """All integrations by id, in the order of their ids: one for each file in schemas/providers."""
    found = (_provider(read_schema(path)) for path in sorted(glob(f"{SCHEMAS}/providers/*.json")))
    return {provider.id: provider for provider in found}


@cache
def providers_document() -> Document:
    """What GET /v1/providers answers."""
    return _document({"providers": [_on_the_wire(provider) for provider in providers().values()]})


def provider_document(provider_id: str) -> Document | None:
    """What GET /v1/providers/{integrationId} answers; None for an unknown id."""
    return _provider_document(provider_id) if provider_id in providers() else None


@cache
def api_document() -> Document:
    """What GET /openapi.json answers."""
    return _document(_read(f"{SCHEMAS}/openapi.json"))


@cache
def read_schema(path: str, pointer: str = "") -> Any:
    """Read a JSON document, or the part of it at a JSON pointer, with every `$ref` replaced by its target.

    A reference names a file relative to its own, with an optional pointer; what stands beside it
    (a title, a description) replaces the target's. The answer is shared: it must not be changed.
    """
    part = _read(path)
    for name in pointer.split("/")[1:]:
        part = part[name]
    return _inlined(part, path)


def _inlined(value: Any, path: str) -> Any:
    if isinstance(value, dict):
        members = {
            name: _inlined(item, path) for name, item in value.items() if name not in ("$schema", "$ref")
        }
        if "$ref" in value:
            file, _, pointer = value["$ref"].partition("#")
            return read_schema(f"{dirname(path)}/{file}" if file else path, pointer) | members
        return members
    if isinstance(value, list):
        return [_inlined(item, path) for item in value]
    return value


@cache
def _read(path: str) -> Any:
    with open(path, "rb") as file:
        return json.load(file)


def _provider(content: dict[str, Any]) -> Provider:
    resources = {
        resource["name"]: {
            action: Operation(**operation) for action, operation in resource["operations"].items()
        }
        for resource in content["resources"]
    }
    return Provider(content["id"], content["name"], content.get("logo"), resources)


@cache
def _provider_document(provider_id: str) -> Document:
    return _document(_on_the_wire(providers()[provider_id]))


def _on_the_wire(provider: Provider) -> dict[str, Any]:
    resources = [
        {
            "name": name,
            "operations": {action: operation._asdict() for action, operation in operations.items()},
        }
        for name, operations in provider.resources.items()
    ]
    return {"id": provider.id, "name": provider.name, "resources": resources}


def _document(content: dict[str, Any]) -> Document:
    return Document.of(json.dumps(content, ensure_ascii=False, separators=(",", ":")))
