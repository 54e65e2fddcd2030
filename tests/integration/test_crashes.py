"""The process dies before or after any call of a link's life: nothing is lost, and no write is run twice."""

import json
import sys
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from latchkey.domain import ids
from latchkey.domain.links import OPEN
from tests.integration.conftest import LOGIN, founding, operations
from tests.integration.simulation import Simulation, simulation

READ, WRITE = "paymentMethod.read", "paymentMethod.write"
CLAIM_KEY = "0123456789abcdef"
ATTEMPTS = 12  # of a client that tries again
GIVEN = {"login": None, "otp": {"code": "123456"}, "choice": {"way": "sms"}}
MINUTES = 30  # in which everything must be over: a session has fifteen


def create(world: Simulation, key: str, **changes: Any) -> dict[str, Any]:
    """The link that a caller has who repeats its request until it is answered."""
    for _ in range(ATTEMPTS):
        answer = world.survives(lambda: world.create(founding(**changes), headers={"idempotency-key": key}))
        if answer is not None:
            link: dict[str, Any] = answer.json
            return link
    raise AssertionError("create never answers")


def play_user(world: Simulation, code: str, user: str) -> None:
    """Claim, log in, and wait, as a client would that tries again when it gets no answer."""
    claim = partial(world.claim, code, CLAIM_KEY)
    token = (world.survives(claim) or world.survives(claim)).json["clientToken"]
    for _ in range(ATTEMPTS):
        world.work_once()
        seen = world.survives(lambda: world.client(token))
        if seen is None:
            continue
        challenge = seen.json["challenge"]
        if challenge is not None and challenge["type"] == "wait":
            world.now += 2000
        elif challenge is not None:
            given = GIVEN[challenge["type"]] or LOGIN | {"username": user}
            body = {"challengeId": challenge["id"], "input": given}
            world.survives(partial(world.client, token, "POST /link/session/input", body))
        elif seen.json["status"] == "running":
            world.minute()
        else:
            break


def complete(world: Simulation) -> str:
    link = create(world, "k", operations=operations(READ, WRITE, READ, WRITE))
    play_user(world, link["claimCode"], "user_otp")
    return str(link["linkId"])


def waited(world: Simulation) -> str:
    """Its user approves the login elsewhere, and a worker asks every two seconds."""
    link = create(world, "k", operations=operations(READ, WRITE))
    play_user(world, link["claimCode"], "user_wait")
    return str(link["linkId"])


def confirmed(world: Simulation) -> str:
    """Its first write asks for a code."""
    link = create(world, "k", operations=operations(READ, WRITE, READ))
    play_user(world, link["claimCode"], "user_step_up")
    return str(link["linkId"])


def unconfirmed(world: Simulation) -> str:
    """Its user cancels when the write asks for a code."""
    link = create(world, "k", operations=operations(WRITE))
    token = ids.derived_client_token(link["claimCode"], CLAIM_KEY)
    client = world.client
    cancel = partial(client, token, "POST /link/session/cancel")

    def at_the_code(token: str, route: str = "GET /link/session", body: Any = None) -> Any:
        if body is not None and "code" in body["input"]:
            return cancel()
        return client(token, route, body)

    world.client = at_the_code  # type: ignore[method-assign,assignment] # for this world alone
    play_user(world, link["claimCode"], "user_step_up")
    return str(link["linkId"])


def silent(world: Simulation) -> str:
    link = create(world, "k", operations=operations(READ), webhookUrl=None)
    play_user(world, link["claimCode"], "user_good")
    return str(link["linkId"])


def failed(world: Simulation) -> str:
    link = create(world, "k", operations=operations(WRITE, READ))
    play_user(world, link["claimCode"], "user_op2_fails")
    return str(link["linkId"])


def stopped(world: Simulation) -> str:
    """Its user cancels while a write runs."""
    link = create(world, "k", operations=operations(READ, WRITE, READ))
    token = ids.derived_client_token(link["claimCode"], CLAIM_KEY)
    cancel = partial(world.client, token, "POST /link/session/cancel")
    sandbox = world.connectors.reply

    def reply(request: dict[str, Any]) -> Any:
        if request["action"] == "execute" and request["operation"]["action"] == "write":
            assert world.survives(cancel) or world.survives(cancel)
        return sandbox(request)

    world.connectors.reply = reply
    play_user(world, link["claimCode"], "user_good")
    return str(link["linkId"])


def canceled(world: Simulation) -> str:
    link = create(world, "k")
    world.survives(lambda: world.claim(link["claimCode"]))
    for _ in range(ATTEMPTS):
        if world.survives(lambda: world.cancel(link["linkId"])) is not None:
            break
    return str(link["linkId"])


def expired(world: Simulation) -> str:
    return str(create(world, "k", expiresIn=30)["linkId"])


def hurried(world: Simulation) -> str:
    """Its clock is turned to its expiry, by a caller who asks again if there is no answer."""
    link = create(world, "k")
    for _ in range(ATTEMPTS):
        if world.survives(lambda: world.advance(link["linkId"], until="expiry")) is not None:
            break
    return str(link["linkId"])


def simulated(world: Simulation) -> str:
    """Its end is simulated, by a caller who asks again if there is no answer."""
    link = create(world, "k", operations=operations(READ, WRITE))
    for _ in range(ATTEMPTS):
        if world.survives(lambda: world.simulate(link["linkId"], outcome="complete")) is not None:
            break
    return str(link["linkId"])


type Life = Callable[[Simulation], str]
LIVES: dict[Life, str] = {
    complete: "complete",
    waited: "complete",
    confirmed: "complete",
    unconfirmed: "failed",
    silent: "complete",
    failed: "failed",
    stopped: "failed",
    canceled: "canceled",
    expired: "expired",
    hurried: "expired",
    simulated: "complete",
}


def live(life: Life, crash_at: int, *, after: bool) -> tuple[Simulation, str]:
    """A life from create until the event is delivered, with one crash.

    Returns the world after it, and the link.
    """
    with simulation() as world:
        world.faults.crash_at, world.faults.after = crash_at, after
        link_id = life(world)
        world.deliver_once()
        minutes = 0
        # A message whose consumer died comes again.
        while (world.stored(link_id).due_at() is not None or world.queues.waiting) and minutes < MINUTES:
            world.minute()
            minutes += 1
        stored = world.stored(link_id)
        assert stored.status not in OPEN
        assert stored.due_at() is None
        return world, link_id


@pytest.mark.parametrize("life", LIVES, ids=lambda life: life.__name__)
def test_a_crash_at_any_call_loses_nothing(life: Life, capsys: pytest.CaptureFixture[str]) -> None:
    smooth, link_id = live(life, 0, after=False)
    assert smooth.stored(link_id).status == LIVES[life]
    points, ends = smooth.faults.calls, Counter[str]()
    for point in range(1, points + 1):
        for after in (False, True):
            world, link_id = live(life, point, after=after)
            stored = world.stored(link_id)
            where = f"{life.__name__}: a crash {'after' if after else 'before'} call {point}"
            assert world.faults.crashes == 1, where
            assert world.memory.secrets[link_id] == {}, where
            if stored.webhook_url is not None:
                got = world.receiver.got[link_id]
                assert len(set(got)) == 1, where  # one id, one body
                assert 1 <= len(got) <= 2, where
                assert json.loads(got[0][1])["data"]["status"] == stored.status, where
                assert stored.webhook is not None
                assert (stored.webhook.status, stored.webhook.attempts <= 2) == ("delivered", True), where
            runs = Counter(world.connectors.executed())
            assert all(count <= (1 if action == "write" else 3) for (_, action), count in runs.items()), where
            error = stored.error.code if stored.error else None
            # Only this keeps a link from its end: a write that nobody knows the outcome of.
            assert stored.status == LIVES[life] or error == "OUTCOME_UNKNOWN", where
            assert life is not stopped or error == "OUTCOME_UNKNOWN", where
            ends[error or stored.status] += 1
    with capsys.disabled():
        told = f"{2 * points} crashes at {points} calls, as many links: {dict(ends)}"
        sys.stdout.write(f"\n{life.__name__}: {told}\n")


def test_after_a_crash_at_the_end_two_sweeps_are_enough() -> None:
    with simulation() as world:
        created = create(world, "k")
        before = world.faults.calls
        world.cancel(created["linkId"])
        points = world.faults.calls - before
        world.deliver_once()
        points_of_delivery = world.faults.calls - before
    assert 0 < points < points_of_delivery
    for point in range(1, points_of_delivery + 1):
        for after in (False, True):
            with simulation() as world:
                link_id = create(world, "k")["linkId"]
                world.faults.crash_at, world.faults.after = world.faults.calls + point, after
                if world.survives(partial(world.cancel, link_id)) is None:
                    world.cancel(link_id)  # the caller asks again
                world.deliver_once()
                world.minute()
                world.minute()
                stored = world.stored(link_id)
                assert stored.webhook is not None
                assert stored.webhook.status == "delivered"
                assert stored.due_at() is None
