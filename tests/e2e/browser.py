"""The link's page in a browser: one visit of it, and the way into each of its states."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

from playwright.sync_api import (
    Browser,
    BrowserContext,
    Frame,
    Page,
    Route,
    ViewportSize,
    expect,
    sync_playwright,
)

from tests.e2e.api import Api, Session, founding
from tests.e2e.deployed import Deployed
from tests.e2e.test_faults import THROTTLED, faults
from tests.template import ROOT

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
QUIET = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"]
# As root, as in a container, Chromium starts without its sandbox or not at all.
FLAGS = ["--no-sandbox", "--disable-gpu", *QUIET]

PHONE: ViewportSize = {"width": 390, "height": 844}
DESKTOP: ViewportSize = {"width": 1280, "height": 900}
SMALLEST: ViewportSize = {"width": 320, "height": 640}
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
PHONE_AGENT = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148 Safari/604.1"
)
RETURN_URL = "https://shop.example/done?cart=1"


@contextmanager
def chromium() -> Iterator[Browser]:
    """The machine's own Chromium, headless."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


TEXTS: dict[str, dict[str, dict[str, str]]] = {
    file.stem: json.loads(file.read_text("utf-8"))
    for file in (ROOT / "functions/link_page/texts").glob("*.json")
}


def in_language(language: str, text: str) -> str:
    """What the page says in a language where it says `text` in English; a text of others stays as it is."""
    for part in ("page", "script"):
        for name, english in TEXTS["en"][part].items():
            pattern = re.sub(r"\\{(\w+)\\}", r"(?P<\1>.+)", re.escape(english))
            if found := re.fullmatch(pattern, text):
                return TEXTS[language][part][name].format(**found.groupdict())
    return text


class Visit:
    """A user with a link and a browser window of their own.

    With a `host`, the origin of a site such as `a_site`, the link's page is in a frame of that one's.
    """

    def __init__(
        self, context: BrowserContext, deployed: Deployed, language: str = "en", host: str | None = None
    ) -> None:
        self.context = context
        self.deployed = deployed
        self.language = language
        self.host = host
        self.page: Page = context.new_page()
        self.shown: Page | Frame = self.page  # where the link's page is
        self.page.set_default_timeout(20_000)
        # Where the user is sent back to; nothing else outside is ever asked for.
        context.route(re.compile(r"https://"), answer_returned)
        self.link: dict[str, Any] = {}

    def create(self, **changes: Any) -> dict[str, Any]:
        """Make a link as its maker would: three operations, and a way back."""
        operations = [
            {"resource": "paymentMethod", "action": "read"},
            founding()["operations"][1],
            {"resource": "mobileBillingStatement", "action": "read"},
        ]
        embedding = {"embedOrigins": [self.host]} if self.host else {}
        body = founding(**{"operations": operations, "returnUrl": RETURN_URL} | embedding | changes)
        answer = self.deployed.api.create({name: value for name, value in body.items() if value is not None})
        assert answer.status == 201, answer.text
        self.link = answer.json
        return self.link

    def open(self, **changes: Any) -> None:
        self.show((self.link or self.create(**changes))["appClipUrl"])

    def show(self, address: str) -> None:
        if self.host is None:
            self.page.goto(address)
            return
        self.page.goto(self.host)
        self.page.evaluate("address => embed(address)", address)
        frame = self.page.locator("iframe").element_handle().content_frame()
        assert frame
        frame.wait_for_load_state()
        self.shown = frame

    def heard(self) -> list[dict[str, Any]]:
        """What the host's window was told so far."""
        messages: list[dict[str, Any]] = self.page.evaluate("heard")
        return messages

    def press(self, name: str) -> None:
        self.shown.get_by_role("button", name=self.said(name), exact=True).click()

    def tab_to(self, role: str, name: str) -> None:
        """Press Tab until the element has the focus, and shows it."""
        wanted = self.shown.get_by_role(role, name=name, exact=True)  # type: ignore[arg-type] # an ARIA role
        for _ in range(8):
            self.page.keyboard.press("Tab")
            if wanted.evaluate("element => element === document.activeElement"):
                assert wanted.evaluate("element => getComputedStyle(element).outlineStyle") == "solid"
                return
        raise AssertionError(f"Tab does not reach {name}")

    def said(self, text: str) -> str:
        return in_language(self.language, text)

    def noticed(self, text: str) -> None:
        """Wait until the page's notice says this."""
        expect(self.shown.locator("#notice")).to_have_text(self.said(text), timeout=20_000)

    def sees(self, heading: str) -> None:
        """Wait until the page's one visible heading says this, signs that show nothing aside."""
        unseen = "[\u2060\u2068\u2069]*"
        text = re.compile(f"^{unseen}{unseen.join(map(re.escape, self.said(heading)))}{unseen}$")
        expect(self.shown.locator("h1:visible")).to_have_text(text, timeout=20_000)

    def agree(self, **changes: Any) -> None:
        self.open(**changes)
        self.press("Continue")
        self.shown.get_by_label("Password", exact=True).wait_for()

    def log_in(self, user: str, password: str = "pass_good") -> None:
        self.shown.get_by_label("User name").fill(user)
        self.shown.get_by_label("Password", exact=True).fill(password)
        self.press("Log in")

    def enter_code(self, code: str) -> None:
        self.shown.locator("input[autocomplete=one-time-code]").fill(code)
        self.press("Confirm")

    def change_session(self, **changes: Any) -> None:
        """Let the service's next answers about the session differ from the real ones in these members."""

        def answer(route: Route) -> None:
            real = route.fetch()
            route.fulfill(response=real, json=real.json() | changes)

        self.page.route("**/link/session", answer)

    def claim_elsewhere(self) -> str:
        """Claim the link with another device; returns its client token."""
        token: str = self.deployed.api.claim(self.link["claimCode"]).json["clientToken"]
        return token

    def status(self) -> str:
        """The link's state, as its maker reads it."""
        status: str = self.deployed.api.get(f"/v1/links/{self.link['linkId']}").json["status"]
        return status


def answer_returned(route: Route) -> None:
    route.fulfill(status=200, content_type="text/html", body="<title>Returned</title><h1>Returned</h1>")


# The sandbox's lasts for five seconds.
WAIT = {
    "id": "chl_wait",
    "type": "wait",
    "title": "Approve the login in the app of T-Mobile",
    "schema": {"type": "object", "properties": {}, "additionalProperties": False},
    "actions": [{"id": "by_code", "title": "Send me a code instead"}],
}


def login(visit: Visit) -> None:
    visit.agree()


def login_refused(visit: Visit) -> None:
    visit.agree()
    visit.log_in("user_bad")
    expect(visit.shown.locator("#message")).to_have_text(
        "That user name and password do not match: try again (2 left)"
    )


def fields_left_empty(visit: Visit) -> None:
    visit.agree()
    visit.press("Log in")


def one_time_code(visit: Visit) -> None:
    visit.agree()
    visit.log_in("user_otp")
    visit.shown.locator("input[autocomplete=one-time-code]").wait_for()


def code_refused(visit: Visit) -> None:
    one_time_code(visit)
    visit.enter_code("000000")
    expect(visit.shown.locator("#message")).to_have_text("That code is wrong: try again (2 left)")


def choice(visit: Visit) -> None:
    visit.agree()
    visit.log_in("user_choice")
    visit.sees("Where shall T-Mobile send the code?")


def code_with_actions(visit: Visit) -> None:
    choice(visit)
    visit.shown.get_by_label("E-mail to u***@example.com").check()
    visit.press("Continue")
    visit.shown.locator("input[autocomplete=one-time-code]").wait_for()


def code_sent_again(visit: Visit) -> None:
    code_with_actions(visit)
    visit.press("Send a new code")
    expect(visit.shown.locator("#message")).to_have_text("A new code is on its way")


def waiting(visit: Visit, **changes: Any) -> None:
    visit.open()
    visit.change_session(status="awaiting_input", challenge=WAIT | changes)
    visit.press("Continue")
    visit.sees("Approve the login in the app of T-Mobile")


def step_up(visit: Visit) -> None:
    visit.agree()
    visit.log_in("user_step_up")
    visit.sees("Enter the code that T-Mobile sent you, to save the card")


def step_up_refused(visit: Visit) -> None:
    step_up(visit)
    visit.enter_code("000000")
    expect(visit.shown.locator("#message")).to_have_text("That code is wrong: try again (2 left)")


def working(visit: Visit) -> None:
    visit.agree()
    visit.log_in("user_slow")
    expect(visit.shown.locator("#working li[data-status=succeeded]")).to_have_count(1, timeout=20_000)


def about_to_cancel(visit: Visit) -> None:
    visit.agree()
    visit.press("Cancel")


def ends(user: str, heading: str, **changes: Any) -> Callable[[Visit], None]:
    def way(visit: Visit) -> None:
        visit.agree(**changes)
        visit.log_in(user)
        visit.sees(heading)

    return way


def done_then_stay(visit: Visit) -> None:
    ends("user_good", "All done")(visit)
    visit.press("Stay here")


def times_out(visit: Visit) -> None:
    visit.agree()
    error = {"code": "CLIENT_TIMEOUT", "reason": None}
    operation = {"resource": "paymentMethod", "action": "read", "description": "-", "status": "skipped"}
    visit.change_session(status="failed", challenge=None, error=error, operations=[operation])
    visit.sees("Time ran out")


def stopped(visit: Visit) -> None:
    about_to_cancel(visit)
    visit.press("Stop and cancel")
    visit.sees("You stopped here")


def declined(visit: Visit) -> None:
    visit.open()
    visit.press("No, thanks")
    visit.sees("You stopped here")


def used(visit: Visit) -> None:
    visit.create()
    visit.deployed.api.claim(visit.link["claimCode"])
    visit.open()


def expired(visit: Visit) -> None:
    visit.create(expiresIn=1)
    while visit.status() != "expired":
        pass
    visit.open()


def canceled(visit: Visit) -> None:
    visit.create()
    visit.deployed.api.cancel(visit.link["linkId"])
    visit.open()


def incomplete(visit: Visit) -> None:
    visit.show(f"{visit.deployed.url}/{visit.create()['linkId']}")


def unknown(visit: Visit) -> None:
    visit.show(f"{visit.deployed.url}/link_{'0' * 22}?code=clm_{'0' * 22}")


def away(visit: Visit) -> None:
    visit.create()
    with faults(visit.deployed, THROTTLED | {"operation": "GetItem"}):
        visit.open()
    visit.sees("We cannot be reached at the moment")


def away_in_session(visit: Visit) -> None:
    visit.agree()
    visit.page.route("**/link/session", lambda route: route.fulfill(status=503, json={}))
    visit.noticed("The service cannot be reached right now. Trying again…")


def offline(visit: Visit) -> None:
    visit.agree()
    visit.context.set_offline(True)
    visit.noticed("There is no connection. This page goes on by itself when it is back.")


def canceled_in_session(visit: Visit) -> None:
    visit.agree()
    visit.deployed.api.cancel(visit.link["linkId"])
    visit.sees("Latchkey canceled this request")


def stopped_in_a_write(visit: Visit) -> None:
    visit.agree(operations=founding()["operations"][1:])
    visit.log_in("user_slow")
    visit.sees("Working at T-Mobile")
    visit.press("Cancel")
    visit.press("Stop and cancel")
    visit.sees("Please check your T-Mobile account")


def elsewhere(visit: Visit) -> None:
    visit.open()
    visit.deployed.api.claim(visit.link["claimCode"])
    visit.sees("This goes on on your other device")


def done_elsewhere(visit: Visit) -> None:
    visit.open(returnUrl="myapp://callback")
    Session(Api(visit.deployed.url, visit.claim_elsewhere()), visit.link["linkId"]).play("user_good")
    visit.sees("All done")


def not_sent(visit: Visit) -> None:
    visit.agree()
    visit.page.route("**/session/input", lambda route: route.abort())
    visit.log_in("user_good")
    visit.noticed("It did not arrive. Please send it once more.")


STATES: dict[str, Callable[[Visit], None]] = {
    "consent": Visit.open,
    "login": login,
    "login-refused": login_refused,
    "login-empty": fields_left_empty,
    "code": one_time_code,
    "code-refused": code_refused,
    "choice": choice,
    "code-with-actions": code_with_actions,
    "code-sent-again": code_sent_again,
    "waiting": waiting,
    "step-up": step_up,
    "step-up-refused": step_up_refused,
    "working": working,
    "about-to-cancel": about_to_cancel,
    "done": ends("user_good", "All done", returnUrl=None),
    "done-return-to-site": done_then_stay,
    "done-return-to-app": ends("user_good", "All done", returnUrl="myapp://callback"),
    "failed-login": ends("user_locked", "T-Mobile did not accept the login"),
    "failed-card-declined": ends("user_declined", "Something went wrong at T-Mobile"),
    "failed-operation": ends("user_op2_fails", "Something went wrong at T-Mobile"),
    "failed-data": ends("user_bad_data", "Something went wrong at T-Mobile"),
    "failed-connection": ends("user_down", "T-Mobile cannot be reached"),
    "failed-outcome-unknown": ends(
        "user_crash",
        "Please check your T-Mobile account",
        operations=founding()["operations"][1:],
    ),
    "failed-time-out": times_out,
    "stopped": stopped,
    "declined": declined,
    "used": used,
    "expired": expired,
    "canceled": canceled,
    "canceled-in-session": canceled_in_session,
    "stopped-in-a-write": stopped_in_a_write,
    "elsewhere": elsewhere,
    "done-elsewhere": done_elsewhere,
    "not-sent": not_sent,
    "incomplete": incomplete,
    "unknown": unknown,
    "away": away,
    "away-in-session": away_in_session,
    "offline": offline,
}

# Those that are looked at in a frame too: one of each view, and where it differs most.
FRAMED = (
    *("consent", "login-refused", "choice", "code-with-actions", "waiting", "working", "about-to-cancel"),
    *("done", "done-return-to-app", "failed-card-declined", "stopped", "used", "canceled", "elsewhere"),
    *("incomplete", "away-in-session"),
)
