"""Latchkey's API from Python: `Latchkey`, `AsyncLatchkey`, and `webhooks`, which needs neither."""

from typing import TYPE_CHECKING, Any

from latchkey_client import models, webhooks
from latchkey_client.errors import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    GoneError,
    InternalServerError,
    Issue,
    LatchkeyError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    UnprocessableEntityError,
    WaitTimeoutError,
    WebhookVerificationError,
)

if TYPE_CHECKING:
    from latchkey_client._async import AsyncLatchkey, AsyncPage
    from latchkey_client._sync import Latchkey, Page

# The clients bring their HTTP library when they are asked for: a function that only verifies webhooks is
# spared it at its cold start.
_LATER = {"Latchkey": "_sync", "Page": "_sync", "AsyncLatchkey": "_async", "AsyncPage": "_async"}

__all__ = [
    "APIConnectionError",
    "APIStatusError",
    "APITimeoutError",
    "AsyncLatchkey",
    "AsyncPage",
    "AuthenticationError",
    "BadRequestError",
    "ConflictError",
    "GoneError",
    "InternalServerError",
    "Issue",
    "Latchkey",
    "LatchkeyError",
    "NotFoundError",
    "Page",
    "PermissionDeniedError",
    "RateLimitError",
    "UnprocessableEntityError",
    "WaitTimeoutError",
    "WebhookVerificationError",
    "models",
    "webhooks",
]


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"latchkey_client.{_LATER[name]}"), name)
