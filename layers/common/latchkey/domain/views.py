"""What callers and clients are shown of a link. Pure; times are in milliseconds."""

import json
from typing import Any

from latchkey.domain import ids
from latchkey.domain.catalogue import providers
from latchkey.domain.links import MAX_STEPS, OPEN, Failure, Link, Operation, as_of, session_of
from latchkey.domain.sandbox import PASSWORD, USERS

MESSAGES = {
    "LOGIN_FAILED": "The user could not log in",
    "USER_CANCELED": "The user canceled",
    "CLIENT_TIMEOUT": "The session's time ran out before everything was done",
    "AUTOMATION_ERROR": "An operation failed at the provider",
    "RESULT_VALIDATION_ERROR": "The provider's data does not match the result's schema",
    "CONNECTION_FAILED": "The provider could not be reached",
    "OUTCOME_UNKNOWN": "A write was interrupted and may or may not have happened: check before trying again",
    "INTERNAL_ERROR": "Something went wrong on our side; try again with a new link",
}

# Of each reason that a connector may give, what support staff read after the message.
REASONS = {
    "bad_credentials": "the provider did not accept the user name or the password",
    "account_locked": "the provider has locked the account",
    "password_expired": "the provider wants a new password first",
    "terms_not_accepted": "the provider wants its terms accepted first",
    "mfa_unsupported": "the account's second factor is one that cannot be used here",
    "captcha": "the provider wanted proof that a human was there",
    "code_expired": "the one-time code was no longer valid",
    "card_declined": "the provider declined the card",
    "card_not_supported": "the provider does not take this kind of card",
    "duplicate": "the provider has this already",
    "not_found": "the account has nothing of the kind",
    "limit_reached": "the provider allows no more of it",
    "page_changed": "the provider's pages are not as the connector knows them",
    "not_offered": "the provider does not offer this for the account",
    "provider_maintenance": "the provider is closed for maintenance",
    "provider_unreachable": "the provider did not answer",
    "blocked_by_provider": "the provider turned the connector away",
    "other": "for a reason that has no name here",
}


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


def link_view(stored: Link, now: int) -> dict[str, Any]:
    """The link as its owner reads it at `now`, without its result; what has no value is null."""
    link = as_of(stored, now)
    view: dict[str, Any] = {
        "linkId": link.link_id,
        "integrationId": link.integration_id,
        "operations": [
            {"resource": o.resource, "action": o.action, "status": _operation_status(link, o)}
            for o in link.operations
        ],
        "status": link.status,
        "livemode": link.livemode,
        "debug": link.debug,
        "externalUserId": link.external_user_id,
        "metadata": link.metadata,
        "returnUrl": link.return_url,
        "embedOrigins": list(link.embed_origins) or None,
        "sessionId": None if link.session is None else ids.session_id(link.link_id),
        "error": error_view(link.error),
        "webhook": webhook_view(link),
        "createdAt": link.created_at,
        "updatedAt": link.updated_at,
        "claimedAt": None if link.session is None else link.session.claimed_at,
        "completedAt": link.completed_at,
        "expiresAt": link.expires_at,
        "erasedAt": link.erased_at,
    }
    if not link.livemode:
        turned, shows = link.clock_offset, link.clock(now)
        view["testClock"] = {"offsetMs": turned, "now": shows} if turned else None
    if link.debug:
        view["timeline"] = _timeline(link)
    return view


def claimed_view(link: Link, client_token: str) -> dict[str, Any]:
    """The answer to a claim. No other answer holds the client token."""
    return {
        "linkId": link.link_id,
        "sessionId": ids.session_id(link.link_id),
        "clientToken": client_token,
        "expiresAt": session_of(link).ends_at,
        "integration": _integration(link),
        "operations": [
            {"resource": o.resource, "action": o.action, "description": _description(link, o)}
            for o in link.operations
        ],
        "returnUrl": link.return_url,
    }


def session_view(stored: Link, now: int) -> dict[str, Any]:
    """The session as its client reads it at `now`: never a result."""
    link = as_of(stored, now)
    session, status = session_of(link), link.status
    asks = status == "active" and session.awaits_input
    if status == "active":
        status = "awaiting_input" if asks else "running"
    elif link.error is not None and link.error.code == "USER_CANCELED":
        status = "canceled"
    return {
        "sessionId": ids.session_id(link.link_id),
        "linkId": link.link_id,
        "status": status,
        "integration": _integration(link),
        "challenge": _challenge(session.challenge) if asks and session.challenge else None,
        "operations": [
            {
                "resource": o.resource,
                "action": o.action,
                "description": _description(link, o),
                "status": _operation_status(link, o),
            }
            for o in link.operations
        ],
        "error": _told_to_the_client(link.error),
        "returnUrl": link.return_url,
        "expiresAt": session.ends_at,
    }


def status_view(stored: Link, now: int) -> dict[str, Any]:
    """How the link stands at `now`, and no more: as whoever has its claim code may know."""
    link = as_of(stored, now)
    return {
        "linkId": link.link_id,
        "status": link.status,
        "error": _told_to_the_client(link.error),
        "expiresAt": link.expires_at if link.session is None else link.session.ends_at,
        "completedAt": link.completed_at,
    }


def error_view(error: Failure | None) -> dict[str, Any] | None:
    """Why the link failed, in words of ours: a provider's own may hold anything."""
    if error is None:
        return None
    message = MESSAGES[error.code]
    if error.reason is not None:
        message += f": {REASONS[error.reason]}"
    return {
        "code": error.code,
        "message": message,
        "operationIndex": error.operation_index,
        "reason": error.reason,
    }


def webhook_view(link: Link) -> dict[str, Any]:
    """How the delivery of the link's event stands."""
    webhook = link.webhook
    if webhook is None:
        return {"status": "none", "attempts": 0, "nextAttemptAt": None}
    return {
        "status": webhook.status if webhook.due_at is None else "pending",
        "attempts": webhook.attempts,
        "nextAttemptAt": webhook.due_at,
    }


def listed_event_view(link: Link, body: bytes) -> dict[str, Any]:
    """The event of a link that has ended: what was or would be sent, and how its delivery stands."""
    webhook = webhook_view(link)
    del webhook["nextAttemptAt"]
    return {"id": ids.event_id(link.link_id), **json.loads(body), "webhook": webhook}


def deliveries_view(link: Link) -> list[dict[str, Any]]:
    """The attempts, oldest first; what has no value is null."""
    return [{"statusCode": None, "error": None} | delivery for delivery in link.deliveries]


def _told_to_the_client(error: Failure | None) -> dict[str, Any] | None:
    return None if error is None else {"code": error.code, "reason": error.reason}


def _challenge(text: str) -> dict[str, Any]:
    """What the user is asked; when a connector is asked again is between it and its workers."""
    asked = json.loads(text).items()
    return {name: value for name, value in asked if name not in ("pollSeconds", "expiresInSeconds")}


def _operation_status(link: Link, operation: Operation) -> str:
    if link.status in OPEN or operation.status == "succeeded":
        return "running" if operation.status == "asking" else operation.status
    if operation.status == "pending":
        return "skipped"
    return "unknown" if link.error is not None and link.error.code == "OUTCOME_UNKNOWN" else "failed"


def _integration(link: Link) -> dict[str, str]:
    return {"id": link.integration_id, "name": providers()[link.integration_id].name}


def _description(link: Link, operation: Operation) -> str:
    return providers()[link.integration_id].resources[operation.resource][operation.action].description


def _timeline(link: Link) -> list[dict[str, Any]]:
    steps: list[dict[str, Any]] = [{"at": link.created_at, "event": "link.created"}]
    if link.session is not None:
        steps.append({"at": link.session.claimed_at, "event": "link.claimed"})
    steps += link.timeline
    if link.completed_at is not None:
        step: dict[str, Any] = {"at": link.completed_at, "event": f"link.{link.status}"}
        if link.error is not None and link.error.operation_index is not None:
            step["operationIndex"] = link.error.operation_index
        steps.append(step)
    return steps[:MAX_STEPS]


def outcomes_view() -> list[dict[str, Any]]:
    """The sandbox's users, and how the link of each ends."""
    return [
        {
            "username": user.username,
            "password": PASSWORD,
            "description": user.description,
            "status": "complete" if user.error_code is None else "failed",
            "errorCode": user.error_code,
            "reason": user.reason,
        }
        for user in USERS
    ]


def event_body(link: Link, result: dict[str, Any] | None) -> bytes:
    """The webhook's body for the link in its end state."""
    assert link.completed_at is not None
    data = {
        "linkId": link.link_id,
        "status": link.status,
        "integrationId": link.integration_id,
        "externalUserId": link.external_user_id,
        "metadata": link.metadata,
        "livemode": link.livemode,
        "result": result,
        "error": error_view(link.error),
        "createdAt": link.created_at,
        "completedAt": link.completed_at,
    }
    event = {"type": f"link.{link.status}", "timestamp": _iso(link.completed_at), "data": data}
    return json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()


def _iso(at: int) -> str:
    from datetime import UTC, datetime

    moment = datetime.fromtimestamp(at / 1000, UTC).replace(microsecond=at % 1000 * 1000)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
