"""Verify the events that Latchkey sends, by Standard Webhooks 1.0.0. Needs no client and no network."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

from latchkey_client.errors import WebhookVerificationError
from latchkey_client.models import Event

TOLERANCE = 300  # seconds that a signature's time may be off, as Standard Webhooks' libraries have it
Secret = str | Sequence[str]


def unwrap(body: bytes | str, headers: Mapping[str, str], secret: Secret | None = None) -> Event:
    """The event in a request's body, as it came and unparsed; header names in any case.

    The secret, or several during a rotation, is `whsec_...`; LATCHKEY_WEBHOOK_SECRET if none is given.
    Raises WebhookVerificationError, which an HTTP 400 answers.
    """
    named = {name.lower(): value for name, value in headers.items()}
    message_id, sent_at = named.get("webhook-id", ""), named.get("webhook-timestamp", "")
    if not message_id or not sent_at:
        raise WebhookVerificationError("the headers webhook-id and webhook-timestamp are needed")
    # Only ASCII digits: int() takes more, and the text is what was signed.
    if not (sent_at.isascii() and sent_at.isdigit()) or abs(time.time() - int(sent_at)) > TOLERANCE:
        raise WebhookVerificationError(f"webhook-timestamp is more than {TOLERANCE} s off")
    content = body.encode(errors="replace") if isinstance(body, str) else body
    expected = [signature(key, message_id, sent_at, content) for key in _secrets(secret)]
    given = [part[3:] for part in named.get("webhook-signature", "").split(" ") if part.startswith("v1,")]
    if not any(hmac.compare_digest(e.encode(), g.encode(errors="replace")) for e in expected for g in given):
        raise WebhookVerificationError("no signature in webhook-signature is by this secret")
    try:
        event = json.loads(content)
    except ValueError:
        event = None
    if not isinstance(event, dict):
        raise WebhookVerificationError("the body is signed and no event")
    return Event({"id": message_id, **event})


def unwrap_event(lambda_event: Mapping[str, Any], secret: Secret | None = None) -> Event:
    """The same, of what API Gateway or a function URL hands to a Lambda handler."""
    body: bytes | str = lambda_event.get("body") or ""
    if lambda_event.get("isBase64Encoded"):
        try:
            body = base64.b64decode(body, validate=True)
        except binascii.Error:
            raise WebhookVerificationError("the body is no base64, which isBase64Encoded says") from None
    return unwrap(body, lambda_event.get("headers") or {}, secret)


def signature(secret: str, message_id: str, sent_at: str, body: bytes) -> str:
    """Base64 of the signature over id.timestamp.body, without its version `v1,`."""
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        raise WebhookVerificationError("the secret is no whsec_... with base64 behind it") from None
    signed = b".".join((message_id.encode(errors="replace"), sent_at.encode(), body))
    return base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def _secrets(given: Secret | None) -> list[str]:
    given = given or os.environ.get("LATCHKEY_WEBHOOK_SECRET", "")
    secrets = [given] if isinstance(given, str) else list(given)
    if not all(secrets) or not secrets:
        raise WebhookVerificationError("give the secret, whsec_..., or set LATCHKEY_WEBHOOK_SECRET")
    return secrets
