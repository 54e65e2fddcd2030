"""What AWS takes at most: items, environments, addresses."""

from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import pytest

from bench.costs import size
from latchkey.adapters import settings, store
from latchkey.domain import deliveries, links
from latchkey.domain.catalogue import providers
from latchkey.domain.connector_protocol import MAX_CHALLENGE_BYTES
from latchkey.domain.links import Failure, Link, Operation, Sealed, Session, Webhook
from latchkey.services.end_link import MAX_EVENT_BYTES
from tests.integration.conftest import Stack, founding
from tests.template import environment, resources

ITEM = 400 * 1024  # DynamoDB
ENVIRONMENT = 4 * 1024  # Lambda: names and values together
LINE_AND_HEADERS = 10_240  # API Gateway
WIDE = "\U0001f511"  # four bytes; six characters in JSON's ASCII, twice; twelve in a URL
STEP = {"at": 1_704_067_200_000, "event": "operation.succeeded", "operationIndex": 9, "durationMs": 60_000}
DELIVERY = {"attempt": 1100, "at": 1_704_067_200_000, "durationMs": 15_000, "statusCode": 599}


def longest() -> Link:
    """A link with the most of everything that both its ends may have."""
    return Link(
        link_id="link_" + 22 * "x",
        owner="a" * 64 + "#live",
        livemode=True,
        integration_id="i" * 64,
        operations=20 * (Operation("r" * 64, "write", "succeeded", 3, 5, "result#" + 22 * "x"),),
        status="complete",
        base_url="https://" + 253 * "x",
        created_at=1_704_067_200_000,
        updated_at=1_704_067_200_000,
        expires_at=1_704_067_200_000,
        write_token=22 * "x",
        arguments_row="arguments#" + 22 * "x",
        secrets=True,
        debug=True,
        webhook_url=2048 * "x",
        return_url=(2048 + 40) * "x",
        embed_origins=10 * ("https://" + 253 * "x" + ":65535",),
        external_user_id=256 * WIDE,
        metadata={38 * WIDE + f"{n:02}": 500 * WIDE for n in range(50)},
        fingerprint=32 * b"x",
        session=Session(
            claimed_at=1_704_067_200_000,
            ends_at=1_704_067_200_000,
            token_hash=32 * b"x",
            input_row="input#" + 22 * "x",
            state_row="state#" + 22 * "x",
            authenticated=True,
            lease_until=1_704_067_200_000,
        ),
        error=Failure("RESULT_VALIDATION_ERROR", 9, "r" * 64),
        timeline=links.MAX_STEPS * (STEP,),
    )


def stored(link: Link) -> int:
    return size(store._item(store._link_row(link)))


@pytest.mark.usefixtures("stack")
def test_the_largest_link_fits_into_an_item_while_it_is_open_and_when_it_has_ended() -> None:
    link = longest()
    ended = replace(
        link,
        completed_at=1_704_067_200_000,
        event=Sealed((MAX_EVENT_BYTES + 28) * b"x", 200 * b"x"),
        webhook=Webhook(40 * "x", "pending", 1100, 1000, 10**12, 10**12, True, 22 * "x", 10**12),
        deliveries=deliveries.KEPT * (DELIVERY,),
    )
    assert ITEM - 20_000 < stored(ended) <= ITEM  # the test's own link has grown with what it tries
    session = links.session_of(link)
    asked = replace(link, session=replace(session, challenge=MAX_CHALLENGE_BYTES * "x"))
    assert stored(asked) <= ITEM


def test_environments_have_room_for_long_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    arn = "arn:aws-us-gov:lambda:us-gov-west-1:123456789012:function:" + 64 * "f" + ":" + 32 * "a"
    connectors = ",".join(f"{integration}={arn}" for integration in providers())
    every = environment()
    page = set(resources("AWS::Serverless::Function")["LinkPageFunction"]["Environment"]["Variables"])
    own = {"LIVE_CONNECTORS": connectors, "LINK_BASE_URL": 300 * "x"}
    tables = {"LINKS_TABLE": 255 * "x", "SECRETS_TABLE": 255 * "x", "SEALING_KEY": 80 * "x"}
    queues = {"SESSION_QUEUE": 160 * "x", "WEBHOOK_QUEUE": 160 * "x"}
    fingerprint = ":".join(32 * ["AA"])
    texts = dict.fromkeys(page, 100 * "x") | {"ANDROID_FINGERPRINTS": 3 * (fingerprint + ",")}
    variables = every | own | tables | queues | texts
    assert sum(len(name) + len(value) for name, value in variables.items()) <= ENVIRONMENT
    for name, value in own.items():
        monkeypatch.setenv(name, value)
    settings.settings.cache_clear()
    assert len(settings.settings().live_connectors) == len(list(providers()))
    settings.settings.cache_clear()


def test_the_address_of_a_next_page_is_one_that_the_gateway_takes(stack: Stack) -> None:
    user = 256 * WIDE
    for _ in range(2):
        stack.create(founding(externalUserId=user))
    query: dict[str, Any] = {"externalUserId": user, "status": "pending", "integrationId": "tmobile"}
    cursor = stack.page(urlencode(query | {"limit": 1})).json["nextCursor"]
    address = "GET /v1/links?" + urlencode(query | {"limit": 1, "cursor": cursor})
    assert len(address) <= LINE_AND_HEADERS - 1_500  # for headers
    assert len(stack.page(urlencode(query | {"limit": 1, "cursor": cursor})).json["links"]) == 1
