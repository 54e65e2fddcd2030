"""The practice site, served on a port of its own, and the connectors to it."""

import os
import re
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import pytest
import uvicorn

from examples.provider import lark

CHROMIUM = shutil.which("chromium")


class Site:
    """The site's control, as its own route has it."""

    def __init__(self, url: str) -> None:
        self.url = url

    def set(self, **wanted: Any) -> None:
        assert httpx2.post(f"{self.url}/control", json=wanted).status_code == 200

    @contextmanager
    def browser(self, user: str, password: str = "") -> Iterator[httpx2.Client]:
        """A browser in which this password was sent, or the right one."""
        with httpx2.Client(base_url=self.url, follow_redirects=True) as browser:
            (token,) = re.findall('name="csrf" value="([^"]+)"', browser.get("/login").text)
            typed = {"username": user, "password": password or f"{user}-password-1"}
            browser.post("/login", data=typed | {"csrf": token})
            yield browser

    def cards(self, user: str) -> list[str]:
        return lark.site.accounts[user].cards


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


PORT = free_port()
os.environ["LARK_URL"] = f"http://127.0.0.1:{PORT}"  # before the connectors are imported


@contextmanager
def serving() -> Iterator[Site]:
    """The site, for as long as the context lasts."""
    lark.site.reset()
    server = uvicorn.Server(uvicorn.Config(lark.app, log_level="warning"))
    with socket.create_server(("127.0.0.1", PORT)) as listener:
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        yield Site(os.environ["LARK_URL"])
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="session")
def served() -> Iterator[Site]:
    with serving() as site:
        yield site


@pytest.fixture(autouse=True)
def site(served: Site) -> Site:
    served.set(reset=True)
    return served
