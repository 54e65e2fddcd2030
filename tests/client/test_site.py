"""The site of the documentation: every route is shown, curl asks what the client asks, no link is dead."""

import json
import os
import posixpath
import re
import subprocess
from itertools import chain

import pytest

from latchkey.domain import connector_protocol
from local import site
from tests.client.faults import Faults
from tests.client.test_routes import EXAMPLES, VARIABLES, filled
from tests.template import ROOT

DOCUMENT = json.loads((ROOT / "schemas/openapi.json").read_text())
SERVED = {
    f"{method.upper()} {path}": operation
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
}
PAGES = site.pages()


@pytest.mark.parametrize("route", SERVED)
def test_curl_asks_what_the_client_asks(route: str) -> None:
    example = EXAMPLES[route]
    text = site.curl(DOCUMENT, route, SERVED[route], example.get("body"))
    faults = Faults(lambda _: (200, {}, b"{}"))
    with faults.serving() as url:
        variables = {name.removeprefix("$"): value for name, value in VARIABLES.items()}
        variables |= {"LATCHKEY_BASE_URL": url, "LATCHKEY_API_KEY": "lk_test_a", "PATH": os.environ["PATH"]}
        subprocess.run(["bash", "-euc", text], env=variables, check=True, capture_output=True)
    ((method, target, headers, body),) = faults.seen
    assert re.fullmatch(re.sub(r"{\w+}", "[^/]+", route), f"{method} {target}")
    assert (json.loads(body) if body else None) == json.loads(filled(json.dumps(example.get("body"))))
    wanted = "" if not SERVED[route].get("security", True) else "t" if "/link/" in route else "lk_test_a"
    assert headers.get("authorization", "").removeprefix("Bearer ") == wanted
    assert any(text.splitlines()[0] in page for page in PAGES.values())


def test_no_link_is_dead() -> None:
    there = set(PAGES) | {"openapi.json"} | {file.name for file in (ROOT / "docs").glob("*.png")}
    for place, text in PAGES.items():
        for target in re.findall(r"\]\(([^)\s]+)\)|src=\"([^\"]+)\"", text):
            path = "".join(target).partition("#")[0]
            if path and ":" not in path:
                path = posixpath.normpath(posixpath.join(posixpath.dirname(place), path))
                assert re.sub(r"html$", "md", path) in there, f"{place}: {path}"


def test_every_page_stands_in_the_navigation_and_in_the_index_for_models() -> None:
    navigation = (ROOT / "docs/site.yml").read_text()
    for place in PAGES:
        if place != "llms.txt":
            assert f": {place}\n" in navigation
            assert f"({place.removesuffix('.md')}.html)" in PAGES["llms.txt"]


def test_every_object_and_every_code_is_explained() -> None:
    for name, schema in DOCUMENT["components"]["schemas"].items():
        assert f"## {name}\n" in PAGES["reference/objects.md"]
        if name.endswith("ErrorCode"):
            for value in schema["enum"]:
                assert f"`{value}`" in PAGES["reference/errors.md"]
    for reason in chain(*connector_protocol.REASONS.values()):
        assert f"| `{reason}` |" in PAGES["reference/errors.md"]
