"""What callers and operators do comes to the audit log."""

import json
from typing import Any

import pytest

from local import keys
from tests.e2e.api import eventually
from tests.e2e.deployed import Deployed


def test_what_callers_and_operators_do_is_told_in_a_log_of_its_own(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(keys, "STACK_FILE", deployed.stack.file)

    def operate(*arguments: str) -> str:
        monkeypatch.setattr("sys.argv", ["keys", *arguments])
        keys.main()
        return capsys.readouterr().out.strip()

    key = operate("create", "audited", "test")
    api = type(deployed.api)(deployed.url, key)
    link = api.create().json["linkId"]
    assert api.cancel(link).status == 200
    assert api.request("POST", "/v1/webhook-secret/rotate", {}).status == 200
    assert api.request("GET", f"/v1/links/{link}").status == 200
    operate("revoke", key)

    def told() -> list[dict[str, Any]]:
        """The account's lines; Lambda's own are not there on AWS."""
        lines = deployed.lines(deployed.physical["AuditLogGroup"])
        found = [json.loads(line) for line in lines if line.startswith("{")]
        return [line for line in found if line["account"] == "audited"]

    eventually(lambda: len(told()) >= 5)
    lines = sorted(told(), key=lambda line: line["at"])
    assert [(line["action"], line.get("linkId")) for line in lines] == [
        ("key.created", None),
        ("link.created", link),
        ("link.canceled", link),
        ("webhook-secret.rotated", None),
        ("key.revoked", None),
    ]
    assert {line["keyLast4"] for line in lines} == {key[-4:]}
    assert all(("by" in line) == line["action"].startswith("key.") for line in lines)
