"""GET /v1/providers through its handler."""

import json
from typing import Any

import pytest

from tests.integration.conftest import Answer, Stack, sample_event
from tests.template import ROOT


def get(stack: Stack, integration: str | None = None, if_none_match: str | None = None) -> Answer:
    event: dict[str, Any] = sample_event("get_providers")
    if integration is not None:
        event |= {
            "routeKey": "GET /v1/providers/{integrationId}",
            "pathParameters": {"integrationId": integration},
        }
    if if_none_match is not None:
        event["headers"]["if-none-match"] = if_none_match
    return stack.invoke("get_providers", event)


def test_the_catalogue_offers_what_create_link_takes(stack: Stack) -> None:
    offered = {
        (provider["id"], provider["name"], resource["name"], action)
        for provider in get(stack).json["providers"]
        for resource in provider["resources"]
        for action in resource["operations"]
    }
    carriers = [("tmobile", "T-Mobile"), ("att", "AT&T"), ("verizon", "Verizon")]
    assert offered >= {
        (*carrier, resource, action)
        for carrier in carriers
        for resource, action in [
            ("paymentMethod", "read"),
            ("paymentMethod", "write"),
            ("mobileBillingStatement", "read"),
        ]
    } | {("ubereats", "Uber Eats", "orderHistory", "read")}


def test_one_integration_reads_as_it_does_in_the_list(stack: Stack) -> None:
    listed = {provider["id"]: provider for provider in get(stack).json["providers"]}
    for integration, provider in listed.items():
        assert get(stack, integration).json == provider


def test_an_unknown_integration_is_404(stack: Stack) -> None:
    answer = get(stack, "tmobil")
    assert (answer.status, answer.json["code"]) == (404, "not_found")
    assert answer.headers["Cache-Control"] == "no-store"


def test_the_catalogue_may_be_kept_for_five_minutes(stack: Stack) -> None:
    answer = get(stack)
    assert answer.headers["Cache-Control"] == "private, max-age=300"
    assert answer.headers["ETag"].startswith('"')
    assert get(stack, "tmobile").headers["ETag"] not in (
        answer.headers["ETag"],
        get(stack, "att").headers["ETag"],
    )


@pytest.mark.parametrize("form", ["{}", "W/{}", '"other", {}', '"other",W/{} ,"x"', "*"])
def test_a_current_copy_is_answered_304_without_a_body(stack: Stack, form: str) -> None:
    etag = get(stack).headers["ETag"]
    answer = get(stack, if_none_match=form.format(etag))
    assert (answer.status, answer.text) == (304, "")
    assert answer.headers["ETag"] == etag
    assert answer.headers["Cache-Control"] == "private, max-age=300"


@pytest.mark.parametrize("tag", ["", '"other"', 'W/"other"', "x*"])
def test_another_copy_is_answered_in_full(stack: Stack, tag: str) -> None:
    assert get(stack, if_none_match=tag).status == 200


def describe(stack: Stack, **headers: str) -> Answer:
    event: dict[str, Any] = sample_event("get_providers") | {"routeKey": "GET /openapi.json"}
    event["headers"] = headers  # and no key
    return stack.invoke("get_providers", event)


def test_anybody_gets_the_apis_description_unless_theirs_is_current(stack: Stack) -> None:
    answer = describe(stack)
    assert answer.status == 200
    assert answer.headers["Cache-Control"] == "public, max-age=300"
    assert answer.json == json.loads((ROOT / "schemas/openapi.json").read_text())
    again = describe(stack, **{"if-none-match": answer.headers["ETag"]})
    assert (again.status, again.text) == (304, "")


def test_the_description_opens_nothing_else(stack: Stack) -> None:
    event: dict[str, Any] = sample_event("get_providers")
    event["headers"] = {}
    assert stack.invoke("get_providers", event).status == 401
