"""A connector to Lark Mobile, the site of lark.py, by HTTP."""

import os
import re

from latchkey_kit import Connector, Failed, Json, Page, Session, ask

app = lambda_handler = Connector(os.environ.get("LARK_URL", "http://127.0.0.1:4900"))
REFUSED = re.compile(  # what a page says, by why it does
    "(?P<account_locked>is locked)|(?P<bad_credentials>was denied)|(?P<code_expired>Too many wrong)|"
    "(?P<terms_not_accepted>new terms)|(?P<card_declined>was declined)"
)


@app.start
@app.step
def go_on(s: Session) -> None:
    arrive(s, s.http.get("/"))


@app.step
def login(s: Session, username: str, password: str) -> None:
    arrive(s, s.form("/login", username=username, password=password))


@app.step
def code(s: Session, code: str) -> Json | None:
    with s.submitting():
        page = s.form("/code", code=code)
    return arrive(s, page)


@app.step
def new_code(s: Session) -> None:
    arrive(s, s.form("/code", again="1"))


def arrive(s: Session, page: Page) -> Json | None:
    """What a page means: a refusal, a question, a card that is saved, or else that the user is logged in."""
    if refused := REFUSED.search(page.text):
        raise Failed(refused.lastgroup)  # type: ignore[arg-type] # its groups are reasons
    if 'class="error"' in page.text:
        raise ask.again("That was not right: try again")
    match page.url.path:
        case "/login":
            raise ask.login("Log in to Lark Mobile")
        case "/code":
            raise ask.otp("Enter the code from Lark", then=code, actions={"Send a new code": new_code})
        case "/approve":
            raise ask.wait("Approve the login in the Lark app", then=go_on)
        case "/cards/saved":
            return {"success": True, "card": {"last4": s.arguments["cardNumber"][-4:]}}
    return None


@app.read("mobileBillingStatement")
def bills(s: Session, limit: int = 100) -> Json:
    address, rows = "/bills", list[list[str]]()
    while address and len(rows) < limit:
        page = s.http.get(address)
        rows += s.find(page, '<table id="bills">', r"<td>([0-9-]+)</td><td>\$([0-9.]+)</td>")
        address = "".join(s.find(page, "", 'rel="next" href="([^"]+)"'))
    return {"billing": [{"periodStart": d, "amountDue": due, "currency": "USD"} for d, due in rows[:limit]]}


@app.read("paymentMethod")
def cards(s: Session) -> Json:
    found = enumerate(s.find(s.http.get("/cards"), '<ul id="cards">', "ending in ([0-9]{4})"))
    card = {"type": "credit_card", "isDefault": False}
    return {"paymentMethods": [card | {"order": n, "vendorId": str(n), "last4": last4} for n, last4 in found]}


@app.write("paymentMethod")
def save(s: Session, cardNumber: str, expirationDate: str, cvv: str, **card: str) -> Json | None:
    page = s.http.get("/cards/new")
    if s.dry_run:
        return {"dryRun": True, "card": {"last4": cardNumber[-4:]}}
    with s.submitting():
        page = s.form(page, number=cardNumber, expires=expirationDate, cvv=cvv, zip=card["billingZip"])
    return arrive(s, page)
