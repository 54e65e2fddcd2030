"""Each situation of the practice site, played against both connectors by the protocol alone."""

import importlib
from typing import Any

import pytest

from latchkey_kit import Play
from tests.connectors.conftest import CHROMIUM, Site
from tests.connectors.protocol import judged

CARD = {
    "cardNumber": "4111111111111111",
    "expirationDate": "04/29",
    "cvv": "123",
    "nameOnCard": "Jane Doe",
    "billingZip": "12345",
}
WRONG = "That was not right: try again"
DECLINED = CARD | {"cardNumber": "4000000000000002"}
WAYS = [
    "http",
    pytest.param("browser", marks=pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")),
]


@pytest.fixture(params=WAYS)
def play(request: pytest.FixtureRequest) -> Play:
    connector = importlib.import_module(f"examples.provider.connector_{request.param}")
    return Play(judged(connector.lambda_handler)).start()


def log_in(play: Play, user: str) -> Play:
    return play.answer(username=user, password=f"{user}-password-1")


def error(play: Play) -> tuple[Any, Any]:
    return play.reply.get("code"), play.reply.get("reason")


def test_what_the_user_has_is_read_page_by_page_up_to_the_limit(play: Play) -> None:
    log_in(play, "jane")
    billing = play.read("mobileBillingStatement").data["billing"]
    assert [bill["periodStart"] for bill in billing] == [f"2026-{month:02}-01" for month in range(10, 3, -1)]
    assert billing[0] == {"periodStart": "2026-10-01", "amountDue": "44.90", "currency": "USD"}
    assert play.read("mobileBillingStatement", limit=4).data["billing"] == billing[:4]
    assert [card["last4"] for card in play.read("paymentMethod").data["paymentMethods"]] == ["4242"]


def test_a_wrong_password_is_asked_again_until_the_account_is_locked(play: Play) -> None:
    for _ in range(2):
        play.answer(username="jane", password="wrong-password")
        assert play.challenge["title"] == "Log in to Lark Mobile"
        assert play.challenge["message"] == WRONG
        assert play.challenge["values"] == {"username": "jane"}
    play.answer(username="jane", password="wrong-password")
    assert error(play) == ("LOGIN_FAILED", "account_locked")


def test_a_code_can_be_mistyped_and_sent_again(play: Play) -> None:
    log_in(play, "otto")
    assert play.challenge["type"] == "otp"
    assert play.answer(code="000000").challenge["message"] == WRONG
    assert play.challenge["actions"] == [{"id": "new_code", "title": "Send a new code"}]
    assert "message" not in play.choose("new_code").challenge
    assert play.answer(code="111111").challenge["message"] == WRONG  # the code before


def test_the_new_code_logs_in(play: Play) -> None:
    log_in(play, "otto").choose("new_code").answer(code="222222")
    assert len(play.read("mobileBillingStatement").data["billing"]) == 2


def test_three_wrong_codes_end_the_login(play: Play) -> None:
    log_in(play, "otto").answer(code="000000").answer(code="000000").answer(code="000000")
    assert error(play) == ("LOGIN_FAILED", "code_expired")


def test_a_login_waits_until_it_is_approved_elsewhere(play: Play, site: Site) -> None:
    log_in(play, "ada")
    assert play.challenge["type"] == "wait"
    assert play.challenge["schema"]["properties"] == {}
    assert play.challenge["pollSeconds"] == 3
    assert play.poll().challenge["type"] == "wait"
    site.set(approve="ada")
    assert play.poll().reply["status"] == "authenticated"
    assert len(play.read("mobileBillingStatement").data["billing"]) == 4


def test_a_login_that_is_denied_elsewhere_fails(play: Play, site: Site) -> None:
    log_in(play, "ada")
    site.set(deny="ada")
    assert error(play.poll()) == ("LOGIN_FAILED", "bad_credentials")


def test_terms_are_not_accepted_for_the_user(play: Play) -> None:
    assert error(log_in(play, "tess")) == ("LOGIN_FAILED", "terms_not_accepted")


def test_a_card_is_saved_once_and_a_dry_run_saves_none(play: Play, site: Site) -> None:
    log_in(play, "jane")
    assert play.write("paymentMethod", **CARD, dryRun=True).data == {
        "dryRun": True,
        "card": {"last4": "1111"},
    }
    assert site.cards("jane") == ["4242"]
    assert play.write("paymentMethod", **CARD).data == {"success": True, "card": {"last4": "1111"}}
    assert site.cards("jane") == ["4242", "1111"]


def test_a_declined_card_is_told_as_such(play: Play, site: Site) -> None:
    assert error(log_in(play, "jane").write("paymentMethod", **DECLINED)) == (
        "AUTOMATION_ERROR",
        "card_declined",
    )
    assert site.cards("jane") == ["4242"]


def test_a_card_may_take_a_code(play: Play, site: Site) -> None:
    log_in(play, "stella").write("paymentMethod", **CARD)
    assert play.challenge["type"] == "otp"
    assert site.cards("stella") == ["4242"]
    assert play.answer(code="000000").challenge["message"] == WRONG
    assert play.answer(code="111111").data["card"] == {"last4": "1111"}
    assert site.cards("stella") == ["4242", "1111"]


def test_a_write_that_lost_its_answer_begins_anew(play: Play, site: Site) -> None:
    log_in(play, "stella").write("paymentMethod", **CARD).write("paymentMethod", **CARD)
    assert play.answer(code="222222").data["success"] is True
    assert site.cards("stella") == ["4242", "1111"]


def test_a_crash_after_the_submit_has_an_unknown_outcome(play: Play, site: Site) -> None:
    log_in(play, "jane")
    site.set(crash=True)
    assert error(play.write("paymentMethod", **CARD)) == ("OUTCOME_UNKNOWN", None)
    assert site.cards("jane") == ["4242", "1111"]


def test_maintenance_is_told_at_the_start_and_in_the_middle(play: Play, site: Site) -> None:
    log_in(play, "jane")
    site.set(maintenance=True)
    maintenance = ("CONNECTION_FAILED", "provider_maintenance")
    assert error(play.read("mobileBillingStatement")) == maintenance
    assert error(play.write("paymentMethod", **CARD)) == maintenance
    assert error(play.start()) == maintenance


def test_a_page_that_changed_is_told_and_nothing_is_made_up(
    play: Play, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("latchkey_kit.browser.MOST_SECONDS", 1)
    log_in(play, "jane")
    site.set(markup=2)
    for resource in ("mobileBillingStatement", "paymentMethod"):
        assert error(play.read(resource)) == ("AUTOMATION_ERROR", "page_changed")
    assert error(log_in(play.start(), "jane")) == ("CONNECTION_FAILED", "other")
