"""The example shop, and what the page of docs/test.md says of browser tests, in Chromium."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from playwright.sync_api import Browser, Error, FrameLocator, Page, expect

from local.stack import is_free, status
from tests.e2e.api import Api, eventually
from tests.e2e.browser import DESKTOP, PHONE
from tests.e2e.deployed import Deployed
from tests.template import ROOT


@pytest.fixture(scope="module")
def shop(deployed: Deployed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a shop whose caller is the stack's."""
    port = next(filter(is_free, range(4700, 4800)))
    url, log = f"http://127.0.0.1:{port}", tmp_path_factory.mktemp("shop") / "log"
    settings = {
        "SHOP_URL": url,
        "LATCHKEY_BASE_URL": deployed.url,
        "LATCHKEY_API_KEY": deployed.api.key,
        "PYTHONPATH": str(ROOT / "clients/python"),
        "PATH": os.environ["PATH"],
    }
    with log.open("w") as output:
        running = subprocess.Popen(
            [sys.executable, ROOT / "examples/webshop/shop.py"], env=settings, stdout=output, stderr=output
        )
        try:
            eventually(lambda: status(port, "/") == 200 or running.poll() is not None)
            assert running.poll() is None, log.read_text()
            yield url
        finally:
            running.terminate()
            running.wait()


type OpenWindow = Callable[..., Page]


@pytest.fixture
def window(browser: Browser) -> Iterator[OpenWindow]:
    with ExitStack() as windows:

        def open_window(**settings: Any) -> Page:
            context = windows.enter_context(browser.new_context(**{"locale": "en-US"} | settings))
            page = context.new_page()
            page.set_default_timeout(20_000)
            return page

        yield open_window


def visit(page: Page, shop: str, user: str) -> Page | FrameLocator:
    """Press the shop's button and log in; what shows the link's page, the shop's window or a frame in it."""
    page.goto(shop)
    page.get_by_role("button", name="Connect T-Mobile").click()
    wide = page.viewport_size == DESKTOP
    shown = page.frame_locator("iframe") if wide else page
    shown.get_by_role("button", name="Continue", exact=True).click()
    shown.get_by_label("User name").fill(user)
    shown.get_by_label("Password", exact=True).fill("pass_good")
    shown.get_by_role("button", name="Log in").click()
    return shown


def sees_methods(page: Page, shop: str) -> None:
    page.wait_for_url(f"{shop}/done?*")
    expect(page.get_by_role("heading")).to_have_text("Your payment methods", timeout=20_000)
    expect(page.get_by_role("listitem")).to_have_text(["4242", "6789"])


def test_a_shopper_connects_in_a_dialog_over_the_shops_page(window: OpenWindow, shop: str) -> None:
    page = window(viewport=DESKTOP)
    shown = visit(page, shop, "user_good")
    expect(shown.get_by_role("heading", name="All done")).to_be_visible()
    assert page.url == f"{shop}/"
    sees_methods(page, shop)


def test_a_shopper_on_a_phone_goes_to_the_link_and_comes_back(window: OpenWindow, shop: str) -> None:
    page = window(viewport=PHONE)
    visit(page, shop, "user_good")
    sees_methods(page, shop)


def test_a_shop_whose_script_does_not_come_connects_too(window: OpenWindow, shop: str) -> None:
    page = window(viewport=PHONE)
    page.route("**/latchkey.js", lambda route: route.abort())
    visit(page, shop, "user_good")
    sees_methods(page, shop)


def test_a_shopper_who_is_not_let_in_reads_why_and_is_told_by_the_shop(window: OpenWindow, shop: str) -> None:
    page = window(viewport=DESKTOP)
    shown = visit(page, shop, "user_locked")
    expect(shown.get_by_role("heading", name="did not accept the login")).to_be_visible(timeout=20_000)
    shown.get_by_role("button", name="Close").click()
    page.wait_for_url(f"{shop}/done?*")
    expect(page.get_by_role("heading")).to_have_text("Not connected", timeout=20_000)
    expect(page.locator("body")).to_contain_text("LOGIN_FAILED")


def test_a_shopper_who_closes_the_dialog_stays_in_the_shop(window: OpenWindow, shop: str) -> None:
    page = window(viewport=DESKTOP)
    page.goto(shop)
    page.get_by_role("button", name="Connect T-Mobile").click()
    page.frame_locator("iframe").get_by_role("button", name="Continue", exact=True).focus()
    page.keyboard.press("Escape")
    expect(page.get_by_role("status")).to_have_text("Not connected: closed")
    expect(page.get_by_role("button", name="Connect T-Mobile")).to_be_focused()


def test_the_shop_refuses_what_is_not_signed_and_who_is_not_its_shopper(
    window: OpenWindow, shop: str
) -> None:
    assert Api(shop, "").request("POST", "/webhook", {"type": "link.complete"}).status == 400
    page = window(viewport=PHONE)
    visit(page, shop, "user_good")
    page.wait_for_url(f"{shop}/done?*")
    answer = window().goto(page.url)
    assert answer is not None
    assert answer.status == 404


def test_a_browser_test_sets_the_pages_policy_aside_as_documented(
    browser: Browser, deployed: Deployed
) -> None:
    url = deployed.api.create().json["appClipUrl"]

    def add_a_script(page: Page) -> None:
        page.goto(url)
        page.add_script_tag(content="window.added = 1")
        page.wait_for_function("window.added === 1", timeout=5_000)

    with browser.new_context() as context, pytest.raises(Error):
        add_a_script(context.new_page())
    with browser.new_context(bypass_csp=True) as context:
        add_a_script(context.new_page())
