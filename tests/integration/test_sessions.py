"""A link's life through the handlers: claim, session, operations, result, end."""

import copy
import json
import re
from typing import Any
from unittest.mock import Mock

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    ReadTimeoutError,
)

from latchkey.adapters import aws, store
from latchkey.domain.connector_protocol import MAX_CHALLENGE_BYTES, json_size
from latchkey.domain.links import DUE_SHARDS, Link
from tests.integration.conftest import LOGIN, Context, Output, Stack, founding, operations
from tests.template import resources

READ, WRITE, BILLS = "paymentMethod.read", "paymentMethod.write", "mobileBillingStatement.read"


def link(*named: str, **changes: Any) -> dict[str, Any]:
    return founding(operations=operations(*(named or (READ,))), **changes)


# --- Claim ---------------------------------------------------------------------------------------


def test_a_claim_begins_the_session_and_shows_what_will_be_done(stack: Stack) -> None:
    created = stack.create(founding()).json
    stack.now += 1000
    claimed = stack.claim(created["claimCode"])
    assert claimed.status == 200
    assert claimed.json | {"clientToken": ""} == {
        "linkId": created["linkId"],
        "sessionId": created["linkId"].replace("link_", "sess_"),
        "clientToken": "",
        "expiresAt": stack.now + 900_000,
        "integration": {"id": "tmobile", "name": "T-Mobile"},
        "operations": [
            {
                "resource": "paymentMethod",
                "action": "read",
                "description": "Read your saved payment methods",
            },
            {
                "resource": "paymentMethod",
                "action": "write",
                "description": "Save a new card as your payment method",
            },
        ],
        "returnUrl": created["returnUrl"],
    }
    view = stack.get(created["linkId"]).json
    assert (view["status"], view["claimedAt"], view["sessionId"]) == (
        "active",
        stack.now,
        claimed.json["sessionId"],
    )
    assert claimed.json["clientToken"] not in repr(stack.links())


def test_a_link_is_claimed_once(stack: Stack) -> None:
    code = stack.create(founding()).json["claimCode"]
    assert stack.claim(code).status == 200
    again = stack.claim(code)
    assert (again.status, again.json["code"]) == (409, "conflict")


KEY = "0123456789abcdef"


def test_a_claim_with_the_same_key_is_answered_the_same_again(stack: Stack) -> None:
    code = stack.create(founding()).json["claimCode"]
    first = stack.claim(code, KEY)
    assert "Idempotent-Replayed" not in first.headers
    stack.now += 60_000
    again = stack.claim(code, KEY)
    assert (again.status, again.text, again.headers["Idempotent-Replayed"]) == (200, first.text, "true")
    assert stack.client(again.json["clientToken"]).status == 200
    stack.client(again.json["clientToken"], "POST /link/session/cancel")
    assert stack.claim(code, KEY).text == first.text  # what became of it, the session tells


@pytest.mark.parametrize(("first", "second"), [(KEY, KEY[:-1] + "0"), (KEY, None), (None, KEY)])
def test_another_key_or_none_does_not_get_the_session(
    stack: Stack, first: str | None, second: str | None
) -> None:
    code = stack.create(founding()).json["claimCode"]
    assert stack.claim(code, first).status == 200
    assert stack.claim(code, second).status == 409


def test_one_key_opens_different_sessions_of_different_links(stack: Stack) -> None:
    codes = [stack.create(founding()).json["claimCode"] for _ in range(2)]
    tokens = {stack.claim(code, KEY).json["clientToken"][-22:] for code in codes}
    assert len(tokens) == 2


@pytest.mark.parametrize("key", ["", KEY[:-1], "k" * 256, "ü" * 16, "\n" * 16])
def test_a_key_that_could_be_guessed_or_is_no_text_is_refused(stack: Stack, key: str) -> None:
    answer = stack.claim(stack.create(founding()).json["claimCode"], key)
    assert answer.status == 400
    assert answer.issues == {"Idempotency-Key": ("format", "must be 16 to 255 printable ASCII characters")}


@pytest.mark.parametrize(
    ("body", "issue"),
    [
        ({}, ("code", "required")),
        ({"code": 1}, ("code", "type")),
        ({"code": None}, ("code", "type")),
        ({"code": "clm_x", "cod": 1}, ("cod", "unknown_field")),
    ],
)
def test_a_claim_without_a_code_is_told_so(stack: Stack, body: Any, issue: tuple[str, str]) -> None:
    from tests.integration.conftest import sample_event

    answer = stack.invoke("claim_link", sample_event("claim_link") | {"body": json.dumps(body)})
    assert answer.status == 400
    assert [(i["path"], i["code"]) for i in answer.json["issues"]] == [issue]


@pytest.mark.parametrize("code", ["", "clm_", "x", "clm_0000000000000000000000", "link_1", "ü" * 300])
def test_an_unknown_code_is_404(stack: Stack, code: str) -> None:
    answer = stack.claim(code)
    assert (answer.status, answer.json["code"]) == (404, "not_found")


def test_a_link_can_be_claimed_until_the_last_millisecond_and_not_after(stack: Stack) -> None:
    early, late = stack.create(link(expiresIn=1)).json, stack.create(link(expiresIn=1)).json
    stack.now = early["expiresAt"] - 1
    assert stack.claim(early["claimCode"]).status == 200
    stack.now += 1
    answer = stack.claim(late["claimCode"])
    assert (answer.status, answer.json["code"]) == (410, "gone")
    assert stack.get(late["linkId"]).json["status"] == "expired"
    stack.sweep()
    (row,) = [row for row in stack.links() if row["pk"] == late["linkId"]]
    assert row["status"] == "expired"
    assert stack.claim(late["claimCode"]).status == 410


def test_a_canceled_link_is_gone_and_a_claimed_one_stays_claimed(stack: Stack) -> None:
    unclaimed, claimed = stack.create(link()).json, stack.create(link()).json
    stack.claim(claimed["claimCode"])
    for created, status in ((unclaimed, 410), (claimed, 409)):
        assert stack.cancel(created["linkId"]).status == 200
        assert stack.claim(created["claimCode"]).status == status


# --- The session ---------------------------------------------------------------------------------


def test_a_session_asks_for_the_login_and_runs_to_its_result(stack: Stack) -> None:
    link_id, token = stack.claimed(link(READ))
    asked = stack.client(token).json
    assert (asked["status"], asked["challenge"]["type"]) == ("awaiting_input", "login")
    assert asked["challenge"]["schema"]["properties"]["password"]["writeOnly"] is True
    taken = stack.answer(token, LOGIN)
    assert (taken.status, taken.json["status"], taken.json["challenge"]) == (202, "running", None)
    stack.work()
    assert stack.client(token).json["status"] == "complete"
    view = stack.get(link_id).json
    assert view["status"] == "complete"
    assert list(view["result"]) == ["paymentMethods"]
    assert view["completedAt"] == stack.now
    assert "result" not in stack.client(token).json
    assert stack.rows("SecretsTable") == []


def test_several_operations_have_a_wrapped_result_in_their_order(stack: Stack) -> None:
    named = [WRITE, READ, READ, BILLS]
    link_id, _ = stack.run("user_good", link(*named))
    view = stack.get(link_id).json
    assert [o["status"] for o in view["operations"]] == ["succeeded"] * 4
    results = view["result"]["operations"]
    assert [f"{r['resource']}.{r['action']}" for r in results] == named
    assert results[0]["data"] == {"success": True, "card": {"last4": "4242"}}
    assert results[1]["data"] == results[2]["data"]


def test_sixteen_operations_run_in_one_session(stack: Stack) -> None:
    link_id, _ = stack.run("user_good", link(*[READ, WRITE] * 8))
    assert len(stack.get(link_id).json["result"]["operations"]) == 16
    assert stack.connectors.executed() == [(i, ("read", "write")[i % 2]) for i in range(16)]


OUTCOMES = [
    ("user_good", [READ], (), "complete", None, None),
    ("user_otp", [READ, WRITE], ("123456",), "complete", None, None),
    ("user_otp", [READ], ("000000", "111111", "123456"), "complete", None, None),
    ("user_otp", [READ], ("000000", "111111", "222222"), "failed", "LOGIN_FAILED", None),
    ("user_locked", [READ], (), "failed", "LOGIN_FAILED", None),
    ("user_op1_fails", [READ], (), "failed", "AUTOMATION_ERROR", 0),
    ("user_op2_fails", [READ, WRITE, READ], (), "failed", "AUTOMATION_ERROR", 1),
    ("user_op3_fails", [READ, WRITE], (), "complete", None, None),
    ("user_bad_data", [WRITE, READ], (), "failed", "RESULT_VALIDATION_ERROR", 0),
    ("user_down", [READ], (), "failed", "CONNECTION_FAILED", None),
    ("user_crash", [READ, WRITE], (), "failed", "CONNECTION_FAILED", 0),
    ("user_crash", [WRITE, READ], (), "failed", "OUTCOME_UNKNOWN", 0),
]


@pytest.mark.parametrize(
    ("user", "named", "codes", "status", "code", "index"),
    OUTCOMES,
    ids=[f"{o[0]}-{'-'.join(n.split('.')[1] for n in o[1])}-{o[3]}" for o in OUTCOMES],
)
def test_the_user_name_decides_what_happens(
    stack: Stack,
    user: str,
    named: list[str],
    codes: tuple[str, ...],
    status: str,
    code: str | None,
    index: int | None,
) -> None:
    link_id, token = stack.run(user, link(*named), *codes)
    view = stack.get(link_id).json
    assert view["status"] == status
    session = stack.client(token).json
    if code is None:
        assert view["error"] is session["error"] is None
        assert view["result"] is not None
    else:
        assert (view["error"]["code"], view["error"]["operationIndex"]) == (code, index)
        assert session["error"] == {"code": code, "reason": view["error"]["reason"]}
        assert view["result"] is None
        shown = [o["status"] for o in view["operations"]]
        before = 0 if index is None else index
        middle = [] if index is None else ["unknown" if code == "OUTCOME_UNKNOWN" else "failed"]
        assert shown == ["succeeded"] * before + middle + ["skipped"] * (len(named) - before - len(middle))
    assert stack.rows("SecretsTable") == []


def test_a_wrong_password_is_asked_for_again_three_times(stack: Stack) -> None:
    link_id, token = stack.claimed(link())
    titles = []
    for _ in range(3):
        titles.append(stack.client(token).json["challenge"]["title"])
        stack.answer(token, LOGIN | {"password": "wrong"})
        stack.work()
    assert len(set(titles)) == 3
    assert stack.get(link_id).json["error"]["code"] == "LOGIN_FAILED"
    assert stack.connectors.executed() == []


def test_a_dying_read_is_tried_three_times_and_a_dying_write_once(stack: Stack) -> None:
    stack.run("user_crash", link(READ))
    assert stack.connectors.executed() == [(0, "read")] * 3
    stack.connectors.called.clear()
    stack.run("user_crash", link(WRITE))
    assert stack.connectors.executed() == [(0, "write")]


def refusal(status: int) -> ClientError:
    """Lambda's answer to a call that it does not do."""
    return ClientError(
        {"Error": {"Code": "x", "Message": "x"}, "ResponseMetadata": {"HTTPStatusCode": status}},  # type: ignore[typeddict-item] # the rest is not read
        "Invoke",
    )


@pytest.mark.parametrize(
    ("broken", "code"),
    [
        (ReadTimeoutError(endpoint_url="lambda"), "OUTCOME_UNKNOWN"),
        (refusal(500), "OUTCOME_UNKNOWN"),
        ({"FunctionError": "Unhandled"}, "OUTCOME_UNKNOWN"),
        (EndpointConnectionError(endpoint_url="lambda"), "CONNECTION_FAILED"),
        (ConnectTimeoutError(endpoint_url="lambda"), "CONNECTION_FAILED"),
        (refusal(403), "CONNECTION_FAILED"),
    ],
    ids=["no answer", "Lambda failed", "died", "no connection", "no connection in time", "refused"],
)
def test_a_write_that_may_have_begun_is_of_unknown_outcome(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, broken: Any, code: str
) -> None:
    invoke = stack.connectors.invoke

    def failing(**request: Any) -> Any:
        answer = invoke(**request)
        if json.loads(request["Payload"])["action"] != "execute":
            return answer
        if isinstance(broken, Exception):
            raise broken
        return answer | broken

    link_id, token = stack.claimed(link(WRITE))
    monkeypatch.setattr(stack.connectors, "invoke", failing)
    stack.answer(token, LOGIN)
    stack.work()
    assert stack.get(link_id).json["error"]["code"] == code
    assert stack.connectors.executed() == [(0, "write")]


def test_a_call_that_lambda_has_no_room_for_is_tried_four_times(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    invoke, waits = stack.connectors.invoke, list[float]()
    monkeypatch.setattr("time.sleep", waits.append)
    full = 3

    def throttled(**request: Any) -> Any:
        if len(waits) < full:
            raise refusal(429)
        return invoke(**request)

    monkeypatch.setattr(stack.connectors, "invoke", throttled)
    link_id, token = stack.claimed(link(WRITE))
    assert stack.client(token).json["status"] == "awaiting_input"
    assert waits == [0.5, 1, 2]
    full = 99
    stack.answer(token, LOGIN)
    stack.work()
    assert stack.get(link_id).json["error"]["code"] == "CONNECTION_FAILED"


def test_input_has_to_fit_the_open_challenge(stack: Stack) -> None:
    _, token = stack.claimed(link())
    challenge = stack.client(token).json["challenge"]

    def give(body: Any) -> Any:
        return stack.client(token, "POST /link/session/input", body)

    def paths(body: Any) -> set[str]:
        answer = give(body)
        assert answer.status == 400
        return set(answer.issues)

    assert paths({}) == {"challengeId", "input"}
    fitting = {"challengeId": challenge["id"], "input": LOGIN}
    assert paths(fitting | {"extra": 1}) == {"extra"}
    assert paths(fitting | {"input": "x"}) == {"input"}
    assert paths(fitting | {"input": {"username": "user_good"}}) == {"input.password"}
    assert paths(fitting | {"input": LOGIN | {"password": 5, "x": 1}}) == {"input.password", "input.x"}
    assert paths("{") == {""}
    assert stack.client(token, "POST /link/session/input", fitting, type_="text/plain").status == 415
    assert stack.client(token, "POST /link/session/input", '"' + "x" * 262_144 + '"').status == 413
    assert give(fitting | {"challengeId": "chl_other"}).status == 409
    assert give(fitting).status == 202
    assert give(fitting).status == 409
    stack.work()
    assert give(fitting).status == 409


def test_the_user_can_cancel_until_the_end(stack: Stack) -> None:
    link_id, token = stack.claimed(link())
    canceled = stack.client(token, "POST /link/session/cancel")
    assert (canceled.status, canceled.json["status"]) == (200, "canceled")
    view = stack.get(link_id).json
    assert (view["status"], view["error"]["code"]) == ("failed", "USER_CANCELED")
    assert stack.client(token, "POST /link/session/cancel").status == 409
    assert stack.client(token).json["status"] == "canceled"


def test_a_client_token_opens_its_own_session_until_a_day_after_the_end(stack: Stack) -> None:
    link_id, token = stack.run("user_good", link())
    for junk in ("", "ct_x", token[:-1], token[:-1] + ("0" if token[-1] != "0" else "1"), f"{token}0"):
        answer = stack.client(junk)
        assert (answer.status, answer.json["code"]) == (401, "unauthorized")
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    pending = stack.create(link()).json["linkId"]
    assert stack.client("ct_" + pending[5:] + token[-22:]).status == 401
    stack.now = stack.get(link_id).json["completedAt"] + 86_400_000 - 1
    assert stack.client(token).json["status"] == "complete"
    stack.now += 1
    assert stack.client(token).status == 401


def test_what_was_asked_is_not_kept_beyond_the_end(stack: Stack) -> None:
    link_id, token = stack.claimed(link())
    assert "challenge" in repr(stack.links())
    stack.client(token, "POST /link/session/cancel")
    assert stack.stored(link_id).session is not None
    assert "challenge" not in repr(stack.links())


def test_an_answer_that_came_second_is_not_kept(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    _, token = stack.claimed(link())
    challenge = stack.client(token).json["challenge"]
    put = store.put_secret

    def overtaken(*row: Any) -> None:
        put(*row)
        monkeypatch.setattr(store, "put_secret", put)
        assert stack.client(token, "POST /link/session/input", given).status == 202

    given = {"challengeId": challenge["id"], "input": LOGIN}
    monkeypatch.setattr(store, "put_secret", overtaken)
    assert stack.client(token, "POST /link/session/input", given).status == 409
    rows = [row["sk"] for row in stack.rows("SecretsTable") if row["sk"].startswith("input#")]
    assert len(rows) == 1


# --- Time ----------------------------------------------------------------------------------------


def test_a_session_ends_after_fifteen_minutes_to_the_millisecond(stack: Stack) -> None:
    link_id, token = stack.claimed(link(webhookUrl=None))
    ends_at = stack.client(token).json["expiresAt"]
    stack.now = ends_at - 1
    assert stack.get(link_id).json["status"] == "active"
    stack.now = ends_at
    for swept in (False, True):
        view = stack.get(link_id).json
        assert (view["status"], view["error"]["code"]) == ("failed", "CLIENT_TIMEOUT")
        assert view["completedAt"] == ends_at
        assert stack.client(token).json["status"] == "failed"
        if not swept:
            stack.now += 30_000
            assert stack.sweep() == 30_000
    assert stack.rows("SecretsTable") == []


def test_a_session_begun_before_expiry_may_finish_after_it(stack: Stack) -> None:
    created = stack.create(link(expiresIn=1)).json
    stack.now = created["expiresAt"] - 1
    token = stack.claim(created["claimCode"]).json["clientToken"]
    stack.now += 60_000
    stack.sweep()
    stack.work()
    stack.answer(token, LOGIN)
    stack.work()
    assert stack.get(created["linkId"]).json["status"] == "complete"


def test_an_answer_after_the_sessions_end_is_refused(stack: Stack) -> None:
    _, token = stack.claimed(link())
    challenge = stack.client(token).json["challenge"]
    stack.now = stack.client(token).json["expiresAt"]
    late = {"challengeId": challenge["id"], "input": LOGIN}
    assert stack.client(token, "POST /link/session/input", late).status == 409
    assert stack.client(token, "POST /link/session/cancel").status == 409


def expired(stack: Stack) -> int:
    return sum(row["status"] == "expired" for row in stack.links())


@pytest.fixture
def due_together(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> int:
    """A shard with three pages of links to expire, and their number."""
    monkeypatch.setattr(store, "DUE_PAGE", 2)
    monkeypatch.setattr(Link, "due_shard", lambda _: 7)
    for _ in range(6):
        stack.create(link(expiresIn=1))
    stack.now += 1000
    return 6


@pytest.mark.usefixtures("due_together")
def test_sweep_hands_over_a_shard_with_much_to_do(stack: Stack) -> None:
    stack.sweep(handed_over=False)
    assert expired(stack) == 0
    assert stack.connectors.handed_over == [{"shard": 7}]


def test_what_was_handed_over_is_swept_page_after_page(stack: Stack, due_together: int) -> None:
    stack.sweep()
    assert expired(stack) == due_together


def test_sweep_keeps_a_shard_that_it_cannot_hand_over(
    stack: Stack, due_together: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(**_: Any) -> None:
        raise EndpointConnectionError(endpoint_url="lambda")

    monkeypatch.setattr(stack.connectors, "invoke", unreachable)
    stack.sweep()
    assert expired(stack) == due_together


def test_sweep_begins_nothing_that_it_has_no_time_for(
    stack: Stack, due_together: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Context, "remaining_ms", 25_000)
    stack.sweep()
    assert expired(stack) == 0
    monkeypatch.setattr(Context, "remaining_ms", 80_000)
    stack.sweep()
    assert expired(stack) == due_together


def test_one_links_fault_keeps_no_other_waiting(
    stack: Stack, due_together: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, broken = store.get_link, min(row["pk"] for row in stack.links())

    def failing(link_id: str) -> Link | None:
        if link_id == broken:
            raise RuntimeError
        return read(link_id)

    monkeypatch.setattr(store, "get_link", failing)
    stack.sweep()
    assert expired(stack) == due_together - 1


def test_no_shard_is_always_the_last(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    orders: list[list[int]] = []

    def ordered(shards: list[int], **_: object) -> int:
        orders.append(shards)
        return 0

    monkeypatch.setattr("latchkey.services.sweep.sweep", ordered)
    for _ in range(DUE_SHARDS):
        stack.sweep()
        stack.now += 60_000
    assert all(sorted(order) == list(range(DUE_SHARDS)) for order in orders)
    assert {order[-1] for order in orders} == set(range(DUE_SHARDS))


def test_sweep_tells_its_alarm_how_late_it_is(stack: Stack, output: Output) -> None:
    alarm = resources("AWS::CloudWatch::Alarm")["SweepLate"]
    stack.create(link(expiresIn=1))
    stack.now += 1000 + alarm["Threshold"] + 1
    stack.sweep()
    (metric,) = [line for line in output.lines if alarm["MetricName"] in line]
    assert metric[alarm["MetricName"]] == alarm["Threshold"] + 1
    (kept,) = metric["_aws"]["CloudWatchMetrics"]
    assert kept["Namespace"] == alarm["Namespace"]
    assert kept["Dimensions"] == [[dimension["Name"] for dimension in alarm["Dimensions"]]]
    assert alarm["TreatMissingData"] == "breaching"  # no word from sweep is worse than late


def test_sweep_finds_a_session_whose_message_was_lost(stack: Stack) -> None:
    created = stack.create(link()).json
    token = stack.claim(created["claimCode"]).json["clientToken"]
    stack.queues.clear()
    stack.sweep()
    assert stack.work() == 0  # not before it can be late
    stack.now += 15_000
    stack.sweep()
    stack.work()
    stack.answer(token, LOGIN)
    stack.queues.clear()
    stack.now += 15_000
    stack.sweep()
    stack.work()
    assert stack.get(created["linkId"]).json["status"] == "complete"


def test_a_worker_short_of_time_lets_go_and_the_next_runs_nothing_twice(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = stack.connectors.reply

    def slow(request: dict[str, Any]) -> Any:
        Context.remaining_ms -= 20_000
        return answer(request)

    stack.connectors.reply = slow
    monkeypatch.setattr(Context, "remaining_ms", 300_000)
    link_id, token = stack.claimed(link(WRITE, READ, WRITE, READ))
    stack.answer(token, LOGIN)
    workers = 0
    while stack.client(token).json["status"] == "running":
        monkeypatch.setattr(Context, "remaining_ms", 125_000)  # two calls, and the 90 s that are kept
        workers += stack.work()
        stack.now += 15_000
        stack.sweep()
    assert stack.get(link_id).json["status"] == "complete"
    assert workers == 3
    assert stack.connectors.executed() == [(0, "write"), (1, "read"), (2, "write"), (3, "read")]


# --- Cancel, by the caller -----------------------------------------------------------------------


def test_a_link_is_canceled_once_and_stays_so(stack: Stack) -> None:
    pending = stack.create(founding()).json["linkId"]
    active, token = stack.claimed()
    for link_id in (pending, active):
        first = stack.cancel(link_id)
        assert (first.status, first.json["status"], first.json["error"]) == (200, "canceled", None)
        stack.now += 1
        assert stack.cancel(link_id).json == first.json
    assert stack.client(token).json["status"] == "canceled"
    assert stack.rows("SecretsTable") == []
    expired, complete = stack.create(link(expiresIn=1)).json["linkId"], stack.run("user_good", link())[0]
    stack.now += 1000
    for link_id in (expired, complete):
        answer = stack.cancel(link_id)
        assert (answer.status, answer.json["code"]) == (409, "conflict")
    assert stack.cancel(complete, key=stack.new_key("globex")).status == 404


def test_a_link_canceled_while_an_operation_runs_stops_there(stack: Stack) -> None:
    answer = stack.connectors.reply

    def cancels(request: dict[str, Any]) -> Any:
        if request["action"] == "execute":
            stack.cancel(request["sessionId"].replace("sess_", "link_"))
        return answer(request)

    stack.connectors.reply = cancels
    link_id, _ = stack.run("user_good", link(READ, WRITE))
    assert stack.get(link_id).json["status"] == "canceled"
    assert stack.connectors.executed() == [(0, "read")]
    assert stack.rows("SecretsTable") == []


STOPS: dict[str, tuple[str, str | None]] = {
    "the user": ("failed", "USER_CANCELED"),
    "the maker": ("canceled", None),
    "the time": ("failed", "CLIENT_TIMEOUT"),
}


@pytest.mark.parametrize("operation", [READ, WRITE])
@pytest.mark.parametrize("who", STOPS)
def test_whoever_stops_a_write_is_told_that_it_may_have_happened(
    stack: Stack, who: str, operation: str
) -> None:
    link_id, token = stack.claimed(link(READ, operation, READ))
    sandbox = stack.connectors.reply

    def stopped(request: dict[str, Any]) -> Any:
        if request["action"] == "execute" and request["operation"]["index"] == 1:
            if who == "the user":
                assert stack.client(token, "POST /link/session/cancel").status == 200
            elif who == "the maker":
                assert stack.cancel(link_id).status == 200
            else:
                stack.now += 900_000
        return sandbox(request)

    stack.connectors.reply = stopped
    stack.answer(token, LOGIN)
    stack.work()
    stack.sweep()
    status, code = STOPS[who]
    shown = "failed"
    if operation == WRITE:
        code, shown = "OUTCOME_UNKNOWN", "unknown"
    expected = None if code is None else (code, 1)
    view, session = stack.get(link_id).json, stack.client(token).json
    event = json.loads(stack.event(link_id))
    for told in (view, event["data"]):
        assert told["status"] == status
        assert expected == (told["error"] and (told["error"]["code"], told["error"]["operationIndex"]))
    for seen in (view, session):
        assert [o["status"] for o in seen["operations"]] == ["succeeded", shown, "skipped"]
    assert session["status"] == (
        "canceled" if code in (None, "USER_CANCELED") or who == "the maker" else "failed"
    )
    assert (session["error"] and session["error"]["code"]) == code


def test_a_message_that_comes_again_while_a_worker_is_at_it_changes_nothing(stack: Stack) -> None:
    answer = stack.connectors.reply

    def repeated(request: dict[str, Any]) -> Any:
        if request["action"] == "execute":
            stack.connectors.reply = answer
            stack.consume("run_session", json.dumps({"sessionId": request["sessionId"]}))
            stack.connectors.reply = repeated
        return answer(request)

    stack.connectors.reply = repeated
    link_id, _ = stack.run("user_good", link(READ, WRITE))
    assert stack.get(link_id).json["status"] == "complete"
    assert stack.connectors.executed() == [(0, "read"), (1, "write")]


@pytest.mark.parametrize(("operation", "code"), [(READ, "CLIENT_TIMEOUT"), (WRITE, "OUTCOME_UNKNOWN")])
def test_what_comes_after_the_sessions_end_does_not_count(stack: Stack, operation: str, code: str) -> None:
    answer = stack.connectors.reply

    def late(request: dict[str, Any]) -> Any:
        if request["action"] == "execute":
            stack.now += 900_000
        return answer(request)

    stack.connectors.reply = late
    link_id, token = stack.run("user_good", link(operation))
    view = stack.get(link_id).json
    assert (view["status"], view["error"]["code"], view["error"]["operationIndex"]) == ("failed", code, 0)
    assert view["completedAt"] == stack.client(token).json["expiresAt"]


def test_what_a_worker_sealed_after_the_end_goes_when_its_message_comes_again(stack: Stack) -> None:
    link_id, _ = stack.run("user_good", link())
    left = {"pk": link_id, "sk": "state#left", "ciphertext": b"x", "wrappedKey": b"x"}
    stack.dynamodb.Table("SecretsTable").put_item(Item=left)
    stack.consume("run_session", json.dumps({"sessionId": link_id.replace("link_", "sess_")}))
    assert stack.rows("SecretsTable") == []


def test_what_could_not_be_deleted_at_the_end_goes_with_the_next_sweep(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, token = stack.claimed(link(webhookUrl=None))
    with monkeypatch.context() as broken:
        unreachable = Mock(side_effect=EndpointConnectionError(endpoint_url="dynamodb"))
        broken.setattr(aws.dynamodb(), "delete_item", unreachable)
        assert stack.client(token, "POST /link/session/cancel").status == 503
    assert stack.rows("SecretsTable") != []
    stack.sweep()
    assert stack.rows("SecretsTable") == []


# --- Connectors that misbehave -------------------------------------------------------------------

NONSENSE: dict[str, Any] = {
    "nothing": b"",
    "null": None,
    "not JSON": b"<html>",
    "a list": [],
    "no status": {},
    "unknown status": {"status": "done"},
    "free text": {"status": "error", "code": "LOGIN_FAILED", "message": "4242424242424242"},
    "NaN": b'{"status": "authenticated", "state": NaN}',
    "deep": b'{"status": "authenticated", "state": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "half a pair": b'{"status": "authenticated", "state": "\\ud800"}',
    "too large": b'{"status": "authenticated", "state": "' + b"x" * 1_048_577 + b'"}',
    "a state too large": {"status": "authenticated", "state": "x" * 65_536},
    "a result at login": {"status": "result", "data": {}},
    "an operation's error at login": {"status": "error", "code": "AUTOMATION_ERROR"},
}


@pytest.mark.parametrize("name", NONSENSE)
def test_nonsense_at_login_fails_the_link(stack: Stack, name: str) -> None:
    stack.connectors.reply = lambda _: NONSENSE[name]
    link_id, _ = stack.claimed(link())
    error = stack.get(link_id).json["error"]
    assert (error["code"], error["operationIndex"]) == ("CONNECTION_FAILED", None)
    assert stack.rows("SecretsTable") == []


@pytest.mark.parametrize("name", [name for name in NONSENSE if not name.endswith("at login")])
@pytest.mark.parametrize("operation", [READ, WRITE])
def test_nonsense_for_a_result_is_as_a_dead_connector(stack: Stack, name: str, operation: str) -> None:
    sandbox = stack.connectors.reply
    stack.connectors.reply = lambda r: NONSENSE[name] if r["action"] == "execute" else sandbox(r)
    link_id, _ = stack.run("user_good", link(operation))
    error = stack.get(link_id).json["error"]
    code = "OUTCOME_UNKNOWN" if operation == WRITE else "CONNECTION_FAILED"
    assert (error["code"], error["operationIndex"]) == (code, 0)


@pytest.mark.parametrize(
    ("sizes", "index"),
    [
        ([200_000], None),
        ([100_000, 100_000], None),
        ([100_000, 100_000, 100_000], 2),
        ([200_000, 100_000, 1, 1], 1),  # the one that was too much, and not the last
        ([500_000, 1], 0),
        ([1, 1_000_000], 1),
    ],
)
def test_a_result_too_large_for_an_event_is_the_one_that_is_named(
    stack: Stack, sizes: list[int], index: int | None
) -> None:
    sandbox = stack.connectors.reply

    def large(request: dict[str, Any]) -> Any:
        reply = copy.deepcopy(sandbox(request))
        if request["action"] == "execute":
            size = sizes[request["operation"]["index"]]
            reply["data"]["paymentMethods"][0]["nickname"] = "x" * size
        return reply

    stack.connectors.reply = large
    link_id, _ = stack.run("user_good", link(*[READ] * len(sizes)))
    view = stack.get(link_id).json
    if index is None:
        assert view["status"] == "complete"
    else:
        error = view["error"]
        assert (error["code"], error["operationIndex"]) == ("RESULT_VALIDATION_ERROR", index)


def test_a_link_can_hold_the_largest_of_everything(stack: Stack) -> None:
    """DynamoDB takes 400 KB; moto holds to it as well."""
    metadata = {f"{n:02}" + "\U0001f511" * 38: "\U0001f511" * 500 for n in range(50)}
    options = [{"const": f"{n}", "title": "\U0001f511" * 100} for n in range(50)]
    fields = {f"f{n}": {"type": "string", "title": "t", "oneOf": options} for n in range(3)}
    form = {"type": "object", "properties": fields, "additionalProperties": False}
    challenge = {"type": "choice", "title": "t", "schema": form}
    assert 60_000 < json_size(challenge) <= MAX_CHALLENGE_BYTES
    sandbox = stack.connectors.reply

    def large(request: dict[str, Any]) -> Any:
        if request["action"] == "start":
            return {"status": "challenge", "challenge": challenge, "state": "s" * 65_000}
        if request["action"] == "answer":
            return {"status": "authenticated", "state": {"step": "authenticated", "user": "user_good"}}
        reply = copy.deepcopy(sandbox(request))
        reply["data"]["paymentMethods"][0]["nickname"] = "x" * 140_000
        return reply

    stack.connectors.reply = large
    body = json.dumps(link(READ, metadata=metadata, debug=True), ensure_ascii=False)
    link_id, token = stack.claimed(body)
    stack.answer(token, {"f0": "0"})
    stack.work()
    assert stack.get(link_id).json["status"] == "complete"


@pytest.mark.parametrize("sent", ["1704067200000.0", "1.7040672e12"])
def test_a_whole_number_leaves_as_an_integer(stack: Stack, sent: str) -> None:
    sandbox = stack.connectors.reply

    def floating(request: dict[str, Any]) -> Any:
        reply = json.dumps(sandbox(request))
        return re.sub('("placedAt"|"quantity"): [0-9]+', rf"\1: {sent}", reply).encode()

    stack.connectors.reply = floating
    link_id, _ = stack.run("user_good", link("orderHistory.read", integrationId="ubereats"))
    answer = stack.get(link_id)
    assert answer.json["result"]["orders"][0]["placedAt"] == 1_704_067_200_000
    assert '"placedAt":1704067200000,' in answer.text
    assert b'"placedAt":1704067200000,' in stack.event(link_id)


@pytest.mark.parametrize("sent", ["9007199254740992", "-9007199254740992", "1" * 26, "1e300", "1e400"])
def test_an_integer_of_more_than_53_bits_does_not_leave(stack: Stack, sent: str) -> None:
    sandbox = stack.connectors.reply

    def huge(request: dict[str, Any]) -> Any:
        return re.sub('"placedAt": [0-9]+', f'"placedAt": {sent}', json.dumps(sandbox(request))).encode()

    stack.connectors.reply = huge
    link_id, _ = stack.run("user_good", link("orderHistory.read", integrationId="ubereats"))
    view = stack.get(link_id).json
    assert view["status"] == "failed"
    # 1e400 is no number that JSON's readers agree on, and so no reply.
    assert view["error"]["code"] == ("CONNECTION_FAILED" if sent == "1e400" else "RESULT_VALIDATION_ERROR")


@pytest.mark.parametrize("pattern", [r"^[\p{L}\p{N}]{1,300}$", "^(([a-z]{0,100}){0,100}){0,100}$"])
def test_a_pattern_that_no_answer_can_be_judged_by_is_no_challenge(stack: Stack, pattern: str) -> None:
    field = {"type": "string", "title": "Name", "maxLength": 300, "pattern": pattern}
    form = {"type": "object", "properties": {"name": field}, "additionalProperties": False}
    challenge = {"type": "login", "title": "t", "schema": form}
    stack.connectors.reply = lambda _: {"status": "challenge", "challenge": challenge, "state": None}
    link_id, _ = stack.claimed(link())
    assert stack.get(link_id).json["error"]["code"] == "CONNECTION_FAILED"


def test_state_goes_back_to_the_connector_and_nowhere_else(stack: Stack) -> None:
    seen = []

    def stateful(request: dict[str, Any]) -> Any:
        seen.append(request["state"])
        if request["action"] == "execute":
            return {"status": "result", "data": {"billing": []}, "state": len(seen)}
        return {"status": "authenticated", "state": {"cookie": "canary"}}

    stack.connectors.reply = stateful
    stack.claimed(link(BILLS, BILLS, BILLS))
    assert seen == [None, {"cookie": "canary"}, 2, 3]
    assert "canary" not in repr(stack.rows("LinksTable"))


def test_a_live_link_is_run_by_the_connector_that_is_registered(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    arn = "arn:aws:lambda:eu-central-1:1:function:mine"
    monkeypatch.setenv("LIVE_CONNECTORS", f"tmobile={arn}")
    stack.forget_settings()
    created = stack.create(link(), key=stack.new_key(livemode=True)).json
    stack.claim(created["claimCode"])
    stack.work()
    (call,) = stack.connectors.called
    assert (call["function"], call["livemode"], call["integrationId"]) == (arn, True, "tmobile")


# --- Debug ---------------------------------------------------------------------------------------


def test_a_debug_link_tells_each_step_and_no_secret(stack: Stack) -> None:
    link_id, _ = stack.run("user_otp", link(READ, WRITE, debug=True), "123456")
    timeline = stack.get(link_id).json["timeline"]
    assert [(step["event"], step.get("operationIndex")) for step in timeline] == [
        ("link.created", None),
        ("link.claimed", None),
        ("challenge.login", None),
        ("challenge.answered", None),
        ("challenge.otp", None),
        ("challenge.answered", None),
        ("session.authenticated", None),
        ("operation.started", 0),
        ("operation.succeeded", 0),
        ("operation.started", 1),
        ("operation.succeeded", 1),
        ("link.complete", None),
    ]
    assert all(step["durationMs"] == 0 for step in timeline if step["event"] == "operation.succeeded")
    assert "4242" not in json.dumps(timeline)


@pytest.mark.parametrize("debug", [True, False])
def test_every_link_has_its_steps_in_the_log(stack: Stack, output: Output, debug: bool) -> None:
    link_id, _ = stack.run("user_op2_fails", link(READ, WRITE, debug=debug))
    told = [line for line in output.lines if line["message"] == "step"]
    assert {line["linkId"] for line in told} == {link_id}
    assert [(line["event"], line.get("operationIndex")) for line in told] == [
        ("challenge.login", None),
        ("challenge.answered", None),
        ("session.authenticated", None),
        ("operation.started", 0),
        ("operation.succeeded", 0),
        ("operation.started", 1),
        ("operation.failed", 1),
    ]
    assert ("timeline" in next(row for row in stack.links() if row["pk"] == link_id)) is debug
