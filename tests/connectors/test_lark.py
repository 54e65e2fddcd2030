"""The practice site is strict where a connector could be lax, and forgets what it is told to."""

import httpx2

from tests.connectors.conftest import Site

JANE = {"username": "jane", "password": "jane-password-1"}


def test_a_form_without_its_token_is_refused(site: Site) -> None:
    with httpx2.Client(base_url=site.url) as browser:
        browser.get("/login")
        assert browser.post("/login", data=JANE).status_code == 403
        assert browser.post("/login", data=JANE | {"csrf": "another"}).status_code == 403


def test_what_is_behind_the_login_leads_to_it(site: Site) -> None:
    for path in ("/account", "/bills", "/cards", "/cards/new", "/cards/saved", "/code", "/terms"):
        assert httpx2.get(site.url + path).headers["location"] == "/login"


def test_a_reset_ends_every_visit_and_opens_every_account(site: Site) -> None:
    for _ in range(3):
        site.log_in("jane", "wrong-password")
    assert "is locked" in site.log_in("jane").text
    site.set(reset=True)
    assert site.log_in("jane").url.path == "/account"


def test_what_there_is_not_cannot_be_controlled(site: Site) -> None:
    assert httpx2.post(f"{site.url}/control", json={"maintainance": True}).status_code == 400
