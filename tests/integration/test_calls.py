"""How many calls of AWS each route costs, once its environment knows the API key and has a data key."""

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from latchkey.adapters import sealing
from latchkey.services import accounts, authenticate
from tests.integration.calls import Calls
from tests.integration.conftest import LOGIN, OK, Answer, Stack, founding, operations, sample_event
from tests.integration.test_link_page import invoke as open_route
from tests.integration.test_link_page import page as open_page
from tests.template import routes

type Act = Callable[[], Any]

MINUTE = 60_000


def plain() -> dict[str, Any]:
    return founding(operations=operations("paymentMethod.read"))


def of_link(stack: Stack, name: str, route: str, link_id: str) -> Act:
    event = sample_event(name) | {"routeKey": route, "pathParameters": {"linkId": link_id}}
    return lambda: stack.invoke(name, event)


def complete(stack: Stack) -> str:
    link_id, _ = stack.run("user_good", plain())
    stack.queues.clear()
    return link_id


def providers(stack: Stack, **changes: Any) -> Act:
    return lambda: stack.invoke("get_providers", sample_event("get_providers") | changes)


def claim(stack: Stack) -> Act:
    code = stack.create(plain()).json["claimCode"]
    return lambda: stack.claim(code)


def status(stack: Stack) -> Act:
    code = stack.create(plain()).json["claimCode"]
    return lambda: stack.status(code)


def preflight(stack: Stack) -> Act:
    event = sample_event("link_status") | {"routeKey": "OPTIONS /link/status"}
    return lambda: stack.invoke("link_status", event)


def cancel(stack: Stack, body: dict[str, Any]) -> Act:
    link_id = stack.create(body).json["linkId"]
    return lambda: stack.cancel(link_id)


def client(stack: Stack, route: str) -> Act:
    _, token = stack.claimed(plain())
    return lambda: stack.client(token, route)


def answer(stack: Stack) -> Act:
    _, token = stack.claimed(plain())
    challenge = stack.client(token).json["challenge"]["id"]
    body = {"challengeId": challenge, "input": LOGIN}
    return lambda: stack.client(token, "POST /link/session/input", body)


def secret(stack: Stack, route: str) -> Act:
    event = sample_event("webhook_secret") | {"routeKey": route}
    stack.invoke("webhook_secret", event | {"routeKey": "GET /v1/webhook-secret"})  # the first one is made
    event["headers"]["content-type"] = "application/json"
    return lambda: stack.invoke("webhook_secret", event | {"body": "{}"})


def webhook_test(stack: Stack) -> Act:
    secret(stack, "GET /v1/webhook-secret")  # the first one is made
    event = sample_event("webhook_secret") | {"routeKey": "POST /v1/webhook-tests"}
    event["headers"]["content-type"] = "application/json"
    event["body"] = json.dumps({"url": "https://hooks.example.com", "type": "link.complete"})
    stack.now += 1000  # its turn

    def act() -> Answer:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("latchkey.adapters.webhook_sender.send", lambda *_, **__: OK)
            return stack.invoke("webhook_secret", event)

    return act


def in_test_mode(stack: Stack, verb: str, **body: Any) -> Act:
    link_id = stack.create(plain() | {"expiresIn": 60}).json["linkId"]
    return lambda: stack.test_mode(link_id, verb, body)


def page(stack: Stack, route: str) -> Act:
    created = stack.create(plain()).json
    return lambda: open_page(created, method=route.partition(" ")[0])


def page_file(route: str) -> Act:
    return lambda: open_route(sample_event("link_page") | {"routeKey": route, "pathParameters": None})


def erase_user(stack: Stack) -> Act:
    def act() -> Answer:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("time.sleep", lambda _: None)
            return stack.erase_user({"externalUserId": plain()["externalUserId"]})

    act()  # those of before
    stack.create(plain())
    return act


def erase(stack: Stack, body: dict[str, Any]) -> Act:
    link_id = stack.create(body).json["linkId"]
    return lambda: stack.erase(link_id)


ENDED = {
    "Query": 1,
    "UpdateItem": 2,
    "SendMessage": 1,
}  # the end; what was sealed; the end of that; the event


# By route, and what is special about the request: how it is prepared and done, and its calls.
def api_description(stack: Stack) -> Act:
    event = sample_event("get_providers") | {"routeKey": "GET /openapi.json"}
    return lambda: stack.invoke("get_providers", event)


REQUESTS: dict[tuple[str, str], tuple[Callable[[Stack], Act], dict[str, int]]] = {
    ("POST /v1/links", ""): (lambda s: lambda: s.create(plain()), {"PutItem": 1}),
    ("POST /v1/links", "arguments"): (lambda s: lambda: s.create(), {"PutItem": 2}),
    ("GET /v1/links", ""): (
        lambda s: lambda: s.invoke("list_links", sample_event("list_links")),
        {"Query": 1},
    ),
    ("GET /v1/links", "some"): (
        lambda s: (s.create(plain()), lambda: s.page("limit=100"))[1],
        {"Query": 1, "BatchGetItem": 1},
    ),
    ("GET /v1/links/{linkId}", ""): (
        lambda s: of_link(s, "get_link", "GET /v1/links/{linkId}", s.create(plain()).json["linkId"]),
        {"GetItem": 1},
    ),
    ("GET /v1/links/{linkId}", "complete"): (
        lambda s: of_link(s, "get_link", "GET /v1/links/{linkId}", complete(s)),
        {"GetItem": 1},
    ),
    ("POST /v1/links/{linkId}/cancel", ""): (
        lambda s: cancel(s, plain()),
        {"GetItem": 1, "UpdateItem": 1, "SendMessage": 1},
    ),
    ("POST /v1/links/{linkId}/cancel", "arguments"): (
        lambda s: cancel(s, founding()),
        {"GetItem": 1, "DeleteItem": 1} | ENDED,
    ),
    ("DELETE /v1/links/{linkId}", ""): (
        lambda s: erase(s, plain()),
        {"GetItem": 1, "PutItem": 1, "Query": 1},
    ),
    ("DELETE /v1/links/{linkId}", "arguments"): (
        lambda s: erase(s, founding()),
        {"GetItem": 1, "PutItem": 1, "Query": 1, "DeleteItem": 1},
    ),
    # The index before and after; what is sealed for the link.
    ("POST /v1/erasures", ""): (erase_user, {"Query": 3, "BatchGetItem": 1, "PutItem": 1}),
    ("GET /v1/links/{linkId}/deliveries", ""): (
        lambda s: of_link(s, "link_deliveries", "GET /v1/links/{linkId}/deliveries", complete(s)),
        {"GetItem": 1},
    ),
    ("POST /v1/links/{linkId}/redeliver", ""): (
        lambda s: of_link(s, "link_deliveries", "POST /v1/links/{linkId}/redeliver", complete(s)),
        {"GetItem": 1, "UpdateItem": 1, "SendMessage": 1},
    ),
    ("GET /v1/events", ""): (
        lambda s: (complete(s), s.events)[1],
        {"Query": 1, "BatchGetItem": 1},
    ),
    ("POST /v1/webhook-tests", ""): (  # the turn, the secrets, a place and its end
        webhook_test,
        {"UpdateItem": 3, "GetItem": 1},
    ),
    ("POST /v1/test/links/{linkId}/advance", ""): (
        lambda s: in_test_mode(s, "advance", seconds=1),
        {"GetItem": 1, "UpdateItem": 1},
    ),
    ("POST /v1/test/links/{linkId}/simulate", ""): (
        lambda s: in_test_mode(s, "simulate", outcome="complete"),
        {"GetItem": 1} | ENDED,
    ),
    ("POST /v1/test/links/{linkId}/fail-deliveries", ""): (
        lambda s: in_test_mode(s, "fail-deliveries", count=1, **{"as": 500}),
        {"GetItem": 1, "UpdateItem": 1},
    ),
    ("GET /v1/test/outcomes", ""): (
        lambda s: (
            lambda: s.invoke("test_links", sample_event("test_links") | {"routeKey": "GET /v1/test/outcomes"})
        ),
        {},
    ),
    ("GET /v1/account", ""): (lambda s: lambda: s.invoke("account", sample_event("account")), {}),
    ("POST /v1/links", "no webhookUrl"): (
        lambda s: lambda: s.create(founding(webhookUrl=None, operations=operations("paymentMethod.read"))),
        {"PutItem": 1},
    ),
    ("GET /v1/webhook-secret", ""): (lambda s: secret(s, "GET /v1/webhook-secret"), {"GetItem": 1}),
    ("POST /v1/webhook-secret/rotate", ""): (
        lambda s: secret(s, "POST /v1/webhook-secret/rotate"),
        {"GetItem": 1, "PutItem": 1},
    ),
    ("POST /link/claim", ""): (claim, {"UpdateItem": 1, "SendMessage": 1}),
    ("POST /link/status", ""): (status, {"GetItem": 1}),
    ("OPTIONS /link/status", ""): (preflight, {}),
    ("GET /openapi.json", ""): (api_description, {}),
    ("GET /link/session", ""): (lambda s: client(s, "GET /link/session"), {"GetItem": 1}),
    ("POST /link/session/input", ""): (
        answer,
        {"GetItem": 1, "PutItem": 1, "UpdateItem": 1, "SendMessage": 1},
    ),
    ("POST /link/session/cancel", ""): (
        lambda s: client(s, "POST /link/session/cancel"),
        {"GetItem": 1, "DeleteItem": 1} | ENDED,
    ),
    ("GET /{linkId}", ""): (lambda s: page(s, "GET /{linkId}"), {"GetItem": 1}),
    ("HEAD /{linkId}", ""): (lambda s: page(s, "HEAD /{linkId}"), {"GetItem": 1}),
    ("GET /latchkey.js", ""): (lambda _: page_file("GET /latchkey.js"), {}),
    ("GET /.well-known/apple-app-site-association", ""): (
        lambda _: page_file("GET /.well-known/apple-app-site-association"),
        {},
    ),
    ("GET /.well-known/assetlinks.json", ""): (
        lambda _: page_file("GET /.well-known/assetlinks.json"),
        {},
    ),
    ("GET /v1/providers", ""): (providers, {}),
    ("GET /v1/providers/{integrationId}", ""): (
        lambda s: providers(
            s,
            routeKey="GET /v1/providers/{integrationId}",
            pathParameters={"integrationId": "att"},
        ),
        {},
    ),
}


@pytest.fixture
def calls(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Calls:
    return Calls(stack, monkeypatch)


@pytest.mark.parametrize(("route", "special"), REQUESTS)
def test_a_request_costs_this_many_calls(stack: Stack, calls: Calls, route: str, special: str) -> None:
    prepare, expected = REQUESTS[route, special]
    prepare(stack)()  # whatever is asked for once and kept
    act = prepare(stack)
    calls.take()
    response = act()
    assert response.status < 300
    assert calls.take() == Counter(expected)


def test_every_route_has_its_number() -> None:
    assert {route for route, _ in REQUESTS} == set(routes())


@pytest.mark.parametrize(("route", "special"), REQUESTS)
def test_a_new_environment_asks_for_a_key_and_for_a_data_key_once(
    stack: Stack, calls: Calls, route: str, special: str
) -> None:
    prepare, expected = REQUESTS[route, special]
    act = prepare(stack)
    accounts._known.clear()
    authenticate._known.clear()
    sealing._data_keys.clear()
    sealing._opened_keys.clear()
    calls.take()
    act()
    more = calls.take() - Counter(expected)
    private, settings = "/v1/" in route, route == "GET /v1/account" or special == "no webhookUrl"
    assert more.pop("GetItem", 0) == private + settings
    assert set(more) <= {"GenerateDataKey", "Decrypt"}
    assert max(more.values(), default=0) <= 1


def test_a_key_is_looked_up_once_a_minute_and_a_data_key_made_once_in_five(
    stack: Stack, calls: Calls
) -> None:
    for _ in range(10):  # 10 minutes, two requests in each
        stack.create()
        stack.now += MINUTE // 2
        stack.create()
        stack.now += MINUTE // 2
    assert calls.take() == {"GetItem": 10, "GenerateDataKey": 2, "PutItem": 40}


def test_a_data_key_is_opened_once_for_all_that_it_sealed(stack: Stack, calls: Calls) -> None:
    links = [complete(stack) for _ in range(3)]
    sealing._opened_keys.clear()
    calls.take()
    for link_id in links:
        assert stack.get(link_id).json["result"] is not None
    assert calls.take() == {"GetItem": 3, "Decrypt": 1}
