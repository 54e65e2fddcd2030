"""GET /v1/links/{linkId} and the API-key check, through the handlers."""

from unittest.mock import Mock

import pytest

from latchkey.adapters import aws
from latchkey.domain import ids
from latchkey.services import authenticate
from tests.integration.conftest import SAMPLE_KEY, Stack, founding, sample_event
from tests.template import resources, routes

# These need no key: whoever has the claim code may claim, and anybody may look at a page.
PUBLIC = {
    "POST /link/claim",
    "POST /link/status",
    "OPTIONS /link/status",
    "GET /openapi.json",
    "GET /{linkId}",
    "HEAD /{linkId}",
    "GET /latchkey.js",
    "GET /.well-known/apple-app-site-association",
    "GET /.well-known/assetlinks.json",
}


def test_a_pending_link_reads_back_with_every_field(stack: Stack) -> None:
    created = stack.create(founding(metadata={"a": "b"})).json
    answer = stack.get(created["linkId"])
    assert answer.status == 200
    assert answer.json == {
        "linkId": created["linkId"],
        "integrationId": "tmobile",
        "operations": [
            {"resource": "paymentMethod", "action": "read", "status": "pending"},
            {"resource": "paymentMethod", "action": "write", "status": "pending"},
        ],
        "status": "pending",
        "livemode": False,
        "debug": False,
        "externalUserId": "user_123",
        "metadata": {"a": "b"},
        "returnUrl": created["returnUrl"],
        "embedOrigins": None,
        "sessionId": None,
        "result": None,
        "error": None,
        "webhook": {"status": "none", "attempts": 0, "nextAttemptAt": None},
        "createdAt": created["createdAt"],
        "updatedAt": created["createdAt"],
        "claimedAt": None,
        "completedAt": None,
        "expiresAt": created["expiresAt"],
        "erasedAt": None,
        "testClock": None,
    }
    assert answer.headers["Cache-Control"] == "no-store"


def test_a_link_is_expired_from_the_very_millisecond(stack: Stack) -> None:
    created = stack.create(founding(expiresIn=1, debug=True)).json
    stack.now = created["expiresAt"] - 1
    assert stack.get(created["linkId"]).json["status"] == "pending"
    stack.now = created["expiresAt"]
    view = stack.get(created["linkId"]).json
    assert (view["status"], view["completedAt"]) == ("expired", created["expiresAt"])
    assert [operation["status"] for operation in view["operations"]] == ["skipped", "skipped"]
    assert [step["event"] for step in view["timeline"]] == ["link.created", "link.expired"]


def test_only_a_debug_link_has_a_timeline(stack: Stack) -> None:
    plain = stack.create(founding()).json["linkId"]
    debug = stack.create(founding(debug=True)).json["linkId"]
    assert "timeline" not in stack.get(plain).json
    assert stack.get(debug).json["timeline"] == [{"at": stack.now, "event": "link.created"}]


def test_unknown_malformed_and_foreign_links_are_one_and_the_same_404(stack: Stack) -> None:
    mine = stack.create(founding()).json["linkId"]
    answers = [
        stack.get("link_" + "0" * 22),
        stack.get("link_x"),
        stack.get("key#abc"),
        stack.get(mine, key=stack.new_key("globex")),
    ]
    assert {answer.status for answer in answers} == {404}
    assert len({answer.text for answer in answers}) == 1
    assert answers[0].json["code"] == "not_found"


def test_neither_mode_sees_the_others_links(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVE_CONNECTORS", "tmobile=arn:aws:lambda:eu-central-1:1:function:x")
    stack.forget_settings()
    live = stack.new_key("acme", livemode=True)
    live_link = stack.create(founding(), key=live).json["linkId"]
    test_link = stack.create(founding()).json["linkId"]
    assert stack.get(live_link, key=live).json["livemode"] is True
    assert stack.get(live_link).status == 404
    assert stack.get(test_link, key=live).status == 404


def test_every_route_refuses_a_request_without_a_key(stack: Stack) -> None:
    for route, function in routes().items():
        if route in PUBLIC:
            continue
        folder = resources("AWS::Serverless::Function")[function]["CodeUri"].removeprefix("functions/")
        event = sample_event(folder) | {"routeKey": route}
        del event["headers"]["authorization"]
        answer = stack.invoke(folder, event)
        assert (answer.status, answer.json["code"]) == (401, "unauthorized"), route
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert answer.json["requestId"] == event["requestContext"]["requestId"]


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer",
        "Bearer ",
        SAMPLE_KEY,
        f"Basic {SAMPLE_KEY}",
        f"Bearer {SAMPLE_KEY[:-1]}",
        f"Bearer {SAMPLE_KEY[:-1]}y",
        f"Bearer {SAMPLE_KEY} x",
        f"Bearer {SAMPLE_KEY.replace('test', 'live')}",
    ],
)
def test_junk_is_refused_without_a_look_up(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, authorization: str
) -> None:
    monkeypatch.delattr(aws.dynamodb().__class__, "get_item")
    assert stack.create(founding(), headers={"authorization": authorization}).status == 401


@pytest.mark.parametrize(
    ("authorization", "told"),
    [
        (None, "There is no Authorization header"),
        ("", "There is no Authorization header"),
        *(
            (given, "scheme")
            for given in (SAMPLE_KEY, f"Basic {SAMPLE_KEY}", f"Bearer:{SAMPLE_KEY}", "Token")
        ),
        *((f"Bearer {given}", "no API key of this service") for given in ("", "sk_test_1", SAMPLE_KEY[:-1])),
        (f"Bearer {SAMPLE_KEY[:-1]}y", "no API key of this service"),
        ("Bearer ct_" + "0" * 44, "no API key of this service"),
    ],
)
def test_who_is_refused_is_told_what_is_wrong_and_never_the_key(
    stack: Stack, authorization: str | None, told: str
) -> None:
    event = sample_event("get_providers")
    del event["headers"]["authorization"]
    if authorization is not None:
        event["headers"]["authorization"] = authorization
    answer = stack.invoke("get_providers", event)
    assert (answer.status, answer.json["code"]) == (401, "unauthorized")
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert told in answer.json["error"]
    assert not any(word in answer.text for word in (authorization or "").split() if len(word) > 6)


def test_a_revoked_key_is_told_as_an_unknown_one_is(stack: Stack) -> None:
    keys = stack.new_key(revokedAt=1), ids.new_api_key(livemode=False)
    told = {stack.create(founding(), key=key).json["error"] for key in keys}
    assert told == {"This API key is unknown or was revoked"}


def test_a_key_works_in_the_mode_that_it_was_made_for_alone(stack: Stack) -> None:
    key = stack.add_key(ids.new_api_key(livemode=False), "acme", livemode=True)
    assert stack.create(founding(), key=key).status == 401


def test_the_scheme_is_read_in_any_case(stack: Stack) -> None:
    assert stack.create(founding(), headers={"authorization": f"bearer  {SAMPLE_KEY}"}).status == 201


def test_an_unknown_key_is_refused_and_works_as_soon_as_it_is_made(stack: Stack) -> None:
    key = stack.new_key()
    stack.dynamodb.Table("LinksTable").delete_item(Key={"pk": f"key#{_hash(key)}", "sk": "key"})
    assert stack.create(founding(), key=key).status == 401
    stack.add_key(key, "acme")
    assert stack.create(founding(), key=key).status == 201


def test_a_revoked_key_is_refused_within_a_minute(stack: Stack) -> None:
    key = stack.new_key()
    assert stack.create(founding(), key=key).status == 201
    stack.add_key(key, "acme", revokedAt=stack.now)
    stack.now += 60_000 - 1
    assert stack.create(founding(), key=key).status == 201
    stack.now += 1
    assert stack.create(founding(), key=key).status == 401


def test_a_key_is_looked_up_once_a_minute(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    get_item = Mock(wraps=aws.dynamodb().get_item)
    monkeypatch.setattr(aws.dynamodb(), "get_item", get_item)
    for _ in range(3):
        stack.create(founding())
    stack.now += authenticate.CACHE_MS
    stack.create(founding())
    assert get_item.call_count == 2


def test_the_cache_of_keys_is_bounded(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authenticate, "CACHE_ENTRIES", 2)
    for _ in range(4):
        stack.create(founding(), key=stack.new_key())
        assert len(authenticate._known) <= 2


def _hash(key: str) -> str:
    from latchkey.domain.ids import api_key_hash

    return api_key_hash(key)
