"""No role holds a permission that can be missed: without any one of them something is seen to fail."""

import functools
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from boto3.dynamodb.conditions import Key

from latchkey.adapters.store import ACCOUNT_PLACES, DUE_PAGE, HOST_ROW
from latchkey.domain import ids
from tests.e2e.api import Api, Session, eventually, founding, link
from tests.e2e.deployed import Deployed
from tests.e2e.receiver import Receiver, receiving
from tests.template import actions, resources, routes, statements

WRITE, READ = "paymentMethod.write", "paymentMethod.read"
# What takes longer than this does not work: sweep, which would make up for much, is kept from running.
SOON = 6  # seconds, most of them for cold starts


@pytest.fixture(scope="module", autouse=True)
def _no_sweep_of_its_own(deployed: Deployed) -> Iterator[None]:
    with deployed.unscheduled():
        yield


def soon(look: Callable[[], object], seconds: float = SOON) -> bool:
    """Whether `look` finds something before long."""
    try:
        eventually(look, seconds)
    except AssertionError:
        return False
    return True


def clean(deployed: Deployed, link_id: str) -> bool:
    """Whether nothing that was sealed for the link is left, and the link knows it."""
    return soon(lambda: not deployed.secrets(link_id) and "secrets" not in deployed.link(link_id))


@contextmanager
def hooked(*answers: int) -> Iterator[tuple[Receiver, dict[str, object]]]:
    """A receiver, and a link that sends its event there."""
    with receiving(*answers) as receiver:
        yield receiver, link(WRITE, READ, webhookUrl=receiver.url)


def creates_link(_: Deployed, api: Api) -> bool:
    return api.create().status == 201


def creates_link_once_and_seals_once(deployed: Deployed, api: Api) -> bool:
    first, again = api.create(idempotency_key="k"), api.create(idempotency_key="k")
    return first.text == again.text and len(deployed.secrets(first.json["linkId"])) == 1


def reads_link(deployed: Deployed, api: Api) -> bool:
    link_id = deployed.api.create(founding()).json["linkId"]
    return api.get(f"/v1/links/{link_id}").status in (200, 404)


def reads_catalogue(_: Deployed, api: Api) -> bool:
    return api.get("/v1/providers").status == 200


def reads_account(_: Deployed, api: Api) -> bool:
    return api.get("/v1/account").status == 200


def shows_page(_: Deployed, api: Api) -> bool:
    return api.get(api.create().json["appClipUrl"].removeprefix(api.url)).status == 200


def reads_result(_: Deployed, api: Api) -> bool:
    session = api.begin()
    session.play("user_good")
    answer = api.get(f"/v1/links/{session.link_id}")
    return answer.status == 200 and answer.json["result"] is not None


def lists_links(_: Deployed, api: Api) -> bool:
    api.create()
    return all(api.get(f"/v1/links{query}").status == 200 for query in ("", "?externalUserId=x"))


def cancels(deployed: Deployed, api: Api) -> bool:
    with hooked() as (receiver, body):
        link_id = api.create(body).json["linkId"]
        answer = api.cancel(link_id)
        return answer.status == 200 and clean(deployed, link_id) and soon(lambda: receiver.got)


def erases(deployed: Deployed, api: Api) -> bool:
    link_id = api.create(link(WRITE)).json["linkId"]
    answer = api.request("DELETE", f"/v1/links/{link_id}")
    return answer.status == 200 and not deployed.secrets(link_id)


def erases_user(_: Deployed, api: Api) -> bool:
    api.create(link(externalUserId="x"))
    answer = api.request("POST", "/v1/erasures", {"externalUserId": "x"})
    return answer.status == 200 and answer.json == {"erased": 1, "remaining": False}


def claims(_: Deployed, api: Api) -> bool:
    claimed = api.claim(api.create(link()).json["claimCode"])
    return claimed.status == 200 and soon(
        lambda: Session(Api(api.url, claimed.json["clientToken"]), "").view()["challenge"]
    )


def tells_status(_: Deployed, api: Api) -> bool:
    return api.status(api.create(link()).json["claimCode"]).status == 200


def answers_challenge(_: Deployed, api: Api) -> bool:
    session = api.begin()
    session.log_in("user_good")
    return soon(lambda: session.view()["status"] == "complete")


def user_cancels(deployed: Deployed, api: Api) -> bool:
    with hooked() as (receiver, body):
        session = api.begin(body)
        answer = session.cancel()
        return answer.status == 200 and clean(deployed, session.link_id) and soon(lambda: receiver.got)


def runs_session(deployed: Deployed, api: Api) -> bool:
    with hooked() as (receiver, body):
        session = api.begin(body)
        if not soon(lambda: session.view()["status"] == "awaiting_input"):
            return False
        session.log_in("user_good")
        if not soon(lambda: session.view()["status"] == "complete"):
            return False
        return clean(deployed, session.link_id) and soon(lambda: receiver.got)


def polls(_: Deployed, api: Api) -> bool:
    session = api.begin()
    session.log_in("user_wait")
    return soon(lambda: session.view()["status"] == "complete", SOON + 6)


def delivers(_: Deployed, api: Api) -> bool:
    with hooked(500, 204) as (receiver, body):
        api.cancel(api.create(body).json["linkId"])
        return soon(lambda: receiver.got) and soon(lambda: len(receiver.got) == 2, SOON + 6)


def waiting(deployed: Deployed, receiver: Receiver) -> int:
    """How many events stand in line for a place at the receiver."""
    host = f"host#{receiver.url.split('/')[2]}"
    rows = deployed.table("LinksTable").query(KeyConditionExpression=Key("pk").eq(host))["Items"]
    return sum(row["sk"] != HOST_ROW for row in rows)


def serves_line(deployed: Deployed, api: Api) -> bool:
    """One more event than its account has places at a host that hangs for a while."""
    with hooked() as (receiver, body):
        receiver.hangs = True
        links = [api.create(body).json["linkId"] for _ in range(ACCOUNT_PLACES + 1)]
        for link_id in links:
            api.cancel(link_id)
        if not soon(lambda: len(receiver.got) == ACCOUNT_PLACES and waiting(deployed, receiver) == 1):
            return False
        receiver.over.set()
        return soon(lambda: len(receiver.got) == len(links) and waiting(deployed, receiver) == 0)


def redelivers(_: Deployed, api: Api) -> bool:
    with hooked() as (receiver, body):
        link_id = api.create(body).json["linkId"]
        api.cancel(link_id)
        if not soon(lambda: receiver.got):
            return False
        path = f"/v1/links/{link_id}"
        if api.get(f"{path}/deliveries").status != 200:
            return False
        answer = api.request("POST", f"{path}/redeliver")
        return answer.status == 202 and soon(lambda: len(receiver.got) == 2)


def reads_webhook_secret(_: Deployed, api: Api) -> bool:
    return [api.get("/v1/webhook-secret").status for _ in range(2)] == [200, 200]


def sends_example(_: Deployed, api: Api) -> bool:
    with receiving() as receiver:
        body = {"url": receiver.url, "type": "link.complete"}
        answer = api.request("POST", "/v1/webhook-tests", body)
        return answer.status == 200 and answer.json["statusCode"] == 204


def lists_events(_: Deployed, api: Api) -> bool:
    api.cancel(link_id := api.create().json["linkId"])
    events = api.get("/v1/events")
    if events.status != 200 or [event["data"]["linkId"] for event in events.json["events"]] != [link_id]:
        return False
    return api.get(f"/v1/events?after={events.json['events'][0]['id']}").status == 200


def advances(deployed: Deployed, api: Api) -> bool:
    """To its expiry, through all attempts, of which a worker may make the first, and until it is gone."""
    with hooked(*10 * [500]) as (receiver, body):
        link_id = api.create(body).json["linkId"]
        expired = api.test(link_id, "advance", until="expiry")
        exhausted = api.test(link_id, "advance", seconds=100 * 3600)
        if (expired.status, exhausted.status) != (200, 200) or len(receiver.got) != 10:
            return False
        if not clean(deployed, link_id) or exhausted.json["webhook"]["status"] != "exhausted":
            return False
        api.test(link_id, "advance", until="retention")
        return api.get(f"/v1/links/{link_id}").status == 404


def simulates(deployed: Deployed, api: Api) -> bool:
    with hooked() as (receiver, body):
        link_id = api.create(body).json["linkId"]
        answer = api.test(link_id, "simulate", outcome="complete")
        return answer.status == 200 and clean(deployed, link_id) and soon(lambda: receiver.got)


def advances_in_line(deployed: Deployed, api: Api) -> bool:
    """The event of an end that becomes due waits for one of its account's places."""
    with hooked() as (receiver, body):
        receiver.hangs = True
        links = [api.create(body).json["linkId"] for _ in range(ACCOUNT_PLACES + 1)]
        for link_id in links[:ACCOUNT_PLACES]:
            api.cancel(link_id)
        if not soon(lambda: len(receiver.got) == ACCOUNT_PLACES):
            return False
        with ThreadPoolExecutor() as pool:
            advanced = pool.submit(lambda: api.test(links[-1], "advance", until="expiry"))
            soon(lambda: advanced.done() or waiting(deployed, receiver) == 1)
            receiver.over.set()
            return advanced.result().status == 200 and soon(lambda: len(receiver.got) == len(links))


def sweeps_ends(deployed: Deployed, api: Api) -> bool:
    with hooked() as (receiver, body):
        created = api.create(body | {"expiresIn": 1}).json
        eventually(lambda: time.time() * 1000 > created["expiresAt"])
        deployed.sweep()
        return clean(deployed, created["linkId"]) and soon(lambda: receiver.got)


def sweeps_sessions(deployed: Deployed, api: Api) -> bool:
    session = api.begin()
    challenge = session.turn()["challenge"]["id"]
    # As if the worker had never come: its message was lost, and a minute has passed.
    row = deployed.link(session.link_id)
    del row["session"]["challenge"], row["session"]["stateRow"]
    row["updatedAt"] = row["dueAt"] = row["createdAt"] - 60_000
    deployed.table("LinksTable").put_item(Item=row)
    deployed.sweep()
    return soon(lambda: (session.view()["challenge"] or {"id": challenge})["id"] != challenge)


def sweeps_much(deployed: Deployed, api: Api) -> bool:
    """A shard with more than a page, which is why it is handed over."""
    created = api.create(link(expiresIn=1)).json
    row, table = deployed.link(created["linkId"]), deployed.table("LinksTable")
    links = [created["linkId"] + str(n) for n in range(DUE_PAGE)]
    with table.batch_writer() as batch:
        for link_id in links:
            batch.put_item(Item=row | {"pk": link_id})
    try:
        eventually(lambda: time.time() * 1000 > created["expiresAt"])
        deployed.sweep()
        return soon(lambda: all(deployed.link(link_id)["status"] == "expired" for link_id in links), 2 * SOON)
    finally:
        with table.batch_writer() as batch:
            for link_id in links:
                batch.delete_item(Key={"pk": link_id, "sk": row["sk"]})


def counts_use(stem: str, deployed: Deployed, api: Api) -> bool:
    """Whether a request to the function is noted as the key's use; any request, and whatever it answers."""
    route = next(route for route, name in routes().items() if name == f"{stem}Function" and "/v1/" in route)
    method, _, path = route.partition(" ")
    api.request(method, path.replace("{", "").replace("}", ""))
    key = f"key#{ids.api_key_hash(api.key)}"
    return soon(lambda: key in [row["pk"] for row in deployed.rows("KeyUseTable")], 2)


COUNTING = sorted(
    name.removesuffix("Function")
    for name in resources("AWS::Serverless::Function")
    if any(statement["Sid"] == "CountUse" for statement in statements(name))
)
NEEDED: dict[tuple[str, str, str], Callable[[Deployed, Api], bool]] = {
    ("CreateLink", "ReadApiKeyAndSettings", "dynamodb:GetItem"): creates_link,
    ("CreateLink", "PutLink", "dynamodb:PutItem"): creates_link,
    ("CreateLink", "PutSealedArguments", "dynamodb:PutItem"): creates_link,
    ("CreateLink", "TakeBackSealedArguments", "dynamodb:DeleteItem"): creates_link_once_and_seals_once,
    ("CreateLink", "Seal", "kms:GenerateDataKey"): creates_link,
    ("Account", "ReadApiKeyAndSettings", "dynamodb:GetItem"): reads_account,
    ("GetLink", "ReadApiKeyAndLink", "dynamodb:GetItem"): reads_link,
    ("GetProviders", "ReadApiKey", "dynamodb:GetItem"): reads_catalogue,
    ("GetLink", "UnsealEvent", "kms:Decrypt"): reads_result,
    ("ListLinks", "ReadApiKey", "dynamodb:GetItem"): lists_links,
    ("ListLinks", "QueryIndexes", "dynamodb:Query"): lists_links,
    ("ListLinks", "ReadLinks", "dynamodb:BatchGetItem"): lists_links,
    ("CancelLink", "ReadApiKeyAndLink", "dynamodb:GetItem"): cancels,
    ("CancelLink", "EndLink", "dynamodb:UpdateItem"): cancels,
    ("CancelLink", "SealEvent", "kms:GenerateDataKey"): cancels,
    ("CancelLink", "ListSecrets", "dynamodb:Query"): cancels,
    ("CancelLink", "DeleteSecrets", "dynamodb:DeleteItem"): cancels,
    ("CancelLink", "WakeDeliverer", "sqs:SendMessage"): cancels,
    ("EraseLinks", "ReadApiKeyAndLink", "dynamodb:GetItem"): erases,
    ("EraseLinks", "FindLinks", "dynamodb:Query"): erases_user,
    ("EraseLinks", "ReadLinks", "dynamodb:BatchGetItem"): erases_user,
    ("EraseLinks", "WriteOver", "dynamodb:PutItem"): erases,
    ("EraseLinks", "ListSecrets", "dynamodb:Query"): erases,
    ("EraseLinks", "DeleteSecrets", "dynamodb:DeleteItem"): erases,
    ("LinkPage", "ReadLink", "dynamodb:GetItem"): shows_page,
    ("ClaimLink", "Claim", "dynamodb:UpdateItem"): claims,
    ("ClaimLink", "WakeWorker", "sqs:SendMessage"): claims,
    ("LinkStatus", "ReadLink", "dynamodb:GetItem"): tells_status,
    ("ClientSession", "ReadLink", "dynamodb:GetItem"): answers_challenge,
    ("ClientSession", "WriteLink", "dynamodb:UpdateItem"): answers_challenge,
    ("ClientSession", "PutInput", "dynamodb:PutItem"): answers_challenge,
    ("ClientSession", "Seal", "kms:GenerateDataKey"): answers_challenge,
    ("ClientSession", "WakeWorker", "sqs:SendMessage"): answers_challenge,
    ("ClientSession", "ListSecrets", "dynamodb:Query"): user_cancels,
    ("ClientSession", "DeleteSecrets", "dynamodb:DeleteItem"): user_cancels,
    ("ClientSession", "WakeDeliverer", "sqs:SendMessage"): user_cancels,
    ("RunSession", "ReadLink", "dynamodb:GetItem"): runs_session,
    ("RunSession", "WriteLink", "dynamodb:UpdateItem"): runs_session,
    ("RunSession", "ReadSecrets", "dynamodb:GetItem"): runs_session,
    ("RunSession", "PutSecrets", "dynamodb:PutItem"): runs_session,
    ("RunSession", "Seal", "kms:GenerateDataKey"): runs_session,
    ("RunSession", "Unseal", "kms:Decrypt"): runs_session,
    ("RunSession", "CallSandbox", "lambda:InvokeFunction"): runs_session,
    ("RunSession", "ListSecrets", "dynamodb:Query"): runs_session,
    ("RunSession", "DeleteSecrets", "dynamodb:DeleteItem"): runs_session,
    ("RunSession", "WakePoller", "sqs:SendMessage"): polls,
    ("RunSession", "WakeDeliverer", "sqs:SendMessage"): runs_session,
    ("DeliverWebhook", "ReadLinkAndAccount", "dynamodb:GetItem"): delivers,
    ("DeliverWebhook", "WriteLinkAndHost", "dynamodb:UpdateItem"): delivers,
    ("DeliverWebhook", "PutAccountAndLine", "dynamodb:PutItem"): delivers,
    ("DeliverWebhook", "ServeLine", "dynamodb:Query"): serves_line,
    ("DeliverWebhook", "ServeLine", "dynamodb:DeleteItem"): serves_line,
    ("DeliverWebhook", "SealSecret", "kms:GenerateDataKey"): delivers,
    ("DeliverWebhook", "Unseal", "kms:Decrypt"): delivers,
    ("DeliverWebhook", "WakeDeliverer", "sqs:SendMessage"): delivers,
    ("LinkDeliveries", "ReadApiKeyAndLink", "dynamodb:GetItem"): redelivers,
    ("LinkDeliveries", "WriteLink", "dynamodb:UpdateItem"): redelivers,
    ("LinkDeliveries", "WakeDeliverer", "sqs:SendMessage"): redelivers,
    ("WebhookSecret", "ReadApiKeyAndAccount", "dynamodb:GetItem"): reads_webhook_secret,
    ("WebhookSecret", "PutAccount", "dynamodb:PutItem"): reads_webhook_secret,
    ("WebhookSecret", "TakeTurnAndPlace", "dynamodb:UpdateItem"): sends_example,
    ("WebhookSecret", "SealSecret", "kms:GenerateDataKey"): reads_webhook_secret,
    ("WebhookSecret", "UnsealSecret", "kms:Decrypt"): reads_webhook_secret,
    ("ListEvents", "ReadApiKeyAndLink", "dynamodb:GetItem"): lists_events,
    ("ListEvents", "QueryEnds", "dynamodb:Query"): lists_events,
    ("ListEvents", "ReadLinks", "dynamodb:BatchGetItem"): lists_events,
    ("ListEvents", "UnsealEvent", "kms:Decrypt"): lists_events,
    ("TestLinks", "ReadKeyAccountAndLink", "dynamodb:GetItem"): advances,
    ("TestLinks", "WriteLinkAndHost", "dynamodb:UpdateItem"): advances,
    ("TestLinks", "DeleteLinkAndLine", "dynamodb:DeleteItem"): advances,
    ("TestLinks", "PutAccountAndLine", "dynamodb:PutItem"): advances_in_line,
    ("TestLinks", "ServeLine", "dynamodb:Query"): advances,
    ("TestLinks", "Seal", "kms:GenerateDataKey"): advances,
    ("TestLinks", "Unseal", "kms:Decrypt"): advances,
    ("TestLinks", "ListSecrets", "dynamodb:Query"): advances,
    ("TestLinks", "DeleteSecrets", "dynamodb:DeleteItem"): advances,
    ("TestLinks", "WakeDeliverer", "sqs:SendMessage"): simulates,
    ("Sweep", "FindDue", "dynamodb:Query"): sweeps_ends,
    ("Sweep", "ReadLink", "dynamodb:GetItem"): sweeps_ends,
    ("Sweep", "WriteLink", "dynamodb:UpdateItem"): sweeps_ends,
    ("Sweep", "SealEvent", "kms:GenerateDataKey"): sweeps_ends,
    ("Sweep", "ListSecrets", "dynamodb:Query"): sweeps_ends,
    ("Sweep", "DeleteSecrets", "dynamodb:DeleteItem"): sweeps_ends,
    ("Sweep", "WakeDeliverer", "sqs:SendMessage"): sweeps_ends,
    ("Sweep", "WakeWorker", "sqs:SendMessage"): sweeps_sessions,
    ("Sweep", "HandOver", "lambda:InvokeFunction"): sweeps_much,
}
for _stem in COUNTING:
    NEEDED |= dict.fromkeys(
        [(_stem, "CountUse", f"dynamodb:{call}") for call in ("GetItem", "UpdateItem")],
        functools.partial(counts_use, _stem),
    )


def test_every_permission_of_every_role_is_on_trial() -> None:
    granted = {
        (name.removesuffix("Function"), statement["Sid"], action)
        for name in resources("AWS::Serverless::Function")
        for statement in statements(name)
        for action in actions(statement)
    }
    # Not on this stack, which is one account's.
    granted.remove(("RunSession", "CallOtherAccounts", "lambda:InvokeFunction"))
    assert granted == NEEDED.keys()


def works(deployed: Deployed, trial: Callable[[Deployed, Api], bool]) -> bool:
    """Whether something works for a new account; a refusal on the way there is a no."""
    try:
        return trial(deployed, deployed.new_caller(f"privilege-{ids.new_token().lower()}"))
    except AssertionError:
        return False


@functools.cache
def worked(deployed: Deployed, trial: Callable[[Deployed, Api], bool]) -> bool:
    """The same with every permission there: once is enough."""
    return works(deployed, trial)


@pytest.mark.parametrize(("stem", "statement", "action"), NEEDED, ids=lambda part: part)
def test_without_the_permission_its_work_fails_and_with_it_it_is_done(
    deployed: Deployed, stem: str, statement: str, action: str
) -> None:
    trial = NEEDED[stem, statement, action]
    assert worked(deployed, trial)
    deployed.restart(f"{stem}Function")
    with deployed.without(f"{stem}FunctionRole", statement, action):
        assert not works(deployed, trial)
