"""How a call fails. The texts hold what the server said, which repeats no secret, and no key."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from latchkey_client.models import Response


@dataclass(frozen=True)
class Issue:
    """One thing wrong with a request; `path` is dotted, with array indexes."""

    path: str
    message: str
    code: str = ""


class LatchkeyError(Exception):
    """Anything that this package raises about a call."""


class APIConnectionError(LatchkeyError):
    """No answer came, after the retries too. What was asked may or may not have been done."""


class APITimeoutError(APIConnectionError):
    """No answer came in time."""


class WaitTimeoutError(LatchkeyError, TimeoutError):
    """A link had not ended when the time to wait for it was over."""


class WebhookVerificationError(LatchkeyError, ValueError):
    """What arrived is not an event signed with the secret, or is too old: answer 400."""


class APIStatusError(LatchkeyError):
    """The API refused or failed. `code` is the machine's word for it, such as "conflict"."""

    def __init__(self, response: Response) -> None:
        self.response = response
        self.status = response.status
        self.request_id = response.request_id
        said = _members(response.body)
        # The gateway's own refusals say `message` alone.
        self.message = str(said.get("error") or said.get("message") or "no reason given")
        self.code = str(said.get("code") or "")
        self.issues = [
            Issue(str(issue.get("path", "")), str(issue.get("message", "")), str(issue.get("code", "")))
            for issue in said.get("issues") or []
            if isinstance(issue, dict)
        ]
        lines = [f"{self.status} {self.code}".rstrip() + f": {self.message}"]
        lines += [f"  {issue.path or 'the body'}: {issue.message}" for issue in self.issues]
        lines += [f"  request id {self.request_id}"] if self.request_id else []
        super().__init__("\n".join(lines))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.response,)


class BadRequestError(APIStatusError):
    """400: `issues` lists everything that is wrong at once."""


class AuthenticationError(APIStatusError):
    """401: the key or token is missing, malformed, unknown, revoked or expired."""


class PermissionDeniedError(APIStatusError):
    """403: the key is restricted, and lacks the scope that the message names."""


class NotFoundError(APIStatusError):
    """404: no such link, or no such route in that deployment."""


class ConflictError(APIStatusError):
    """409: the state does not allow it; a verdict, so it is never tried again."""


class GoneError(APIStatusError):
    """410: expired, canceled or erased."""


class UnprocessableEntityError(APIStatusError):
    """422: the Idempotency-Key was used with another body."""


class RateLimitError(APIStatusError):
    """429, after the retries too."""


class InternalServerError(APIStatusError):
    """5xx, after the retries too."""


_BY_STATUS: dict[int, type[APIStatusError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    410: GoneError,
    422: UnprocessableEntityError,
    429: RateLimitError,
}


def status_error(response: Response) -> APIStatusError:
    """The error of an answer that is none of 2xx."""
    kind = InternalServerError if response.status >= 500 else _BY_STATUS.get(response.status, APIStatusError)
    return kind(response)


def _members(body: bytes) -> dict[str, Any]:
    try:
        said = json.loads(body)
    except ValueError:  # a proxy's page
        return {}
    return said if isinstance(said, dict) else {}
