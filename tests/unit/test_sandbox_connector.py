"""The sandbox connector, user by user, and whatever else it may be sent."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.sandbox_connector import app
from latchkey.domain import sandbox, validation
from latchkey.domain.catalogue import SCHEMAS, providers, read_schema
from latchkey.domain.connector_protocol import reply_issues
from latchkey.domain.validation import schema_issues
from tests.template import ROOT

READ = {"resource": "mobileBillingStatement", "action": "read", "arguments": None}
CARD = {
    "cardNumber": "4012888888881881",
    "expirationDate": "04/29",
    "cvv": "123",
    "nameOnCard": "Jane Doe",
    "billingZip": "12345",
}
WRITE = {"resource": "paymentMethod", "action": "write", "arguments": CARD}
LOGIN_FAILED = {"status": "error", "code": "LOGIN_FAILED"}
REQUEST = validation.validator(read_schema(f"{SCHEMAS}/connector_request.json"))


class Session:
    """A session with the sandbox, whose every reply is checked and whose state travels as JSON."""

    def __init__(self, integration_id: str = "tmobile") -> None:
        self.integration_id = integration_id
        self.state: Any = None

    def call(self, action: str, **members: Any) -> dict[str, Any]:
        request = {
            "version": 1,
            "action": action,
            "sessionId": "sess_0123456789abcdef",
            "integrationId": self.integration_id,
            "livemode": False,
            "state": self.state,
            "input": None,
            "operation": None,
        } | members
        assert schema_issues(REQUEST, request) == []
        reply: dict[str, Any] = json.loads(
            json.dumps(app.lambda_handler(json.loads(json.dumps(request)), None))
        )
        assert reply_issues(reply, action) == []
        self.state = reply.get("state", self.state)
        return reply

    def answer(self, **fields: str) -> dict[str, Any]:
        return self.call("answer", input=fields)

    def log_in(self, user: str, password: str = sandbox.PASSWORD) -> dict[str, Any]:
        assert self.call("start")["challenge"]["type"] == "login"
        return self.answer(username=user, password=password)

    def execute(self, operation: dict[str, Any], index: int = 0) -> dict[str, Any]:
        return self.call("execute", operation={"index": index} | operation)


def data_of(user: str, operation: dict[str, Any], integration_id: str = "tmobile") -> Any:
    session = Session(integration_id)
    assert session.log_in(user)["status"] == "authenticated"
    return session.execute(operation)["data"]


OPERATIONS = [
    (provider.id, resource, action)
    for provider in providers().values()
    for resource, actions in provider.resources.items()
    for action in actions
]


@pytest.mark.parametrize(("integration_id", "resource", "action"), OPERATIONS)
def test_user_good_gets_data_that_fits_for_every_operation_of_the_catalogue(
    integration_id: str, resource: str, action: str
) -> None:
    schema = providers()[integration_id].resources[resource][action]
    fits = validation.validator(schema.result)
    for arguments in (None, *(schema.arguments or {"examples": []})["examples"]):
        operation = {"resource": resource, "action": action, "arguments": arguments}
        assert schema_issues(fits, data_of("user_good", operation, integration_id)) == []


def test_a_limit_is_kept_and_counted() -> None:
    read = {"resource": "orderHistory", "action": "read"}
    for limit, returned in ((1, 1), (2, 2), (100, 3)):
        data = data_of("user_good", read | {"arguments": {"limit": limit}}, "ubereats")
        assert len(data["orders"]) == data["orderCount"] == returned
    methods = data_of("user_good", {"resource": "paymentMethod", "action": "read", "arguments": None})
    assert [method["order"] for method in methods["paymentMethods"]] == [0, 1]


def test_a_write_shows_the_card_it_was_given_and_a_dry_run_says_so() -> None:
    assert data_of("user_good", WRITE) == {"success": True, "card": {"last4": "1881"}}
    for dry_run, said in ((True, {"dryRun": True}), (False, {"success": True})):
        write = WRITE | {"arguments": CARD | {"dryRun": dry_run}}
        assert data_of("user_good", write) == said | {"card": {"last4": "1881"}}


def test_user_otp_is_asked_for_a_code() -> None:
    session = Session()
    reply = session.log_in("user_otp")
    assert reply["challenge"]["type"] == "otp"
    again = session.answer(code="000000")
    assert again["challenge"]["title"] != reply["challenge"]["title"]
    assert session.answer(code="123456")["status"] == "authenticated"
    assert session.execute(READ)["status"] == "result"


def test_three_wrong_codes_fail() -> None:
    session = Session()
    session.log_in("user_otp")
    statuses = [session.answer(code="000000")["status"] for _ in range(2)]
    assert statuses == ["challenge", "challenge"]
    assert session.answer(code="000000") == LOGIN_FAILED


@pytest.mark.parametrize(
    ("user", "password"),
    [
        ("user_bad", "pass_good"),
        ("user_bad", "x"),
        ("user_good", "pass_bad"),
        ("user_locked", "x"),
        ("user_nobody", "pass_good"),
        ("user_op10_fails", "pass_good"),
        ("user_good\n", "pass_good"),
    ],
)
def test_user_bad_whoever_is_unknown_and_a_wrong_password_have_three_tries(user: str, password: str) -> None:
    session = Session()
    titles = [session.call("start")["challenge"]["title"]]
    for _ in range(2):
        reply = session.answer(username=user, password=password)
        assert reply["challenge"]["type"] == "login"
        titles.append(reply["challenge"]["title"])
    assert len(set(titles)) == 3
    assert session.answer(username=user, password=password) == LOGIN_FAILED


def test_after_a_wrong_password_the_right_one_logs_in() -> None:
    session = Session()
    session.log_in("user_good", "pass_bad")
    assert session.answer(username="user_good", password="pass_good")["status"] == "authenticated"


def test_user_wait_is_polled_until_five_seconds_are_over(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_704_067_200_000
    monkeypatch.setattr("time.time_ns", lambda: now * 1_000_000)
    session = Session()
    reply = session.log_in("user_wait")
    assert reply["challenge"]["type"] == "wait"
    now += app.WAIT_MS - 1
    assert session.call("poll")["challenge"] == reply["challenge"]
    now += 1
    assert session.call("poll")["status"] == "authenticated"
    assert session.execute(WRITE)["status"] == "result"


def test_user_choice_has_three_codes_for_each_way_that_is_chosen() -> None:
    session = Session()
    assert session.log_in("user_choice")["challenge"]["type"] == "choice"
    assert session.answer(way="email")["challenge"]["type"] == "otp"
    assert session.call("answer", choice="other_way")["challenge"]["values"] == {"way": "email"}
    session.answer(way="sms")
    for left in (2, 1):
        assert f"({left} left)" in session.answer(code="000000")["challenge"]["message"]
        assert "message" in session.call("answer", choice="new_code")["challenge"]
    assert session.answer(code="000000") == LOGIN_FAILED


def test_user_step_up_confirms_the_first_write_with_a_code() -> None:
    session = Session()
    session.log_in("user_step_up")
    assert session.execute(READ)["status"] == "result"
    write: dict[str, Any] = {"index": 1} | WRITE
    assert session.execute(WRITE, 1)["challenge"]["type"] == "otp"
    wrong = session.call("execute", operation=write, input={"code": "000000"})
    assert "(2 left)" in wrong["challenge"]["message"]
    assert "message" not in session.call("execute", operation=write)["challenge"]
    assert session.call("execute", operation=write, input={"code": "123456"})["status"] == "result"
    assert session.execute(WRITE, 2)["status"] == "result"


def test_user_declined_has_its_card_declined_and_can_read() -> None:
    session = Session()
    session.log_in("user_declined")
    assert session.execute(READ)["status"] == "result"
    declined = {"status": "error", "code": "AUTOMATION_ERROR", "reason": "card_declined"}
    assert session.execute(WRITE) == declined


def test_user_locked_fails_at_once() -> None:
    assert Session().log_in("user_locked") == LOGIN_FAILED


def test_user_down_finds_the_provider_down() -> None:
    assert Session().log_in("user_down") == {"status": "error", "code": "CONNECTION_FAILED"}


@pytest.mark.parametrize("number", range(1, 10))
def test_user_op_n_fails_in_that_operation_alone(number: int) -> None:
    session = Session()
    session.log_in(f"user_op{number}_fails")
    replies = [session.execute(READ, index) for index in range(10)]
    assert replies.pop(number - 1) == {"status": "error", "code": "AUTOMATION_ERROR"}
    assert {reply["status"] for reply in replies} == {"result"}


@pytest.mark.parametrize(("integration_id", "resource", "action"), OPERATIONS)
def test_user_bad_data_gets_what_no_result_schema_takes(
    integration_id: str, resource: str, action: str
) -> None:
    operation = {"resource": resource, "action": action, "arguments": None}
    fits = validation.validator(providers()[integration_id].resources[resource][action].result)
    assert schema_issues(fits, data_of("user_bad_data", operation, integration_id))


def test_user_slow_takes_three_seconds_in_each_operation(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("time.sleep", slept.append)
    session = Session()
    session.log_in("user_slow")
    assert [session.execute(READ, index)["status"] for index in range(2)] == ["result"] * 2
    assert slept == [3, 3]


def test_user_crash_dies_in_the_first_operation_each_time() -> None:
    session = Session()
    session.log_in("user_crash")
    for _ in range(3):
        with pytest.raises(RuntimeError):
            session.execute(READ)
    assert session.execute(READ, 1)["status"] == "result"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"version": 2}, "CONNECTION_FAILED"),
        ({"action": "dance"}, "CONNECTION_FAILED"),
        ({"integrationId": "nobody"}, "CONNECTION_FAILED"),
        ({"state": None}, "CONNECTION_FAILED"),
        ({"state": {"step": "login", "triesLeft": 3}}, "CONNECTION_FAILED"),
        ({"operation": None}, "CONNECTION_FAILED"),
        ({"operation": {"index": 0} | READ | {"resource": "car"}}, "AUTOMATION_ERROR"),
        ({"operation": {"index": 0} | READ | {"action": "write"}}, "AUTOMATION_ERROR"),
        ({"operation": {"index": 0} | READ | {"arguments": []}}, "AUTOMATION_ERROR"),
    ],
)
def test_what_it_does_not_understand_is_refused(change: dict[str, Any], code: str) -> None:
    event = json.loads((ROOT / "events/sandbox_connector.json").read_text())
    assert schema_issues(REQUEST, event) == []
    assert len(app.lambda_handler(event, None)["data"]["billing"]) == 2
    assert app.lambda_handler(event | change, None) == {"status": "error", "code": code}


def test_a_call_logs_one_line_without_anything_typed(capsys: pytest.CaptureFixture[str]) -> None:
    session = Session()
    session.log_in("user_good", "hunter2")
    session.answer(username="user_good", password="pass_good")
    session.execute(WRITE)
    app.lambda_handler({"sessionId": "hunter2", "version": "hunter2"}, None)
    text = capsys.readouterr().out
    assert [json.loads(line)["status"] for line in text.splitlines()] == [
        *("challenge", "challenge", "authenticated", "result", "error"),
    ]
    assert not [
        secret for secret in ("user_good", "pass_good", "hunter2", CARD["cardNumber"]) if secret in text
    ]


# --- whatever is sent ---------------------------------------------------------------------------

LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
JSON = st.recursive(
    LEAVES | st.sampled_from(["\ud800", "\ud800" * 12]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
NAMES = (
    *("good", "otp", "bad", "locked", "op1_fails", "op9_fails", "bad_data", "down", "nobody"),
    *("wait", "choice", "step_up", "declined"),
)
ACTIONS = {"none": "start", "login": "answer", "otp": "answer", "choice": "answer", "code": "answer"}
ACTIONS |= {"wait": "poll", "authenticated": "execute", "step_up": "execute"}


def right(step: str, tries: int, user: str, index: int, action: str, dry_run: bool) -> dict[str, Any]:
    """A request that is in order, but for members that belong to other actions."""
    return {
        "version": 1,
        "action": ACTIONS[step],
        "integrationId": "tmobile",
        "state": None
        if step == "none"
        else {"step": step, "triesLeft": tries, "user": user, "way": "sms", "until": tries},
        "input": {"username": user, "password": sandbox.PASSWORD, "code": app.CODE, "way": "email"},
        "operation": {
            "index": index,
            "resource": "paymentMethod",
            "action": action,
            "arguments": {"dryRun": dry_run},
        },
    }


PATHS = (
    "version action sessionId integrationId state state.step state.triesLeft state.user state.way "
    "state.until state.confirmed choice input input.username input.password input.code input.way "
    "operation operation.index operation.resource operation.action operation.arguments "
    "operation.arguments.limit operation.arguments.dryRun operation.arguments.cardNumber"
)


def damaged(request: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """The request with the members at the given dotted paths replaced."""
    for path, value in changes.items():
        *parents, last = path.split(".")
        holder: Any = request
        for step in parents:
            holder = holder.get(step) if isinstance(holder, dict) else None
        if isinstance(holder, dict):
            holder[last] = value
    return request


RIGHT = st.builds(
    right,
    st.sampled_from([*ACTIONS]),
    st.integers(1, 3),
    st.sampled_from([f"user_{name}" for name in NAMES]),
    st.integers(0, 9),
    st.sampled_from(["read", "write"]),
    st.booleans(),
)
DAMAGED = st.builds(damaged, RIGHT, st.dictionaries(st.sampled_from(PATHS.split()), JSON, max_size=2))


@pytest.mark.parametrize("requests", [DAMAGED, JSON], ids=["damaged", "any"])
@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_request_at_all_gets_a_reply_that_fits(
    requests: st.SearchStrategy[Any], data: st.DataObject
) -> None:
    request = data.draw(requests)
    reply = app.lambda_handler(request, None)
    action = request.get("action") if isinstance(request, dict) else None
    actions = [action] if action in ("start", "answer", "poll", "execute") else ["start", "execute"]
    assert [issue for action in actions for issue in reply_issues(reply, action)] == []


@pytest.mark.parametrize("value", [None, "x", [], "\ud800" * 12])
def test_arguments_of_no_use_are_left_alone(value: Any) -> None:
    event = json.loads((ROOT / "events/sandbox_connector.json").read_text())
    for operation in (READ, WRITE):
        arguments = {"limit": value, "cardNumber": value, "dryRun": value}
        reply = app.lambda_handler(
            event | {"operation": operation | {"index": 0, "arguments": arguments}}, None
        )
        assert reply_issues(reply, "execute") == []


@pytest.mark.parametrize("number", [10**4299, 10**4300 - 1], ids=["first", "last"])
def test_numbers_of_thousands_of_digits_are_refused(number: int) -> None:
    request = json.loads((ROOT / "events/sandbox_connector.json").read_text())
    for change in (
        {"state": {"step": "otp", "triesLeft": number}, "action": "answer", "input": {"code": "0"}},
        {"operation": READ | {"index": number}},
    ):
        assert app.lambda_handler(request | change, None)["status"] == "error"
