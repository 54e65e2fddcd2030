"""What callers and clients send.

A `title` says what a member is. A `description` ends the sentence of an issue: "must be ...".
"""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from schemas.shapes import EventType, LinkErrorCode, LinkStatus, Model, WebhookStatus, optional

BODY = {"description": "a JSON object"}


class RequestedOperation(
    Model,
    title="Operation",
    json_schema_extra={
        "description": "an object with resource, action and, where the operation takes any, arguments"
    },
):
    resource: str = Field(
        title="Resource of the integration", description='the name of a resource, for example "paymentMethod"'
    )
    # No enum, because which actions there are is the integration's.
    action: str = Field(title="What to do with the resource", description='"read" or "write"')
    arguments: dict[str, Any] = optional(
        title="Arguments, by the schema that the catalogue gives for the operation", description="an object"
    )


class CreateLinkRequest(
    Model,
    json_schema_extra=BODY
    | {
        "examples": [
            {
                "integrationId": "tmobile",
                "operations": [
                    {"resource": "paymentMethod", "action": "read"},
                    {
                        "resource": "paymentMethod",
                        "action": "write",
                        "arguments": {
                            "cardNumber": "4242424242424242",
                            "expirationDate": "04/29",
                            "cvv": "123",
                            "nameOnCard": "Jane Doe",
                            "billingZip": "12345",
                        },
                    },
                ],
                "webhookUrl": "https://your-app.com/webhooks/latchkey",
                "returnUrl": "https://your-app.com/done",
                "externalUserId": "user_123",
                "debug": False,
                "expiresIn": 14400,
                "metadata": {"plan": "pro"},
                "embedOrigins": ["https://your-app.com"],
            }
        ]
    },
):
    integration_id: str = Field(
        title="Integration", description='the id of an integration, for example "tmobile"'
    )
    operations: list[RequestedOperation] = Field(
        min_length=1,
        max_length=20,
        title="What to do, in order, in one session: the user logs in once",
        description="an array of 1 to 20 items",
    )
    webhook_url: str = optional(
        max_length=2048,
        title="Where the completion webhook is sent",
        description="a public https URL of at most 2048 characters",
    )
    return_url: str = optional(
        max_length=2048,
        title="Where the user goes afterwards; linkId is added to its query. "
        "With a test key also http://localhost or http://127.0.0.1",
        description='an https URL or a custom app scheme such as "myapp://callback", '
        "of at most 2048 characters",
    )
    external_user_id: str = optional(
        min_length=1,
        max_length=256,
        title="Your identifier for the user",
        description="a string of 1 to 256 characters",
    )
    debug: bool = Field(default=False, title="Debug mode for this link", description="true or false")
    expires_in: int = Field(
        default=14400,
        ge=1,
        le=7776000,
        title="Time until the link expires",
        description="an integer from 1 to 7776000 (seconds)",
    )
    metadata: dict[
        Annotated[str, Field(min_length=1, max_length=40, description="named with 1 to 40 characters")],
        Annotated[str, Field(max_length=500, description="a string of at most 500 characters")],
    ] = optional(
        max_length=50,
        title="Your own data, given back when the link is read and in the webhook",
        description="an object of at most 50 pairs of strings",
    )
    embed_origins: list[
        Annotated[str, Field(description='an origin as browsers write it, such as "https://your-app.com"')]
    ] = optional(
        min_length=1,
        max_length=10,
        title="Web origins that may show the link's page in a frame, each once. "
        "With a test key also http://localhost or http://127.0.0.1, any port",
        description="an array of 1 to 10 origins",
    )


class ListLinksQuery(Model):
    status: LinkStatus = optional(
        title="Links in this state only",
        description="one of pending, active, complete, failed, expired, canceled",
    )
    integration_id: str = optional(
        title="Links of this integration only", description="the id of an integration"
    )
    external_user_id: str = optional(
        min_length=1, max_length=256, title="Links of this user only", description="1 to 256 characters"
    )
    webhook_status: WebhookStatus = optional(
        title="Links whose event is in this state only",
        description="one of none, pending, delivered, exhausted",
    )
    limit: int = optional(ge=1, le=100, title="Most links on a page", description="an integer from 1 to 100")
    cursor: str = optional(
        title="The nextCursor of the page before", description="the nextCursor of a page of this same list"
    )


class ErasureRequest(Model, json_schema_extra=BODY):
    external_user_id: str = Field(
        min_length=1,
        max_length=256,
        title="Your identifier for the user, as links were made with it",
        description="a string of 1 to 256 characters",
    )


class RotateSecretRequest(Model, json_schema_extra=BODY):
    overlap_seconds: int = Field(
        default=86400,
        ge=0,
        le=604800,
        title="How long the secret before it goes on signing too",
        description="an integer from 0 to 604800 (seconds)",
    )


class ClaimRequest(Model, json_schema_extra=BODY):
    code: str = Field(
        title="The claim code, from the link's appClipUrl", description='a claim code, "clm_..."'
    )


class SessionInputRequest(
    Model,
    json_schema_extra=BODY
    | {
        "if": {"required": ["action"]},
        "then": {"properties": {"input": {"description": "left out beside an action", "not": {}}}},
        "else": {"required": ["input"]},
    },
):
    challenge_id: str = Field(
        title="The challenge that is answered", description="the id of the session's open challenge"
    )
    input: dict[str, Any] = optional(
        title="The answer, by the challenge's schema",
        description="an object that fits the challenge's schema",
    )
    action: str = optional(
        title="In place of an answer, one of the challenge's actions",
        description="the id of one of the challenge's actions",
    )

    @model_validator(mode="after")
    def _an_answer_or_an_action(self) -> Self:
        if len(self.model_fields_set & {"input", "action"}) != 1:
            raise ValueError("either input or action")
        return self


class ListEventsQuery(Model):
    type: EventType = optional(
        title="Events of this type only",
        description='one of "link.complete", "link.failed", "link.expired", "link.canceled"',
    )
    after: str = optional(
        title="Those that ended after this one, oldest first; without it all, newest first",
        description='the id of an event of this key\'s account and mode, "msg_..."',
    )
    limit: int = optional(ge=1, le=100, title="Most events on a page", description="an integer from 1 to 100")
    cursor: str = optional(
        title="The nextCursor of the page before", description="the nextCursor of a page of this same list"
    )


class WebhookTestRequest(Model, json_schema_extra=BODY):
    url: str = Field(
        max_length=2048,
        title="Where to send the example, by the rules of webhookUrl",
        description="a string of at most 2048 characters",
    )
    type: EventType = Field(
        title="The type of the example",
        description='one of "link.complete", "link.failed", "link.expired", "link.canceled"',
    )


class AdvanceRequest(
    Model,
    json_schema_extra={
        "description": "an object with either seconds or until",
        "minProperties": 1,
        "maxProperties": 1,
    },
):
    seconds: int = optional(
        ge=1,
        le=10368000,
        title="How far the link's clock goes forward",
        description="an integer from 1 to 10368000 (seconds; 120 days)",
    )
    until: Literal["expiry", "session_end", "next_attempt", "retention"] = optional(
        title="Until when it goes",
        description='one of "expiry", "session_end", "next_attempt", "retention"',
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if len(self.model_fields_set) != 1:
            raise ValueError("either seconds or until")
        return self


class SimulateRequest(Model, json_schema_extra=BODY):
    outcome: Literal["complete", "fail"] = Field(
        title="How the link ends", description='"complete" or "fail"'
    )
    data: list[
        Annotated[dict[str, Any], Field(description="an object that fits the operation's result schema")]
    ] = optional(
        min_length=1,
        max_length=20,
        title="Each operation's result, by the catalogue; its examples if this is left out",
        description="an array of objects, one for each operation of the link",
    )
    code: LinkErrorCode = optional(
        title="Why the link fails", description='an error code of links, such as "LOGIN_FAILED"'
    )
    reason: str = optional(
        pattern="^[a-z_]{1,40}$",
        title='What the connector says of it; "other" if it does not go with the code',
        description="1 to 40 of a to z and _",
    )
    operation_index: int = optional(
        ge=0,
        le=19,
        title="Which operation fails, counted from 0, which is what it is if this is left out; "
        "with a code that names one",
        description="an integer from 0 to the number of the link's operations less one",
    )


class FailDeliveriesRequest(Model, json_schema_extra=BODY):
    count: int = Field(
        ge=1, le=10, title="How many of the next attempts fail", description="an integer from 1 to 10"
    )
    # Two, because clients have no type of numbers and texts.
    as_: Literal[400, 410, 429, 500, 503] | Literal["timeout", "connect", "tls"] = Field(
        alias="as",
        title="How they fail",
        description='one of 400, 410, 429, 500, 503, "timeout", "connect", "tls"',
    )


BODIES = (
    *(CreateLinkRequest, ErasureRequest, RotateSecretRequest, ClaimRequest, SessionInputRequest),
    *(WebhookTestRequest, AdvanceRequest, SimulateRequest, FailDeliveriesRequest),
)
