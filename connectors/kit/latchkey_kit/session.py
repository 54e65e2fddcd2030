"""What a step or an operation is given: the session so far, and the ways to the provider."""

import logging
import os
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import cache, cached_property
from http.cookiejar import Cookie
from typing import TYPE_CHECKING, Any

import httpx2

from latchkey_kit.errors import Failed, KitError, judge
from latchkey_kit.forms import forms

if TYPE_CHECKING:
    from playwright.sync_api import Page as BrowserPage

    from latchkey_kit.browser import Browser

Json = dict[str, Any]
Page = httpx2.Response

_tls = cache(httpx2.create_ssl_context)  # some 30 ms, and nothing of a session is in it
logging.getLogger("httpx2").setLevel(logging.WARNING)  # its INFO lines hold whole addresses


class Session:
    """One call's view of a user's session at the provider; cookies, the page and `state` go on to the next.

    state: whatever JSON you want to find again. It is sealed in between; keep no password in it where a
    cookie will do.
    arguments: those of the operation that runs, also in a step that it was interrupted by; {} before.
    dry_run: whether that operation must check and submit nothing.
    """

    def __init__(self, base_url: str, deadline: float) -> None:
        self.state: Json = {}
        self.arguments: Json = {}
        self.writing = self.dry_run = False
        self.submitted = self.uncertain = False  # something may have changed; and nobody knows whether it did
        self.line: Json = {"level": "INFO", "message": "reply"}  # of the log
        self.saved: Json = {}  # cookies and page as the last call left them
        self.closing = ExitStack()
        self._base_url = base_url
        self._deadline = deadline
        self._browser: Browser | None = None

    def seconds_left(self) -> float:
        """How long this call may still take. Raises `Failed` when that is over."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise Failed("provider_unreachable", "the call's time is over")
        return left

    @cached_property
    def http(self) -> httpx2.Client:
        """A client with the session's cookies, for addresses relative to the connector's or whole ones.

        It follows redirects, and gives up in time for a reply. An answer 503, another 5xx or 429 raises
        `Failed`: nothing that a connector wants to read is in one.
        """
        client = httpx2.Client(base_url=self._base_url, follow_redirects=True, verify=_tls())
        client.event_hooks = {"request": [self._limit], "response": [self._judge]}
        for cookie in self.saved.get("cookies", ()):
            client.cookies.jar.set_cookie(Cookie(**cookie))
        self.closing.enter_context(client)
        return client

    def form(self, page: str | Page, /, to: str = "", **fields: str) -> Page:
        """Fill in and send a form, and return the page that comes then.

        page: where the form is: an address, which is read first, or a page that was read. Of its forms the
        first is sent that has all of `fields` and whose action ends in `to`, with its hidden fields (the CSRF
        token is among them), the values it came with, and its first button unless `fields` names another.
        Raises `Failed` (page_changed) if there is none.
        """
        page = self.http.get(page) if isinstance(page, str) else page
        for form in forms(page.text):
            if fields.keys() <= form.names and form.action.endswith(to):
                where, sent = page.url.join(form.action), form.filled(fields)
                posts = form.method == "post"
                return self.http.post(where, data=sent) if posts else self.http.get(where, params=sent)
        raise Failed("page_changed", f"no form to {to or 'anywhere'} with the fields {', '.join(fields)}")

    def find(self, page: Page, within: str, pattern: str) -> list[Any]:
        """All matches of a regular expression in a page that has the text `within`, by which you know it.

        Raises `Failed` (page_changed) if it does not: no match is then no proof that there is nothing.
        """
        if within not in page.text:
            raise Failed("page_changed", f"no {within}")
        return re.findall(pattern, page.text)

    @property
    def page(self) -> "BrowserPage":
        """A page of a browser of this session alone, at the connector's address and then where the last call
        left it: its address, which is opened again, cookies and local storage; not what was filled in.

        The browser is the machine's Chromium, or the one behind the address in the variable BROWSER_URL
        (Chrome's DevTools protocol), and ends with the call. Ask for `s.page` anew each time instead of
        keeping it: it knows the time left then, and raises `Failed` where the provider answered 5xx or 429.
        """
        if self._browser is None:
            from latchkey_kit.browser import Browser  # most connectors have no Playwright

            saved, remote = self.saved.get("page", {}), os.environ.get("BROWSER_URL")
            self._browser = Browser(self.closing, self._base_url, saved.get("storage"), remote)
            self._browser.page_within(self.seconds_left()).goto(saved.get("url", self._base_url))
        return self._browser.page_within(self.seconds_left())

    @contextmanager
    def submitting(self) -> Iterator[None]:
        """Around what changes something, and as little else as can be.

        Whatever is raised inside ends the link with OUTCOME_UNKNOWN, and so does anything raised later but a
        question and `Failed` for one of the reasons why a provider refuses: there you have read its answer.
        Raises KitError in a dry run. A step of the login may submit too, which has no such outcome.
        """
        if self.dry_run:
            raise KitError("a dry run submits nothing")
        self.submitted = self.uncertain = True
        yield
        self.uncertain = False

    def kept(self) -> Json:
        """What the next call of this session is to find in `saved`."""
        kept = dict(self.saved)
        if "http" in vars(self):
            cookies = [vars(cookie) for cookie in self.http.cookies.jar]
            kept["cookies"] = [{name.removeprefix("_"): value for name, value in c.items()} for c in cookies]
        if self._browser is not None:
            kept["page"] = self._browser.kept()
        return kept

    def explain(self, error: Exception) -> Exception:
        """The failure that an exception of HTTP or of the browser means; others as they are."""
        if isinstance(error, httpx2.RequestError):
            return Failed("provider_unreachable", type(error).__name__)
        if self._browser is not None and type(error).__module__.startswith("playwright."):
            return self._browser.explain(type(error).__name__)
        return error

    def _limit(self, request: httpx2.Request) -> None:
        request.extensions["timeout"] = httpx2.Timeout(self.seconds_left()).as_dict()

    def _judge(self, response: Page) -> None:
        judge(response.status_code)
        response.request.extensions["timeout"]["read"] = self.seconds_left()
        assert isinstance(response.stream, httpx2.SyncByteStream)
        with closing(response.stream) as body:  # which may come slowly, but not for ever
            response.stream = httpx2.ByteStream(b"".join(chunk for chunk in body if self.seconds_left()))
