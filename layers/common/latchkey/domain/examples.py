"""An event of each type, made as real ones are: what is published, and what a webhook test sends. Pure."""

from latchkey.domain.catalogue import providers
from latchkey.domain.links import DEFAULT_EXPIRES_IN, Link, Operation, ended
from latchkey.domain.views import event_body

# How the link of each type ends, a minute after it was made.
EVENT_TYPES = ("link.complete", "link.failed", "link.expired", "link.canceled")


def event(type_: str, link_id: str, ended_at: int, *, livemode: bool) -> bytes:
    """The body of an event of a link that ended so."""
    integration_id, provider = next(iter(providers().items()))
    resource, actions = next(iter(provider.resources.items()))
    action, operation = next(iter(actions.items()))
    created_at = ended_at - 60_000
    link = Link(
        link_id=link_id,
        owner="-",
        livemode=livemode,
        integration_id=integration_id,
        operations=(Operation(resource, action),),
        status="active",
        base_url="-",
        created_at=created_at,
        updated_at=created_at,
        expires_at=created_at + 1000 * DEFAULT_EXPIRES_IN,
        write_token="-",  # noqa: S106 # not part of an event
        external_user_id="user_123",
        metadata={"plan": "pro"},
    )
    status = type_.removeprefix("link.")
    last = ended(link, status, ended_at, "LOGIN_FAILED" if status == "failed" else None)
    return event_body(last, operation.result["examples"][0] if status == "complete" else None)
