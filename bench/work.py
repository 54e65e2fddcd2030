"""What the subjects are asked to do, and what AWS answers while they do it."""

import base64
import copy
import functools
import hashlib
import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from latchkey.adapters import sealing, store
from latchkey.domain import ids, views
from latchkey.domain.links import Link, Operation, Sealed, Session, Webhook, ended
from latchkey.services import webhook_secrets
from tests.template import environment, resources

ROOT = Path(__file__).parent.parent
NOW = 1_704_067_200_000  # of what is stored
NEVER = NOW * 2  # when it ends
DATA_KEY = bytes(32)

os.environ |= environment()  # for the rows that are written here
ENVIRONMENT = environment() | {
    "LINK_BASE_URL": "https://appclip.example.com",
    "KEY_RATE": "1000000",  # so that all pass, and the key's use is told as often as it may be
    "POWERTOOLS_METRICS_NAMESPACE": "bench",  # which Powertools' Metrics ask for
    # As on Lambda.
    "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "bench",
    "AWS_SESSION_TOKEN": "bench",
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
    "AWS_LAMBDA_FUNCTION_NAME": "bench",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
    "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
    "LAMBDA_TASK_ROOT": "/var/task",
    "LANG": "en_US.UTF-8",
    "TZ": ":UTC",
    # Whoever runs this may have an AWS profile.
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}


@dataclass(frozen=True)
class Event:
    """One request, what AWS answers to the calls it causes, and the writes that each such request makes."""

    content: dict[str, Any]
    answers: dict[str, Any]
    writes: int | None = None  # None: not counted


def api_functions() -> dict[str, str]:
    """Each function of the template that has a route: its name and its logical id."""
    return {
        function["CodeUri"].removeprefix("functions/"): logical_id
        for logical_id, function in resources("AWS::Serverless::Function").items()
        if any(event["Type"] == "HttpApi" for event in function.get("Events", {}).values())
    }


def sample(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((ROOT / f"events/{name}.json").read_text())
    return content


@functools.cache
def events() -> dict[str, Event]:
    """By name: two of create_link, each other function's sample, and `broken ...`, to be refused."""
    founding = sample("create_link")
    founding["headers"]["idempotency-key"] = "bench"  # everything on
    body = json.loads(founding["body"])
    write = next(o for o in body["operations"] if o.get("arguments"))
    read = {"resource": write["resource"], "action": "read"}
    bad_write = {**write, "arguments": write["arguments"] | {"cvv": "12"}}
    common = {
        "GetItem key": {"Item": _api_key(founding)},
        "GetItem settings": {},
        "UpdateItem key": {"Attributes": {}},
        "PutItem": {},
        "DeleteItem": {},
        "SendMessage": {"MessageId": "bench", "MD5OfMessageBody": ""},
        "GenerateDataKey": {
            "CiphertextBlob": "d3JhcHBlZA==",
            "Plaintext": base64.b64encode(DATA_KEY).decode(),
        },
        "Decrypt": {"Plaintext": base64.b64encode(DATA_KEY).decode()},
    }

    def create(writes: int, **changes: Any) -> Event:
        return Event({**copy.deepcopy(founding), "body": json.dumps(body | changes)}, common, writes)

    def without_key(event: dict[str, Any]) -> Event:
        headers = {k: v for k, v in event["headers"].items() if k.lower() != "authorization"}
        return Event({**event, "headers": headers}, common)

    others = {name: Event(sample(name), common | _stored(name)) for name in api_functions()}
    del others["create_link"]
    return others | {
        "plain": create(1, operations=[read, read]),
        "founding": create(2),
        "broken key": without_key(founding),
        "broken field": create(0, integrationId=None),
        "broken argument": create(0, operations=[bad_write]),
    }


def _api_key(event: dict[str, Any]) -> dict[str, Any]:
    key = event["headers"]["authorization"].removeprefix("Bearer ")
    row = {"pk": "key#" + hashlib.sha256(key.encode()).hexdigest(), "sk": "key"}
    item: dict[str, Any] = store._item(row | {"account": "acme", "livemode": False})
    return item


def _stored(name: str) -> dict[str, Any]:
    """What the store answers to this function; a pending link, unless it works on another kind."""
    pending = _pending()
    token = sample("client_session")["headers"]["authorization"].removeprefix("Bearer ")
    session = Session(NOW, NEVER, ids.token_hash(token), challenge='{"id": "1", "schema": {}}')
    active = replace(pending, status="active", session=session)
    canceled = replace(ended(active, "canceled", NOW), webhook=Webhook("msg_1", next_attempt_at=NOW))
    found, updated, rows = pending, active, [{"pk": pending.link_id, "sk": "arguments#1"}]
    match name:
        case "client_session":
            found = active
        case "cancel_link":
            found, updated = active, canceled
        case "get_link" | "link_deliveries":
            found = complete()
        case "list_links":
            rows = [_row(pending)] * 20
        case "list_events":
            rows = [_row(complete())] * 20
    secrets = json.dumps([webhook_secrets.Secret("whsec_" + "A" * 32, None)]).encode()
    account = _sealed(secrets, "account#acme", sealing.WEBHOOK_SECRET)
    return {
        "GetItem link": {"Item": store._item(_row(found))},
        "GetItem account": {"Item": store._item(store._members(account))},
        "UpdateItem": {"Attributes": store._item(_row(updated))},
        "Query": {"Items": [store._item(row) for row in rows]},
        "BatchGetItem": {
            "Responses": {"LinksTable": [store._item(row) for row in rows]},
            "UnprocessedKeys": {},
        },
    }


def _pending() -> Link:
    body = json.loads(sample("create_link")["body"])
    return Link(
        link_id=ids.link_id(json.loads(sample("claim_link")["body"])["code"]),
        owner="acme#test",
        livemode=False,
        integration_id=body["integrationId"],
        operations=tuple(Operation(o["resource"], o["action"]) for o in body["operations"]),
        status="pending",
        base_url="https://appclip.example.com",
        created_at=NOW,
        updated_at=NOW,
        expires_at=NEVER,
        write_token="0" * 17,
        arguments_row="arguments#" + "0" * 17,
        secrets=True,
        webhook_url=body["webhookUrl"],
        return_url=body["returnUrl"],
        external_user_id=body["externalUserId"],
    )


def complete() -> Link:
    """A link of the founding example that has ended and whose event has been delivered."""
    link = _pending()
    data = [{"paymentMethods": [_METHOD]}, {"success": True, "card": {"last4": "4242"}}]
    result = {
        "operations": [
            {"resource": o.resource, "action": o.action, "data": data[i]}
            for i, o in enumerate(link.operations)
        ]
    }
    last = ended(replace(link, session=Session(NOW, NEVER, bytes(32)), secrets=False), "complete", NOW)
    sealed = _sealed(views.event_body(last, result), link.link_id, sealing.EVENT)
    attempt = {"attempt": 1, "at": NOW, "durationMs": 120, "statusCode": 204}
    webhook = Webhook("msg_" + "0" * 22, "delivered", 1)
    end_order = f"{NOW:015d}.{link.link_id}"
    return replace(last, event=sealed, webhook=webhook, deliveries=(attempt,), end_order=end_order)


_METHOD = {
    "order": 0,
    "vendorId": "pm-1",
    "last4": "4242",
    "type": "credit_card",
    "isDefault": True,
    "brand": "visa",
    "expirationDate": "12/30",
    "billingZip": "98101",
}


def _row(link: Link) -> dict[str, Any]:
    return store._link_row(link)


def _sealed(plaintext: bytes, subject: str, purpose: str) -> Sealed:
    nonce = bytes(sealing.NONCE_BYTES)
    additional = sealing.additional_data("acme", subject, purpose)
    return Sealed(nonce + AESGCM(DATA_KEY).encrypt(nonce, plaintext, additional), b"wrapped")
