"""Lambda froze the environment, and the connections that it had are dead when it goes on: nobody notices."""

import json
import socket
import struct
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Barrier, Event, Thread
from typing import Any

import pytest

from functions.deliver_webhook import app as deliver_webhook
from functions.get_providers import app as get_providers
from functions.sweep import app as sweep
from latchkey.adapters import aws, connectors, queues, sealing, settings
from latchkey.domain.links import Link, Operation
from latchkey.services import authenticate
from tests.integration.conftest import Context, Output, sample_event

POOLED = 10  # a batch's messages, each with a thread and its connection
SECOND = 1_000_000_000

# What each service answers, by the last part of X-Amz-Target; a connector for everything else.
ANSWERS: dict[str, Any] = {
    "GetItem": {},
    "Query": {"Items": [{"pk": {"S": f"link_{n}"}, "dueAt": {"N": "0"}} for n in range(POOLED)]},
    "SendMessage": {"MessageId": "m", "MD5OfMessageBody": "x"},
    "GenerateDataKey": {"Plaintext": "A" * 43 + "=", "CiphertextBlob": "eA==", "KeyId": "k"},
    "": {"status": "authenticated", "state": None},
}


class Server(ThreadingHTTPServer):
    """AWS; once `thaw` was called, a request on a connection from before is answered with a reset."""

    daemon_threads = True
    request_queue_size = 2 * POOLED

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.thaws = 0
        self.together = Barrier(1)  # requests are answered when so many are there
        self.unheld = Event()  # until then those of a key's use are not
        self.unheld.set()
        self.got: list[str] = []

    def thaw(self) -> None:
        self.thaws += 1


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def setup(self) -> None:
        super().setup()
        self.born = self.server.thaws

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        operation = self.headers.get("X-Amz-Target", "").rpartition(".")[2]
        self.server.got.append(operation)
        if b"KeyUseTable" in body:
            self.server.unheld.wait(10)
        if self.born < self.server.thaws:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()  # at once, with a reset
            self.close_connection = True
            return
        self.server.together.wait(10)
        body = json.dumps(ANSWERS[operation]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    made = [aws.dynamodb, aws.kms, aws.sqs, aws.functions]
    with Server() as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("LIVE_CONNECTORS", "att=connector")
        for cached in (*made, settings.settings):
            cached.cache_clear()
        yield server
        server.shutdown()
    for cached in (*made, settings.settings):
        cached.cache_clear()
    sealing._data_keys.clear()


LINK = Link(
    link_id="link_x",
    owner="acme#live",
    livemode=True,
    integration_id="att",
    operations=(Operation("paymentMethod", "read"),),
    status="active",
    base_url="",
    created_at=0,
    updated_at=0,
    expires_at=1,
    write_token="",
)


def by_threads(act: Callable[[], Any]) -> Callable[[], Any]:
    def acts() -> None:
        with ThreadPoolExecutor(POOLED) as pool:
            list(pool.map(lambda _: act(), range(POOLED)))

    return acts


def deliver() -> None:
    (record,) = sample_event("deliver_webhook")["Records"]
    records = [record | {"messageId": str(i)} for i in range(POOLED)]
    answer = deliver_webhook.lambda_handler({"Records": records}, Context())
    assert answer == {"batchItemFailures": []}


def seal() -> None:
    sealing._data_key("state", 0)
    sealing._data_keys.clear()


def call() -> None:
    connectors.call(LINK, "start", None)


@pytest.mark.parametrize(
    ("act", "before"),
    [
        (call, by_threads(call)),
        (deliver, deliver),
        (lambda: sweep.lambda_handler({"shard": 0}, Context()), deliver),
        (by_threads(seal), by_threads(seal)),
        (by_threads(lambda: queues.wake_worker(LINK)), by_threads(lambda: queues.wake_worker(LINK))),
    ],
    ids=["a connector's call", "deliveries", "a sweep", "KMS", "SQS"],
)
def test_nobody_notices_connections_that_died_while_the_environment_was_frozen(
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
    output: Output,
    act: Callable[[], Any],
    before: Callable[[], Any],
) -> None:
    now = 1_704_067_200 * SECOND
    monkeypatch.setattr("time.time_ns", lambda: now)
    for _ in range(5):  # threads may be lucky once
        server.together = Barrier(POOLED)
        before()
        server.together = Barrier(1)
        server.thaw()
        now += 11 * SECOND
        act()
        now += 11 * SECOND
    assert [line for line in output.lines if line["level"] != "INFO"] == []


def test_what_is_done_beside_a_request_holds_up_neither_it_nor_the_next_after_a_thaw(
    server: Server, monkeypatch: pytest.MonkeyPatch, output: Output
) -> None:
    now = 1_704_067_200 * SECOND
    monkeypatch.setattr("time.time_ns", lambda: now)
    key = {"account": {"S": "acme"}, "livemode": {"BOOL": False}}
    monkeypatch.setitem(ANSWERS, "GetItem", {"Item": key})
    monkeypatch.setitem(ANSWERS, "UpdateItem", {"Attributes": {}})
    authenticate._known.clear()

    def ask() -> None:
        assert get_providers.lambda_handler(sample_event("get_providers"), None)["statusCode"] == 200

    def busy() -> bool:
        (known,) = authenticate._known.values()
        return known.use._calling

    for _ in range(5):  # threads may be lucky once
        server.unheld.clear()
        ask()  # it is answered, and its thread is not
        assert busy()
        server.thaw()
        server.unheld.set()
        now += 61 * SECOND
        ask()
        until = time.monotonic() + 10
        while busy():
            assert time.monotonic() < until
            time.sleep(0.01)
        now += 86_400 * SECOND
    authenticate._known.clear()
    assert server.got.count("UpdateItem") > 0
    assert [line for line in output.lines if line["level"] != "INFO"] == []
