"""Any order of requests, messages, sweeps, crashes and jumps of the clock: no link takes a forbidden step.

`LATCHKEY_RUNS` sets how many lives are tried, of 30 steps each.
"""

import json
import os
from collections import Counter, defaultdict
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from hypothesis import HealthCheck, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from latchkey.adapters import sealing
from tests.integration.conftest import LOGIN, founding, operations, sample_event
from tests.integration.simulation import MINUTE, simulation
from tests.integration.test_erasure import assert_nothing_is_left

STEPS = {
    "pending": {"pending", "active", "expired", "canceled"},
    "active": {"active", "complete", "failed", "canceled"},
}
USERS = (
    *("user_good", "user_good", "user_otp", "user_bad", "user_op2_fails", "user_crash"),
    *("user_wait", "user_choice", "user_step_up"),
)
NAMED = ("paymentMethod.read", "paymentMethod.write", "mobileBillingStatement.read")
JUMPS = (1, 999, 1000, 2000, 5000, 14_999, 15_000, 46_000, MINUTE, 90_000, 15 * MINUTE)


@dataclass
class Known:
    """What the test knows of a link."""

    link_id: str
    code: str
    operations: list[str]
    expires_at: int
    token: str | None = None
    claims: int = 0
    keys: set[str] = field(default_factory=set)  # that claims were sent with
    key: str | None = None  # that got the token
    last: dict[str, Any] | None = None  # as last read
    user: str = ""
    erased: dict[str, Any] | None = None  # as it was read when that was done
    sent: int = 0  # events, by then


TURNS: tuple[dict[str, Any], ...] = (
    *({"seconds": seconds} for seconds in (1, 60, 900, 36_000)),
    *({"until": moment} for moment in ("expiry", "session_end", "next_attempt")),
)
ENDS: tuple[dict[str, Any], ...] = (
    {"outcome": "complete"},
    {"outcome": "fail", "code": "LOGIN_FAILED"},
    {"outcome": "fail", "code": "AUTOMATION_ERROR"},
)
KEYS = ("a" * 16, "b" * 16)  # of claims
CALLERS_USERS = ("canary-1-of-a-user", "canary-2-of-a-user")


class Life(RuleBasedStateMachine):
    """A caller, a user, the messages, the clock."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.world = self.stack.enter_context(simulation())
        self.links: list[Known] = []
        self.stops_next: str | None = None  # who stops the next operation while it runs
        self.sandbox = self.world.connectors.reply
        self.world.connectors.reply = self.reply

    def teardown(self) -> None:
        try:
            self.everything_ends()
        finally:
            self.stack.close()

    # --- The caller ------------------------------------------------------------------------------

    @rule(
        named=st.lists(st.sampled_from(NAMED), min_size=1, max_size=4),
        seconds=st.sampled_from((1, 1000, 1000, 14_400)),
        hooked=st.booleans(),
        user=st.sampled_from(CALLERS_USERS),
    )
    def create(self, named: list[str], seconds: int, hooked: bool, user: str) -> None:  # hypothesis calls it
        changes = {"webhookUrl": founding()["webhookUrl"] if hooked else None, "externalUserId": user}
        body = founding(operations=operations(*named), expiresIn=seconds, debug=True, **changes)
        key = {"idempotency-key": str(len(self.links))}
        answer = self.world.survives(partial(self.world.create, body, headers=key))
        answer = answer or self.world.create(body, headers=key)  # a process dies once
        made = answer.json
        self.links.append(Known(made["linkId"], made["claimCode"], named, made["expiresAt"], user=user))

    @precondition(lambda self: self.links)
    @rule(data=st.data(), meant=st.sampled_from((True, False, False)))
    def cancel(self, data: st.DataObject, meant: bool) -> None:  # hypothesis calls it
        link = self.pick(data)
        if not meant:
            return
        before = self.read(link)["status"]
        answer = self.world.survives(partial(self.world.cancel, link.link_id))
        if answer is not None:
            assert answer.status == (200 if before in ("pending", "active", "canceled") else 409)

    @precondition(lambda self: self.links)
    @rule(data=st.data())
    def redeliver(self, data: st.DataObject) -> None:
        link = self.pick(data)
        before = self.read(link)
        event = sample_event("link_deliveries") | {
            "routeKey": "POST /v1/links/{linkId}/redeliver",
            "pathParameters": {"linkId": link.link_id},
        }
        answer = self.world.survives(partial(self.world.invoke, "link_deliveries", event))
        if answer is not None:
            ended = before["status"] not in STEPS and self.world.stored(link.link_id).webhook_url is not None
            assert answer.status == (410 if link.erased else 202 if ended else 409)

    @precondition(lambda self: self.links)
    @rule(data=st.data(), meant=st.sampled_from((True, False, False, False)), all_of_user=st.booleans())
    def erase(self, data: st.DataObject, meant: bool, all_of_user: bool) -> None:  # hypothesis calls it
        link = self.pick(data)
        if not meant:
            return
        erases = partial(self.world.erase, link.link_id)
        if all_of_user:
            erases = partial(self.world.erase_user, {"externalUserId": link.user})
        meant_too = [each for each in self.links if each.user == link.user and not each.erased]
        before = {each.link_id: self.read(each) for each in self.links}
        answer = self.world.survives(erases)
        done = self.newly_erased()
        if answer is not None:
            assert answer.status == 200
            assert done == (meant_too if all_of_user else [each for each in meant_too if each is link])
            assert not all_of_user or answer.json == {"erased": len(done), "remaining": False}
            assert all(self.world.memory.secrets[each.link_id] == {} for each in done)
        for each in done:
            was, left = before[each.link_id], each.last or {}
            if was["status"] not in STEPS:
                kept = ("status", "completedAt", "claimedAt", "operations")
                assert {name: left[name] for name in kept} == {name: was[name] for name in kept}

    def newly_erased(self) -> list[Known]:
        done = [each for each in self.links if self.world.stored(each.link_id).erased_at and not each.erased]
        for each in done:
            each.erased, each.sent = self.read(each), self.sent(each)
        return done

    # --- The user --------------------------------------------------------------------------------

    @precondition(lambda self: self.links)
    @rule(data=st.data(), wrong=st.booleans(), key=st.sampled_from((None, *KEYS)))
    def claim(self, data: st.DataObject, wrong: bool, key: str | None) -> None:  # hypothesis calls it
        link = self.pick(data)
        self.claim_it(link, link.code[:-1] + "!" if wrong else link.code, key)

    def claim_it(self, link: Known, code: str, key: str | None) -> None:
        before = self.read(link)
        sent_before = key in link.keys
        if key is not None and code == link.code:
            link.keys.add(key)
        answer = self.world.survives(partial(self.world.claim, code, key))
        if answer is None:
            return
        if code != link.code:
            assert answer.status == 404
        elif link.erased:
            assert answer.status == (409 if before["claimedAt"] else 410)
        elif answer.status == 200 and before["claimedAt"]:
            assert sent_before
            assert link.token in (None, answer.json["clientToken"])
            link.token, link.key = answer.json["clientToken"], key
        elif answer.status == 200:
            assert before["status"] == "pending"
            assert self.shown(before) < link.expires_at
            link.token, link.key = answer.json["clientToken"], key
            link.claims += 1
        else:
            assert key is None or key != link.key
            assert answer.status == (409 if before["claimedAt"] else 410)
            assert before["status"] != "pending"

    @precondition(lambda self: any(link.token for link in self.links))
    @rule(data=st.data(), user=st.sampled_from(USERS), code=st.sampled_from(("123456", "000000")))
    def answer(self, data: st.DataObject, user: str, code: str) -> None:
        self.answer_it(self.pick(data, claimed=True), user, code)

    def answer_it(self, link: Known, user: str, code: str) -> None:
        assert link.token
        seen = self.world.survives(partial(self.world.client, link.token))
        if seen is None or seen.status == 401 or seen.json["challenge"] is None:
            return
        challenge = seen.json["challenge"]
        given = {"login": LOGIN | {"username": user}, "choice": {"way": "sms"}, "otp": {"code": code}}
        body: dict[str, Any] = {"challengeId": challenge["id"]}
        if challenge["type"] == "wait":
            self.world.now += 2000
            return
        if code == "000000" and "actions" in challenge:
            body["action"] = challenge["actions"][0]["id"]
        else:
            body["input"] = given[challenge["type"]]
        taken = self.world.survives(partial(self.world.client, link.token, "POST /link/session/input", body))
        if taken is not None:
            assert taken.status == 202
            again = self.world.survives(
                partial(self.world.client, link.token, "POST /link/session/input", body)
            )
            assert again is None or again.status == 409

    @precondition(lambda self: any(link.token for link in self.links))
    @rule(data=st.data(), meant=st.sampled_from((True, False, False)))
    def give_up(self, data: st.DataObject, meant: bool) -> None:  # hypothesis calls it
        link = self.pick(data, claimed=True)
        if not meant:
            return
        before = self.read(link)["status"]
        assert link.token
        answer = self.world.survives(partial(self.world.client, link.token, "POST /link/session/cancel"))
        if answer is not None and link.erased:
            assert answer.status == 401
        elif answer is not None and answer.status != 401:
            assert answer.status == (200 if before == "active" else 409)

    @precondition(lambda self: self.links)
    @rule(data=st.data(), user=st.sampled_from(USERS), code=st.sampled_from(("123456", "000000")))
    def proceed(self, data: st.DataObject, user: str, code: str) -> None:
        """The next thing that a link is waiting for, so that many lives get far."""
        link = self.pick(data)
        if link.token is None:
            self.claim_it(link, link.code, KEYS[0])
        else:
            self.world.work_once()
            self.answer_it(link, user, code)
            self.world.work_once()

    proceed_further = proceed

    @rule(who=st.sampled_from(("user", "maker", "eraser")))
    def stop_next(self, who: str) -> None:
        self.stops_next = who

    def reply(self, request: dict[str, Any]) -> Any:
        if request["action"] == "execute" and self.stops_next:
            who, self.stops_next = self.stops_next, None
            (link,) = [link for link in self.links if link.link_id[5:] == request["sessionId"][5:]]
            if who == "user" and link.token:
                self.world.survives(partial(self.world.client, link.token, "POST /link/session/cancel"))
            elif who == "eraser":
                self.world.survives(partial(self.world.erase, link.link_id))
                self.newly_erased()
            else:
                self.world.survives(partial(self.world.cancel, link.link_id))
        return self.sandbox(request)

    # --- The link's clock ------------------------------------------------------------------------

    @precondition(lambda self: self.links)
    @rule(data=st.data(), to=st.sampled_from(TURNS))
    def advance(self, data: st.DataObject, to: dict[str, Any]) -> None:
        link = self.pick(data)
        before = self.read(link)
        answer = self.world.survives(partial(self.world.test_mode, link.link_id, "advance", to))
        if answer is None:
            return
        assert answer.status in (200, 409)
        turned = self.shown(self.read(link)) - self.shown(before)
        if answer.status == 200 and "seconds" in to:
            assert turned >= 1000 * to["seconds"]
        assert turned >= 0

    @precondition(lambda self: self.links)
    @rule(data=st.data(), end=st.sampled_from(ENDS), meant=st.sampled_from((True, False, False)))
    def simulate(self, data: st.DataObject, end: dict[str, Any], meant: bool) -> None:  # hypothesis calls it
        link = self.pick(data)
        if not meant:
            return
        before = self.read(link)
        operations = self.world.stored(link.link_id).operations
        running = any(operation.status == "running" for operation in operations)  # and not asking
        answer = self.world.survives(partial(self.world.test_mode, link.link_id, "simulate", end))
        if answer is not None:
            assert before["status"] in STEPS or answer.status == 409
            assert (answer.status == 409) or not running

    # --- What happens by itself, or goes wrong ---------------------------------------------------

    @rule()
    def work(self) -> None:
        self.world.work_once()

    @rule()
    def deliver(self) -> None:
        self.world.deliver_once()

    @rule()
    def sweep(self) -> None:
        self.world.survives(self.world.sweep)

    @rule(jump=st.sampled_from(JUMPS))
    def jump(self, jump: int) -> None:
        self.world.now += jump

    @rule(calls=st.integers(1, 30), after=st.booleans())
    def crash_soon(self, calls: int, after: bool) -> None:  # hypothesis calls it
        self.world.faults.crash_at = self.world.faults.calls + calls
        self.world.faults.after = after

    @rule(copies=st.integers(1, 3), losing=st.booleans())
    def disturb_messages(self, copies: int, losing: bool) -> None:  # hypothesis calls it
        self.world.queues.copies, self.world.queues.losing = copies, losing

    @rule(minutes=st.integers(1, 3))
    def lose_the_keys(self, minutes: int) -> None:
        """KMS cannot be reached for so long: nothing can be sent, so nothing counts."""
        sent = {link_id: len(got) for link_id, got in self.world.receiver.got.items()}
        attempts = {link.link_id: self.read(link)["webhook"]["attempts"] for link in self.links}
        for cache in (sealing._data_keys, sealing._opened_keys):
            cache.clear()
        self.world.kms.away = True
        for _ in range(minutes):
            self.world.minute()
        self.world.kms.away = False
        assert sent == {link_id: len(got) for link_id, got in self.world.receiver.got.items()}
        assert attempts == {link.link_id: self.read(link)["webhook"]["attempts"] for link in self.links}

    @rule(failures=st.integers(1, 3))
    def break_receiver(self, failures: int) -> None:
        self.world.receiver.failures = failures

    # --- What must hold --------------------------------------------------------------------------

    @invariant()
    def each_link_took_a_step_that_it_may(self) -> None:
        self.world.faults.crash_at, armed = 0, self.world.faults.crash_at
        for link in self.links:
            last, view = link.last, self.read(link)
            if link.erased is not None:
                assert view | {"testClock": None} == link.erased | {"testClock": None}
                assert_nothing_is_left(self.world.memory.items[link.link_id])
                assert self.sent(link) == link.sent
                continue
            if last is None or last["status"] in STEPS:
                before = "pending" if last is None else last["status"]
                # Between two reads a link may have been claimed and ended.
                reached = STEPS[before] | (STEPS["active"] if view["claimedAt"] else set())
                assert view["status"] in reached
            else:
                frozen = ("status", "result", "error", "completedAt", "claimedAt", "operations")
                assert {name: view[name] for name in frozen} == {name: last[name] for name in frozen}
            self.check(link, view)
        self.world.faults.crash_at = armed

    def check(self, link: Known, view: dict[str, Any]) -> None:
        assert link.claims <= 1
        assert (view["status"] == "expired") == (
            view["claimedAt"] is None and view["status"] != "canceled" and self.shown(view) >= link.expires_at
        )
        code = view["error"] and view["error"]["code"]
        assert (code is not None) == (view["status"] == "failed") or (
            (view["status"], code) == ("canceled", "OUTCOME_UNKNOWN")
        )
        for index, shown in enumerate(operation["status"] for operation in view["operations"]):
            if (
                view["status"] not in STEPS
                and (link.link_id, index) in self.writes()
                and shown != "succeeded"
            ):
                # Handed over, it may have happened, but for the one that the provider refused. One that asked
                # has not, unless a worker died before it had written that.
                refused = code == "AUTOMATION_ERROR" and view["error"]["operationIndex"] == index
                assert shown == ("failed" if refused else "unknown")
        for index, shown in enumerate(operation["status"] for operation in view["operations"]):
            if view["status"] not in STEPS and (link.link_id, index) in self.asked() - self.writes():
                assert shown in ("failed", "unknown")
        assert (view["completedAt"] is None) == (view["status"] in STEPS)
        assert (view["result"] is None) == (view["status"] != "complete")
        if view["status"] == "complete":
            assert [operation["status"] for operation in view["operations"]] == ["succeeded"] * len(
                link.operations
            )
            results = view["result"]["operations"] if len(link.operations) > 1 else [view["result"]]
            assert len(results) == len(link.operations)
        steps = view["timeline"]
        assert len(steps) <= 200
        assert sum(step["event"] == "link.claimed" for step in steps) <= 1

    def writes(self) -> set[tuple[str, int]]:
        """Each write that was handed to the connector: its link and index."""
        return self.writes_that(asked=False)

    def asked(self) -> set[tuple[str, int]]:
        """Each write to which the connector replied a challenge."""
        return self.writes_that(asked=True)

    def writes_that(self, *, asked: bool) -> set[tuple[str, int]]:
        calls = [call for call in self.world.connectors.called if call["operation"]]
        return {
            ("link_" + call["sessionId"][5:], call["operation"]["index"])
            for call in calls
            if call["operation"]["action"] == "write" and call.get("asked", False) is asked
        }

    @invariant()
    def no_write_ran_twice_and_no_read_more_than_three_times(self) -> None:
        runs: Counter[tuple[str, int, str]] = Counter()
        starts: Counter[str] = Counter()
        for call in self.world.connectors.called:
            if (operation := call["operation"]) and not call.get("asked"):
                runs[call["sessionId"], operation["index"], operation["action"]] += 1
            starts[call["sessionId"]] += call["action"] == "start"
        for (_, _, action), count in runs.items():
            assert count <= (1 if action == "write" else 3)

    @invariant()
    def the_schedule_has_ten_attempts_and_no_redelivery_counts(self) -> None:
        for link in self.links:
            webhook = self.world.stored(link.link_id).webhook
            if webhook is not None:
                assert 0 <= webhook.attempts - webhook.redeliveries <= 10
                assert (webhook.next_attempt_at is not None) == (webhook.status == "pending")

    @invariant()
    def each_event_has_one_id_and_one_body(self) -> None:
        for link_id, got in self.world.receiver.got.items():
            assert len(set(got)) == 1
            ((_, body),) = set(got)
            (link,) = [link for link in self.links if link.link_id == link_id]
            assert json.loads(body)["data"]["status"] == self.read(link)["status"]

    def everything_ends(self) -> None:
        """Left alone, each link ends, its secrets go, and its event arrives."""
        world = self.world
        world.faults.crash_at, world.queues.losing, world.queues.copies = 0, False, 1
        world.receiver.failures = 0
        for hours in (0, 4, 6):  # the longest life; whatever a receiver that failed before makes us wait for
            world.now += hours * 3_600_000
            for _ in range(4 if hours else 20):
                world.minute()
        self.each_link_took_a_step_that_it_may()
        runs = defaultdict(list)
        for call in world.connectors.called:
            runs[call["sessionId"]].append(call["action"])
        for link in self.links:
            stored = world.stored(link.link_id)
            assert stored.completed_at is not None
            assert stored.due_at() is None
            assert world.memory.secrets[link.link_id] == {}
            if stored.webhook_url is not None:
                assert stored.webhook is not None
                assert stored.webhook.status == "delivered"
                assert world.receiver.got[link.link_id]
            if link.erased:
                event("erased")
            if stored.session is None:
                assert "sess_" + link.link_id[5:] not in runs
            event(f"ended {stored.status} {stored.error.code if stored.error else ''}")

    # --- Help ------------------------------------------------------------------------------------

    def pick(self, data: st.DataObject, *, claimed: bool = False) -> Known:
        return data.draw(st.sampled_from([link for link in self.links if link.token or not claimed]))

    def sent(self, link: Known) -> int:
        return len(self.world.receiver.got.get(link.link_id, ()))

    def shown(self, view: dict[str, Any]) -> int:
        """What the link's clock shows."""
        offset: int = (view["testClock"] or {"offsetMs": 0})["offsetMs"]
        return self.world.now + offset

    def read(self, link: Known) -> dict[str, Any]:
        armed, self.world.faults.crash_at = self.world.faults.crash_at, 0
        calls = self.world.faults.calls
        view: dict[str, Any] = self.world.get(link.link_id).json
        self.world.faults.crash_at, self.world.faults.calls = armed, calls
        link.last = view
        return view


TestLife = Life.TestCase
TestLife.settings = settings(
    max_examples=int(os.environ.get("LATCHKEY_RUNS", "40")),
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
