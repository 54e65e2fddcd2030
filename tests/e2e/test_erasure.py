"""Erasures on the deployed stack: by the client, while others are at the link; what is found of the user."""

import json
from functools import partial
from typing import Any

import pytest

from latchkey.adapters.store import LINK_ROW
from latchkey_client import GoneError, Latchkey
from tests.e2e.api import Api, eventually, link
from tests.e2e.deployed import Deployed, encodings
from tests.e2e.receiver import receiving
from tests.integration.test_erasure import assert_nothing_is_left
from tests.template import resources

READ, WRITE = "paymentMethod.read", "paymentMethod.write"


def queued(deployed: Deployed) -> str:
    """All messages that can be seen in any queue; they stay there."""
    sqs, seen = deployed.stack.client("sqs"), []
    for queue in resources("AWS::SQS::Queue"):
        url = deployed.physical[queue]
        answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0)
        seen += [message["Body"] for message in answer.get("Messages", [])]
    return "\n".join(seen)


def clean(deployed: Deployed, link_id: str) -> bool:
    return not deployed.secrets(link_id)


def erase(api: Api, link_id: str) -> Any:
    answer = api.request("DELETE", f"/v1/links/{link_id}")
    assert answer.status == 200, answer.text
    return answer.json


def test_a_user_whose_links_are_erased_is_found_in_no_table_queue_or_log(deployed: Deployed) -> None:
    user, note, path, hook = (f"canary-{n}-of-an-erased-user" for n in range(4))
    api = deployed.new_caller("eraser")
    with receiving() as receiver, Latchkey(api_key=api.key, base_url=api.url) as client:
        body = link(
            *(READ, WRITE),
            externalUserId=user,
            metadata={"note": note},
            returnUrl=f"https://app.example/{path}",
            webhookUrl=f"{receiver.url}/{hook}",
            debug=True,
        )
        complete, asked, canceled = api.begin(body), api.begin(body), api.begin(body)
        pending = api.create(body, idempotency_key="made").json
        complete.play("user_good")
        asked.log_in("user_otp")
        asked.turn()
        canceled.cancel()
        eventually(lambda: len(receiver.got) == 2)
        links = [complete.link_id, asked.link_id, canceled.link_id, pending["linkId"]]
        eventually(lambda: api.get(f"/v1/links/{links[0]}/deliveries").json["deliveries"])
        assert hook in deployed.stored()  # what is looked for can be found
        one = client.links.delete(complete.link_id)
        assert (one.status, one.result, one.external_user_id) == ("complete", None, None)
        told = client.erasures.create(external_user_id=user)
        assert (told.erased, told.remaining) == (3, False)
        for link_id in links:
            assert deployed.secrets(link_id) == []
            assert_nothing_is_left(deployed.link(link_id))
            assert client.links.get(link_id).erased_at is not None
            assert client.links.deliveries(link_id).deliveries == []
            with pytest.raises(GoneError):
                client.links.redeliver(link_id)
        assert list(client.links.list(external_user_id=user)) == []
        assert list(client.events.list()) == []
        assert api.create(body, idempotency_key="made").status == 410
        assert api.claim(pending["claimCode"]).status == 410
        assert [session.api.get("/link/session").status for session in (complete, asked)] == [401, 401]
        assert api.status(pending["claimCode"]).json["status"] == "canceled"
        deployed.sweep()
        assert len(receiver.got) == 2
    printed, stored = deployed.printed(), deployed.stored()
    assert links[0] in printed
    for canary in (user, note, path, hook):
        for text in encodings(canary):
            assert text not in stored + queued(deployed), canary
            assert text not in printed, canary


def test_a_worker_and_a_sender_that_are_at_a_link_when_it_is_erased_leave_nothing(deployed: Deployed) -> None:
    with receiving() as receiver:
        running = deployed.api.begin(link(WRITE, READ, webhookUrl=receiver.url))
        running.log_in("user_slow")
        eventually(lambda: deployed.api.link(running.link_id)["operations"][0]["status"] == "running")
        erased = erase(deployed.api, running.link_id)
        assert (erased["status"], erased["error"]["code"]) == ("canceled", "OUTCOME_UNKNOWN")
        executed = f'"sessionId": "{running.link_id.replace("link_", "sess_")}", "status": "result"'
        eventually(lambda: deployed.logged(executed) == 1)
        receiver.hangs = True
        sending = deployed.api.create(link(READ, webhookUrl=receiver.url)).json["linkId"]
        deployed.api.cancel(sending)
        eventually(lambda: receiver.got)
        after = erase(deployed.api, sending)
        receiver.answers.append(500)
        receiver.over.set()
        eventually(lambda: deployed.logged('"erased while its event was sent"') == 1)
        for link_id in (running.link_id, sending):
            eventually(partial(clean, deployed, link_id))
            assert_nothing_is_left(deployed.link(link_id))
        assert deployed.api.link(sending) | {"testClock": None} == after | {"testClock": None}
        assert [json.loads(body)["data"]["linkId"] for _, body in receiver.got] == [sending]


def test_sweep_looks_once_more_when_all_are_done(deployed: Deployed) -> None:
    created = deployed.api.create(link(WRITE)).json
    erase(deployed.api, created["linkId"])
    row = deployed.link(created["linkId"])
    # As if a process that was at it then had sealed something, had died, and the time were over.
    late = {"pk": created["linkId"], "sk": "input#late", "ciphertext": b"c", "wrappedKey": b"k"}
    deployed.table("SecretsTable").put_item(Item=late)
    for name in ("erasedAt", "updatedAt", "dueAt"):
        row[name] -= 400_000
    deployed.table("LinksTable").put_item(Item=row)
    deployed.sweep()
    assert deployed.secrets(created["linkId"]) == []
    left = deployed.table("LinksTable").get_item(Key={"pk": created["linkId"], "sk": LINK_ROW})["Item"]
    assert not {"secrets", "dueAt", "dueShard"} & left.keys()
