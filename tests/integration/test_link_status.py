"""POST /link/status: how a link stands, told to whoever has its code, on a page of any origin."""

import json
from typing import Any

import pytest

from latchkey.adapters import aws
from latchkey.domain.errors import UnavailableError
from tests.integration.conftest import Answer, Output, Stack, founding, operations, sample_event

DAY = 86_400_000


def link(**changes: Any) -> dict[str, Any]:
    return founding(operations=operations("paymentMethod.read"), **changes)


def test_each_state_is_told_with_what_ends_it(stack: Stack) -> None:
    created = stack.create(link()).json
    code, link_id = created["claimCode"], created["linkId"]
    told: dict[str, Any] = {"linkId": link_id, "status": "pending", "error": None}
    assert stack.status(code).json == told | {"expiresAt": created["expiresAt"], "completedAt": None}

    stack.now += 1000
    session = stack.claim(code).json
    told |= {"status": "active", "expiresAt": session["expiresAt"]}
    assert stack.status(code).json == told | {"completedAt": None}

    stack.now += 1000
    stack.client(session["clientToken"], "POST /link/session/cancel")
    told |= {"status": "failed", "error": {"code": "USER_CANCELED", "reason": None}}
    assert stack.status(code).json == told | {"completedAt": stack.now}


@pytest.mark.parametrize("ended_by", ["expiry", "cancel"])
def test_a_link_that_was_never_claimed_ends_without_a_session(stack: Stack, ended_by: str) -> None:
    created = stack.create(link()).json
    if ended_by == "expiry":
        stack.now = created["expiresAt"] - 1
        assert stack.status(created["claimCode"]).json["status"] == "pending"
        stack.now += 1
    else:
        stack.cancel(created["linkId"])
    assert stack.status(created["claimCode"]).json == {
        "linkId": created["linkId"],
        "status": "expired" if ended_by == "expiry" else "canceled",
        "error": None,
        "expiresAt": created["expiresAt"],
        "completedAt": stack.now,
    }


def test_it_answers_until_a_day_after_the_end(stack: Stack) -> None:
    created = stack.create(link(expiresIn=60)).json
    stack.now = created["expiresAt"] + DAY - 1
    assert stack.status(created["claimCode"]).status == 200
    stack.now += 1
    assert refusal(stack.status(created["claimCode"])) == (404, "not_found")


def refusal(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.json["code"]


@pytest.mark.parametrize("code", ["", "clm_", "x", "clm_0000000000000000000000", "link_1", "ü" * 300])
def test_an_unknown_code_is_404_and_in_no_log(stack: Stack, output: Output, code: str) -> None:
    assert refusal(stack.status(code)) == (404, "not_found")
    assert len(code) < 5 or code not in output.text


def test_asking_claims_nothing_and_the_log_has_the_link_without_its_code(
    stack: Stack, output: Output
) -> None:
    created = stack.create(link()).json
    before = stack.rows("LinksTable")
    assert stack.status(created["claimCode"]).status == 200
    assert stack.rows("LinksTable") == before
    assert output.lines[-1]["linkId"] == created["linkId"]
    assert created["claimCode"] not in output.text
    assert stack.claim(created["claimCode"]).status == 200


@pytest.mark.parametrize(
    ("body", "issue"),
    [
        ({}, ("code", "required")),
        ({"code": None}, ("code", "type")),
        ({"code": "clm_x", "cod": 1}, ("cod", "unknown_field")),
        ([], ("", "type")),
    ],
)
def test_a_body_without_a_code_is_told_so(stack: Stack, body: Any, issue: tuple[str, str]) -> None:
    answer = stack.invoke("link_status", sample_event("link_status") | {"body": json.dumps(body)})
    assert answer.status == 400
    assert [(i["path"], i["code"]) for i in answer.json["issues"]] == [issue]
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


def test_pages_of_any_origin_may_read_every_answer(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    event = sample_event("link_status")
    created = stack.create(link()).json
    headers = event["headers"]
    answers = [
        stack.status(created["claimCode"]),
        stack.invoke("link_status", event),
        stack.invoke("link_status", event | {"headers": headers | {"content-type": "text/plain"}}),
        stack.invoke("link_status", event | {"body": " " * 262_145}),
    ]

    def get_item(**_: Any) -> Any:
        raise UnavailableError

    for broken in (get_item, lambda **_: 1 / 0):
        monkeypatch.setattr(aws.dynamodb(), "get_item", broken)
        answers.append(stack.status(created["claimCode"]))
    assert [answer.status for answer in answers] == [200, 404, 415, 413, 503, 500]
    assert {answer.headers["Access-Control-Allow-Origin"] for answer in answers} == {"*"}
    assert answers[-2].headers["Retry-After"] == "2"


def test_a_browser_that_asks_first_is_told_what_it_may_send(
    stack: Stack,  # noqa: ARG001 # its environment
) -> None:
    from functions.link_status import app

    event = sample_event("link_status") | {"routeKey": "OPTIONS /link/status", "body": None}
    answer = app.lambda_handler(event, None)
    assert (answer["statusCode"], answer.get("body")) == (204, None)
    allowed = {name: value for name, value in answer["headers"].items() if name.startswith("Access-Control")}
    assert allowed == {
        "Access-Control-Allow-Origin": "*",
        "Access-Control-Allow-Methods": "POST",
        "Access-Control-Allow-Headers": "content-type",
        "Access-Control-Max-Age": "86400",
    }
