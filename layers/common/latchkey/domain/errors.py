"""Every failure a caller can meet, with its status and code.

LatchkeyError
+-- ValidationFailedError        400
+-- UnauthorizedError            401
+-- ForbiddenError               403
+-- NotFoundError                404
+-- ConflictError                409
+-- GoneError                    410
+-- TooLargeError                413
+-- UnsupportedMediaTypeError    415
+-- IdempotencyKeyReusedError    422
+-- RateLimitedError             429
+-- UnavailableError             503

Whatever else is raised is a fault of ours and becomes 500 `internal`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Issue:
    """One thing wrong with a request: where, what is wanted, and a code for machines."""

    path: str
    message: str
    code: str


class LatchkeyError(Exception):
    """A failure that the caller is told about; its text holds nothing secret."""

    status: ClassVar[int]
    code: ClassVar[str]
    headers: Mapping[str, str] = MappingProxyType({})
    message: str = ""

    def __init__(self, message: str | None = None) -> None:
        self.message = message or self.message
        super().__init__(self.message)


class ValidationFailedError(LatchkeyError):
    """The request does not fit the contract; every issue is listed."""

    status, code, message = 400, "validation_failed", "Validation failed"

    def __init__(self, issues: Sequence[Issue]) -> None:
        super().__init__()
        self.issues = issues


class UnauthorizedError(LatchkeyError):
    """No API key or client token, or one that is malformed, unknown, revoked or over."""

    status, code = 401, "unauthorized"
    headers = MappingProxyType({"WWW-Authenticate": "Bearer"})


class ForbiddenError(LatchkeyError):
    """The API key is restricted, and not to this."""

    status, code = 403, "forbidden"


class NotFoundError(LatchkeyError):
    """Unknown, malformed or somebody else's: one answer for all three."""

    status, code = 404, "not_found"
    message = "There is no such resource for this API key: test keys see test links, live keys live ones"


class ConflictError(LatchkeyError):
    """What is asked for does not go with the state that the thing is in."""

    status, code = 409, "conflict"


class GoneError(LatchkeyError):
    """It was there and is over."""

    status, code = 410, "gone"


class TooLargeError(LatchkeyError):
    """The body is over the limit."""

    status, code, message = 413, "too_large", "The body must be at most 256 KiB"


class UnsupportedMediaTypeError(LatchkeyError):
    """The body is not declared as JSON, or is encoded."""

    status, code = 415, "unsupported_media_type"


class IdempotencyKeyReusedError(LatchkeyError):
    """The Idempotency-Key belongs to a request with another body."""

    status, code = 422, "idempotency_key_reused"
    message = "This Idempotency-Key was used with another body; use a new key for a new request"


class RateLimitedError(LatchkeyError):
    """More than is allowed in the time; nothing was done."""

    status, code = 429, "rate_limited"

    def __init__(self, message: str, retry_after: int = 1) -> None:
        super().__init__(message)
        self.headers = {"Retry-After": str(retry_after)}


class UnavailableError(LatchkeyError):
    """A dependency is throttled or out of reach, after bounded retries."""

    status, code = 503, "unavailable"
    message = (
        "Temporarily unavailable; send the same request again, with the same Idempotency-Key if it has one"
    )
    headers = MappingProxyType({"Retry-After": "2"})


class HandBackError(Exception):
    """There is no time left for a queue's message; the queue is to give it to another."""
