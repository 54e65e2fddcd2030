"""Follow the events of an account and hand each, signed, to an address that only this machine reaches."""

from __future__ import annotations

import json
import select
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx2

from latchkey_client import webhooks
from latchkey_client.errors import APIConnectionError, InternalServerError, RateLimitError
from latchkey_client.models import Event

if TYPE_CHECKING:
    from latchkey_client._sync import Latchkey
    from latchkey_client.cli.output import Output

POLL = 1.0  # seconds between looks
PAGE = 10  # events of a look, most of which find nothing new
SETTLED = 20.0  # seconds, twice what the service needs
KNOWN = 10_000  # ids that are kept
PATIENCE = 15.0  # seconds that a receiver has to answer, as the service gives it


class Follower:
    """The events that end from now on, in their order, none twice.

    It asks for the newest, which are told at once: what comes `after` an event is told only when nothing can
    come to stand before it any more, which takes the service ten seconds. So one that is new may stand behind
    one that is known, and only what has been known for longer ends a look.
    """

    def __init__(self, client: Latchkey, kind: str | None = None) -> None:
        self._client = client
        self._kind = kind
        self._known = {event.id: float("-inf") for event in client.events.list(type=kind, limit=100).data}

    def new(self) -> list[Event]:
        """Those since the last time."""
        now = time.monotonic()
        found: list[Event] = []
        for event in self._client.events.list(type=self._kind, limit=PAGE):
            if self._known.get(event.id, now) < now - SETTLED:
                break
            if event.id not in self._known:
                self._known[event.id] = now
                found.append(event)
        for known in list(self._known)[:-KNOWN]:
            del self._known[known]
        return found[::-1]


class Forwarder:
    """Hands events to a receiver as the service would: signed, and with its time to answer."""

    def __init__(self, client: Latchkey, url: str, http: httpx2.Client) -> None:
        self._client = client
        self._url = url
        self._http = http

    def send(self, event: Event) -> dict[str, Any]:
        """Send it; tells statusCode, or error, and durationMs."""
        body, headers = signed(self._client, event)
        began = time.monotonic()
        status, error = None, None
        try:
            status = self._http.post(self._url, content=body, headers=headers).status_code
        except httpx2.RequestError as failure:
            error = str(failure) or type(failure).__name__
        return {
            "statusCode": status,
            "error": error,
            "durationMs": round((time.monotonic() - began) * 1000),
        }


def signed(client: Latchkey, event: Event) -> tuple[bytes, dict[str, str]]:
    """The body and headers that a webhook of the event has now, verified as a receiver does it."""
    said = event.to_dict()
    message = {name: said[name] for name in ("type", "timestamp", "data")}
    body = json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()
    at = str(int(time.time()))
    # Asked each time, so that a rotation is followed; during one both sign, as the service has it.
    secrets = [valid.secret for valid in client.webhook_secret.get().secrets]
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "latchkey-listen",
        "webhook-id": event.id,
        "webhook-timestamp": at,
        "webhook-signature": " ".join(
            f"v1,{webhooks.signature(secret, event.id, at, body)}" for secret in secrets
        ),
    }
    # An event that this refuses, nobody could take.
    webhooks.unwrap(body, headers, secrets)
    return body, headers


def listen(client: Latchkey, output: Output, forward_to: str | None, kind: str | None) -> None:
    """Print each event that ends from now on, and hand it on, until interrupted."""
    follower = Follower(client, kind)
    output.say("Listening for events" + (f", handing them to {forward_to}" if forward_to else ""))
    last: Event | None = None
    with keys() as read_key, httpx2.Client(timeout=PATIENCE) as http:
        forwarder = Forwarder(client, forward_to, http) if forward_to else None
        if forwarder and read_key is not time.sleep:
            output.say("r sends the last one again, Ctrl-C ends")
        while True:
            try:
                for last in follower.new():
                    show(output, last, forwarder.send(last) if forwarder else None)
            except (APIConnectionError, InternalServerError, RateLimitError) as error:
                output.say(f"{error}\nTrying again")
            if read_key(POLL) == "r" and forwarder and last:
                show(output, last, forwarder.send(last))


def show(output: Output, event: Event, forwarded: dict[str, Any] | None) -> None:
    """One line for an event and how its receiver took it."""
    if output.as_json:
        return output.json(event.to_dict() | ({"forwarded": forwarded} if forwarded else {}))
    text = f"{event.timestamp} {event.type} {event.data.link_id} {event.id}"
    if forwarded:
        text += f" -> {forwarded['statusCode'] or forwarded['error']} in {forwarded['durationMs']} ms"
    return output.line(text)


@contextmanager
def keys() -> Iterator[Any]:
    """A function that waits so many seconds for a key and returns it; time.sleep if nobody can press one."""
    if sys.platform == "win32" or not sys.stdin.isatty():
        yield time.sleep
        return
    import termios
    import tty

    def read_key(seconds: float) -> str:
        return sys.stdin.read(1) if select.select([sys.stdin], [], [], seconds)[0] else ""

    before = termios.tcgetattr(sys.stdin)
    tty.setcbreak(sys.stdin)
    try:
        yield read_key
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
