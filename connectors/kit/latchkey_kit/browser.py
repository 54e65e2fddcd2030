"""A browser for one call, which begins where the call before left off."""

import shutil
from contextlib import ExitStack
from typing import Any

from playwright.sync_api import Page, Request, Response, sync_playwright

from latchkey_kit.errors import Failed, judge

# A Lambda function has no user namespaces for the sandbox, no /dev/shm of use and no GPU.
FLAGS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
MOST_SECONDS = 10  # for one action: what a page has not shown by then, it does not have


class Browser:
    """A window of the machine's Chromium, or of the browser at the address `remote`."""

    def __init__(self, closing: ExitStack, base_url: str, storage: Any, remote: str | None) -> None:
        chromium = closing.enter_context(sync_playwright()).chromium
        if remote:
            browser = chromium.connect_over_cdp(remote)
        else:  # without one on the path, the one that Playwright may have installed
            browser = chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        closing.callback(browser.close)
        context = browser.new_context(base_url=base_url, storage_state=storage)
        closing.callback(context.close)
        self._page = context.new_page()
        self._status = 0  # of the document; 0 until it is there
        self._page.on("request", self._asked)
        self._page.on("response", self._answered)

    def page_within(self, seconds: float) -> Page:
        judge(self._status)
        self._page.set_default_timeout(min(seconds, MOST_SECONDS) * 1000)
        self._page.set_default_navigation_timeout(seconds * 1000)
        return self._page

    def kept(self) -> dict[str, Any]:
        judge(self._status)
        return {"storage": self._page.context.storage_state(), "url": self._page.url}

    def explain(self, kind: str) -> Failed:
        """What an exception of Playwright's means. Its text holds what was filled in, so it is not read."""
        try:
            judge(self._status)
        except Failed as failed:
            return failed
        return Failed("page_changed" if self._status else "provider_unreachable", kind)

    def _asked(self, request: Request) -> None:
        if request.is_navigation_request() and request.frame == self._page.main_frame:
            self._status = 0

    def _answered(self, response: Response) -> None:
        if response.request.is_navigation_request() and response.frame == self._page.main_frame:
            self._status = response.status
