"""The developers' receiver, and the one of the docs, given what the sender sends."""

import base64
import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest

from latchkey.adapters import webhook_sender
from latchkey.domain import signing
from latchkey.domain.retry_schedule import Outcome
from local.listen import Receiver, print_missed
from local.stack import Failure
from tests.template import ROOT

EVENT = {"type": "link.complete", "data": {"linkId": "link_abc123", "metadata": {"city": "Zürich"}}}
BODY = json.dumps(EVENT, ensure_ascii=False).encode()
ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
KEY = "lk_test_key"


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


class Api:
    """GET /v1/webhook-secret and /v1/events, as the stack answers them."""

    def __init__(self) -> None:
        self.secrets = [signing.new_secret()]
        self.events: list[Any] = []
        self.asked = 0
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                api.asked += 1
                listed = [{"secret": secret, "expiresAt": None} for secret in api.secrets]
                answers = {"/v1/webhook-secret": {"secrets": listed}, "/v1/events": {"events": api.events}}
                answer = answers.get(self.path.partition("?")[0])
                known = answer is not None and self.headers["Authorization"] == f"Bearer {KEY}"
                self.send_response(200 if known else 401)
                self.end_headers()
                self.wfile.write(json.dumps(answer).encode())

            def log_message(self, *_: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)

    def stack(self) -> dict[str, str]:
        return {"apiUrl": f"http://127.0.0.1:{self.server.server_port}", "testApiKey": KEY}


@pytest.fixture
def api() -> Iterator[Api]:
    made = Api()
    with serving(made.server):
        yield made


def deliver(port: int, secrets: list[str], body: bytes = BODY) -> Outcome:
    headers = signing.headers(ID, int(time.time()), BODY, secrets)
    url = f"http://127.0.0.1:{port}/any/path?a=1"
    return webhook_sender.send(url, headers, body, ports=frozenset({443}), allow_loopback=True)


def test_a_verified_event_is_printed_and_taken(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    with serving(Receiver(0, 204, api.stack)) as port:
        assert [deliver(port, api.secrets).status_code for _ in range(2)] == [204, 204]
    first, second = re.split(r"(?m)^(?=\d\d:)", capsys.readouterr().out)[1:]
    assert f"204 verified, {ID}, attempt 1 seen here\n" in first
    assert json.loads(first.partition("\n")[2]) == EVENT
    assert "Zürich" in first
    assert "attempt 2 seen here" in second
    assert api.asked == 1


def test_an_event_that_does_not_verify_is_refused(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    with serving(Receiver(0, 204, api.stack)) as port:
        assert deliver(port, [signing.new_secret()]).status_code == 400
        assert deliver(port, api.secrets, body=BODY + b" ").status_code == 400
        assert deliver(port, api.secrets, body=b"\xff").status_code == 400
    printed = capsys.readouterr().out
    assert printed.count("REFUSED") == 3
    assert "link_abc123" not in printed


def test_after_a_rotation_the_new_secret_is_asked_for(api: Api) -> None:
    with serving(Receiver(0, 204, api.stack)) as port:
        api.secrets.insert(0, signing.new_secret())
        assert [deliver(port, api.secrets[:1]).status_code for _ in range(2)] == [204, 204]
    assert api.asked == 2


def test_it_answers_what_it_is_told_to(api: Api) -> None:
    with serving(Receiver(0, 500, api.stack)) as port:
        assert deliver(port, api.secrets).status_code == 500


def test_what_nobody_took_is_told_in_its_order_and_how_it_comes_again(
    api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, status in enumerate(["pending", "delivered", "none", "exhausted"]):
        webhook = {"status": status, "attempts": 1, "nextAttemptAt": None}
        listed = EVENT | {"id": f"msg_{number}", "timestamp": f"at {number}", "webhook": webhook}
        api.events.insert(0, listed | {"data": {"linkId": f"link_{number}"}})
    with serving(receiver := Receiver(0, 204, api.stack)):
        print_missed(receiver.missed())
    first, last = capsys.readouterr().out.splitlines()
    assert re.fullmatch("at 0 MISSED link.complete, link_0, msg_0: it is tried again by itself", first)
    assert last.endswith("link_3, msg_3: POST /v1/links/link_3/redeliver sends it again")


def test_it_says_what_to_do_when_it_cannot_listen(api: Api) -> None:
    with pytest.raises(Failure, match="PORT="):
        Receiver(api.server.server_port, 204, api.stack)
    with pytest.raises(Failure, match="answers 401"):
        Receiver(0, 204, lambda: api.stack() | {"testApiKey": "lk_test_other"})
    with pytest.raises(Failure, match="make up"):
        Receiver(0, 204, lambda: {"apiUrl": "http://127.0.0.1:1", "testApiKey": KEY})


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
