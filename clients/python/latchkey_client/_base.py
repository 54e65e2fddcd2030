"""What the sync and the async client share: requests, when one is sent again, what an answer means."""

from __future__ import annotations

import email.utils
import json
import os
import platform
import random
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

import httpx2

from latchkey_client.errors import APIConnectionError, APITimeoutError, LatchkeyError, status_error
from latchkey_client.models import Link, Model, Response

M = TypeVar("M", bound=Model)

FIRST_WAIT, LONGEST_WAIT = 0.5, 8.0  # seconds between tries, doubling
LONGEST_RETRY_AFTER = 120.0  # seconds; who is told to wait longer gets the error instead
POLL_FIRST, POLL_LONGEST = 0.5, 5.0  # seconds between looks at a link that is waited for
# The request surely was not carried out.
NOT_DONE = frozenset({408, 429})

try:
    VERSION = version("latchkey-client")
except PackageNotFoundError:  # from a source tree
    VERSION = "0"


@dataclass
class Request:
    """A call of the API.

    One that is not `repeatable` (it would count twice) is sent again only if it surely was not carried out.
    """

    method: str
    path: str
    query: Mapping[str, Any] = field(default_factory=dict, repr=False)
    body: Mapping[str, Any] | None = field(default=None, repr=False)
    idempotency_key: str | None = field(default=None, repr=False)  # of a claim it opens the session
    token: str | None = field(default=None, repr=False)  # in place of the API key; "" for none
    repeatable: bool = True


@dataclass(frozen=True)
class Settings:
    """How a client calls; a key never shows in its repr."""

    api_key: str = field(repr=False)
    base_url: str
    timeout: float
    max_retries: int

    @classmethod
    def of(cls, api_key: str | None, base_url: str | None, timeout: float, max_retries: int) -> Settings:
        """The arguments, or LATCHKEY_API_KEY and LATCHKEY_BASE_URL; raises LatchkeyError without them."""
        key = (api_key or os.environ.get("LATCHKEY_API_KEY", "")).strip()
        url = (base_url or os.environ.get("LATCHKEY_BASE_URL", "")).strip().rstrip("/")
        if not key:
            raise LatchkeyError("There is no API key: give api_key, or set LATCHKEY_API_KEY")
        if not (key.isascii() and key.isprintable() and " " not in key):
            raise LatchkeyError("The API key holds characters that no key has: copy it again")
        if urlsplit(url).scheme not in ("http", "https"):
            raise LatchkeyError("Give base_url, https://..., what the deployment printed as its ApiUrl, "
                                "or set LATCHKEY_BASE_URL")  # fmt: skip
        if max_retries < 0:
            raise LatchkeyError("max_retries is 0 or more")
        return cls(key, url, timeout, max_retries)

    def http_arguments(self, request: Request) -> dict[str, Any]:
        """What httpx2 is asked to send."""
        headers = {"User-Agent": f"latchkey-client/{VERSION} python/{platform.python_version()}"}
        token = self.api_key if request.token is None else request.token
        if token:
            headers["Authorization"] = f"Bearer {token}"
        if request.idempotency_key is not None:
            headers["Idempotency-Key"] = request.idempotency_key
        content = None
        if request.body is not None:
            headers["Content-Type"] = "application/json"
            content = json.dumps(request.body).encode()
        query = {name: value for name, value in request.query.items() if value is not None}
        return {
            "method": request.method,
            "url": self.base_url + request.path,
            "params": query or None,
            "headers": headers,
            "content": content,
        }

    def wait_before_retry(self, request: Request, tries: int, outcome: Response | Exception) -> float | None:
        """Seconds to wait before the next try; None if there is to be none."""
        if tries > self.max_retries:
            return None
        wait = min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** (tries - 1)) * random.uniform(0.75, 1)  # noqa: S311
        if isinstance(outcome, Exception):
            never_sent = isinstance(outcome, (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout))
            return wait if request.repeatable or never_sent else None
        if outcome.status not in NOT_DONE and not (outcome.status >= 500 and request.repeatable):
            return None
        asked = retry_after(outcome)
        if asked is None:
            return wait
        return asked if asked <= LONGEST_RETRY_AFTER else None


def retry_after(response: Response) -> float | None:
    """The seconds that a Retry-After asks for, in either of its forms."""
    text = response.headers.get("retry-after", "")
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(text).timestamp() - time.time()
        except (ValueError, TypeError):
            return None
    return max(0.0, seconds) if seconds == seconds else None  # nan is no wait


def connection_error(request: Request, error: httpx2.RequestError) -> APIConnectionError:
    """The error of a call that got no answer; its text names the route and no secret."""
    kind = APITimeoutError if isinstance(error, httpx2.TimeoutException) else APIConnectionError
    reason = str(error) or type(error).__name__
    return kind(f"{request.method} {request.path} got no answer: {reason}")


def response_of(answer: httpx2.Response) -> Response:
    headers = {name.lower(): value for name, value in answer.headers.items()}
    return Response(answer.status_code, headers, answer.content, headers.get("x-request-id"))


def made(model: type[M], response: Response) -> M:
    """The model of a good answer; raises APIStatusError of any other."""
    if not 200 <= response.status < 300:
        raise status_error(response)
    try:
        data = json.loads(response.body)
    except ValueError:
        data = None
    if not isinstance(data, dict):
        raise LatchkeyError(f"The {response.status} is no JSON object: is base_url that of Latchkey?")
    return model(data, response)


def without_none(**members: Any) -> dict[str, Any]:
    """A body of those that were given."""
    return {name: value for name, value in members.items() if value is not None}


def part(value: str) -> str:
    """A value as one part of a path."""
    if not value or value in (".", ".."):
        raise LatchkeyError("An id is needed, and this is none")
    return quote(value, safe="")


def new_idempotency_key() -> str:
    return f"auto_{uuid.uuid4()}"


def not_ended(link: Link, seconds: float) -> str:
    return f"{link.link_id} is still {link.status} after {seconds:g} s"
