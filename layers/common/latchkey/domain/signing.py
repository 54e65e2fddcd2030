"""Signatures of webhooks, by Standard Webhooks 1.0.0. Pure."""

import base64
import hmac
import os
from collections.abc import Sequence

_PREFIX = "whsec_"
_SECRET_BYTES = 32  # the standard asks for 24 to 64


def new_secret() -> str:
    """`whsec_` and 256 random bits in base64."""
    return secret_of(os.urandom(_SECRET_BYTES))


def secret_of(bits: bytes) -> str:
    """The secret that these 256 bits make."""
    return _PREFIX + base64.b64encode(bits).decode()


def headers(message_id: str, timestamp: int, body: bytes, secrets: Sequence[str]) -> dict[str, str]:
    """The headers of one attempt at `timestamp` (seconds), signed with every secret, in their order.

    A receiver accepts the message if one of the signatures is right, so either of two live secrets will do.
    """
    content = b"%s.%d.%s" % (message_id.encode(), timestamp, body)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(_signature(secret, content) for secret in secrets),
    }


def _signature(secret: str, content: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    return "v1," + base64.b64encode(hmac.digest(key, content, "sha256")).decode()
