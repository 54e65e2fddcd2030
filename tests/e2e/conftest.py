"""One deployed stack for the whole run, on ports of its own."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from playwright.sync_api import Browser

from local.stack import Stack, stack_for_tests
from tests.e2e.api import Api
from tests.e2e.browser import CHROMIUM, PHONE, Visit, chromium
from tests.e2e.deployed import Deployed


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    with stack_for_tests() as stack:
        yield stack


@pytest.fixture(scope="session")
def deployed(stack: Stack) -> Deployed:
    return Deployed(stack)


@pytest.fixture
def api(deployed: Deployed) -> Api:
    return deployed.api


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        reason = "no Chromium on this machine: install its package chromium"
        # A developer without a browser is told; CI has one or is broken.
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    with chromium() as browser:
        yield browser


@pytest.fixture
def visit(browser: Browser, deployed: Deployed) -> Iterator[Callable[..., Visit]]:
    """Opens a browser window: a phone's unless told otherwise, and without animations."""
    with ExitStack() as windows:

        def open_window(host: str | None = None, **settings: Any) -> Visit:
            context = browser.new_context(**{"viewport": PHONE, "reduced_motion": "reduce"} | settings)
            windows.callback(context.close)
            return Visit(context, deployed, host=host)

        yield open_window
