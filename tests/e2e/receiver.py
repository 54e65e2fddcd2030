"""A webhookUrl on this machine: keeps what it gets, and answers as it is told."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any


@dataclass
class Receiver:
    url: str
    answers: list[int]  # the next statuses; then 204
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)  # headers in lower case, body
    at: list[float] = field(default_factory=list)
    hangs: bool = False  # until `over`
    takes: float = 0.0  # seconds for each answer
    over: Event = field(default_factory=Event)


@contextmanager
def receiving(*answers: int) -> Iterator[Receiver]:
    """A receiver for as long as the context lasts."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            receiver.at.append(time.time())
            receiver.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
            if receiver.hangs or receiver.takes:
                receiver.over.wait(receiver.takes or 20)
            self.send_response(receiver.answers.pop(0) if receiver.answers else 204)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 # the base class's name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    receiver = Receiver(f"http://127.0.0.1:{server.server_port}/hook", list(answers))
    with server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield receiver
        receiver.over.set()
        server.shutdown()
