"""The link's page in a real browser, on the deployed stack with its sandbox."""

import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from typing import Any

import pytest
from playwright.sync_api import Page, Request, Route, expect

from tests.e2e.browser import DESKTOP, PHONE, PHONE_AGENT, SCHEMES, SMALLEST, STATES, Visit
from tests.e2e.deployed import Deployed, encodings

type OpenWindow = Callable[..., Visit]

AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8")
ONE = [{"resource": "paymentMethod", "action": "read"}]
# What the link's maker reads when the page is in a state that ends the session.
ENDS = {
    "done": ("complete", None),
    "failed-login": ("failed", "LOGIN_FAILED"),
    "failed-operation": ("failed", "AUTOMATION_ERROR"),
    "failed-data": ("failed", "RESULT_VALIDATION_ERROR"),
    "failed-connection": ("failed", "CONNECTION_FAILED"),
    "failed-outcome-unknown": ("failed", "OUTCOME_UNKNOWN"),
    "stopped": ("failed", "USER_CANCELED"),
    "declined": ("failed", "USER_CANCELED"),
    "expired": ("expired", None),
    "canceled": ("canceled", None),
}


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
    assert user.page.url == f"{deployed.url}/{link['linkId']}"
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
    user.sees("All done")
    expect(user.page.locator("#done li small")).to_have_text(["Done"] * 3)
    user.page.wait_for_url(link["returnUrl"])
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
    assert "clm_" not in user.page.url


def test_a_write_whose_outcome_is_unknown_is_not_called_failed(visit: OpenWindow) -> None:
    user = visit()
    STATES["failed-outcome-unknown"](user)
    expect(user.page.locator("#failed li small")).to_have_text(["Not known"])


def violations(page: Page) -> list[str]:
    """What axe finds fault with, each with the elements that have it."""
    found = page.evaluate("axe.run().then(({violations}) => violations)")
    return [f"{fault['id']}: {json.dumps([node['html'] for node in fault['nodes']])}" for fault in found]


def test_the_keyboard_alone_is_enough(visit: OpenWindow) -> None:
    user = visit()
    user.open()
    keyboard = user.page.keyboard

    def reach(role: str, name: str) -> None:
        wanted = user.page.get_by_role(role, name=name, exact=True)  # type: ignore[arg-type] # an ARIA role
        for _ in range(8):
            keyboard.press("Tab")
            if wanted.evaluate("element => element === document.activeElement"):
                assert wanted.evaluate("element => getComputedStyle(element).outlineStyle") == "solid"
                return
        raise AssertionError(f"Tab does not reach {name}")

    reach("button", "Continue")
    keyboard.press("Enter")
    user.sees("Log in to T-Mobile")
    reach("textbox", "User name")
    keyboard.type("user_otp")
    reach("textbox", "Password")
    keyboard.type("pass_good")
    keyboard.press("Enter")
    user.sees("Enter the code that T-Mobile sent you")
    reach("button", "Cancel")
    keyboard.press("Enter")
    expect(user.page.get_by_role("dialog")).to_be_visible()
    keyboard.press("Escape")
    expect(user.page.get_by_role("dialog")).not_to_be_visible()
    user.page.locator("h1:visible").focus()
    reach("textbox", "One-time code")
    keyboard.type("123456")
    reach("button", "Confirm")
    keyboard.press("Space")
    user.sees("All done")
    reach("link", "Back to \u2068shop.example\u2069")
    keyboard.press("Enter")
    user.page.wait_for_url(user.link["returnUrl"])


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
    assert "code" not in user.page.url
    assert made == []
    user.press("Continue")
    user.sees("Log in to T-Mobile")
    user.page.reload()
    user.sees("Log in to T-Mobile")
    user.log_in("user_slow")
    user.sees("Working at T-Mobile")
    user.page.reload()
    user.sees("All done")
    user.page.wait_for_url(user.link["returnUrl"])
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
    expect(user.page.locator("#notice")).to_contain_text("no connection")
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
    notice = user.page.locator("#notice")
    expect(notice).to_contain_text("nothing was sent")
    expect(user.page.get_by_label("User name")).to_have_value("user_good")
    user.context.set_offline(False)
    user.press("Log in")
    user.sees("All done")
    expect(notice).to_be_empty()


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
    expect(user.page.locator("#notice")).to_contain_text("does not answer")
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
    refusal = {"issues": [{"path": "input.code", "message": "-", "code": "schema"}]}
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
    expect(user.page.locator(".fault")).to_have_text("Choose one.")
    user.page.get_by_label("E-mail").check()
    with user.page.expect_request("**/session/input") as sent:
        user.press("Continue")
    assert sent.value.post_data_json == {"challengeId": "chl_choice", "input": {"method": "mail"}}


def test_hostile_texts_stay_texts(visit: OpenWindow) -> None:
    hostile = '<img src=x onerror="document.title=1"><script>1</script>"\' \u202e' + "w" * 150
    user = visit(viewport=SMALLEST)
    user.agree()
    real = user.page.evaluate(
        "([path, token]) => fetch(path, {headers: {Authorization: `Bearer ${token}`}}).then(a => a.json())",
        ["link/session", user.page.evaluate("sessionStorage.getItem(sessionStorage.key(0))")],
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
