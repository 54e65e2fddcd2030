"""The example shop, and what the page of docs/test.md says of browser tests, in Chromium."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Error, Page, expect

from local.stack import is_free, status
from tests.e2e.api import Api, eventually
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


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with browser.new_context(locale="en-US") as context:
        page = context.new_page()
        page.set_default_timeout(20_000)
        yield page


def visit(page: Page, shop: str, user: str) -> None:
    page.goto(shop)
    page.get_by_role("button", name="Connect T-Mobile").click()
    page.get_by_role("button", name="Continue", exact=True).click()
    page.get_by_label("User name").fill(user)
    page.get_by_label("Password", exact=True).fill("pass_good")
    page.get_by_role("button", name="Log in").click()


def test_a_shopper_goes_to_the_link_and_comes_back_to_the_result(page: Page, shop: str) -> None:
    visit(page, shop, "user_good")
    page.wait_for_url(f"{shop}/done?*")
    expect(page.get_by_role("heading")).to_have_text("Your payment methods", timeout=20_000)
    expect(page.get_by_role("listitem")).to_have_text(["4242", "6789"])


def test_a_shopper_who_is_not_let_in_is_told(page: Page, shop: str) -> None:
    visit(page, shop, "user_locked")
    page.get_by_role("link", name="Back").click()
    expect(page.get_by_role("heading")).to_have_text("Not connected", timeout=20_000)
    expect(page.locator("body")).to_contain_text("LOGIN_FAILED")


def test_the_shop_refuses_what_is_not_signed_and_who_is_not_its_shopper(
    page: Page, shop: str, browser: Browser
) -> None:
    assert Api(shop, "").request("POST", "/webhook", {"type": "link.complete"}).status == 400
    visit(page, shop, "user_good")
    page.wait_for_url(f"{shop}/done?*")
    with browser.new_context() as stranger:
        answer = stranger.new_page().goto(page.url)
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
