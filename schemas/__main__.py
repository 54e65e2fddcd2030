"""`make schemas`: write what functions and clients read of the models."""

import json
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema

from schemas import openapi
from schemas.connector import ConnectorReply, ConnectorRequest
from schemas.requests import BODIES, ListEventsQuery, ListLinksQuery
from schemas.shapes import Generator, json_schemas

HERE = Path(__file__).parent
JUDGED = (*BODIES, ListLinksQuery, ListEventsQuery, ConnectorRequest, ConnectorReply)


class _Judge(Generator):
    """As functions judge by it: one keyword for one fault, and no other names in a dict."""

    def sort(self, value: dict[str, Any], parent_key: str | None = None) -> dict[str, Any]:  # noqa: ARG002
        return value

    def literal_schema(self, schema: core_schema.LiteralSchema) -> dict[str, Any]:
        made: dict[str, Any] = super().literal_schema(schema)
        made.pop("type", None)
        return made

    def dict_schema(self, schema: core_schema.DictSchema) -> dict[str, Any]:
        made: dict[str, Any] = super().dict_schema(schema)
        for pattern, values in made.pop("patternProperties", {}).items():
            made["propertyNames"] = made.get("propertyNames", {}) | {"pattern": pattern}
            made["additionalProperties"] = values
        return made


def file_name(model: type[BaseModel]) -> str:
    return re.sub("(?<!^)(?=[A-Z])", "_", model.__name__).lower() + ".json"


def json_schema(model: type[BaseModel]) -> dict[str, Any]:
    """The JSON Schema of a request or a connector's reply."""
    definitions = json_schemas((model,), "#/$defs", _Judge)
    own: dict[str, Any] = definitions.pop(model.__name__)
    return (
        {"$schema": GenerateJsonSchema.schema_dialect} | own | ({"$defs": definitions} if definitions else {})
    )


def documents(integrations: Collection[str] | None = None) -> dict[str, str]:
    """The text of each file by its name; openapi.json with the schemas of these integrations, or of all."""
    made = {file_name(model): json_schema(model) for model in JUDGED}
    made["openapi.json"] = openapi.document(integrations)
    return {name: json.dumps(content, indent=2, ensure_ascii=False) + "\n" for name, content in made.items()}


if __name__ == "__main__":
    for name, text in documents().items():
        (HERE / name).write_text(text, encoding="utf-8")
