"""What the client takes for an event: what our sender signs, and nothing else."""

import base64
import json
import time
from typing import Any

import pytest
from standardwebhooks import Webhook

from latchkey.domain import signing
from latchkey_client import WebhookVerificationError, webhooks

EVENT = {"type": "link.complete", "data": {"linkId": "link_abc123", "metadata": {"city": "Zürich"}}}
BODY = json.dumps(EVENT, ensure_ascii=False).encode()
ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"


def signed(*secrets: str, at: float | None = None, body: bytes = BODY) -> dict[str, str]:
    return signing.headers(ID, int(time.time() if at is None else at), body, list(secrets))


@pytest.fixture
def secret() -> str:
    return signing.new_secret()


def test_an_event_that_is_signed_is_taken(secret: str) -> None:
    event = webhooks.unwrap(BODY, signed(secret), secret)
    assert (event.id, event.type, event.data.metadata) == (ID, "link.complete", {"city": "Zürich"})
    titled = {name.title(): value for name, value in signed(signing.new_secret(), secret).items()}
    assert webhooks.unwrap(BODY.decode(), titled, secret) == event
    assert webhooks.unwrap(BODY, signed(secret), [signing.new_secret(), secret]) == event
    assert "Zürich" not in repr(event)


def test_it_signs_as_the_standard_library_does(secret: str) -> None:
    at = int(time.time())
    headers = {
        "webhook-id": ID,
        "webhook-timestamp": str(at),
        "webhook-signature": f"v1,{webhooks.signature(secret, ID, str(at), BODY)}",
    }
    assert Webhook(secret).verify(BODY, headers) == EVENT


def test_the_secret_may_stand_in_the_environment(secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LATCHKEY_WEBHOOK_SECRET", secret)
    assert webhooks.unwrap(BODY, signed(secret)).id == ID
    monkeypatch.delenv("LATCHKEY_WEBHOOK_SECRET")
    with pytest.raises(WebhookVerificationError, match="LATCHKEY_WEBHOOK_SECRET"):
        webhooks.unwrap(BODY, signed(secret))


@pytest.mark.parametrize(
    ("body", "changed"),
    [
        (BODY + b" ", {}),
        (b"\xff", {}),
        (BODY, {"webhook-id": "msg_other"}),
        (BODY, {"webhook-id": ""}),
        (BODY, {"webhook-timestamp": "١٧٠٤٠٦٧٢٠٠"}),
        (BODY, {"webhook-timestamp": "nan"}),
        (BODY, {"webhook-signature": ""}),
        (BODY, {"webhook-signature": "v1,"}),
        (BODY, {"webhook-signature": "v1,ü\ud800"}),
    ],
)
def test_what_is_changed_is_refused(secret: str, body: bytes, changed: dict[str, str]) -> None:
    with pytest.raises(WebhookVerificationError):
        webhooks.unwrap(body, signed(secret) | changed, secret)


def test_a_signature_of_another_version_does_not_count(secret: str) -> None:
    headers = signed(secret)
    headers["webhook-signature"] = headers["webhook-signature"].replace("v1,", "v2,")
    with pytest.raises(WebhookVerificationError):
        webhooks.unwrap(BODY, headers, secret)


def test_an_event_too_old_or_from_the_future_is_refused(secret: str) -> None:
    now = time.time()
    for off in (-290, 290):
        webhooks.unwrap(BODY, signed(secret, at=now + off), secret)
    for off in (-310, 310):
        with pytest.raises(WebhookVerificationError, match="300 s off"):
            webhooks.unwrap(BODY, signed(secret, at=now + off), secret)


@pytest.mark.parametrize("body", [b"[]", b"{"])
def test_what_is_signed_and_no_event_is_refused(secret: str, body: bytes) -> None:
    with pytest.raises(WebhookVerificationError, match="no event"):
        webhooks.unwrap(body, signed(secret, body=body), secret)


def test_a_secret_that_is_none_is_told_without_being_repeated(secret: str) -> None:
    with pytest.raises(WebhookVerificationError, match="whsec_") as raised:
        webhooks.unwrap(BODY, signed(secret), "whsec_abc!")
    assert "abc!" not in str(raised.value)


@pytest.mark.parametrize("encoded", [False, True])
def test_a_lambda_event_is_unwrapped(secret: str, encoded: bool) -> None:
    body = base64.b64encode(BODY).decode() if encoded else BODY.decode()
    event: dict[str, Any] = {"headers": signed(secret), "body": body, "isBase64Encoded": encoded}
    assert webhooks.unwrap_event(event, secret).id == ID
    for broken in ({"body": "*"}, {"body": None}, {"headers": None}):
        with pytest.raises(WebhookVerificationError):
            webhooks.unwrap_event(event | broken, secret)
