"""What docs/client.md and docs/cli.md say works."""

import json
import re
import time
from typing import Any

import pytest

from latchkey.domain import signing
from latchkey_client.cli import commands
from tests.client.conftest import Served
from tests.template import ROOT

CLIENT_PAGE = (ROOT / "docs/client.md").read_text()
CLI_PAGE = (ROOT / "docs/cli.md").read_text()
FIRST, RECEIVER = re.findall(r"```python\n(.*?)```", CLIENT_PAGE, re.DOTALL)


def run(code: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102 # it is ours
    return names


def test_the_first_program_works(
    served: Served, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LATCHKEY_API_KEY", served.key)
    monkeypatch.setenv("LATCHKEY_BASE_URL", served.url)
    names = run(FIRST)
    names["client"].close()
    printed = capsys.readouterr().out
    assert names["link"].app_clip_url in printed
    assert "canceled None None" in printed
    assert "validation_failed" in printed


def test_the_receiver_takes_what_is_signed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = signing.new_secret()
    monkeypatch.setenv("LATCHKEY_WEBHOOK_SECRET", secret)
    handler = run(RECEIVER)["lambda_handler"]
    body = json.dumps({"type": "link.failed", "data": {"linkId": "link_1"}})
    headers = signing.headers("msg_1", int(time.time()), body.encode(), [secret])
    assert handler({"headers": headers, "body": body}, None) == {"statusCode": 204}
    assert capsys.readouterr().out == "msg_1 link.failed link_1\n"
    assert handler({"headers": headers, "body": body + " "}, None) == {"statusCode": 400}


def test_the_pages_name_every_method_and_every_command(served: Served) -> None:
    from latchkey_client import Latchkey

    with Latchkey(api_key=served.key, base_url=served.url) as client:
        resources = {name: value for name, value in vars(client).items() if not name.startswith("_")}
    del resources["webhooks"]
    for name, resource in resources.items():
        (row,) = [line for line in CLIENT_PAGE.splitlines() if line.startswith("| `") and f"`{name}`" in line]
        for method in vars(type(resource)):
            assert method.startswith("_") or f"`{method}`" in row, f"{name}.{method}"
    rows = [line for line in CLI_PAGE.splitlines() if line.startswith("| `")]
    for app in (commands.app, commands.links, commands.secret, commands.session):
        for command in app:
            if not command.startswith("-"):
                assert any(re.search(rf"[` ]{command}\b", row) for row in rows), command
    assert (
        commands.EXIT_CODES.partition("Exit codes: ")[2].split()
        == CLI_PAGE.partition("Exit codes: ")[2].split()
    )
