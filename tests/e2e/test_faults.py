"""A store in trouble, for real: a proxy between functions and AWS throttles, hangs, and loses answers."""

import json
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.e2e.deployed import Deployed

GATEWAY_LIMIT = 30  # seconds

THROTTLED = {"error": {"code": "ProvisionedThroughputExceededException"}}
HANGING = {"timeout_ms": 60_000}
RESET = {"reset": True}
KMS_DOWN = {"service": "kms", "error": {"code": "KMSInternalException"}}


@contextmanager
def faults(deployed: Deployed, *rules: dict[str, Any]) -> Iterator[None]:
    """Let the functions' AWS calls fail by these rules for as long as the context lasts."""

    def post(content: list[dict[str, Any]]) -> None:
        url = deployed.stack.read()["faultsUrl"] + "/_microburst/rules"
        request = urllib.request.Request(url, json.dumps(content).encode(), method="POST")  # noqa: S310 # 127.0.0.1
        urllib.request.urlopen(request, timeout=10).close()  # noqa: S310 # as above

    post([{"service": "dynamodb"} | rule for rule in rules])
    try:
        yield
    finally:
        post([])


@pytest.mark.parametrize(
    "fault",
    [
        THROTTLED,
        THROTTLED | {"operation": "GetItem"},
        THROTTLED | {"operation": "PutItem", "resource": "Links"},
        THROTTLED | {"operation": "PutItem", "resource": "Secrets"},
        RESET,
        HANGING,
        HANGING | {"operation": "PutItem", "resource": "Links"},
        KMS_DOWN,
    ],
    ids=["throttled", "key", "link", "secrets", "reset", "hanging", "hanging link", "kms"],
)
def test_a_service_in_trouble_is_503_in_time_and_the_retry_yields_the_one_link(
    deployed: Deployed, fault: dict[str, Any]
) -> None:
    api, links_before = deployed.new_caller("faults"), deployed.count_links()
    if fault is KMS_DOWN:
        deployed.restart("CreateLinkFunction")  # a data key serves for five minutes
    with faults(deployed, fault):
        started = time.monotonic()
        answer = api.create(idempotency_key="k")
        assert time.monotonic() - started < GATEWAY_LIMIT
    assert (answer.status, answer.json["code"]) == (503, "unavailable")
    assert int(answer.headers["Retry-After"]) > 0
    first, again = api.create(idempotency_key="k"), api.create(idempotency_key="k")
    assert (first.status, again.status) == (201, 201)
    assert first.text == again.text
    assert deployed.count_links() == links_before + 1
    assert len(deployed.secrets(first.json["linkId"])) >= 1


def test_one_throttled_call_is_not_noticed(deployed: Deployed) -> None:
    with faults(deployed, THROTTLED | {"times": 1}):
        assert deployed.new_caller("faults").create().status == 201


@pytest.mark.parametrize("idempotency_key", [None, "k"])
def test_a_put_whose_answer_is_lost_has_made_the_link(
    deployed: Deployed, idempotency_key: str | None
) -> None:
    api, links_before = deployed.new_caller("faults"), deployed.count_links()
    lost = {"operation": "PutItem", "resource": "Links", "times": 1, "response": {"abort_bytes": 1}}
    with faults(deployed, lost):
        answer = api.create(idempotency_key=idempotency_key)
    assert answer.status == 201
    assert answer.headers["Idempotent-Replayed"] is None
    assert deployed.count_links() == links_before + 1
    assert len(deployed.secrets(answer.json["linkId"])) == 1


def test_a_hanging_store_does_not_hang_a_read(deployed: Deployed) -> None:
    link_id = deployed.api.create().json["linkId"]
    with faults(deployed, HANGING | {"operation": "GetItem"}):
        answer = deployed.api.get(f"/v1/links/{link_id}")
    assert (answer.status, answer.json["code"]) == (503, "unavailable")
    assert deployed.api.get(f"/v1/links/{link_id}").status == 200
