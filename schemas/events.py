"""What callers are sent about their links, and what the queues carry."""

from typing import Literal

from pydantic import Field, JsonValue

from schemas.answers import LinkFailure
from schemas.shapes import Count, LinkId, Model, SessionId, Time

type EventType = Literal["link.complete", "link.failed", "link.expired", "link.canceled"]


class EventData(Model):
    """How a link ended; what has no value is null."""

    link_id: LinkId
    status: Literal["complete", "failed", "expired", "canceled"]
    integration_id: str
    external_user_id: str | None
    metadata: dict[str, str] | None
    livemode: bool
    result: dict[str, JsonValue] | None = Field(description="As the link has it.")
    error: LinkFailure | None
    created_at: Time
    completed_at: Time


class Event(Model):
    """The body of a webhook: the same bytes in each attempt."""

    type: EventType
    timestamp: str = Field(
        pattern=r"^[0-9]{4}(-[0-9]{2}){2}T([0-9]{2}:){2}[0-9]{2}\.[0-9]{3}Z$",
        json_schema_extra={"format": "date-time"},
    )
    data: EventData


class SessionMessage(Model):
    """SessionQueue's: a session whose turn it is."""

    session_id: SessionId


class DeliveryMessage(Model):
    """WebhookQueue's: a link whose event is due."""

    link_id: LinkId
    hops: Count = Field(description="How many messages were sent on before it, because the wait was long.")
