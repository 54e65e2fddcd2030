"""The conformance checks pass the sandbox and the connector of the docs, and fail each way to be wrong."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from functions.sandbox_connector import app
from latchkey.domain import sandbox as sandbox_users
from latchkey.domain.catalogue import SCHEMAS, providers, read_schema
from latchkey.domain.validation import schema_issues, validator
from local.conformance import SANDBOX_INPUTS, conformance, report
from local.connector_session import Call, Check
from local.environments import CallFailed
from tests.template import ROOT

type Json = dict[str, Any]
type Handler = Callable[[Json, Any], Any]

TMOBILE = providers()["tmobile"]
LOGGED_IN = {"step": "authenticated", "user": "user_good"}
OTP_INPUTS = [{"username": "user_otp", "password": "pass_good"}, {"code": "123456"}]
CHOICE_INPUTS = [{"username": "user_choice", "password": "pass_good"}, {"way": "sms"}, {"code": "123456"}]
STEP_UP_INPUTS = [{"username": "user_step_up", "password": "pass_good"}, {"code": "123456"}]


def in_process(handler: Handler) -> Call:
    """Call a handler as Lambda does: JSON in, JSON out, and nothing told of what it raised."""

    def call(request: Json) -> Any:
        try:
            return json.loads(json.dumps(handler(json.loads(json.dumps(request)), None)))
        except Exception:  # noqa: BLE001 # a function may raise anything
            raise CallFailed("the function raised") from None

    return call


def sandbox(request: Json, _context: Any = None) -> Json:
    return json.loads(json.dumps(app.lambda_handler(request, None)))  # type: ignore[no-any-return]


def failed(checks: list[Check]) -> set[str]:
    return {check.name for check in checks if check.problems}


def tried(handler: Handler, inputs: list[Json] = SANDBOX_INPUTS, **options: Any) -> list[Check]:
    return list(conformance(in_process(handler), TMOBILE, inputs, **options))


@pytest.mark.parametrize("integration_id", providers())
@pytest.mark.parametrize(
    "inputs",
    [SANDBOX_INPUTS, OTP_INPUTS, CHOICE_INPUTS, STEP_UP_INPUTS],
    ids=["password", "code", "choice", "code for a write"],
)
def test_the_sandbox_conforms(
    integration_id: str, inputs: list[Json], capsys: pytest.CaptureFixture[str]
) -> None:
    assert report(conformance(in_process(sandbox), providers()[integration_id], inputs, submit=True))
    assert ", 0 failed, 0 skipped" in capsys.readouterr().out


def test_a_wait_takes_no_input_and_is_polled_at_its_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    now, slept = 1_704_067_200.0, list[float]()

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds
        slept.append(seconds)

    monkeypatch.setattr("time.sleep", sleep)
    monkeypatch.setattr("time.time_ns", lambda: round(now * 1e9))
    inputs = [{"username": "user_wait", "password": "pass_good"}]
    assert not failed(tried(sandbox, inputs, clock=lambda: now))
    assert slept == [2, 2, 2]


def test_a_wait_that_does_not_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    monkeypatch.setattr("time.sleep", sleep)
    monkeypatch.setattr("time.time_ns", lambda: 0)
    inputs = [{"username": "user_wait", "password": "pass_good"}]
    broken = {check.name: check.problems for check in tried(sandbox, inputs, clock=lambda: now)}
    (problem,) = broken["answer with input 1"]
    assert problem.startswith("it still waits after 120 s")


def test_what_an_operation_asks_needs_an_input_of_its_own() -> None:
    checks = {check.name: check.problems for check in tried(sandbox, STEP_UP_INPUTS[:1])}
    assert all("has no more for it" in checks[name][0] for name in DRY_RUNS)


def test_the_connector_of_the_docs_conforms() -> None:
    page = (ROOT / "docs/connect-a-provider.md").read_text()
    (source,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(source.splitlines()) <= 40
    module: Json = {}
    exec(source, module)  # noqa: S102 # it is ours
    assert report(conformance(in_process(module["lambda_handler"]), providers()["ubereats"], SANDBOX_INPUTS))


def test_writes_are_dry_runs_unless_told_otherwise() -> None:
    seen: list[Json] = []

    def recorded(request: Json, _: Any) -> Json:
        seen.append(request)
        return sandbox(request)

    def submitted() -> int:
        operations = [request["operation"] or {} for request in seen]
        return sum(o.get("action") == "write" and "dryRun" not in o["arguments"] for o in operations)

    tried(recorded)
    assert submitted() == 0
    tried(recorded, submit=True)
    assert submitted() == 2


def test_a_connector_is_given_the_arguments_that_it_needs() -> None:
    text = {"type": "string", "description": "a name"}
    needed = {
        "type": "object",
        "properties": {"profile": text, "limit": {"type": "integer", "description": "an integer"}},
        "required": ["profile"],
        "examples": [{"profile": "Kids"}],
    }
    read = TMOBILE.resources["paymentMethod"]["read"]._replace(arguments=needed)
    provider = TMOBILE._replace(resources={"paymentMethod": {"read": read}})
    given: list[Json] = []

    def recorded(request: Json, _: Any) -> Json:
        reply = sandbox(request)
        if reply["status"] == "result":
            given.append(request["operation"]["arguments"])
        return reply

    assert not failed(list(conformance(in_process(recorded), provider, SANDBOX_INPUTS)))
    kids = {"profile": "Kids"}
    assert given == [kids, kids | {"limit": 1}, kids, kids]


def test_all_requests_but_three_are_in_order() -> None:
    seen: list[Json] = []

    def recorded(request: Json, _: Any) -> Json:
        seen.append(request)
        return sandbox(request)

    tried(recorded, OTP_INPUTS)
    fits = validator(read_schema(f"{SCHEMAS}/connector_request.json"))
    told = [issue.path for request in seen for issue in schema_issues(fits, request)]
    assert told == ["operation.action", "version", "action"]


# --- broken connectors ---------------------------------------------------------------------------

sessions: Json = {}


def keeps_sessions_in_memory(request: Json, _: Any) -> Json:
    state = sessions.get(request["sessionId"])
    reply = sandbox(request | {"state": state})
    sessions[request["sessionId"]] = reply.get("state", state)
    return reply | ({"state": {}} if "state" in reply else {})


def takes_any_password(request: Json, _: Any) -> Json:
    if request["input"]:
        request["input"]["password"] = sandbox_users.PASSWORD
    return sandbox(request)


def takes_any_version(request: Json, _: Any) -> Json:
    return sandbox(request | {"version": 1})


def takes_any_action(request: Json, _: Any) -> Json:
    known = request["action"] in ("start", "answer", "execute")
    return sandbox(request) if known else {"status": "authenticated", "state": LOGGED_IN}


def takes_any_operation(request: Json, _: Any) -> Json:
    if request["operation"] and request["operation"]["resource"] == "unknownResource":
        return {"status": "result", "data": {}}
    return sandbox(request)


def raises_at_an_unknown_operation(request: Json, _: Any) -> Json:
    if request["operation"]:
        TMOBILE.resources[request["operation"]["resource"]][request["operation"]["action"]]
    return sandbox(request)


def runs_without_a_login(request: Json, _: Any) -> Json:
    if request["action"] == "execute" and request["state"] is None:
        request["state"] = LOGGED_IN
    return sandbox(request)


def submits_dry_runs(request: Json, _: Any) -> Json:
    if request["operation"]:
        (request["operation"]["arguments"] or {}).pop("dryRun", None)
    return sandbox(request)


def ignores_limits(request: Json, _: Any) -> Json:
    if request["operation"]:
        (request["operation"]["arguments"] or {}).pop("limit", None)
    return sandbox(request)


def repeats_the_card(request: Json, _: Any) -> Json:
    reply = sandbox(request)
    if request["operation"] and "cardNumber" in (request["operation"]["arguments"] or {}):
        reply["data"]["card"]["last4"] = request["operation"]["arguments"]["cardNumber"]
    return reply


def repeats_the_password(request: Json, _: Any) -> Json:
    reply = sandbox(request)
    if request["input"] and reply["status"] == "challenge":
        reply["challenge"]["title"] = f"{request['input']['password']} is wrong"
    return reply


def replying(status: str, /, **changes: Any) -> Handler:
    """The sandbox with changes to each reply of that status."""

    def handler(request: Json, _: Any) -> Json:
        reply = sandbox(request)
        return reply | changes if reply["status"] == status else reply

    handler.__name__ = f"{status}-{next(iter(changes))}"
    return handler


def form(**changes: Any) -> Json:
    challenge: Json = sandbox({"version": 1, "action": "start", "integrationId": "tmobile", "state": None})[
        "challenge"
    ]
    return challenge | {"schema": challenge["schema"] | changes}


READ, WRITE = "read mobileBillingStatement with", "write paymentMethod with dryRun true,"
AGAIN = "read paymentMethod again, by its state alone"
DRY_RUNS = [f"{WRITE} {count} other arguments" for count in (5, 6)]
RESULTS = [
    *(f"{READ} {arguments}" for arguments in ("no arguments", "limit 12", "limit 1")),
    *("read paymentMethod with no arguments", AGAIN, *DRY_RUNS),
]
UNKNOWN = ["an unknown resource is refused", "an unknown action on a resource is refused"]
VERSION, ACTION, EARLY = (
    f"{what} is refused"
    for what in ("an unknown version", "an unknown action", "an operation before the login")
)
WRONG = "a wrong password does not log in"
OPEN = {"billing": ["x" * 1_048_576]}


@pytest.mark.parametrize(
    ("handler", "names", "problem"),
    [
        (keeps_sessions_in_memory, [AGAIN], "replied CONNECTION_FAILED"),
        (takes_any_password, [WRONG], "replied authenticated"),
        (takes_any_version, [VERSION], "replied challenge"),
        (takes_any_action, [ACTION], "replied authenticated"),
        (takes_any_operation, UNKNOWN[:1], "replied result"),
        (raises_at_an_unknown_operation, UNKNOWN, "raised"),
        (runs_without_a_login, [EARLY], "replied result"),
        (submits_dry_runs, DRY_RUNS, "does not say dryRun"),
        (ignores_limits, [f"{READ} limit 1"], "3 rows"),
        (repeats_the_password, [WRONG], "repeats a password"),
        (repeats_the_card, DRY_RUNS, "card number outside"),
        (replying("result", data={"x": 1}), RESULTS, "the result"),
        (replying("result", data=None), RESULTS, "reply's data must be an object"),
        (replying("result", data=OPEN), RESULTS, "the reply must be at most 1024 KiB"),
        (replying("result", state="x" * 65_535), RESULTS, "reply's state must be at most 64 KiB"),
        (
            replying("authenticated", state=LOGGED_IN | {"cookies": "x" * 60_000}),
            ["answer with input 1", *RESULTS, *UNKNOWN],
            "another user's may not fit",
        ),
        (replying("result", status="done"), RESULTS, "reply's status must be"),
        (replying("error", message="hunter2"), [*UNKNOWN, VERSION, ACTION, EARLY], "message is not a known"),
        (replying("error", reason="hunter2"), [*UNKNOWN, VERSION, ACTION, EARLY], "it counts as other"),
        (replying("error", code="OUTCOME_UNKNOWN"), [VERSION], "code must be one of LOGIN_FAILED"),
        (replying("error", code="LOGIN_FAILED"), [*UNKNOWN, EARLY], "code must be one of CONNECTION_FAILED"),
        (replying("challenge", challenge=form(properties={})), ["start", WRONG], "1 to 10 fields"),
        (replying("challenge", challenge=form(required=["name"])), ["start", WRONG], "names of the fields"),
        (replying("challenge", status="authenticated"), ["start", WRONG], "challenge is not a known field"),
        (replying("challenge", state=object()), ["start", WRONG], "the function raised"),
        (replying("authenticated", token="x"), ["answer with input 1"], "token is not a known field"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_a_broken_connector_fails_by_what_is_broken(handler: Handler, names: list[str], problem: str) -> None:
    sessions.clear()
    broken = {check.name: check.problems for check in tried(handler) if check.problems}
    assert broken.keys() == set(names)
    assert all(problem in problems[0] for problems in broken.values())


def test_a_read_that_works_once_for_a_state_fails_when_it_comes_again() -> None:
    used: list[str] = []

    def handler(request: Json, _: Any) -> Json:
        """Each state is good for one operation, as where a provider's cookie changes at each page."""
        state = request["state"]
        if request["action"] != "execute" or state is None:
            return sandbox(request)
        if state.get("page") in used:
            return {"status": "error", "code": "AUTOMATION_ERROR"}
        used.append(state.get("page"))
        return sandbox(request) | {"state": state | {"page": len(used)}}

    assert AGAIN in failed(tried(handler))


@pytest.mark.parametrize(("seconds", "late"), [(60, set()), (61, {"start", WRONG})])
def test_a_slow_reply_fails(seconds: int, late: set[str]) -> None:
    now = 0.0

    def handler(request: Json, _: Any) -> Json:
        nonlocal now
        now += seconds if request["action"] == "start" and request["version"] == 1 else 0
        return sandbox(request)

    assert failed(tried(handler, clock=lambda: now)) == late


@pytest.mark.parametrize(
    ("inputs", "name", "problem"),
    [
        ([], "logged in", 'it still asks "Log in to T-Mobile" (username, password)'),
        (OTP_INPUTS[:1], "logged in", 'it still asks "Enter the code that T-Mobile sent you" (code)'),
        ([{"username": "user_good"}], "answer with input 1", "the input's password is required"),
        ([{"username": "user_locked", "password": "pass_good"}], "logged in", "it replied LOGIN_FAILED"),
    ],
)
def test_wrong_inputs_are_told_apart_from_a_wrong_connector(
    inputs: list[Json], name: str, problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not report(conformance(in_process(sandbox), TMOBILE, inputs))
    lines = capsys.readouterr().out.splitlines()
    at = lines.index(f"  FAILED   {name}")
    assert lines[at + 1].endswith(problem)
    assert "INPUT=file.json" in lines[at + 2]
