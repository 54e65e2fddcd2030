"""The script that opens a link from another page, in Chromium, beside a stand-in for the service."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from playwright.sync_api import Browser, Frame, Page, ViewportSize, expect

from tests.e2e import api
from tests.e2e.api import eventually
from tests.e2e.browser import CHROMIUM, DESKTOP, FLAGS, PHONE, SCHEMES, SMALLEST
from tests.e2e.deployed import Deployed
from tests.e2e.embedding import Host, HostSite, Service, serving
from tests.e2e.firefox import FIREFOX, Firefox, firefox
from tests.e2e.test_link_page import AXE, violations

type OpenHost = Callable[..., Host]

WIDEST: ViewportSize = {"width": 1920, "height": 1080}
MODES = ("dialog", "popup", "redirect")
ENDS: dict[str, dict[str, Any] | None] = {
    "complete": None,
    "failed": {"code": "LOGIN_FAILED", "reason": "account_locked"},
    "canceled": None,
    "expired": None,
}


@pytest.fixture(scope="module")
def window(browser: Browser) -> Iterator[Browser]:
    """A browser as users have it: it keeps pages that were left, and blocks popups."""
    kept = ["--disable-back-forward-cache", "--disable-popup-blocking"]
    browser = browser.browser_type.launch(executable_path=CHROMIUM, args=FLAGS, ignore_default_args=kept)
    yield browser
    browser.close()


@pytest.fixture
def service() -> Iterator[Service]:
    service = Service()
    with serving("127.0.0.1", service):
        yield service


@pytest.fixture
def host(window: Browser, service: Service) -> Iterator[OpenHost]:
    """Opens a page of another site that has the script; its policy is kept."""
    with ExitStack() as opened:
        site = HostSite(service.url)
        opened.enter_context(serving("localhost", site))

        def open_host(path: str = "/", *, clock: bool = False, **settings: Any) -> Host:
            context = window.new_context(**{"viewport": DESKTOP, "locale": "en-US"} | settings)
            opened.callback(context.close)
            if clock:
                context.clock.install()
            made = Host(context, site.url, path)
            hosts.append(made)
            return made

        hosts: list[Host] = []
        yield open_host
        assert [value for host in hosts for name, value in host.told if name == "violation"] == []


@pytest.mark.parametrize("status", ENDS)
@pytest.mark.parametrize("mode", MODES)
def test_each_mode_tells_each_end_once(host: OpenHost, service: Service, mode: str, status: str) -> None:
    shop, link = host(), service.create()
    shop.open(link, mode)
    if mode == "redirect":
        shop.page.wait_for_url(link)
        service.end(link, status, ENDS[status])
        shop.page.goto(f"{shop.url}/done")
    else:
        shown = shop.shows(mode)
        service.end(link, status, ENDS[status])
        shown.evaluate("say('step', { step: 'ended' })")
        if mode == "dialog" and status != "complete":
            shown.evaluate("say('close')")  # it stays for as long as the user reads
    error = {} if status == "complete" else {"error": ENDS[status]}
    assert shop.ends() == {"linkId": service.id(link), "status": status, **error}
    expect(shop.page.locator("dialog")).to_have_count(0)
    shop.owes_nothing()


def escape(shop: Host) -> None:
    shop.page.get_by_role("button", name="Close").focus()
    shop.page.keyboard.press("Escape")


CLOSINGS: dict[str, tuple[str, Callable[[Host], None]]] = {
    "cross": ("dialog", lambda shop: shop.page.get_by_role("button", name="Close").click()),
    "escape": ("dialog", escape),
    "from the page": ("dialog", lambda shop: shop.shows("dialog").evaluate("say('close')")),
    "by the caller": ("dialog", lambda shop: shop.page.evaluate("link.close()")),
    "the popup's window": ("popup", lambda shop: shop.context.pages[-1].close()),
    "from the popup's page": ("popup", lambda shop: shop.shows("popup").evaluate("say('close')")),
    "the popup by the caller": ("popup", lambda shop: shop.page.evaluate("link.close()")),
}


@pytest.mark.parametrize("way", CLOSINGS)
def test_who_leaves_before_the_end_is_told_closed_once(host: OpenHost, service: Service, way: str) -> None:
    shop, link = host(), service.create()
    mode, close = CLOSINGS[way]
    shop.open(link, mode)
    shop.shows(mode)
    close(shop)
    assert shop.ends()["status"] == "closed"
    shop.has_no_popup()
    shop.page.evaluate("link.close()")
    shop.owes_nothing()


@pytest.mark.parametrize("mode", ["dialog", "popup"])
def test_an_end_that_nobody_told_of_goes_before_closing(host: OpenHost, service: Service, mode: str) -> None:
    shop, link = host(), service.create()
    shop.open(link, mode)
    shop.shows(mode)
    service.end(link, "complete")
    shop.page.evaluate("link.close()")
    assert shop.ends()["status"] == "complete"


def test_escape_asks_before_it_throws_away_a_session(host: OpenHost, service: Service) -> None:
    shop = host()
    shop.open(service.create(), "dialog")
    shown = shop.shows("dialog")
    shown.evaluate("say('step', { step: 'otp' })")
    assert shop.hears("onEvent", count=2)["step"] == "otp"
    question = shop.page.get_by_role("dialog", name="Leave before it is done?")
    for stay in ("Escape", "Enter", "Escape"):  # as often as it is asked
        escape(shop)
        expect(question).to_be_visible()
        shop.page.keyboard.press(stay)  # Enter is on "Keep going"
        expect(question).to_be_hidden()
    shown.evaluate("say('close')")
    question.get_by_role("button", name="Leave", exact=True).click()
    assert shop.ends()["status"] == "closed"


def test_a_second_link_closes_the_first(host: OpenHost, service: Service) -> None:
    shop, first, second = host(), service.create(), service.create()
    shop.open(first, "dialog")
    shop.shows("dialog")
    shop.page.evaluate("url => { options.url = url; document.getElementById('connect').click() }", second)
    assert shop.ends()["linkId"] in first
    expect(shop.page.locator("iframe")).to_have_count(1)
    shop.hears("onReady", count=2)
    service.end(first, "complete")  # which is no longer for this page to tell
    service.end(second, "complete")
    shop.page.frames[-1].evaluate("say('step', { step: 'ended' })")
    assert shop.ends(count=2) == {"linkId": shop.hears("onReady", count=2)["linkId"], "status": "complete"}


@pytest.mark.parametrize("refused", [True, False], ids=["refused", "silent"])
def test_a_frame_that_says_nothing_is_blocked(host: OpenHost, service: Service, refused: bool) -> None:
    service.refuses_frames, service.silent = refused, not refused
    shop = host(clock=True)
    shop.open(service.create(), "dialog")
    expect(shop.page.get_by_role("status")).to_have_text("One moment")
    shop.page.clock.run_for(7_500)
    expect(shop.page.locator("iframe")).to_have_count(1)
    shop.page.clock.run_for(1_000)
    assert shop.ends()["status"] == "blocked"


def test_auto_redirects_where_it_may_not_embed_and_on_small_screens(host: OpenHost, service: Service) -> None:
    shop, link = host(), service.create()
    shop.open(link, "auto")
    assert shop.shows("dialog").url == link
    service.refuses_frames = True
    for shop in (host(), host(viewport=PHONE)):
        link = service.create()
        shop.open(link, "auto")
        shop.page.wait_for_url(link)
        service.end(link, "complete")
        shop.page.goto(f"{shop.url}/done")
        assert shop.ends()["status"] == "complete"


def test_a_popup_that_the_browser_blocks_is_told(host: OpenHost, service: Service) -> None:
    shop = host()
    options = json.dumps({"url": service.create(), "mode": "popup"})
    shop.page.add_init_script(
        f"onload = () => {{ window.options = {options}; document.getElementById('connect').click() }}"
    )
    shop.page.reload()  # and nobody has clicked
    assert shop.ends()["status"] == "blocked"


def test_dialog_and_popup_open_in_the_click_that_makes_the_link(host: OpenHost, service: Service) -> None:
    for mode in ("dialog", "popup"):
        shop, link = host(), service.create()
        shop.page.evaluate(
            "window.options = { get url() { return new Promise((made) => { window.made = made }) } }"
        )
        shop.page.evaluate("mode => { options.mode = mode }", mode)
        shop.page.get_by_role("button", name="Connect").click()
        assert shop.page.evaluate("link.linkId") is None
        shop.page.evaluate("url => made(url)", link)
        assert shop.shows(mode).url == link


@pytest.mark.parametrize("mode", ["dialog", "popup"])
def test_what_is_no_link_is_invalid(host: OpenHost, service: Service, mode: str) -> None:
    shop, code = host(), service.create().partition("?")[2]
    addresses = (
        "undefined",
        "'javascript:alert(1)//link_1?code=clm_1'",
        f"'{service.url}/link_1'",
        f"'{service.url}/?{code}'",
        f"'{service.url}/link_1?code=clm_1'",  # the service knows no such code
        f"'{service.url}/link_1?{code}'",  # which is another link's
        "Promise.reject(new Error())",
    )
    for count, address in enumerate(addresses, 1):
        shop.page.evaluate(
            f"() => {{ window.options = {{ mode: '{mode}', get url() {{ return {address} }} }} }}"
        )
        shop.page.get_by_role("button", name="Connect").click()
        assert shop.ends(count=count)["status"] == "invalid"
        expect(shop.page.locator("dialog")).to_have_count(0)
        shop.has_no_popup()


FORGED = """([path, linkId]) => {
  const target = path.split(".").reduce((found, name) => found[name], window);
  for (const type of ["ready", "step", "size", "close", "complete"])
    target.postMessage({ latchkey: type, linkId, step: "ended", height: 9999, status: "complete" }, "*");
}"""


def test_messages_of_other_windows_and_origins_move_nothing(host: OpenHost, service: Service) -> None:
    service.silent = True
    shop, link = host(), service.create()
    link_id = service.id(link)

    def open_popup(mode: str) -> Page:
        with shop.context.expect_page() as opened:
            shop.open(link, mode)
        return opened.value

    popup = open_popup("popup")
    popup.wait_for_url(link)
    popup.evaluate("url => { setTimeout(() => { location = url; }); }", f"{shop.url}/plain")
    popup.wait_for_url("**/plain")  # the right window, and not the service's
    popup.evaluate(FORGED, ["opener", link_id])
    with shop.context.expect_page() as opened:
        shop.page.evaluate("url => { open(url) }", link)
    stranger = opened.value  # the service's, and not the window that was opened
    stranger.wait_for_url(link)
    stranger.evaluate(FORGED, ["opener", link_id])
    shop.page.evaluate(FORGED, ["self", link_id])
    asked = service.asked
    shop.page.evaluate("1")
    assert shop.told == [("pageshow", False)]
    assert service.asked == asked
    assert not popup.is_closed()


def test_what_the_page_itself_says_decides_nothing(host: OpenHost, service: Service) -> None:
    shop, link = host(), service.create()
    shop.open(link, "dialog")
    shown = shop.shows("dialog")
    shown.evaluate("say('step', { step: 'ended', status: 'complete' })")
    shown.evaluate("say('complete', { status: 'complete' })")
    shop.hears("onEvent", count=2)
    shop.page.wait_for_load_state("networkidle")
    service.end(link, "failed", ENDS["failed"])
    shown.evaluate("say('close')")
    assert shop.ends()["status"] == "failed"


@pytest.mark.parametrize("cut", ["host", "page"])
def test_a_popup_that_is_cut_off_ends_rightly(host: OpenHost, service: Service, cut: str) -> None:
    service.isolated = cut == "page"
    shop, link = host("/isolated" if cut == "host" else "/"), service.create()
    shop.open(link, "popup")
    popup = shop.context.pages[-1]
    popup.wait_for_url(link)
    shop.page.wait_for_load_state("networkidle")
    assert [name for name, _ in shop.told] == ["pageshow"]
    service.end(link, "failed", ENDS["failed"])
    assert shop.ends() == {"linkId": service.id(link), "status": "failed", "error": ENDS["failed"]}


def test_a_popup_that_is_cut_off_and_closed_is_the_callers_to_close(host: OpenHost, service: Service) -> None:
    shop, link = host("/isolated"), service.create()
    shop.open(link, "popup")
    shop.context.pages[-1].close()
    shop.page.evaluate("link.close()")
    assert shop.ends()["status"] == "closed"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("status", ["complete", "closed"])
def test_a_reload_loses_nothing_and_tells_nothing_twice(
    host: OpenHost, service: Service, mode: str, status: str
) -> None:
    shop, link = host(), service.create()
    shop.open(link, mode)
    if mode == "redirect":
        shop.page.wait_for_url(link)
        shop.page.goto(shop.url + "/done")
    else:
        shop.shows(mode)
        if status == "complete":
            service.end(link, status)
        shop.page.reload()
    assert shop.ends()["status"] == ("closed" if mode == "redirect" else status)
    shop.owes_nothing()


@pytest.mark.parametrize("status", ["complete", "closed"])
def test_who_comes_back_from_the_redirect_is_told_once(host: OpenHost, service: Service, status: str) -> None:
    shop, link = host(), service.create()
    shop.open(link, "redirect")
    shop.page.wait_for_url(link)
    if status == "complete":
        service.end(link, status)
    shop.page.go_back(wait_until="commit")
    assert shop.hears("pageshow", count=2) is True  # as it was left
    assert shop.ends()["status"] == status


def test_a_page_that_was_left_does_not_tell_what_another_has_told(host: OpenHost, service: Service) -> None:
    shop, link = host(), service.create()
    shop.open(link, "redirect")
    shop.page.wait_for_url(link)
    service.end(link, "complete")
    shop.page.goto(f"{shop.url}/done")
    shop.ends()
    shop.page.evaluate("setTimeout(() => history.go(-2))")
    assert shop.hears("pageshow", count=3) is True
    shop.page.wait_for_load_state("networkidle")
    shop.ends()


def test_a_dialog_goes_on_when_its_page_comes_back(host: OpenHost, service: Service) -> None:
    shop, link = host(), service.create()
    shop.open(link, "dialog")
    shop.shows("dialog")
    shop.page.goto(f"{shop.url}/plain")
    service.end(link, "expired")
    shop.page.go_back(wait_until="commit")
    shop.hears("pageshow", count=2)
    shop.page.get_by_role("button", name="Close").click()
    assert shop.ends()["status"] == "expired"


@pytest.mark.parametrize("mode", ["dialog", "popup"])
def test_who_was_offline_is_told_in_the_end(host: OpenHost, service: Service, mode: str) -> None:
    shop, link = host(), service.create()
    shop.open(link, mode)
    shown = shop.shows(mode)
    shop.context.set_offline(True)
    service.end(link, "complete")
    shown.evaluate("say('step', { step: 'ended' })")
    shop.hears("onEvent", count=2)
    shop.context.set_offline(False)
    assert shop.ends()["status"] == "complete"


def test_who_comes_back_while_the_service_is_away_is_told_when_it_answers(
    host: OpenHost, service: Service
) -> None:
    shop, link = host(clock=True), service.create()
    shop.open(link, "redirect")
    shop.page.wait_for_url(link)
    service.end(link, "complete")
    service.away = True
    shop.page.goto(f"{shop.url}/done")
    for asked in range(4):
        while service.asked <= asked:
            shop.page.clock.run_for(500)
    service.away = False
    shop.page.clock.run_for(30_000)
    assert shop.ends()["status"] == "complete"


def test_who_leaves_while_the_service_is_away_is_told_all_the_same(host: OpenHost, service: Service) -> None:
    shop = host(clock=True)
    shop.open(service.create(), "dialog")
    shop.shows("dialog")
    service.away = True
    shop.page.evaluate("link.close()")
    expect(shop.page.locator("iframe")).to_have_count(0)
    shop.page.clock.run_for(8_000)
    assert shop.ends()["status"] == "closed"


def test_the_service_is_asked_seldom(host: OpenHost, service: Service) -> None:
    shop = host(clock=True)
    shop.open(service.create(), "dialog")
    shop.shows("dialog")

    def asked_in_a_minute() -> int:
        before = service.asked
        for _ in range(60):
            shop.page.clock.run_for(1_000)
            # Which takes as long as the answer that the script may be waiting for.
            shop.page.evaluate("url => fetch(url + '/latchkey.js')", service.url)
        return service.asked - before

    assert 1 <= asked_in_a_minute() <= 9
    service.away = True
    assert 1 <= asked_in_a_minute() <= 6


def test_what_callbacks_throw_stops_nothing(host: OpenHost, service: Service) -> None:
    shop, link = host(), service.create()
    thrown: list[str] = []
    shop.page.on("pageerror", lambda error: thrown.append(error.message))
    shop.page.evaluate("window.options = { get onEvent() { return () => { throw Error('theirs') } } }")
    shop.page.evaluate("url => { options.url = url; options.mode = 'dialog' }", link)
    shop.page.get_by_role("button", name="Connect").click()
    shown = shop.shows("dialog")
    service.end(link, "complete")
    shown.evaluate("say('step', { step: 'ended' })")
    assert shop.ends()["status"] == "complete"
    assert thrown == ["theirs", "theirs"]


def test_a_dialog_is_for_everyone(host: OpenHost, service: Service) -> None:
    shop = host()
    shop.page.evaluate("document.body.style.height = '3000px'")
    shop.open(service.create(), "dialog", title="Connect T-Mobile")
    shop.shows("dialog").evaluate("say('size', { height: 700 })")
    dialog = shop.page.get_by_role("dialog", name="Connect T-Mobile")
    frame = dialog.locator("iframe")
    expect(frame).to_have_css("visibility", "visible")
    assert shop.page.evaluate("getComputedStyle(document.documentElement).overflow") == "hidden"
    shop.page.evaluate(AXE)
    landscape: ViewportSize = {"width": 844, "height": 390}
    for viewport in (SMALLEST, PHONE, landscape, DESKTOP, WIDEST):
        shop.page.set_viewport_size(viewport)
        for scheme in SCHEMES:
            shop.page.emulate_media(color_scheme=scheme)
            assert violations(shop.page) == []
        outside, inside = dialog.bounding_box(), frame.bounding_box()
        assert outside is not None
        assert inside is not None
        if viewport in (DESKTOP, WIDEST):
            assert (outside["width"], inside["height"]) == (496, 700)
        else:  # all of the screen
            assert outside == {"x": 0, "y": 0, **viewport}
        assert inside["y"] + inside["height"] <= outside["y"] + outside["height"] <= viewport["height"]
    shop.page.get_by_role("button", name="Close").click()
    assert shop.page.evaluate("getComputedStyle(document.documentElement).overflow") == "visible"


def test_focus_goes_into_the_page_stays_there_and_comes_back(host: OpenHost, service: Service) -> None:
    shop = host()
    shop.page.keyboard.press("Tab")
    shop.page.evaluate("options => { window.options = options }", {"url": service.create(), "mode": "dialog"})
    shop.page.keyboard.press("Enter")
    shown = shop.shows("dialog")
    assert shown.evaluate("document.hasFocus()")
    for keys, wanted in (("Shift+Tab", "button"), ("Tab", "iframe")):
        reached = None
        while reached != wanted:
            shop.page.keyboard.press(keys)
            reached = shop.page.evaluate(
                "document.activeElement.shadowRoot?.activeElement.localName ?? document.activeElement.id"
            )
            assert reached in ("", "iframe", "button")  # the empty one is the browser's
    escape(shop)
    assert shop.ends()["status"] == "closed"
    assert shop.page.evaluate("document.activeElement.id") == "connect"


@pytest.fixture(scope="module")
def fox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Firefox]:
    if FIREFOX is None:
        pytest.skip("no Firefox on this machine: install its package firefox-esr")
    with firefox(tmp_path_factory.mktemp("firefox")) as browser:
        yield browser


@pytest.fixture
def fox_opens(fox: Firefox, service: Service) -> Iterator[Callable[..., str]]:
    """Opens a link by a click, and gives its address."""
    site = HostSite(service.url)
    with serving("localhost", site):

        def opens(mode: str, path: str = "/", *, by_click: bool = True) -> str:
            link = service.create()
            fox.send("Navigate", url=site.url + path)
            fox.run("window.options = { url: arguments[0], mode: arguments[1] }", link, mode)
            if by_click:
                fox.click("#connect")
            else:
                fox.run("document.getElementById('connect').click()")
            return link

        yield opens
        assert fox.run("return told.filter(([name]) => name === 'violation')") == []


def fox_told(fox: Firefox, *names: str) -> list[Any]:
    def look() -> list[Any]:
        told: list[Any] = fox.run("return told.filter(([name]) => arguments[0].includes(name))", names)
        return told

    return eventually(look)


@pytest.mark.parametrize(
    ("mode", "status"),
    [("dialog", "failed"), ("dialog", "complete"), ("popup", "expired"), ("redirect", "canceled")],
)
def test_firefox_tells_each_end_once(
    fox: Firefox, fox_opens: Callable[..., str], service: Service, mode: str, status: str
) -> None:
    link = fox_opens(mode)
    if mode == "redirect":
        eventually(lambda: fox.send("GetCurrentURL") == link)
        service.end(link, status, ENDS[status])
        fox.send("Back")  # from Firefox's own cache of pages
    else:
        fox_told(fox, "onReady")
        service.end(link, status, ENDS[status])
        fox.run("link.close()")
    ((_, told),) = fox_told(fox, "onComplete", "onExit")
    error = {} if status == "complete" else {"error": ENDS[status]}
    assert told == {"linkId": service.id(link), "status": status, **error}
    fox.send("Refresh")
    assert fox.run("return told.filter(([name]) => name !== 'pageshow')") == []


def test_firefox_redirects_where_it_may_not_embed(
    fox: Firefox, fox_opens: Callable[..., str], service: Service
) -> None:
    service.refuses_frames = True
    link = fox_opens("auto")
    eventually(lambda: fox.send("GetCurrentURL") == link)
    fox.send("Back")
    ((_, told),) = fox_told(fox, "onComplete", "onExit")
    assert told["status"] == "closed"


def test_firefox_tells_the_end_of_a_popup_that_is_cut_off(
    fox: Firefox, fox_opens: Callable[..., str], service: Service
) -> None:
    link = fox_opens("popup", "/isolated")
    eventually(lambda: service.asked > 1)
    service.end(link, "complete")
    ((name, _),) = fox_told(fox, "onComplete", "onExit")
    assert name == "onComplete"
    fox.run("window.options = null")
    for window in fox.send("GetWindowHandles")[1:]:
        fox.send("SwitchToWindow", handle=window)
        fox.send("CloseWindow")
    fox.send("SwitchToWindow", handle=fox.send("GetWindowHandles")[0])


def test_firefox_tells_of_a_popup_that_it_blocks(fox: Firefox, fox_opens: Callable[..., str]) -> None:
    fox_opens("popup", by_click=False)
    ((_, told),) = fox_told(fox, "onComplete", "onExit")
    assert told["status"] == "blocked"


# --- On the deployed stack ---------------------------------------------------------------------------


@pytest.fixture
def shop(window: Browser, deployed: Deployed) -> Iterator[Host]:
    site = HostSite(deployed.url)
    with serving("localhost", site), window.new_context(viewport=DESKTOP, locale="en-US") as context:
        shop = Host(context, site.url)
        yield shop
        assert [value for name, value in shop.told if name == "violation"] == []


def create(shop: Host, deployed: Deployed, **changes: Any) -> dict[str, Any]:
    body = api.link(embedOrigins=[shop.url], returnUrl=f"{shop.url}/done") | changes
    answer = deployed.api.create({name: value for name, value in body.items() if value is not None})
    assert answer.status == 201, answer.text
    created: dict[str, Any] = answer.json
    return created


def play(shown: Page | Frame, user: str) -> None:
    shown.get_by_role("button", name="Continue", exact=True).click()
    shown.get_by_label("User name").fill(user)
    shown.get_by_label("Password", exact=True).fill("pass_good")
    shown.get_by_role("button", name="Log in").click()


@pytest.mark.parametrize("mode", MODES)
def test_a_user_completes_a_link_in_each_mode(shop: Host, deployed: Deployed, mode: str) -> None:
    made = create(shop, deployed)
    shop.open(made["appClipUrl"], mode)
    if mode == "redirect":
        shop.page.wait_for_url(made["appClipUrl"])
        play(shop.page, "user_good")
        shop.page.wait_for_url("**/done?*", timeout=30_000)
    else:
        play(shop.shows(mode), "user_good")
    assert shop.ends(seconds=30) == {"linkId": made["linkId"], "status": "complete"}
    assert deployed.api.link(made["linkId"])["status"] == "complete"
    if mode != "redirect":
        steps = [value["step"] for name, value in shop.told if name == "onEvent"]
        assert [steps[0], steps[-1]] == ["consent", "ended"]
        assert "login" in steps
        shop.page.wait_for_function("() => !document.querySelector('iframe')")
    assert not {"clm_", "ct_"} & {
        part for _, value in shop.told for part in re.findall(r"clm_|ct_", str(value))
    }


def test_a_user_reads_why_a_link_failed_before_the_dialog_closes(shop: Host, deployed: Deployed) -> None:
    made = create(shop, deployed)
    shop.open(made["appClipUrl"], "dialog")
    shown = shop.shows("dialog")
    play(shown, "user_locked")
    shown.get_by_role("button", name="Close", exact=True).click(timeout=30_000)
    told = shop.ends()
    assert (told["status"], told["error"]["code"]) == ("failed", "LOGIN_FAILED")


def test_who_says_no_is_not_asked_again(shop: Host, deployed: Deployed) -> None:
    shop.open(create(shop, deployed)["appClipUrl"], "dialog")
    shop.shows("dialog").get_by_role("button", name="No, thanks").click()
    told = shop.ends(seconds=30)
    assert (told["status"], told["error"]["code"]) == ("failed", "USER_CANCELED")


@pytest.mark.parametrize("status", ["canceled", "expired"])
def test_a_link_that_ends_while_it_is_shown_is_told(shop: Host, deployed: Deployed, status: str) -> None:
    made = create(shop, deployed)
    shop.open(made["appClipUrl"], "dialog")
    shown = shop.shows("dialog")
    if status == "canceled":
        deployed.api.cancel(made["linkId"])
    else:
        deployed.api.test(made["linkId"], "advance", until="expiry")
    shown.get_by_role("button", name="Close", exact=True).click(timeout=30_000)
    assert shop.ends() == {"linkId": made["linkId"], "status": status, "error": None}


def test_links_that_this_origin_may_not_show_are_redirected(shop: Host, deployed: Deployed) -> None:
    for origins in (None, ["https://other.example"]):
        made = create(shop, deployed, embedOrigins=origins)
        shop.open(made["appClipUrl"], "auto")
        shop.page.wait_for_url(made["appClipUrl"])
        shop.page.go_back(wait_until="commit")
    assert {value["status"] for name, value in shop.told if name == "onExit"} <= {"closed"}


def test_a_popup_of_a_link_without_origins_ends_rightly(shop: Host, deployed: Deployed) -> None:
    made = create(shop, deployed, embedOrigins=None)
    shop.open(made["appClipUrl"], "popup")
    play(shop.context.pages[-1], "user_good")
    assert shop.ends(seconds=30) == {"linkId": made["linkId"], "status": "complete"}


def test_the_keyboard_alone_is_enough_in_a_dialog(shop: Host, deployed: Deployed) -> None:
    made = create(shop, deployed)
    shop.page.evaluate("given => { window.options = given }", {"url": made["appClipUrl"], "mode": "dialog"})
    keyboard = shop.page.keyboard

    def reach(shown: Page | Frame, role: Any, name: str) -> None:
        wanted = shown.get_by_role(role, name=name, exact=True)
        for _ in range(12):
            if wanted.evaluate("element => element === document.activeElement && document.hasFocus()"):
                return
            keyboard.press("Tab")
        raise AssertionError(f"Tab does not reach {name}")

    reach(shop.page, "button", "Connect")
    keyboard.press("Enter")
    shown = shop.shows("dialog")
    reach(shown, "button", "Continue")
    keyboard.press("Enter")
    shown.get_by_label("User name").wait_for()
    keyboard.press("Escape")  # which the page hears, and the dialog asks
    expect(shop.page.get_by_role("dialog", name="Leave before it is done?")).to_be_visible()
    keyboard.press("Escape")
    reach(shown, "textbox", "User name")
    keyboard.type("user_good")
    reach(shown, "textbox", "Password")
    keyboard.type("pass_good")
    keyboard.press("Enter")
    assert shop.ends(seconds=30)["status"] == "complete"
    assert shop.page.evaluate("document.activeElement.id") == "connect"


def test_an_embedded_page_is_for_everyone(shop: Host, deployed: Deployed) -> None:
    shop.open(create(shop, deployed)["appClipUrl"], "dialog")
    shown = shop.shows("dialog")
    for login in (False, True):
        if login:
            shown.get_by_role("button", name="Continue", exact=True).click()
            shown.get_by_label("User name").wait_for()
        for viewport in (SMALLEST, PHONE, DESKTOP, WIDEST):
            shop.page.set_viewport_size(viewport)
            for part in (shop.page, shown):
                part.evaluate(AXE)
                assert violations(part) == []
            assert shown.evaluate("document.documentElement.scrollWidth <= innerWidth")
        frame = shop.page.locator("iframe")
        height = shown.evaluate("Math.ceil(document.documentElement.getBoundingClientRect().height)")
        expect(frame).to_have_css("height", f"{height}px")  # all of it is seen on a desktop
