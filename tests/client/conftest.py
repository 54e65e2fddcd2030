"""The handlers over moto, behind a real HTTP server that can fail as networks and gateways do."""

import io
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

import pytest

from latchkey.adapters import telemetry
from latchkey_client import Latchkey
from tests.integration.conftest import (
    SAMPLE_KEY,
    Stack,
    clients,  # noqa: F401 # a fixture, as the next
    sample_event,
    stack,  # noqa: F401
)
from tests.template import resources, routes

Sent = tuple[str, str, dict[str, str], bytes]  # method, target, headers by lower-case name, body
Answered = tuple[int, dict[str, str], bytes]
NO_ROUTE: Answered = (404, {"Content-Type": "application/json"}, b'{"message":"Not Found"}')  # the gateway's


@dataclass
class Faults:
    """Stands between a client and what answers: each request meets the next of `next`, then none.

    "reset" closes the connection before anything is done, "cut" after it was done and before it is told;
    an answer is told without anything being done.
    """

    answer: Callable[[Sent], Answered]
    next: list[str | Answered] = field(default_factory=list)
    seen: list[Sent] = field(default_factory=list)

    @contextmanager
    def serving(self) -> Iterator[str]:
        faults = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                body = self.rfile.read(int(headers.get("content-length", 0)))
                sent = (self.command, self.path, headers, body)
                faults.seen.append(sent)
                fault = faults.next.pop(0) if faults.next else ""
                if fault == "reset":
                    return self.reset()
                status, told, content = faults.answer(sent) if isinstance(fault, str) else fault
                if fault == "cut":
                    return self.reset()
                self.send_response_only(status)
                always = {"Date": self.date_time_string(), "Content-Length": str(len(content))}
                for name, value in (always | told).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)
                return None

            do_POST = do_DELETE = do_GET  # noqa: N815 # the base class's names

            def reset(self) -> None:
                # To close at once, with nothing lingering, sends RST.
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                os.close(self.connection.detach())
                self.close_connection = True

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


def through_handlers(stack: Stack) -> Callable[[Sent], Answered]:  # noqa: F811 # the fixture's value
    """What the gateway makes of a request."""
    lock = threading.Lock()
    functions = resources("AWS::Serverless::Function")

    def answer(sent: Sent) -> Answered:
        method, target, headers, body = sent
        path = urlsplit(target).path
        for key in routes():
            wanted = key.partition(" ")[2].split("/")
            parts = path.split("/")
            if key.startswith(f"{method} ") and len(parts) == len(wanted):
                pairs = list(zip(wanted, parts, strict=True))
                if all(w == p or w.startswith("{") for w, p in pairs):
                    break
        else:
            return NO_ROUTE
        event = sample_event("create_link") | {
            "routeKey": key,
            "rawPath": path,
            "rawQueryString": urlsplit(target).query,
            "headers": headers,
            "pathParameters": {w[1:-1]: unquote(p) for w, p in pairs if w.startswith("{")},
            "body": body.decode(),
            "isBase64Encoded": False,
        }
        event["requestContext"] = event["requestContext"] | {"routeKey": key}
        event["requestContext"]["http"] = event["requestContext"]["http"] | {"method": method, "path": path}
        with lock:
            told = stack.invoke(functions[routes()[key]]["CodeUri"].rpartition("/")[2], event)
        return told.status, told.headers, told.text.encode()

    return answer


@dataclass
class Served:
    url: str
    stack: Stack
    faults: Faults
    key: str = SAMPLE_KEY


@pytest.fixture
def served(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:  # noqa: F811 # the fixture
    # The functions' log is no part of what a command prints.
    monkeypatch.setattr(telemetry.logger.registered_handler, "stream", io.StringIO())
    faults = Faults(through_handlers(stack))
    with faults.serving() as url:
        yield Served(url, stack, faults)


@pytest.fixture
def waits() -> list[float]:
    """The seconds that the client waited, which pass at once."""
    return []


@pytest.fixture
def client(served: Served, waits: list[float]) -> Iterator[Latchkey]:
    with Latchkey(api_key=served.key, base_url=served.url) as client:
        client._sleep = waits.append  # type: ignore[assignment] # it takes fewer kinds of number
        yield client
