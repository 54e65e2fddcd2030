"""The client against the handlers, and what networks and gateways do in between."""

import asyncio
import copy
import json
import pickle
import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from latchkey_client import (
    APIConnectionError,
    APIStatusError,
    AsyncLatchkey,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    GoneError,
    InternalServerError,
    Latchkey,
    LatchkeyError,
    NotFoundError,
    RateLimitError,
    UnprocessableEntityError,
    WaitTimeoutError,
    models,
)
from latchkey_client._base import Request
from tests.client.conftest import Served
from tests.client.faults import NO_ROUTE, Answered

READ: list[models.OperationInput] = [{"resource": "paymentMethod", "action": "read"}]
BUSY: Answered = (503, {"Retry-After": "3"}, b'{"error": "Later", "code": "unavailable", "requestId": "r"}')


def keys_sent(served: Served) -> set[str]:
    return {headers["idempotency-key"] for method, _, headers, _ in served.faults.seen if method == "POST"}


def test_a_link_is_created_read_listed_and_canceled(client: Latchkey) -> None:
    made = client.links.create(
        integration_id="tmobile",
        operations=READ,
        return_url="myapp://done",
        external_user_id="user 1/&",
        metadata={"plan": "pro"},
        embed_origins=["https://shop.example"],
        expires_in=60,
        debug=True,
    )
    assert made.claim_code in made.app_clip_url
    assert made.expires_at - made.created_at == 60_000
    link = client.links.get(made.link_id)
    assert (link.status, link.metadata, link.operations[0].status) == ("pending", {"plan": "pro"}, "pending")
    assert link.timeline is not None
    assert link.embed_origins == ["https://shop.example"]
    assert [found.link_id for found in client.links.list(external_user_id="user 1/&")] == [made.link_id]
    assert list(client.links.list(external_user_id="user 1/", status="pending")) == []
    assert client.links.cancel(made.link_id).ended
    assert client.links.deliveries(made.link_id).deliveries == []


def test_a_list_iterates_over_all_its_pages_and_keeps_its_filters(client: Latchkey, served: Served) -> None:
    made = [client.links.create(integration_id="tmobile", operations=READ).link_id for _ in range(5)]
    client.links.create(
        integration_id="ubereats", operations=[{"resource": "orderHistory", "action": "read"}]
    )
    page = client.links.list(integration_id="tmobile", limit=2)
    assert len(page.data) == 2
    assert page.next_cursor
    assert sorted(link.link_id for link in page) == sorted(made)
    assert "integrationId=tmobile" in served.faults.seen[-1][1]


def test_a_session_is_played_and_its_link_waited_for(
    client: Latchkey, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = client.links.create(integration_id="tmobile", operations=READ)
    claimed = client.sessions.claim(code=made.claim_code)
    token = claimed.client_token
    served.stack.work()
    challenge = client.sessions.get(client_token=token).challenge
    assert challenge is not None
    assert challenge.schema["required"] == ["username", "password"]
    login = {"username": "user_good", "password": "pass_good"}
    client.sessions.input(client_token=token, challenge_id=challenge.id, input=login)
    # The worker finishes while the client waits.
    monkeypatch.setattr(client, "_sleep", lambda _: served.stack.work())
    link = client.links.wait(made.link_id)
    assert link.status == "complete"
    assert link.result is not None
    assert link.result["paymentMethods"][0]["last4"]
    assert client.sessions.status(code=made.claim_code).status == "complete"
    for method, target, headers, _ in served.faults.seen:
        if target.startswith("/link/"):
            assert headers.get("authorization", "").removeprefix("Bearer ") != served.key, (method, target)


def test_waiting_ends_in_time(client: Latchkey, monkeypatch: pytest.MonkeyPatch) -> None:
    made = client.links.create(integration_id="tmobile", operations=READ)
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(client, "_sleep", lambda seconds: clock.__setitem__(0, clock[0] + seconds))
    with pytest.raises(WaitTimeoutError, match=f"{made.link_id} is still pending after 30 s"):
        client.links.wait(made.link_id, timeout=30)
    assert clock[0] == pytest.approx(30)


def test_secrets_are_read_and_rotated(client: Latchkey, served: Served) -> None:
    old = client.webhook_secret.get().secrets
    new = client.webhook_secret.rotate(overlap_seconds=60)
    secrets = client.webhook_secret.get().secrets
    assert [secret.secret for secret in secrets] == [new.secret, old[0].secret]
    assert json.loads(served.faults.seen[1][3]) == {"overlapSeconds": 60}


def test_the_catalogue_is_read(client: Latchkey) -> None:
    assert {"att", "tmobile"} <= {provider.id for provider in client.providers.list().providers}
    operations = client.providers.get("tmobile").resources[0].operations
    assert operations["read"].arguments is None
    assert operations["write"].arguments is not None
    assert client.openapi()["openapi"].startswith("3.1")


# --- Faults --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "faults", [["reset"], ["cut"], [BUSY], ["cut", "cut"], [BUSY, "cut"], ["reset", BUSY]]
)
def test_faults_in_between_lead_to_one_link_and_one_answer(
    client: Latchkey, served: Served, faults: list[Any]
) -> None:
    served.faults.next = list(faults)
    made = client.links.create(integration_id="tmobile", operations=READ)
    assert len(served.stack.links()) == 1
    assert client.links.get(made.link_id).status == "pending"
    assert len(served.faults.seen) == len(faults) + 2
    assert len(keys_sent(served)) == 1
    assert made.response is not None
    assert made.response.headers.get("idempotent-replayed") == ("true" if "cut" in faults else None)


def test_each_create_has_a_key_of_its_own_and_a_given_one_is_kept(client: Latchkey, served: Served) -> None:
    for _ in range(2):
        client.links.create(integration_id="tmobile", operations=READ)
    assert len(keys_sent(served)) == 2
    made = [
        client.links.create(integration_id="tmobile", operations=READ, idempotency_key="order-1").link_id
        for _ in range(2)
    ]
    assert made[0] == made[1]
    with pytest.raises(UnprocessableEntityError):
        client.links.create(integration_id="att", operations=READ, idempotency_key="order-1")


def test_the_async_client_meets_the_same_faults(served: Served) -> None:
    waits: list[float] = []

    async def run() -> None:
        async def wait(seconds: float) -> None:
            waits.append(seconds)

        async with AsyncLatchkey(api_key=served.key, base_url=served.url) as client:
            client._sleep = wait  # type: ignore[assignment] # it takes no result as asyncio's does
            served.faults.next = ["cut", BUSY]
            made = await client.links.create(integration_id="tmobile", operations=READ)
            found = await client.links.list(limit=1)
            assert [link.link_id async for link in found] == [made.link_id]
            assert (await client.links.cancel(made.link_id)).status == "canceled"

    asyncio.run(run())
    assert len(served.stack.links()) == 1
    assert waits[1] == 3


def test_retry_after_is_obeyed_and_one_that_is_too_long_is_not_waited_for(
    client: Latchkey, served: Served, waits: list[float]
) -> None:
    limited = (429, {"Retry-After": "7"}, b'{"error": "Slow down", "code": "rate_limited"}')
    served.faults.next = [limited, BUSY]
    client.providers.get("tmobile")
    assert waits == [7, 3]
    served.faults.next = [(503, {"Retry-After": "121"}, b"{}")]
    with pytest.raises(InternalServerError):
        client.providers.get("tmobile")
    assert len(waits) == 2


def test_retries_end_and_back_off(client: Latchkey, served: Served, waits: list[float]) -> None:
    served.faults.next = ["reset"] * 4
    with pytest.raises(APIConnectionError, match="GET /v1/providers/tmobile got no answer"):
        client.providers.get("tmobile")
    assert len(served.faults.seen) == 3
    assert 0.375 <= waits[0] <= 0.5
    assert 0.75 <= waits[1] <= 1


def test_a_verdict_is_never_asked_again(client: Latchkey, served: Served, waits: list[float]) -> None:
    for status in (400, 401, 404, 409, 410, 422):
        served.faults.next = [(status, {"Retry-After": "1"}, b"{}")]
        with pytest.raises(APIStatusError):
            client.links.cancel("link_1")
    assert waits == []


def test_what_would_count_twice_is_sent_again_only_if_it_was_surely_not_done(
    client: Latchkey, served: Served
) -> None:
    def sent(fault: Any, error: type[LatchkeyError]) -> int:
        served.faults.seen.clear()
        served.faults.next = [fault]
        with pytest.raises(error):
            client.test.advance("link_doesnotexist", seconds=60)
        return len(served.faults.seen)

    assert sent("cut", APIConnectionError) == 1
    assert sent(BUSY, InternalServerError) == 1
    assert sent((429, {}, b"{}"), NotFoundError) == 2


# --- Errors --------------------------------------------------------------------------------------


def test_a_refusal_tells_everything_at_once(client: Latchkey) -> None:
    with pytest.raises(BadRequestError) as raised:
        client.links.create(integration_id="tmobil", operations=[], webhook_url="no-url")
    error = raised.value
    assert (error.status, error.code) == (400, "validation_failed")
    assert error.request_id
    assert {issue.path for issue in error.issues} == {"integrationId", "operations", "webhookUrl"}
    for part in ("400 validation_failed", 'did you mean "tmobile"?', "webhookUrl: ", error.request_id):
        assert part in str(error)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)  # noqa: S301 # it is ours


def test_each_refusal_has_its_class(client: Latchkey, served: Served) -> None:
    with pytest.raises(NotFoundError):
        client.links.get("link_doesnotexist")
    made = client.links.create(integration_id="tmobile", operations=READ)
    client.links.cancel(made.link_id)
    with pytest.raises(GoneError):
        client.sessions.claim(code=made.claim_code)
    with pytest.raises(ConflictError, match="409 conflict"):
        client.links.redeliver(made.link_id)
    with (
        Latchkey(api_key="lk_test_wrong", base_url=served.url) as stranger,
        pytest.raises(AuthenticationError) as raised,
    ):
        stranger.providers.list()
    assert "lk_test_wrong" not in repr(raised.value) + str(raised.value)
    served.faults.next = [NO_ROUTE]
    with pytest.raises(NotFoundError, match="404: Not Found"):
        client.test.outcomes()
    client._settings = client._settings.__class__(served.key, served.url, 30, 0)
    served.faults.next = [(429, {"Retry-After": "1"}, b"{}"), (502, {}, b"<html>Bad gateway</html>")]
    with pytest.raises(RateLimitError):
        client.providers.list()
    with pytest.raises(InternalServerError, match="502: no reason given"):
        client.providers.list()


def test_an_answer_that_is_not_the_apis_is_told(client: Latchkey, served: Served) -> None:
    served.faults.next = [(200, {"Content-Type": "text/html"}, b"<html>"), (302, {"Location": "/"}, b"")]
    with pytest.raises(LatchkeyError, match="is base_url that of Latchkey"):
        client.providers.list()
    with pytest.raises(APIStatusError, match="302"):
        client.providers.list()
    served.faults.next = [(200, {}, b'{"links": null}')]
    with pytest.raises(LatchkeyError, match="no list of links"):
        client.links.list()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"base_url": "http://x"}, "LATCHKEY_API_KEY"),
        ({"api_key": "lk_test_a"}, "LATCHKEY_BASE_URL"),
        ({"api_key": "lk_test_a", "base_url": "x.example"}, "base_url"),
        ({"api_key": "lk_test_a\nb", "base_url": "http://x"}, "copy it again"),
        ({"api_key": "lk_test_a", "base_url": "http://x", "max_retries": -1}, "max_retries"),
    ],
)
def test_a_client_that_cannot_work_says_so(
    given: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LATCHKEY_API_KEY", raising=False)
    monkeypatch.delenv("LATCHKEY_BASE_URL", raising=False)
    with pytest.raises(LatchkeyError, match=said) as raised:
        Latchkey(**given)
    assert "lk_test_a" not in str(raised.value)


def test_an_id_is_one_part_of_the_path(client: Latchkey, served: Served) -> None:
    with pytest.raises(NotFoundError):
        client.links.get("../../openapi.json")
    assert served.faults.seen[-1][1] == "/v1/links/..%2F..%2Fopenapi.json"
    for no_id in ("", ".", ".."):
        with pytest.raises(LatchkeyError, match="An id is needed"):
            client.links.delete(no_id)


# --- Answers -------------------------------------------------------------------------------------


def test_what_a_newer_server_adds_is_kept_and_breaks_nothing(client: Latchkey, served: Served) -> None:
    made = client.links.create(integration_id="tmobile", operations=READ)
    answer = served.faults.answer

    def newer(sent: Any) -> Answered:
        status, headers, body = answer(sent)
        link = json.loads(body) | {"status": "paused", "newField": {"a": 1}}
        link["operations"][0]["cost"] = "0.01"
        return status, headers, json.dumps(link).encode()

    served.faults.answer = newer
    link = client.links.get(made.link_id)
    assert link.status == "paused"
    assert not link.ended
    assert link.to_dict()["newField"] == {"a": 1}
    assert getattr(link, "new_field") == {"a": 1}  # noqa: B009 # a type checker refuses it
    assert getattr(link.operations[0], "cost") == "0.01"  # noqa: B009


def test_what_an_older_server_leaves_out_is_none_if_it_may_be_and_told_if_not() -> None:
    link = models.Link({"linkId": "link_1"})
    assert (link.erased_at, link.test_clock, link.timeline) == (None, None, None)
    with pytest.raises(AttributeError, match="this Link has no expiresAt"):
        _ = link.expires_at
    assert copy.deepcopy(link) == link
    assert link != models.Link({"linkId": "link_2"})


def test_nothing_secret_shows(client: Latchkey, served: Served) -> None:
    secret = f"card-{uuid.uuid4()}"
    made = client.links.create(integration_id="tmobile", operations=READ, external_user_id=secret)
    listed = client.links.list()
    secrets = client.webhook_secret.get()
    claimed = client.sessions.claim(code=made.claim_code)
    shown = repr(
        [client, client._settings, made, made.response, listed, listed.data, secrets, secrets.secrets]
    )
    shown += repr([claimed, claimed.response, client.links.get(made.link_id)])
    shown += repr(Request("POST", "/", {"externalUserId": secret}, {"cvv": secret}, secret, secret))
    for hidden in (served.key, made.claim_code, secrets.secrets[0].secret, claimed.client_token, secret):
        assert hidden not in shown
    assert made.link_id in shown


def test_every_result_has_its_response(client: Latchkey) -> None:
    made = client.links.create(integration_id="tmobile", operations=READ)
    page = client.links.list()
    for result in (made, client.links.get(made.link_id), page, page.data[0]):
        assert result.response is not None
        assert result.response.request_id
        assert result.response.headers["x-latchkey-version"]


# --- Routes that this deployment may not have yet, by the contract ---------------------------------

LINK = {"linkId": "link_1", "status": "canceled", "operations": [], "testClock": {"offsetMs": 1, "now": 2}}
EVENT = {
    "id": "msg_1",
    "type": "link.failed",
    "timestamp": "2026-11-22T09:00:00.000Z",
    "data": {"linkId": "link_1", "status": "failed"},
    "webhook": {"status": "none", "attempts": 0},
}


@pytest.mark.parametrize(
    ("call", "request_", "answer", "check"),
    [
        (
            lambda c: c.links.delete("link_1"),
            ("DELETE", "/v1/links/link_1", None),
            LINK,
            "test_clock.now == 2",
        ),
        (
            lambda c: c.erasures.create(external_user_id="u"),
            ("POST", "/v1/erasures", {"externalUserId": "u"}),
            {"erased": 3, "remaining": True},
            "remaining",
        ),
        (
            lambda c: c.events.list(type="link.failed", after="msg_0", limit=9).data[0],
            ("GET", "/v1/events?type=link.failed&after=msg_0&limit=9", None),
            {"events": [EVENT], "nextCursor": None},
            "data.status == 'failed'",
        ),
        (
            lambda c: c.webhook_tests.create(url="https://a.example/hook", type="link.failed"),
            ("POST", "/v1/webhook-tests", {"url": "https://a.example/hook", "type": "link.failed"}),
            {"request": {"headers": {}, "body": "{}"}, "statusCode": 204, "durationMs": 5, "error": None},
            "request.body == '{}'",
        ),
        (
            lambda c: c.test.advance("link_1", until="expiry"),
            ("POST", "/v1/test/links/link_1/advance", {"until": "expiry"}),
            LINK,
            "test_clock.offset_ms == 1",
        ),
        (
            lambda c: c.test.simulate("link_1", outcome="fail", code="AUTOMATION_ERROR", operation_index=0),
            (
                "POST",
                "/v1/test/links/link_1/simulate",
                {"outcome": "fail", "code": "AUTOMATION_ERROR", "operationIndex": 0},
            ),
            LINK,
            "ended",
        ),
        (
            lambda c: c.test.fail_deliveries("link_1", count=2, as_="timeout"),
            ("POST", "/v1/test/links/link_1/fail-deliveries", {"count": 2, "as": "timeout"}),
            LINK,
            "ended",
        ),
        (
            lambda c: c.test.outcomes(),
            ("GET", "/v1/test/outcomes", None),
            {"outcomes": [{"username": "user_good", "errorCode": None}]},
            "outcomes[0].username == 'user_good'",
        ),
    ],
)
def test_a_route_is_called_as_the_contract_has_it(
    client: Latchkey,
    served: Served,
    call: Callable[[Latchkey], Any],
    request_: tuple[str, str, Any],
    answer: Any,
    check: str,
) -> None:
    served.faults.next = [(200, {}, json.dumps(answer).encode())]
    result = call(client)
    method, target, headers, body = served.faults.seen[-1]
    assert (method, target, json.loads(body) if body else None) == request_
    assert headers["authorization"] == f"Bearer {served.key}"
    assert eval(f"result.{check}", {"result": result})  # noqa: S307 # it is ours
