"""Who made, canceled, erased, rotated and revoked what stands in a log of its own, and nothing secret."""

import base64
import gzip
import json
import logging
import time
from collections.abc import Iterator
from typing import Any
from unittest.mock import Mock

import boto3
import pytest

from functions.audit import app
from latchkey import http
from latchkey.adapters import telemetry
from local import accounts, keys
from tests.integration.conftest import SAMPLE_KEY, Output, Stack, founding, sample_event
from tests.integration.test_canaries import assert_clean
from tests.template import resources, routes

((AUDIT, LINES),) = [
    (name, event["Properties"])
    for name, function in resources("AWS::Serverless::Function").items()
    for event in function.get("Events", {}).values()
    if event["Type"] == "CloudWatchLogs"
]


def handed_over(text: str) -> dict[str, Any]:
    """What CloudWatch calls the function with, of what the functions have printed."""
    events = [
        {"id": str(number), "timestamp": 1_704_067_200_000, "message": line}
        for number, line in enumerate(text.splitlines(keepends=True))
        if LINES["FilterPattern"].strip('"') in line
    ]
    batch = {"messageType": "DATA_MESSAGE", "logGroup": "/aws/lambda/latchkey", "logEvents": events}
    return {"awslogs": {"data": base64.b64encode(gzip.compress(json.dumps(batch).encode())).decode()}}


@pytest.fixture(params=["INFO", "ERROR"])
def level(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """LogLevel, as a deployer may have it."""
    monkeypatch.setattr(telemetry, "_level", logging.getLevelNamesMapping()[request.param])


def request(stack: Stack, route: str, link: dict[str, Any]) -> Any:
    if route == "POST /v1/links":
        return stack.create(founding(externalUserId="canary-user"))
    functions = resources("AWS::Serverless::Function")
    folder = functions[routes()[route]]["CodeUri"].rpartition("/")[2]
    event = sample_event("cancel_link") | {"routeKey": route, "pathParameters": {"linkId": link["linkId"]}}
    event["headers"] |= {"authorization": f"Bearer {SAMPLE_KEY}", "content-type": "application/json"}
    body = {"externalUserId": "canary-user"} if route.endswith("/erasures") else {}
    return stack.invoke(folder, event | {"body": json.dumps(body), "isBase64Encoded": False})


@pytest.mark.usefixtures("level")
@pytest.mark.parametrize("route", http.AUDITED)
def test_each_audited_request_is_told_once_with_who_and_what(
    stack: Stack, output: Output, capsys: pytest.CaptureFixture[str], route: str
) -> None:
    link = stack.create(founding(externalUserId="canary-user")).json
    before = len(output.text)
    answer = request(stack, route, link)
    assert answer.status < 300
    printed = output.text[before:]
    app.lambda_handler(handed_over(printed), None)
    *_, told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    wanted = {
        "action": http.AUDITED[route],
        "account": "acme",
        "livemode": False,
        "keyLast4": SAMPLE_KEY[-4:],
    }
    wanted["requestId"] = answer.headers["X-Request-Id"]
    if "link." in wanted["action"]:
        wanted["linkId"] = (answer.json if route == "POST /v1/links" else link)["linkId"]
    if route == "POST /v1/erasures":
        wanted["erased"] = 1
    assert told.pop("at") == json.loads(printed.splitlines()[-1])["timestamp"]
    assert told == wanted
    assert_clean(json.dumps(told), SAMPLE_KEY, link["claimCode"], "canary-user")


@pytest.mark.usefixtures("level")
@pytest.mark.parametrize("route", ["DELETE /v1/links/{linkId}", "POST /v1/erasures"])
def test_each_link_is_told_of_once_when_it_is_erased(
    stack: Stack, output: Output, capsys: pytest.CaptureFixture[str], route: str
) -> None:
    link = stack.create(founding(externalUserId="canary-user")).json
    before = len(output.text)
    for _ in range(2):
        assert request(stack, route, link).status == 200
    app.lambda_handler(handed_over(output.text[before:]), None)
    lines = map(json.loads, capsys.readouterr().out.splitlines())
    (told,) = [line for line in lines if line["action"] == "link.erased"]
    del told["at"]
    who = {"account": "acme", "livemode": False, "keyLast4": SAMPLE_KEY[-4:]}
    assert told == {"action": "link.erased", "linkId": link["linkId"], **who}


def test_what_is_refused_or_only_read_is_not_told(
    stack: Stack, output: Output, capsys: pytest.CaptureFixture[str]
) -> None:
    link = stack.create(founding()).json
    before = len(output.text)
    assert stack.create({}).status == 400
    assert stack.create(founding(), key="lk_test_x").status == 401
    assert stack.get(link["linkId"]).status == 200
    assert stack.page().status == 200
    assert stack.cancel(link["linkId"], key=stack.new_key("globex")).status == 404
    stack.claim(link["claimCode"])
    printed = output.text[before:]
    app.lambda_handler(handed_over(printed), None)
    assert capsys.readouterr().out == ""


def test_only_lines_of_ours_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    lines = ["CWL CONTROL MESSAGE: audited", "START RequestId: audited", '"audited"', '["audited"]']
    app.lambda_handler(handed_over("\n".join([*lines, '{"message": "audited"}'])), None)
    assert capsys.readouterr().out == ""
    app.lambda_handler(sample_event("audit"), None)
    assert json.loads(capsys.readouterr().out)["action"] == "link.created"


def test_every_route_by_which_something_is_made_or_ended_is_decided_on() -> None:
    changing = {route for route in routes() if not route.startswith(("GET", "HEAD", "OPTIONS"))}
    others = {
        *("POST /v1/links/{linkId}/redeliver", "POST /v1/webhook-tests"),
        *("POST /link/claim", "POST /link/status", "POST /link/session/input", "POST /link/session/cancel"),
        *(route for route in changing if route.startswith("POST /v1/test/")),
    }
    others.add("DELETE /v1/links/{linkId}")  # told of by link
    assert changing - others == set(http.AUDITED)


# --- Operators -------------------------------------------------------------------------------------


@pytest.fixture
def operator(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Runs `make key` and its like; returns the lines of the audit log."""
    stack.now = round(time.time() * 1000)
    session = boto3.Session("test", "test", region_name="eu-central-1")
    logs, make = session.client("logs"), session.client
    logs.create_log_group(logGroupName="audit")
    outputs = [{"OutputKey": "LinksTableName", "OutputValue": "LinksTable"}]
    cloudformation = Mock(**{"describe_stacks.return_value": {"Stacks": [{"Outputs": outputs}]}})
    monkeypatch.setattr(
        session,
        "client",
        lambda name, **more: cloudformation if name == "cloudformation" else make(name, **more),
    )
    monkeypatch.setattr(keys, "reach", lambda _: (session, None, "latchkey"))
    monkeypatch.setattr(keys, "outputs", lambda *_: {"AuditLogGroupName": "audit"})
    tables = keys.Tables(stack.dynamodb.Table("LinksTable"), stack.dynamodb.Table("KeyUseTable"))
    monkeypatch.setattr(keys, "tables_of", lambda _: tables)

    def run(*arguments: str, program: Any = keys) -> list[dict[str, Any]]:
        monkeypatch.setattr("sys.argv", ["program", *arguments])
        program.main()
        events = logs.filter_log_events(logGroupName="audit")["events"]
        return [json.loads(event["message"]) for event in events]

    yield run
    logs.delete_log_group(logGroupName="audit")


def test_who_makes_and_revokes_keys_is_told(operator: Any, capsys: pytest.CaptureFixture[str]) -> None:
    operator("create", "acme", "live")
    key = capsys.readouterr().out.strip()
    operator("create", "acme", "test", "--label", "second")
    second = capsys.readouterr().out.strip()
    operator("revoke", key)
    told = operator("revoke", second[-4:], "--account", "acme")
    assert [(line["action"], line["livemode"], line["keyLast4"]) for line in told] == [
        ("key.created", True, key[-4:]),
        ("key.created", False, second[-4:]),
        ("key.revoked", True, key[-4:]),
        ("key.revoked", False, second[-4:]),
    ]
    assert {line["account"] for line in told} == {"acme"}
    assert all(line["by"].startswith("arn:aws:") for line in told)
    assert_clean(json.dumps(told), key, second)


def test_who_changes_an_account_is_told_and_of_the_address_its_host(operator: Any) -> None:
    url = "https://hooks.example.com/a?token=canary-token"
    operator("acme", "--webhook-url", url, program=accounts)
    operator("acme", program=accounts)  # only shown
    told = operator("acme", "--webhook-url", "", program=accounts)
    assert [(line["action"], line["account"], line["webhookHost"]) for line in told] == [
        ("account.changed", "acme", "hooks.example.com"),
        ("account.changed", "acme", None),
    ]
    assert all(line["by"].startswith("arn:aws:") for line in told)
    assert_clean(json.dumps(told), "canary-token")


def test_a_key_is_not_lost_where_the_audit_log_cannot_be_written(
    operator: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(keys, "outputs", lambda *_: {})
    with pytest.raises(SystemExit, match="That is done, but the audit log does not say so"):
        operator("create", "acme", "test")
    assert capsys.readouterr().out.startswith("lk_test_")


def test_a_clock_that_is_wrong_is_told(operator: Any, stack: Stack) -> None:
    stack.now -= 20 * 86_400_000
    with pytest.raises(SystemExit, match="clock"):
        operator("create", "acme", "test")
