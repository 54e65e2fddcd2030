"""What a connector may say beside a login and a code: waits, actions, questions of an operation, reasons."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from latchkey.domain import sessions
from tests.integration.conftest import LOGIN, Stack, founding, operations

READ, WRITE = "paymentMethod.read", "paymentMethod.write"
RECORDED = Path(__file__).parents[1] / "vectors/connector_conversation.json"
FIELD = {"type": "string", "title": "Code", "maxLength": 6}
FORM = {"type": "object", "properties": {"code": FIELD}, "additionalProperties": False}
NO_FORM = {"type": "object", "properties": {}, "additionalProperties": False}
OTP = {"type": "otp", "title": "Enter the code", "schema": FORM}
WAIT = {"type": "wait", "title": "Approve it in the app", "schema": NO_FORM, "pollSeconds": 3}
ACTIONS = [{"id": "again", "title": "Send it again"}]
DONE: dict[str, Any] = {"status": "authenticated", "state": "in"}

type Json = dict[str, Any]


def link(*named: str, **changes: Any) -> Json:
    return founding(operations=operations(*(named or (READ,))), **changes)


def asks(challenge: Json, state: Any = None) -> Json:
    return {"status": "challenge", "challenge": challenge, "state": state}


def plays(stack: Stack, *replies: Json | Callable[[Json], Json]) -> None:
    """The connector replies these, one to each request, and from then on what the sandbox does."""
    sandbox, left = stack.connectors.reply, list(replies)

    def reply(request: Json) -> Any:
        if not left:
            return sandbox(request)
        following = left.pop(0)
        return following(request) if callable(following) else following

    stack.connectors.reply = reply


def result(stack: Stack) -> Callable[[Json], Json]:
    """What the sandbox replies for user_good."""
    sandbox = stack.connectors.reply
    return lambda request: sandbox(request | {"state": {"step": "authenticated", "user": "user_good"}})


def act(stack: Stack, token: str, **members: Any) -> Any:
    challenge = stack.client(token).json["challenge"]
    return stack.client(token, "POST /link/session/input", {"challengeId": challenge["id"]} | members)


def wait(stack: Stack, seconds: float) -> None:
    stack.now += round(1000 * seconds)
    stack.work()


def said(stack: Stack) -> list[tuple[str, Any]]:
    """Of each request, the action and what the user had said."""
    return [(call["action"], call.get("choice", call["input"])) for call in stack.connectors.called]


def test_a_conversation_of_before_the_protocol_grew_goes_on_as_it_was(stack: Stack) -> None:
    recorded = json.loads(RECORDED.read_text())
    plays(stack, *(turn["reply"] for turn in recorded))
    link_id, token = stack.claimed(link(READ, WRITE, READ))
    for typed in (LOGIN | {"password": "wrong"}, LOGIN | {"username": "user_otp"}):
        stack.answer(token, typed)
        stack.work()
    for code in ("000000", "123456"):
        stack.answer(token, {"code": code})
        stack.work()
    assert stack.get(link_id).json["status"] == "complete"
    for called, turn in zip(stack.connectors.called, recorded, strict=True):
        assert {name: called[name] for name in called if name not in ("function", "asked")} == (
            turn["request"] | {"sessionId": called["sessionId"]}
        )


# --- Reasons -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "replied", "reason", "words"),
    [
        ("LOGIN_FAILED", "account_locked", "account_locked", "could not log in: the provider has locked"),
        ("LOGIN_FAILED", "card_declined", "other", ": for a reason that has no name here"),
        ("CONNECTION_FAILED", "hunter2", "other", ": for a reason that has no name here"),
        ("CONNECTION_FAILED", None, None, "The provider could not be reached"),
    ],
)
def test_a_reason_is_told_to_everybody_in_one_word_and_to_support_staff_in_a_sentence(
    stack: Stack, code: str, replied: str | None, reason: str | None, words: str
) -> None:
    plays(stack, {"status": "error", "code": code} | ({"reason": replied} if replied else {}))
    created = stack.create(link()).json
    token = stack.claim(created["claimCode"]).json["clientToken"]
    stack.work()
    view = stack.get(created["linkId"]).json["error"]
    assert (view["code"], view["reason"]) == (code, reason)
    assert words in view["message"]
    assert json.loads(stack.event(created["linkId"]))["data"]["error"] == view
    for told in (stack.client(token).json, stack.status(created["claimCode"]).json):
        assert told["error"] == {"code": code, "reason": reason}


# --- Challenges ----------------------------------------------------------------------------------


def test_a_challenge_shows_what_the_connector_gave_with_it_and_its_end(stack: Stack) -> None:
    more = {"message": "That was wrong", "values": {"code": "12"}, "actions": ACTIONS}
    plays(stack, asks(OTP | more | {"expiresInSeconds": 90}))
    _, token = stack.claimed(link())
    shown = stack.client(token).json["challenge"]
    assert shown == OTP | more | {"id": shown["id"], "expiresAt": stack.now + 90_000}


def test_an_action_takes_the_place_of_an_answer(stack: Stack) -> None:
    plays(stack, asks(OTP | {"actions": ACTIONS}, 1), asks(OTP | {"message": "Sent"}, 2), DONE, result(stack))
    link_id, token = stack.claimed(link())
    both, unknown = act(stack, token, action="again", input={}), act(stack, token, action="other")
    assert (both.status, both.issues) == (400, {"input": ("schema", "must be left out beside an action")})
    told = "must be the id of one of the challenge's actions"
    assert (unknown.status, unknown.issues) == (400, {"action": ("schema", told)})
    old = stack.client(token).json["challenge"]["id"]
    taken = act(stack, token, action="again")
    assert (taken.status, taken.json["status"]) == (202, "running")
    stack.work()
    assert stack.client(token).json["challenge"]["id"] != old
    assert act(stack, token, action="again").issues == {"action": ("schema", told)}
    stack.answer(token, {"code": "1"})
    stack.work()
    assert stack.get(link_id).json["status"] == "complete"
    assert said(stack) == [("start", None), ("answer", "again"), ("answer", {"code": "1"}), ("execute", None)]
    assert [call["state"] for call in stack.connectors.called] == [None, 1, 2, "in"]
    assert stack.connectors.called[1]["input"] is None


# --- Waiting -------------------------------------------------------------------------------------


def test_a_wait_is_polled_at_its_pace_and_keeps_its_id_and_its_end(stack: Stack) -> None:
    ends = {"expiresInSeconds": 60}
    plays(stack, asks(WAIT | ends, 1), asks(WAIT | ends, 2), asks(WAIT | ends | {"title": "Still?"}, 3), DONE)
    _, token = stack.claimed(link(debug=True))
    first, begun = stack.client(token).json["challenge"], stack.now
    assert first["expiresAt"] == begun + 60_000
    assert first["schema"]["properties"] == {}
    assert "pollSeconds" not in first
    stack.queues.copies = 2
    for tenth in range(1, 60):
        wait(stack, 0.1)
        assert len(stack.connectors.called) == 1 + tenth // 30
    shown = stack.client(token).json["challenge"]
    assert shown == first
    wait(stack, 0.1)
    assert stack.client(token).json["challenge"] == first | {"title": "Still?"}
    wait(stack, 3)
    assert stack.client(token).json["status"] in ("running", "failed")
    assert [call["state"] for call in stack.connectors.called[:4]] == [None, 1, 2, 3]
    assert said(stack)[:4] == [("start", None)] + [("poll", None)] * 3


def test_between_polls_no_worker_has_the_session(stack: Stack) -> None:
    plays(stack, asks(WAIT))
    link_id, _ = stack.claimed(link())
    session = stack.stored(link_id).session
    assert session is not None
    assert session.lease_until == 0
    assert stack.queues.waiting == 1


def test_a_wait_takes_no_input(stack: Stack) -> None:
    plays(stack, asks(WAIT))
    _, token = stack.claimed(link())
    answer = act(stack, token, input={})
    assert (answer.status, list(answer.issues)) == (400, ["input"])


def test_a_poll_that_was_lost_is_found_by_sweep_and_waits_end_with_the_session(stack: Stack) -> None:
    plays(stack, *[asks(WAIT)] * 3)
    link_id, token = stack.claimed(link())
    stack.queues.clear()
    for seconds, calls in ((3, 1), (14, 1), (1, 2)):
        stack.now += seconds * 1000
        stack.sweep()
        stack.work()
        assert len(stack.connectors.called) == calls
    stack.now = stack.client(token).json["expiresAt"]
    assert stack.get(link_id).json["error"]["code"] == "CLIENT_TIMEOUT"
    stack.work()
    stack.sweep()
    assert len(stack.connectors.called) == 2
    assert stack.rows("SecretsTable") == []


def test_an_action_goes_before_the_next_poll(stack: Stack) -> None:
    offered = WAIT | {"actions": ACTIONS}
    plays(stack, asks(offered, 1), asks(offered, 2), asks(OTP, 3))
    _, token = stack.claimed(link())
    act(stack, token, action="again")
    stack.work()
    wait(stack, 3)
    assert said(stack) == [("start", None), ("answer", "again"), ("poll", None)]
    assert stack.client(token).json["challenge"]["type"] == "otp"


@pytest.mark.parametrize(
    ("replied", "heard"), [(asks(WAIT | {"actions": ACTIONS}, 2), True), (asks(OTP, 2), False), (DONE, False)]
)
def test_an_action_chosen_during_a_poll_is_tried_after_it_if_there_still_is_a_wait(
    stack: Stack, replied: Json, heard: bool
) -> None:
    token = ""

    def chosen(_: Json) -> Json:
        assert act(stack, token, action="again").status == 202
        stack.work()  # a second worker finds the first at it
        return replied

    plays(stack, asks(WAIT | {"actions": ACTIONS}, 1), chosen, *[asks(OTP, 3)] * heard, result(stack))
    link_id, token = stack.claimed(link())
    wait(stack, 3)
    assert (("answer", "again") in said(stack)) is heard
    shown = stack.client(token).json
    if replied is DONE:
        assert stack.get(link_id).json["status"] == "complete"
    else:
        assert shown["challenge"]["type"] == "otp"
        assert [call["state"] for call in stack.connectors.called] == [None, 1, 2][: 2 + heard]
        assert [row["sk"].partition("#")[0] for row in stack.rows("SecretsTable")] == ["state"]


# --- Within an operation -------------------------------------------------------------------------


def stepped_up(stack: Stack, *after: Json | Callable[[Json], Json], named: str = WRITE) -> tuple[str, str]:
    """A link whose first operation asks for a code."""
    plays(stack, DONE, asks(OTP | {"actions": ACTIONS}, "asked"), *after)
    return stack.claimed(link(named, READ))


def test_an_operation_may_ask_and_is_handed_over_again_with_the_answer(stack: Stack) -> None:
    done = result(stack)
    link_id, token = stepped_up(stack, asks(OTP | {"message": "Wrong"}, "asked"), done, done)
    seen = stack.client(token).json
    assert (seen["status"], [o["status"] for o in seen["operations"]]) == (
        "awaiting_input",
        ["running", "pending"],
    )
    act(stack, token, action="again")
    stack.work()
    stack.answer(token, {"code": "1"})
    stack.work()
    assert stack.get(link_id).json["status"] == "complete"
    executed = [("execute", said) for said in (None, "again", {"code": "1"}, None)]
    assert said(stack) == [("start", None), *executed]
    assert [call["state"] for call in stack.connectors.called] == [None, "in", "asked", "asked", "asked"]
    first, *others = (call["operation"] for call in stack.connectors.called[1:4])
    assert others == [first, first]


def stop(stack: Stack, who: str, link_id: str, token: str) -> None:
    if who == "user":
        stack.client(token, "POST /link/session/cancel")
    elif who == "owner":
        stack.cancel(link_id)
    else:
        stack.now += 900_000
        stack.sweep()


@pytest.mark.parametrize(
    ("who", "code"), [("user", "USER_CANCELED"), ("owner", None), ("time", "CLIENT_TIMEOUT")]
)
@pytest.mark.parametrize("when", ["asked", "answered", "handed over"])
def test_a_write_that_asks_has_written_nothing_until_it_is_handed_over_again(
    stack: Stack, when: str, who: str, code: str | None
) -> None:
    def stopped(_: Json) -> Json:
        stop(stack, who, link_id, token)
        return {"status": "result", "data": {"success": True, "card": {"last4": "4242"}}}

    link_id, token = stepped_up(stack, stopped)
    if when != "asked":
        stack.answer(token, {"code": "1"})
    if when == "handed over":
        stack.work()
        code = "OUTCOME_UNKNOWN"
    else:
        stop(stack, who, link_id, token)
    view = stack.get(link_id).json
    assert (view["error"] and view["error"]["code"]) == code
    assert [o["status"] for o in view["operations"]] == [
        "unknown" if code == "OUTCOME_UNKNOWN" else "failed",
        "skipped",
    ]
    assert stack.rows("SecretsTable") == []


def test_a_read_that_died_with_its_answer_begins_anew_without(stack: Stack) -> None:
    def dies(_: Json) -> Json:
        raise RuntimeError

    done = result(stack)
    link_id, token = stepped_up(stack, dies, asks(OTP, "asked again"), done, done, named=READ)
    for _ in range(2):
        stack.answer(token, {"code": "1"})
        stack.work()
    assert stack.get(link_id).json["status"] == "complete"
    assert [answer for action, answer in said(stack) if action == "execute"] == [
        *(None, {"code": "1"}, None, {"code": "1"}, None)
    ]


@pytest.mark.parametrize("named", [READ, WRITE])
def test_an_operation_that_asks_a_sixth_time_has_failed(stack: Stack, named: str) -> None:
    link_id, token = stepped_up(stack, *[asks(OTP, "asked")] * 5, named=named)
    for _ in range(sessions.MAX_ASKED):
        assert stack.get(link_id).json["status"] == "active"
        stack.answer(token, {"code": "1"})
        stack.work()
    error = stack.get(link_id).json["error"]
    assert (error["code"], error["operationIndex"], error["reason"]) == ("AUTOMATION_ERROR", 0, None)


@pytest.mark.parametrize("named", [READ, WRITE])
def test_a_wait_in_an_operation_is_polled_by_handing_it_over_with_nothing_said(
    stack: Stack, named: str
) -> None:
    done = result(stack)
    plays(stack, DONE, *[asks(WAIT, n) for n in range(8)], done, done)
    link_id, token = stack.claimed(link(named, READ))
    first = stack.client(token).json["challenge"]["id"]
    for _ in range(7):
        wait(stack, 3)
        assert stack.client(token).json["challenge"]["id"] == first
    wait(stack, 3)
    assert stack.get(link_id).json["status"] == "complete"
    assert said(stack)[1:] == [("execute", None)] * 10


@pytest.mark.parametrize("lasts", [True, False])
def test_a_write_that_ends_in_a_poll_is_not_lost_for_an_action_chosen_meanwhile(
    stack: Stack, lasts: bool
) -> None:
    token, done = "", result(stack)

    def chosen(request: Json) -> Json:
        seen = stack.client(token).json
        assert (seen["status"], seen["operations"][0]["status"]) == ("awaiting_input", "running")
        assert act(stack, token, action="again").status == 202
        return done(request) if not lasts else asks(WAIT, 2)

    plays(stack, DONE, asks(WAIT | {"actions": ACTIONS}, 1), chosen, done, *[done] * lasts)
    link_id, token = stack.claimed(link(WRITE, READ))
    wait(stack, 3)
    assert stack.get(link_id).json["status"] == "complete"
    assert (("execute", "again") in said(stack)) is lasts
    assert stack.rows("SecretsTable") == []


@pytest.mark.parametrize("who", ["user", "owner", "time"])
def test_a_write_that_is_polled_may_have_happened(stack: Stack, who: str) -> None:
    def stopped(_: Json) -> Json:
        stop(stack, who, link_id, token)
        return asks(WAIT)

    plays(stack, DONE, asks(WAIT), stopped)
    link_id, token = stack.claimed(link(WRITE))
    wait(stack, 3)
    assert stack.get(link_id).json["error"]["code"] == "OUTCOME_UNKNOWN"


# --- The sandbox's users -------------------------------------------------------------------------


def test_user_wait_is_logged_in_after_five_seconds(stack: Stack) -> None:
    link_id, token = stack.run("user_wait", link(WRITE))
    assert stack.client(token).json["challenge"]["type"] == "wait"
    for _ in range(3):
        assert stack.get(link_id).json["status"] == "active"
        wait(stack, 2)
    assert stack.get(link_id).json["status"] == "complete"


def test_user_choice_chooses_where_the_code_goes_and_may_choose_again(stack: Stack) -> None:
    link_id, token = stack.run("user_choice", link())

    def take(kind: str, **members: Any) -> Json:
        assert stack.client(token).json["challenge"]["type"] == kind
        assert act(stack, token, **members).status == 202
        stack.work()
        challenge: Json = stack.client(token).json["challenge"]
        return challenge

    take("choice", input={"way": "email"})
    assert take("otp", action="new_code")["message"] == "A new code is on its way"
    assert take("otp", action="other_way")["values"] == {"way": "email"}
    take("choice", input={"way": "sms"})
    assert "2 left" in take("otp", input={"code": "000000"})["message"]
    take("otp", input={"code": "123456"})
    assert stack.get(link_id).json["status"] == "complete"


def test_user_step_up_is_asked_for_a_code_at_the_first_write_alone(stack: Stack) -> None:
    link_id, token = stack.run("user_step_up", link(READ, WRITE, WRITE, READ))
    assert stack.connectors.executed() == [(0, "read")]
    for code in ("000000", "123456"):
        act(stack, token, input={"code": code})
        stack.work()
    assert stack.get(link_id).json["status"] == "complete"
    assert stack.connectors.executed() == [(0, "read"), (1, "write"), (2, "write"), (3, "read")]


def test_three_wrong_codes_at_a_write_fail_it(stack: Stack) -> None:
    link_id, _ = stack.run("user_step_up", link(WRITE), "000000", "111111", "222222")
    error = stack.get(link_id).json["error"]
    assert (error["code"], error["operationIndex"]) == ("AUTOMATION_ERROR", 0)


@pytest.mark.parametrize(
    ("named", "error"), [((READ, WRITE), ("AUTOMATION_ERROR", 1, "card_declined")), ((READ,), None)]
)
def test_user_declined_fails_at_the_first_write(stack: Stack, named: tuple[str, ...], error: Any) -> None:
    link_id, _ = stack.run("user_declined", link(*named))
    view = stack.get(link_id).json["error"]
    assert error == (view and (view["code"], view["operationIndex"], view["reason"]))
