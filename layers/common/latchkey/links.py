"""The link: what it holds, what it looks like, when it is over. Pure; times are in milliseconds."""

import hashlib
from dataclasses import dataclass
from typing import Any

DEFAULT_EXPIRES_IN = 14_400  # seconds: 4 hours
DUE_SHARDS = 16
_DAY = 86_400  # seconds


@dataclass(frozen=True, slots=True)
class Operation:
    """One step of a link; its arguments are sealed elsewhere."""

    resource: str
    action: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A link as it is stored."""

    link_id: str
    owner: str
    livemode: bool
    integration_id: str
    operations: tuple[Operation, ...]
    status: str
    base_url: str
    created_at: int
    updated_at: int
    expires_at: int
    write_token: str  # tells the request that wrote the item from one that found it there
    sealed_arguments: bool
    debug: bool = False
    webhook_url: str | None = None
    return_url: str | None = None
    external_user_id: str | None = None
    metadata: dict[str, str] | None = None
    fingerprint: bytes | None = None  # keyed digest of the body that an Idempotency-Key came with

    @property
    def arguments_row(self) -> str:
        """Sort key of the link's sealed arguments. One per write, so that no request touches another's."""
        return f"arguments#{self.write_token}"

    def due(self) -> tuple[int, int]:
        """Shard and time at which the link next needs attention."""
        return hashlib.sha256(self.link_id.encode()).digest()[0] % DUE_SHARDS, self.expires_at

    def ttl(self, retention_days: int) -> int:
        """When the record may be deleted, in seconds."""
        return -(-self.expires_at // 1000) + retention_days * _DAY

    def secrets_ttl(self) -> int:
        """When sealed arguments are deleted at the latest, in seconds; a session may outlive expiry."""
        return -(-self.expires_at // 1000) + _DAY


def status_at(link: Link, now: int) -> str:
    """The link's state: a pending link is expired at `expiresAt`, whatever the store still says."""
    return "expired" if link.status == "pending" and now >= link.expires_at else link.status


def created_view(link: Link, claim_code: str) -> dict[str, Any]:
    """The answer to Create Link. The same for every replay, so it shows the link as it was made."""
    view: dict[str, Any] = {
        "linkId": link.link_id,
        "claimCode": claim_code,
        "integrationId": link.integration_id,
        "operations": [{"resource": o.resource, "action": o.action} for o in link.operations],
        "status": "pending",
        "appClipUrl": f"{link.base_url}/{link.link_id}?code={claim_code}",
    }
    if link.return_url is not None:
        view["returnUrl"] = link.return_url
    return view | {"expiresAt": link.expires_at, "createdAt": link.created_at}


def link_view(link: Link, now: int) -> dict[str, Any]:
    """The link as its owner reads it at `now`; what has no value is null."""
    status = status_at(link, now)
    expired = status == "expired"
    view: dict[str, Any] = {
        "linkId": link.link_id,
        "integrationId": link.integration_id,
        "operations": [
            {"resource": o.resource, "action": o.action, "status": "skipped" if expired else "pending"}
            for o in link.operations
        ],
        "status": status,
        "livemode": link.livemode,
        "debug": link.debug,
        "externalUserId": link.external_user_id,
        "metadata": link.metadata,
        "returnUrl": link.return_url,
        "sessionId": None,
        "result": None,
        "error": None,
        "webhook": {"status": "none", "attempts": 0, "nextAttemptAt": None},
        "createdAt": link.created_at,
        "updatedAt": link.expires_at if expired else link.updated_at,
        "claimedAt": None,
        "completedAt": link.expires_at if expired else None,
        "expiresAt": link.expires_at,
    }
    if link.debug:
        view["timeline"] = [{"at": link.created_at, "event": "link.created"}]
        if expired:
            view["timeline"].append({"at": link.expires_at, "event": "link.expired"})
    return view
