"""Two origins of this machine: a page that opens links, and a stand-in for the service.

What the real service cannot be made to do, it does: be silent, be cut off, end a link at once.
"""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, Error, Frame, Page

from latchkey.domain import ids
from tests.template import ROOT

type Answer = tuple[int, dict[str, str], str]  # status, headers, body

SCRIPT = ROOT / "functions/link_page/latchkey.js"
HEADERS = {"Content-Type": "text/html", "Cache-Control": "max-age=60"}  # what is no-store is in no bfcache

# It answers the script's greeting, unless it is silent, and has words to say.
LINK_PAGE = """<!doctype html><html lang="en"><title>Link</title><h1>Link</h1><input aria-label="Field">
<script>
let host, step = "consent", height = 300, silent = %s;
const linkId = location.pathname.slice(1);
const say = (type, more) => {
  ({ step = step, height = height } = more ?? {});
  host.source.postMessage({ latchkey: type, linkId, ...more }, host.origin);
};
addEventListener("message", (event) => {
  if (event.data.latchkey !== "hello" || silent) return;
  host = event;
  say("ready", { step, height });
});
</script>"""

HOST_PAGE = """<!doctype html><html lang="en"><title>Shop</title>
<meta name="viewport" content="width=device-width">
<script src="%s/latchkey.js"></script><script src="/host.js" defer></script>
<main><h1>Shop</h1><button id="connect">Connect</button><p><a href="/other">Elsewhere</a></p></main>"""

HOST_SCRIPT = """
window.told = [];
window.tell ??= (...told) => window.told.push(told);
const callbacks = Object.fromEntries(["onReady", "onEvent", "onComplete", "onExit"].map(
  (name) => [name, (value) => tell(name, value)],
));
addEventListener("securitypolicyviolation", (event) => tell("violation", event.violatedDirective));
addEventListener("pageshow", (event) => tell("pageshow", event.persisted));
Latchkey.resume(callbacks);
document.getElementById("connect").onclick = () => {
  window.link = Latchkey.open({ ...callbacks, ...window.options });
};
"""


@dataclass
class Service:
    """The service that a host's page talks to, as far as the script sees it."""

    url: str = ""
    links: dict[str, dict[str, Any]] = field(default_factory=dict)  # /link/status of each claim code
    refuses_frames: bool = False
    silent: bool = False  # its page does not answer the script
    isolated: bool = False  # its page is cut off from who opened it
    away: bool = False
    asked: int = 0  # how often for a status

    def create(self) -> str:
        """The address of a new link."""
        code = ids.new_claim_code()
        link_id = ids.link_id(code)
        self.links[code] = {"linkId": link_id, "status": "pending", "error": None}
        return f"{self.url}/{link_id}?code={code}"

    def id(self, url: str) -> str:
        link_id: str = self.links[url.partition("code=")[2]]["linkId"]
        return link_id

    def end(self, url: str, status: str, error: dict[str, Any] | None = None) -> None:
        self.links[url.partition("code=")[2]] |= {"status": status, "error": error}

    def answer(self, path: str, body: str) -> Answer:
        if path == "/latchkey.js":
            headers = {"Content-Type": "text/javascript", "Access-Control-Allow-Origin": "*"}
            return 200, headers, SCRIPT.read_text()
        if path == "/link/status":
            headers = {
                "Access-Control-Allow-Origin": "*",
                "Access-Control-Allow-Headers": "content-type",
                "Access-Control-Max-Age": "86400",
                "Content-Type": "application/json",
            }
            if not body:
                return 204, headers, ""
            self.asked += 1
            if self.away:
                return 503, headers, json.dumps({"error": "Away", "code": "unavailable"})
            found = self.links.get(json.loads(body)["code"])
            if found is None:
                return 404, headers, json.dumps({"error": "Unknown", "code": "not_found"})
            return 200, headers, json.dumps(found)
        headers = dict(HEADERS)
        if self.refuses_frames:
            headers["Content-Security-Policy"] = "frame-ancestors 'none'"
        if self.isolated:
            headers["Cross-Origin-Opener-Policy"] = "same-origin"
        return 200, headers, LINK_PAGE % json.dumps(self.silent)


@dataclass
class HostSite:
    """The site of who opens links. Its pages allow the service what docs/embed.md says, and nothing else."""

    service: str
    url: str = ""

    def answer(self, path: str, _: str) -> Answer:
        if path == "/host.js":
            return 200, {"Content-Type": "text/javascript"}, HOST_SCRIPT
        policy = (
            f"default-src 'none'; img-src 'self'; script-src 'self' {self.service}; "
            f"frame-src {self.service}; connect-src {self.service}"
        )
        headers = HEADERS | {"Content-Security-Policy": policy}
        if path == "/plain":
            return 200, dict(HEADERS), "<!doctype html><title>Elsewhere</title>"
        if path == "/isolated":
            headers["Cross-Origin-Opener-Policy"] = "same-origin"
        return 200, headers, HOST_PAGE % self.service


@contextmanager
def serving(name: str, site: Service | HostSite) -> Iterator[None]:
    """Serve a site under a name of this machine for as long as the context lasts."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            length = int(self.headers.get("content-length", 0))
            body = self.rfile.read(length).decode()
            status, headers, text = site.answer(urlsplit(self.path).path, body)
            self.send_response(status)
            for header, value in headers.items():
                self.send_header(header, value)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        do_POST = do_OPTIONS = do_GET  # noqa: N815 # the base class's names

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 # the base class's name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    site.url = f"http://{name}:{server.server_port}"
    with server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield
        server.shutdown()


class Host:
    """A page that opens links, in a browser window of its own, and what it is told."""

    def __init__(self, context: BrowserContext, url: str, path: str = "/") -> None:
        self.context = context
        self.told: list[tuple[str, Any]] = []
        context.expose_binding("tell", lambda _, name, value: self.told.append((name, value)))
        self.page: Page = context.new_page()
        self.page.set_default_timeout(10_000)
        self.url = url
        self.page.goto(url + path)

    def open(self, link: str, mode: str, **options: Any) -> None:
        """Open a link by a click."""
        self.page.evaluate("options => { window.options = options }", {"url": link, "mode": mode} | options)
        self.page.get_by_role("button", name="Connect").click()

    def shows(self, mode: str) -> "Page | Frame":
        """What shows the link's page, once it has said that it is there."""
        self.hears("onReady")
        return self.context.pages[-1] if mode == "popup" else self.page.frames[-1]

    def hears(self, *names: str, count: int = 1, seconds: float = 10) -> Any:
        """What the page is told last under one of the names, once it was told so often."""
        until = time.monotonic() + seconds
        while len(found := [value for name, value in self.told if name in names]) < count:
            assert time.monotonic() < until, self.told
            with suppress(Error):  # it is being left
                self.page.evaluate("1")  # which lets the browser tell
        assert len(found) == count, self.told
        return found[-1]

    def ends(self, *, count: int = 1, seconds: float = 10) -> Any:
        """The one end that the page is told."""
        return self.hears("onComplete", "onExit", count=count, seconds=seconds)

    def owes_nothing(self) -> None:
        """The page, and each after it in its tab, has told its one end."""
        self.ends()
        assert self.page.evaluate("sessionStorage.getItem('latchkey')") is None

    def has_no_popup(self) -> None:
        until = time.monotonic() + 10
        while len(self.context.pages) > 1:
            assert time.monotonic() < until, self.context.pages
            self.page.evaluate("1")
