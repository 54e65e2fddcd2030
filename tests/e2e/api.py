"""The deployed API as any HTTP client sees it: a caller with its key, and a user's client with its token."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from email.message import Message
from typing import Any

from schemas import answers
from tests.judge import hold
from tests.template import ROOT

# A caller's patience: more than the gateway's 30 s.
TIMEOUT = 40
PATIENCE = 30  # seconds that anything asynchronous may take here, most of them for cold starts


def eventually[T](look: Callable[[], T], seconds: float = PATIENCE) -> T:
    """What `look` finds once it finds something; fails if it finds nothing in time."""
    until = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < until, f"nothing in {seconds} s"
        time.sleep(0.05)
    return found


@dataclass
class Answer:
    status: int
    headers: Message
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


def founding(**changes: Any) -> dict[str, Any]:
    """The founding example's body."""
    event = json.loads((ROOT / "events/create_link.json").read_text())
    body: dict[str, Any] = json.loads(event["body"]) | changes
    return body


def link(*operations: str, **changes: Any) -> dict[str, Any]:
    """A body with operations like "paymentMethod.write", and no webhook unless one is given."""
    arguments = founding()["operations"][1]["arguments"]
    made = []
    for name in operations or ("paymentMethod.read",):
        resource, _, action = name.partition(".")
        operation = {"resource": resource, "action": action}
        made.append(operation | {"arguments": arguments} if action == "write" else operation)
    return {"integrationId": "tmobile", "operations": made} | changes


@dataclass
class Api:
    """One caller of the API."""

    url: str
    key: str

    def request(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> Answer:
        sent = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"} | (headers or {})
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, sent, method=method)  # noqa: S310 # http to 127.0.0.1
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT) as response:  # noqa: S310 # as above
                return Answer(response.status, response.headers, response.read().decode())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.headers, error.read().decode())

    def create(self, body: Any = None, idempotency_key: str | None = None) -> Answer:
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        return self.request("POST", "/v1/links", founding() if body is None else body, headers)

    def get(self, path: str, **headers: str) -> Answer:
        return self.request("GET", path, headers=headers)

    def cancel(self, link_id: str) -> Answer:
        return self.request("POST", f"/v1/links/{link_id}/cancel")

    def test(self, link_id: str, verb: str, **body: Any) -> Answer:
        """POST /v1/test/links/{linkId}/<verb>."""
        return self.request("POST", f"/v1/test/links/{link_id}/{verb}", body)

    def link(self, link_id: str) -> Any:
        """The link as its owner reads it."""
        answer = self.get(f"/v1/links/{link_id}")
        assert answer.status == 200, answer.text
        hold(answers.Link, answer.text)
        return answer.json

    def claim(self, code: str, idempotency_key: str | None = None) -> Answer:
        """What a claim is answered; it needs no API key."""
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        return Api(self.url, "").request("POST", "/link/claim", {"code": code}, headers)

    def status(self, code: str, **headers: str) -> Answer:
        """What a page that waits for the link is answered; it needs no API key."""
        return Api(self.url, "").request("POST", "/link/status", {"code": code}, headers)

    def begin(self, body: Any = None) -> "Session":
        """The session of a new link that was claimed."""
        claimed = self.claim(self.create(body or link()).json["claimCode"])
        assert claimed.status == 200, claimed.text
        hold(answers.ClaimedLink, claimed.text)
        return Session(Api(self.url, claimed.json["clientToken"]), claimed.json["linkId"])


@dataclass
class Session:
    """A user's client in the session of a link."""

    api: Api  # its key is the client token
    link_id: str

    def view(self) -> Any:
        answer = self.api.get("/link/session")
        assert answer.status == 200, answer.text
        hold(answers.Session, answer.text)
        return answer.json

    def turn(self) -> Any:
        """The session once it is the user's turn, or over."""
        return eventually(lambda: view if (view := self.view())["status"] != "running" else None)

    def answer(self, given: dict[str, Any], challenge: str | None = None) -> Answer:
        """Answer the challenge, or the one that is asked next."""
        body = {"challengeId": challenge or self.turn()["challenge"]["id"], "input": given}
        return self.api.request("POST", "/link/session/input", body)

    def log_in(self, user: str) -> None:
        answer = self.answer({"username": user, "password": "pass_good"})
        assert answer.status == 202, answer.text

    def cancel(self) -> Answer:
        return self.api.request("POST", "/link/session/cancel")

    def play(self, user: str, *codes: str) -> Any:
        """Answer all that is asked, and return the session once it is over."""
        left = list(codes)
        while (view := self.turn())["status"] == "awaiting_input":
            match view["challenge"]["type"]:
                case "login":
                    self.log_in(user)
                case "wait":
                    eventually(lambda: (self.view()["challenge"] or {}).get("type") != "wait")
                case kind:
                    field = "way" if kind == "choice" else "code"
                    assert self.answer({field: left.pop(0)}).status == 202
        return view
