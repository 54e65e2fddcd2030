"""The practice site is strict where a connector could be lax, and forgets what it is told to."""

import re

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


def test_nothing_but_the_app_lets_in_who_must_approve_there(site: Site) -> None:
    with site.browser("ada") as browser:
        (token,) = re.findall('name="csrf" value="([^"]+)"', browser.get("/login").text)
        browser.post("/code", data={"code": "000000", "csrf": token})
        assert browser.get("/terms").url.path == "/login"
        site.set(approve="ada")
        assert browser.get("/approve").url.path == "/account"


def test_a_reset_ends_every_visit_and_opens_every_account(site: Site) -> None:
    with site.browser("jane") as visited:
        assert visited.get("/account").url.path == "/account"
        for _ in range(3):
            with site.browser("jane", "wrong-password") as browser:
                pass
        with site.browser("jane") as browser:
            assert browser.get("/").url.path == "/login"
        site.set(reset=True)
        assert visited.get("/account").url.path == "/login"
        with site.browser("jane") as browser:
            assert browser.get("/").url.path == "/account"


def test_what_there_is_not_cannot_be_controlled(site: Site) -> None:
    assert httpx2.post(f"{site.url}/control", json={"maintainance": True}).status_code == 400
