"""An HTTP server that fails as networks and gateways do."""

import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

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
