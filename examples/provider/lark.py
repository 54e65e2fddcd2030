"""Lark Mobile: a small carrier's website to practise on, on this machine alone.

`python examples/provider/lark.py` serves it at http://127.0.0.1:4900. Nothing is kept in files, and the same
requests always have the same outcomes. Each user's password is `NAME-password-1`:

    jane    logs in with it alone; of seven bills a page shows three
    otto    is sent a code: the n-th is six times the digit n, and three wrong ones end the login
    ada     approves the login in the carrier's app
    tess    has new terms to accept before anything else
    stella  is sent a code also when she saves a card

A third wrong password locks an account. The card 4000000000000002 is declined. `GET /control` shows what no
page does; `POST /control` acts as the app, or changes the site:

    {"reset": true}        as it was in the beginning, which also turns all below off
    {"approve": "ada"}     or "deny"
    {"maintenance": true}  every page is 503
    {"markup": 2}          the same site after a relaunch: other fields, other tables
    {"crash": true}        whatever saves a card saves it, and then fails
"""

import argparse
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

PORT = 4900
TRIES = 3
BILLS_ON_A_PAGE = 3
DECLINED = "4000000000000002"


@dataclass
class Account:
    name: str
    second_factor: str = ""  # or "code", "app"
    terms_accepted: bool = True
    step_up: bool = False
    bills: int = 7
    failures: int = 0
    codes_sent: int = 0
    verdict: str = ""  # of the app: "approve", "deny"
    cards: list[str] = field(default_factory=lambda: ["4242"])

    @property
    def password(self) -> str:
        return f"{self.name}-password-1"

    @property
    def code(self) -> str:
        return str(self.codes_sent) * 6


@dataclass
class Visit:
    """What the site knows of one browser."""

    csrf: str = field(default_factory=secrets.token_urlsafe)
    account: Account | None = None
    known: bool = False  # both factors were right
    logged_in: bool = False
    wrong_codes: int = 0
    card: str = ""  # waits for its code


class Site:
    """Everything that changes."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        accounts = [
            Account("jane"),
            Account("otto", second_factor="code", bills=2, cards=["1881", "6789"]),
            Account("ada", second_factor="app", bills=4),
            Account("tess", terms_accepted=False),
            Account("stella", step_up=True, bills=1),
        ]
        self.accounts = {account.name: account for account in accounts}
        self.visits: dict[str, Visit] = {}
        self.maintenance = self.crash = False
        self.markup = 1


site = Site()

type Page = Callable[[Request, Visit, dict[str, str]], Response]


def html(title: str, body: str, status: int = 200) -> HTMLResponse:
    head = f'<meta charset="utf-8"><title>{title} - Lark Mobile</title>'
    return HTMLResponse(f"<!doctype html>{head}<h1>{title}</h1>{body}", status)


def form(visit: Visit, action: str, fields: str, button: str) -> str:
    token = f'<input type="hidden" name="csrf" value="{visit.csrf}">'
    press = f"<button>{button}</button>" if button else ""
    return f'<form method="post" action="{action}">{token}{fields}{press}</form>'


def text(name: str, label: str, kind: str = "text") -> str:
    return f'<p><label>{label} <input type="{kind}" name="{name}"></label></p>'


def error(words: str) -> str:
    return f'<p class="error" role="alert">{words}</p>' if words else ""


def go(path: str) -> Response:
    return RedirectResponse(path, 303)


def served(page: Page, *, public: bool = False) -> Callable[[Request], Any]:
    """A page with its visit, behind the login unless it is public, and with what was posted."""

    async def answer(request: Request) -> Response:
        if site.maintenance:
            return html("Back soon", "<p>We are working on our site.</p>", 503)
        sid = request.cookies.get("sid", "")
        if sid not in site.visits:
            sid = secrets.token_urlsafe()
            site.visits[sid] = Visit()
        visit = site.visits[sid]
        posted = dict(parse_qsl((await request.body()).decode(), keep_blank_values=True))
        if request.method == "POST" and posted.get("csrf") != visit.csrf:
            return html("Not allowed", "<p>This form is out of date.</p>", 403)
        response = page(request, visit, posted) if public or visit.logged_in else go("/login")
        response.set_cookie("sid", sid, httponly=True, samesite="lax")
        return response

    return answer


# --- The login -----------------------------------------------------------------------------------


def login(request: Request, visit: Visit, posted: dict[str, str]) -> Response:
    user, password = ("username", "password") if site.markup == 1 else ("customer", "passphrase")
    labels = ("User name", "Password") if site.markup == 1 else ("Customer", "Passphrase")
    said = "The login was denied in the app." if "denied" in request.query_params else ""
    if request.method == "POST":
        account = site.accounts.get(posted.get(user, ""))
        if account is None:
            said = "That user name and password do not match."
        elif account.failures >= TRIES:
            said = "This account is locked."
        elif posted.get(password) != account.password:
            account.failures += 1
            locked = account.failures >= TRIES
            said = "This account is locked." if locked else "That user name and password do not match."
        else:
            account.failures, account.verdict = 0, ""
            visit.account, visit.wrong_codes, visit.card = account, 0, ""
            visit.known, visit.logged_in = not account.second_factor, False
            account.codes_sent += account.second_factor == "code"
            return go({"code": "/code", "app": "/approve"}.get(account.second_factor, "/terms"))
    fields = text(user, labels[0]) + text(password, labels[1], "password")
    return html("Log in", error(said) + form(visit, "/login", fields, "Log in"))


def code(_: Request, visit: Visit, posted: dict[str, str]) -> Response:
    """Where a code is asked, be it for the login or for a card."""
    if visit.account is None or not visit.account.codes_sent:
        return go("/login")
    said = ""
    if "again" in posted:
        visit.account.codes_sent += 1
    elif posted and posted.get("code") == visit.account.code:
        visit.known = True
        return save_card(visit, visit.card) if visit.card else go("/terms")
    elif posted:
        visit.wrong_codes += 1
        said = "That code is wrong."
        if visit.wrong_codes >= TRIES:
            words = "Your card was declined." if visit.card else "Too many wrong codes: log in again."
            visit.card, visit.account = "", visit.account if visit.card else None
            return html("We stopped here", error(words))
    again = '<button name="again" value="1">Send a new code</button>'
    fields = text("code", "Code") + '<button name="go" value="1">Go on</button>'
    return html("Enter the code", error(said) + form(visit, "/code", fields + again, ""))


def approve(_: Request, visit: Visit, _posted: dict[str, str]) -> Response:
    match visit.account and visit.account.verdict:
        case "approve":
            visit.known = True
            return go("/terms")
        case "":
            return html("Approve the login", "<p>Open the Lark app on your phone and approve it there.</p>")
    visit.account = None
    return go("/login?denied")


def home(_: Request, visit: Visit, _posted: dict[str, str]) -> Response:
    """On to where the visit is."""
    if visit.account is None or visit.logged_in:
        return go("/account" if visit.logged_in else "/login")
    return go("/terms" if visit.known else {"code": "/code", "app": "/approve"}[visit.account.second_factor])


def terms(request: Request, visit: Visit, _posted: dict[str, str]) -> Response:
    account = visit.account
    if account is None or not visit.known:
        return go("/login")
    account.terms_accepted |= request.method == "POST"
    if not account.terms_accepted:
        return html("Our new terms", form(visit, "/terms", "<p>They are better than ever.</p>", "I accept"))
    visit.logged_in = True
    return go("/account")


# --- Behind it -----------------------------------------------------------------------------------


def account(_: Request, visit: Visit, _posted: dict[str, str]) -> Response:
    assert visit.account
    links = '<p><a href="/bills">Bills</a> <a href="/cards">Cards</a></p>'
    return html("Your account", f"<p>Hello, {visit.account.name.title()}.</p>{links}")


def bills(request: Request, visit: Visit, _posted: dict[str, str]) -> Response:
    """The newest first: one a month, back from October 2026."""
    assert visit.account
    page = int(request.query_params.get("page", "1"))
    shown = range((page - 1) * BILLS_ON_A_PAGE, min(page * BILLS_ON_A_PAGE, visit.account.bills))
    months = [f"2026-{10 - back:02}" for back in shown]
    amounts = [f"${40 + back + len(visit.account.name)}.90" for back in shown]
    if site.markup == 1:
        rows = "".join(
            f'<tr id="bill-{month}"><td>{month}-01</td><td>{amount}</td></tr>'
            for month, amount in zip(months, amounts, strict=True)
        )
        body = f'<table id="bills"><tr><th>From</th><th>Due</th></tr>{rows}</table>'
    else:
        body = "".join(f"<div>{month}: {amount}</div>" for month, amount in zip(months, amounts, strict=True))
    more = f'<a rel="next" href="/bills?page={page + 1}">Older bills</a>'
    return html("Bills", body + (more if shown.stop < visit.account.bills else ""))


def cards(_: Request, visit: Visit, _posted: dict[str, str]) -> Response:
    assert visit.account
    items = "".join(f"<li>Card ending in {last4}</li>" for last4 in visit.account.cards)
    body = f'<ul id="cards">{items}</ul>' if site.markup == 1 else f"<ol>{items}</ol>"
    return html("Cards", body + '<p><a href="/cards/new">Add a card</a></p>')


def new_card(request: Request, visit: Visit, posted: dict[str, str]) -> Response:
    assert visit.account
    said = ""
    if request.method == "POST":
        number = posted.get("number", "")
        if number == DECLINED:
            said = "Your card was declined."
        elif not (number.isdigit() and all(posted.get(name) for name in ("expires", "cvv", "zip"))):
            said = "Please fill in everything."
        elif visit.account.step_up:
            visit.card = number
            visit.wrong_codes = 0
            visit.account.codes_sent += 1
            return go("/code")
        else:
            return save_card(visit, number)
    fields = "".join(text(n, n.title()) for n in ("number", "expires", "cvv", "zip"))
    return html("Add a card", error(said) + form(visit, "/cards/new", fields, "Save card"))


def save_card(visit: Visit, number: str) -> Response:
    assert visit.account
    visit.account.cards.append(number[-4:])
    visit.card = ""
    if site.crash:
        return html("Oops", "<p>Something went wrong.</p>", 500)
    return go("/cards/saved")


def saved(_: Request, _visit: Visit, _posted: dict[str, str]) -> Response:
    return html("Card saved", '<p><a href="/cards">Your cards</a></p>')


# --- The control ---------------------------------------------------------------------------------


async def control(request: Request) -> Response:
    wanted: dict[str, Any] = await request.json() if request.method == "POST" else {}
    for name, value in wanted.items():
        match name:
            case "reset":
                site.reset()
            case "approve" | "deny":
                site.accounts[value].verdict = name
            case "maintenance" | "markup" | "crash":
                setattr(site, name, value)
            case _:
                return JSONResponse({"error": f"there is nothing called {name} to control"}, 400)
    seen = {name: {"code": user.code, "cards": user.cards} for name, user in site.accounts.items()}
    return JSONResponse(seen)


def both(path: str, page: Page, *, public: bool = False) -> Route:
    return Route(path, served(page, public=public), methods=["GET", "POST"])


app = Starlette(
    routes=[
        both("/", home, public=True),
        both("/login", login, public=True),
        both("/code", code, public=True),
        both("/approve", approve, public=True),
        both("/terms", terms, public=True),
        both("/account", account),
        both("/bills", bills),
        both("/cards", cards),
        both("/cards/new", new_card),
        both("/cards/saved", saved),
        Route("/control", control, methods=["GET", "POST"]),
    ]
)


def main() -> None:
    parser = argparse.ArgumentParser(description="A carrier's website to practise on.")
    parser.add_argument("--port", type=int, default=PORT)
    uvicorn.run(app, host="127.0.0.1", port=parser.parse_args().port, log_level="warning")


if __name__ == "__main__":
    main()
