"""What a session and a connector say to each other, version 1.

A `title` says what a member is. A `description` ends the sentence of an issue: "must be ...".
"""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, RootModel, model_validator

from schemas.shapes import Action, ChallengeType, Model, optional


def told_by(member: str, about_member: dict[str, Any], about: dict[str, Any]) -> Any:
    """Judges a union by the one of its models that a member tells, so that an issue is about that one."""

    def change(schema: dict[str, Any]) -> None:
        models = schema.pop("discriminator")["mapping"]
        del schema["oneOf"]
        schema |= about | {
            "type": "object",
            "properties": {member: about_member | {"enum": list(models)}},
            "required": [member],
            "allOf": [
                {
                    "if": {"properties": {member: {"const": value}}, "required": [member]},
                    "then": {"$ref": model},
                }
                for value, model in models.items()
            ],
        }

    return change


# --- What a connector is invoked with ------------------------------------------------------------


class ConnectorOperation(Model, title="Operation", json_schema_extra={"description": "an object"}):
    index: int = Field(
        ge=0,
        le=19,
        title="Position in the link; an operation that comes again is a read that was interrupted, "
        "or follows a challenge",
        description="an integer from 0 to 19",
    )
    resource: str = Field(title="A resource of the integration", description="the name of a resource")
    action: Action = Field(title="What to do with the resource", description='"read" or "write"')
    arguments: dict[str, Any] | None = Field(
        title="They fit the catalogue's schema for the operation; null if none were given",
        description="an object or null",
    )


class _Request(
    Model, json_schema_extra={"description": "an object with the members of a connector's request"}
):
    version: Literal[1] = Field(
        title="Version of this protocol; refuse any other with an error", description="1"
    )
    action: str
    session_id: str = Field(
        pattern="^sess_[A-Za-z0-9_-]{1,64}$",
        title="The session, for logs; keep nothing under it, because the "
        "next call may reach another environment",
        description="a session's id",
    )
    integration_id: str = Field(
        title="An integration of the catalogue",
        description='the id of an integration, for example "tmobile"',
    )
    livemode: bool = Field(title="False for a test link", description="true or false")
    state: Any = Field(
        title="The state of the last reply that had one, null at the start; sealed in between, "
        "and seen by nobody else"
    )


class StartRequest(_Request, title="Begin a session"):
    action: Literal["start"]
    state: None = Field(description="null at the start")
    input: None = Field(description="null at the start")
    operation: None = Field(description="null at the start")


# Besides what a model says: with a choice no input, and an answer is one of the two.
_NO_INPUT = {"properties": {"input": {"description": "null with a choice", "type": "null"}}}
_CHOICE_OR_INPUT = {
    "if": {"required": ["choice"]},
    "then": _NO_INPUT,
    "else": {"properties": {"input": {"description": "an object in an answer", "type": "object"}}},
}


class _TakesInput(_Request):
    input: dict[str, Annotated[str, Field(description="a string")]] | None = Field(
        title="What the user typed; it fits the challenge's schema", description="an object or null"
    )
    choice: str = optional(
        pattern="^[a-z_]{1,40}$",
        title="The id of the challenge's action that the user chose; then `input` is null. "
        "Left out otherwise",
        description="the id of one of the challenge's actions",
    )

    @model_validator(mode="after")
    def _choice_or_input(self) -> Self:
        if "choice" in self.model_fields_set and self.input is not None:
            raise ValueError("input is null with a choice")
        return self


class AnswerRequest(
    _TakesInput,
    title="Hand over what the user typed at the challenge that the last reply was, or chose of its actions",
    json_schema_extra=_CHOICE_OR_INPUT,
):
    action: Literal["answer"]
    operation: None = Field(description="null in an answer")

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if "choice" not in self.model_fields_set and self.input is None:
            raise ValueError("an answer is an input or a choice")
        return self


class PollRequest(_Request, title="Ask how a wait stands"):
    action: Literal["poll"]
    input: None = Field(description="null in a poll")
    operation: None = Field(description="null in a poll")


class ExecuteRequest(
    _TakesInput,
    title="Run one operation; after a challenge with what the user typed or chose, or with neither: to see "
    "how a wait stands, or, if that was lost, to begin it anew",
    json_schema_extra={"if": {"required": ["choice"]}, "then": _NO_INPUT},
):
    action: Literal["execute"]
    operation: ConnectorOperation = Field(title="What to run", description="an object in an execute")


REQUEST = {
    "version": 1,
    "sessionId": "sess_3Jb7sXyQm0KfT4ZpWn8VdC",
    "integrationId": "tmobile",
    "livemode": False,
    "state": None,
    "input": None,
    "operation": None,
}


REQUESTS = [
    REQUEST | {"action": "start"},
    REQUEST
    | {
        "action": "answer",
        "state": {"step": "login"},
        "input": {"username": "user_good", "password": "pass_good"},
    },
    REQUEST | {"action": "answer", "state": {"step": "otp"}, "choice": "new_code"},
    REQUEST | {"action": "poll", "state": {"step": "approval"}},
    REQUEST
    | {
        "action": "execute",
        "state": {"cookie": "c2Vzc2lvbg"},
        "operation": {
            "index": 0,
            "resource": "mobileBillingStatement",
            "action": "read",
            "arguments": {"limit": 3},
        },
    },
]


class ConnectorRequest(
    RootModel[
        Annotated[StartRequest | AnswerRequest | PollRequest | ExecuteRequest, Field(discriminator="action")]
    ],
    title="ConnectorRequest, version 1",
    json_schema_extra=told_by(
        "action",
        {"title": "What to do", "description": '"start", "answer", "poll" or "execute"'},
        {
            "$comment": "What a connector is invoked with. `start` begins a session, `answer` hands over "
            "what the user typed at the challenge that the last reply was, or the action of it that the user "
            "chose, `poll` asks how a `wait` stands, `execute` runs one operation after `authenticated`; "
            "replied a challenge, it comes again with what the user typed or chose, or with neither: to see "
            "how a `wait` stands, or, if that was lost, to begin the operation anew. `poll` and `choice` "
            "come only to a connector that has replied a `wait` or `actions`.",
            "description": "an object with the members of a connector's request",
            "examples": REQUESTS,
        },
    ),
): ...


# --- What it replies -----------------------------------------------------------------------------

type State = Annotated[
    Any,
    Field(
        title="What the next request brings back: all that the connector wants to remember",
        description="any JSON of at most 64 KiB",
    ),
]
Label = Annotated[
    str,
    Field(
        min_length=1,
        max_length=100,
        title="What the user reads beside it",
        description="a string of 1 to 100 characters",
    ),
]
Hint = Annotated[
    str,
    Field(
        min_length=1,
        max_length=200,
        title='What is wanted, in words that can follow "must be": '
        "the message about a value that does not fit",
        description="a string of 1 to 200 characters",
    ),
]
String = Annotated[Literal["string"], Field(description='"string"')]


def _regular_expression(text: str) -> str:
    try:
        re.compile(text)
    except re.PatternError as error:
        raise ValueError("no regular expression") from error
    return text


def _distinct(names: list[str]) -> list[str]:
    if len(set(names)) < len(names):
        raise ValueError("a name stands twice")
    return names


class TextField(
    Model,
    title="A line of text to type",
    json_schema_extra={"description": "a text field with type, title and maxLength"},
):
    type: String
    title: Label
    description: Hint = optional()
    format: Literal["password"] = optional(description='"password"')
    write_only: Literal[True] = optional(description="true")
    min_length: int = optional(
        ge=0, le=1000, title="Fewest characters", description="an integer from 0 to 1000"
    )
    max_length: int = Field(ge=1, le=1000, title="Most characters", description="an integer from 1 to 1000")
    pattern: Annotated[str, AfterValidator(_regular_expression)] = optional(
        max_length=200,
        title="A regular expression (ECMA-262) for the whole text, so begin it with ^ and end it with $",
        description="a regular expression of at most 200 characters",
        json_schema_extra={
            "$comment": "One that does not compile within 10 MB, as nested repetitions do not, is refused.",
            "format": "regex",
        },
    )


class Option(Model, json_schema_extra={"description": "an object with const and title"}):
    const: str = Field(min_length=1, max_length=200, description="a string of 1 to 200 characters")
    title: Label


class ChoiceField(
    Model,
    title="One of several options to choose",
    json_schema_extra={"description": "a choice field with type, title and oneOf"},
):
    type: String
    title: Label
    description: Hint = optional()
    one_of: list[Option] = Field(
        min_length=1,
        max_length=50,
        title="The options; the field's value is the const of the one chosen",
        description="an array of 1 to 50 options",
    )


def _a_choice_if_it_has_options(schema: dict[str, Any]) -> None:
    choice, text = schema.pop("anyOf")
    schema |= {"if": {"required": ["oneOf"]}, "then": choice, "else": text}


class Form(
    Model,
    title="The fields to ask, as a JSON Schema that any client can draw",
    json_schema_extra={"description": "a JSON Schema of a flat object"},
):
    type: Literal["object"] = Field(description='"object"')
    properties: dict[
        Annotated[
            str,
            Field(
                pattern="^[A-Za-z][A-Za-z0-9_]{0,39}$",
                description="named with a letter and at most 39 more letters, digits or _",
            ),
        ],
        Annotated[ChoiceField | TextField, Field(json_schema_extra=_a_choice_if_it_has_options)],
    ] = Field(
        max_length=10,
        title="The fields by name, in the order in which they are drawn",
        description="an object of 1 to 10 fields",
    )
    required: Annotated[
        list[Annotated[str, Field(description="the name of a field")]], AfterValidator(_distinct)
    ] = optional(
        title="The fields that must be filled in",
        description="an array of names of the fields",
        json_schema_extra={"uniqueItems": True},
    )
    additional_properties: Literal[False] = Field(description="false")


class ReplyAction(Model, title="Action", json_schema_extra={"description": "an object with id and title"}):
    id: str = Field(
        pattern="^[a-z_]{1,40}$",
        title="What comes back as `choice`",
        description="1 to 40 of the letters a to z and _",
    )
    title: Label


# A wait has no field and says how often to ask; any other challenge has one, and says no such thing.
_A_WAIT_OR_NOT = {
    "if": {"properties": {"type": {"const": "wait"}}, "required": ["type"]},
    "then": {
        "properties": {
            "schema": {
                "properties": {
                    "properties": {
                        "description": "an object without fields, because a wait takes no input",
                        "maxProperties": 0,
                    }
                }
            }
        },
        "required": ["pollSeconds"],
    },
    "else": {
        "properties": {
            "schema": {
                "properties": {
                    "properties": {"description": "an object of 1 to 10 fields", "minProperties": 1}
                }
            },
            "pollSeconds": {"description": "left out of what is no wait", "not": {}},
        }
    },
}


class ReplyChallenge(
    Model,
    title="What the user is asked",
    json_schema_extra={"description": "an object with type, title and schema"} | _A_WAIT_OR_NOT,
):
    type: ChallengeType = Field(
        title="What kind of question it is",
        description='"login", "otp", "choice" or "wait"',
        json_schema_extra={
            "$comment": "wait: the user does something elsewhere, such as approving the login in an app; the "
            "connector is asked with `poll` (in an operation with `execute`) until it replies something else."
        },
    )
    title: str = Field(
        min_length=1,
        max_length=200,
        title="The question in one sentence",
        description="a string of 1 to 200 characters",
    )
    # Not the name `schema`, which the base class has.
    form: Form = Field(alias="schema")
    message: str = optional(
        min_length=1,
        max_length=200,
        title="What was wrong with the last answer, or other news, in words of the connector's own",
        description="a string of 1 to 200 characters",
    )
    values: dict[
        str, Annotated[str, Field(max_length=1000, description="a string of at most 1000 characters")]
    ] = optional(
        title="What to fill in beforehand; never a field with `format` or `writeOnly`",
        description="an object with texts for fields of the schema",
    )
    actions: list[ReplyAction] = optional(
        max_length=5,
        title="Other things that the user may want, such as a new code",
        description="an array of at most 5 actions",
    )
    expires_in_seconds: int = optional(
        ge=1,
        le=86400,
        title="How long the user is told to have; what follows is the connector's to say",
        description="an integer from 1 to 86400",
    )
    poll_seconds: int = optional(
        ge=2,
        le=30,
        title="How often to ask how a `wait` stands",
        description="an integer from 2 to 30",
    )

    @model_validator(mode="after")
    def _a_wait_or_not(self) -> Self:
        waits = self.type == "wait"
        if ("poll_seconds" in self.model_fields_set) != waits or bool(self.form.properties) == waits:
            raise ValueError("a wait has pollSeconds and no field; all else has fields and no pollSeconds")
        return self


class ChallengeReply(Model, title="A challenge"):
    status: Literal["challenge"]
    challenge: ReplyChallenge
    state: State


class AuthenticatedReply(Model, title="The user is logged in"):
    status: Literal["authenticated"]
    state: State


class ResultReply(Model, title="The operation is done"):
    status: Literal["result"]
    data: dict[str, Any] = Field(
        title="The operation's result",
        description="an object that fits the operation's result schema in the catalogue",
    )
    state: State = optional(title="Left out, the state stays as it was")


class ErrorReply(Model, title="The link fails"):
    status: Literal["error"]
    code: Literal["LOGIN_FAILED", "CONNECTION_FAILED", "AUTOMATION_ERROR", "OUTCOME_UNKNOWN"] = Field(
        title="Why the link fails",
        description="one of LOGIN_FAILED, CONNECTION_FAILED, AUTOMATION_ERROR, OUTCOME_UNKNOWN",
        json_schema_extra={
            "$comment": "LOGIN_FAILED: from start, answer and poll, the user cannot log in and another try "
            "is pointless. CONNECTION_FAILED: the provider cannot be reached, or the request is not one that "
            "this connector knows. From execute, AUTOMATION_ERROR: the operation failed, and it is certain "
            "that nothing was changed; OUTCOME_UNKNOWN: a write may or may not have happened."
        },
    )
    reason: str = optional(
        title="Why, in one word",
        description="a string",
        json_schema_extra={
            "$comment": "With LOGIN_FAILED: bad_credentials, account_locked, password_expired, "
            "terms_not_accepted, mfa_unsupported, captcha, code_expired. With AUTOMATION_ERROR: "
            "card_declined, card_not_supported, duplicate, not_found, limit_reached, page_changed, "
            "not_offered. With CONNECTION_FAILED: provider_maintenance, provider_unreachable, "
            "blocked_by_provider. With any: other, which all else counts as."
        },
    )


REPLIES = [
    {
        "status": "challenge",
        "challenge": {
            "type": "login",
            "title": "Log in to T-Mobile",
            "schema": {
                "type": "object",
                "properties": {
                    "username": {"type": "string", "title": "User name", "minLength": 1, "maxLength": 100},
                    "password": {
                        "type": "string",
                        "title": "Password",
                        "format": "password",
                        "writeOnly": True,
                        "minLength": 1,
                        "maxLength": 100,
                    },
                },
                "required": ["username", "password"],
                "additionalProperties": False,
            },
        },
        "state": {"step": "login"},
    },
    {
        "status": "challenge",
        "challenge": {
            "type": "otp",
            "title": "Enter the code that T-Mobile sent you",
            "schema": {
                "type": "object",
                "properties": {
                    "code": {
                        "type": "string",
                        "title": "One-time code",
                        "description": "6 digits",
                        "maxLength": 6,
                        "pattern": "^[0-9]{6}$",
                    }
                },
                "required": ["code"],
                "additionalProperties": False,
            },
            "message": "That code was not right",
            "actions": [{"id": "new_code", "title": "Send a new code"}],
            "expiresInSeconds": 300,
        },
        "state": {"step": "otp"},
    },
    {
        "status": "challenge",
        "challenge": {
            "type": "choice",
            "title": "Where shall the code be sent?",
            "schema": {
                "type": "object",
                "properties": {
                    "channel": {
                        "type": "string",
                        "title": "Send it to",
                        "oneOf": [
                            {"const": "sms", "title": "The phone that ends in 88"},
                            {"const": "email", "title": "j***@example.com"},
                        ],
                    }
                },
                "required": ["channel"],
                "additionalProperties": False,
            },
        },
        "state": {"step": "channel"},
    },
    {
        "status": "challenge",
        "challenge": {
            "type": "wait",
            "title": "Approve the login in the T-Mobile app",
            "schema": {"type": "object", "properties": {}, "additionalProperties": False},
            "pollSeconds": 3,
        },
        "state": {"step": "approval"},
    },
    {"status": "authenticated", "state": {"cookie": "c2Vzc2lvbg"}},
    {
        "status": "result",
        "data": {"billing": [{"periodStart": "2026-10-01", "amountDue": "41.90", "currency": "USD"}]},
    },
    {"status": "error", "code": "CONNECTION_FAILED", "reason": "provider_maintenance"},
]


class ConnectorReply(
    RootModel[
        Annotated[
            ChallengeReply | AuthenticatedReply | ResultReply | ErrorReply, Field(discriminator="status")
        ]
    ],
    title="ConnectorReply, version 1",
    json_schema_extra=told_by(
        "status",
        {"title": "How far it got", "description": '"challenge", "authenticated", "result" or "error"'},
        {
            "$comment": "What a connector replies. At most 1 MiB; of that a challenge at most 64 KiB, a "
            "result at most 240 KiB, and all results of a link together, with the metadata that its maker "
            "gave it, at most 256 KiB. Integers have at most 53 bits. No member is for what a provider's "
            "page says, because it may hold a secret. `start`, `answer` and `poll` reply challenge, "
            "authenticated or error; `execute` replies result, error or, at most 5 times for one operation, "
            "challenge: whoever replies that to a write says that nothing has been written yet.",
            "description": "an object with the members of a connector's reply",
            "examples": REPLIES,
        },
    ),
): ...
