"""Webhook signatures, held against the standard's own library."""

import base64
import hmac
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from latchkey.domain import signing

ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
BODY = b'{"type": "link.complete", "data": {"name": "Z\xc3\xbcrich"}}'


def test_the_standards_own_example_has_its_known_signature() -> None:
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    assert signing.headers(ID, 1614265330, b'{"test": 2432232314}', [secret]) == {
        "webhook-id": ID,
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_a_new_secret_is_256_random_bits() -> None:
    secrets = {signing.new_secret() for _ in range(100)}
    assert len(secrets) == 100
    assert {len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) for secret in secrets} == {32}


def test_each_of_two_secrets_verifies_and_the_first_ones_signature_is_first() -> None:
    new, old = signing.new_secret(), signing.new_secret()
    now = int(time.time())
    headers = signing.headers(ID, now, BODY, [new, old])
    for secret in (new, old):
        assert Webhook(secret).verify(BODY, headers) == {"type": "link.complete", "data": {"name": "Zürich"}}
    with pytest.raises(WebhookVerificationError):
        Webhook(signing.new_secret()).verify(BODY, headers)
    alone = [signing.headers(ID, now, BODY, [secret])["webhook-signature"] for secret in (new, old)]
    assert headers["webhook-signature"] == " ".join(alone)


@given(st.binary(), st.integers(0, 2**33))
def test_any_body_and_time_is_signed_and_every_change_is_seen(body: bytes, timestamp: int) -> None:
    secret = signing.new_secret()
    signature = signing.headers(ID, timestamp, body, [secret])["webhook-signature"]
    assert signing.headers(ID, timestamp, body, [secret])["webhook-signature"] == signature
    for other in [(ID + "a", timestamp, body), (ID, timestamp + 1, body), (ID, timestamp, body + b" ")]:
        assert signing.headers(*other, [secret])["webhook-signature"] != signature


def test_a_secret_is_random_to_its_first_byte() -> None:
    firsts = {base64.b64decode(signing.new_secret().removeprefix("whsec_"))[:4] for _ in range(20)}
    assert len(firsts) == 20


@pytest.mark.parametrize("body", [b'{"a": 1}', '{"n":"Zürich"}'.encode(), b'{"n":1.0}', b'{"n":"\\u00fc"}'])
def test_the_bytes_are_signed_and_not_what_they_mean(body: bytes) -> None:
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    signature = signing.headers(ID, 1614265330, body, [secret])["webhook-signature"]
    key = base64.b64decode(secret.removeprefix("whsec_"))
    expected = hmac.digest(key, f"{ID}.1614265330.".encode() + body, "sha256")
    assert signature == "v1," + base64.b64encode(expected).decode()
