"""What a user's card and an API key must never be found in."""

import base64
import io
import json
import re
import urllib.parse
from typing import Any
from unittest.mock import Mock

import pytest
from botocore.exceptions import ClientError

from latchkey import http
from latchkey.adapters import aws, sealing, telemetry, webhook_sender
from latchkey.domain.retry_schedule import Outcome
from latchkey.services import authenticate
from tests.integration.conftest import SAMPLE_KEY, Output, Stack, founding, sample_event

CARD, CODE, NAME = "4929123456781234", "8765", "Canary Quisling"


def forms(secret: str) -> list[str]:
    """A secret as it stands, in base64 at each of the three alignments, in hex, and URL-encoded."""
    raw = secret.encode()
    aligned = [base64.b64encode(b"\0" * shift + raw).decode()[4 if shift else 0 : -4] for shift in range(3)]
    return [secret, raw.hex(), urllib.parse.quote(secret), *(text for text in aligned if len(text) > 5)]


def assert_clean(text: str, *secrets: str) -> None:
    for secret in secrets:
        for form in forms(secret):
            # Four digits also turn up inside times and random ids.
            pattern = rf"(?<!\w){form}(?!\w)" if len(form) == 4 else re.escape(form)
            assert not re.search(pattern, text), f"{secret} leaks as {form}"


def body(**changes: Any) -> dict[str, Any]:
    content = founding()
    arguments = {"cardNumber": CARD, "cvv": CODE, "nameOnCard": NAME}
    content["operations"][1]["arguments"] |= arguments | changes
    return content


def everything(stack: Stack) -> str:
    """All table cells as text; a sealed one as its bytes."""
    cells = [
        (name, getattr(cell, "value", cell))
        for table in ("LinksTable", "SecretsTable", "KeyUseTable")
        for row in stack.rows(table)
        for name, cell in row.items()
    ]
    return "\n".join(
        f"{name} {cell.decode('latin-1') if isinstance(cell, bytes) else cell}" for name, cell in cells
    )


@pytest.mark.parametrize("headers", [{}, {"idempotency-key": "k"}], ids=["plain", "idempotent"])
def test_an_accepted_card_is_found_nowhere_but_sealed(
    stack: Stack, output: Output, headers: dict[str, str]
) -> None:
    stack.threads.at_once = True
    for _ in range(2):
        answer = stack.create(body(cardNumber="4242424242424242"), headers=headers)
        assert answer.status == 201
        link = answer.json
        assert_clean(answer.text + everything(stack) + output.text, "4242424242424242", CODE, NAME)
        assert_clean(everything(stack) + output.text, SAMPLE_KEY, link["claimCode"])


@pytest.mark.parametrize(
    "changes",
    [
        {"cardNumber": CARD + "x"},
        {"cardNumber": [CARD, CODE]},
        {"cardNumber": int(CARD)},
        {"cvv": CODE + CARD},
        {"cvv": int(CODE)},
        {"nameOnCard": NAME * 10},
        {"expirationDate": CARD},
        {"billingAddress": {"line1": CARD, "city": CODE, "state": NAME}},
        {"dryRun": CARD},
        {"unknown": CARD},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_refused_argument_is_not_repeated(stack: Stack, output: Output, changes: dict[str, Any]) -> None:
    answer = stack.create(body(**changes))
    assert answer.status == 400
    assert_clean(answer.text + output.text, CARD, CODE, NAME, SAMPLE_KEY)


def test_a_refused_members_name_is_in_no_log(stack: Stack, output: Output) -> None:
    # The answer names it, for who has sent it.
    assert stack.create(body(**{CARD: "x"})).status == 400
    assert_clean(output.text, CARD)


def test_broken_json_is_not_repeated(stack: Stack, output: Output) -> None:
    text = json.dumps(body())
    for broken in (
        text[:-1],
        text + "x",
        text.replace(CARD, CARD + "\\ud800"),
        f'{{"{CARD}": 1, "{CARD}": 2}}',
    ):
        answer = stack.create(broken)
        assert answer.status == 400
        assert_clean(answer.text + output.text, CARD, CODE, NAME)


@pytest.mark.parametrize("call", ["get_item", "put_item", "generate_data_key"])
def test_a_crash_at_any_call_repeats_nothing(
    stack: Stack, output: Output, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def crash(**request: Any) -> None:
        raise RuntimeError(f"{request} {json.dumps(body())} {SAMPLE_KEY}")

    monkeypatch.setattr(aws.kms() if call == "generate_data_key" else aws.dynamodb(), call, crash)
    answer = stack.create(body(cardNumber="4242424242424242"))
    assert answer.status == 500
    assert_clean(answer.text + output.text, CARD, "4242424242424242", CODE, NAME, SAMPLE_KEY)


def test_a_log_line_says_who_what_and_how_it_went(stack: Stack, output: Output) -> None:
    link = stack.create(founding()).json
    (line,) = [line for line in output.lines if "level" in line]
    wanted = {
        "route": "POST /v1/links",
        "account": "acme",
        "livemode": False,
        "linkId": link["linkId"],
        "status": 201,
    }
    assert wanted.items() <= line.items()
    assert line["requestId"]


def test_a_link_is_counted_once_and_who_is_refused_is_told_by_integration(
    stack: Stack, output: Output
) -> None:
    idem = {"idempotency-key": "k"}
    stack.create(founding(), headers=idem)
    stack.create(founding(), headers=idem)
    stack.create(founding(expiresIn=9), headers=idem)
    stack.create(founding(integrationId="4929123456781234"))
    lines = [line for line in output.lines if "level" in line]
    assert [line.get("LinksCreated") for line in lines] == [1, None, None, None]
    assert [line.get("integrationId") for line in lines] == ["tmobile"] * 3 + [None]
    assert "4929123456781234" not in output.text


PASSWORD = "hunter2-canary"  # a canary


@pytest.mark.parametrize("way", ["dies", "is refused", "talks nonsense", "talks no JSON"])
def test_what_goes_wrong_with_a_connector_repeats_nothing_that_was_typed(
    stack: Stack, output: Output, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    def invoke(**request: Any) -> Any:
        said = request["Payload"].decode()
        if way == "talks no JSON":
            said = said.removesuffix("}")
        if way == "is refused":
            raise ClientError(
                {
                    "Error": {"Code": "AccessDeniedException", "Message": said},
                    "ResponseMetadata": {"HTTPStatusCode": 403},  # type: ignore[typeddict-item] # the rest is not read
                },
                "Invoke",
            )
        answer = {"Payload": io.BytesIO(said.encode())}
        return answer | {"FunctionError": "Unhandled"} if way == "dies" else answer

    link_id, token = stack.claimed(body(cardNumber="4242424242424242"))
    monkeypatch.setattr(stack.connectors, "invoke", invoke)
    stack.answer(token, {"username": NAME, "password": PASSWORD})
    stack.work()
    assert stack.get(link_id).json["error"]["code"] == "CONNECTION_FAILED"
    assert_clean(output.text, NAME, PASSWORD, "4242424242424242")


def test_what_was_typed_is_gone_when_it_was_used(stack: Stack) -> None:
    link_id, token = stack.claimed(body(cardNumber="4242424242424242"))
    stack.answer(token, {"username": "user_otp", "password": "pass_good"})
    stack.work()
    assert stack.client(token).json["status"] == "awaiting_input"
    rows = {row["sk"].partition("#")[0] for row in stack.rows("SecretsTable") if row["pk"] == link_id}
    assert rows == {sealing.ARGUMENTS, sealing.STATE}


def test_what_a_caller_says_of_its_user_is_in_no_log(stack: Stack, output: Output) -> None:
    canaries = [f"canary-{n}-of-the-caller" for n in range(4)]
    words = {
        "metadata": {"note": canaries[0]},
        "externalUserId": canaries[1],
        "returnUrl": f"https://app.example/{canaries[2]}",
        "webhookUrl": f"https://hook.example.com/{canaries[3]}",
    }
    link_id, _ = stack.run("user_good", body(cardNumber="4242424242424242") | words)
    assert stack.get(link_id).json["status"] == "complete"
    stack.page(f"externalUserId={canaries[1]}")
    assert link_id in output.text
    assert_clean(output.text, *canaries)


def test_a_key_and_a_request_are_in_no_ones_repr() -> None:
    event = sample_event("create_link")
    request = http.CallerRequest(event, 0, {}, {}, authenticate.Caller("acme", False, SAMPLE_KEY))
    assert_clean(repr(request), SAMPLE_KEY, event["body"])


def test_a_trace_holds_neither_answers_nor_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    tracer = Mock()
    monkeypatch.setenv("POWERTOOLS_TRACE_DISABLED", "false")
    monkeypatch.setattr("aws_lambda_powertools.tracing.Tracer", lambda: tracer)
    telemetry.traced(lambda _event, _context: {})
    assert tracer.capture_lambda_handler.call_args.kwargs == {
        "capture_response": False,
        "capture_error": False,
    }


def test_a_failed_delivery_is_logged_without_its_address(
    stack: Stack, output: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "path-canary-77"  # a canary
    monkeypatch.setattr(webhook_sender, "_ask_system", lambda _: [])
    link_id = stack.create(founding(webhookUrl=f"https://hook.example.com/{secret}")).json["linkId"]
    stack.cancel(link_id)
    monkeypatch.setattr(
        webhook_sender, "send", lambda *_, **__: Outcome(duration_ms=1, error="dns", retry_after=secret)
    )
    stack.deliver()
    assert "attempted" in output.text
    assert_clean(output.text, secret)
