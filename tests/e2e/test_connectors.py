"""What can happen at a website, through its connector behind live keys: how each ends a link."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from local.stack import stack_for_tests
from tests.connectors.conftest import Site, serving
from tests.e2e.api import Session, eventually, founding
from tests.e2e.deployed import Deployed
from tests.template import ROOT

READ, WRITE, BILLS = "paymentMethod.read", "paymentMethod.write", "mobileBillingStatement.read"
DECLINED = "4000000000000002"

# What a user does, one turn after the other, with the site's control at hand.
type Turn = Callable[[Session, Site], None]


@pytest.fixture(scope="module")
def served() -> Iterator[Site]:
    with serving() as site:
        yield site


@pytest.fixture(scope="module")
def deployed() -> Iterator[Deployed]:
    with stack_for_tests({"att": ROOT / "examples/provider/connector_http.py"}) as stack:
        yield Deployed(stack)


@pytest.fixture
def site(served: Site) -> Site:
    served.set(reset=True)
    return served


def logs_in(user: str, password: str = "") -> Turn:
    def turn(session: Session, _: Site) -> None:
        given = {"username": user, "password": password or f"{user}-password-1"}
        assert session.answer(given).status == 202

    return turn


def types(code: str) -> Turn:
    def turn(session: Session, _: Site) -> None:
        assert session.answer({"code": code}).status == 202

    return turn


def chooses(action: str) -> Turn:
    def turn(session: Session, _: Site) -> None:
        body = {"challengeId": session.turn()["challenge"]["id"], "action": action}
        assert session.api.request("POST", "/link/session/input", body).status == 202

    return turn


def sees(kind: str, **set_then: Any) -> Turn:
    """Wait for a challenge of this type, and then let the site change."""

    def turn(session: Session, site: Site) -> None:
        assert eventually(lambda: session.turn()["challenge"]["type"] == kind)
        site.set(**set_then)

    return turn


def changes(**wanted: Any) -> Turn:
    return lambda _, site: site.set(**wanted)


WRONG = logs_in("jane", "wrong-password")
SITUATIONS: dict[str, tuple[list[str], list[Turn], tuple[str | None, str | None, int | None]]] = {
    "nothing special": ([BILLS, READ, WRITE], [logs_in("jane")], (None, None, None)),
    "wrong password, then right": ([READ], [WRONG, logs_in("jane")], (None, None, None)),
    "locked": ([READ], [WRONG] * 3, ("LOGIN_FAILED", "account_locked", None)),
    "code": ([READ], [logs_in("otto"), types("111111")], (None, None, None)),
    "wrong code, then right": (
        [READ],
        [logs_in("otto"), types("999999"), types("111111")],
        (None, None, None),
    ),
    "wrong codes": (
        [READ],
        [logs_in("otto"), *[types("999999")] * 3],
        ("LOGIN_FAILED", "code_expired", None),
    ),
    "resend": ([READ], [logs_in("otto"), chooses("new_code"), types("222222")], (None, None, None)),
    "approved elsewhere": ([READ], [logs_in("ada"), sees("wait", approve="ada")], (None, None, None)),
    "denied elsewhere": (
        [READ],
        [logs_in("ada"), sees("wait", deny="ada")],
        ("LOGIN_FAILED", "bad_credentials", None),
    ),
    "new terms": ([READ], [logs_in("tess")], ("LOGIN_FAILED", "terms_not_accepted", None)),
    "step-up": ([WRITE, READ], [logs_in("stella"), types("111111")], (None, None, None)),
    "maintenance": (
        [READ],
        [changes(maintenance=True)],
        ("CONNECTION_FAILED", "provider_maintenance", None),
    ),
    "changed markup at the login": (
        [READ],
        [sees("login", markup=2), logs_in("jane")],
        ("CONNECTION_FAILED", "other", None),
    ),
    "changed markup": (
        [READ, BILLS],
        [logs_in("ada"), sees("wait", approve="ada", markup=2)],
        ("AUTOMATION_ERROR", "page_changed", 0),
    ),
    "declined": ([READ, WRITE], [logs_in("jane")], ("AUTOMATION_ERROR", "card_declined", 1)),
    "crash after the submit": (
        [READ, WRITE],
        [changes(crash=True), logs_in("jane")],
        ("OUTCOME_UNKNOWN", None, 1),
    ),
}


@pytest.mark.parametrize("situation", SITUATIONS)
def test_each_situation_of_the_practice_site_ends_its_link(
    deployed: Deployed, site: Site, situation: str
) -> None:
    named, turns, (code, reason, index) = SITUATIONS[situation]
    arguments = founding()["operations"][1]["arguments"]
    if situation == "declined":
        arguments = arguments | {"cardNumber": DECLINED}
    operations = []
    for name in named:
        resource, _, action = name.partition(".")
        operations.append({"resource": resource, "action": action})
        if action == "write":
            operations[-1]["arguments"] = arguments
    body = {"integrationId": "att", "operations": operations}
    if situation == "maintenance":
        turns[0](Session(deployed.live, ""), site)
    created = deployed.live.create(body)
    assert created.status == 201, created.text
    claimed = deployed.live.claim(created.json["claimCode"]).json
    session = Session(type(deployed.live)(deployed.url, claimed["clientToken"]), claimed["linkId"])
    for turn in turns:
        turn(session, site)
    eventually(lambda: session.view()["status"] in ("complete", "failed"))
    view = deployed.live.link(claimed["linkId"])
    error = view["error"] or {"code": None, "reason": None, "operationIndex": None}
    assert (error["code"], error["reason"], error["operationIndex"]) == (code, reason, index)
    saved = [card for user in ("jane", "stella") for card in site.cards(user)]
    assert len(saved) == 2 + (WRITE in named and code in (None, "OUTCOME_UNKNOWN"))
