"""The tests that every connector gets by one line: the examples pass them, and each harm fails one."""

import re
from http.cookiejar import CookieJar
from typing import Any

import pytest

from examples.provider import connector_http
from latchkey_kit import Connector, Page, Play, Session, ask, standard_tests
from tests.connectors.conftest import Site
from tests.template import ROOT

CARD = {
    "cardNumber": "4111111111111111",
    "expirationDate": "04/29",
    "cvv": "123",
    "nameOnCard": "Jane Doe",
    "billingZip": "12345",
}
JANE = [{"username": "jane", "password": "jane-password-1"}]
STELLA = [{"username": "stella", "password": "stella-password-1"}]
READS = ["mobileBillingStatement", "paymentMethod"]
WRITES = {"paymentMethod": CARD}

TestLarkByHttp = standard_tests(connector_http.app, JANE, STELLA, reads=READS, writes=WRITES)


def test_the_connector_of_the_page_on_the_kit_logs_in_and_reads(site: Site) -> None:
    found = re.search(r"```python\n(.*?)```", (ROOT / "docs/kit.md").read_text(), re.DOTALL)
    assert found
    names: dict[str, Any] = {}
    exec(found[1].replace("https://lark.example", site.url), names)  # noqa: S102 # our own page
    play = Play(names["lambda_handler"]).start()
    assert "message" in play.answer(**JANE[0] | {"password": "wrong-password"}).challenge
    assert len(play.answer(**JANE[0]).read("mobileBillingStatement", limit=2).data["billing"]) == 2


def harmful(harm: str, url: str) -> Connector:
    """A connector to the practice site that does this harm and no other."""
    app = Connector(url)
    jar, pages = CookieJar(), dict[str, Page]()  # as if of the module

    def get(s: Session, address: str) -> Page:
        if harm == "a cookie jar for all":
            s.http.cookies.jar = jar
        page = s.http.get(address)
        return pages.setdefault(address, page) if harm == "a page for all" else page

    @app.start
    def start(_: Session) -> Exception:
        return ask.login("Log in", then=login)

    @app.step
    def login(s: Session, username: str, password: str) -> None:
        if harm == "prints what was typed":
            print({"username": username, "password": password})  # noqa: T201
        page = s.form(get(s, "/login"), username=username, password=password)
        if harm != "lets anyone in" and page.url.path != "/account":
            raise ask.again("That is not right")

    @app.read("mobileBillingStatement")
    def bills(s: Session) -> dict[str, Any]:
        return {"billing": s.find(get(s, "/bills"), "", "<td>([0-9-]+)</td>")}

    @app.read("paymentMethod")
    def cards(s: Session) -> dict[str, Any]:
        return {"paymentMethods": s.find(get(s, "/cards"), "", "ending in ([0-9]{4})")}

    @app.write("paymentMethod")
    def save(s: Session, cardNumber: str, dryRun: bool = False, **_: str) -> dict[str, Any]:  # noqa: N803
        if harm == "submits a dry run" or not dryRun:
            s.form(get(s, "/cards/new"), number=cardNumber, expires="04/29", cvv="123", zip="12345")
        shown = cardNumber if harm == "tells the card" else cardNumber[-4:]
        return {"dryRun": True, "card": {"last4": shown}}

    return app


@pytest.mark.parametrize(
    ("harm", "caught_by"),
    [
        ("none", None),
        ("a cookie jar for all", "test_sessions_of_one_process_do_not_mix"),
        ("a page for all", "test_sessions_of_one_process_do_not_mix"),
        ("prints what was typed", "test_what_was_typed_is_not_shown"),
        ("tells the card", "test_what_was_typed_is_not_shown"),
        ("submits a dry run", "test_a_dry_run_changes_nothing"),
        ("lets anyone in", "test_a_wrong_login_and_unknown_requests_are_refused"),
    ],
)
def test_each_harm_fails_its_test(
    harm: str, caught_by: str | None, site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    tests = standard_tests(harmful(harm, site.url), JANE, STELLA, reads=READS, writes=WRITES)()
    failed = set()
    for name in [name for name in dir(tests) if name.startswith("test_")]:
        site.set(reset=True)
        capsys.readouterr()
        try:
            getattr(tests, name)(*[capsys] if "typed" in name else [])
        except AssertionError:
            failed.add(name)
    assert failed == ({caught_by} if caught_by else set())
