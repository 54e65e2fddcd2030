"""What the models of schemas/ are made of. No function imports them: pydantic takes a third of a cold start.

`make schemas` writes from them what functions and clients read.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from pydantic.json_schema import GenerateJsonSchema, models_json_schema

# At least 96 random bits, 128 in a claim code.
LinkId = Annotated[str, Field(pattern=r"^link_[A-Za-z0-9_-]{16,}$", examples=["link_3Jb7sXyQm0KfT4ZpWn8VdC"])]
ClaimCode = Annotated[
    str, Field(pattern=r"^clm_[A-Za-z0-9_-]{22,}$", examples=["clm_5uYhR2cGtE9oLxAqBv1NwM"])
]
EventId = Annotated[str, Field(pattern=r"^msg_[A-Za-z0-9_-]{16,}$")]
SessionId = Annotated[str, Field(pattern=r"^sess_[A-Za-z0-9_-]{16,}$")]
# Without the format, clients in Go, Java, C# and others read 32 bits.
Time = Annotated[
    int,
    Field(
        ge=0,
        description="Milliseconds since 1970-01-01 UTC",
        examples=[1704067200000],
        json_schema_extra={"format": "int64"},
    ),
]
Count = Annotated[int, Field(ge=0)]
Url = Annotated[str, Field(json_schema_extra={"format": "uri"})]

# Named, so that clients that are made of openapi.json have each once. They may grow.
type Action = Literal["read", "write"]
type LinkStatus = Literal["pending", "active", "complete", "failed", "expired", "canceled"]
type WebhookStatus = Literal["none", "pending", "delivered", "exhausted"]
type EventType = Literal["link.complete", "link.failed", "link.expired", "link.canceled"]
type LinkErrorCode = Literal[
    "LOGIN_FAILED",
    "USER_CANCELED",
    "CLIENT_TIMEOUT",
    "AUTOMATION_ERROR",
    "RESULT_VALIDATION_ERROR",
    "CONNECTION_FAILED",
    "OUTCOME_UNKNOWN",
    "INTERNAL_ERROR",
]
type ChallengeType = Literal["login", "otp", "choice", "wait"]


class Model(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", alias_generator=to_camel)


def optional(**said: Any) -> Any:
    """A member that may be left out, and is never null."""
    return Field(default_factory=lambda: None, **said)


class Generator(GenerateJsonSchema):
    """JSON Schema without titles of its own, which would only repeat the names."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 # the base class's signature
        return False


def json_schemas(
    models: Sequence[type[BaseModel]], at: str, generator: type[GenerateJsonSchema] = Generator
) -> dict[str, Any]:
    """The schemas of models and of all that is in them, by name; they refer to each other under `at`."""
    _, made = models_json_schema(
        [(model, "validation") for model in models],
        ref_template=f"{at}/{{model}}",
        schema_generator=generator,
    )
    schemas: dict[str, Any] = made["$defs"]
    return schemas
