"""A connector to Lark Mobile, the site of site.py, by HTTP."""

import os
import re
from typing import Any

import httpx2
from latchkey_kit import Connector, Failed, Question, Session, ask

app = lambda_handler = Connector(os.environ.get("LARK_URL", "http://127.0.0.1:4900"))


@app.start
def start(s: Session) -> Question:
    s.http.get("/login")  # a site that is down is told before anybody types
    return ask.login("Log in to Lark Mobile")


@app.step
def login(s: Session, username: str, password: str) -> None:
    arrive(s.form("/login", username=username, password=password))


@app.step
def code(s: Session, code: str) -> None:
    arrive(s.form("/code", code=code))


@app.step
def new_code(s: Session) -> Question:
    s.form("/code", to="/code/new")
    return ask.again("A new code is on its way")


@app.step
def approval(s: Session) -> None:
    arrive(s.http.get("/approve"))


def arrive(page: httpx2.Response) -> None:
    """Return if the page is behind the login, else ask or say what keeps the user out."""
    match page.url.path:
        case "/account":
            return
        case "/code" if "Too many" in page.text:
            raise Failed("code_expired")
        case "/code" if "is wrong" in page.text:
            raise ask.again("That code is wrong")
        case "/code":
            raise ask.otp(
                "Enter the code that Lark sent you", then=code, actions={"Send a new code": new_code}
            )
        case "/approve":
            raise ask.wait("Approve the login in the Lark app", then=approval, poll=2)
        case "/terms":
            raise Failed("terms_not_accepted")
    if "is locked" in page.text:
        raise Failed("account_locked")
    if "was denied" in page.text:
        raise Failed("bad_credentials")
    raise ask.again("That user name and password do not match")


def found(pattern: str, page: httpx2.Response, within: str) -> list[str]:
    """All that matches in the element that begins so; without it the page is not the one we know."""
    if within not in page.text:
        raise Failed("page_changed", f"no {within}")
    return re.findall(pattern, page.text)


@app.read("mobileBillingStatement")
def bills(s: Session, limit: int = 100) -> dict[str, Any]:
    rows: list[Any] = []
    address = "/bills"
    while address and len(rows) < limit:
        page = s.http.get(address)
        rows += found(
            r'<tr id="bill-([0-9-]+)"><td>([0-9-]+)</td><td>\$([0-9.]+)<', page, '<table id="bills">'
        )
        address = next(iter(re.findall('rel="next" href="([^"]+)"', page.text)), "")
    names = ("statementId", "periodStart", "amountDue")
    return {"billing": [dict(zip(names, row), currency="USD") for row in rows[:limit]]}


@app.read("paymentMethod")
def cards(s: Session) -> dict[str, Any]:
    ends = found(r"ending in ([0-9]{4})", s.http.get("/cards"), '<ul id="cards">')
    card = {"type": "credit_card", "isDefault": False}
    return {
        "paymentMethods": [
            {"order": n, "vendorId": str(n), "last4": last4} | card for n, last4 in enumerate(ends)
        ]
    }


@app.write("paymentMethod")
def save(
    s: Session, cardNumber: str, expirationDate: str, cvv: str, nameOnCard: str, billingZip: str, **_: Any
) -> Any:
    page = s.http.get("/cards/new")
    if s.dry_run:
        return {"dryRun": True, "card": {"last4": cardNumber[-4:]}}
    with s.submitting():
        page = s.form(
            page, number=cardNumber, expires=expirationDate, cvv=cvv, name=nameOnCard, zip=billingZip
        )
    return saved(s, page)


@app.step
def confirm(s: Session, code: str) -> dict[str, Any]:
    with s.submitting():
        page = s.form("/cards/confirm", code=code)
    return saved(s, page)


def saved(s: Session, page: httpx2.Response) -> dict[str, Any]:
    if "was declined" in page.text:
        raise Failed("card_declined")
    if page.url.path == "/cards/confirm" and "is wrong" in page.text:
        raise ask.again("That code is wrong")
    if page.url.path == "/cards/confirm" and "saved" not in page.text:
        raise ask.otp("Enter the code that Lark sent you to save the card", then=confirm)
    if "Card saved" not in page.text:
        raise Failed("page_changed")
    return {"success": True, "card": {"last4": s.arguments["cardNumber"][-4:]}}
