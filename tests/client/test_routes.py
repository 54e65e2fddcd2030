"""Every route that the service has can be called by a method and by a command."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from latchkey_client import Latchkey
from latchkey_client.cli import commands
from tests.client.faults import Answered, Faults, Sent
from tests.template import ROOT

# By method and path: the call, and the command line.
ROUTES: dict[str, tuple[Callable[[Latchkey], Any], str]] = {
    "POST /v1/links": (
        lambda c: c.links.create(integration_id="a", operations=[{"resource": "b", "action": "read"}]),
        "links create --integration a --operation b.read",
    ),
    "GET /v1/links": (lambda c: c.links.list(), "links list"),
    "GET /v1/links/{linkId}": (lambda c: c.links.get("l"), "links get l"),
    "DELETE /v1/links/{linkId}": (lambda c: c.links.delete("l"), "links delete l --yes"),
    "POST /v1/links/{linkId}/cancel": (lambda c: c.links.cancel("l"), "links cancel l"),
    "GET /v1/links/{linkId}/deliveries": (lambda c: c.links.deliveries("l"), "deliveries l"),
    "POST /v1/links/{linkId}/redeliver": (lambda c: c.links.redeliver("l"), "redeliver l"),
    "POST /v1/erasures": (lambda c: c.erasures.create(external_user_id="u"), "erase u --yes"),
    "GET /v1/events": (lambda c: c.events.list(), "events"),
    "GET /v1/webhook-secret": (lambda c: c.webhook_secret.get(), "secret show"),
    "POST /v1/webhook-secret/rotate": (lambda c: c.webhook_secret.rotate(), "secret rotate"),
    "POST /v1/webhook-tests": (
        lambda c: c.webhook_tests.create(url="https://a.example"),
        "webhook-test https://a.example",
    ),
    "GET /v1/providers": (lambda c: c.providers.list(), "providers"),
    "GET /v1/providers/{integrationId}": (lambda c: c.providers.get("p"), "providers p"),
    "POST /v1/test/links/{linkId}/advance": (lambda c: c.test.advance("l", seconds=60), "advance l 1m"),
    "POST /v1/test/links/{linkId}/simulate": (
        lambda c: c.test.simulate("l", outcome="complete"),
        "simulate l complete",
    ),
    "POST /v1/test/links/{linkId}/fail-deliveries": (
        lambda c: c.test.fail_deliveries("l", count=2, as_=500),
        "fail-deliveries l 2",
    ),
    "GET /v1/test/outcomes": (lambda c: c.test.outcomes(), "outcomes"),
    "POST /link/claim": (lambda c: c.sessions.claim(code="c"), "session claim c"),
    "POST /link/status": (lambda c: c.sessions.status(code="c"), "session status c"),
    "GET /link/session": (lambda c: c.sessions.get(client_token="t"), "session show t"),
    "POST /link/session/input": (
        lambda c: c.sessions.input(client_token="t", challenge_id="h", action="resend"),
        "session input t h --action resend",
    ),
    "POST /link/session/cancel": (lambda c: c.sessions.cancel(client_token="t"), "session cancel t"),
    "GET /openapi.json": (lambda c: c.openapi(), "openapi"),
}
# What any answer here may be read for.
LISTS = ("links", "events", "deliveries", "secrets", "providers", "resources", "outcomes")
ANSWER: dict[str, Any] = {name: [] for name in LISTS} | {
    "linkId": "l",
    "appClipUrl": "https://a.example",
    "expiresAt": 0,
    "erased": 1,
    "remaining": False,
    "statusCode": 204,
}


def test_no_route_is_left_out() -> None:
    document = json.loads((ROOT / "schemas/openapi.json").read_text())
    served = {
        f"{method.upper()} {path}"
        for path, methods in document["paths"].items()
        for method in methods
        if method != "parameters"
    }
    assert served <= set(ROUTES)


@pytest.mark.parametrize("route", ROUTES)
def test_a_method_and_a_command_call_it_alike(route: str, monkeypatch: pytest.MonkeyPatch) -> None:
    call, command = ROUTES[route]

    def answer(_: Sent) -> Answered:
        return 200, {}, json.dumps(ANSWER).encode()

    faults = Faults(answer)
    wanted = re.compile(re.sub(r"{\w+}", "[^/]+", route))
    with faults.serving() as url:
        with Latchkey(api_key="lk_test_a", base_url=url) as client:
            call(client)
        monkeypatch.setenv("LATCHKEY_API_KEY", "lk_test_a")
        monkeypatch.setenv("LATCHKEY_BASE_URL", url)
        assert commands.execute(command.split()) == 0
    by_method, by_command = faults.seen
    for method, target, headers, _ in (by_method, by_command):
        assert wanted.fullmatch(f"{method} {target.partition('?')[0]}")
        assert ("lk_test_a" in headers.get("authorization", "")) == (not target.startswith("/link/"))
    assert by_method[3] == by_command[3]
