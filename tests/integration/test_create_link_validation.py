"""Every refusal of Create Link, through its handler: path, code, and words where they are promised."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.conftest import Answer, Stack, founding

VECTORS = Path(__file__).parent.parent / "vectors"
WRITE = founding()["operations"][1]
READ = founding()["operations"][0]


def refused(answer: Answer) -> dict[str, tuple[str, str]]:
    assert (answer.status, answer.json["error"], answer.json["code"]) == (
        400,
        "Validation failed",
        "validation_failed",
    )
    assert answer.json["requestId"] == answer.headers["X-Request-Id"]
    return answer.issues


def operations(*changed: dict[str, Any]) -> dict[str, Any]:
    return founding(operations=list(changed))


def argument(**changes: Any) -> dict[str, Any]:
    """The founding example with changed arguments of its write; None takes one away."""
    arguments = {name: value for name, value in (WRITE["arguments"] | changes).items() if value is not None}
    return operations(READ, WRITE | {"arguments": arguments})


def without(name: str) -> dict[str, Any]:
    return founding(**{name: None})


REFUSALS: dict[str, tuple[Any, str, str]] = {
    # a required field is missing or of the wrong type
    "no integrationId": (without("integrationId"), "integrationId", "required"),
    "no operations": (without("operations"), "operations", "required"),
    "no resource": (operations({"action": "read"}), "operations.0.resource", "required"),
    "no action": (operations({"resource": "paymentMethod"}), "operations.0.action", "required"),
    "integrationId number": (founding(integrationId=7), "integrationId", "type"),
    "operations object": (founding(operations={}), "operations", "type"),
    "operation text": (founding(operations=["read"]), "operations.0", "type"),
    "resource number": (operations(READ | {"resource": 1}), "operations.0.resource", "type"),
    "action null": (operations(READ | {"action": None}), "operations.0.action", "type"),
    "arguments text": (operations(WRITE | {"arguments": "x"}), "operations.0.arguments", "type"),
    "arguments null": (operations(READ | {"arguments": None}), "operations.0.arguments", "type"),
    "debug text": (founding(debug="true"), "debug", "type"),
    "webhookUrl number": (founding(webhookUrl=1), "webhookUrl", "type"),
    "returnUrl list": (founding(returnUrl=[]), "returnUrl", "type"),
    "externalUserId number": (founding(externalUserId=123), "externalUserId", "type"),
    # sizes
    "operations empty": (founding(operations=[]), "operations", "range"),
    "operations 21": (founding(operations=[READ] * 21), "operations", "range"),
    "externalUserId empty": (founding(externalUserId=""), "externalUserId", "range"),
    "externalUserId 257": (founding(externalUserId="\U0001f600" * 257), "externalUserId", "range"),
    "webhookUrl 2049": (founding(webhookUrl="https://a.example/".ljust(2049, "x")), "webhookUrl", "range"),
    "returnUrl 2049": (founding(returnUrl="https://a.example/".ljust(2049, "x")), "returnUrl", "range"),
    "metadata 51": (founding(metadata={str(i): "" for i in range(51)}), "metadata", "range"),
    "metadata key 41": (founding(metadata={"k" * 41: ""}), f"metadata.{'k' * 41}", "range"),
    "metadata value 501": (founding(metadata={"k": "v" * 501}), "metadata.k", "range"),
    "metadata value number": (founding(metadata={"k": 1}), "metadata.k", "type"),
    "metadata list": (founding(metadata=[]), "metadata", "type"),
    # URLs
    "webhookUrl not a URL": (founding(webhookUrl="nope"), "webhookUrl", "format"),
    "webhookUrl http": (founding(webhookUrl="http://a.example.com/"), "webhookUrl", "format"),
    "returnUrl not a URL": (founding(returnUrl="nope"), "returnUrl", "format"),
    "embedOrigins text": (founding(embedOrigins="https://a.example"), "embedOrigins", "type"),
    "embedOrigins empty": (founding(embedOrigins=[]), "embedOrigins", "range"),
    "embedOrigins 11": (
        founding(embedOrigins=[f"https://a{n}.example" for n in range(11)]),
        "embedOrigins",
        "range",
    ),
    "embedOrigins number": (founding(embedOrigins=[1]), "embedOrigins.0", "type"),
    "embedOrigins with a path": (founding(embedOrigins=["https://a.example/"]), "embedOrigins.0", "format"),
    "embedOrigins twice": (founding(embedOrigins=["https://a.example"] * 2), "embedOrigins.1", "range"),
    # unknown things
    "unknown field": (founding() | {"webhookURL": "https://a.example.com"}, "webhookURL", "unknown_field"),
    "unknown operation field": (
        operations(READ | {"argument": {}}),
        "operations.0.argument",
        "unknown_field",
    ),
    "unknown integration": (founding(integrationId="no such"), "integrationId", "unknown_integration"),
    "unknown resource": (
        operations(READ | {"resource": "loan"}),
        "operations.0.resource",
        "unknown_resource",
    ),
    "resource of another": (
        operations(READ | {"resource": "orderHistory"}),
        "operations.0.resource",
        "unknown_resource",
    ),
    "unknown action": (operations(READ | {"action": "delete"}), "operations.0.action", "unknown_action"),
    "action not offered": (
        operations({"resource": "mobileBillingStatement", "action": "write"}),
        "operations.0.action",
        "unknown_action",
    ),
    # arguments
    "no arguments": (
        operations({"resource": "paymentMethod", "action": "write"}),
        "operations.0.arguments.cvv",
        "required",
    ),
    "empty arguments": (
        operations(WRITE | {"arguments": {}}),
        "operations.0.arguments.billingZip",
        "required",
    ),
    "no cardNumber": (argument(cardNumber=None), "operations.1.arguments.cardNumber", "required"),
    "unknown argument": (argument(cardnumber="x"), "operations.1.arguments.cardnumber", "unknown_field"),
    "argument where none": (
        operations(READ | {"arguments": {"limit": 1}}),
        "operations.0.arguments.limit",
        "unknown_field",
    ),
    "cardNumber number": (argument(cardNumber=4242424242424242), "operations.1.arguments.cardNumber", "type"),
    "cardNumber Luhn": (
        argument(cardNumber="4242424242424241"),
        "operations.1.arguments.cardNumber",
        "schema",
    ),
    "cardNumber newline": (
        argument(cardNumber="4242424242424242\n"),
        "operations.1.arguments.cardNumber",
        "schema",
    ),
    "cardNumber other digits": (
        argument(cardNumber="４２４２４２４２４２４２４２４２"),
        "operations.1.arguments.cardNumber",
        "schema",
    ),
    "cardNumber spaces": (
        argument(cardNumber="4242 4242 4242 4242"),
        "operations.1.arguments.cardNumber",
        "schema",
    ),
    "expirationDate": (argument(expirationDate="13/29"), "operations.1.arguments.expirationDate", "schema"),
    "cvv": (argument(cvv="12"), "operations.1.arguments.cvv", "schema"),
    "nameOnCard empty": (argument(nameOnCard=""), "operations.1.arguments.nameOnCard", "range"),
    "nameOnCard 101": (argument(nameOnCard="x" * 101), "operations.1.arguments.nameOnCard", "range"),
    "billingZip": (argument(billingZip="1234"), "operations.1.arguments.billingZip", "schema"),
    "dryRun text": (argument(dryRun="yes"), "operations.1.arguments.dryRun", "type"),
    "address text": (argument(billingAddress="x"), "operations.1.arguments.billingAddress", "type"),
    "address without city": (
        argument(billingAddress={"line1": "1 Main St", "state": "CA"}),
        "operations.1.arguments.billingAddress.city",
        "required",
    ),
    "state three letters": (
        argument(billingAddress={"line1": "1 Main St", "city": "X", "state": "CAL"}),
        "operations.1.arguments.billingAddress.state",
        "schema",
    ),
    "country unknown": (
        argument(billingAddress={"line1": "1 Main St", "city": "X", "state": "CA", "country": "XX"}),
        "operations.1.arguments.billingAddress.country",
        "schema",
    ),
    "limit 101": (
        operations({"resource": "mobileBillingStatement", "action": "read", "arguments": {"limit": 101}}),
        "operations.0.arguments.limit",
        "range",
    ),
    # the whole body
    "empty": ("", "", "json"),
    "broken": ('{"integrationId": ', "", "json"),
    "byte-order mark": ("\ufeff" + json.dumps(founding()), "", "json"),
    "byte-order mark in bytes": (b"\xef\xbb\xbf{}", "", "json"),
    "duplicate keys": ('{"integrationId": "a", "integrationId": "a"}', "", "json"),
    "NaN": ('{"expiresIn": NaN}', "", "json"),
    "Infinity": ('{"expiresIn": Infinity}', "", "json"),
    "list": ("[]", "", "type"),
    "text": ('"x"', "", "type"),
    "bad UTF-8": (b'{"externalUserId": "\xff"}', "", "json"),
    "lone surrogate": ('{"externalUserId": "\\ud800"}', "", "json"),
    "depth 65": ('{"metadata":' * 64 + "{}" + "}" * 64, "", "json"),
}


@pytest.mark.parametrize(("body", "path", "code"), REFUSALS.values(), ids=REFUSALS.keys())
def test_what_the_contract_refuses_is_one_issue_at_its_path(
    stack: Stack, body: Any, path: str, code: str
) -> None:
    issues = refused(stack.create(body))
    assert issues[path][0] == code
    if code != "required":  # without any arguments each required one is an issue of its own
        assert list(issues) == [path]
    assert stack.links() == stack.rows("SecretsTable") == []


@pytest.mark.parametrize(
    "value", ["true", '"60"', "1.5", "0", "-1", "1e3", "60.0", "7776001", "null", "9" * 400]
)
def test_expires_in_is_told_what_is_wanted_whatever_is_wrong(stack: Stack, value: str) -> None:
    body = json.dumps(founding(expiresIn=1)).replace('"expiresIn": 1', f'"expiresIn": {value}')
    code, message = refused(stack.create(body))["expiresIn"]
    assert code == ("range" if value in ("0", "-1", "7776001", "9" * 400) else "type")
    assert "integer from 1 to 7776000" in message


def test_all_issues_are_reported_at_once(stack: Stack) -> None:
    body = argument(cardNumber="1", cvv=None) | {
        "expiresIn": 0,
        "webhookUrl": "x",
        "returnUrl": "x",
        "embedOrigins": ["https://a.example", "*"],
        "debugg": True,
    }
    body["operations"][0] = READ | {"resource": "paymentMehtod"}
    assert set(refused(stack.create(body))) == {
        "operations.0.resource",
        "operations.1.arguments.cardNumber",
        "operations.1.arguments.cvv",
        "expiresIn",
        "webhookUrl",
        "returnUrl",
        "embedOrigins.1",
        "debugg",
    }


def test_a_webhook_url_that_is_no_url_gets_the_founding_pages_words(stack: Stack) -> None:
    answer = stack.create(founding(webhookUrl="not a url"))
    assert answer.json["issues"] == [
        {"path": "webhookUrl", "message": "must be a valid URL", "code": "format"}
    ]


@pytest.mark.parametrize(
    ("body", "path", "words"),
    [
        (
            founding(integrationId="T-Mobile"),
            "integrationId",
            ['"att"', '"tmobile"', 'did you mean "tmobile"?'],
        ),
        (founding(integrationId="no such"), "integrationId", ['"att"', '"verizon"']),
        (
            operations(READ | {"resource": "paymentmethdo"}),
            "operations.0.resource",
            ['did you mean "paymentMethod"?'],
        ),
        (
            operations(READ | {"action": "raed"}),
            "operations.0.action",
            ['"read" or "write"', 'did you mean "read"?'],
        ),
        (founding() | {"webhookURL": "x"}, "webhookURL", ['did you mean "webhookUrl"?']),
        (argument(cardNumbr="x"), "operations.1.arguments.cardNumbr", ['did you mean "cardNumber"?']),
    ],
)
def test_a_mistyped_name_is_told_the_choices_and_the_close_one(
    stack: Stack, body: Any, path: str, words: list[str]
) -> None:
    _, message = refused(stack.create(body))[path]
    for word in words:
        assert word in message


def test_a_far_name_gets_no_guess(stack: Stack) -> None:
    assert "did you mean" not in refused(stack.create(founding(integrationId="no such")))["integrationId"][1]


def test_a_live_link_needs_a_connector_for_its_integration(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = stack.new_key(livemode=True)
    issues = refused(stack.create(founding(), key=live))
    message = "not available in live mode: LiveConnectors names none for the integration"
    assert issues == {"integrationId": ("unknown_integration", message)}
    monkeypatch.setenv("LIVE_CONNECTORS", "att=arn:aws:lambda:x,tmobile=arn:aws:lambda:y")
    stack.forget_settings()
    assert stack.create(founding(), key=live).status == 201


def test_a_deployment_sets_the_longest_life_and_the_ports(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAX_EXPIRES_IN", "60")
    monkeypatch.setenv("WEBHOOK_PORTS", "8444")
    stack.forget_settings()
    issues = refused(stack.create(founding(expiresIn=61, webhookUrl="https://a.example.com:443/")))
    assert {path: code for path, (code, _) in issues.items()} == {
        "expiresIn": "range",
        "webhookUrl": "format",
    }
    assert stack.create(founding(expiresIn=60, webhookUrl="https://a.example.com:8444/")).status == 201


def test_only_a_local_stack_takes_a_loopback_webhook_and_only_that_one(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    loopback = founding(webhookUrl="http://127.0.0.1:9999/hook")
    assert list(refused(stack.create(loopback))) == ["webhookUrl"]
    monkeypatch.setenv("ALLOW_LOOPBACK_WEBHOOKS", "true")
    stack.forget_settings()
    assert stack.create(loopback).status == 201
    for url in ("http://localhost:9999/", "http://127.0.0.2/", "https://127.0.0.1/", "http://a.example.com/"):
        assert list(refused(stack.create(founding(webhookUrl=url)))) == ["webhookUrl"], url


ACCEPTED: dict[str, Any] = {
    "base64": json.dumps(founding()).encode(),
    "20 operations": founding(operations=[READ] * 20),
    "empty arguments are none": operations(READ | {"arguments": {}}),
    "a past expiration date": argument(expirationDate="01/01"),
    "zip plus four": argument(billingZip="12345-6789"),
    "an address": argument(
        billingAddress={"line1": "1 Main St", "line2": "Apt 2", "city": "X", "state": "CA", "country": "US"},
        dryRun=True,
    ),
    "amex": argument(cardNumber="378282246310005", cvv="1234"),
    "trailing dot": founding(webhookUrl="https://hooks.example.com./x"),
    "app scheme": founding(returnUrl="myapp://callback"),
    "astral characters count once": founding(externalUserId="\U0001f600" * 256),
    "metadata at its limits": founding(metadata={f"{i:040}": "v" * 500 for i in range(50)}),
    "no optional field": {
        "integrationId": "ubereats",
        "operations": [{"resource": "orderHistory", "action": "read"}],
    },
    "depth is not the issue": json.dumps(founding(), indent=4),
}


@pytest.mark.parametrize("body", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_what_the_contract_allows_makes_a_link(stack: Stack, body: Any) -> None:
    assert stack.create(body).status == 201


def test_a_body_over_256_kib_is_413_and_one_of_256_kib_is_read(stack: Stack) -> None:
    fits = json.dumps(founding()).ljust(256 * 1024)
    assert stack.create(fits).status == 201
    for body in (fits + " ", (fits + " ").encode()):
        answer = stack.create(body)
        assert (answer.status, answer.json["code"]) == (413, "too_large")


@pytest.mark.parametrize(
    "media_type", ["", "text/plain", "application/jsonp", "application/x-www-form-urlencoded"]
)
def test_a_body_that_is_not_declared_as_json_is_415(stack: Stack, media_type: str) -> None:
    answer = stack.create(founding(), headers={"content-type": media_type})
    assert (answer.status, answer.json["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    "media_type", ["application/json; charset=utf-8", "Application/JSON", "application/json;x=y"]
)
def test_parameters_and_case_of_the_media_type_do_not_matter(stack: Stack, media_type: str) -> None:
    assert stack.create(founding(), headers={"content-type": media_type}).status == 201


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "br", "identity, gzip", "aws-chunked"])
def test_a_body_that_is_encoded_is_415(stack: Stack, encoding: str) -> None:
    answer = stack.create(founding(), headers={"content-encoding": encoding})
    assert (answer.status, answer.json["code"]) == (415, "unsupported_media_type")
    assert "Content-Encoding" in answer.json["error"]


@pytest.mark.parametrize("encoding", ["identity", "Identity", " identity ", ""])
def test_an_encoding_that_changes_nothing_does_not_matter(stack: Stack, encoding: str) -> None:
    assert stack.create(founding(), headers={"content-encoding": encoding}).status == 201


def test_broken_json_is_told_where_and_an_empty_body_in_its_own_words(stack: Stack) -> None:
    code, message = refused(stack.create('{"integrationId": "tmobile",\n "operations": [}'))[""]
    assert (code, "line 2, column 17" in message) == ("json", True)
    assert refused(stack.create(""))[""] == ("json", "must not be empty: send a JSON object")


def test_a_field_that_is_not_wanted_is_left_out_and_not_null(stack: Stack) -> None:
    answer = stack.create(founding() | {"webhookUrl": None, "integrationId": None})
    assert {path: message.partition("; ")[2] for path, (_, message) in refused(answer).items()} == {
        "webhookUrl": "leave it out instead of null",
        "integrationId": "",
    }


@pytest.mark.parametrize("url", ["http://localhost:3000/done?a=1", "http://127.0.0.1:8080/done?a=1"])
def test_a_test_link_may_lead_back_to_the_developers_own_machine(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    link = stack.create(founding(returnUrl=url)).json
    assert link["returnUrl"] == f"{url}&linkId={link['linkId']}"
    monkeypatch.setenv("LIVE_CONNECTORS", "tmobile=arn:aws:lambda:y")
    stack.forget_settings()
    live = stack.new_key(livemode=True)
    assert list(refused(stack.create(founding(returnUrl=url), key=live))) == ["returnUrl"]
    assert list(refused(stack.create(founding(returnUrl="http://example.com/")))) == ["returnUrl"]


@pytest.mark.parametrize("origin", ["http://localhost:3000", "http://127.0.0.1:8080", "http://localhost"])
def test_a_test_link_may_be_framed_on_the_developers_own_machine(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, origin: str
) -> None:
    origins = ["https://your-app.com", origin]
    link = stack.create(founding(embedOrigins=origins)).json
    assert "embedOrigins" not in link
    assert stack.get(link["linkId"]).json["embedOrigins"] == origins
    assert stack.page().json["links"][0]["embedOrigins"] == origins
    assert stack.stored(link["linkId"]).embed_origins == tuple(origins)
    monkeypatch.setenv("LIVE_CONNECTORS", "tmobile=arn:aws:lambda:y")
    stack.forget_settings()
    live = stack.new_key(livemode=True)
    assert list(refused(stack.create(founding(embedOrigins=origins), key=live))) == ["embedOrigins.1"]
    assert list(refused(stack.create(founding(embedOrigins=["http://your-app.com"])))) == ["embedOrigins.0"]


def test_checks_come_in_the_order_401_415_413_400_422(stack: Stack) -> None:
    idem = {"idempotency-key": "k"}
    assert stack.create(founding(), headers=idem).status == 201
    bad: dict[str, Any] = {"headers": idem | {"authorization": "", "content-type": "text/plain"}}
    assert stack.create("x" * 300_000, **bad).status == 401
    del bad["headers"]["authorization"]
    assert stack.create("x" * 300_000, **bad).status == 415
    del bad["headers"]["content-type"]
    assert stack.create("x" * 300_000, **bad).status == 413
    assert stack.create("x", **bad).status == 400
    assert stack.create(founding(expiresIn=9), **bad).status == 422


# --- Shared verdicts on URLs ---------------------------------------------------------------------

WEBHOOK_VECTORS = json.loads((VECTORS / "ssrf_core.json").read_text())["vectors"]
RETURN_VECTORS = json.loads((VECTORS / "return_url.json").read_text())["vectors"]


@pytest.mark.parametrize("vector", WEBHOOK_VECTORS, ids=lambda vector: vector["id"])
def test_webhook_url_verdicts(stack: Stack, vector: dict[str, Any]) -> None:
    answer = stack.create(founding(webhookUrl=vector["url"]))
    if vector["create"] == "accept":
        assert answer.status == 201
    else:
        assert list(refused(answer)) == ["webhookUrl"]


@pytest.mark.parametrize("vector", RETURN_VECTORS, ids=lambda vector: vector["id"])
def test_return_url_verdicts(stack: Stack, vector: dict[str, Any]) -> None:
    answer = stack.create(founding(returnUrl=vector["returnUrl"]))
    if vector["create"] == "accept":
        assert answer.json["returnUrl"].replace(answer.json["linkId"], "link_abc123") == vector["final"]
    else:
        assert list(refused(answer)) == ["returnUrl"]


# --- Any body at all -----------------------------------------------------------------------------

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda children: (
        st.lists(children, max_size=5) | st.dictionaries(st.text(max_size=10), children, max_size=5)
    ),
    max_leaves=10,
)
mutated = st.builds(
    lambda name, value: json.dumps(founding() | {name: value}),
    st.sampled_from([*founding(), "debug", "metadata"]),
    json_values,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200) | st.text(max_size=200) | mutated)
def test_any_body_at_all_gets_a_201_or_a_400(stack: Stack, body: Any) -> None:
    answer = stack.create(body)
    assert answer.status == 201 or refused(answer)


@pytest.mark.parametrize(
    "body",
    [
        json.dumps(founding(operations=[1] * 60_000)),
        json.dumps(founding() | {str(i): 1 for i in range(20_000)}),
        json.dumps(founding(metadata={str(i): 1 for i in range(20_000)})),
        json.dumps(operations(*[WRITE | {"arguments": {str(i): 1 for i in range(800)}}] * 20)),
        json.dumps(founding() | {"k" * 250_000: 1}),
    ],
    ids=["operations", "fields", "metadata", "arguments", "a long name"],
)
def test_a_hostile_body_gets_a_bounded_answer(stack: Stack, body: str) -> None:
    answer = stack.create(body)
    assert refused(answer)
    assert len(answer.text) < 2_000_000
    assert len(answer.json["issues"]) <= 1000
