"""What a key may use in all environments together, what that writes, and what is told of it."""

import json
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from functions.get_providers import app
from latchkey.adapters import aws
from latchkey.domain import ids
from latchkey.domain.catalogue import providers_document
from latchkey.services import authenticate
from tests.integration.calls import Calls
from tests.integration.conftest import SAMPLE_KEY, Output, Stack, founding, sample_event

RATE, BURST = 50, 100  # the template's
REQUESTS, STEP = 10_000, 4  # milliseconds from one to the next: five times the rate
DAY = 86_400_000


class Environments:
    """Several environments of a function: what one knows no other does."""

    def __init__(self, stack: Stack, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
        self._stack, self._patch = stack, monkeypatch
        self._known: list[dict[str, Any]] = [{} for _ in range(count)]
        self.writes: Counter[tuple[int, int]] = Counter()  # by environment and quarter of a second
        self._at = 0
        self._event = sample_event("get_providers")
        self._event["headers"]["if-none-match"] = providers_document().etag
        update = aws.dynamodb().update_item

        def counted(**request: Any) -> Any:
            self.writes[self._at, stack.now // 250] += 1
            return update(**request)

        monkeypatch.setattr(aws.dynamodb(), "update_item", counted)

    def ask(self, at: int, key: str = SAMPLE_KEY) -> dict[str, Any]:
        """What one of them answers."""
        self._at = at
        self._patch.setattr(authenticate, "_known", self._known[at])
        self._event["headers"]["authorization"] = f"Bearer {key}"
        return app.lambda_handler(self._event, None)

    def passes(self, at: int, key: str = SAMPLE_KEY) -> bool:
        return bool(self.ask(at, key)["statusCode"] == 304)


@pytest.fixture
def start(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Environments]:
    stack.threads.at_once = True
    return lambda count: Environments(stack, monkeypatch, count)


@pytest.mark.parametrize("count", [1, 4, 10])
def test_ten_thousand_requests_at_five_times_the_rate_pass_at_the_rate(
    stack: Stack, start: Callable[[int], Environments], count: int
) -> None:
    environments, other = start(count), stack.new_key("acme")
    chosen, passed = random.Random(count), 0  # noqa: S311 # no secret
    for n in range(REQUESTS):
        at = chosen.randrange(count)
        passed += environments.passes(at)
        if n % 10 == 0:  # half the rate
            assert environments.passes(at, other)
        stack.now += STEP
    seconds = REQUESTS * STEP / 1000
    assert 0.9 * RATE <= (passed - BURST) / seconds <= 1.1 * RATE
    # Of both keys; and of each at most one in a quarter of a second.
    assert max(environments.writes.values()) <= 2
    assert sum(environments.writes.values()) <= 2 * 4 * seconds * count


def _hang(stack: Stack, _: pytest.MonkeyPatch) -> None:
    stack.threads.at_once = False


def _miss(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY_USE_TABLE", "NoSuchTable")
    stack.forget_settings()


@pytest.mark.parametrize("away", [_hang, _miss])
def test_all_pass_while_the_table_is_away(
    stack: Stack,
    start: Callable[[int], Environments],
    monkeypatch: pytest.MonkeyPatch,
    output: Output,
    away: Callable[[Stack, pytest.MonkeyPatch], None],
) -> None:
    environments = start(2)
    away(stack, monkeypatch)
    for n in range(REQUESTS):
        assert environments.passes(n % 2)
        stack.now += STEP
    told = [line for line in output.lines if line["message"] == "use of a key not told"]
    assert len(told) <= 2 * (1 + REQUESTS * STEP // 5000)
    assert bool(told) == (away is _miss)


def test_a_table_that_goes_and_comes_back_limits_anew_and_nobody_pays_for_the_time_between(
    stack: Stack, start: Callable[[int], Environments], monkeypatch: pytest.MonkeyPatch
) -> None:
    environments = start(1)
    while environments.passes(0):
        stack.now += STEP
    with monkeypatch.context() as patch:
        patch.setenv("KEY_USE_TABLE", "NoSuchTable")
        stack.forget_settings()
        stack.now += 1000  # some tokens are back, and telling of them fails
        assert all(environments.passes(0) for _ in range(10 * BURST))
    stack.forget_settings()
    stack.now += 10_000
    assert sum(environments.passes(0) for _ in range(3 * BURST)) == BURST


def test_a_new_environment_begins_with_what_the_others_left(
    stack: Stack, start: Callable[[int], Environments]
) -> None:
    environments = start(2)
    assert sum(environments.passes(0) for _ in range(2 * BURST)) == BURST
    stack.now += 250
    environments.ask(0)  # tells of the rest
    assert sum(environments.passes(1) for _ in range(2 * BURST)) <= 15


def test_a_refused_request_does_nothing_and_uses_no_idempotency_key_up(stack: Stack) -> None:
    stack.threads.at_once = True
    key = stack.new_key(rate=1, burst=1)
    assert stack.create(founding(), key=key).status == 201
    once = {"idempotency-key": "once"}
    refused = stack.create(founding(), key=key, headers=once)
    assert (refused.status, refused.json["code"]) == (429, "rate_limited")
    assert refused.headers["Retry-After"] == "1"
    assert refused.headers["RateLimit-Policy"] == '"key";q=1;w=1'
    assert refused.headers["RateLimit"] == '"key";r=0;t=1'
    assert len(stack.links()) == 1
    stack.now += 1000 * int(refused.headers["Retry-After"])
    again = stack.create(founding(debug=True), key=key, headers=once)
    assert (again.status, "Idempotent-Replayed" in again.headers) == (201, False)


def test_every_answer_tells_what_is_left_when_four_fifths_are_used(stack: Stack) -> None:
    stack.threads.at_once = True
    key = stack.new_key(rate=10, burst=10)
    answers = [stack.get("link_none", key=key) for _ in range(11)]
    told = [answer.headers.get("RateLimit") for answer in answers]
    assert told == [None] * 8 + ['"key";r=1;t=1', '"key";r=0;t=1', '"key";r=0;t=1']
    assert [answer.status for answer in answers] == [404] * 10 + [429]


@pytest.mark.parametrize("variables", [{}, {"KEY_RATE": "1", "KEY_BURST": "1"}])
def test_a_keys_own_limit_goes_before_the_deployments(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    stack.forget_settings()
    stack.threads.at_once = True
    own, free = stack.new_key(rate=2, burst=7), stack.new_key(rate=0)
    assert sum(stack.get("link_none", key=own).status == 404 for _ in range(20)) == 7
    assert {stack.get("link_none", key=free).status for _ in range(300)} == {404}


def test_no_rate_is_no_limit(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY_RATE", "0")
    stack.forget_settings()
    stack.threads.at_once = True
    assert {stack.get("link_none").status for _ in range(300)} == {404}
    assert [row["usedOn"] for row in stack.rows("KeyUseTable")] == [stack.now - stack.now % DAY]


def test_a_days_first_use_is_written_once_and_an_idle_key_costs_nothing(
    stack: Stack, start: Callable[[int], Environments], monkeypatch: pytest.MonkeyPatch
) -> None:
    environments, calls = start(5), Calls(stack, monkeypatch)
    for _ in range(3):
        for _ in range(4):  # far from a tenth of the burst
            for at in range(5):
                assert environments.passes(at)
            stack.now += 61_000
        (row,) = stack.rows("KeyUseTable")
        assert row["usedOn"] == stack.now - stack.now % DAY
        assert row["ttl"] * 1000 == row["usedOn"] + 400 * DAY
        counted = calls.take()
        assert counted["UpdateItem"] == 1
        assert counted["GetItem"] == 5 * 4 + 5  # of the key each minute, of its use each day
        stack.now += DAY - 4 * 61_000


def test_environments_that_live_at_midnight_write_once_too(
    stack: Stack, start: Callable[[int], Environments], monkeypatch: pytest.MonkeyPatch
) -> None:
    environments, calls = start(5), Calls(stack, monkeypatch)
    stack.now += DAY - 10_000
    for wait in (0, 20_000, 61_000):
        stack.now += wait
        assert all(environments.passes(at) for at in range(5))
    assert calls.take()["UpdateItem"] == 2
    assert [row["usedOn"] for row in stack.rows("KeyUseTable")] == [stack.now - stack.now % DAY]


@pytest.mark.parametrize("rate", [0, 5])
def test_a_single_request_is_a_use_however_late_its_thread_is(stack: Stack, rate: int) -> None:
    key = stack.new_key(rate=rate)
    assert stack.create(founding(), key=key).status == 201
    assert stack.rows("KeyUseTable") == []
    assert stack.threads.run() == 1
    (row,) = stack.rows("KeyUseTable")
    assert row["usedOn"] == stack.now - stack.now % DAY


def test_a_key_that_is_refused_is_no_use(stack: Stack) -> None:
    stack.threads.at_once = True
    assert stack.create(founding(), key=stack.new_key(revokedAt=1)).status == 401
    assert stack.create(founding(), key=stack.new_key(expiresAt=1)).status == 401
    assert stack.create(founding(), key=ids.new_api_key(livemode=False)).status == 401
    assert stack.threads.run() == 0
    assert stack.rows("KeyUseTable") == []


def test_no_answer_waits_for_what_is_told(stack: Stack) -> None:
    for _ in range(20):
        assert stack.create(founding()).status == 201
    assert stack.rows("KeyUseTable") == []
    assert stack.threads.run() == 1
    assert len(stack.rows("KeyUseTable")) == 1


def test_no_key_stands_in_the_table(stack: Stack) -> None:
    stack.threads.at_once = True
    stack.create(founding())
    text = json.dumps(stack.rows("KeyUseTable"), default=str)
    assert ids.api_key_hash(SAMPLE_KEY) in text
    assert SAMPLE_KEY not in text
