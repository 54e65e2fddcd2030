"""Handlers over moto's tables, which are made from template.yaml."""

import base64
import importlib
import io
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

import boto3
import pytest
from moto import mock_aws

from functions.sandbox_connector import app as sandbox
from latchkey import __version__
from latchkey.adapters import aws, sealing, settings, store, telemetry
from latchkey.domain import ids
from latchkey.domain.links import Link
from latchkey.domain.retry_schedule import Outcome
from latchkey.services import accounts, authenticate, key_use
from schemas import answers, events, shapes
from tests.judge import hold
from tests.template import ROOT, resources, table_definition


def sample_event(name: str) -> dict[str, Any]:
    """A fresh copy of events/<name>.json."""
    event: dict[str, Any] = json.loads((ROOT / "events" / f"{name}.json").read_text())
    return event


# What each route answers when it does; everything else is an Error.
ANSWERS: dict[tuple[str, int], type[shapes.Model]] = {
    ("POST /v1/links", 201): answers.CreatedLink,
    ("GET /v1/links", 200): answers.LinkList,
    ("GET /v1/links/{linkId}", 200): answers.Link,
    ("DELETE /v1/links/{linkId}", 200): answers.Link,
    ("POST /v1/erasures", 200): answers.Erased,
    ("GET /v1/events", 200): events.EventList,
    ("POST /v1/links/{linkId}/cancel", 200): answers.Link,
    ("GET /v1/links/{linkId}/deliveries", 200): answers.DeliveryList,
    ("POST /v1/links/{linkId}/redeliver", 202): answers.Redelivery,
    ("GET /v1/account", 200): answers.Account,
    ("GET /v1/webhook-secret", 200): answers.WebhookSecrets,
    ("POST /v1/webhook-secret/rotate", 200): answers.NewSecret,
    ("POST /v1/webhook-tests", 200): answers.WebhookTest,
    ("GET /v1/test/outcomes", 200): answers.SandboxUserList,
    ("POST /v1/test/links/{linkId}/advance", 200): answers.Link,
    ("POST /v1/test/links/{linkId}/simulate", 200): answers.Link,
    ("POST /v1/test/links/{linkId}/fail-deliveries", 200): answers.Link,
    ("POST /link/claim", 200): answers.ClaimedLink,
    ("POST /link/status", 200): answers.LinkStanding,
    ("GET /link/session", 200): answers.Session,
    ("POST /link/session/input", 202): answers.Session,
    ("POST /link/session/cancel", 200): answers.Session,
    ("GET /v1/providers", 200): answers.ProviderList,
    ("GET /v1/providers/{integrationId}", 200): answers.Provider,
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


class Context:
    """What Lambda hands to a handler beside the event."""

    function_name = "latchkey-sweep"
    aws_request_id = "c6af9ac6-7b61-11e6-9a41-93e8deadbeef"
    remaining_ms = 300_000

    def get_remaining_time_in_millis(self) -> int:
        return self.remaining_ms


class Connectors:
    """Lambda, as far as connectors need it: calls the sandbox, or what a test has put in its place.

    Also keeps what sweep hands over to other sweeps.
    """

    def __init__(self) -> None:
        self.called: list[dict[str, Any]] = []
        self.handed_over: list[dict[str, Any]] = []
        self.reply: Callable[[dict[str, Any]], Any] = lambda request: sandbox.lambda_handler(request, None)

    def invoke(
        self,
        *,
        FunctionName: str,  # noqa: N803 # boto3's names, as the three below
        Payload: bytes,  # noqa: N803
        Qualifier: str | None = None,  # noqa: N803
        InvocationType: str = "RequestResponse",  # noqa: N803
    ) -> dict[str, Any]:
        request = json.loads(Payload)
        if InvocationType == "Event":
            assert (FunctionName, Qualifier) == (Context.function_name, aws.ALIAS)
            self.handed_over.append(request)
            return {}
        call = request | {"function": FunctionName}
        self.called.append(call)
        try:
            reply = self.reply(request)
        except Exception:  # noqa: BLE001 # as the Lambda runtime does
            return {"FunctionError": "Unhandled", "Payload": io.BytesIO(b'{"errorMessage": "died"}')}
        call["asked"] = isinstance(reply, dict) and reply.get("status") == "challenge"
        text = reply if isinstance(reply, bytes) else json.dumps(reply).encode()
        return {"Payload": io.BytesIO(text)}

    def executed(self) -> list[tuple[int, str]]:
        """Index and action of each operation that was run, and did not ask the user something instead."""
        calls = [call for call in self.called if call["action"] == "execute" and not call.get("asked")]
        return [(call["operation"]["index"], call["operation"]["action"]) for call in calls]


JSON = "application/json"


class Queues:
    """SQS in the tests' own time: it delays, and can lose, repeat and reorder messages."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self.clock = clock
        self.losing = False
        self.copies = 1
        self._waiting: list[tuple[int, str, str]] = []  # when it can be seen, queue, body

    def send_message(
        self,
        *,
        QueueUrl: str,  # noqa: N803 # boto3's names
        MessageBody: str,  # noqa: N803
        DelaySeconds: int,  # noqa: N803
        MessageGroupId: str,  # noqa: N803
    ) -> None:
        assert 0 <= DelaySeconds <= 900
        assert MessageGroupId
        model = events.SessionMessage if QueueUrl == os.environ["SESSION_QUEUE"] else events.DeliveryMessage
        hold(model, MessageBody)
        if not self.losing:
            message = (self.clock() + 1000 * DelaySeconds, QueueUrl, MessageBody)
            self._waiting += [message] * self.copies

    def take(self, queue: str) -> list[str]:
        """Take all that can be seen in a queue, the newest first."""
        seen = [m for m in self._waiting if m[0] <= self.clock() and m[1] == os.environ[queue]]
        self._waiting = [m for m in self._waiting if m not in seen]
        return [body for _, _, body in reversed(seen)]

    def put_back(self, queue: str, body: str, visibility: int) -> None:
        """What a consumer did not finish can be seen again after so many seconds."""
        self._waiting.append((self.clock() + 1000 * visibility, queue, body))

    @property
    def waiting(self) -> int:
        """How many messages are or will be to be seen."""
        return len(self._waiting)

    def clear(self) -> None:
        self._waiting.clear()


OK = Outcome(duration_ms=20, status_code=204)


@dataclass
class Receiver:
    """Every webhookUrl in the tests: keeps what it gets, and answers as it is told."""

    outcomes: list[Outcome] = field(default_factory=list)  # the next ones; then `otherwise`
    otherwise: Outcome = OK
    got: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    during: Callable[[], None] = lambda: None

    def send(self, url: str, headers: dict[str, str], body: bytes, **_: Any) -> Outcome:
        hold(events.Event, body)
        self.got.append((url, headers, body))
        self.during()
        return self.outcomes.pop(0) if self.outcomes else self.otherwise

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, _, body in self.got]


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Receiver:
    receiver = Receiver()
    monkeypatch.setattr("latchkey.adapters.webhook_sender.send", receiver.send)
    monkeypatch.setattr("latchkey.services.deliver_event.random.random", lambda: 0.5)
    return receiver


class Threads:
    """In place of the threads beside requests: none runs before a test lets it."""

    def __init__(self) -> None:
        self._waiting: list[Callable[[], None]] = []
        self.at_once = False

    def __call__(self, target: Callable[..., None], args: tuple[Any, ...], daemon: bool) -> "Threads":
        assert daemon  # a process that ends does not wait for it
        self._waiting.append(lambda: target(*args))
        return self

    def start(self) -> None:
        if self.at_once:
            self.run()

    def run(self) -> int:
        """Let all run that wait; returns how many there were."""
        running, self._waiting = self._waiting, []
        for work in running:
            work()
        return len(running)


LOGIN = {"username": "user_good", "password": "pass_good"}


@dataclass
class Stack:
    """The deployed system, in this process."""

    dynamodb: Any
    kms: Any
    connectors: Connectors = field(default_factory=Connectors)
    threads: Threads = field(default_factory=Threads)
    now: int = 1_704_067_200_000

    def __post_init__(self) -> None:
        self.queues = Queues(lambda: self.now)

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

    def stored(self, link_id: str) -> Link:
        link = store.get_link(link_id)
        assert link is not None
        return link

    def event(self, link_id: str) -> bytes:
        """The body of the event of a link that has ended."""
        link = self.stored(link_id)
        assert link.event is not None
        return sealing.unseal(
            link.event, account=link.account, subject=link_id, purpose=sealing.EVENT, now=self.now
        )

    def links(self) -> list[dict[str, Any]]:
        return [row for row in self.rows("LinksTable") if row["sk"] == "link"]

    def invoke(self, name: str, event: dict[str, Any]) -> Answer:
        handler = importlib.import_module(f"functions.{name}.app").lambda_handler
        raw = handler(event, None)
        assert raw["headers"]["X-Request-Id"] == event["requestContext"]["requestId"]
        assert raw["headers"]["X-Latchkey-Version"] == __version__
        answer = Answer(raw["statusCode"], raw["headers"], raw.get("body", ""))
        if answer.status not in (204, 304) and event["routeKey"] != "GET /openapi.json":
            model = ANSWERS.get((event["routeKey"], answer.status), answers.ApiError)
            hold(model, answer.text)
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

    def page(self, query: str = "", *, key: str = SAMPLE_KEY) -> Answer:
        event = sample_event("list_links") | {"rawQueryString": query}
        event["headers"]["authorization"] = f"Bearer {key}"
        return self.invoke("list_links", event)

    def events(self, query: str = "", *, key: str = SAMPLE_KEY) -> Answer:
        event = sample_event("list_events") | {"rawQueryString": query}
        event["headers"]["authorization"] = f"Bearer {key}"
        return self.invoke("list_events", event)

    def cancel(self, link_id: str, *, key: str = SAMPLE_KEY) -> Answer:
        event = sample_event("cancel_link")
        event["headers"]["authorization"] = f"Bearer {key}"
        event["pathParameters"] = {"linkId": link_id}
        return self.invoke("cancel_link", event)

    def erase(self, link_id: str, *, key: str = SAMPLE_KEY) -> Answer:
        event = sample_event("erase_links") | {"pathParameters": {"linkId": link_id}}
        event["headers"]["authorization"] = f"Bearer {key}"
        return self.invoke("erase_links", event)

    def erase_user(self, body: Any, *, key: str = SAMPLE_KEY) -> Answer:
        event = sample_event("erase_links") | {"routeKey": "POST /v1/erasures", "body": json.dumps(body)}
        event["headers"] |= {"authorization": f"Bearer {key}", "content-type": JSON}
        return self.invoke("erase_links", event)

    def redeliver(self, link_id: str) -> Answer:
        event = sample_event("link_deliveries") | {
            "routeKey": "POST /v1/links/{linkId}/redeliver",
            "pathParameters": {"linkId": link_id},
        }
        return self.invoke("link_deliveries", event)

    def test_mode(self, link_id: str, verb: str, body: Any, *, key: str = SAMPLE_KEY) -> Answer:
        """POST /v1/test/links/{linkId}/<verb>."""
        event = sample_event("test_links") | {
            "routeKey": f"POST /v1/test/links/{{linkId}}/{verb}",
            "pathParameters": {"linkId": link_id},
            "body": json.dumps(body),
        }
        event["headers"]["authorization"] = f"Bearer {key}"
        return self.invoke("test_links", event)

    def advance(self, link_id: str, **body: Any) -> Answer:
        return self.test_mode(link_id, "advance", body)

    def simulate(self, link_id: str, **body: Any) -> Answer:
        return self.test_mode(link_id, "simulate", body)

    # --- The client's side -----------------------------------------------------------------------

    def claim(self, code: str, key: str | None = None) -> Answer:
        event = sample_event("claim_link")
        event["body"] = json.dumps({"code": code})
        if key is not None:
            event["headers"]["idempotency-key"] = key
        return self.invoke("claim_link", event)

    def status(self, code: str) -> Answer:
        event = sample_event("link_status") | {"body": json.dumps({"code": code})}
        return self.invoke("link_status", event)

    def client(
        self,
        token: str,
        route: str = "GET /link/session",
        body: Any = None,
        *,
        type_: str = "application/json",
    ) -> Answer:
        event = sample_event("client_session") | {"routeKey": route}
        event["headers"] |= {"authorization": f"Bearer {token}", "content-type": type_}
        if body is not None:
            event["body"] = body if isinstance(body, str) else json.dumps(body)
        return self.invoke("client_session", event)

    def answer(self, token: str, given: dict[str, Any]) -> Answer:
        """Answer the open challenge."""
        challenge = self.client(token).json["challenge"]
        body = {"challengeId": challenge["id"], "input": given}
        return self.client(token, "POST /link/session/input", body)

    # --- What runs by itself ---------------------------------------------------------------------

    def work(self) -> int:
        """Let workers take every message of the session queue; returns how many there were."""
        taken = 0
        while bodies := self.queues.take("SESSION_QUEUE"):
            taken += len(bodies)
            for body in bodies:
                self.consume("run_session", body)
        return taken

    def consume(self, name: str, *bodies: str) -> list[str]:
        """Hand a batch of messages to a queue's consumer; returns the ids of those that it hands back."""
        handler = importlib.import_module(f"functions.{name}.app").lambda_handler
        (record,) = sample_event(name)["Records"]
        records = [record | {"messageId": f"m{i}", "body": body} for i, body in enumerate(bodies)]
        failures = handler({"Records": records}, Context())["batchItemFailures"]
        return [failure["itemIdentifier"] for failure in failures]

    def sweep(self, handed_over: bool = True) -> int:
        """Sweep, and by default what it hands over too; returns how late the latest link was."""
        handler = importlib.import_module("functions.sweep.app").lambda_handler
        late: int = handler(sample_event("sweep"), Context())["lateMs"]
        while handed_over and self.connectors.handed_over:
            late = max(late, handler(self.connectors.handed_over.pop(), Context())["lateMs"])
        return late

    def deliver(self) -> int:
        """Let deliveries take every message of the webhook queue; returns how many there were."""
        taken = 0
        while bodies := self.queues.take("WEBHOOK_QUEUE"):
            taken += len(bodies)
            for i in range(0, len(bodies), 10):
                assert self.consume("deliver_webhook", *bodies[i : i + 10]) == []
        return taken

    # --- Whole lives -----------------------------------------------------------------------------

    def claimed(self, body: Any = None) -> tuple[str, str]:
        """Id and client token of a new link that was claimed and whose login is asked for."""
        link = self.create(founding() if body is None else body).json
        token = self.claim(link["claimCode"]).json["clientToken"]
        self.work()
        return link["linkId"], token

    def run(self, user: str, body: Any = None, *codes: str) -> tuple[str, str]:
        """Id and client token of a link whose user logged in, with one-time codes if asked for them."""
        link_id, token = self.claimed(body)
        self.answer(token, LOGIN | {"username": user})
        self.work()
        for code in codes:
            self.answer(token, {"code": code})
            self.work()
        return link_id, token


def operations(*named: str) -> list[dict[str, Any]]:
    """Operations like "paymentMethod.write", with the arguments of the founding example for writes."""
    write = json.loads(sample_event("create_link")["body"])["operations"][1]["arguments"]
    made = []
    for name in named:
        resource, _, action = name.partition(".")
        operation = {"resource": resource, "action": action}
        made.append(operation | {"arguments": write} if action == "write" else operation)
    return made


def founding(**changes: Any) -> dict[str, Any]:
    """The founding example's body, with changes to its members; None takes one away."""
    body = json.loads(sample_event("create_link")["body"]) | changes
    return {name: value for name, value in body.items() if value is not None}


@contextmanager
def mocked_clients() -> Iterator[tuple[Any, Any]]:
    """DynamoDB and KMS with a key."""
    with mock_aws():
        kms = boto3.client("kms")
        os.environ["SEALING_KEY"] = kms.create_key()["KeyMetadata"]["Arn"]
        yield boto3.resource("dynamodb"), kms


@contextmanager
def new_stack(monkeypatch: pytest.MonkeyPatch, clients: tuple[Any, Any]) -> Iterator[Stack]:
    """Empty tables but for the sample events' API key, nothing cached, and a clock that stands."""
    stack = Stack(*clients)
    handler: Any = telemetry.logger.registered_handler
    handler.stream = _CurrentStdout()
    tables = [stack.dynamodb.create_table(**table_definition(t)) for t in resources("AWS::DynamoDB::Table")]
    _make_atomic(monkeypatch)
    authenticate._known.clear()
    accounts._known.clear()
    sealing._data_keys.clear()
    sealing._opened_keys.clear()
    monkeypatch.setattr(key_use, "Thread", stack.threads)
    monkeypatch.setattr(aws, "functions", lambda: stack.connectors)
    monkeypatch.setattr(aws, "sqs", lambda: stack.queues)
    stack.forget_settings()
    monkeypatch.setattr("time.time_ns", lambda: stack.now * 1_000_000)
    stack.add_key(SAMPLE_KEY, "acme")
    try:
        yield stack
    finally:
        for table in tables:
            table.delete()


@pytest.fixture(scope="session")
def clients() -> Iterator[tuple[Any, Any]]:
    """Made once, because that takes longer than a test."""
    with mocked_clients() as clients:
        yield clients


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch, clients: tuple[Any, Any]) -> Iterator[Stack]:
    with new_stack(monkeypatch, clients) as stack:
        yield stack


def _make_atomic(monkeypatch: pytest.MonkeyPatch) -> None:
    """One write at a time: moto checks a condition and writes in two steps, which DynamoDB does in one."""
    client, lock = aws.dynamodb(), Lock()
    make_api_call: Any = client._make_api_call  # type: ignore[attr-defined] # botocore's own

    def one_at_a_time(*call: Any) -> Any:
        with lock:
            return make_api_call(*call)

    monkeypatch.setattr(client, "_make_api_call", one_at_a_time)


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


@pytest.fixture
def stack_sleeps(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting takes the stack's own time, where a test has one."""
    if "stack" not in request.fixturenames:
        return
    stack: Stack = request.getfixturevalue("stack")

    def sleep(seconds: float) -> None:
        stack.now += round(1000 * seconds)

    monkeypatch.setattr("time.sleep", sleep)
