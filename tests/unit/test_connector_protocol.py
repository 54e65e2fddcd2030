"""What a connector may reply, and the words in which a wrong reply is refused."""

import copy
import json
from typing import Any

import jsonschema
import pytest

from latchkey.domain.catalogue import SCHEMAS, read_schema
from latchkey.domain.connector_protocol import (
    MAX_INTEGER,
    MAX_REPLY_BYTES,
    MAX_STATE_BYTES,
    OTHER,
    REASONS,
    data_issues,
    reason,
    reply_issues,
)
from latchkey.domain.validation import schema_issues, validator
from latchkey.domain.views import REASONS as REASONS_IN_WORDS

REQUEST = read_schema(f"{SCHEMAS}/connector_request.json")
REPLY = read_schema(f"{SCHEMAS}/connector_reply.json")
LOGIN, OTP, CHOICE, WAIT, AUTHENTICATED, RESULT, ERROR = REPLY["examples"]
FORM = "challenge.schema"
USERNAME = f"{FORM}.properties.username"
CHANNEL = f"{FORM}.properties.channel"
TEXT = {"type": "string", "title": "Text", "maxLength": 10}
STATUSES = '"challenge", "authenticated", "result" or "error"'
CODES = "LOGIN_FAILED, CONNECTION_FAILED, AUTOMATION_ERROR, OUTCOME_UNKNOWN"
NAMED = "must be named with a letter and at most 39 more letters, digits or _"
ACTION = {"id": "new_code", "title": "Send a new code"}
NO_VALUE = "must be of a field that is there and has neither format nor writeOnly"
NO_FIELDS = "must be an object without fields, because a wait takes no input"
FEW = "must be an object of 1 to 10 fields"
SAME = "must be options of which no two have the same const"


def changed(reply: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """The reply with the member at a dotted path replaced, added, or with ... taken away."""
    made: dict[str, Any] = copy.deepcopy(reply)
    *parents, last = path.split(".")
    holder: Any = made
    for step in parents:
        holder = holder[int(step)] if isinstance(holder, list) else holder[step]
    if value is ...:
        del holder[last]
    else:
        holder[int(last) if isinstance(holder, list) else last] = value
    return made


def issues(reply: Any, action: str) -> list[tuple[str, str]]:
    return [(issue.path, issue.message) for issue in reply_issues(reply, action)]


@pytest.mark.parametrize("name", ["connector_request", "connector_reply"])
def test_the_schemas_are_valid_and_their_examples_fit_by_an_independent_judge(name: str) -> None:
    with open(f"{SCHEMAS}/{name}.json", "rb") as file:
        schema = json.load(file)
    jsonschema.Draft202012Validator.check_schema(schema)
    judge = jsonschema.Draft202012Validator(schema)
    for example in schema["examples"]:
        judge.validate(example)


def test_the_examples_of_requests_fit_their_schema() -> None:
    compiled = validator(REQUEST)
    for example in REQUEST["examples"]:
        assert schema_issues(compiled, example) == []


@pytest.mark.parametrize(
    ("action", "change"),
    [
        ("start", {"state": {}}),
        ("start", {"input": {}}),
        ("answer", {"input": None}),
        ("answer", {"input": {"code": 123456}}),
        ("answer", {"choice": "new_code"}),
        ("poll", {"input": {}}),
        ("poll", {"choice": "new_code"}),
        ("execute", {"choice": "New code"}),
        ("execute", {"operation": None}),
        ("execute", {"operation": {"index": 0, "resource": "a", "action": "delete", "arguments": None}}),
        ("execute", {"livemode": None}),
        ("execute", {"version": 2}),
        ("execute", {"extra": 1}),
    ],
)
def test_a_damaged_request_does_not_fit(action: str, change: dict[str, Any]) -> None:
    example = next(example for example in REQUEST["examples"] if example["action"] == action)
    assert len(schema_issues(validator(REQUEST), example | change)) == 1


@pytest.mark.parametrize("reply", [LOGIN, OTP, CHOICE, WAIT, AUTHENTICATED, RESULT, ERROR])
def test_each_example_of_a_reply_is_allowed_where_its_status_is(reply: dict[str, Any]) -> None:
    allowed = {action for action in ("start", "answer", "poll", "execute") if not issues(reply, action)}
    assert allowed == {
        "result": {"execute"},
        "authenticated": {"start", "answer", "poll"},
    }.get(reply["status"], {"start", "answer", "poll", "execute"})


@pytest.mark.parametrize(
    ("reply", "path", "value", "message"),
    [
        (ERROR, "status", "ok", f"must be {STATUSES}"),
        (ERROR, "status", ..., "is required"),
        (ERROR, "message", "Wrong password: hunter2", "is not a known field"),
        (ERROR, "code", "NOPE", f"must be one of {CODES}"),
        (ERROR, "reason", None, "must be a string; leave it out instead of null"),
        (ERROR, "code", ..., "is required"),
        (RESULT, "data", [], "must be an object that fits the operation's result schema in the catalogue"),
        (RESULT, "data", ..., "is required"),
        (RESULT, "challenge", LOGIN["challenge"], "is not a known field"),
        (AUTHENTICATED, "state", ..., "is required"),
        (LOGIN, "state", ..., "is required"),
        (LOGIN, "challenge", None, "must be an object with type, title and schema"),
        (LOGIN, "challenge.id", "x", "is not a known field"),
        (LOGIN, "challenge.type", "captcha", 'must be "login", "otp", "choice" or "wait"'),
        (LOGIN, "challenge.message", "", "must be a string of 1 to 200 characters"),
        (LOGIN, "challenge.values", {"username": 1}, "must be a string of at most 1000 characters"),
        (LOGIN, "challenge.values", {"password": "hunter2"}, NO_VALUE),
        (LOGIN, "challenge.values", {"name": "joe"}, NO_VALUE),
        (LOGIN, "challenge.pollSeconds", 3, "must be left out of what is no wait"),
        (OTP, "challenge.expiresInSeconds", 0, "must be an integer from 1 to 86400"),
        (OTP, "challenge.actions", [ACTION] * 6, "must be an array of at most 5 actions"),
        (OTP, "challenge.actions", [ACTION] * 2, "must be actions of which no two have the same id"),
        (OTP, "challenge.actions.0.id", "newCode", "must be 1 to 40 of the letters a to z and _"),
        (OTP, "challenge.actions.0.title", ..., "is required"),
        (WAIT, "challenge.pollSeconds", ..., "is required"),
        (WAIT, "challenge.pollSeconds", 1, "must be an integer from 2 to 30"),
        (WAIT, "challenge.pollSeconds", 31, "must be an integer from 2 to 30"),
        (WAIT, f"{FORM}.properties", {"code": TEXT}, NO_FIELDS),
        (LOGIN, "challenge.title", "", "must be a string of 1 to 200 characters"),
        (LOGIN, "challenge.title", "x" * 201, "must be a string of 1 to 200 characters"),
        (LOGIN, f"{FORM}.additionalProperties", True, "must be false"),
        (LOGIN, f"{FORM}.additionalProperties", ..., "is required"),
        (LOGIN, f"{FORM}.if", {}, "is not a known field"),
        (LOGIN, f"{FORM}.required", ["username", "name"], "must be an array of names of the fields"),
        (LOGIN, f"{FORM}.properties", {}, FEW),
        (LOGIN, f"{FORM}.properties", {f"f{n}": TEXT for n in range(11)}, FEW),
        (LOGIN, f"{FORM}.properties.1st", TEXT, NAMED),
        (LOGIN, f"{USERNAME}.properties", {}, "is not a known field"),
        (LOGIN, f"{USERNAME}.type", "number", 'must be "string"'),
        (LOGIN, f"{USERNAME}.title", ..., "is required"),
        (LOGIN, f"{USERNAME}.maxLength", ..., "is required"),
        (LOGIN, f"{USERNAME}.maxLength", 1001, "must be an integer from 1 to 1000"),
        (LOGIN, f"{USERNAME}.minLength", 101, "must be at most maxLength"),
        (LOGIN, f"{USERNAME}.format", "uri", 'must be "password"'),
        (LOGIN, f"{USERNAME}.writeOnly", False, "must be true"),
        (LOGIN, f"{USERNAME}.pattern", "(", "must be a regular expression of at most 200 characters"),
        (LOGIN, f"{USERNAME}.default", "joe", "is not a known field"),
        (CHOICE, f"{CHANNEL}.oneOf", [], "must be an array of 1 to 50 options"),
        (CHOICE, f"{CHANNEL}.oneOf.0.title", ..., "is required"),
        (CHOICE, f"{CHANNEL}.oneOf", [{"const": "a", "title": "A"}, {"const": "a", "title": "B"}], SAME),
        (CHOICE, f"{CHANNEL}.maxLength", 5, "is not a known field"),
    ],
)
def test_a_damaged_reply_is_one_issue_that_says_what_is_wanted(
    reply: dict[str, Any], path: str, value: Any, message: str
) -> None:
    action = "execute" if reply is RESULT else "start"
    ((at, told),) = issues(changed(reply, path, value), action)
    assert (at, told) == (path, message) or (at.startswith(f"{path}.") and told == message)


@pytest.mark.parametrize("reply", [None, "ok", [], 1, {"errorMessage": "boom"}, {"status": "\ud800"}])
def test_what_is_no_reply_is_told_and_does_not_raise(reply: Any) -> None:
    assert issues(reply, "start")


@pytest.mark.parametrize(
    ("reply", "action", "path"),
    [
        (AUTHENTICATED, "execute", "status"),
        (RESULT, "answer", "status"),
        (RESULT, "poll", "status"),
        (ERROR | {"code": "LOGIN_FAILED"}, "execute", "code"),
        (ERROR | {"code": "AUTOMATION_ERROR"}, "answer", "code"),
        (ERROR | {"code": "OUTCOME_UNKNOWN"}, "start", "code"),
    ],
)
def test_a_reply_that_does_not_belong_to_the_action_is_refused(
    reply: dict[str, Any], action: str, path: str
) -> None:
    assert [at for at, _ in issues(reply, action)] == [path]


def test_a_reason_goes_with_its_code_and_any_other_counts_as_other() -> None:
    for code, reasons in REASONS.items():
        for word in reasons:
            told = {each: reason({"code": each, "reason": word}) for each in CODES.split(", ")}
            assert told == dict.fromkeys(CODES.split(", "), OTHER) | {code: word}
    assert reason({"code": "LOGIN_FAILED", "reason": "Wrong password: hunter2"}) == OTHER
    assert reason({"code": "OUTCOME_UNKNOWN", "reason": OTHER}) == OTHER
    assert reason({"code": "LOGIN_FAILED"}) is None
    assert issues(ERROR | {"reason": "Wrong password: hunter2"}, "start") == []


def test_each_reason_is_told_in_words_to_support_staff_and_named_in_the_schema() -> None:
    words = [word for reasons in REASONS.values() for word in reasons]
    assert sorted(REASONS_IN_WORDS) == sorted([*words, OTHER])
    comment = REPLY["allOf"][3]["then"]["properties"]["reason"]["$comment"]
    for code, reasons in REASONS.items():
        assert f"With {code}: {', '.join(reasons)}." in comment


def test_state_and_reply_have_a_size() -> None:
    def state(size: int) -> dict[str, Any]:
        return {"status": "authenticated", "state": "x" * (size - len('""'))}

    def result(size: int) -> dict[str, Any]:
        return {"status": "result", "data": {"x": "\u00e9" + "x" * (size - 2 - len(empty))}}

    empty = '{"status":"result","data":{"x":""}}'
    option = {"const": "a", "title": "t"}
    asked = changed(
        CHOICE, f"{CHANNEL}.oneOf", [option | {"const": f"{n}" + "\u00e9" * 90} for n in range(50)]
    )
    fields = {f"f{n}": asked["challenge"]["schema"]["properties"]["channel"] for n in range(10)}
    large = changed(changed(asked, f"{FORM}.properties", fields), f"{FORM}.required", [])

    assert issues(state(MAX_STATE_BYTES), "start") == []
    assert issues(state(MAX_STATE_BYTES + 1), "start") == [("state", "must be at most 64 KiB of JSON")]
    assert issues(large, "start") == [("challenge", "must be at most 64 KiB of JSON")]
    assert issues(result(MAX_REPLY_BYTES), "execute") == []
    assert issues(result(MAX_REPLY_BYTES + 1), "execute") == [("", "must be at most 1024 KiB of JSON")]


@pytest.mark.parametrize("number", [MAX_INTEGER + 1, -MAX_INTEGER - 1])
def test_no_result_holds_an_integer_of_more_than_53_bits_wherever_it_is(number: int) -> None:
    anything = validator({})
    assert data_issues(anything, {"a": [{"b": MAX_INTEGER}, -MAX_INTEGER]}) == []
    (issue,) = data_issues(anything, {"a": [{"b": number}]})
    assert issue.message == "must hold no integer of more than 53 bits"
