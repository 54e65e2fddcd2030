"""A store in trouble, for real: a proxy between functions and AWS throttles, hangs, and loses answers."""

import json
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.e2e.api import Api, Session, eventually, link
from tests.e2e.deployed import Deployed
from tests.e2e.receiver import receiving

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


QUEUE_DOWN = {
    "service": "sqs",
    "operation": "SendMessage",
    "error": {"code": "ServiceUnavailable", "status": 503},
}


@pytest.mark.parametrize("fault", [THROTTLED, RESET, HANGING], ids=["throttled", "reset", "hanging"])
def test_a_client_of_a_store_in_trouble_is_told_to_try_again_and_can(
    deployed: Deployed, fault: dict[str, Any]
) -> None:
    created = deployed.api.create(link()).json
    with faults(deployed, fault):
        refused = deployed.api.claim(created["claimCode"])
    assert (refused.status, refused.json["code"]) == (503, "unavailable")
    claimed = deployed.api.claim(created["claimCode"])
    assert claimed.status == 200
    session = Session(Api(deployed.url, claimed.json["clientToken"]), created["linkId"])
    challenge = session.turn()["challenge"]["id"]
    login = {"username": "user_good", "password": "pass_good"}
    with faults(deployed, fault):
        assert session.answer(login, challenge).status == 503
    assert session.answer(login, challenge).status == 202
    assert session.turn()["status"] == "complete"


def test_a_claim_whose_answer_is_lost_on_the_way_is_still_the_winner(deployed: Deployed) -> None:
    created = deployed.api.create(link()).json
    lost = {"operation": "UpdateItem", "resource": "Links", "times": 1, "response": {"abort_bytes": 1}}
    with faults(deployed, lost):
        claimed = deployed.api.claim(created["claimCode"])
    assert claimed.status == 200
    assert deployed.api.claim(created["claimCode"]).status == 409


def test_a_session_and_an_event_whose_messages_could_not_be_sent_are_found_by_sweep(
    deployed: Deployed,
) -> None:
    with receiving() as receiver:
        with faults(deployed, QUEUE_DOWN):
            session = deployed.api.begin(link(webhookUrl=receiver.url))
        deployed.let_pass(session.link_id, 15)
        deployed.sweep()
        session.turn()
        with faults(deployed, QUEUE_DOWN):
            assert session.cancel().status == 200
        assert receiver.got == []
        deployed.sweep()
        eventually(lambda: receiver.got)


def test_an_end_without_its_keys_is_refused_and_can_be_asked_for_again(deployed: Deployed) -> None:
    api = deployed.new_caller("faults")
    with receiving() as receiver:
        link_id = api.create(link(webhookUrl=receiver.url)).json["linkId"]
        deployed.restart("CancelLinkFunction")  # a data key serves for five minutes
        with faults(deployed, KMS_DOWN):
            assert api.cancel(link_id).status == 503
        assert api.link(link_id)["status"] == "pending"
        assert api.cancel(link_id).status == 200
        eventually(lambda: receiver.got)
