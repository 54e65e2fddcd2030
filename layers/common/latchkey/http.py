"""From an HTTP API event to a handler, and from what it returns or raises to an answer."""

import base64
import binascii
import json
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from latchkey import __version__
from latchkey.adapters import aws, telemetry
from latchkey.domain import scopes, strictjson
from latchkey.domain.errors import (
    Issue,
    LatchkeyError,
    RateLimitedError,
    TooLargeError,
    UnauthorizedError,
    UnsupportedMediaTypeError,
    ValidationFailedError,
)
from latchkey.domain.limits import Limit
from latchkey.domain.links import Link
from latchkey.services import authenticate, read_link
from latchkey.services.key_use import Standing

if TYPE_CHECKING:
    from latchkey.domain.catalogue import Document

if os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "snap-start":
    # What is imported when it is first needed is in no snapshot, and would make each start as slow as before.
    import cryptography.hazmat.primitives.ciphers.aead  # noqa: F401
    import jsonschema_rs  # noqa: F401


MAX_BODY_BYTES = 256 * 1024

_INTERNAL = {
    "error": "Something went wrong on our side; try again, and quote the requestId if it lasts",
    "code": "internal",
}


@dataclass(frozen=True, slots=True)
class Response:
    """An answer: its body is JSON text, None for none."""

    status: int
    body: str | None
    headers: dict[str, str] = field(default_factory=dict)


def answer(status: int, content: Any, headers: dict[str, str] | None = None) -> Response:
    """A JSON answer."""
    return Response(status, _json(content), headers or {})


def unless_current(request: "Request", document: "Document", headers: dict[str, str]) -> Response:
    """The document with these headers, or 304 if the client's copy is the current one."""
    headers = headers | {"ETag": document.etag}
    if _is_current(request.header("if-none-match"), document.etag):
        return Response(304, None, headers)
    return Response(200, document.body, headers)


def _is_current(if_none_match: str | None, etag: str) -> bool:
    """Compare as RFC 9110 (13.1.2) says: a list, weakly, `*` for any. Our tags hold no comma."""
    if if_none_match is None:
        return False
    tags = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
    return etag in tags or tags == ["*"]


# What of callers' doings stands in the audit log, beside each link that is erased. A repeated request stands
# there again.
AUDITED = {
    "POST /v1/links": "link.created",
    "POST /v1/links/{linkId}/cancel": "link.canceled",
    "POST /v1/erasures": "user.erased",
    "POST /v1/webhook-secret/rotate": "webhook-secret.rotated",
}

# Headers of an answer that a request with the same Idempotency-Key got before.
REPLAYED = {"Idempotent-Replayed": "true"}

_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class Request:
    """A request to a public route."""

    event: dict[str, Any] = field(repr=False)
    now: int  # milliseconds
    log: dict[str, Any]  # members of the request's log line, to which handlers add
    notices: dict[str, str]  # headers of the answer, whatever that becomes

    def header(self, name: str) -> str | None:
        """A header's value; names are lower case."""
        value: str | None = self.event["headers"].get(name)
        return value

    @property
    def route(self) -> str:
        """The route's method and path, as the template has them."""
        key: str = self.event["routeKey"]
        return key

    @property
    def path_parameters(self) -> dict[str, str]:
        """The parameters of the route's path, by name."""
        return self.event.get("pathParameters") or {}

    @property
    def host(self) -> str:
        """The domain that the request was sent to."""
        name: str = self.event["requestContext"]["domainName"]
        return name

    @property
    def bearer(self) -> str:
        """The Authorization header's token; raises UnauthorizedError without one, or of another scheme."""
        scheme, _, token = (self.header("authorization") or "").strip().partition(" ")
        if not scheme:
            raise UnauthorizedError("There is no Authorization header; send Authorization: Bearer ...")
        if scheme.lower() != "bearer":
            raise UnauthorizedError(
                "The scheme of Authorization must be Bearer; send Authorization: Bearer ..."
            )
        return token.strip()

    def query(self) -> dict[str, str]:
        """The query's parameters; raises ValidationFailedError if one comes twice."""
        from urllib.parse import parse_qsl

        pairs = parse_qsl(self.event.get("rawQueryString") or "", keep_blank_values=True)
        parameters = dict(pairs)
        if len(parameters) != len(pairs):
            names = [name for name, _ in pairs]
            twice = sorted({name for name in names if names.count(name) > 1})
            raise ValidationFailedError([Issue(name, "must be given once", "range") for name in twice])
        return parameters

    def json_object(self) -> dict[str, Any]:
        """The body; raises UnsupportedMediaTypeError, else TooLargeError, else ValidationFailedError."""
        media_type = (self.header("content-type") or "").partition(";")[0].strip().lower()
        if media_type != "application/json":
            raise UnsupportedMediaTypeError("Send the body as Content-Type: application/json")
        encodings = (self.header("content-encoding") or "identity").split(",")
        if any(encoding.strip().lower() != "identity" for encoding in encodings):
            raise UnsupportedMediaTypeError("Send the body as it is, without a Content-Encoding")
        text = self.event.get("body") or ""
        if self.event.get("isBase64Encoded"):
            try:
                body = base64.b64decode(text, validate=True)
            except (binascii.Error, ValueError):
                raise ValidationFailedError([Issue("", "must be valid JSON", "json")]) from None
        else:
            # surrogatepass: half a pair, which the gateway does not send, is refused as JSON.
            body = text.encode("utf-8", "surrogatepass")
        if len(body) > MAX_BODY_BYTES:
            raise TooLargeError
        return strictjson.read_object(body)


@dataclass(frozen=True, slots=True)
class CallerRequest(Request):
    """A request to a private route: its caller is known."""

    caller: authenticate.Caller

    def link(self) -> Link:
        """The link of the path, for its owner alone; raises NotFoundError."""
        link = read_link.own(self.path_parameters["linkId"], self.caller)
        self.log["linkId"] = link.link_id
        return link


def private(handle: Callable[[CallerRequest], Response]) -> telemetry.LambdaHandler:
    """Make a Lambda handler of a route that needs an API key."""

    def respond(request: Request) -> Response:
        caller, standing = authenticate.authenticate(request.bearer, request.now)
        request.log.update(account=caller.account, livemode=caller.livemode, keyLast4=caller.last4)
        if caller.expires_soon(request.now):
            request.notices["Latchkey-Key-Expires"] = str(caller.expires_at)
        if caller.limit is not None and standing is not None:
            _admit(caller.limit, standing, request.notices)
        scopes.check(request.route, caller.scopes)
        response = handle(CallerRequest(request.event, request.now, request.log, request.notices, caller))
        if (action := AUDITED.get(request.route)) is not None:
            request.log["audited"] = action
        return response

    return _handler(respond)


def _admit(limit: Limit, standing: Standing, notices: dict[str, str]) -> None:
    """Tell how the key stands with its limit when little is left; raise RateLimitedError when nothing is."""
    if 5 * standing.left < limit.burst:
        notices["RateLimit-Policy"] = f'"key";q={limit.rate};w=1'
        notices["RateLimit"] = f'"key";r={standing.left};t={math.ceil(standing.full_in)}'
    if standing.wait:
        raise RateLimitedError(
            f"More than {limit.rate} requests a second, or {limit.burst} at once; send this one again after "
            "Retry-After",
            math.ceil(standing.wait),
        )


def public(
    handle: Callable[[Request], Response], failed: Callable[[Request, Response], Response] | None = None
) -> telemetry.LambdaHandler:
    """Make a Lambda handler of a route that needs no API key.

    `failed` makes of a failure's JSON answer what the route's clients read instead.
    """
    return _handler(handle, failed)


def _handler(
    respond: Callable[[Request], Response],
    failed: Callable[[Request, Response], Response] | None = None,
) -> telemetry.LambdaHandler:
    """Whatever happens, the caller gets an answer of the contract's shape and the log gets one line."""
    # Connecting takes longest: done while Lambda starts the environment, not during a request.
    aws.dynamodb()

    def handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
        now = time.time_ns() // 1_000_000
        request_id = event["requestContext"]["requestId"]
        log: dict[str, Any] = {"requestId": request_id, "route": event["routeKey"]}
        request, failure = Request(event, now, log, {}), None
        try:
            response = respond(request)
        except LatchkeyError as error:
            response = failure = _failure(error, request)
        except Exception as error:  # noqa: BLE001 # the last line of defence: nothing may reach the gateway
            telemetry.logger.error("unexpected", **log, **telemetry.unexpected(error))
            response = failure = answer(500, _INTERNAL | {"requestId": request_id})
        if failure is not None and failed is not None:
            response = failed(request, failure)
        telemetry.logger.info("request", **log, status=response.status)
        headers = {
            "X-Request-Id": request_id,
            "X-Latchkey-Version": __version__,
            "Cache-Control": "no-store",
            **request.notices,
        }
        if response.body is None:
            return {"statusCode": response.status, "headers": headers | response.headers}
        headers |= {"Content-Type": "application/json"} | response.headers
        return {"statusCode": response.status, "headers": headers, "body": response.body}

    return telemetry.traced(handler)


def _failure(error: LatchkeyError, request: Request) -> Response:
    request_id = request.log["requestId"]
    content: dict[str, Any] = {"error": error.message, "code": error.code, "requestId": request_id}
    request.log["code"] = error.code
    if isinstance(error, ValidationFailedError):
        content["issues"] = [
            {"path": issue.path, "message": issue.message, "code": issue.code} for issue in error.issues
        ]
        # Codes only: a path may hold any name that the caller gave to a member.
        request.log["issues"] = sorted({issue.code for issue in error.issues})
    return answer(error.status, content, dict(error.headers))
