"""Events as an HTTP API sends them (payload format 2.0), which the sample events are the plain form of.

Shapes are from AWS's "Create AWS Lambda proxy integrations for HTTP APIs" and recorded ones: names of headers
are lower case, a header that comes twice is one with a comma, cookies are a member of their own and in no
header, what is empty is not there, path parameters are decoded, the query is as it was sent.
"""

import base64
import importlib
from collections.abc import Callable
from typing import Any

import pytest

from tests.integration.conftest import SAMPLE_KEY, Answer, Stack, founding, sample_event
from tests.integration.test_calls import REQUESTS
from tests.integration.test_link_page import page, view
from tests.template import ROOT

Event = dict[str, Any]


def mapped(event: Event) -> Event:
    """By a domain of one's own, through a mapping, to a stage with a name and variables."""
    path = f"/prod{event['rawPath']}"
    context = event["requestContext"]
    return event | {
        "rawPath": path,
        "stageVariables": {"release": "7"},
        "headers": event["headers"] | {"host": "connect.example.com"},
        "requestContext": context
        | {
            "domainName": "connect.example.com",
            "domainPrefix": "connect",
            "stage": "prod",
            "http": context["http"] | {"path": path},
        },
    }


def adorned(event: Event) -> Event:
    """With all that a gateway may know of a request, and what browsers and proxies add to it."""
    context = event["requestContext"] | {
        "authentication": {"clientCert": {"clientCertPem": "CERT", "serialNumber": "a1"}},
        "authorizer": {"jwt": {"claims": {"sub": "x"}, "scopes": None}},
    }
    return event | {
        "cookies": ["session=1", "theme=dark; light"],
        "queryStringParameters": {"a": "1,2"},
        "pathParameters": event.get("pathParameters") or {},
        "requestContext": context,
        "headers": event["headers"]
        | {
            "accept": "text/html,application/json",
            "accept-language": "fr-CH, fr;q=0.9,es;q=0.8",
            "x-forwarded-for": "198.51.100.7,203.0.113.9",
            "via": "2.0 a.cloudfront.net (CloudFront),1.1 proxy",
            "content-type": "Application/JSON; charset=UTF-8",
            "sec-fetch-mode": "navigate",
        },
    }


def encoded(event: Event) -> Event:
    """With a body that the gateway takes for binary."""
    if "body" not in event:
        return event | {"isBase64Encoded": True}
    return event | {"body": base64.b64encode(event["body"].encode()).decode(), "isBase64Encoded": True}


def bare(event: Event) -> Event:
    """With nothing that is not needed."""
    kept = ("authorization", "content-type", "idempotency-key", "host")
    headers = {name: value for name, value in event["headers"].items() if name in kept}
    event = event | {"headers": headers}
    return {name: value for name, value in event.items() if value or name == "rawQueryString"}


@pytest.mark.parametrize("shape", [mapped, adorned, encoded, bare])
@pytest.mark.parametrize(("route", "special"), REQUESTS)
def test_every_route_answers_each_shape_of_an_event_as_its_plain_form(
    stack: Stack,
    monkeypatch: pytest.MonkeyPatch,
    route: str,
    special: str,
    shape: Callable[[Event], Event],
) -> None:
    seen: list[Event] = []
    for folder in (ROOT / "functions").iterdir():
        module = importlib.import_module(f"functions.{folder.name}.app")
        handler = module.lambda_handler

        def shaped(event: Event, context: Any, handler: Any = handler) -> Any:
            if "routeKey" not in event:
                return handler(event, context)  # no route's
            seen.append(shape(event))
            return handler(seen[-1], context)

        monkeypatch.setattr(module, "lambda_handler", shaped)
    prepare, _ = REQUESTS[route, special]
    answer = prepare(stack)()
    assert answer.status < 300
    assert seen[-1]["routeKey"] == route


def test_a_head_has_no_body(stack: Stack) -> None:
    answer = page(stack.create(founding()).json, method="HEAD")
    assert (answer.status, answer.text) == (200, "")


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        ("ann%2Bbob%40example.com", "ann+bob@example.com"),
        ("ann%2bbob%40example.com", "ann+bob@example.com"),
        ("ann+bob", "ann bob"),
        ("ann%20bob", "ann bob"),
        ("Z%C3%BCrich", "Zürich"),
    ],
)
def test_a_query_is_read_as_forms_write_it(stack: Stack, sent: str, meant: str) -> None:
    stack.create(founding(externalUserId="somebody else"))
    link = stack.create(founding(externalUserId=meant)).json
    found = stack.page(f"externalUserId={sent}").json
    assert [each["linkId"] for each in found["links"]] == [link["linkId"]]


@pytest.mark.parametrize(
    "query",
    ["code={}", "utm_source=a+b&code={}", "code%3D{}", "CODE=x&code={}&code={}", "code={}%20"],
)
def test_a_page_finds_its_code_however_the_address_was_passed_on(stack: Stack, query: str) -> None:
    link = stack.create(founding()).json
    answer = page(link, query=query.replace("{}", link["claimCode"]))
    assert view(answer) == "consent"


def twice(stack: Stack, header: str, first: str, second: str) -> Answer:
    return stack.create(headers={header: f"{first},{second}"})


def test_a_header_that_comes_twice_is_refused_where_it_must_be_one(stack: Stack) -> None:
    assert twice(stack, "authorization", f"Bearer {SAMPLE_KEY}", f"Bearer {SAMPLE_KEY}").status == 401
    assert twice(stack, "content-type", "application/json", "text/plain").status == 415
    assert twice(stack, "content-encoding", "identity", "gzip").status == 415
    assert stack.links() == []


def test_a_languages_list_may_come_in_two_headers(stack: Stack) -> None:
    link = stack.create(founding()).json
    answer = page(link, headers={"accept-language": "fr;q=0.9,es;q=0.8"})
    assert 'lang="es"' in answer.text


@pytest.mark.parametrize("identity", ["..", "a/b", "%74mobile", "tmobile ", "\u212a", ""])
def test_a_path_parameter_that_was_written_in_codes_names_nothing_else(stack: Stack, identity: str) -> None:
    event = sample_event("get_providers") | {
        "routeKey": "GET /v1/providers/{integrationId}",
        "pathParameters": {"integrationId": identity},
    }
    assert stack.invoke("get_providers", event).status == 404
