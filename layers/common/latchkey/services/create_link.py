"""Create Link: one put, two when there are arguments to seal."""

import hmac
from typing import Any

from latchkey.adapters import sealing, store, telemetry
from latchkey.domain import ids, strictjson, urls
from latchkey.domain.errors import GoneError, IdempotencyKeyReusedError, UnavailableError
from latchkey.domain.links import DEFAULT_EXPIRES_IN, Link, Operation
from latchkey.services import accounts
from latchkey.services.authenticate import Caller


def create_link(
    body: dict[str, Any], caller: Caller, idempotency_key: str | None, base_url: str, now: int
) -> tuple[Link, str, bool]:
    """Make a link of a validated body; returns it, its claim code, and whether it had been there before.

    With an Idempotency-Key the claim code, and from it the link's id, are derived from the API key and
    that key: a repeated request meets its own link, and no response is stored to replay.
    Raises GoneError when that link was erased, IdempotencyKeyReusedError when it was made of another body.
    """
    if idempotency_key is None:
        claim_code, fingerprint = ids.new_claim_code(), None
    else:
        claim_code = ids.derived_claim_code(caller.api_key, idempotency_key)
        fingerprint = ids.keyed_digest(caller.api_key, "body", strictjson.canonical(body))
    link_id = ids.link_id(claim_code)
    arguments = [operation.get("arguments") or None for operation in body["operations"]]
    return_url = body.get("returnUrl")
    token = ids.new_token()
    link = Link(
        link_id=link_id,
        owner=caller.owner,
        livemode=caller.livemode,
        integration_id=body["integrationId"],
        operations=tuple(Operation(o["resource"], o["action"]) for o in body["operations"]),
        status="pending",
        base_url=base_url,
        created_at=now,
        updated_at=now,
        expires_at=now + 1000 * int(body.get("expiresIn", DEFAULT_EXPIRES_IN)),
        write_token=token,
        # A row of this request's own, so that no request touches another's.
        arguments_row=f"{sealing.ARGUMENTS}#{token}" if any(arguments) else None,
        secrets=any(arguments),
        debug=body.get("debug", False),
        webhook_url=body.get("webhookUrl") or accounts.default_webhook(caller.account, now),
        return_url=None if return_url is None else urls.add_link_id(return_url, link_id),
        embed_origins=tuple(body.get("embedOrigins", ())),
        external_user_id=body.get("externalUserId"),
        metadata=body.get("metadata"),
        fingerprint=fingerprint,
    )
    if link.arguments_row is not None:  # first, so that no link can be claimed before its arguments are there
        sealed = sealing.seal(
            strictjson.canonical(arguments),
            account=caller.account,
            subject=link_id,
            purpose=sealing.ARGUMENTS,
            now=now,
        )
        store.put_secret(link, link.arguments_row, sealed)
    stored = store.put_link(link)
    # The token, not the outcome of the put: a put whose answer was lost is sent again and finds itself.
    if stored.write_token == token:
        return stored, claim_code, False
    if link.arguments_row is not None:
        _take_back(link, link.arguments_row)
    if stored.erased_at is not None:
        raise GoneError("The link of this Idempotency-Key was erased; use a new key for a new link")
    if fingerprint is None or not hmac.compare_digest(stored.fingerprint or b"", fingerprint):
        raise IdempotencyKeyReusedError
    return stored, claim_code, True


def _take_back(link: Link, row: str) -> None:
    try:
        store.delete_secret(link, row)
    except UnavailableError:
        # They are sealed, nothing refers to them, and they go when the link ends or by the table's TTL.
        telemetry.logger.warning("spare sealed arguments are left", linkId=link.link_id)
