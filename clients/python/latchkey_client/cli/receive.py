"""A webhookUrl on this machine, which the local stack reaches: what it delivers is verified and shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from latchkey_client import webhooks
from latchkey_client.errors import LatchkeyError, WebhookVerificationError
from latchkey_client.models import Event

if TYPE_CHECKING:
    from latchkey_client._sync import Latchkey
    from latchkey_client.cli.output import Output

# What becomes of an event that nobody has taken.
AGAIN = {"pending": "it is tried again by itself", "exhausted": "`latchkey redeliver {}` sends it again"}


class Receiver(ThreadingHTTPServer):
    """Answers every verified event with `status`, every other request with 400."""

    daemon_threads = True

    def __init__(self, client: Latchkey, output: Output, port: int, status: int) -> None:
        self._client = client
        self._secrets = self._valid()
        self.output = output
        self.status = status
        self.attempts: Counter[str] = Counter()
        try:
            super().__init__(("127.0.0.1", port), _Handler)
        except (OSError, OverflowError):
            raise LatchkeyError(f"Port {port} cannot be had: choose another with --port") from None

    @property
    def url(self) -> str:
        """The webhookUrl."""
        return f"http://127.0.0.1:{self.server_port}/"

    def verified(self, body: bytes, headers: Mapping[str, str]) -> Event:
        """The event; raises LatchkeyError. If no known secret has signed it, there may be a newer one."""
        try:
            return webhooks.unwrap(body, headers, self._secrets)
        except WebhookVerificationError:
            self._secrets = self._valid()
            return webhooks.unwrap(body, headers, self._secrets)

    def tell_missed(self) -> None:
        """Of the newest hundred events, those that nobody has taken, the oldest first."""
        for event in reversed(self._client.events.list(limit=100).data):
            if again := AGAIN.get(event.webhook.status):
                name = f"{event.type} of {event.data.link_id}, {event.timestamp}"
                self.output.say(f"Missed {name}: {again.format(event.data.link_id)}")

    def _valid(self) -> list[str]:
        return [valid.secret for valid in self._client.webhook_secret.get().secrets]


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        output = self.server.output
        at = f"{datetime.now():%H:%M:%S}"  # noqa: DTZ005 # the developer's own clock
        try:
            event = self.server.verified(body, dict(self.headers.items()))
        except LatchkeyError as error:
            output.say(f"{at} 400 REFUSED: {error}")
            return self._answer(400)
        self.server.attempts[event.id] += 1
        attempt, status = self.server.attempts[event.id], self.server.status
        if output.as_json:
            output.json(event.to_dict() | {"attempt": attempt, "answered": status})
        else:
            output.line(f"{at} {status} {event.type} {event.id}, verified, attempt {attempt} seen here")
            output.document(event.to_dict())
        return self._answer(status)

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """What there is to say is said already."""


def receive(client: Latchkey, output: Output, port: int, status: int) -> None:
    """Print each event that is delivered here, until interrupted."""
    with Receiver(client, output, port, status) as receiver:
        output.say(f"Receiving at {receiver.url}. For a first event, in another terminal:")
        output.say(f"  latchkey trigger complete --webhook-url {receiver.url}")
        receiver.tell_missed()
        receiver.serve_forever()
