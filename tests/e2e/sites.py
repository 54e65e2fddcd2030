"""A site of another origin, whose pages show a link's as a customer's do: in a frame or a popup."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

# It keeps what it hears, and gives the frame the height that it asks for.
PAGE = b"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Shop</title>
<style>body { margin: 0 } iframe { display: block; width: 100%; border: 0 }</style>
<body>
<script>
  const heard = [];
  addEventListener("message", ({ origin, data }) => {
    heard.push({ origin, ...data });
    const frame = document.querySelector("iframe");
    if (frame && data.height) frame.style.height = `${data.height}px`;
  });
  const hello = (view, address) => view.postMessage({ latchkey: "hello" }, new URL(address).origin);
  const embed = (address) => {
    const frame = document.createElement("iframe");
    frame.title = "Link";
    frame.src = address;
    frame.onload = () => hello(frame.contentWindow, address);
    document.body.append(frame);
  };
</script>
"""


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(PAGE)))
        self.end_headers()
        self.wfile.write(PAGE)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 # the base class's name
        pass


@contextmanager
def a_site() -> Iterator[int]:
    """The same page at each path; yields the port. As localhost it is one origin, as 127.0.0.1 another."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    with server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()
