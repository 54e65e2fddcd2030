"""What callers are sent about their links, and what the queues carry."""

from typing import Annotated, Literal

from pydantic import Field, JsonValue

from schemas.answers import LinkFailure
from schemas.shapes import Count, EventId, EventType, LinkId, Model, SessionId, Time, WebhookStatus


class EventData(Model):
    """How a link ended; what has no value is null."""

    link_id: Annotated[str, Field(pattern=r"^link_([A-Za-z0-9_-]{16,}|test)$")] = Field(
        description="link_test in a webhook test."
    )
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


class EventDelivery(Model):
    status: WebhookStatus
    attempts: Count


class ListedEvent(Event):
    """The end of a link, with or without a webhookUrl: what was sent of it, and how that went."""

    id: EventId = Field(description="The webhook-id of each attempt.")
    webhook: EventDelivery


class EventList(Model):
    """A page of events: newest first, or oldest first with `after`."""

    events: Annotated[list[ListedEvent], Field(max_length=100)]
    next_cursor: str | None = Field(description="The `cursor` of the next page; null on the last.")


class SessionMessage(Model):
    """SessionQueue's: a session whose turn it is."""

    session_id: SessionId


class DeliveryMessage(Model):
    """WebhookQueue's: a link whose event is due."""

    link_id: LinkId
    hops: Count = Field(description="How many messages were sent on before it, because the wait was long.")
