"""The documentation as a site, `make docs`: docs/, a reference made of openapi.json, the command's help.

Writes Markdown, which the generator of docs/site.yml makes into HTML. Each route is shown by curl, Python and
the command side by side, of docs/examples.json, which the tests run.
"""

import json
import re
import shutil
from pathlib import Path, PurePosixPath
from typing import Any

from latchkey.domain import sandbox, views
from latchkey_client.cli.commands import app
from local.build import ROOT

HOME = ROOT / ".local/site"
METHODS = ("get", "post", "put", "delete")
VARIABLES = {"linkId": "$LINK", "integrationId": "tmobile"}
FRONT = ("README.md", "SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md")

Json = dict[str, Any]


def pages() -> dict[str, str]:
    """Each page's text by its path in the site."""
    document = json.loads((ROOT / "schemas/openapi.json").read_text())
    examples = json.loads((ROOT / "docs/examples.json").read_text())
    sources = {ROOT / name: name for name in FRONT} | {
        file: file.name for file in sorted((ROOT / "docs").glob("*.md"))
    }
    sources[ROOT / "README.md"] = "index.md"
    made = {place: _relinked(file, sources) for file, place in sources.items()}
    for tag in document["tags"]:
        made[f"reference/{tag['name'].lower().replace(' ', '-')}.md"] = _routes(document, tag, examples)
    made["reference/objects.md"] = _objects(document)
    made["reference/errors.md"] = _errors(document)
    made["reference/outcomes.md"] = _outcomes()
    # The site has a table of contents beside each page.
    described = app.generate_docs(output_format="markdown")
    made["reference/command.md"] = re.sub(
        r"## Table of Contents\n.*?(?=\*\*Commands)", "", described, flags=re.DOTALL
    )
    made["llms.txt"] = _llms(made)
    return made


# --- Pages that are there ----------------------------------------------------------------------------


def _relinked(file: Path, sources: dict[Path, str]) -> str:
    """The page's text, its links to other pages as in the site; of links to code the text stays."""

    def link(found: re.Match[str]) -> str:
        text, target = found.groups()
        path, hash_, fragment = target.partition("#")
        if not path or ":" in path:
            return found[0]
        there = (file.parent / path).resolve()
        if there.suffix == ".png":
            return f"{text}({there.name})"
        if there in sources:
            return f"{text}({sources[there]}{hash_}{fragment})"
        if there == ROOT / "schemas/openapi.json":
            return f"{text}(openapi.json)"
        return text.removeprefix("[").removesuffix("]")

    text = re.sub(r"(\[[^]\n]*\])\(([^)\s]+)\)", link, file.read_text())
    return text.replace('src="docs/', 'src="')


def _llms(made: dict[str, str]) -> str:
    """The index for language models, as llmstxt.org has it."""
    lines = [
        "# Latchkey",
        "",
        "> An account-connection API that runs on your own AWS account.",
        "",
        "## Pages",
        "",
    ]
    for place, text in made.items():
        title = text.removeprefix("#").partition("\n")[0].strip()
        lines.append(f"- [{title}]({place.removesuffix('.md')}.html)")
    lines += ["- [OpenAPI 3.1](openapi.json)", ""]
    return "\n".join(lines)


# --- The reference -----------------------------------------------------------------------------------


def _routes(document: Json, tag: Json, examples: dict[str, Json]) -> str:
    lines = [f"# {tag['name']}", "", tag["description"], ""]
    for path, methods in document["paths"].items():
        for method in METHODS:
            operation = methods.get(method)
            if operation and tag["name"] in operation["tags"]:
                route = f"{method.upper()} {path}"
                lines += _route(document, route, operation, examples[route])
    if tag["name"] == "Webhooks":
        for kind, hook in document["webhooks"].items():
            content = hook["post"]["requestBody"]["content"]["application/json"]
            lines += [
                f"## {kind}",
                "",
                hook["post"]["description"],
                "",
                *_code("json", content["example"]),
                "",
            ]
    return "\n".join(lines)


def _route(document: Json, route: str, operation: Json, example: Json) -> list[str]:
    lines = [f"## {operation['summary']}", "", f"`{route}`", "", operation.get("description", ""), ""]
    shown = {
        "curl": ("bash", curl(document, route, operation, example.get("body"))),
        "Python": ("python", example["python"]),
        "Command": ("bash", example["command"]),
    }
    for title, (language, text) in shown.items():
        lines += [f'=== "{title}"', "", *(f"    {line}" for line in _code(language, text)), ""]
    parameters = [_followed(document, parameter) for parameter in operation.get("parameters", [])]
    if parameters:
        lines += ["| parameter | |", "|---|---|"]
        for parameter in parameters:
            schema = parameter["schema"]
            text = parameter.get("description") or f"{schema.get('title', '')}: {_type(schema)}".removeprefix(
                ": "
            )
            lines.append(f"| `{parameter['name']}` ({parameter['in']}) | {text} |")
        lines.append("")
    if body := operation.get("requestBody"):
        lines += _fields(_followed(document, body["content"]["application/json"]["schema"]))
    lines += ["| answer | |", "|---|---|"]
    for status, answer in operation["responses"].items():
        followed = _followed(document, answer)
        content = followed.get("content", {}).get("application/json", {}).get("schema", {})
        lines.append(f"| {status} | {followed['description']}{': ' + _type(content) if content else ''} |")
    return [*lines, ""]


def curl(document: Json, route: str, operation: Json, body: Json | None) -> str:
    """The route by curl, for a shell that has the address, the key and what the route needs as variables."""
    method, path = route.split(" ")
    for name, value in VARIABLES.items():
        path = path.replace(f"{{{name}}}", value)
    implied = "POST" if body is not None else "GET"
    parts = [f'curl {f"-X {method} " if method != implied else ""}"$LATCHKEY_BASE_URL{path}"']
    security = operation.get("security", document["security"])
    if security:
        token = "$LATCHKEY_API_KEY" if "apiKey" in security[0] else "$TOKEN"
        parts.append(f'-H "Authorization: Bearer {token}"')
    if body is not None:
        # A variable stands between the quoted parts.
        text = re.sub(r"\$[A-Z]+", lambda found: f"'\"{found[0]}\"'", json.dumps(body))
        parts += ["-H 'Content-Type: application/json'", f"-d '{text}'"]
    return " \\\n  ".join(parts)


def _objects(document: Json) -> str:
    lines = ["# Objects", "", "Members and values may be added; none is taken away.", ""]
    for name, schema in sorted(document["components"]["schemas"].items()):
        lines += [f"## {name}", "", schema.get("description", ""), ""]
        if values := schema.get("enum"):
            lines += [", ".join(f"`{value}`" for value in values), ""]
        elif "properties" in schema:
            lines += _fields(schema)
    return "\n".join(lines)


def _fields(schema: Json) -> list[str]:
    if not schema.get("properties"):
        return []
    required = schema.get("required", [])
    lines = ["| member | type | |", "|---|---|---|"]
    for name, described in schema["properties"].items():
        text = str(described.get("description", "")).replace("|", "\\|").replace("\n", " ")
        lines.append(f"| `{name}`{'' if name in required else ' (optional)'} | {_type(described)} | {text} |")
    return [*lines, ""]


def _type(schema: Json) -> str:
    """A schema in a few words."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](objects.md#{name.lower()})"
    if options := schema.get("anyOf") or schema.get("oneOf"):
        return " or ".join(dict.fromkeys(_type(option) for option in options))
    if "const" in schema:
        return f"`{json.dumps(schema['const'])}`"
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    kind = schema.get("type", "any JSON")
    return f"array of {_type(schema['items'])}" if kind == "array" and "items" in schema else str(kind)


def _errors(document: Json) -> str:
    """Every word that a machine may meet, and what it means."""
    responses, schemas = document["components"]["responses"], document["components"]["schemas"]
    lines = ["# Errors", "", "## By status", "", "| status | |", "|---|---|"]
    lines += [f"| {status} | {answer['description']} |" for status, answer in responses.items()]
    for title, name in (
        ("`code` of an answer", "ErrorCode"),
        ("`code` of an issue", "IssueCode"),
        ("`error` of an attempt to deliver an event", "DeliveryErrorCode"),
    ):
        lines += ["", f"## {title}", "", ", ".join(f"`{value}`" for value in schemas[name]["enum"])]
    lines += ["", "## `error.code` of a link", "", "| code | |", "|---|---|"]
    lines += [f"| `{code}` | {views.MESSAGES[code]} |" for code in schemas["LinkErrorCode"]["enum"]]
    lines += ["", "## `error.reason` of a link", "", "| reason | |", "|---|---|"]
    lines += [f"| `{reason}` | {text} |" for reason, text in views.REASONS.items()]
    return "\n".join([*lines, ""])


def _outcomes() -> str:
    lines = [
        "# The sandbox's users",
        "",
        "Links of test keys are played by it: the user name typed at login decides.",
    ]
    lines += ["", f"The password is `{sandbox.PASSWORD}`.", "", "| user name | | error |", "|---|---|---|"]
    for user in sandbox.USERS:
        error = " ".join(filter(None, (user.error_code, user.reason)))
        lines.append(f"| `{user.username}` | {user.description} | {error} |")
    return "\n".join([*lines, ""])


def _followed(document: Json, node: Json) -> Json:
    while "$ref" in node:
        found: Any = document
        for name in node["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        node = found
    return node


def _code(language: str, content: Any) -> list[str]:
    text = content if isinstance(content, str) else json.dumps(content, indent=2, ensure_ascii=False)
    return [f"```{language}", *text.split("\n"), "```"]


def main() -> None:
    shutil.rmtree(HOME, ignore_errors=True)
    for place, text in pages().items():
        file = HOME / "src" / PurePosixPath(place)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    for file in [*(ROOT / "docs").glob("*.png"), ROOT / "docs/site.css", ROOT / "schemas/openapi.json"]:
        shutil.copy(file, HOME / "src")
    shutil.copy(ROOT / "docs/site.yml", HOME / "mkdocs.yml")


if __name__ == "__main__":
    main()
