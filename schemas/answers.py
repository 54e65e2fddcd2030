"""Every answer of the API, as strict models: they judge real answers in the tests."""

from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue, model_validator

from schemas.shapes import (
    Action,
    ChallengeType,
    ClaimCode,
    Count,
    LinkErrorCode,
    LinkId,
    LinkStatus,
    Model,
    SessionId,
    Time,
    Url,
    WebhookStatus,
    optional,
)

type OperationStatus = Literal["pending", "running", "succeeded", "failed", "skipped", "unknown"]
type SessionStatus = Literal["awaiting_input", "running", "complete", "failed", "canceled"]
type DeliveryErrorCode = Literal[
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
type ErrorCode = Literal[
    "validation_failed",
    "unauthorized",
    "forbidden",
    "not_found",
    "conflict",
    "gone",
    "too_large",
    "unsupported_media_type",
    "idempotency_key_reused",
    "rate_limited",
    "internal",
    "unavailable",
]
type IssueCode = Literal[
    "required",
    "type",
    "format",
    "range",
    "unknown_field",
    "unknown_integration",
    "unknown_resource",
    "unknown_action",
    "schema",
    "json",
]


class Operation(Model):
    """An operation as answers show it: never with its arguments."""

    resource: str
    action: Action


class CreatedLink(Model):
    """A link that has just been made. No other answer holds the claim code."""

    link_id: LinkId
    claim_code: ClaimCode
    integration_id: str
    operations: Annotated[list[Operation], Field(min_length=1, max_length=20)]
    status: Literal["pending"]
    app_clip_url: str = Field(
        pattern=r"^https?://[^?#]+/link_[A-Za-z0-9_-]+\?code=clm_[A-Za-z0-9_-]+$",
        description="What the client SDK starts from; it holds the claim code.",
    )
    return_url: Url = optional(description="As given, with linkId in its query.")
    expires_at: Time
    created_at: Time


class OperationProgress(Operation):
    status: OperationStatus


class SessionFailure(Model):
    """Why a link failed, or what is not known of one that was canceled."""

    code: LinkErrorCode
    reason: str | None = Field(description="What the connector said of it, in one word.")


class LinkFailure(SessionFailure):
    """The same, for the caller's support staff."""

    message: str
    operation_index: Count | None = Field(description="The operation that was running, counted from 0.")


class WebhookState(Model):
    status: WebhookStatus
    attempts: Count
    next_attempt_at: Time | None


class Step(Model):
    """A step of the life of a link or of its session."""

    at: Time
    event: str
    operation_index: Count = optional()
    duration_ms: Count = optional()


class TestClock(Model):
    """The clock of a test link that was turned forward."""

    offset_ms: Annotated[int, Field(ge=1)] = Field(
        description="How far it is ahead.", json_schema_extra={"format": "int64"}
    )
    now: Time = Field(description="What it shows; all other times of the link are by it.")


class ListedLink(Model):
    """A link without its result; what has no value is null."""

    link_id: LinkId
    integration_id: str
    operations: Annotated[list[OperationProgress], Field(min_length=1, max_length=20)]
    status: LinkStatus
    livemode: bool
    debug: bool
    external_user_id: str | None
    metadata: dict[str, str] | None
    return_url: Url | None
    embed_origins: list[str] | None = Field(description="The origins that may show its page in a frame.")
    session_id: SessionId | None
    error: LinkFailure | None
    webhook: WebhookState
    created_at: Time
    updated_at: Time
    claimed_at: Time | None
    completed_at: Time | None
    expires_at: Time
    erased_at: Time | None = Field(description="Since when nothing is kept of its user.")
    test_clock: TestClock | None = optional(
        description="Only of a test link; null until its clock is turned."
    )
    timeline: Annotated[list[Step], Field(max_length=200)] = optional(
        description="Only of a link made with `debug: true`."
    )

    @model_validator(mode="after")
    def _timeline_with_debug_only(self) -> "ListedLink":
        if ("timeline" in self.model_fields_set) != self.debug:
            raise ValueError("timeline is there exactly when debug is true")
        return self

    @model_validator(mode="after")
    def _clock_of_test_links_only(self) -> "ListedLink":
        if ("test_clock" in self.model_fields_set) == self.livemode:
            raise ValueError("testClock is there exactly when livemode is false")
        return self


class Link(ListedLink):
    """A link; what has no value is null."""

    result: dict[str, JsonValue] | None = Field(
        description="Only when complete; of several operations: `operations`, each with its `data`."
    )


class LinkList(Model):
    """A page of links, newest first."""

    links: Annotated[list[ListedLink], Field(max_length=100)]
    next_cursor: str | None = Field(description="The `cursor` of the next page; null on the last.")


class Erased(Model):
    """What came of erasing a user."""

    erased: Count = Field(description="How many links this call erased.")
    remaining: bool = Field(description="Whether there are more: then call again.")


class Integration(Model):
    id: str
    name: str


class DescribedOperation(Operation):
    description: str = Field(description="What is done, as the user is told.")


class DescribedProgress(OperationProgress):
    description: str = Field(description="What is done, as the user is told.")


class ClaimedLink(Model):
    """A session that has just begun. No other answer holds the client token."""

    link_id: LinkId
    session_id: SessionId
    client_token: str = Field(pattern=r"^ct_[A-Za-z0-9_-]{22,}$")
    expires_at: Time = Field(description="The end of the session.")
    integration: Integration
    operations: Annotated[list[DescribedOperation], Field(min_length=1, max_length=20)]
    return_url: Url | None


class LinkStanding(Model):
    """How a link stands, for whoever has its claim code."""

    link_id: LinkId
    status: LinkStatus
    error: SessionFailure | None
    expires_at: Time = Field(description="The end of the session; of a link without one, its own expiry.")
    completed_at: Time | None


class ChallengeAction(Model):
    id: str = Field(description="Send it as `action`, in place of `input`.")
    title: str


class Challenge(Model):
    """What the user is asked."""

    id: str
    type: ChallengeType
    title: str
    # Not the name `schema`, which the base class has.
    fields: dict[str, JsonValue] = Field(
        alias="schema",
        description="JSON Schema of the fields to ask; `writeOnly` marks secrets. A wait has none.",
    )
    message: str = optional(description="What was wrong with the last answer, or any news.")
    values: dict[str, str] = optional(description="What to fill in beforehand.")
    actions: list[ChallengeAction] = optional(
        max_length=5, description="Other things that the user may want."
    )
    expires_at: Time = optional(description="Until when the user is told to have time.")


class Session(Model):
    """A session as its client sees it; what has no value is null."""

    session_id: SessionId
    link_id: LinkId
    status: SessionStatus
    integration: Integration
    challenge: Challenge | None
    operations: Annotated[list[DescribedProgress], Field(min_length=1, max_length=20)]
    error: SessionFailure | None
    return_url: Url | None
    expires_at: Time

    @model_validator(mode="after")
    def _challenge_while_input_is_awaited(self) -> "Session":
        if (self.challenge is not None) != (self.status == "awaiting_input"):
            raise ValueError("a challenge is there exactly while input is awaited")
        return self


class CatalogueOperation(Model):
    description: str = Field(description="What is done, as the user is told.")
    arguments: dict[str, JsonValue] | None = Field(
        description="JSON Schema 2020-12; null when it takes none."
    )
    result: dict[str, JsonValue] = Field(description="JSON Schema 2020-12.")


class Resource(Model):
    name: str
    operations: Annotated[dict[Action, CatalogueOperation], Field(min_length=1)]


class Provider(Model):
    """An integration and what can be done there."""

    id: str
    name: str
    resources: Annotated[list[Resource], Field(min_length=1)]


class ProviderList(Model):
    providers: list[Provider]


class Delivery(Model):
    """An attempt to deliver an event."""

    attempt: Annotated[int, Field(ge=1)]
    at: Time
    duration_ms: Count
    status_code: int | None
    error: DeliveryErrorCode | None


class DeliveryList(Model):
    """The attempts to deliver a link's event, oldest first; the newest hundred."""

    deliveries: Annotated[list[Delivery], Field(max_length=100)]


class Redelivery(Model):
    """The event is about to be sent again."""

    link_id: LinkId
    webhook: WebhookState


WebhookSecret = Annotated[str, Field(pattern=r"^whsec_[A-Za-z0-9+/]{32,}=*$")]


class ValidSecret(Model):
    secret: WebhookSecret
    expires_at: Time | None = Field(description="null for the newest.")


class RateLimits(Model):
    rate: int = Field(ge=1, description="Requests a second.")
    burst: int = Field(ge=1, description="Requests at once.")


class ApiKey(Model):
    """The key that asks."""

    last4: str = Field(min_length=4, max_length=4)
    label: str | None
    scopes: list[str] | None = Field(description="What a restricted key may do; null for a key that may all.")
    expires_at: Time | None


class Account(Model):
    """The account of a key, in the key's mode."""

    account: str
    livemode: bool
    limits: RateLimits | None = Field(description="Of this key; null for none.")
    webhook_url: str | None = Field(
        description="Where the events of links go that are created without a webhookUrl."
    )
    key: ApiKey


class WebhookSecrets(Model):
    """The secrets that the account's webhooks are signed with, newest first."""

    secrets: Annotated[list[ValidSecret], Field(min_length=1, max_length=2)]


class NewSecret(Model):
    secret: WebhookSecret


class SentWebhook(Model):
    headers: dict[str, str]
    body: str = Field(description="The exact text that was signed and sent.")


class WebhookTest(Model):
    """An attempt to deliver an example event."""

    request: SentWebhook
    status_code: int | None
    duration_ms: Count
    error: DeliveryErrorCode | None


class SandboxUser(Model):
    """A user of the sandbox, and how a link ends that this user logs in to."""

    username: str
    password: str
    description: str
    status: Literal["complete", "failed"]
    error_code: LinkErrorCode | None
    reason: str | None


class SandboxUserList(Model):
    outcomes: list[SandboxUser]


class Issue(Model):
    """One thing wrong with a request."""

    path: str = Field(description="Dotted, with array indexes; empty for the whole body.")
    message: str
    code: IssueCode


class ApiError(Model):
    """A refusal or failure."""

    error: str
    code: ErrorCode
    request_id: str = Field(min_length=1, description="The X-Request-Id of this answer.")
    issues: Annotated[list[Issue], Field(min_length=1, max_length=1000)] = optional(
        description="With validation_failed: everything that is wrong with the request."
    )

    @model_validator(mode="after")
    def _issues_with_validation_failed_only(self) -> "ApiError":
        if ("issues" in self.model_fields_set) != (self.code == "validation_failed"):
            raise ValueError("issues are there exactly when code is validation_failed")
        return self


class AnyError(Model):
    """A refusal or failure of the service, or of the gateway before it, which says `message` alone."""

    error: str = optional()
    code: ErrorCode = optional()
    request_id: str = optional()
    message: str = optional()


class GatewayError(Model):
    """A refusal by the gateway itself: an unknown route, its own throttle, a malformed request line."""

    message: str


ANSWERS = (
    *(CreatedLink, Link, LinkList, DeliveryList, Erased, Redelivery, WebhookSecrets, NewSecret, Account),
    *(WebhookTest, SandboxUserList),
    *(ClaimedLink, LinkStanding, Session, ProviderList, Provider, ApiError, GatewayError, AnyError),
)

EXAMPLES: dict[type[Model], dict[str, Any]] = {
    CreatedLink: {
        "linkId": "link_3Jb7sXyQm0KfT4ZpWn8VdC",
        "claimCode": "clm_5uYhR2cGtE9oLxAqBv1NwM",
        "integrationId": "tmobile",
        "operations": [
            {"resource": "paymentMethod", "action": "read"},
            {"resource": "paymentMethod", "action": "write"},
        ],
        "status": "pending",
        "appClipUrl": "https://appclip.example.com/link_3Jb7sXyQm0KfT4ZpWn8VdC?code=clm_5uYhR2cGtE9oLxAqBv1NwM",
        "returnUrl": "https://your-app.com/done?linkId=link_3Jb7sXyQm0KfT4ZpWn8VdC",
        "expiresAt": 1704081600000,
        "createdAt": 1704067200000,
    },
    Link: {
        "linkId": "link_3Jb7sXyQm0KfT4ZpWn8VdC",
        "integrationId": "tmobile",
        "operations": [{"resource": "paymentMethod", "action": "read", "status": "pending"}],
        "status": "pending",
        "livemode": False,
        "debug": False,
        "externalUserId": "user_123",
        "metadata": {"plan": "pro"},
        "returnUrl": "https://your-app.com/done?linkId=link_3Jb7sXyQm0KfT4ZpWn8VdC",
        "embedOrigins": ["https://your-app.com"],
        "sessionId": None,
        "result": None,
        "error": None,
        "webhook": {"status": "none", "attempts": 0, "nextAttemptAt": None},
        "createdAt": 1704067200000,
        "updatedAt": 1704067200000,
        "claimedAt": None,
        "completedAt": None,
        "expiresAt": 1704081600000,
        "erasedAt": None,
        "testClock": None,
    },
    ApiError: {
        "error": "Validation failed",
        "code": "validation_failed",
        "requestId": "JKJaXmPLvHcESHA=",
        "issues": [{"path": "webhookUrl", "message": "must be a valid URL", "code": "format"}],
    },
    GatewayError: {"message": "Not Found"},
}
