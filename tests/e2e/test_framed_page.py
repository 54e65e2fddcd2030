"""The link's page in a frame or a popup of another origin's page: who may show it, and what it tells whom."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Frame, Page, Route, expect

from tests.e2e.api import eventually
from tests.e2e.browser import DESKTOP, FRAMED, SCHEMES, SMALLEST, STATES, Visit
from tests.e2e.deployed import encodings
from tests.e2e.sites import a_site
from tests.e2e.test_link_page import AXE, NO_STORAGE, ONE, violations
from tests.unit.test_urls import ORIGINS

type OpenWindow = Callable[..., Visit]


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with a_site() as port:
        yield port


@pytest.fixture
def host(port: int) -> str:
    """The origin of the site that may show the page."""
    return f"http://localhost:{port}"


def told(user: Visit, kind: str) -> list[dict[str, Any]]:
    return [message for message in user.heard() if message["latchkey"] == kind]


def steps(user: Visit) -> list[str]:
    """The steps that the host knows of, in order."""
    return [message["step"] for message in user.heard() if "step" in message]


def hears(user: Visit, kind: str) -> dict[str, Any]:
    """Wait until the host was told this; its last message of the kind."""
    return eventually(lambda: told(user, kind))[-1]


# --- Who may show it -------------------------------------------------------------------------------


def is_refused(user: Visit, origin: str) -> bool:
    """Whether the browser shows a page of that origin an error in place of the link's page."""
    user.page.goto(origin)
    with user.page.expect_response(lambda answer: "/link_" in answer.url):
        user.page.evaluate("address => embed(address)", user.link["appClipUrl"])
    frame = user.page.locator("iframe").element_handle().content_frame()
    assert frame
    frame.wait_for_load_state()
    refused = frame.url.startswith("chrome-error:")
    assert refused or frame.locator("#consent h1").is_visible()
    return refused


def test_only_the_links_origins_may_frame_it(visit: OpenWindow, host: str, port: int) -> None:
    user = visit()
    user.create(embedOrigins=[host, "https://shop.example"])
    with a_site() as other_port:
        assert not is_refused(user, host)
        assert is_refused(user, f"http://127.0.0.1:{port}")
        assert is_refused(user, f"http://localhost:{other_port}")
    user.create()
    assert is_refused(user, host)
    STATES["expired"](user := visit(host=host))
    assert user.shown.url.startswith("chrome-error:")


def test_a_frame_whose_link_is_erased_says_that_it_is_over(visit: OpenWindow, host: str) -> None:
    user = visit(host=host)
    user.agree(operations=ONE)
    assert user.deployed.api.request("DELETE", f"/v1/links/{user.link['linkId']}").status == 200
    user.sees("Latchkey canceled this request")
    eventually(lambda: steps(user)[-1] == "ended")


@pytest.mark.parametrize("origin", ORIGINS)
def test_a_browser_writes_the_origins_that_are_taken_as_they_are(browser: Browser, origin: str) -> None:
    with browser.new_context() as context:
        assert context.new_page().evaluate("text => new URL(text).origin", origin) == origin


# --- What it tells ---------------------------------------------------------------------------------


def test_a_frames_host_is_told_each_step_and_no_secret(visit: OpenWindow, host: str) -> None:
    user = visit(host=host)
    user.agree()
    user.log_in("user_choice")
    user.sees("Where shall T-Mobile send the code?")
    user.shown.get_by_label("E-mail").check()
    user.press("Continue")
    user.enter_code("000000")
    expect(user.shown.locator("#message")).to_contain_text("That code is wrong")
    user.enter_code("123456")
    user.sees("All done")
    hears(user, "close")
    asked = [step for step in steps(user) if step != "working"]
    assert asked == ["consent", "login", "choice", "otp", "otp", "ended"]
    assert steps(user)[:3] == ["consent", "working", "login"]
    members = {
        "ready": {"origin", "latchkey", "linkId", "step", "height"},
        "step": {"origin", "latchkey", "linkId", "step"},
        "size": {"origin", "latchkey", "linkId", "height"},
        "close": {"origin", "latchkey", "linkId"},
    }
    for message in user.heard():
        assert message.keys() == members[message["latchkey"]]
        assert (message["origin"], message["linkId"]) == (user.deployed.url, user.link["linkId"])
    said = json.dumps(user.heard())
    assert "ct_" not in said  # the client token
    for secret in (user.link["claimCode"], "user_choice", "pass_good", "123456", "T-Mobile"):
        assert not [text for text in encodings(secret) if text in said]


def test_a_frame_tells_its_height_as_it_grows_and_shrinks(visit: OpenWindow, host: str) -> None:
    user = visit(host=host, viewport=SMALLEST)
    user.open()
    before = hears(user, "ready")["height"]
    user.press("Continue")
    user.shown.get_by_label("Password", exact=True).wait_for()
    user.press("Log in")  # two faults more to show

    def fits() -> bool:
        return bool(user.shown.evaluate("document.documentElement.scrollHeight === innerHeight"))

    eventually(fits)
    grown = told(user, "size")[-1]["height"]
    user.log_in("user_wait")
    user.sees("Approve the login in the app of T-Mobile")
    eventually(fits)
    assert told(user, "size")[-1]["height"] < grown
    assert before == user.heard()[0]["height"]


def test_a_frame_goes_nowhere_by_itself_and_asks_its_host_to_close_it(visit: OpenWindow, host: str) -> None:
    user = visit(host=host)
    user.agree(operations=ONE)
    user.log_in("user_good")
    user.sees("All done")
    expect(user.shown.locator("#back")).to_be_hidden()
    expect(user.shown.locator("#stay")).to_be_hidden()  # its host closes it sooner
    hears(user, "close")
    assert (user.page.url, user.shown.url) == (f"{host}/", f"{user.deployed.url}/{user.link['linkId']}")
    user.press("Close")
    eventually(lambda: len(told(user, "close")) == 2)


def test_escape_asks_to_close_unless_there_is_a_question_to_close(visit: OpenWindow, host: str) -> None:
    user = visit(host=host)
    user.agree()
    user.press("Cancel")
    user.page.keyboard.press("Escape")
    expect(user.shown.get_by_role("dialog")).not_to_be_visible()
    assert told(user, "close") == []
    user.page.keyboard.press("Escape")
    hears(user, "close")
    assert user.status() == "active"


@pytest.mark.parametrize("trouble", ["", NO_STORAGE], ids=["partitioned", "refused"])
def test_a_session_goes_on_when_its_frame_is_loaded_again(visit: OpenWindow, host: str, trouble: str) -> None:
    user = visit(host=host)
    user.context.add_init_script(trouble)
    user.agree(operations=ONE)
    user.shown.evaluate("location.reload()")
    eventually(lambda: len(told(user, "ready")) == 2)
    user.sees("Log in to T-Mobile")
    user.log_in("user_good")
    user.sees("All done")


# --- Whom it tells nothing -------------------------------------------------------------------------

LISTENS = "window.came = []; addEventListener('message', ({ origin }) => came.push(origin));"


def came(view: Page | Frame, count: int) -> list[str]:
    """Wait until so many messages have come to a window that listens; where they came from."""
    view.wait_for_function(f"came.length === {count}", timeout=20_000)
    origins: list[str] = view.evaluate("came")
    return origins


def test_no_frame_beside_it_is_answered_whatever_its_origin(visit: OpenWindow, host: str, port: int) -> None:
    user = visit(host=host)
    user.context.add_init_script(LISTENS)
    user.open()
    hears(user, "ready")
    forgers = []
    for origin in (f"http://127.0.0.1:{port}", host):
        user.page.evaluate("address => embed(address)", f"{origin}/")
        frame = user.page.locator("iframe").last.element_handle().content_frame()
        assert frame
        frame.wait_for_load_state()
        forgers.append(frame)
        frame.evaluate("address => hello(parent.frames[0], address)", user.deployed.url)
    came(user.shown, 3)
    user.press("Continue")
    eventually(lambda: "login" in steps(user))
    for frame in forgers:
        assert {message["latchkey"] for message in frame.evaluate("heard")} == {"hello"}  # its host's


@pytest.mark.parametrize(
    "message",
    ["null", "'hello'", "{}", "{latchkey: 'close'}", "{latchkey: ['hello']}", "['latchkey', 'hello']"],
)
def test_what_is_no_hello_is_not_answered(visit: OpenWindow, host: str, message: str) -> None:
    user = visit(host=host)
    user.context.add_init_script(LISTENS)
    faults: list[str] = []
    user.page.on("pageerror", lambda error: faults.append(str(error)))
    user.open()
    hears(user, "ready")
    user.page.evaluate(f"frames[0].postMessage({message}, '*')")
    came(user.shown, 2)
    assert len(told(user, "ready")) == 1
    assert faults == []
    expect(user.shown.locator("#consent h1")).to_be_visible()


# --- In a popup ------------------------------------------------------------------------------------

HELLO = "address => hello(popup, address)"


def open_popup(user: Visit, origin: str) -> None:
    """Show the link's page in a popup that a page of this origin opens."""
    user.page.goto(origin)
    with user.page.expect_popup() as popup:
        user.page.evaluate("address => { window.popup = open(address); }", user.link["appClipUrl"])
    user.shown = popup.value
    user.sees("Connect your T-Mobile account")


def test_a_popups_opener_is_told_and_sees_it_close(visit: OpenWindow, host: str) -> None:
    user = visit()
    user.create(embedOrigins=[host], operations=ONE)
    open_popup(user, host)
    user.page.evaluate(HELLO, user.deployed.url)
    assert hears(user, "ready")["step"] == "consent"
    user.press("Continue")
    user.log_in("user_good")
    user.sees("All done")
    assert not user.page.evaluate("popup.closed")
    user.press("Stay here")
    assert user.shown.url == f"{user.deployed.url}/{user.link['linkId']}"
    user.press("Close")
    eventually(lambda: user.page.evaluate("popup.closed"))
    hears(user, "close")
    assert told(user, "size") == []


def test_a_popup_that_nobody_greets_leads_back_as_any_page_does(visit: OpenWindow, host: str) -> None:
    user = visit()
    user.create(embedOrigins=[host], operations=ONE)
    open_popup(user, host)
    user.press("Continue")
    user.log_in("user_good")
    user.sees("All done")
    expect(user.shown.get_by_role("button", name="Close")).to_be_hidden()
    user.shown.wait_for_url(f"{user.link['returnUrl']}&status=complete")
    assert user.heard() == []


def test_a_page_that_nobody_may_embed_is_cut_off_from_its_opener(visit: OpenWindow, host: str) -> None:
    user = visit()
    user.create()
    open_popup(user, host)
    eventually(lambda: user.page.evaluate("popup.closed"))
    assert user.shown.evaluate("opener") is None


def test_an_opener_of_another_origin_is_not_answered(visit: OpenWindow, host: str, port: int) -> None:
    user = visit()
    user.context.add_init_script(LISTENS)
    user.create(embedOrigins=[host])
    open_popup(user, foreign := f"http://127.0.0.1:{port}")
    user.page.evaluate(HELLO, user.deployed.url)
    assert came(user.shown, 1) == [foreign]
    user.press("Continue")
    user.sees("Log in to T-Mobile")
    assert user.heard() == []


def test_an_opener_that_has_left_for_another_origin_is_told_no_more(
    visit: OpenWindow, host: str, port: int
) -> None:
    user = visit()
    user.create(embedOrigins=[host])
    open_popup(user, host)
    user.page.evaluate(HELLO, user.deployed.url)
    hears(user, "ready")
    foreign = f"http://127.0.0.1:{port}/"
    user.page.evaluate("address => { location = address; }", foreign)
    user.page.wait_for_url(foreign)
    user.press("Continue")
    user.sees("Log in to T-Mobile")
    assert not user.shown.evaluate("opener.closed")
    assert user.heard() == []


# --- How it looks and is used in a frame -----------------------------------------------------------


@pytest.mark.parametrize("state", FRAMED)
def test_every_view_in_a_frame_is_for_everyone(visit: OpenWindow, host: str, state: str) -> None:
    user = visit(host=host, viewport=DESKTOP)
    STATES[state](user)
    for part in ("header .brand", "#back", ".scan", "#close"):
        for found in user.shown.locator(part).all():
            expect(found).to_be_hidden()
    user.shown.evaluate(AXE)
    for viewport in (DESKTOP, SMALLEST):
        user.page.set_viewport_size(viewport)
        assert user.shown.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
        for scheme in SCHEMES:
            user.page.emulate_media(color_scheme=scheme)
            assert violations(user.shown) == []


def test_a_link_in_the_footer_does_not_take_the_frame(visit: OpenWindow, host: str) -> None:
    def add_a_link(route: Route) -> None:
        answer = route.fetch()
        link = '<footer><a href="https://www.example.com/privacy">Privacy</a>'
        route.fulfill(response=answer, body=answer.text().replace("<footer>", link))

    user = visit(host=host)
    user.page.route("**/link_*", add_a_link)
    user.open()
    with user.context.expect_page() as opened:
        user.shown.get_by_role("link", name="Privacy").click()
    assert opened.value.url == "https://www.example.com/privacy"
    expect(user.shown.locator("#consent h1")).to_be_visible()


def test_in_a_frame_the_keyboard_alone_is_enough(visit: OpenWindow, host: str) -> None:
    user = visit(host=host)
    user.open(operations=ONE)
    keyboard = user.page.keyboard
    user.tab_to("button", "Continue")
    keyboard.press("Enter")
    user.sees("Log in to T-Mobile")
    user.tab_to("textbox", "User name")
    keyboard.type("user_locked")
    user.tab_to("textbox", "Password")
    keyboard.type("pass_good")
    keyboard.press("Enter")
    user.sees("T-Mobile did not accept the login")
    user.tab_to("button", "Close")
    keyboard.press("Enter")
    hears(user, "close")


def test_a_frame_speaks_its_users_language(visit: OpenWindow, host: str) -> None:
    user = visit(host=host, locale="es-MX")
    user.language = "es"
    user.open()
    user.press("No, thanks")
    user.sees("You stopped here")
    user.press("Close")
    hears(user, "close")
