"""`latchkey receive`, and the receiver of the docs, given what the sender sends."""

import base64
import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import HTTPServer
from threading import Thread
from typing import Any

import pytest

from latchkey.adapters import webhook_sender
from latchkey.domain import signing
from latchkey.domain.retry_schedule import Outcome
from latchkey_client import Latchkey
from latchkey_client.cli.output import Output
from latchkey_client.cli.receive import Receiver
from latchkey_client.errors import APIConnectionError, LatchkeyError
from tests.client.conftest import Served
from tests.template import ROOT

EVENT: dict[str, Any] = {
    "type": "link.complete",
    "data": {"linkId": "link_abc123", "metadata": {"city": "Zürich\x9b"}},
}
BODY = json.dumps(EVENT, ensure_ascii=False).encode()
ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"


@contextmanager
def serving(server: HTTPServer) -> Iterator[int]:
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def secrets(client: Latchkey) -> list[str]:
    return [valid.secret for valid in client.webhook_secret.get().secrets]


def deliver(port: int, secrets: list[str], body: bytes = BODY) -> Outcome:
    headers = signing.headers(ID, int(time.time()), BODY, secrets)
    url = f"http://127.0.0.1:{port}/any/path?a=1"
    return webhook_sender.send(url, headers, body, ports=frozenset({443}), allow_loopback=True)


def test_a_verified_event_is_printed_and_taken(
    client: Latchkey, served: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    signed_by = secrets(client)
    receiver = Receiver(client, Output(False), 0, 204)
    served.faults.seen.clear()
    with serving(receiver) as port:
        assert [deliver(port, signed_by).status_code for _ in range(2)] == [204, 204]
    assert not served.faults.seen
    first, second = re.split(r"(?m)^(?=\d\d:)", capsys.readouterr().out)[1:]
    assert f" 204 link.complete {ID}, verified, attempt 1 seen here\n" in first
    shown = json.loads(first.partition("\n")[2])
    assert shown == EVENT | {"id": ID, "data": EVENT["data"] | {"metadata": {"city": "Zürich�"}}}
    assert "attempt 2 seen here" in second


def test_machines_get_a_line_for_each_event(client: Latchkey, capsys: pytest.CaptureFixture[str]) -> None:
    signed_by = secrets(client)
    with serving(Receiver(client, Output(True), 0, 500)) as port:
        assert deliver(port, signed_by).status_code == 500
    assert json.loads(capsys.readouterr().out) == EVENT | {"id": ID, "attempt": 1, "answered": 500}


def test_an_event_that_does_not_verify_is_refused(
    client: Latchkey, capsys: pytest.CaptureFixture[str]
) -> None:
    signed_by = secrets(client)
    with serving(Receiver(client, Output(False), 0, 204)) as port:
        assert deliver(port, [signing.new_secret()]).status_code == 400
        assert deliver(port, signed_by, body=BODY + b" ").status_code == 400
        assert deliver(port, signed_by, body=b"\xff").status_code == 400
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("400 REFUSED") == 3
    assert "link_abc123" not in printed.err


def test_after_a_rotation_the_new_secret_is_asked_for(client: Latchkey, served: Served) -> None:
    with serving(Receiver(client, Output(False), 0, 204)) as port:
        new = client.webhook_secret.rotate(overlap_seconds=0).secret
        served.faults.seen.clear()
        assert [deliver(port, [new]).status_code for _ in range(2)] == [204, 204]
    assert [target for _, target, _, _ in served.faults.seen] == ["/v1/webhook-secret"]


def test_what_nobody_took_is_told_in_its_order_and_how_it_comes_again(
    client: Latchkey, served: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    listed = []
    for number, status in enumerate(["pending", "delivered", "none", "exhausted"]):
        names = {"id": f"msg_{number}", "timestamp": f"at {number}", "webhook": {"status": status}}
        listed.append(EVENT | names | {"data": {"linkId": f"link_{number}"}})
    receiver = Receiver(client, Output(False), 0, 204)
    served.faults.next = [(200, {}, json.dumps({"events": listed[::-1], "nextCursor": None}).encode())]
    with receiver:
        receiver.tell_missed()
    first, last = capsys.readouterr().err.splitlines()
    assert first == "Missed link.complete of link_0, at 0: it is tried again by itself"
    assert last == "Missed link.complete of link_3, at 3: `latchkey redeliver link_3` sends it again"


def test_it_says_what_to_do_when_it_cannot_receive(client: Latchkey, served: Served) -> None:
    for port in (int(served.url.rpartition(":")[2]), 70_000):
        with pytest.raises(LatchkeyError, match="--port"):
            Receiver(client, Output(False), port, 204)
    nobody = Latchkey(api_key=served.key, base_url="http://127.0.0.1:1", max_retries=0)
    with nobody, pytest.raises(APIConnectionError):
        Receiver(nobody, Output(False), 0, 204)


# --- The receiver of docs/receive-webhooks.md ----------------------------------------------------


@pytest.fixture
def snippet(monkeypatch: pytest.MonkeyPatch) -> Any:
    """`lambda_handler` of the page, and the secret that it was given."""
    page = (ROOT / "docs/receive-webhooks.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    secret = signing.new_secret()
    monkeypatch.setenv("WEBHOOK_SECRET", secret)
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102 # it is ours
    return names["lambda_handler"], secret


@pytest.mark.parametrize("encoded", [False, True])
@pytest.mark.parametrize("spelling", [str.lower, str.title])
def test_the_documented_receiver_takes_what_is_signed_and_nothing_else(
    snippet: Any, encoded: bool, spelling: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    handler, secret = snippet
    now = int(time.time())

    def status(body: bytes, headers: dict[str, str]) -> int:
        text = base64.b64encode(body).decode() if encoded else body.decode("utf-8", "replace")
        named = {spelling(name): value for name, value in headers.items()}
        event = {"headers": named, "body": text, "isBase64Encoded": encoded}
        answer: dict[str, int] = handler(event, None)
        return answer["statusCode"]

    signed = signing.headers(ID, now, BODY, [secret])
    assert status(BODY, signed) == 204
    assert status(BODY, signing.headers(ID, now, BODY, [signing.new_secret(), secret])) == 204
    assert capsys.readouterr().out == "link.complete link_abc123\n" * 2
    assert status(BODY + b" ", signed) == 400
    assert status(b"\xff", signed) == 400
    assert status(BODY, signing.headers(ID, now - 301, BODY, [secret])) == 400
    assert status(BODY, signed | {"webhook-signature": "v1"}) == 400
    assert status(BODY, signed | {"webhook-signature": "v1,a"}) == 400
    assert status(BODY, {}) == 400
    assert capsys.readouterr().out == ""
