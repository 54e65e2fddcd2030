"""What a test link's owner may make happen, through the handler: time, ends and failures at will."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from latchkey.adapters import store
from latchkey.domain import deliveries, ids, links, sandbox
from latchkey.domain.retry_schedule import _STEPS, Outcome
from tests.integration.conftest import (
    LOGIN,
    SAMPLE_KEY,
    Answer,
    Receiver,
    Stack,
    founding,
    operations,
    sample_event,
)

SECOND, MINUTE, DAY = 1000, 60_000, 86_400_000
FAILING = Outcome(duration_ms=30, status_code=500)


def link(**changes: Any) -> dict[str, Any]:
    return founding(operations=operations("paymentMethod.read"), **changes)


def new(stack: Stack, **changes: Any) -> dict[str, Any]:
    created: dict[str, Any] = stack.create(link(**changes)).json
    return created


def attempts(stack: Stack, link_id: str) -> list[dict[str, Any]]:
    return list(stack.stored(link_id).deliveries)


# --- The link's clock ----------------------------------------------------------------------------


def test_a_link_expires_at_once_and_its_event_has_arrived(stack: Stack, receiver: Receiver) -> None:
    created = new(stack)
    answer = stack.advance(created["linkId"], until="expiry")
    assert answer.status == 200
    view, expiry = answer.json, created["expiresAt"]
    assert (view["status"], view["completedAt"]) == ("expired", expiry)
    assert view["testClock"] == {"offsetMs": expiry - stack.now, "now": expiry}
    assert view["webhook"] == {"status": "delivered", "attempts": 1, "nextAttemptAt": None}
    assert [attempt["at"] for attempt in attempts(stack, created["linkId"])] == [expiry]
    ((_, headers, body),) = receiver.got
    assert json.loads(body)["data"]["completedAt"] == expiry
    assert headers["webhook-timestamp"] == str(stack.now // 1000)  # real, or no library would verify it
    assert stack.claim(created["claimCode"]).status == 410


def test_ten_attempts_over_75_hours_are_made_and_exhausted(stack: Stack, receiver: Receiver) -> None:
    receiver.otherwise = FAILING
    link_id = new(stack)["linkId"]
    stack.cancel(link_id)
    view = stack.advance(link_id, seconds=76 * 3600).json
    assert view["webhook"] == {"status": "exhausted", "attempts": 10, "nextAttemptAt": None}
    times = [attempt["at"] for attempt in attempts(stack, link_id)]
    assert [later - earlier for earlier, later in pairwise(times)] == list(_STEPS)
    assert times[0] == stack.now
    assert view["testClock"]["offsetMs"] == 76 * 3600 * SECOND
    assert len({body for _, _, body in receiver.got}) == 1


def test_the_clock_goes_attempt_by_attempt_and_stops_where_it_is_told(
    stack: Stack, receiver: Receiver
) -> None:
    receiver.otherwise = FAILING
    link_id = new(stack)["linkId"]
    stack.cancel(link_id)
    for steps in range(1, 10):  # the first attempt is due already, and is no next one
        view = stack.advance(link_id, until="next_attempt").json
        assert view["webhook"]["attempts"] == 1 + steps
        assert view["testClock"]["offsetMs"] == sum(_STEPS[:steps])
    assert stack.advance(link_id, until="next_attempt").status == 409
    view = stack.advance(new(stack)["linkId"], seconds=30).json
    assert (view["status"], view["testClock"]["offsetMs"]) == ("pending", 30 * SECOND)


def test_a_session_times_out_and_its_token_ends_a_day_later(stack: Stack, receiver: Receiver) -> None:
    link_id, token = stack.claimed(link())
    ends_at = stack.client(token).json["expiresAt"]
    view = stack.advance(link_id, until="session_end").json
    assert (view["status"], view["error"]["code"], view["completedAt"]) == (
        "failed",
        "CLIENT_TIMEOUT",
        ends_at,
    )
    assert [event["data"]["error"]["code"] for event in receiver.events] == ["CLIENT_TIMEOUT"]
    stack.advance(link_id, seconds=24 * 3600 - 1)
    assert stack.client(token).json["status"] == "failed"
    stack.advance(link_id, seconds=1)
    assert stack.client(token).status == 401


def test_a_link_is_gone_past_its_retention(stack: Stack, receiver: Receiver) -> None:
    link_id = new(stack)["linkId"]
    view = stack.advance(link_id, until="retention").json
    assert view["testClock"]["now"] == view["expiresAt"] + 30 * DAY
    assert [event["type"] for event in receiver.events] == ["link.expired"]
    assert stack.get(link_id).status == 404
    assert stack.links() == []
    assert stack.advance(link_id, seconds=1).status == 404


def test_a_link_is_kept_until_the_last_millisecond_of_its_retention(stack: Stack, receiver: Receiver) -> None:
    created = new(stack, webhookUrl=None)
    seconds = (created["expiresAt"] - stack.now + 30 * DAY) // SECOND
    stack.now += 1
    stack.advance(created["linkId"], seconds=seconds - 1)
    assert stack.get(created["linkId"]).json["status"] == "expired"
    (row,) = stack.links()
    assert stack.now // SECOND <= row["ttl"] <= stack.now // SECOND + 2  # and the store's own clock agrees
    stack.advance(created["linkId"], seconds=1)
    assert stack.get(created["linkId"]).status == 404
    assert receiver.got == []


def test_a_turned_link_is_claimed_by_its_own_clock(stack: Stack) -> None:
    created = new(stack)
    stack.advance(created["linkId"], seconds=3600)
    claimed = stack.claim(created["claimCode"], "k" * 16)
    assert claimed.status == 200
    shown = stack.now + 3600 * SECOND
    assert claimed.json["expiresAt"] == shown + 900 * SECOND
    assert stack.get(created["linkId"]).json["claimedAt"] == shown
    again = stack.claim(created["claimCode"], "k" * 16)
    assert (again.json, again.headers["Idempotent-Replayed"]) == (claimed.json, "true")
    assert stack.claim(created["claimCode"]).status == 409
    stack.work()
    stack.answer(claimed.json["clientToken"], LOGIN)
    stack.work()
    view = stack.get(created["linkId"]).json
    assert (view["status"], view["completedAt"]) == ("complete", shown)


def test_a_turned_link_is_swept_by_its_own_clock(stack: Stack) -> None:
    created = new(stack, webhookUrl=None)
    stack.advance(created["linkId"], seconds=4 * 3600 - 10)
    stack.now += 10 * SECOND
    for status, found in (("pending", []), ("expired", [created["linkId"]])):
        assert [row["linkId"] for row in stack.page(f"status={status}").json["links"]] == found
    assert stack.sweep() == 0
    assert stack.stored(created["linkId"]).status == "expired"


def test_a_worker_is_not_disturbed_by_a_turn_of_the_clock(stack: Stack) -> None:
    link_id, token = stack.claimed(founding(operations=operations("paymentMethod.write"), debug=True))
    sandbox = stack.connectors.reply

    def reply(request: dict[str, Any]) -> Any:
        assert stack.advance(link_id, seconds=200).status == 200  # longer than a worker's lease
        stack.consume("run_session", json.dumps({"sessionId": request["sessionId"]}))
        stack.now += 200
        return sandbox(request)

    stack.connectors.reply = reply
    stack.answer(token, LOGIN)
    stack.work()
    view = stack.get(link_id).json
    assert view["status"] == "complete"
    assert stack.connectors.executed() == [(0, "write")]
    (took,) = [step["durationMs"] for step in view["timeline"] if step["event"] == "operation.succeeded"]
    assert took == 200


def test_a_write_that_runs_when_the_session_is_made_to_end_has_an_unknown_outcome(stack: Stack) -> None:
    link_id, token = stack.claimed(founding(operations=operations("paymentMethod.write")))
    sandbox = stack.connectors.reply

    def reply(request: dict[str, Any]) -> Any:
        if request["action"] == "execute":
            stack.advance(link_id, until="session_end")
        return sandbox(request)

    stack.connectors.reply = reply
    stack.answer(token, LOGIN)
    stack.work()
    assert stack.get(link_id).json["error"]["code"] == "OUTCOME_UNKNOWN"


def test_an_attempt_that_a_worker_has_in_hand_is_waited_for(
    stack: Stack, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    link_id = new(stack)["linkId"]
    stack.cancel(link_id)
    before = stack.stored(link_id)
    token = ids.new_token()
    held = store.save(before, deliveries.leased(before, stack.now, token))
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        stack.now += 50
        if len(pauses) == 3:
            store.save(held, deliveries.recorded(held, stack.now, stack.now, FAILING, 0.5))

    monkeypatch.setattr("time.sleep", pause)
    view = stack.advance(link_id, until="next_attempt").json
    assert len(pauses) == 3
    assert [attempt.get("statusCode") for attempt in attempts(stack, link_id)] == [500, 204]
    assert view["webhook"]["status"] == "delivered"
    assert len(receiver.got) == 1


def test_a_receiver_that_is_slow_leaves_the_clock_where_it_came_to(stack: Stack, receiver: Receiver) -> None:
    def slow() -> None:
        stack.now += 14 * SECOND

    receiver.during, receiver.otherwise = slow, FAILING
    link_id = new(stack)["linkId"]
    stack.cancel(link_id)
    assert stack.advance(link_id, seconds=3600).status == 409
    view = stack.get(link_id).json
    assert (view["status"], view["webhook"]["attempts"]) == ("canceled", 1)
    assert view["testClock"]["offsetMs"] == 5 * SECOND


def test_advances_at_the_same_time_add_up(stack: Stack, receiver: Receiver) -> None:
    link_id = new(stack)["linkId"]
    stack.cancel(link_id)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda n: stack.advance(link_id, seconds=n), [100, 200, 300, 400]))
    assert [answer.status for answer in answers] == [200] * 4
    assert stack.get(link_id).json["testClock"]["offsetMs"] == 1000 * SECOND
    assert len(receiver.got) == 1


def test_a_clock_goes_120_days_and_no_further(stack: Stack) -> None:
    link_id = new(stack, webhookUrl=None, expiresIn=90 * 86_400)["linkId"]
    assert stack.advance(link_id, seconds=100 * 86_400).status == 200
    assert stack.advance(link_id, seconds=20 * 86_400 + 1).status == 409
    assert stack.get(link_id).json["testClock"]["offsetMs"] == 100 * DAY
    assert stack.advance(link_id, seconds=20 * 86_400).status == 200


@pytest.mark.parametrize(
    ("end", "until"),
    [("none", "session_end"), ("none", "next_attempt"), ("claim", "expiry"), ("cancel", "session_end")],
)
def test_what_will_never_come_cannot_be_waited_for(stack: Stack, end: str, until: str) -> None:
    created = new(stack, webhookUrl=None)
    if end == "claim":
        stack.claim(created["claimCode"])
    elif end == "cancel":
        stack.cancel(created["linkId"])
    assert stack.advance(created["linkId"], until=until).status == 409
    assert stack.get(created["linkId"]).json["testClock"] is None


@pytest.mark.parametrize(
    ("body", "path", "code"),
    [
        ({}, "", "range"),
        ({"seconds": 1, "until": "expiry"}, "", "range"),
        ({"seconds": 0}, "seconds", "range"),
        ({"seconds": 10_368_001}, "seconds", "range"),
        ({"seconds": True}, "seconds", "type"),
        ({"seconds": None}, "seconds", "type"),
        ({"until": "claim"}, "until", "schema"),
        ({"minutes": 1}, "minutes", "unknown_field"),
    ],
)
def test_what_does_not_fit_is_told(stack: Stack, body: dict[str, Any], path: str, code: str) -> None:
    issues = stack.test_mode(new(stack)["linkId"], "advance", body).issues
    assert {where: what for where, (what, _) in issues.items()} == {path: code}


# --- Of test links alone --------------------------------------------------------------------------


@pytest.fixture
def live(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> str:
    """A live key of a deployment that has a live connector."""
    monkeypatch.setenv("LIVE_CONNECTORS", "tmobile=arn:aws:lambda:us-east-1:1:function:tmobile")
    stack.forget_settings()
    return stack.new_key(livemode=True)


def refused(stack: Stack, link_id: str, key: str) -> list[Answer]:
    """What a key gets of each route, whatever the body."""
    bodies: list[tuple[str, Any]] = [*((verb, {}) for verb in VERBS), *VERBS.items()]
    return [stack.test_mode(link_id, verb, body, key=key) for verb, body in bodies]


VERBS: dict[str, Any] = {
    "advance": {"seconds": 1},
    "simulate": {"outcome": "complete"},
    "fail-deliveries": {"count": 1, "as": 500},
}


def test_a_live_key_gets_404_of_its_own_links_and_of_test_links(stack: Stack, live: str) -> None:
    ours = stack.create(link(), key=live).json["linkId"]
    theirs = new(stack)["linkId"]
    for link_id, key in ((ours, live), (theirs, live)):
        assert {answer.status for answer in refused(stack, link_id, key)} == {404}
    assert {stack.test_mode(ours, verb, body).status for verb, body in VERBS.items()} == {404}
    assert "testClock" not in stack.get(ours, key=live).json


def test_the_store_turns_no_live_links_clock_and_deletes_none(stack: Stack, live: str) -> None:
    stored = stack.stored(stack.create(link(), key=live).json["linkId"])
    for changed in (links.turned(stored, 1), replace(stored, planned_failures=(500,))):
        with pytest.raises(store.SupersededError):
            store.save(stored, changed)
    with pytest.raises(store.SupersededError):
        store.delete_test_link(stored)
    assert stack.stored(stored.link_id) == stored


# --- Ends at will ---------------------------------------------------------------------------------

TWO = operations("paymentMethod.read", "paymentMethod.write")
CODES = [
    "LOGIN_FAILED",
    "USER_CANCELED",
    "CLIENT_TIMEOUT",
    "AUTOMATION_ERROR",
    "RESULT_VALIDATION_ERROR",
    "CONNECTION_FAILED",
    "OUTCOME_UNKNOWN",
    "INTERNAL_ERROR",
]


@pytest.mark.parametrize("claimed", [False, True])
def test_a_link_completes_with_the_catalogues_examples_as_by_a_session(
    stack: Stack, receiver: Receiver, claimed: bool
) -> None:
    body = founding(operations=TWO, debug=True)
    played, _ = stack.run("user_good", body)
    link_id = stack.claimed(body)[0] if claimed else stack.create(body).json["linkId"]
    answer = stack.simulate(link_id, outcome="complete")
    assert answer.status == 200
    assert answer.json == stack.get(link_id).json
    of_a_session = stack.get(played).json
    for view in (simulated := answer.json, of_a_session):
        del view["linkId"], view["sessionId"], view["returnUrl"]
        view["timeline"] = [
            {name: step[name] for name in step if name != "durationMs"}
            for step in view["timeline"]
            if not step["event"].startswith("challenge.")
        ]
    last4 = of_a_session["result"]["operations"][1]["data"]["card"]
    simulated["result"]["operations"][1]["data"]["card"] = last4  # of the arguments, which are sealed
    assert simulated == of_a_session
    stack.deliver()
    assert [event["type"] for event in receiver.events] == 2 * ["link.complete"]
    assert stack.rows("SecretsTable") == []


def test_a_link_completes_with_data_of_its_owners(stack: Stack, receiver: Receiver) -> None:
    link_id = new(stack)["linkId"]
    data: dict[str, Any] = {"paymentMethods": []}
    assert stack.simulate(link_id, outcome="complete", data=[data]).json["result"] == data
    stack.deliver()
    assert receiver.events[0]["data"]["result"] == data


@pytest.mark.parametrize(
    ("data", "path", "code"),
    [
        ([], "data", "range"),
        ([{"paymentMethods": []}], "data", "range"),
        ([{"paymentMethods": []}, {"success": False, "card": {"last4": "1"}}], "data.1", "schema"),
        ([{"paymentMethods": [{}]}, {}], "data.0.paymentMethods.0.order", "required"),
        ([{"paymentMethods": [], "more": 1}, {}], "data.0.more", "unknown_field"),
        ([{"paymentMethods": []}, "x"], "data.1", "type"),
        ({}, "data", "type"),
    ],
)
def test_data_that_does_not_fit_is_told_where(stack: Stack, data: Any, path: str, code: str) -> None:
    link_id = stack.create(founding(operations=TWO)).json["linkId"]
    issues = stack.test_mode(link_id, "simulate", {"outcome": "complete", "data": data}).issues
    assert issues[path][0] == code
    assert stack.get(link_id).json["status"] == "pending"


def test_data_that_an_event_cannot_hold_is_refused(stack: Stack) -> None:
    link_id = new(stack, metadata={str(n): "x" * 500 for n in range(50)})["linkId"]
    method = {"order": 0, "vendorId": "v" * 200, "last4": "4242", "type": "other", "isDefault": False}
    data = [{"paymentMethods": [method] * (249_000 // len(json.dumps(method)))}]  # the metadata are 25 KB
    issues = stack.simulate(link_id, outcome="complete", data=data).issues
    assert issues["data"][0] == "range", issues


@pytest.mark.parametrize("code", CODES)
def test_a_link_fails_with_each_code(stack: Stack, receiver: Receiver, code: str) -> None:
    link_id = stack.create(founding(operations=TWO)).json["linkId"]
    view = stack.simulate(link_id, outcome="fail", code=code).json
    index = 0 if code in CODES[3:5] + CODES[6:7] else None
    assert (view["status"], view["error"]["code"], view["error"]["operationIndex"]) == ("failed", code, index)
    first = "skipped" if index is None else "unknown" if code == "OUTCOME_UNKNOWN" else "failed"
    assert [operation["status"] for operation in view["operations"]] == [first, "skipped"]
    assert view["claimedAt"] == stack.now
    stack.deliver()
    assert receiver.events[0]["data"]["error"] == view["error"]


def test_the_operation_that_fails_and_the_reason_can_be_chosen(stack: Stack) -> None:
    link_id = stack.create(founding(operations=TWO)).json["linkId"]
    body = {"outcome": "fail", "code": "AUTOMATION_ERROR", "operationIndex": 1, "reason": "card_declined"}
    view = stack.simulate(link_id, **body).json
    assert (view["error"]["operationIndex"], view["error"]["reason"]) == (1, "card_declined")
    assert [operation["status"] for operation in view["operations"]] == ["succeeded", "failed"]
    view = stack.simulate(
        new(stack)["linkId"], outcome="fail", code="LOGIN_FAILED", reason="card_declined"
    ).json
    assert view["error"]["reason"] == "other"


@pytest.mark.parametrize(
    ("body", "path", "code"),
    [
        ({}, "outcome", "required"),
        ({"outcome": "failed"}, "outcome", "schema"),
        ({"outcome": "fail"}, "code", "required"),
        ({"outcome": "fail", "code": "EXPIRED"}, "code", "schema"),
        ({"outcome": "fail", "code": "LOGIN_FAILED", "operationIndex": 0}, "operationIndex", "schema"),
        ({"outcome": "fail", "code": "AUTOMATION_ERROR", "operationIndex": 1}, "operationIndex", "range"),
        ({"outcome": "fail", "code": "AUTOMATION_ERROR", "operationIndex": -1}, "operationIndex", "range"),
        ({"outcome": "fail", "code": "LOGIN_FAILED", "data": [{}]}, "data", "schema"),
        ({"outcome": "fail", "code": "LOGIN_FAILED", "reason": "4242 4242"}, "reason", "schema"),
        ({"outcome": "complete", "code": "LOGIN_FAILED"}, "code", "schema"),
        ({"outcome": "complete", "data": None}, "data", "type"),
    ],
)
def test_an_end_that_does_not_fit_is_told(stack: Stack, body: dict[str, Any], path: str, code: str) -> None:
    link_id = new(stack)["linkId"]
    issues = stack.test_mode(link_id, "simulate", body).issues
    assert {where: what for where, (what, _) in issues.items()} == {path: code}
    assert stack.get(link_id).json["status"] == "pending"


def test_a_running_operation_and_an_end_are_not_overruled(stack: Stack) -> None:
    link_id, token = stack.claimed(link())
    sandbox = stack.connectors.reply
    answers = []

    def reply(request: dict[str, Any]) -> Any:
        if request["action"] == "execute":
            answers.append(stack.simulate(link_id, outcome="fail", code="LOGIN_FAILED").status)
        return sandbox(request)

    stack.connectors.reply = reply
    stack.answer(token, LOGIN)
    stack.work()
    assert answers == [409]
    assert stack.get(link_id).json["status"] == "complete"
    assert stack.simulate(link_id, outcome="complete").status == 409
    expired = new(stack, expiresIn=1)["linkId"]
    stack.now += SECOND
    assert stack.simulate(expired, outcome="complete").status == 409


def test_an_operation_that_asks_its_user_is_run_by_nobody(stack: Stack) -> None:
    link_id, _ = stack.run("user_step_up", founding(operations=operations("paymentMethod.write")))
    assert stack.stored(link_id).operations[0].status == "asking"
    view = stack.simulate(link_id, outcome="complete").json
    assert (view["status"], view["operations"][0]["status"]) == ("complete", "succeeded")
    assert stack.rows("SecretsTable") == []


def test_a_worker_that_logs_in_is_overtaken_by_a_simulated_end(stack: Stack) -> None:
    link_id, token = stack.claimed(link())
    sandbox = stack.connectors.reply

    def reply(request: dict[str, Any]) -> Any:
        stack.simulate(link_id, outcome="fail", code="CONNECTION_FAILED")
        return sandbox(request)

    stack.connectors.reply = reply
    stack.answer(token, LOGIN)
    stack.work()
    assert stack.get(link_id).json["error"]["code"] == "CONNECTION_FAILED"
    assert stack.connectors.executed() == []
    assert stack.rows("SecretsTable") == []


# --- Deliveries that fail at will -----------------------------------------------------------------


@pytest.mark.parametrize("kind", [400, 429, 500, 503, "timeout", "connect", "tls"])
def test_the_next_attempts_fail_as_planned_and_nothing_is_sent(
    stack: Stack, receiver: Receiver, kind: int | str
) -> None:
    link_id = new(stack)["linkId"]
    answer = stack.test_mode(link_id, "fail-deliveries", {"count": 2, "as": kind})
    assert (answer.status, answer.json["status"]) == (200, "pending")
    stack.simulate(link_id, outcome="complete")
    stack.deliver()
    assert stack.get(link_id).json["webhook"]["status"] == "pending"
    stack.advance(link_id, until="next_attempt")
    assert receiver.got == []
    view = stack.advance(link_id, until="next_attempt").json
    assert view["webhook"] == {"status": "delivered", "attempts": 3, "nextAttemptAt": None}
    assert len(receiver.got) == 1
    log = attempts(stack, link_id)
    member = "statusCode" if isinstance(kind, int) else "error"
    assert [attempt[member] for attempt in log[:2]] == [kind, kind]
    assert all(("statusCode" in attempt) != ("error" in attempt) for attempt in log)
    first = 60 * SECOND if kind in (429, "timeout") else _STEPS[0]
    assert log[1]["at"] - log[0]["at"] == first


def test_a_planned_410_stops_the_schedule_and_a_later_plan_replaces_one(
    stack: Stack, receiver: Receiver
) -> None:
    link_id = new(stack)["linkId"]
    stack.test_mode(link_id, "fail-deliveries", {"count": 9, "as": 500})
    stack.test_mode(link_id, "fail-deliveries", {"count": 1, "as": 410})
    stack.cancel(link_id)
    stack.deliver()
    assert stack.get(link_id).json["webhook"] == {
        "status": "exhausted",
        "attempts": 1,
        "nextAttemptAt": None,
    }
    assert receiver.got == []


@pytest.mark.parametrize(
    ("body", "path", "code"),
    [
        ({"count": 1}, "as", "required"),
        ({"count": 0, "as": 500}, "count", "range"),
        ({"count": 11, "as": 500}, "count", "range"),
        ({"count": 1, "as": 200}, "as", "schema"),
        ({"count": 1, "as": "500"}, "as", "schema"),
        ({"count": 1, "as": True}, "as", "schema"),
    ],
)
def test_a_plan_that_does_not_fit_is_told(stack: Stack, body: dict[str, Any], path: str, code: str) -> None:
    issues = stack.test_mode(new(stack)["linkId"], "fail-deliveries", body).issues
    assert {where: what for where, (what, _) in issues.items()} == {path: code}


def test_no_delivery_is_planned_for_a_link_without_a_webhook(stack: Stack) -> None:
    link_id = new(stack, webhookUrl=None)["linkId"]
    assert stack.test_mode(link_id, "fail-deliveries", {"count": 1, "as": 500}).status == 409


# --- The sandbox's users --------------------------------------------------------------------------


def outcomes(stack: Stack, key: str = SAMPLE_KEY) -> Answer:
    route = "GET /v1/test/outcomes"
    event = sample_event("test_links") | {"routeKey": route, "pathParameters": None, "body": None}
    event["headers"]["authorization"] = f"Bearer {key}"
    return stack.invoke("test_links", event)


def test_a_live_key_is_told_no_outcomes(stack: Stack, live: str) -> None:
    assert outcomes(stack, live).status == 404


@pytest.mark.parametrize("user", sandbox.USERS, ids=lambda user: user.username)
def test_each_user_that_is_told_has_the_outcome_that_is_told(
    stack: Stack, user: sandbox.SandboxUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    (told,) = [row for row in outcomes(stack).json["outcomes"] if row["username"] == user.username]
    named = operations(*8 * ["paymentMethod.read"], "paymentMethod.write")
    link_id, token = stack.claimed(founding(operations=named))
    login = {"username": told["username"], "password": told["password"]}
    typed = {"login": login, "choice": {"way": "sms"}, "otp": {"code": "123456"}}
    while (session := stack.client(token).json)["challenge"] is not None:
        if session["challenge"]["type"] == "wait":
            stack.now += 2 * SECOND
        else:
            stack.answer(token, typed[session["challenge"]["type"]])
        stack.work()
    view = stack.get(link_id).json
    error = view["error"] or {"code": None, "reason": None}
    assert (view["status"], error["code"], error["reason"]) == (
        told["status"],
        told["errorCode"],
        told["reason"],
    )


def test_a_turn_gives_workers_and_deliveries_no_less_time(stack: Stack, receiver: Receiver) -> None:
    """A delivery is under way when the clock is turned beyond its lease; no second one begins."""
    link_id = new(stack)["linkId"]
    stack.cancel(link_id)
    before = stack.stored(link_id)
    held = store.save(before, deliveries.leased(before, stack.now, "t"))
    store.save(held, links.turned(held, 60 * SECOND))
    stack.deliver()
    assert receiver.got == []
    stack.now += deliveries.LEASE_MS
    stack.consume("deliver_webhook", json.dumps({"linkId": link_id, "hops": 0}))
    assert len(receiver.got) == 1
