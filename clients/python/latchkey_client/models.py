"""What the API answers, as attributes: `link.expires_at` is the member `expiresAt`.

No pydantic: an answer is a dict that is looked into when it is asked, so that importing this package and
reading an answer cost next to nothing, and members and values that a newer server sends are kept.
schemas/openapi.json is what the tests hold these classes to.
"""

from __future__ import annotations

import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal, TypedDict

Json = dict[str, Any]

# Each may grow: a value that is not listed is handed on as it came.
Action = Literal["read", "write"] | str
LinkStatus = Literal["pending", "active", "complete", "failed", "expired", "canceled"] | str
OperationStatus = Literal["pending", "running", "succeeded", "failed", "skipped", "unknown"] | str
SessionStatus = Literal["awaiting_input", "running", "complete", "failed", "canceled"] | str
WebhookStatus = Literal["none", "pending", "delivered", "exhausted"] | str
ChallengeType = Literal["login", "otp", "choice", "wait"] | str
EventType = Literal["link.complete", "link.failed", "link.expired", "link.canceled"] | str
LinkErrorCode = (
    Literal[
        "LOGIN_FAILED",
        "USER_CANCELED",
        "CLIENT_TIMEOUT",
        "AUTOMATION_ERROR",
        "RESULT_VALIDATION_ERROR",
        "CONNECTION_FAILED",
        "OUTCOME_UNKNOWN",
        "INTERNAL_ERROR",
    ]
    | str
)
DeliveryErrorCode = (
    Literal[
        "invalid_url",
        "dns",
        "blocked_address",
        "connect",
        "tls",
        "timeout",
        "disconnected",
        "protocol",
        "too_large",
    ]
    | str
)
ENDED = frozenset({"complete", "failed", "expired", "canceled"})


class _Named(TypedDict):
    resource: str
    action: Action


class OperationInput(_Named, total=False):
    """An operation to ask for; `arguments` by the catalogue's schema, named as there."""

    arguments: Mapping[str, Any]


@dataclass(frozen=True)
class Response:
    """The HTTP answer that a result came in. Header names are in lower case."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    request_id: str | None


class Model:
    """An answer or a part of one. `to_dict()` is all that came; `response` is None for a part."""

    # What repr shows: what tells one from another and is neither a secret nor somebody's data.
    _shown: typing.ClassVar[tuple[str, ...]] = ()

    def __init__(self, data: Mapping[str, Any], response: Response | None = None) -> None:
        self._data = data
        self.response = response

    if not typing.TYPE_CHECKING:  # a type checker is to refuse what is not declared

        def __getattr__(self, name: str) -> Any:
            if name.startswith("_") or name == "response":
                raise AttributeError(name)
            annotation = _annotations(type(self)).get(name)
            wire = wire_name(name)
            if wire not in self._data:
                if annotation is not None and type(None) in typing.get_args(annotation):
                    return None  # an older server does not know it yet
                raise AttributeError(f"this {type(self).__name__} has no {wire}")
            value = _made(annotation, self._data[wire])
            self.__dict__[name] = value
            return value

    def to_dict(self) -> Json:
        """All that came, members that this package does not know included; a copy."""
        return dict(self._data)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other._data == self._data

    __hash__ = None  # type: ignore[assignment] # a mapping within

    def __repr__(self) -> str:
        shown = (f"{n}={v!r}" for n in self._shown if (v := getattr(self, n, None)) is not None)
        return f"{type(self).__name__}({', '.join(shown)})"


def wire_name(name: str) -> str:
    """The member's name on the wire: `link_id` is linkId."""
    first, *others = name.split("_")
    return first + "".join(other.capitalize() for other in others)


@cache
def _annotations(model: type[Model]) -> dict[str, Any]:
    return typing.get_type_hints(model)


def _made(annotation: Any, value: Any) -> Any:
    """The value, with models in place of the objects that are some."""
    if isinstance(annotation, type) and issubclass(annotation, Model):
        return annotation(value) if isinstance(value, Mapping) else value
    arguments = typing.get_args(annotation)
    if isinstance(value, list) and typing.get_origin(annotation) is list:
        return [_made(arguments[0], item) for item in value]
    if isinstance(value, Mapping) and typing.get_origin(annotation) is dict:
        return {key: _made(arguments[1], item) for key, item in value.items()}
    for argument in arguments:
        if type(None) in arguments and value is not None and argument is not type(None):
            return _made(argument, value)
    return value


# --- Links ---------------------------------------------------------------------------------------


class Operation(Model):
    """An operation as answers show it: never with its arguments."""

    _shown = ("resource", "action", "status")
    resource: str
    action: Action


class CreatedLink(Model):
    """A link that has just been made. No other answer holds the claim code."""

    _shown = ("link_id", "status")
    link_id: str
    claim_code: str
    integration_id: str
    operations: list[Operation]
    status: LinkStatus
    app_clip_url: str
    return_url: str | None
    expires_at: int
    created_at: int


class OperationProgress(Operation):
    status: OperationStatus


class SessionFailure(Model):
    """Why a link failed, or what is not known of one that was canceled."""

    _shown = ("code", "reason", "operation_index")
    code: LinkErrorCode
    reason: str | None


class LinkFailure(SessionFailure):
    """The same, for the caller's support staff."""

    message: str
    operation_index: int | None


class EventDelivery(Model):
    """How far the delivery of an event is."""

    _shown = ("status", "attempts")
    status: WebhookStatus
    attempts: int


class WebhookState(EventDelivery):
    next_attempt_at: int | None


class Step(Model):
    """A step of the life of a link or of its session."""

    _shown = ("at", "event")
    at: int
    event: str
    operation_index: int | None
    duration_ms: int | None


class TestClock(Model):
    """How far a test link's own clock is ahead, and what it shows."""

    __test__ = False  # no test, whatever pytest thinks of its name
    _shown = ("offset_ms",)
    offset_ms: int
    now: int


class ListedLink(Model):
    """A link without its result; what has no value is None. Times are milliseconds since 1970 UTC."""

    _shown = ("link_id", "status", "error")
    link_id: str
    integration_id: str
    operations: list[OperationProgress]
    status: LinkStatus
    livemode: bool
    debug: bool
    external_user_id: str | None
    metadata: dict[str, str] | None
    return_url: str | None
    embed_origins: list[str] | None
    session_id: str | None
    error: LinkFailure | None
    webhook: WebhookState
    created_at: int
    updated_at: int
    claimed_at: int | None
    completed_at: int | None
    expires_at: int
    erased_at: int | None
    timeline: list[Step] | None
    test_clock: TestClock | None

    @property
    def ended(self) -> bool:
        """Whether it is complete, failed, expired or canceled: end states never change."""
        return self.status in ENDED


class Link(ListedLink):
    """A link. Its result is there when it is complete: of several operations a list `operations`, each
    with its `data`."""

    result: Json | None


class Delivery(Model):
    """An attempt to deliver an event."""

    _shown = ("attempt", "status_code", "error")
    attempt: int
    at: int
    duration_ms: int
    status_code: int | None
    error: DeliveryErrorCode | None


class DeliveryList(Model):
    """The attempts to deliver a link's event, oldest first; the newest hundred."""

    deliveries: list[Delivery]


class Redelivery(Model):
    """The event is about to be sent again."""

    _shown = ("link_id", "webhook")
    link_id: str
    webhook: WebhookState


class Erased(Model):
    """How many links were erased by this call, and whether there are more: then call again."""

    _shown = ("erased", "remaining")
    erased: int
    remaining: bool


# --- Events and webhooks -------------------------------------------------------------------------


class EventData(Model):
    """How a link ended; what has no value is None."""

    _shown = ("link_id", "status")
    link_id: str
    status: LinkStatus
    integration_id: str
    external_user_id: str | None
    metadata: dict[str, str] | None
    livemode: bool
    result: Json | None
    error: LinkFailure | None
    created_at: int
    completed_at: int


class Event(Model):
    """That a link ended. The same event can arrive more than once, always with the same `id`."""

    _shown = ("id", "type", "data")
    id: str
    type: EventType
    timestamp: str
    data: EventData


class ListedEvent(Event):
    webhook: EventDelivery


class ValidSecret(Model):
    secret: str
    expires_at: int | None


class RateLimits(Model):
    """So many requests a second, and so many at once."""

    rate: int
    burst: int


class ApiKey(Model):
    """The key that asks; `scopes` is None for one that may do all."""

    _shown = ("last4", "label")

    last4: str
    label: str | None
    scopes: list[str] | None
    expires_at: int | None


class Account(Model):
    """The account of a key; `limits` is None for none, `webhook_url` for links without one of their own."""

    _shown = ("account", "livemode")

    account: str
    livemode: bool
    limits: RateLimits | None
    webhook_url: str | None
    key: ApiKey


class WebhookSecrets(Model):
    """The secrets that the account's webhooks are signed with, newest first."""

    secrets: list[ValidSecret]


class NewSecret(Model):
    secret: str


class SentWebhook(Model):
    """What was sent: `body` is the exact text."""

    headers: dict[str, str]
    body: str


class WebhookTest(Model):
    """How a receiver took an example event."""

    _shown = ("status_code", "error")
    request: SentWebhook
    status_code: int | None
    duration_ms: int
    error: DeliveryErrorCode | None


# --- Catalogue and sandbox -----------------------------------------------------------------------


class CatalogueOperation(Model):
    """Its arguments and result are JSON Schemas; `arguments` is None when it takes none."""

    description: str
    arguments: Json | None
    result: Json


class Resource(Model):
    _shown = ("name",)
    name: str
    operations: dict[str, CatalogueOperation]


class Provider(Model):
    """An integration and what can be done there."""

    _shown = ("id", "name")
    id: str
    name: str
    resources: list[Resource]


class ProviderList(Model):
    providers: list[Provider]


class SandboxUser(Model):
    """A user of the sandbox, and what comes of logging in as that user."""

    _shown = ("username", "status", "error_code", "reason")
    username: str
    password: str
    description: str
    status: LinkStatus
    error_code: LinkErrorCode | None
    reason: str | None


class SandboxUserList(Model):
    outcomes: list[SandboxUser]


# --- The user's side -----------------------------------------------------------------------------


class Integration(Model):
    _shown = ("id",)
    id: str
    name: str


class DescribedOperation(Operation):
    description: str


class DescribedProgress(OperationProgress):
    description: str


class ClaimedLink(Model):
    """A session that has just begun. No other answer holds the client token."""

    _shown = ("link_id", "session_id")
    link_id: str
    session_id: str
    client_token: str
    expires_at: int
    integration: Integration
    operations: list[DescribedOperation]
    return_url: str | None


class LinkStanding(Model):
    """How a link stands, for whoever has its claim code."""

    _shown = ("link_id", "status", "error")
    link_id: str
    status: LinkStatus
    error: SessionFailure | None
    expires_at: int
    completed_at: int | None


class ChallengeAction(Model):
    """Another thing that the user may want, such as a new code."""

    _shown = ("id",)
    id: str
    title: str


class Challenge(Model):
    """What the user is asked; `schema` is a JSON Schema whose `writeOnly` marks secrets."""

    _shown = ("id", "type")
    id: str
    type: ChallengeType
    title: str
    schema: Json
    message: str | None
    values: Json | None
    actions: list[ChallengeAction] | None
    expires_at: int | None


class Session(Model):
    """A session as its client sees it; what has no value is None."""

    _shown = ("session_id", "link_id", "status", "error")
    session_id: str
    link_id: str
    status: SessionStatus
    integration: Integration
    challenge: Challenge | None
    operations: list[DescribedProgress]
    error: SessionFailure | None
    return_url: str | None
    expires_at: int
