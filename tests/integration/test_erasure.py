"""After an erasure nothing is left of the user, whatever state the link was in and whoever was at it."""

import json
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import count, product
from typing import Any

import pytest

from functions.sweep import app as sweep_app
from latchkey.adapters import store
from latchkey.domain import ids
from latchkey.domain.errors import UnavailableError
from latchkey.domain.links import AFTERMATH_MS, DUE_SHARDS, OPEN
from latchkey.domain.retry_schedule import Outcome
from latchkey.services import erase_link
from tests.integration.conftest import (
    LOGIN,
    SAMPLE_KEY,
    Answer,
    Context,
    Output,
    Receiver,
    Stack,
    founding,
    operations,
    sample_event,
)
from tests.integration.simulation import Crash, Simulation, simulation
from tests.integration.test_canaries import assert_clean, body, everything
from tests.integration.test_link_page import page, view

USER, NOTE, PATH, HOOK, SITE = (f"canary-{n}-of-a-user" for n in range(5))
CANARIES = (USER, NOTE, PATH, HOOK, SITE, "Canary Quisling", "4242424242424242")
READ, WRITE = "paymentMethod.read", "paymentMethod.write"
CLAIM_KEY, MAKE_KEY = "0123456789abcdef", {"idempotency-key": "k"}
# All that may stand on what is left of a link.
LEFT = {
    *(
        "pk",
        "sk",
        "owner",
        "livemode",
        "integrationId",
        "operations",
        "status",
        "baseUrl",
        "error",
        "session",
    ),
    *("createdAt", "updatedAt", "expiresAt", "completedAt", "erasedAt", "endOrder", "clockOffset"),
    *("writeToken", "secrets", "sessionEndsAt", "dueShard", "dueAt", "ttl"),
}
LEFT_INSIDE = {
    "session": {"claimedAt", "endsAt"},
    "error": {"code", "operationIndex"},
    "operations": {"resource", "action", "status"},
}


def canaried(**changes: Any) -> dict[str, Any]:
    """A body with a canary in each member that tells of the user."""
    words = {
        "externalUserId": USER,
        "metadata": {"note": NOTE},
        "returnUrl": f"https://app.example/{PATH}",
        "embedOrigins": [f"https://{SITE}.example"],
        "webhookUrl": f"https://hook.example.com/{HOOK}",
    }
    made = body(cardNumber="4242424242424242") | words | changes
    return {name: value for name, value in made.items() if value is not None}


pytestmark = pytest.mark.usefixtures("stack_sleeps")


# --- In whatever state the link is ---------------------------------------------------------------


def pending(stack: Stack) -> str | None:
    stack.create(canaried(), headers=MAKE_KEY)
    return None


def claimed(stack: Stack) -> str:
    link = stack.create(canaried(), headers=MAKE_KEY).json
    token: str = stack.claim(link["claimCode"], CLAIM_KEY).json["clientToken"]
    stack.work()
    return token


def answered(stack: Stack, user: str = "user_good") -> str:
    token = claimed(stack)
    stack.answer(token, LOGIN | {"username": user})
    return token


def asked_for_a_code(stack: Stack) -> str:
    token = answered(stack, "user_otp")
    stack.work()
    return token


def asked_in_an_operation(stack: Stack) -> str:
    token = answered(stack, "user_step_up")
    stack.work()
    return token


def in_a_write(stack: Stack) -> str:
    token, play = answered(stack), stack.connectors.reply

    def dies(request: dict[str, Any]) -> Any:
        if request["action"] == "execute" and request["operation"]["action"] == "write":
            raise Crash
        return play(request)

    stack.connectors.reply = dies
    with suppress(Crash):
        stack.work()
    stack.connectors.reply = play
    return token


def owed(stack: Stack) -> str:
    token = answered(stack)
    stack.work()
    return token


def delivered(stack: Stack) -> str:
    token = owed(stack)
    stack.deliver()
    return token


def retrying(stack: Stack) -> str:
    with pytest.MonkeyPatch.context() as patch:
        refused = Outcome(duration_ms=1, status_code=500)
        patch.setattr("latchkey.adapters.webhook_sender.send", lambda *_, **__: refused)
        return delivered(stack)


def failed(stack: Stack) -> str:
    token = answered(stack, "user_declined")
    stack.work()
    return token


def canceled(stack: Stack) -> None:
    link = stack.create(canaried(), headers=MAKE_KEY).json
    stack.cancel(link["linkId"])


def expired(stack: Stack) -> None:
    stack.create(canaried(expiresIn=60), headers=MAKE_KEY)
    stack.now += 60_000


def timed_out(stack: Stack) -> str:
    token = claimed(stack)
    stack.now += 900_000
    return token


def debugged(stack: Stack) -> None:
    link = stack.create(canaried(debug=True), headers=MAKE_KEY).json
    stack.simulate(link["linkId"], outcome="complete")


def turned(stack: Stack) -> None:
    link = stack.create(canaried(), headers=MAKE_KEY).json
    stack.advance(link["linkId"], seconds=3600)
    stack.test_mode(link["linkId"], "fail-deliveries", {"count": 3, "as": 500})


STATES: dict[Callable[[Stack], str | None], tuple[str, str | None]] = {
    pending: ("canceled", None),
    claimed: ("canceled", None),
    answered: ("canceled", None),
    asked_for_a_code: ("canceled", None),
    asked_in_an_operation: ("canceled", None),
    in_a_write: ("canceled", "OUTCOME_UNKNOWN"),
    owed: ("complete", None),
    delivered: ("complete", None),
    retrying: ("complete", None),
    failed: ("failed", "AUTOMATION_ERROR"),
    canceled: ("canceled", None),
    expired: ("expired", None),
    timed_out: ("failed", "CLIENT_TIMEOUT"),
    debugged: ("complete", None),
    turned: ("canceled", None),
}


def assert_nothing_is_left(row: dict[str, Any]) -> None:
    """Of an item, whose values may be DynamoDB's or Python's."""
    assert set(row) <= LEFT
    for name, members in LEFT_INSIDE.items():
        inside: Any = row.get(name, {})
        if isinstance(inside, dict):
            inside = inside.get("M", inside.get("L", inside))
        parts: list[dict[str, Any]] = inside if isinstance(inside, list) else [inside]
        assert {member for part in parts for member in part.get("M", part)} <= members, name


def due(at: int) -> list[str]:
    return [i for shard in range(DUE_SHARDS) for page in store.due_links(shard, at) for i, _ in page]


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_nothing_is_left_of_the_user_in_the_answer_and_afterwards(
    stack: Stack, receiver: Receiver, output: Output, state: Callable[[Stack], str | None]
) -> None:
    token = state(stack)
    (row,) = stack.links()
    link_id, code = row["pk"], ids.derived_claim_code(SAMPLE_KEY, "k")
    before, sent = stack.get(link_id).json, len(receiver.got)
    answer = stack.erase(link_id)
    assert answer.status == 200
    # In the answer, and in the store when it comes.
    (row,) = stack.links()
    assert_nothing_is_left(row)
    assert stack.rows("SecretsTable") == []
    assert_clean(everything(stack) + answer.text + output.text, *CANARIES)
    assert due(stack.now + AFTERMATH_MS - 1) == []
    assert due(stack.now + AFTERMATH_MS) == [link_id]
    erased = answer.json
    status, error = STATES[state]
    assert (erased["status"], erased["error"] and erased["error"]["code"]) == (status, error)
    assert erased["erasedAt"] == stack.now + (row.get("clockOffset") or 0)
    nothing = ("externalUserId", "metadata", "returnUrl", "embedOrigins", "result")
    assert {name: erased[name] for name in nothing} == dict.fromkeys(nothing)
    assert "timeline" not in erased
    assert erased["webhook"] == {"status": "none", "attempts": 0, "nextAttemptAt": None}
    kept = ("linkId", "integrationId", "livemode", "createdAt", "claimedAt", "expiresAt", "sessionId")
    assert {name: erased[name] for name in kept} == {name: before[name] for name in kept}
    if before["status"] not in OPEN:
        ended = ("status", "completedAt", "operations")
        assert {name: erased[name] for name in ended} == {name: before[name] for name in ended}
    assert stack.get(link_id).text == stack.erase(link_id).text == answer.text
    # What the owner, the user and the page get from now on.
    path = {"pathParameters": {"linkId": link_id}}
    read = stack.redeliver(link_id)
    assert (read.status, read.json["code"]) == (410, "gone")
    deliveries = stack.invoke("link_deliveries", sample_event("link_deliveries") | path)
    assert deliveries.json == {"deliveries": []}
    for again in (canaried(), founding()):
        assert stack.create(again, headers=MAKE_KEY).status == 410
    for key in (None, CLAIM_KEY):
        assert stack.claim(code, key).status == (409 if before["claimedAt"] else 410)
    if token is not None:
        assert stack.client(token).status == 401
        assert stack.client(token, "POST /link/session/cancel").status == 401
    assert stack.status(code).json["status"] == status
    assert view(page({"linkId": link_id, "claimCode": code})) in ("canceled", "expired", "used")
    assert stack.events().json["events"] == []
    assert stack.page(f"externalUserId={USER}").json["links"] == []
    (listed,) = stack.page().json["links"]
    assert listed["erasedAt"] == erased["erasedAt"]
    for verb, asked in (
        ("simulate", {"outcome": "complete"}),
        ("fail-deliveries", {"count": 1, "as": 500}),
    ):
        assert stack.test_mode(link_id, verb, asked).status == 409
    # Whatever is still called does nothing, and in the end nothing is due.
    for _ in range(10):
        stack.work()
        stack.deliver()
        stack.now += 60_000
        stack.sweep()
    (row,) = stack.links()
    assert_nothing_is_left(row)
    assert "dueAt" not in row
    assert len(receiver.got) == sent
    assert_clean(everything(stack) + output.text, *CANARIES)
    assert not [line for line in output.lines if line["level"] == "ERROR"]


def test_what_a_newer_release_has_stored_of_the_user_goes_too(stack: Stack) -> None:
    link_id = stack.create(canaried()).json["linkId"]
    stack.dynamodb.Table("LinksTable").update_item(
        Key={"pk": link_id, "sk": store.LINK_ROW},
        UpdateExpression="SET invented = :new",
        ExpressionAttributeValues={":new": USER},
    )
    stack.erase(link_id)
    (row,) = stack.links()
    assert_nothing_is_left(row)


def test_an_erasure_that_was_cut_short_is_ended_by_the_next(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    link_id = stack.create(canaried()).json["linkId"]

    def away(*_: Any) -> None:
        raise UnavailableError

    with monkeypatch.context() as patch:
        patch.setattr(store, "delete_secret", away)
        assert stack.erase(link_id).status == 503
    assert len(stack.rows("SecretsTable")) == 1
    assert stack.erase(link_id).status == 200
    assert stack.rows("SecretsTable") == []


def test_the_clock_of_what_is_left_goes_on_to_its_end(stack: Stack) -> None:
    link_id = stack.create(canaried()).json["linkId"]
    before = stack.erase(link_id).json
    after = stack.advance(link_id, seconds=3600).json
    assert {name for name in before if after[name] != before[name]} == {"testClock"}
    assert stack.advance(link_id, until="expiry").status == 409
    assert stack.advance(link_id, until="retention").status == 200
    assert stack.get(link_id).status == 404
    assert stack.links() == []


def test_only_its_owner_erases_a_link(stack: Stack) -> None:
    link_id = stack.create(canaried()).json["linkId"]
    for key in (stack.new_key("globex"), stack.new_key("acme", livemode=True)):
        assert stack.erase(link_id, key=key).status == 404
    assert stack.erase("link_" + "0" * 22).status == 404
    assert stack.get(link_id).json["externalUserId"] == USER


def test_events_go_on_after_one_that_was_erased(stack: Stack) -> None:
    links = []
    for _ in range(3):
        links.append(stack.create(canaried()).json["linkId"])
        stack.cancel(links[-1])
        stack.now += 1
    stack.erase(links[1])
    for after, wanted in ((links[0], [links[2]]), (links[1], [links[2]])):
        events = stack.events(f"after={ids.event_id(after)}").json["events"]
        assert [event["data"]["linkId"] for event in events] == wanted


def test_of_erasures_at_once_one_writes_and_all_are_answered_alike(stack: Stack, output: Output) -> None:
    link_id = stack.create(canaried()).json["linkId"]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: stack.erase(link_id).text, range(8)))
    assert len(set(answers)) == 1
    assert sum(line["message"] == "erased" for line in output.lines) == 1


# --- All links of a user -------------------------------------------------------------------------


def test_all_links_of_the_user_are_erased_and_nobody_elses(stack: Stack, output: Output) -> None:
    links = [stack.create(canaried()).json["linkId"] for _ in range(3)]
    stack.cancel(links[0])
    other_account, live = stack.new_key("globex"), stack.new_key("acme", livemode=True)
    others = [stack.create(canaried(externalUserId=f"{USER}{end}")).json["linkId"] for end in ("2", "#")]
    foreign = stack.create(canaried(), key=other_account).json["linkId"]
    before = {row["pk"]: row for row in stack.links()}
    for key in (other_account, live):
        erased = stack.erase_user({"externalUserId": "somebody"}, key=key)
        assert (erased.status, erased.json) == (200, {"erased": 0, "remaining": False})
    assert stack.erase_user({"externalUserId": USER}).json == {"erased": 3, "remaining": False}
    after = {row["pk"]: row for row in stack.links()}
    for link_id in links:
        assert_nothing_is_left(after[link_id])
    assert {link_id: after[link_id] for link_id in (*others, foreign)} == {
        link_id: before[link_id] for link_id in (*others, foreign)
    }
    assert {row["pk"] for row in stack.rows("SecretsTable")} == {*others, foreign}
    assert stack.erase_user({"externalUserId": USER}).json == {"erased": 0, "remaining": False}
    assert_clean(output.text, *CANARIES)


@pytest.mark.parametrize(("made", "told"), [(6, [3, 3]), (7, [3, 3, 1]), (2, [2])])
def test_more_than_a_hundred_take_more_calls(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, made: int, told: list[int]
) -> None:
    assert erase_link.MAX_LINKS == 100
    monkeypatch.setattr(erase_link, "MAX_LINKS", 3)
    for _ in range(made):
        stack.create(canaried())
    answers = [stack.erase_user({"externalUserId": USER}).json for _ in told]
    assert [answer["erased"] for answer in answers] == told
    assert [answer["remaining"] for answer in answers] == [True] * (len(told) - 1) + [False]
    assert_clean(everything(stack), *CANARIES)


def test_a_link_that_the_index_does_not_show_yet_is_told_to_remain(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = store.list_links
    stack.create(canaried())
    shown = stack.now + erase_link.INDEXED_MS

    def late(*owner: Any, **asked: Any) -> Any:
        return found(*owner, **asked) if stack.now >= shown else ([], None)

    monkeypatch.setattr(store, "list_links", late)
    assert stack.erase_user({"externalUserId": USER}).json == {"erased": 0, "remaining": True}
    assert stack.erase_user({"externalUserId": USER}).json == {"erased": 1, "remaining": False}


def test_what_the_index_still_shows_is_not_counted_again(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    links = [stack.create(canaried()).json["linkId"] for _ in range(5)]
    found = store.list_links
    behind = [stack.stored(link_id) for link_id in links]
    stack.erase_user({"externalUserId": USER})

    def stale(*_: Any, **__: Any) -> Any:
        found_now = store.get_links([link.link_id for link in behind], events=False)
        return list(found_now.values()), None

    monkeypatch.setattr(store, "list_links", stale)
    assert stack.erase_user({"externalUserId": USER}).json == {"erased": 0, "remaining": False}
    assert stack.page(f"externalUserId={USER}").json["links"] == []
    # Nor is one that is erased between the look and the write.
    monkeypatch.setattr(store, "list_links", found)
    link_id = stack.create(canaried()).json["linkId"]
    unerased = [stack.stored(link_id)]
    stack.erase(link_id)
    looks = iter([(unerased, None), ([], None)])
    monkeypatch.setattr(store, "list_links", lambda *_, **__: next(looks))
    assert stack.erase_user({"externalUserId": USER}).json == {"erased": 0, "remaining": False}


def test_of_calls_at_once_each_link_is_counted_by_one(stack: Stack) -> None:
    for _ in range(20):
        stack.create(canaried())
    with ThreadPoolExecutor(4) as pool:
        told = list(pool.map(lambda _: stack.erase_user({"externalUserId": USER}).json, range(4)))
    assert sum(answer["erased"] for answer in told) == 20
    assert_clean(everything(stack), *CANARIES)


@pytest.mark.parametrize(
    ("sent", "path", "code"),
    [
        ({}, "externalUserId", "required"),
        ({"externalUserId": ""}, "externalUserId", "range"),
        ({"externalUserId": "u" * 257}, "externalUserId", "range"),
        ({"externalUserId": 1}, "externalUserId", "type"),
        ({"externalUserId": None}, "externalUserId", "type"),
        ({"externalUserId": "u", "linkId": "l"}, "linkId", "unknown_field"),
        ([], "", "type"),
    ],
)
def test_a_request_that_does_not_fit_is_told(stack: Stack, sent: Any, path: str, code: str) -> None:
    refused = stack.erase_user(sent)
    assert refused.status == 400
    assert {where: what for where, (what, _) in refused.issues.items()} == {path: code}


# --- Whoever is at the link, and wherever a process dies -----------------------------------------

type Act = Callable[[], Any]


@dataclass
class Scene:
    """A link, and what somebody is about to do with it."""

    link_id: str
    act: Act


def make(world: Simulation, **changes: Any) -> tuple[str, str]:
    made = world.create(canaried(operations=operations(READ, WRITE)) | changes, headers=MAKE_KEY).json
    return made["linkId"], made["claimCode"]


def begin(world: Simulation, user: str | None = None) -> tuple[str, str]:
    """Id and token of a link whose login is asked for, and answered if a user is named."""
    link_id, code = make(world)
    token = world.claim(code, CLAIM_KEY).json["clientToken"]
    world.work_once()
    if user is not None:
        world.answer(token, LOGIN | {"username": user})
    return link_id, token


def claims(world: Simulation) -> Scene:
    link_id, code = make(world)
    return Scene(link_id, partial(world.claim, code, CLAIM_KEY))


def claims_again(world: Simulation) -> Scene:
    link_id, code = make(world)
    world.claim(code, CLAIM_KEY)
    return Scene(link_id, partial(world.claim, code, CLAIM_KEY))


def answers(world: Simulation) -> Scene:
    link_id, token = begin(world)
    challenge = world.client(token).json["challenge"]["id"]
    asked = {"challengeId": challenge, "input": LOGIN}
    return Scene(link_id, partial(world.client, token, "POST /link/session/input", asked))


def gives_up(world: Simulation) -> Scene:
    link_id, token = begin(world)
    return Scene(link_id, partial(world.client, token, "POST /link/session/cancel"))


def starts(world: Simulation) -> Scene:
    link_id, code = make(world)
    world.claim(code, CLAIM_KEY)
    return Scene(link_id, world.work_once)


def works(world: Simulation) -> Scene:
    link_id, _ = begin(world, "user_good")
    return Scene(link_id, world.work_once)


def asks_for_a_code(world: Simulation) -> Scene:
    link_id, _ = begin(world, "user_step_up")
    return Scene(link_id, world.work_once)


def polls(world: Simulation) -> Scene:
    link_id, _ = begin(world, "user_wait")
    world.work_once()
    world.now += 2_000
    return Scene(link_id, world.work_once)


def cancels(world: Simulation) -> Scene:
    link_id, _ = begin(world)
    return Scene(link_id, partial(world.cancel, link_id))


def sweep(world: Simulation, link_id: str) -> None:
    """Of the link's part of the index alone."""
    sweep_app.lambda_handler({"shard": world.stored(link_id).due_shard()}, Context())


def sweeps_expired(world: Simulation) -> Scene:
    link_id, _ = make(world, expiresIn=60)
    world.now += 60_000
    return Scene(link_id, partial(sweep, world, link_id))


def sweeps_timed_out(world: Simulation) -> Scene:
    link_id, _ = begin(world)
    world.now += 900_000
    return Scene(link_id, partial(sweep, world, link_id))


def sweeps_ended(world: Simulation) -> Scene:
    """A process has died after it wrote the end: what is sealed is still to be deleted."""
    link_id, _ = begin(world)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("latchkey.services.end_link.settle", lambda link: link)
        world.cancel(link_id)
    return Scene(link_id, partial(sweep, world, link_id))


def delivers(world: Simulation) -> Scene:
    link_id, _ = begin(world, "user_good")
    world.work_once()
    return Scene(link_id, world.deliver_once)


def delivers_and_fails(world: Simulation) -> Scene:
    world.receiver.failures = 1
    return delivers(world)


def redelivers(world: Simulation) -> Scene:
    scene = delivers(world)
    scene.act()
    return Scene(scene.link_id, partial(world.redeliver, scene.link_id))


def makes_again(world: Simulation) -> Scene:
    link_id, _ = make(world)
    asked = canaried(operations=operations(READ, WRITE))
    return Scene(link_id, partial(world.create, asked, headers=MAKE_KEY))


def turns_the_clock(world: Simulation) -> Scene:
    link_id, _ = make(world)
    return Scene(link_id, partial(world.advance, link_id, until="expiry"))


def simulates(world: Simulation) -> Scene:
    link_id, _ = begin(world)
    return Scene(link_id, partial(world.simulate, link_id, outcome="complete"))


def plans_failures(world: Simulation) -> Scene:
    link_id, _ = make(world)
    planned = {"count": 1, "as": 500}
    return Scene(link_id, partial(world.test_mode, link_id, "fail-deliveries", planned))


def lists_events(world: Simulation) -> Scene:
    scene = delivers(world)
    return Scene(scene.link_id, world.events)


def erases(world: Simulation) -> Scene:
    link_id, _ = begin(world)
    return Scene(link_id, partial(world.erase, link_id))


SCENES: list[Callable[[Simulation], Scene]] = [
    *(claims, claims_again, answers, gives_up, starts, works, asks_for_a_code, polls, cancels),
    *(sweeps_expired, sweeps_timed_out, sweeps_ended, delivers, delivers_and_fails, redelivers, makes_again),
    *(turns_the_clock, simulates, plans_failures, lists_events, erases),
]


def by_link(world: Simulation, link_id: str) -> Answer:
    return world.erase(link_id)


def by_user(world: Simulation, _: str) -> Answer:
    return world.erase_user({"externalUserId": USER})


def standing(world: Simulation, link_id: str) -> Any:
    """The link as it is read, but for a clock that goes on."""
    return world.get(link_id).json | {"testClock": None}


def sent(world: Simulation, link_id: str) -> int:
    return len(world.receiver.got[link_id])


def assert_it_stays_erased(
    world: Simulation, link_id: str, erased: Any, may_be_sent: int, where: str
) -> None:
    """Left alone for longer than anybody may be at the link."""
    world.faults.crash_at = 0
    for _ in range(AFTERMATH_MS // 60_000 + 4):
        world.minute()
    item = world.memory.items[link_id]
    assert_nothing_is_left(item)
    assert "dueAt" not in item, where
    assert world.memory.secrets[link_id] == {}, where
    assert standing(world, link_id) == erased, where
    assert sent(world, link_id) <= may_be_sent, where
    assert_clean(json.dumps([world.memory.items, [*map(str, world.memory.lines)]], default=str), *CANARIES)
    assert not world.queues.waiting, where


def meet(scene: Callable[[Simulation], Scene], erase: Any, point: int, crash: int) -> int | None:
    """Somebody's act, with an erasure and a sweep before one of its calls, and with a crash some calls later.

    Returns how many crashes there were; None if the act makes fewer calls.
    """
    where = f"{scene.__name__}: erased before call {point}, a crash at the {crash}th from there"
    with simulation() as world:
        told = scene(world)
        erased: list[tuple[Any, int]] = []

        def erases() -> None:
            webhook = world.stored(told.link_id).webhook
            under_way = webhook is not None and webhook.lease_until > 0
            assert erase(world, told.link_id).status == 200, where
            erased.append((standing(world, told.link_id), sent(world, told.link_id) + under_way))
            sweep(world, told.link_id)
            if crash:
                world.faults.crash_at = world.faults.calls + crash

        world.faults.meet_at, world.faults.meets = world.faults.calls + point, erases
        answer = world.survives(told.act)
        if not erased:
            return None
        if isinstance(answer, Answer):
            assert answer.status < 500, where
        assert_it_stays_erased(world, told.link_id, *erased[0], where)
        return world.faults.crashes


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_whoever_is_at_a_link_that_is_erased_brings_nothing_back(
    scene: Callable[[Simulation], Scene], output: Output, capsys: pytest.CaptureFixture[str]
) -> None:
    tried = 0
    for point in count(1):
        if meet(scene, by_user, point, 0) is None:
            break
        for crash in count(0):
            tried += 1
            if meet(scene, by_link, point, crash) == 0 and crash:
                break
    assert tried
    text = output.text
    assert_clean(text, *CANARIES)
    assert '"level":"ERROR"' not in text
    with capsys.disabled():
        sys.stdout.write(f"\n{scene.__name__}: {tried} erasures before {point - 1} calls\n")


def test_who_was_at_it_leaves_nothing_though_it_was_erased_in_the_midst_of_its_end() -> None:
    """Three at once: an answer that is sealed, a cancel, and an erasure before each of that one's calls."""
    for point, crash, within in product(range(1, 6), range(6), range(1, 9)):

        def erase(world: Simulation, link_id: str, within: int = within) -> Answer:
            told: list[Answer] = []
            world.faults.meet_at = world.faults.calls + within
            world.faults.meets = lambda: told.append(world.erase(link_id))
            assert world.cancel(link_id).status == 200
            return told[0]

        assert meet(answers, erase, point, crash) is not None or point == 5


def crossed(scene: Callable[[Simulation], Scene], erase: Any, point: int, crash: int) -> int | None:
    """An erasure, with somebody's whole act before one of its calls, and with a crash some calls later.

    Who gets no answer asks again. Returns how many crashes there were; None if it makes fewer calls.
    """
    where = f"{scene.__name__}: before call {point} of an erasure, a crash at the {crash}th from there"
    with simulation() as world:
        told = scene(world)
        met: list[Any] = []

        def acts() -> None:
            met.append(world.survives(told.act))
            if crash:
                world.faults.crash_at = world.faults.calls + crash

        world.faults.meet_at, world.faults.meets = world.faults.calls + point, acts
        answer = world.survives(partial(erase, world, told.link_id))
        if not met:
            return None
        assert not isinstance(met[0], Answer) or met[0].status < 500, where
        crashes, world.faults.crash_at = world.faults.crashes, 0
        if answer is None and world.stored(told.link_id).erased_at is None:
            answer = erase(world, told.link_id)
        assert answer is None or answer.status == 200, where
        erased = standing(world, told.link_id)
        assert erased["erasedAt"], where
        assert_it_stays_erased(world, told.link_id, erased, sent(world, told.link_id), where)
        return crashes


@pytest.mark.parametrize("erase", [by_link, by_user])
@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_whoever_comes_in_between_and_wherever_it_dies_an_erasure_comes_to_its_end(
    scene: Callable[[Simulation], Scene], erase: Any, output: Output
) -> None:
    tried = 0
    for point in count(1):
        if crossed(scene, erase, point, 0) is None:
            break
        for crash in count(1):
            tried += 1
            if not crossed(scene, erase, point, crash):
                break
    assert tried
    assert_clean(output.text, *CANARIES)
    assert '"level":"ERROR"' not in output.text
