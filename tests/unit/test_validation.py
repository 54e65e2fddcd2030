"""What Create Link refuses, and the words it refuses it with."""

import copy
import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latchkey.domain import catalogue
from latchkey.domain.errors import Issue
from latchkey.domain.validation import (
    MAX_HINTS,
    MAX_ISSUES,
    Rules,
    create_link_issues,
    schema_issues,
    validator,
)
from tests.judge import judge_of_file

RULES = Rules(
    max_expires_in=7_776_000,
    webhook_ports=frozenset({443, 8443}),
    allow_loopback=False,
    livemode=False,
    live_connectors=frozenset({"tmobile"}),
)
ABSENT: Any = object()
NAN = math.nan  # what the strict reader makes of 60.0 and 1e3


def body(changes: dict[str, Any] | None = None) -> dict[str, Any]:
    """The founding example, with the members at the given dotted paths replaced, added or made ABSENT."""
    made: dict[str, Any] = {
        "integrationId": "tmobile",
        "operations": [
            {"resource": "paymentMethod", "action": "read"},
            {
                "resource": "paymentMethod",
                "action": "write",
                "arguments": {
                    "cardNumber": "4242424242424242",
                    "expirationDate": "04/29",
                    "cvv": "123",
                    "nameOnCard": "Jane Doe",
                    "billingZip": "12345",
                },
            },
        ],
        "webhookUrl": "https://your-app.com/webhooks/latchkey",
        "returnUrl": "https://your-app.com/done",
        "externalUserId": "user_123",
        "debug": False,
        "expiresIn": 14400,
    }
    for path, value in (changes or {}).items():
        *parents, last = path.split(".")
        holder: Any = made
        for step in parents:
            holder = holder[int(step)] if isinstance(holder, list) else holder[step]
        if value is ABSENT:
            del holder[last]
        else:
            holder[int(last) if isinstance(holder, list) else last] = copy.deepcopy(value)
    return made


def issues(changes: dict[str, Any], rules: Rules = RULES) -> list[tuple[str, str, str]]:
    return [(issue.path, issue.message, issue.code) for issue in create_link_issues(body(changes), rules)]


READ = {"resource": "paymentMethod", "action": "read"}
WRITE = "operations.1.arguments"
ADDRESS = {"line1": "1 Main St", "city": "Springfield", "state": "IL"}
MANY = {f"key{n}": "value" for n in range(50)}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        dict.fromkeys(("webhookUrl", "returnUrl", "externalUserId", "debug", "expiresIn"), ABSENT),
        {"operations": [READ] * 20},
        {"operations.0.arguments": {}},
        {"operations.0": {"resource": "mobileBillingStatement", "action": "read"}},
        {"operations.0": {"resource": "mobileBillingStatement", "action": "read", "arguments": {"limit": 1}}},
        {
            "operations.0": {
                "resource": "mobileBillingStatement",
                "action": "read",
                "arguments": {"limit": 100},
            }
        },
        {"integrationId": "ubereats", "operations": [{"resource": "orderHistory", "action": "read"}]},
        {"webhookUrl": "https://your-app.com/" + "x" * (2048 - 21)},
        {"webhookUrl": "https://your-app.com:8443/"},
        {"returnUrl": "myapp://callback"},
        {"externalUserId": "x"},
        {"externalUserId": "\N{GRINNING FACE}" * 256},
        {"debug": True},
        {"expiresIn": 1},
        {"expiresIn": 7_776_000},
        {"embedOrigins": [f"https://a{n}.example" for n in range(10)]},
        {"embedOrigins": ["https://[2606:4700::1111]:8443", "http://localhost:3000", "http://127.0.0.1"]},
        {"metadata": {}},
        {"metadata": MANY},
        {"metadata": {"k" * 40: "v" * 500, "k": ""}},
        {f"{WRITE}.cardNumber": "420000000000"},
        {f"{WRITE}.cardNumber": "1900000000000000000"},
        {f"{WRITE}.expirationDate": "01/01"},
        {f"{WRITE}.cvv": "1234"},
        {f"{WRITE}.nameOnCard": "\N{GRINNING FACE}" * 100},
        {f"{WRITE}.billingZip": "12345-6789"},
        {f"{WRITE}.billingAddress": ADDRESS},
        {f"{WRITE}.billingAddress": ADDRESS | {"line2": "", "state": "ny", "country": "US"}},
        {f"{WRITE}.dryRun": True},
    ],
)
def test_what_the_contract_allows_is_accepted(changes: dict[str, Any]) -> None:
    assert issues(changes) == []


NO_NULL = "; leave it out instead of null"
ARRAY = "must be an array of 1 to 20 items"
UNKNOWN = "is not a known field"
OBJECT = "must be an object"
OPERATION = "must be an object with resource, action and, where the operation takes any, arguments"
ADDRESS_WANTED = "must be an object with line1, city and state, and optionally line2 and country"
COUNTRY = 'must be a two-letter country code of ISO 3166-1, for example "US"'
FLAG = "must be true or false"
USER = "must be a string of 1 to 256 characters"
SECONDS = "must be an integer from 1 to 7776000 (seconds)"
PAIRS = "must be an object of at most 50 pairs of strings"
VALUE = "must be a string of at most 500 characters"
CARD_NUMBER = "must be 12 to 19 digits that pass the Luhn check"
EXPIRATION = "must be MM/YY, for example 04/29"
ROWS = "must be an integer from 1 to 100"
INTEGRATIONS = "must be one of " + ", ".join(f'"{name}"' for name in catalogue.providers())
RESOURCES = 'must be "paymentMethod" or "mobileBillingStatement"'
ACTIONS = 'must be "read" or "write"'
HTTPS = "must be a public https URL of at most 2048 characters"
RETURN = 'must be an https URL or a custom app scheme such as "myapp://callback", of at most 2048 characters'
ORIGINS = "must be an array of 1 to 10 origins"
ORIGIN = 'must be an origin as browsers write it, such as "https://your-app.com"'
NOT_AN_ORIGIN = (
    'must be one origin as browsers write it, such as "https://your-app.com": https, in lower case, without '
    "path, default port, user name or wildcard"
)
ZIP = "must be a US ZIP code: 12345 or 12345-6789"
# What a case starts from, where that is not the founding example.
BILLING = {"operations.0": {"resource": "mobileBillingStatement", "action": "read", "arguments": {}}}
NONE_TAKEN: dict[str, Any] = {"operations.0.arguments": {}}
METADATA: dict[str, Any] = {"metadata": {}}
EMBEDDED = {"embedOrigins": ["https://a.example", "https://b.example"]}
WITH_ADDRESS = {f"{WRITE}.billingAddress": ADDRESS}

# Start, path, value there, message, code.
REFUSED: list[tuple[dict[str, Any], str, Any, str, str]] = [
    # A required field is missing.
    ({}, "integrationId", ABSENT, "is required", "required"),
    ({}, "operations", ABSENT, "is required", "required"),
    ({}, "operations.0.resource", ABSENT, "is required", "required"),
    ({}, "operations.0.action", ABSENT, "is required", "required"),
    # A field is of the wrong type; null is never a value.
    ({}, "integrationId", 7, 'must be the id of an integration, for example "tmobile"', "type"),
    ({}, "integrationId", None, 'must be the id of an integration, for example "tmobile"', "type"),
    ({}, "operations", {}, ARRAY, "type"),
    ({}, "operations", None, ARRAY, "type"),
    ({}, "operations.0", "read", OPERATION, "type"),
    ({}, "operations.0.resource", [], 'must be the name of a resource, for example "paymentMethod"', "type"),
    ({}, "operations.0.action", True, ACTIONS, "type"),
    ({}, "operations.0.arguments", None, OBJECT + NO_NULL, "type"),
    ({}, "operations.0.arguments", [], OBJECT, "type"),
    ({}, "operations.1.arguments", "cvv", OBJECT, "type"),
    ({}, "webhookUrl", None, HTTPS + NO_NULL, "type"),
    ({}, "webhookUrl", {}, HTTPS, "type"),
    ({}, "returnUrl", None, RETURN + NO_NULL, "type"),
    ({}, "operations.0", None, OPERATION, "type"),
    (
        {},
        "operations.0.resource",
        None,
        'must be the name of a resource, for example "paymentMethod"',
        "type",
    ),
    ({}, f"{WRITE}.dryRun", None, FLAG + NO_NULL, "type"),
    ({}, f"{WRITE}.billingAddress", None, ADDRESS_WANTED + NO_NULL, "type"),
    (WITH_ADDRESS, f"{WRITE}.billingAddress.country", None, COUNTRY + NO_NULL, "type"),
    (
        WITH_ADDRESS,
        f"{WRITE}.billingAddress.city",
        None,
        'must be the name of a city, for example "Springfield"',
        "type",
    ),
    ({}, "externalUserId", 123, USER, "type"),
    ({}, "externalUserId", None, USER + NO_NULL, "type"),
    ({}, "debug", 1, FLAG, "type"),
    ({}, "debug", "true", FLAG, "type"),
    ({}, "debug", None, FLAG + NO_NULL, "type"),
    ({}, "metadata", [], PAIRS, "type"),
    ({}, "metadata", None, PAIRS + NO_NULL, "type"),
    (METADATA, "metadata.plan", 1, VALUE, "type"),
    (METADATA, "metadata.plan", None, VALUE + NO_NULL, "type"),
    ({}, "embedOrigins", {}, ORIGINS, "type"),
    ({}, "embedOrigins", None, ORIGINS + NO_NULL, "type"),
    (EMBEDDED, "embedOrigins.0", None, ORIGIN, "type"),
    (EMBEDDED, "embedOrigins.1", 7, ORIGIN, "type"),
    # expiresIn is not a positive integer, or it is above the most.
    ({}, "expiresIn", 0, SECONDS, "range"),
    ({}, "expiresIn", -1, SECONDS, "range"),
    ({}, "expiresIn", 7_776_001, SECONDS, "range"),
    ({}, "expiresIn", 10**400, SECONDS, "range"),
    ({}, "expiresIn", -(10**5000), SECONDS, "range"),
    ({}, "expiresIn", 1.5, SECONDS, "type"),
    ({}, "expiresIn", NAN, SECONDS, "type"),
    ({}, "expiresIn", math.inf, SECONDS, "type"),
    ({}, "expiresIn", True, SECONDS, "type"),
    ({}, "expiresIn", "60", SECONDS, "type"),
    ({}, "expiresIn", None, SECONDS + NO_NULL, "type"),
    # Lengths and counts.
    ({}, "operations", [], ARRAY, "range"),
    ({}, "operations", [READ] * 21, ARRAY, "range"),
    ({}, "operations", [7] * 100_000, ARRAY, "range"),
    ({}, "externalUserId", "", USER, "range"),
    ({}, "externalUserId", "x" * 257, USER, "range"),
    ({}, "metadata", MANY | {"key50": "value"}, PAIRS, "range"),
    ({}, "metadata", {f"key{n}": n for n in range(51)}, PAIRS, "range"),
    (METADATA, "metadata.plan", "v" * 501, VALUE, "range"),
    (METADATA, f"metadata.{'k' * 41}", "value", "must be named with 1 to 40 characters", "range"),
    (METADATA, "metadata.", "value", "must be named with 1 to 40 characters", "range"),
    ({}, "webhookUrl", "https://your-app.com/" + "x" * (2048 - 20), HTTPS, "range"),
    ({}, "returnUrl", "myapp:" + "x" * (2048 - 5), RETURN, "range"),
    ({}, "embedOrigins", [], ORIGINS, "range"),
    ({}, "embedOrigins", ["x"] * 100_000, ORIGINS, "range"),
    (EMBEDDED, "embedOrigins.1", "https://a.example", "must be given once", "range"),
    # Unknown fields, with the one that may have been meant.
    ({}, "webhookURL", "https://a.b", f'{UNKNOWN}; did you mean "webhookUrl"?', "unknown_field"),
    ({}, "frobnicate", 1, UNKNOWN, "unknown_field"),
    ({}, "operations.0.argument", {}, f'{UNKNOWN}; did you mean "arguments"?', "unknown_field"),
    (NONE_TAKEN, "operations.0.arguments.limit", 5, UNKNOWN, "unknown_field"),
    (WITH_ADDRESS, f"{WRITE}.billingAddress.lin2", "", f'{UNKNOWN}; did you mean "line2"?', "unknown_field"),
    # A combination that is not offered: the valid choices are named.
    ({}, "integrationId", "no such", INTEGRATIONS, "unknown_integration"),
    ({}, "integrationId", "", INTEGRATIONS, "unknown_integration"),
    ({}, "integrationId", "T-Mobile", f'{INTEGRATIONS}; did you mean "tmobile"?', "unknown_integration"),
    ({}, "operations.0.resource", "orderHistory", RESOURCES, "unknown_resource"),
    (
        {},
        "operations.0.resource",
        "PaymentMehtod",
        f'{RESOURCES}; did you mean "paymentMethod"?',
        "unknown_resource",
    ),
    ({}, "operations.0.action", "delete", ACTIONS, "unknown_action"),
    ({}, "operations.0.action", "Read", f'{ACTIONS}; did you mean "read"?', "unknown_action"),
    (BILLING, "operations.0.action", "write", 'must be "read"', "unknown_action"),
    # URLs; which ones are refused is told in full by the tests of the URL rules.
    ({}, "webhookUrl", "", "must be a valid URL", "format"),
    ({}, "webhookUrl", "your-app.com/webhooks", "must be a valid URL", "format"),
    ({}, "returnUrl", "", "must be a valid URL", "format"),
    (EMBEDDED, "embedOrigins.1", "https://b.example/", NOT_AN_ORIGIN, "format"),
    # Arguments that do not fit the operation's schema.
    ({}, f"{WRITE}.cvv", ABSENT, "is required", "required"),
    ({}, f"{WRITE}.cvc", "123", f'{UNKNOWN}; did you mean "cvv"?', "unknown_field"),
    ({}, f"{WRITE}.cvv", None, "must be 3 or 4 digits", "type"),
    ({}, f"{WRITE}.cvv", 123, "must be 3 or 4 digits", "type"),
    ({}, f"{WRITE}.cvv", "12", "must be 3 or 4 digits", "schema"),
    ({}, f"{WRITE}.cvv", "12345", "must be 3 or 4 digits", "schema"),
    ({}, f"{WRITE}.cvv", "123\n", "must be 3 or 4 digits", "schema"),
    ({}, f"{WRITE}.cvv", "\u0661\u0662\u0663", "must be 3 or 4 digits", "schema"),
    ({}, f"{WRITE}.cardNumber", 4242424242424242, CARD_NUMBER, "type"),
    ({}, f"{WRITE}.cardNumber", "4242424242424241", CARD_NUMBER, "schema"),
    ({}, f"{WRITE}.cardNumber", "4242424242424247", CARD_NUMBER, "schema"),
    ({}, f"{WRITE}.cardNumber", "4242424242424242\n", CARD_NUMBER, "schema"),
    ({}, f"{WRITE}.cardNumber", "4242 4242 4242 4242", CARD_NUMBER, "schema"),
    ({}, f"{WRITE}.cardNumber", "19000000000", CARD_NUMBER, "schema"),
    ({}, f"{WRITE}.cardNumber", "42000000000000000000", CARD_NUMBER, "schema"),
    ({}, f"{WRITE}.expirationDate", "4/29", EXPIRATION, "schema"),
    ({}, f"{WRITE}.expirationDate", "13/29", EXPIRATION, "schema"),
    ({}, f"{WRITE}.expirationDate", "00/29", EXPIRATION, "schema"),
    ({}, f"{WRITE}.expirationDate", "04/2029", EXPIRATION, "schema"),
    ({}, f"{WRITE}.nameOnCard", "", "must be 1 to 100 characters", "range"),
    ({}, f"{WRITE}.nameOnCard", "x" * 101, "must be 1 to 100 characters", "range"),
    ({}, f"{WRITE}.billingZip", "1234", ZIP, "schema"),
    ({}, f"{WRITE}.billingZip", "123456789", ZIP, "schema"),
    ({}, f"{WRITE}.dryRun", "true", FLAG, "type"),
    ({}, f"{WRITE}.billingAddress", "1 Main St", ADDRESS_WANTED, "type"),
    (BILLING, "operations.0.arguments.limit", 0, ROWS, "range"),
    (BILLING, "operations.0.arguments.limit", 101, ROWS, "range"),
    (BILLING, "operations.0.arguments.limit", NAN, ROWS, "type"),
    (BILLING, "operations.0.arguments.limit", "5", ROWS, "type"),
]


@pytest.mark.parametrize(
    ("start", "path", "value", "message", "code"),
    REFUSED,
    ids=[f"{path}-{code}" for _, path, _, _, code in REFUSED],
)
def test_what_the_contract_refuses_is_one_issue_that_says_what_is_wanted(
    start: dict[str, Any], path: str, value: Any, message: str, code: str
) -> None:
    assert issues(start | {path: value}) == [(path, message, code)]


@pytest.mark.parametrize("name", ["0", "7", "01", "+1", "-1", "9" * 20])
def test_a_member_may_have_the_name_of_a_number(name: str) -> None:
    ((path, message, code),) = issues({"metadata": {name: None}})
    assert path.startswith("metadata.")
    assert (message, code) == (VALUE + NO_NULL, "type")


def test_all_issues_are_reported_at_once() -> None:
    changes = {
        "integrationId": ABSENT,
        "operations.0.action": "reed",
        "operations.1.action": ABSENT,
        "webhookUrl": "nope",
        "returnUrl": "javascript:alert(1)",
        "expiresIn": 0,
        "debugg": True,
    }
    assert {path for path, _, _ in issues(changes)} == set(changes)


def test_a_write_without_arguments_lacks_each_required_one() -> None:
    required = ("cardNumber", "expirationDate", "cvv", "nameOnCard", "billingZip")
    empty: dict[str, Any] = {}
    for arguments in (ABSENT, empty):
        assert sorted(issues({WRITE: arguments})) == sorted(
            (f"{WRITE}.{name}", "is required", "required") for name in required
        )


def test_a_nested_argument_has_a_path_of_its_own() -> None:
    address = {"line1": "", "zip": "12345", "state": "New York", "country": "UK"}
    assert sorted(issues({f"{WRITE}.billingAddress": address})) == [
        (f"{WRITE}.billingAddress.city", "is required", "required"),
        (
            f"{WRITE}.billingAddress.country",
            'must be a two-letter country code of ISO 3166-1, for example "US"',
            "schema",
        ),
        (f"{WRITE}.billingAddress.line1", 'must be a street address, for example "1 Main St"', "range"),
        (f"{WRITE}.billingAddress.state", 'must be two letters, for example "IL"', "schema"),
        (f"{WRITE}.billingAddress.zip", UNKNOWN, "unknown_field"),
    ]


def test_the_deployment_sets_the_most_that_expires_in_may_be() -> None:
    rules = RULES._replace(max_expires_in=600)
    assert issues({"expiresIn": 600}, rules) == []
    assert issues({"expiresIn": 601}, rules) == [
        ("expiresIn", "must be an integer from 1 to 600 (seconds)", "range")
    ]


def test_the_published_schema_is_the_one_that_judges_by_default() -> None:
    published = json.loads(Path(catalogue.SCHEMAS, "create_link_request.json").read_bytes())
    assert published["properties"]["expiresIn"]["description"] == SECONDS.removeprefix("must be ")
    for example in published["examples"]:
        assert create_link_issues(example, RULES) == []


def test_the_deployment_sets_where_webhooks_may_go() -> None:
    local = RULES._replace(allow_loopback=True)
    assert issues({"webhookUrl": "http://127.0.0.1:8080/hook"}, local) == []
    other_ports = RULES._replace(webhook_ports=frozenset({9443}))
    for url, rules in (
        ("http://127.0.0.1:8080/hook", RULES),
        ("https://127.0.0.1/hook", RULES),
        ("https://your-app.com/hook", other_ports),
    ):
        [(path, message, code)] = issues({"webhookUrl": url}, rules)
        assert (path, code) == ("webhookUrl", "format")
        assert url not in message


def test_live_mode_needs_a_live_connector() -> None:
    live = RULES._replace(livemode=True)
    assert issues({}, live) == []
    assert issues({"integrationId": "att", "debug": 1}, live) == [
        ("debug", FLAG, "type"),
        (
            "integrationId",
            "not available in live mode: LiveConnectors names none for the integration",
            "unknown_integration",
        ),
    ]


def test_an_answer_lists_at_most_a_thousand_issues() -> None:
    operations = [{**READ, f"{n}": n} for n in range(20)]
    found = issues({"operations": operations, **{f"field{n}": n for n in range(2000)}})
    assert len(found) == MAX_ISSUES == 1000
    assert found[-1] == ("", "has 1021 more issues that are not listed", "range")
    assert "" not in [path for path, _, _ in issues({f"field{n}": n for n in range(MAX_ISSUES)})]


def test_members_beyond_the_limit_are_not_looked_at() -> None:
    unreadable = object()  # the validator would refuse it as no JSON at all
    assert issues({"operations": [READ] * 21 + [unreadable]}) == [("operations", ARRAY, "range")]
    assert issues({"metadata": MANY | {"key50": "value", "key51": unreadable}}) == [
        ("metadata", PAIRS, "range")
    ]


def test_only_the_first_unknown_fields_of_an_object_get_a_suggestion() -> None:
    found = issues({f"webhookUr{n}": "" for n in range(MAX_HINTS + 5)})
    assert sum("did you mean" in message for _, message, _ in found) == MAX_HINTS


def test_a_value_that_fails_in_several_ways_is_told_of_once_by_type_then_size_then_form() -> None:
    field = {"type": "string", "minLength": 3, "minimum": 9, "enum": ["xyz"], "description": "xyz"}
    several = validator({"properties": {"a": field}})
    for value, code in ((1, "type"), ("y", "range"), ("yyy", "schema")):
        assert schema_issues(several, {"a": value}) == [Issue("a", "must be xyz", code)]


def test_a_schema_without_descriptions_still_yields_a_sentence() -> None:
    assert schema_issues(validator({"oneOf": [{"type": "null"}]}), 1) == [
        Issue("", "must be a value that fits the schema", "schema")
    ]


@pytest.mark.parametrize("value", ["\ud800", {"\ud800": 1}, json.loads("[" * 300 + "]" * 300)])
def test_what_cannot_be_json_is_an_issue_and_not_an_exception(value: Any) -> None:
    said = ("must be Unicode text nested at most 64 levels deep", "json")
    assert issues({f"{WRITE}.cvv": value}) == [(WRITE, *said)]
    assert issues({"integrationId": [value]}) == [("", *said)]


# --- did you mean -------------------------------------------------------------------------------

RESOURCE_NAMES = ("paymentMethod", "mobileBillingStatement")


def levenshtein(a: str, b: str) -> int:
    """The textbook's recursion, as an independent judge."""
    if not a or not b:
        return len(a) + len(b)
    if a[0] == b[0]:
        return levenshtein(a[1:], b[1:])
    return 1 + min(levenshtein(a[1:], b), levenshtein(a, b[1:]), levenshtein(a[1:], b[1:]))


def hint(action: str) -> str | None:
    [(_, message, _)] = issues({"operations.0.action": action})
    suggestion = re.search(r'; did you mean "(.*)"\?$', message)
    return suggestion and suggestion[1]


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("READ", "read"),
        ("raed", "read"),
        ("erad", "read"),
        ("reads", "read"),
        ("rd", "read"),
        ("rite", "write"),
        ("wirte", "write"),
        ("rewrite", "write"),
        ("riet", None),
        ("delete", None),
        ("", None),
    ],
)
def test_a_choice_is_close_at_two_edits_or_one_transposition(word: str, meant: str | None) -> None:
    assert hint(word) == meant


@settings(max_examples=100, deadline=None)
@given(st.text("readwit", max_size=6).filter(lambda word: word not in ("read", "write")))
def test_the_nearest_close_choice_is_suggested(word: str) -> None:
    distances = {choice: levenshtein(word, choice) for choice in ("read", "write")}
    nearest = min(distances.values())
    meant = hint(word)
    assert (meant is None) == (nearest > 2)
    assert meant is None or distances[meant] == nearest


# --- whatever is sent ---------------------------------------------------------------------------

CANARY = "canary-5105105105105100"
FIELDS = (
    "integrationId operations resource action arguments webhookUrl returnUrl externalUserId debug expiresIn "
    "metadata embedOrigins cardNumber cvv billingAddress state limit"
)
NAMES = st.sampled_from(FIELDS.split()) | st.text(max_size=3)
NUMBERS = st.sampled_from([0, -1, 60, 1.5, NAN, 10**400, 5105105105105100])
WORDS = st.sampled_from(
    ["read", "write", "paymentMethod", "tmobile", CANARY, "5105105105105100", "https://a.example"]
)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | WORDS | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=6,
)
OPERATIONS = st.fixed_dictionaries(
    {"resource": st.sampled_from(RESOURCE_NAMES), "action": st.sampled_from(["read", "write"])},
    optional={"arguments": JSON},
)
BODY = st.fixed_dictionaries(
    {"integrationId": st.sampled_from(["tmobile", "ubereats"]), "operations": st.lists(OPERATIONS) | JSON},
    optional=dict.fromkeys(
        ("webhookUrl", "returnUrl", "expiresIn", "metadata", "debug", "embedOrigins"), JSON
    ),
)


@settings(max_examples=100, deadline=None)
@given(BODY | st.dictionaries(NAMES, JSON, max_size=6))
def test_any_body_gets_issues_in_words_of_our_own(made: dict[str, Any]) -> None:
    found = create_link_issues(made, RULES)
    said = repr([(issue.message, issue.code) for issue in found])
    assert "5105105105105100" not in said
    assert "canary" not in said


@pytest.mark.parametrize("canary", [CANARY, 5105105105105100, [CANARY], {"x": CANARY}, "5105105105105101"])
def test_no_value_of_the_arguments_is_repeated(canary: Any) -> None:
    names = "cardNumber expirationDate cvv nameOnCard billingZip billingAddress dryRun other"
    for name in (*names.split(), "billingAddress.state", "billingAddress.country", "billingAddress.other"):
        text = repr(issues({f"{WRITE}.billingAddress": ADDRESS, f"{WRITE}.{name}": canary}))
        assert "canary" not in text
        assert "51051051" not in text


# --- an independent judge -----------------------------------------------------------------------


CHANGES: dict[str, st.SearchStrategy[Any]] = {
    "cardNumber": st.sampled_from(["4242424242424243", "420000000000"])
    | st.from_regex(r"\A[0-9]{11,20}\n?\Z"),
    "expirationDate": st.sampled_from(["12/30", "13/30", "1/30", "04/29\n", "1２/30"]),
    "cvv": st.sampled_from(["1234", "12", "123\n", "１２３"]),
    "nameOnCard": st.text("x\N{GRINNING FACE}\n", min_size=98, max_size=102) | st.just(""),
    "billingZip": st.sampled_from(["12345-6789", "12345-", "1234", "12345\n"]),
    "billingAddress": st.fixed_dictionaries(
        {"line1": st.just("1 Main St"), "city": st.sampled_from(["Springfield", ""])},
        optional={
            "state": st.sampled_from(["IL", "il", "I", "IL\n"]),
            "country": st.sampled_from(["DE", "UK", "de"]),
        },
    ),
    "dryRun": st.booleans() | st.just(0),
    "other": JSON,
}
FEW_CHANGES = st.lists(
    st.sampled_from(sorted(CHANGES)).flatmap(lambda name: st.tuples(st.just(name), CHANGES[name] | JSON)),
    max_size=2,
)


@settings(max_examples=80, deadline=None)
@given(FEW_CHANGES.map(dict))
def test_an_independent_validator_agrees_about_arguments(changes: dict[str, Any]) -> None:
    arguments = body()["operations"][1]["arguments"] | changes
    fits = judge_of_file("common/payment_method.json", "/operations/write/arguments")
    assert (issues({WRITE: arguments}) == []) == fits(arguments)


@pytest.mark.parametrize("limit", [1, 100, 0, 101, -1, 1.5, NAN, True, "5", None, 10**400])
def test_an_independent_validator_agrees_about_limits(limit: Any) -> None:
    fits = judge_of_file("common/mobile_billing_statement.json", "/operations/read/arguments")
    assert (issues(BILLING | {"operations.0.arguments.limit": limit}) == []) == fits({"limit": limit})
