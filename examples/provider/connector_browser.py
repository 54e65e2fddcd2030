"""A connector to Lark Mobile, the site of lark.py, by a browser."""

import os
import re

from latchkey_kit import Connector, Failed, Json, Session, ask

app = lambda_handler = Connector(os.environ.get("LARK_URL", "http://127.0.0.1:4900"))
REFUSED = re.compile(  # what a page says, by why it does
    "(?P<account_locked>is locked)|(?P<bad_credentials>was denied)|(?P<code_expired>Too many wrong)|"
    "(?P<terms_not_accepted>new terms)|(?P<card_declined>was declined)"
)


@app.start
@app.step
def go_on(s: Session) -> None:
    arrive(s)  # the page is opened anew in each call


@app.step
def login(s: Session, username: str, password: str) -> None:
    s.page.get_by_label("User name").fill(username)
    s.page.get_by_label("Password").fill(password)
    press(s, "Log in")
    arrive(s)


@app.step
def code(s: Session, code: str) -> Json | None:
    s.page.get_by_label("Code").fill(code)
    with s.submitting():
        press(s, "Go on")
    return arrive(s)


@app.step
def new_code(s: Session) -> None:
    press(s, "Send a new code")
    arrive(s)


def press(s: Session, name: str) -> None:
    """Press a button or a link, and wait for the page that comes."""
    with s.page.expect_navigation():
        s.page.get_by_role("button", name=name).or_(s.page.get_by_role("link", name=name)).click()


def arrive(s: Session) -> Json | None:
    """What a page means: a refusal, a question, a card that is saved, or else that the user is logged in."""
    if refused := REFUSED.search(s.page.inner_text("body")):
        raise Failed(refused.lastgroup)  # type: ignore[arg-type] # its groups are reasons
    if s.page.locator(".error").count():
        raise ask.again("That was not right: try again")
    match s.page.title().removesuffix(" - Lark Mobile"):
        case "Log in":
            raise ask.login("Log in to Lark Mobile")
        case "Enter the code":
            raise ask.otp("Enter the code from Lark", then=code, actions={"Send a new code": new_code})
        case "Approve the login":
            raise ask.wait("Approve the login in the Lark app", then=go_on)
        case "Card saved":
            return {"success": True, "card": {"last4": s.arguments["cardNumber"][-4:]}}
    return None


@app.read("mobileBillingStatement")
def bills(s: Session, limit: int = 100) -> Json:
    s.page.goto("/bills")
    billing = table(s)
    while len(billing) < limit and s.page.get_by_role("link", name="Older bills").count():
        press(s, "Older bills")
        billing += table(s)
    return {"billing": billing[:limit]}


def table(s: Session) -> list[Json]:
    s.page.locator("#bills").wait_for()
    rows = [row.locator("td").all_inner_texts() for row in s.page.locator("#bills tr:has(td)").all()]
    return [{"periodStart": start, "amountDue": due[1:], "currency": "USD"} for start, due in rows]


@app.read("paymentMethod")
def cards(s: Session) -> Json:
    s.page.goto("/cards")
    s.page.locator("#cards").wait_for()
    found = enumerate(text[-4:] for text in s.page.locator("#cards li").all_inner_texts())
    card = {"type": "credit_card", "isDefault": False}
    return {"paymentMethods": [card | {"order": n, "vendorId": str(n), "last4": last4} for n, last4 in found]}


@app.write("paymentMethod")
def save(s: Session, cardNumber: str, expirationDate: str, cvv: str, **card: str) -> Json | None:
    s.page.goto("/cards/new")
    filled = {"Number": cardNumber, "Expires": expirationDate, "Cvv": cvv, "Zip": card["billingZip"]}
    for label, text in filled.items():
        s.page.get_by_label(label).fill(text)
    if s.dry_run:
        return {"dryRun": True, "card": {"last4": cardNumber[-4:]}}
    with s.submitting():
        press(s, "Save card")
    return arrive(s)
