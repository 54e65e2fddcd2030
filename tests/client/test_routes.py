"""Every route that the service has can be called by a method and by a command, as the reference shows it."""

import json
import re
import shlex
from typing import Any

import pytest

from latchkey_client import Latchkey
from latchkey_client.cli import commands
from tests.client.faults import Answered, Faults, Sent
from tests.template import ROOT

# By method and path: the call, the command line, and the body that both send.
EXAMPLES: dict[str, dict[str, Any]] = json.loads((ROOT / "docs/examples.json").read_text())
NAMES = {"link_id": "l", "claim_code": "c", "client_token": "t", "challenge_id": "h"}
VARIABLES = {"$LINK": "l", "$CODE": "c", "$TOKEN": "t", "$CHALLENGE": "h"}
# What any answer here may be read for.
LISTS = ("links", "events", "deliveries", "secrets", "providers", "resources", "outcomes")
ANSWER: dict[str, Any] = {name: [] for name in LISTS} | {
    "linkId": "l",
    "appClipUrl": "https://a.example",
    "expiresAt": 0,
    "erased": 1,
    "remaining": False,
    "statusCode": 204,
}


def filled(text: str) -> str:
    for variable, value in VARIABLES.items():
        text = text.replace(variable, value)
    return text


def test_no_route_is_left_out() -> None:
    document = json.loads((ROOT / "schemas/openapi.json").read_text())
    served = {
        f"{method.upper()} {path}"
        for path, methods in document["paths"].items()
        for method in methods
        if method != "parameters"
    }
    assert served <= set(EXAMPLES)


@pytest.mark.parametrize("route", EXAMPLES)
def test_a_method_and_a_command_call_it_alike(route: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(_: Sent) -> Answered:
        return 200, {}, json.dumps(ANSWER).encode()

    example = EXAMPLES[route]
    faults = Faults(answer)
    with faults.serving() as url:
        with Latchkey(api_key="lk_test_a", base_url=url) as client:
            eval(example["python"], {"client": client} | NAMES)  # noqa: S307 # it is ours
        monkeypatch.setenv("LATCHKEY_API_KEY", "lk_test_a")
        monkeypatch.setenv("LATCHKEY_BASE_URL", url)
        program, *arguments = shlex.split(filled(example["command"]))
        assert program == "latchkey"
        assert commands.execute(arguments) == 0
    assert len(faults.seen) == 2
    wanted = re.compile(re.sub(r"{\w+}", "[^/]+", route))
    for method, target, headers, body in faults.seen:
        assert wanted.fullmatch(f"{method} {target.partition('?')[0]}")
        assert ("lk_test_a" in headers.get("authorization", "")) == (not target.startswith("/link/"))
        expected = json.loads(filled(json.dumps(example.get("body"))))
        assert (json.loads(body) if body else None) == expected
