"""The link's page in a real browser, on the deployed stack with its sandbox."""

import json
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from typing import Any

import pytest
from playwright.sync_api import Frame, Page, Request, Route, expect

from tests.e2e.api import Api, Session
from tests.e2e.browser import DESKTOP, PHONE, PHONE_AGENT, SCHEMES, SMALLEST, STATES, WAIT, Visit
from tests.e2e.deployed import Deployed, encodings
from tests.e2e.test_faults import THROTTLED, faults

type OpenWindow = Callable[..., Visit]

AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8")
ONE = [{"resource": "paymentMethod", "action": "read"}]
# What the link's maker reads when the page is in a state that ends the session.
ENDS = {
    "done": ("complete", None),
    "failed-login": ("failed", "LOGIN_FAILED"),
    "failed-card-declined": ("failed", "AUTOMATION_ERROR"),
    "failed-operation": ("failed", "AUTOMATION_ERROR"),
    "failed-data": ("failed", "RESULT_VALIDATION_ERROR"),
    "failed-connection": ("failed", "CONNECTION_FAILED"),
    "failed-outcome-unknown": ("failed", "OUTCOME_UNKNOWN"),
    "stopped": ("failed", "USER_CANCELED"),
    "declined": ("failed", "USER_CANCELED"),
    "expired": ("expired", None),
    "canceled": ("canceled", None),
    "canceled-in-session": ("canceled", None),
    "stopped-in-a-write": ("failed", "OUTCOME_UNKNOWN"),
    "done-elsewhere": ("complete", None),
}
# Before the claim the code is in the address, so that the link can be copied and opened elsewhere.
UNCLAIMED = {"consent", "incomplete", "unknown", "away"}


def claims(visit: Visit) -> list[Request]:
    """The claims that this window makes from here on."""
    seen: list[Request] = []
    visit.page.on("request", lambda request: seen.append(request) if "/link/claim" in request.url else None)
    return seen


@pytest.mark.parametrize(
    "window",
    [{"viewport": PHONE, "user_agent": PHONE_AGENT}, {"viewport": DESKTOP}],
    ids=["phone", "desktop"],
)
def test_a_link_leads_through_login_code_and_operations_back_to_its_maker(
    visit: OpenWindow, deployed: Deployed, window: dict[str, Any]
) -> None:
    user = visit(**window)
    link = user.create()
    user.open()
    user.sees("Connect your T-Mobile account")
    assert user.page.url == link["appClipUrl"]
    expect(user.page.get_by_role("img", name="QR code")).to_have_count(0 if "user_agent" in window else 1)
    expect(user.page.locator("#consent li")).to_have_text(
        [
            "Read your saved payment methods",
            "Save a new card as your payment method",
            "Read your mobile billing statements",
        ]
    )
    assert user.status() == "pending"
    user.press("Continue")
    user.log_in("user_otp")
    user.sees("Enter the code that T-Mobile sent you")
    user.enter_code("123 456")
    assert user.page.url == f"{deployed.url}/{link['linkId']}"
    user.sees("All done")
    expect(user.page.locator("#done li small")).to_have_text(["Done"] * 3)
    user.page.wait_for_url(f"{link['returnUrl']}&status=complete")
    assert user.status() == "complete"
    printed = deployed.printed()
    assert link["linkId"] in printed
    for text in encodings(link["claimCode"]):
        assert text not in printed


@pytest.mark.parametrize("state", STATES)
def test_every_state_is_for_everyone(visit: OpenWindow, state: str) -> None:
    user = visit(viewport=DESKTOP)
    complaints: list[str] = []
    user.page.on("console", lambda message: complaints.append(message.text))
    user.page.on("pageerror", lambda error: complaints.append(str(error)))
    STATES[state](user)
    user.page.evaluate(AXE)
    if state in ENDS:
        read = user.deployed.api.get(f"/v1/links/{user.link['linkId']}").json
        assert (read["status"], read["error"] and read["error"]["code"]) == ENDS[state]
    for viewport in (DESKTOP, PHONE, SMALLEST):
        user.page.set_viewport_size(viewport)
        assert user.page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
        for scheme in SCHEMES:
            user.page.emulate_media(color_scheme=scheme)
            assert violations(user.page) == []
    # The browser itself notes each answer that is no success; the page gives it nothing else to note.
    assert [text for text in complaints if not text.startswith("Failed to load resource")] == []
    assert state in UNCLAIMED or "clm_" not in user.page.url


def test_a_write_whose_outcome_is_unknown_is_not_called_failed(visit: OpenWindow) -> None:
    user = visit()
    STATES["failed-outcome-unknown"](user)
    expect(user.page.locator("#failed li small")).to_have_text(["Not known"])


def violations(page: Page | Frame) -> list[str]:
    """What axe finds fault with, each with the elements that have it."""
    found = page.evaluate("axe.run().then(({violations}) => violations)")
    return [f"{fault['id']}: {json.dumps([node['html'] for node in fault['nodes']])}" for fault in found]


def test_the_keyboard_alone_is_enough(visit: OpenWindow) -> None:
    user = visit()
    user.open()
    keyboard = user.page.keyboard
    user.tab_to("button", "Continue")
    keyboard.press("Enter")
    user.sees("Log in to T-Mobile")
    user.tab_to("textbox", "User name")
    keyboard.type("user_otp")
    user.tab_to("textbox", "Password")
    keyboard.type("pass_good")
    keyboard.press("Enter")
    user.sees("Enter the code that T-Mobile sent you")
    user.tab_to("button", "Cancel")
    keyboard.press("Enter")
    expect(user.page.get_by_role("dialog")).to_be_visible()
    keyboard.press("Escape")
    expect(user.page.get_by_role("dialog")).not_to_be_visible()
    user.page.locator("h1:visible").focus()
    user.tab_to("textbox", "One-time code")
    keyboard.type("123456")
    user.tab_to("button", "Confirm")
    keyboard.press("Space")
    user.sees("All done")
    user.tab_to("link", "Back to \u2068shop.example\u2069")
    keyboard.press("Enter")
    user.page.wait_for_url(f"{user.link['returnUrl']}&status=complete")


def test_a_new_view_is_announced_by_its_heading_and_the_title(visit: OpenWindow) -> None:
    user = visit()
    user.agree()
    expect(user.page.locator("h1:visible")).to_be_focused()
    expect(user.page).to_have_title("Log in to T-Mobile – Latchkey")


def test_five_hundred_looks_leave_the_link_claimable(visit: OpenWindow, deployed: Deployed) -> None:
    link = visit().create()
    path = link["appClipUrl"].removeprefix(deployed.url)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: deployed.api.request(["GET", "HEAD"][n % 2], path), range(500)))
    assert {answer.status for answer in answers} == {200}
    assert {bool(answer.text) for answer in answers[1::2]} == {False}
    assert deployed.link(link["linkId"])["status"] == "pending"
    claimed = deployed.api.claim(link["claimCode"])
    assert claimed.status == 200


def test_a_reload_goes_on_where_it_was(visit: OpenWindow) -> None:
    user = visit()
    user.open(operations=ONE)
    made = claims(user)
    user.page.reload()
    user.sees("Connect your T-Mobile account")
    assert made == []
    user.press("Continue")
    user.sees("Log in to T-Mobile")
    user.page.reload()
    user.sees("Log in to T-Mobile")
    user.log_in("user_slow")
    user.sees("Working at T-Mobile")
    user.page.reload()
    user.sees("All done")
    user.page.wait_for_url(f"{user.link['returnUrl']}&status=complete")
    user.page.go_back()
    user.sees("All done")
    expect(user.page.get_by_role("link", name="Back to")).to_be_visible()
    # Whoever comes back is not sent away again.
    expect(user.page.locator("#soon")).to_be_hidden()
    assert len(made) == 1


def test_a_second_window_finds_the_link_used_and_does_not_disturb_the_first(visit: OpenWindow) -> None:
    first, second = visit(), visit()
    second.link = first.create()
    first.open()
    second.open()
    first.press("Continue")
    first.sees("Log in to T-Mobile")
    second.page.route("**/link/status", lambda route: route.abort())
    second.press("Continue")
    second.sees("This link has already been used")
    expect(second.page.get_by_role("link", name="Back to shop.example")).to_be_visible()
    first.log_in("user_good")
    first.sees("All done")


def test_pressing_twice_claims_once_and_sends_once(visit: OpenWindow) -> None:
    user = visit()
    user.open()
    made = claims(user)
    user.page.get_by_role("button", name="Continue").dblclick()
    user.sees("Log in to T-Mobile")
    assert len(made) == 1


@pytest.mark.parametrize("again", ["press", "reload"])
def test_a_claim_whose_answer_was_lost_is_made_again(visit: OpenWindow, again: str) -> None:
    def lose_answer(route: Route) -> None:
        assert route.fetch().status == 200
        route.abort()

    user = visit()
    user.open()
    user.page.route("**/link/claim", lose_answer)
    user.press("Continue")
    user.noticed("The service cannot be reached right now. Try again in a moment.")
    user.page.unroute_all()
    if again == "press":
        user.press("Continue")
    else:
        user.page.reload()
    user.sees("Log in to T-Mobile")


def test_a_lost_network_is_told_and_nothing_typed_is_lost(visit: OpenWindow) -> None:
    user = visit()
    user.agree()
    user.context.set_offline(True)
    user.log_in("user_good")
    user.noticed("There is no connection. This page goes on by itself when it is back.")
    expect(user.page.get_by_label("User name")).to_have_value("user_good")
    user.context.set_offline(False)
    user.noticed("It did not arrive. Please send it once more.")
    user.press("Log in")
    user.sees("All done")
    expect(user.page.locator("#notice")).to_be_empty()


def test_a_session_goes_on_by_itself_when_the_network_is_back(visit: OpenWindow) -> None:
    user = visit()
    user.agree(operations=ONE)
    user.log_in("user_slow")
    user.sees("Working at T-Mobile")
    user.context.set_offline(True)
    expect(user.page.locator("#notice")).to_contain_text("no connection")
    user.context.set_offline(False)
    user.sees("All done")


def test_a_service_that_is_away_can_be_tried_again(visit: OpenWindow) -> None:
    user = visit()
    user.open()
    user.page.route("**/link/claim", lambda route: route.fulfill(status=503, json={}))
    user.press("Continue")
    user.noticed("The service cannot be reached right now. Try again in a moment.")
    user.page.unroute_all()
    user.press("Continue")
    user.sees("Log in to T-Mobile")


def test_a_fault_in_what_was_typed_is_told_at_its_field(visit: OpenWindow) -> None:
    user = visit()
    user.agree()
    user.press("Log in")
    name, password = user.page.get_by_label("User name"), user.page.get_by_label("Password", exact=True)
    expect(name).to_be_focused()
    expect(name).to_have_accessible_description(re.compile("Fill this in"))
    user.log_in("user_otp")
    user.sees("Enter the code that T-Mobile sent you")
    assert "pass_good" not in user.page.content()
    user.enter_code("12345")
    expect(user.page.get_by_label("One-time code")).to_have_attribute("aria-invalid", "true")
    # What the page lets through, the service may still refuse.
    issue = {"path": "input.code", "message": "-", "code": "schema"}
    refusal = {"error": "Validation failed", "code": "validation_failed", "requestId": "-", "issues": [issue]}
    user.page.route("**/session/input", lambda route: route.fulfill(status=400, json=refusal))
    user.enter_code("123456")
    expect(user.page.get_by_label("One-time code")).to_have_accessible_description(re.compile("right form"))
    assert password.count() == 0


def test_browsers_are_told_what_to_fill_in(visit: OpenWindow) -> None:
    user = visit()
    user.agree()
    expect(user.page.get_by_label("User name")).to_have_attribute("autocomplete", "username")
    password = user.page.get_by_label("Password", exact=True)
    expect(password).to_have_attribute("autocomplete", "current-password")
    expect(password).to_have_attribute("type", "password")
    user.press("Show Password")
    expect(password).to_have_attribute("type", "text")
    user.log_in("user_otp")
    code = user.page.get_by_label("One-time code")
    expect(code).to_have_attribute("autocomplete", "one-time-code")
    expect(code).to_have_attribute("inputmode", "numeric")


def test_a_choice_is_sent_as_its_constant(visit: OpenWindow) -> None:
    user = visit()
    STATES["choice"](user)
    user.press("Continue")
    expect(user.page.locator("#fields .fault")).to_have_text("Choose one.")
    user.page.get_by_label("E-mail").check()
    with user.page.expect_request("**/session/input") as sent:
        user.press("Continue")
    assert json.loads(sent.value.post_data or "")["input"] == {"way": "email"}


def test_actions_are_taken_by_keyboard_and_a_new_code_is_news_and_no_fault(visit: OpenWindow) -> None:
    user = visit()
    STATES["code-with-actions"](user)
    message = user.page.locator("#message")
    user.page.get_by_role("button", name="Send a new code").focus()
    user.page.keyboard.press("Enter")
    expect(message).to_have_text("A new code is on its way")
    expect(message).not_to_have_class("fault")  # which is red
    code = user.page.get_by_label("One-time code")
    expect(code).to_be_focused()
    expect(code).to_have_accessible_description(re.compile("^A new code is on its way"))
    user.enter_code("000000")
    expect(message).to_have_text("That code is wrong: try again (2 left)")
    expect(message).to_have_class("fault")
    user.sees("Enter the code that T-Mobile sent you")
    expect(user.page.locator("#until")).to_have_text(re.compile("^You have until "))
    user.press("Choose another way")
    expect(user.page.get_by_label("E-mail")).to_be_checked()
    user.press("Continue")
    user.enter_code("123456")
    user.sees("All done")


def test_a_wait_needs_nothing_typed_and_goes_by_itself(visit: OpenWindow) -> None:
    user = visit()
    user.agree()
    user.log_in("user_wait")
    user.sees("Approve the login in the app of T-Mobile")
    expect(user.page.locator("#send")).to_be_hidden()
    expect(user.page.locator("#until")).to_have_text(
        re.compile("^When it is done, this page goes on by itself. ")
    )
    user.sees("All done")


def test_news_of_a_wait_are_announced_and_leave_the_keyboard_where_it_is(visit: OpenWindow) -> None:
    user = visit()
    STATES["waiting"](user)
    action = user.page.get_by_role("button", name="Send me a code instead")
    action.focus()
    user.page.unroute("**/link/session")
    user.change_session(
        status="awaiting_input", challenge=WAIT | {"message": "We have asked your phone again"}
    )
    expect(user.page.locator("#live")).to_have_text("We have asked your phone again")
    expect(user.page.locator("#message")).to_have_text("We have asked your phone again")
    expect(action).to_be_focused()
    with user.page.expect_request("**/session/input") as sent:
        user.page.keyboard.press("Enter")
    assert sent.value.post_data_json == {"challengeId": "chl_wait", "action": "by_code"}


def test_a_code_for_a_card_says_what_for_and_is_no_second_try_of_the_logins(visit: OpenWindow) -> None:
    user = visit()
    STATES["step-up"](user)
    unseen = "[\u2060\u2068\u2069]*"
    expect(user.page.locator("#task")).to_have_text(
        re.compile(f"^Needed for: {unseen}Save a new card as your payment method{unseen}$")
    )
    expect(user.page.locator("#message")).to_be_empty()
    user.enter_code("000000")
    expect(user.page.locator("#message")).to_have_text("That code is wrong: try again (2 left)")
    user.enter_code("123456")
    user.sees("All done")


def test_a_reason_is_told_in_a_sentence_of_the_page(visit: OpenWindow) -> None:
    user = visit()
    STATES["failed-card-declined"](user)
    expect(user.page.locator("#failed h1 + p")).to_contain_text("did not accept the card")


def test_hostile_texts_stay_texts(visit: OpenWindow) -> None:
    hostile = '<img src=x onerror="document.title=1"><script>1</script>"\' \u202e' + "w" * 150
    user = visit(viewport=SMALLEST)
    user.agree()
    real = user.page.evaluate(
        "([path, token]) => fetch(path, {headers: {Authorization: `Bearer ${token}`}}).then(a => a.json())",
        ["link/session", user.page.evaluate("localStorage.getItem(`${location.pathname.slice(1)} token`)")],
    )
    field = {"type": "string", "title": hostile, "description": hostile, "pattern": "(", "maxLength": 10}
    pick = {"type": "string", "title": hostile, "oneOf": [{"const": hostile, "title": hostile}]}
    schema = {"type": "object", "properties": {"one": field, "two": pick}, "required": ["one", "two"]}
    challenge = {"id": "x", "type": "choice", "title": hostile, "schema": schema}
    operations = [operation | {"description": hostile} for operation in real["operations"]]
    names = {"integration": {"id": "tmobile", "name": hostile}, "operations": operations}
    user.change_session(challenge=challenge, **names)
    heading = user.page.locator("#ask h1")
    expect(heading).to_have_text(hostile)
    expect(user.page.locator("#fields label:not(.choice), legend, .hint, .choice span")).to_have_text(
        [hostile] * 4
    )
    fits(user)
    user.page.unroute_all()
    user.change_session(challenge=None, status="complete", **names)
    expect(user.page.locator("#done li span")).to_have_text([hostile] * 3)
    fits(user)


def fits(user: Visit) -> None:
    assert user.page.evaluate("document.documentElement.scrollWidth") <= SMALLEST["width"]
    assert user.page.locator("main img, main script").count() == 0


# --- What is not the service's own -----------------------------------------------------------------

NOT_OURS: dict[str, dict[str, Any]] = {
    "a firewall's 403": {"status": 403, "content_type": "text/html", "body": "<h1>Forbidden</h1>"},
    "a proxy's 200": {"status": 200, "content_type": "text/html", "body": "<h1>Log in to the hotel</h1>"},
    "another's JSON": {"status": 200, "json": {"ok": True}},
    "another's 401": {"status": 401, "json": {"message": "Unauthorized"}},
    "the gateway's 404": {"status": 404, "json": {"message": "Not Found"}},
    "an empty 204": {"status": 204, "body": ""},
    "JSON that is no object": {"status": 200, "json": [None]},
}


@pytest.mark.parametrize("odd", NOT_OURS)
def test_an_odd_answer_ends_nothing_and_loses_nothing(visit: OpenWindow, odd: str) -> None:
    def answer_oddly(route: Route) -> None:
        route.fulfill(**NOT_OURS[odd])

    user = visit()
    user.open(operations=ONE)
    user.page.route("**/link/claim", answer_oddly)
    user.press("Continue")
    user.noticed("The service cannot be reached right now. Try again in a moment.")
    assert user.page.url == user.link["appClipUrl"]
    user.page.unroute_all()
    user.press("Continue")
    user.sees("Log in to T-Mobile")
    user.page.route("**/link/session", answer_oddly)
    user.noticed("The service cannot be reached right now. Trying again…")
    user.page.unroute_all()
    expect(user.page.locator("#notice")).to_be_empty(timeout=20_000)
    user.page.route("**/link/session/input", answer_oddly)
    user.log_in("user_slow")
    user.noticed("It did not arrive. Please send it once more.")
    expect(user.page.get_by_label("User name")).to_have_value("user_slow")
    expect(user.page.get_by_label("Password", exact=True)).to_have_value("pass_good")
    user.page.unroute_all()
    user.page.route("**/link/session/cancel", answer_oddly)
    user.press("Cancel")
    user.press("Stop and cancel")
    user.noticed("This was not canceled. Please try once more.")
    user.page.unroute_all()
    user.press("Log in")
    user.sees("All done")


def test_an_answer_that_is_lost_on_its_way_is_not_sent_again(visit: OpenWindow) -> None:
    sent = []

    def lose_answer(route: Route) -> None:
        sent.append(route.fetch().status)
        route.abort()

    user = visit()
    user.agree(operations=ONE)
    user.page.route("**/link/session/input", lose_answer)
    user.log_in("user_good")
    user.noticed("It is not known whether that arrived. Asking…")
    user.sees("All done")
    assert sent == [202]


@pytest.mark.parametrize("asked", ["Wed, 21 Oct 2026 07:28:00 GMT", "-1", "soon", "999999999999", "0"])
def test_no_retry_after_makes_the_page_ask_without_pause(visit: OpenWindow, asked: str) -> None:
    user = visit()
    user.agree()
    times: list[float] = []

    def refuse(route: Route) -> None:
        times.append(time.monotonic())
        route.fulfill(status=503, headers={"Retry-After": asked}, json={})

    user.page.route("**/link/session", refuse)
    user.noticed("The service cannot be reached right now. Trying again…")
    user.page.wait_for_timeout(3000)
    assert len(times) <= 3
    user.page.unroute_all()


# --- What the browser keeps ------------------------------------------------------------------------

NO_STORAGE = """for (const kind of ["localStorage", "sessionStorage"])
  Object.defineProperty(window, kind, {get() { throw new DOMException("refused", "SecurityError"); }});"""
FULL_STORAGE = "Storage.prototype.setItem = () => { throw new DOMException('full', 'QuotaExceededError'); };"
FORGETFUL = "setInterval(() => { localStorage.clear(); sessionStorage.clear(); }, 20);"


@pytest.mark.parametrize("trouble", [NO_STORAGE, FULL_STORAGE, FORGETFUL], ids=["none", "full", "cleared"])
def test_a_browser_that_keeps_nothing_comes_through(visit: OpenWindow, trouble: str) -> None:
    user = visit()
    user.context.add_init_script(trouble)
    user.agree()
    user.log_in("user_good")
    user.sees("All done")


def test_a_prerendered_page_claims_nothing_and_loses_nothing(visit: OpenWindow) -> None:
    user = visit()
    user.context.add_init_script(
        "let ahead = true; Object.defineProperty(document, 'prerendering', {get: () => ahead});"
        "window.activate = () => { ahead = false; document.dispatchEvent(new Event('prerenderingchange')); };"
    )
    asked: list[str] = []
    user.page.on("request", lambda request: asked.append(request.url) if "/link/" in request.url else None)
    user.open()
    user.page.wait_for_timeout(4500)
    assert asked == []
    user.page.evaluate("activate()")
    user.press("Continue")
    user.sees("Log in to T-Mobile")


def test_a_link_goes_on_in_any_tab_of_its_browser_until_its_end(visit: OpenWindow) -> None:
    user = visit()
    user.agree(operations=ONE)
    other = user.context.new_page()
    other.goto(user.link["appClipUrl"])
    other.get_by_label("Password", exact=True).wait_for()
    assert "clm_" not in other.url
    user.log_in("user_good")
    user.sees("All done")
    user.page.goto("about:blank")
    expect(other.locator("h1:visible")).to_have_text("All done", timeout=20_000)
    late = user.context.new_page()
    late.goto(user.link["appClipUrl"])
    expect(late.locator("h1:visible")).to_have_text("This link has already been used")


def test_a_page_whose_link_is_erased_says_that_it_is_over(visit: OpenWindow) -> None:
    user = visit()
    user.agree(operations=ONE)
    erased = user.deployed.api.request("DELETE", f"/v1/links/{user.link['linkId']}")
    assert erased.status == 200
    user.sees("Latchkey canceled this request")
    assert not user.page.evaluate("Object.keys(localStorage).length + Object.keys(sessionStorage).length")


def test_a_tab_that_waits_goes_on_when_another_of_its_browser_claims(visit: OpenWindow) -> None:
    user = visit()
    user.open()
    other = user.context.new_page()
    other.goto(user.link["appClipUrl"])
    user.page.bring_to_front()
    user.press("Continue")
    other.get_by_label("Password", exact=True).wait_for()


# --- The address -----------------------------------------------------------------------------------


def test_a_code_that_is_cut_off_is_told_once_and_not_reloaded(visit: OpenWindow) -> None:
    user = visit()
    address = user.create()["appClipUrl"][:-1]
    loads: list[str] = []
    user.page.on("request", lambda r: loads.append(r.url) if r.resource_type == "document" else None)
    with faults(user.deployed, THROTTLED | {"operation": "GetItem"}):
        user.page.goto(address)
    user.sees("We cannot be reached at the moment")
    user.press("Try again")
    user.sees("This link is not complete")
    user.page.wait_for_timeout(1000)
    assert len(loads) == 2


@pytest.mark.parametrize("tail", [".", ")", "?utm_source=mail", "&code={}"])
def test_what_mails_add_to_an_address_does_no_harm(visit: OpenWindow, tail: str) -> None:
    user = visit()
    link = user.create()
    user.page.goto(link["appClipUrl"] + tail.replace("{}", link["claimCode"]))
    user.press("Continue")
    user.sees("Log in to T-Mobile")


# --- What is typed ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "code", ["١٢٣٤٥٦", "۱۲۳۴۵۶", "１２３４５６", "123-456", "1 2 3 4 5 6", "\u200e123456\u202c", "१२३ ४५६"]
)
def test_a_code_is_meant_whatever_its_digits_and_separators(visit: OpenWindow, code: str) -> None:
    user = visit()
    STATES["code"](user)
    user.enter_code(code)
    user.sees("All done")


def sent_by(user: Visit, button: str) -> Any:
    """The input that a press sends, which goes no further."""
    user.page.route("**/session/input", lambda route: route.abort())
    with user.page.expect_request("**/session/input") as sent:
        user.press(button)
    body: Any = sent.value.post_data_json
    return body["input"]


def test_what_is_invisible_is_left_out_but_never_of_a_password(visit: OpenWindow) -> None:
    user = visit()
    user.agree()
    user.page.get_by_label("User name").fill("\u202duser\u00ad_good\u202c\ufeff ")
    user.page.get_by_label("Password", exact=True).fill(" \u202dpäss\u200b١ ")
    assert sent_by(user, "Log in") == {"username": "user_good", "password": " \u202dpäss\u200b١ "}


def asks(user: Visit, type_: str, **fields: dict[str, Any]) -> None:
    """Let the service ask for these fields."""
    properties = {
        name: {"type": "string", "title": name, "maxLength": 40} | field for name, field in fields.items()
    }
    schema = {"type": "object", "properties": properties, "required": list(fields)}
    challenge = {"id": f"chl_{type_}", "type": type_, "title": "Now this", "schema": schema}
    user.change_session(status="awaiting_input", challenge=challenge)
    user.sees("Now this")


def told(user: Visit, *names: str) -> dict[str, list[str | None]]:
    """Keypad, autocomplete and type of each field."""
    fields = {name: user.page.get_by_label(name, exact=True) for name in names}
    attributes = ("inputmode", "autocomplete", "type")
    return {name: [field.get_attribute(a) for a in attributes] for name, field in fields.items()}


def test_each_field_is_told_what_it_takes(visit: OpenWindow) -> None:
    user = visit()
    user.agree()
    asks(
        user,
        "otp",
        letters={"pattern": "^[A-Z]{6}$", "writeOnly": True},
        phone={},
        pin={"format": "password", "pattern": "^[0-9]{4}$"},
    )
    told = {
        name: [
            user.page.get_by_label(name, exact=True).get_attribute(a)
            for a in ("inputmode", "autocomplete", "type")
        ]
        for name in ("letters", "phone", "pin")
    }
    assert told == {
        "letters": [None, "one-time-code", "text"],
        "phone": [None, "off", "text"],
        "pin": ["numeric", "off", "password"],
    }
    user.page.get_by_label("letters").fill("abc-def")
    user.press("Confirm")
    expect(user.page.get_by_label("letters")).to_have_attribute("aria-invalid", "true")
    user.page.get_by_label("letters").fill("ABC-DEF")
    user.page.get_by_label("phone").fill("My new phone")
    user.page.get_by_label("pin", exact=True).fill("1234")
    assert sent_by(user, "Confirm") == {"letters": "ABCDEF", "phone": "My new phone", "pin": "1234"}


def test_only_the_first_text_of_a_login_is_its_user_name(visit: OpenWindow) -> None:
    user = visit()
    user.agree()
    asks(user, "login", account={}, postcode={"pattern": "^[0-9]{5}$"}, secret={"format": "password"})
    told = {
        name: [
            user.page.get_by_label(name, exact=True).get_attribute(a) for a in ("inputmode", "autocomplete")
        ]
        for name in ("account", "postcode", "secret")
    }
    assert told == {
        "account": [None, "username"],
        "postcode": ["numeric", "off"],
        "secret": [None, "current-password"],
    }


def test_a_wrong_password_keeps_the_heading_and_the_user_name(visit: OpenWindow) -> None:
    user = visit()
    STATES["login-refused"](user)
    user.sees("Log in to T-Mobile")
    expect(user.page.get_by_label("User name")).to_have_value("user_bad")
    expect(user.page.get_by_label("Password", exact=True)).to_have_value("")
    expect(user.page.get_by_label("Password", exact=True)).to_be_focused()


# --- Browsers of all kinds -------------------------------------------------------------------------


def test_the_qr_code_can_be_read_in_forced_colours(visit: OpenWindow) -> None:
    user = visit(viewport=DESKTOP, forced_colors="active", color_scheme="dark")
    user.open()
    colours = user.page.locator(".scan svg path").evaluate(
        "path => [getComputedStyle(path).stroke, getComputedStyle(path.closest('div')).backgroundColor]"
    )
    assert colours == ["rgb(0, 0, 0)", "rgb(255, 255, 255)"]


OLDER = """delete String.prototype.replaceAll; delete String.prototype.at; delete Array.prototype.at;
delete Object.hasOwn; delete window.structuredClone; delete Array.prototype.findLast;"""


def test_a_browser_of_five_years_ago_comes_through(visit: OpenWindow) -> None:
    user = visit()
    user.context.add_init_script(OLDER)
    user.agree(operations=ONE)
    user.log_in("user_good")
    user.sees("All done")
    expect(user.page.locator("#old")).to_have_count(0)


def test_a_browser_that_cannot_read_the_script_is_told_to_be_too_old(visit: OpenWindow) -> None:
    def spoil(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, body=answer.text().replace('"use strict";', "let let;"))

    user = visit()
    user.page.route("**/link_*", spoil)
    user.open()
    expect(user.page.locator("#old")).to_be_visible()


# --- The way back, and other devices ---------------------------------------------------------------


@pytest.mark.parametrize("way", ["link", "reload", "stay"])
def test_who_wants_to_be_here_is_not_sent_away(visit: OpenWindow, way: str) -> None:
    user = visit()
    STATES["done-return-to-site" if way == "stay" else "login"](user)
    if way != "stay":
        user.log_in("user_good")
        user.sees("All done")
    if way == "link":
        user.page.get_by_role("link", name="Back to").click()
        user.page.wait_for_url("https://shop.example/**")
        user.page.go_back()
    else:
        user.page.reload()
    user.sees("All done")
    user.page.wait_for_timeout(5000)
    assert user.page.url.startswith(user.deployed.url)
    expect(user.page.locator("#soon")).to_be_hidden()


def test_a_desktop_page_follows_the_link_that_its_code_opened_elsewhere(visit: OpenWindow) -> None:
    user = visit(viewport=DESKTOP)
    user.open()
    token = user.claim_elsewhere()
    claimed = time.monotonic()
    user.sees("This goes on on your other device")
    assert time.monotonic() - claimed < 5
    assert "clm_" not in user.page.url
    Session(Api(user.deployed.url, token), user.link["linkId"]).play("user_good")
    user.sees("All done")
    user.page.wait_for_url(f"{user.link['returnUrl']}&status=complete")


@pytest.mark.parametrize("viewport", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_the_card_keeps_its_place(visit: OpenWindow, viewport: Any) -> None:
    user = visit(viewport=viewport)

    def top() -> float:
        box = user.page.locator(".card").bounding_box()
        assert box
        return box["y"]

    user.open()
    tops = [top()]
    user.press("Continue")
    user.sees("Log in to T-Mobile")
    tops.append(top())
    user.log_in("user_slow")
    user.sees("Working at T-Mobile")
    tops.append(top())
    user.sees("All done")
    tops.append(top())
    assert len(set(tops)) == 1


def test_a_browser_in_spanish_is_spoken_to_in_spanish(visit: OpenWindow) -> None:
    user = visit(locale="es-MX")
    user.language = "es"
    user.open()
    user.sees("Conecta tu cuenta de T-Mobile")
    expect(user.page.locator("#consent li").first).to_have_text("Leer tus métodos de pago guardados")
    user.press("Continue")
    user.log_in("user_op2_fails")
    user.sees("Algo ha salido mal en T-Mobile")
    expect(user.page.locator("#failed li small")).to_have_text(["Hecho", "Ha fallado", "Sin hacer"])
