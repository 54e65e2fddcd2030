"""Webhooks over HTTP, deployed: from a link's end to a receiver on this machine."""

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from standardwebhooks import Webhook

from tests.e2e.api import Api, Session, eventually, link
from tests.e2e.deployed import Deployed, encodings
from tests.e2e.receiver import Receiver, receiving

READ, WRITE = "paymentMethod.read", "paymentMethod.write"


def delivered(api: Api, link_id: str, attempts: int = 1) -> None:
    """Wait until the link's event has been delivered by so many attempts."""
    eventually(lambda: api.link(link_id)["webhook"]["status"] == "delivered")
    assert api.link(link_id)["webhook"] == {
        "status": "delivered",
        "attempts": attempts,
        "nextAttemptAt": None,
    }


def verified(api: Api, receiver: Receiver) -> Any:
    """The newest event, whose signature the public library accepts with the account's secret."""
    headers, body = receiver.got[-1]
    (secret,) = api.get("/v1/webhook-secret").json["secrets"]
    return Webhook(secret["secret"]).verify(body, headers)


def complete(_: Deployed, api: Api, body: dict[str, Any]) -> str:
    session = api.begin(body)
    session.play("user_good")
    return session.link_id


def failed(_: Deployed, api: Api, body: dict[str, Any]) -> str:
    session = api.begin(body)
    session.play("user_locked")
    return session.link_id


def canceled(_: Deployed, api: Api, body: dict[str, Any]) -> str:
    link_id: str = api.create(body).json["linkId"]
    api.cancel(link_id)
    return link_id


def expired(deployed: Deployed, api: Api, body: dict[str, Any]) -> str:
    created = api.create(body | {"expiresIn": 1}).json
    eventually(lambda: time.time() * 1000 > created["expiresAt"])
    deployed.sweep()
    return str(created["linkId"])


@pytest.mark.parametrize("end", [complete, failed, canceled, expired], ids=lambda end: end.__name__)
def test_each_end_sends_exactly_one_event_that_verifies(
    deployed: Deployed, end: Callable[[Deployed, Api, dict[str, Any]], str]
) -> None:
    api = deployed.new_caller("webhooks")
    with receiving() as receiver:
        link_id = end(deployed, api, link(READ, webhookUrl=receiver.url, metadata={"order": "7"}))
        delivered(api, link_id)
        event, view = verified(api, receiver), api.link(link_id)
        assert event["type"] == f"link.{end.__name__}"
        assert event["data"] == {name: view[name] for name in event["data"]}
        assert (event["data"]["linkId"], event["data"]["metadata"]) == (link_id, {"order": "7"})
        assert (event["data"]["result"] is not None) == (end is complete)
        deployed.sweep()
        deployed.sweep()
        assert len(receiver.got) == 1
    (attempt,) = api.get(f"/v1/links/{link_id}/deliveries").json["deliveries"]
    assert (attempt["attempt"], attempt["statusCode"], attempt["error"]) == (1, 204, None)


def test_a_receiver_that_fails_twice_gets_three_attempts_with_one_id_and_the_same_bytes(
    deployed: Deployed,
) -> None:
    api = deployed.new_caller("webhooks")
    with receiving(500, 503) as receiver:
        link_id = canceled(deployed, api, link(READ, webhookUrl=receiver.url))
        eventually(lambda: len(receiver.got) == 2)
        assert 3.5 < receiver.at[1] - receiver.at[0] < 12  # 5 s by the schedule, and the queue's delay
        eventually(lambda: "leaseUntil" not in deployed.link(link_id)["webhook"])
        waits = int(deployed.link(link_id)["webhook"]["nextAttemptAt"]) - 1000 * time.time()
        assert 200_000 < waits < 400_000  # 5 min by the schedule
        deployed.let_pass(link_id, 400)
        deployed.sweep()
        delivered(api, link_id, attempts=3)
        assert len({headers["webhook-id"] for headers, _ in receiver.got}) == 1
        assert len({body for _, body in receiver.got}) == 1
        verified(api, receiver)
    statuses = [d["statusCode"] for d in api.get(f"/v1/links/{link_id}/deliveries").json["deliveries"]]
    assert statuses == [500, 503, 204]


def test_an_event_is_sent_again_on_request_and_both_secrets_sign_during_an_overlap(
    deployed: Deployed,
) -> None:
    api = deployed.new_caller("rotating")
    with receiving() as receiver:
        link_id = canceled(deployed, api, link(READ, webhookUrl=receiver.url))
        delivered(api, link_id)
        old = api.get("/v1/webhook-secret").json["secrets"][0]["secret"]
        rotated = api.request("POST", "/v1/webhook-secret/rotate", {"overlapSeconds": 3600})
        assert api.request("POST", f"/v1/links/{link_id}/redeliver").status == 202
        delivered(api, link_id, attempts=2)
        headers, body = receiver.got[-1]
        for secret in (old, rotated.json["secret"]):
            Webhook(secret).verify(body, headers)
        assert receiver.got[0][0]["webhook-id"] == headers["webhook-id"]
        assert receiver.got[0][1] == body
    assert deployed.other.request("POST", f"/v1/links/{link_id}/redeliver").status == 404


def test_a_receiver_that_hangs_does_not_hold_up_another(deployed: Deployed) -> None:
    api = deployed.new_caller("webhooks")
    with receiving() as hanging, receiving() as good:
        hanging.hangs = True
        for _ in range(7):
            canceled(deployed, api, link(READ, webhookUrl=hanging.url))
        started = time.time()
        link_id = canceled(deployed, api, link(READ, webhookUrl=good.url))
        delivered(api, link_id)
        assert good.at[0] - started < 5
        assert len(hanging.got) <= 5  # in flight at one host
        hanging.over.set()


def test_a_receiver_that_is_not_there_is_recorded_and_tried_again(deployed: Deployed) -> None:
    api = deployed.new_caller("webhooks")
    link_id = canceled(deployed, api, link(READ, webhookUrl="http://127.0.0.1:9/"))
    deliveries = eventually(lambda: api.get(f"/v1/links/{link_id}/deliveries").json["deliveries"])
    assert (deliveries[0]["statusCode"], deliveries[0]["error"]) == (None, "connect")
    assert api.link(link_id)["webhook"]["status"] == "pending"


def test_no_secret_of_a_whole_life_is_printed_stored_or_queued(deployed: Deployed) -> None:
    card, password, code, key = "4539148803436467", "pass_good", "123456", "claims-canary-0123456789"
    api = deployed.new_caller("life-canary")
    with receiving(500) as receiver:
        body = link(READ, WRITE, webhookUrl=receiver.url, debug=True)
        body["operations"][1]["arguments"]["cardNumber"] = card
        created = api.create(body).json
        token = api.claim(created["claimCode"], key).json["clientToken"]
        session = Session(Api(api.url, token), created["linkId"])
        assert session.play("user_otp", code)["status"] == "complete"
        eventually(lambda: len(receiver.got) == 2)
        delivered(api, created["linkId"], attempts=2)
    secret = api.get("/v1/webhook-secret").json["secrets"][0]["secret"]
    results = json.loads(receiver.got[0][1])["data"]["result"]["operations"]
    assert results[1]["data"]["card"]["last4"] == card[-4:]
    printed, stored = deployed.printed(), deployed.stored()
    assert created["linkId"] in printed
    assert created["linkId"] in stored
    for canary in (card, password, key, created["claimCode"], token, api.key, secret, "pm_8841"):
        for text in encodings(canary):
            assert text not in printed, canary
            assert text not in stored, canary
    assert f'"{code}"' not in printed


def end_links(api: Api, url: str, count: int) -> tuple[set[str], float]:
    """End so many links that send their events to a URL, at once; their ids, and when the last had ended."""
    body = link(READ, webhookUrl=url)
    with ThreadPoolExecutor(8) as pool:
        links = list(pool.map(lambda _: api.create(body).json["linkId"], range(count)))
        list(pool.map(api.cancel, links))
    return set(links), time.time()


def arrivals(receiver: Receiver, links: set[str]) -> list[float]:
    """When an event of one of the links arrived."""
    seen = zip(receiver.at.copy(), receiver.got.copy(), strict=False)
    return [at for at, (_, body) in seen if json.loads(body)["data"]["linkId"] in links]


def test_a_receiver_that_takes_its_time_gets_all_that_ended_at_once(deployed: Deployed) -> None:
    with receiving() as receiver:
        receiver.takes = 1.0
        links, ended = end_links(deployed.api, receiver.url, 100)
        eventually(lambda: len(arrivals(receiver, links)) == 100, 60)
    assert max(receiver.at) - ended < 40
    assert len({headers["webhook-id"] for headers, _ in receiver.got}) == 100


def test_one_accounts_events_do_not_wait_for_anothers_at_the_same_host(deployed: Deployed) -> None:
    with receiving() as receiver:
        receiver.takes = 13.0
        end_links(deployed.api, receiver.url, 40)
        eventually(lambda: len(receiver.got) >= 5, 20)
        links, ended = end_links(deployed.other, receiver.url, 5)
        eventually(lambda: len(arrivals(receiver, links)) == 5, 30)
        # They would wait for 77 s and more behind the first account's; the others hang for 13 s each.
        assert max(arrivals(receiver, links)) - ended < 10
