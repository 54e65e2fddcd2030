"""The practice site, served on a port of its own, and the connectors to it."""

import os
import socket
import threading
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
import uvicorn

from examples.provider import site as lark


class Site:
    """The site's control, as its own route has it."""

    def __init__(self, url: str) -> None:
        self.url = url

    def set(self, **wanted: Any) -> None:

        assert httpx2.post(f"{self.url}/control", json=wanted).status_code == 200

    def cards(self, user: str) -> list[str]:
        return lark.site.accounts[user].cards


@pytest.fixture(scope="session")
def served() -> Iterator[Site]:
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    server = uvicorn.Server(uvicorn.Config(lark.app, log_level="warning"))
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    os.environ["LARK_URL"] = url
    yield Site(url)
    server.should_exit = True
    thread.join()
    listener.close()


@pytest.fixture
def site(served: Site) -> Site:
    served.set(reset=True)
    return served
