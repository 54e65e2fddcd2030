"""Handlers over moto's tables, which are made from template.yaml."""

import base64
import importlib
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from moto import mock_aws

from latchkey import auth, ids, sealing, settings, telemetry
from schemas import wire
from tests.template import ROOT, resources, table_definition


def sample_event(name: str) -> dict[str, Any]:
    """A fresh copy of events/<name>.json."""
    event: dict[str, Any] = json.loads((ROOT / "events" / f"{name}.json").read_text())
    return event


# What each route answers when it does; everything else is an Error.
ANSWERS: dict[tuple[str, int], type[wire.Model]] = {
    ("POST /v1/links", 201): wire.CreatedLink,
    ("GET /v1/links/{linkId}", 200): wire.Link,
    ("GET /v1/providers", 200): wire.Providers,
    ("GET /v1/providers/{integrationId}", 200): wire.Provider,
}

SAMPLE_KEY = sample_event("create_link")["headers"]["authorization"].removeprefix("Bearer ")


@dataclass
class Answer:
    """A handler's answer, checked for what every answer has."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def issues(self) -> dict[str, tuple[str, str]]:
        """Code and message of each issue by path."""
        return {issue["path"]: (issue["code"], issue["message"]) for issue in self.json["issues"]}


@dataclass
class Stack:
    """The deployed system, in this process."""

    dynamodb: Any
    kms: Any
    now: int = 1_704_067_200_000

    def add_key(self, key: str, account: str, **attributes: Any) -> str:
        self.dynamodb.Table("LinksTable").put_item(
            Item={
                "pk": f"key#{ids.api_key_hash(key)}",
                "sk": "key",
                "account": account,
                "livemode": ids.api_key_mode(key),
            }
            | attributes
        )
        return key

    def new_key(self, account: str = "acme", *, livemode: bool = False, **attributes: Any) -> str:
        return self.add_key(ids.new_api_key(livemode=livemode), account, **attributes)

    def rows(self, table: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.dynamodb.Table(table).scan()["Items"]
        return rows

    def forget_settings(self) -> None:
        """Let a changed environment count."""
        settings.settings.cache_clear()

    def links(self) -> list[dict[str, Any]]:
        return [row for row in self.rows("LinksTable") if row["sk"] == "link"]

    def invoke(self, name: str, event: dict[str, Any]) -> Answer:
        handler = importlib.import_module(f"functions.{name}.app").lambda_handler
        raw = handler(event, None)
        assert raw["headers"]["X-Request-Id"] == event["requestContext"]["requestId"]
        answer = Answer(raw["statusCode"], raw["headers"], raw.get("body", ""))
        if answer.status != 304:
            model = ANSWERS.get((event["routeKey"], answer.status), wire.Error)
            model.model_validate_json(answer.text)
        return answer

    def create(
        self, body: Any = None, *, key: str = SAMPLE_KEY, headers: dict[str, str] | None = None
    ) -> Answer:
        """POST /v1/links; the body may be a value, text, or bytes (sent as base64)."""
        event = sample_event("create_link")
        event["headers"] |= {"authorization": f"Bearer {key}"} | (headers or {})
        if isinstance(body, bytes):
            event |= {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}
        elif body is not None:
            event["body"] = body if isinstance(body, str) else json.dumps(body)
        return self.invoke("create_link", event)

    def get(self, link_id: str, *, key: str = SAMPLE_KEY) -> Answer:
        event = sample_event("get_link")
        event["headers"]["authorization"] = f"Bearer {key}"
        event["pathParameters"] = {"linkId": link_id}
        return self.invoke("get_link", event)


def founding(**changes: Any) -> dict[str, Any]:
    """The founding example's body, with changes to its members; None takes one away."""
    body = json.loads(sample_event("create_link")["body"]) | changes
    return {name: value for name, value in body.items() if value is not None}


@pytest.fixture(scope="session")
def clients() -> Iterator[tuple[Any, Any]]:
    """DynamoDB and KMS with a key; made once, because that takes longer than a test."""
    with mock_aws():
        kms = boto3.client("kms")
        os.environ["SEALING_KEY"] = kms.create_key()["KeyMetadata"]["Arn"]
        yield boto3.resource("dynamodb"), kms


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch, clients: tuple[Any, Any]) -> Iterator[Stack]:
    """Empty tables but for the sample events' API key, nothing cached, and a clock that stands."""
    stack = Stack(*clients)
    handler: Any = telemetry.logger.registered_handler
    handler.stream = _CurrentStdout()
    tables = [stack.dynamodb.create_table(**table_definition(t)) for t in resources("AWS::DynamoDB::Table")]
    auth._known.clear()
    sealing._data_keys.clear()
    stack.forget_settings()
    monkeypatch.setattr("latchkey.http.time.time_ns", lambda: stack.now * 1_000_000)
    stack.add_key(SAMPLE_KEY, "acme")
    yield stack
    for table in tables:
        table.delete()


class Output:
    """Everything that the functions have printed: log lines and metrics."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self._text = ""

    @property
    def text(self) -> str:
        self._text += self._capsys.readouterr().out
        return self._text

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines()]


class _CurrentStdout:
    """Whatever sys.stdout is when a line is written; the logger would keep the one it was made with."""

    def write(self, text: str) -> None:
        sys.stdout.write(text)

    def flush(self) -> None:
        sys.stdout.flush()


@pytest.fixture
def output(capsys: pytest.CaptureFixture[str]) -> Output:
    """What is printed from here on."""
    return Output(capsys)
