"""What a session and a connector say to each other, version 1.

A `title` says what a member is. A `description` ends the sentence of an issue: "must be ...".
"""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, RootModel

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
        title="Position in the link; an operation that comes again is a read that was interrupted",
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


class AnswerRequest(_Request, title="Hand over what the user typed at the challenge that the last reply was"):
    action: Literal["answer"]
    input: dict[str, Annotated[str, Field(description="a string")]] = Field(
        title="What the user typed; it fits the challenge's schema", description="an object in an answer"
    )
    operation: None = Field(description="null in an answer")


class ExecuteRequest(_Request, title="Run one operation"):
    action: Literal["execute"]
    input: None = Field(description="null in an execute")
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
    RootModel[Annotated[StartRequest | AnswerRequest | ExecuteRequest, Field(discriminator="action")]],
    title="ConnectorRequest, version 1",
    json_schema_extra=told_by(
        "action",
        {"title": "What to do", "description": '"start", "answer" or "execute"'},
        {
            "$comment": "What a connector is invoked with. `start` begins a session, `answer` hands over "
            "what the user typed at the challenge that the last reply was, `execute` runs one operation "
            "after `authenticated`.",
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
        min_length=1,
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


class ReplyChallenge(
    Model,
    title="What the user is asked",
    json_schema_extra={"description": "an object with type, title and schema"},
):
    type: ChallengeType = Field(title="What kind of question it is", description='"login", "otp" or "choice"')
    title: str = Field(
        min_length=1,
        max_length=200,
        title="The question in one sentence; after a wrong answer it says so",
        description="a string of 1 to 200 characters",
    )
    # Not the name `schema`, which the base class has.
    form: Form = Field(alias="schema")


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
            "$comment": "LOGIN_FAILED: from start and answer, the user cannot log in and another try is "
            "pointless. CONNECTION_FAILED: the provider cannot be reached, or the request is not one that "
            "this connector knows. From execute, AUTOMATION_ERROR: the operation failed, and it is certain "
            "that nothing was changed; OUTCOME_UNKNOWN: a write may or may not have happened."
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
    {"status": "authenticated", "state": {"cookie": "c2Vzc2lvbg"}},
    {
        "status": "result",
        "data": {"billing": [{"periodStart": "2026-10-01", "amountDue": "41.90", "currency": "USD"}]},
    },
    {"status": "error", "code": "CONNECTION_FAILED"},
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
            "gave it, at most 256 KiB. Integers have at most 53 bits. There is no member for free text, "
            "because what a provider's page says may hold a secret. `start` and `answer` reply challenge, "
            "authenticated or error; `execute` replies result or error.",
            "description": "an object with the members of a connector's reply",
            "examples": REPLIES,
        },
    ),
): ...
