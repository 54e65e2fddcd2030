"""A connector to Lark Mobile, the site of site.py, by a browser."""

import os
from typing import Any
from urllib.parse import urlsplit

from latchkey_kit import Connector, Failed, Question, Session, ask

app = lambda_handler = Connector(os.environ.get("LARK_URL", "http://127.0.0.1:4900"))


@app.start
def start(s: Session) -> Question:
    s.page.goto("/login")
    return ask.login("Log in to Lark Mobile")


@app.step
def login(s: Session, username: str, password: str) -> None:
    s.page.goto("/login")
    s.page.get_by_label("User name").fill(username)
    s.page.get_by_label("Password").fill(password)
    press(s, "Log in")
    arrive(s)


@app.step
def code(s: Session, code: str) -> None:
    s.page.get_by_label("Code").fill(code)
    press(s, "Go on")
    arrive(s)


@app.step
def new_code(s: Session) -> Question:
    press(s, "Send a new code")
    return ask.again("A new code is on its way")


@app.step
def approval(s: Session) -> None:
    s.page.goto("/approve")
    arrive(s)


def press(s: Session, name: str) -> None:
    with s.page.expect_navigation():
        s.page.get_by_role("button", name=name).click()


def said(s: Session, words: str) -> bool:
    return s.page.get_by_text(words).count() > 0


def arrive(s: Session) -> None:
    """Return if the page is behind the login, else ask or say what keeps the user out."""
    match urlsplit(s.page.url).path:
        case "/account":
            return
        case "/code" if said(s, "Too many wrong codes"):
            raise Failed("code_expired")
        case "/code" if said(s, "That code is wrong"):
            raise ask.again("That code is wrong")
        case "/code":
            actions = {"Send a new code": new_code}
            raise ask.otp("Enter the code that Lark sent you", then=code, actions=actions)
        case "/approve":
            raise ask.wait("Approve the login in the Lark app", then=approval, poll=2)
        case "/terms":
            raise Failed("terms_not_accepted")
    if said(s, "account is locked"):
        raise Failed("account_locked")
    if said(s, "was denied"):
        raise Failed("bad_credentials")
    raise ask.again("That user name and password do not match")


@app.read("mobileBillingStatement")
def bills(s: Session, limit: int = 100) -> dict[str, Any]:
    s.page.goto("/bills")
    rows: list[Any] = []
    while True:
        table = s.page.locator("#bills")
        table.wait_for()
        for row in table.locator("tr[id]").all():
            start, due = row.locator("td").all_inner_texts()
            bill = {"statementId": start[:7], "periodStart": start, "amountDue": due.removeprefix("$")}
            rows.append(bill | {"currency": "USD"})
        older = s.page.get_by_role("link", name="Older bills")
        if len(rows) >= limit or not older.count():
            return {"billing": rows[:limit]}
        with s.page.expect_navigation():
            older.click()


@app.read("paymentMethod")
def cards(s: Session) -> dict[str, Any]:
    s.page.goto("/cards")
    s.page.locator("#cards").wait_for()
    ends = [item[-4:] for item in s.page.locator("#cards li").all_inner_texts()]
    card = {"type": "credit_card", "isDefault": False}
    methods = [{"order": n, "vendorId": str(n), "last4": last4} | card for n, last4 in enumerate(ends)]
    return {"paymentMethods": methods}


@app.write("paymentMethod")
def save(
    s: Session, cardNumber: str, expirationDate: str, cvv: str, nameOnCard: str, billingZip: str, **_: Any
) -> Any:
    s.page.goto("/cards/new")
    fields = {
        "Number": cardNumber,
        "Expires": expirationDate,
        "Cvv": cvv,
        "Name": nameOnCard,
        "Zip": billingZip,
    }
    for label, text in fields.items():
        s.page.get_by_label(label).fill(text)
    if s.dry_run:
        return {"dryRun": True, "card": {"last4": cardNumber[-4:]}}
    with s.submitting():
        press(s, "Save card")
    return saved(s)


@app.step
def confirm(s: Session, code: str) -> dict[str, Any]:
    s.page.get_by_label("Code").fill(code)
    with s.submitting():
        press(s, "Confirm")
    return saved(s)


def saved(s: Session) -> dict[str, Any]:
    if said(s, "was declined"):
        raise Failed("card_declined")
    if said(s, "That code is wrong"):
        raise ask.again("That code is wrong")
    if said(s, "Confirm your card"):
        raise ask.otp("Enter the code that Lark sent you to save the card", then=confirm)
    if not said(s, "Card saved"):
        raise Failed("page_changed")
    return {"success": True, "card": {"last4": s.arguments["cardNumber"][-4:]}}
