"""GET /v1/events, through the handler: every end once, in order, whatever ends meanwhile."""

import json
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Lock
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from latchkey.adapters import aws
from latchkey.services import list_events
from tests.integration.conftest import Receiver, Stack, founding, operations
from tests.integration.simulation import Simulation, simulation

WRITE_MS, INDEX_MS = 7_000, 2_000  # what a write and its way into an index take at most

pytestmark = pytest.mark.usefixtures("stack_sleeps")


def link(**changes: Any) -> dict[str, Any]:
    return founding(operations=operations("paymentMethod.read"), **changes)


def end(stack: Stack, count: int = 1, **changes: Any) -> list[str]:
    """Ids of new links that were canceled, a millisecond apart."""
    ended = []
    for _ in range(count):
        link_id = stack.create(link(**changes)).json["linkId"]
        stack.cancel(link_id)
        stack.now += 1
        ended.append(link_id)
    return ended


def walk(stack: Stack, query: str = "", **options: Any) -> Iterator[dict[str, Any]]:
    """All that a list has, page by page."""
    cursor = None
    while True:
        page = stack.events(query + (f"&cursor={cursor}" if cursor else ""), **options).json
        yield from page["events"]
        cursor = page["nextCursor"]
        if cursor is None:
            return


def ids_of(events: Iterator[dict[str, Any]]) -> list[str]:
    return [event["data"]["linkId"] for event in events]


def test_each_end_has_the_event_that_is_sent(stack: Stack, receiver: Receiver) -> None:
    stack.run("user_good", link())
    stack.now += 1
    stack.run("user_locked", link(webhookUrl=None))
    stack.deliver()
    failed, complete = stack.events().json["events"]
    assert failed["type"] == "link.failed"
    assert failed["webhook"] == {"status": "none", "attempts": 0}
    ((_, headers, body),) = receiver.got
    assert complete == {
        "id": headers["webhook-id"],
        **json.loads(body),
        "webhook": {"status": "delivered", "attempts": 1},
    }


def test_ends_are_listed_newest_first_and_after_one_oldest_first(stack: Stack) -> None:
    ended = end(stack, 7)
    for limit in (1, 3, 7, 100):
        assert ids_of(walk(stack, f"limit={limit}")) == ended[::-1]
        first = next(event["id"] for event in walk(stack) if event["data"]["linkId"] == ended[0])
        assert ids_of(walk(stack, f"after={first}&limit={limit}")) == ended[1:]
    assert stack.events("limit=7").json["nextCursor"] is None
    last = stack.events().json["events"][0]["id"]
    assert stack.events(f"after={last}").json == {"events": [], "nextCursor": None}


def test_a_type_is_listed_alone(stack: Stack) -> None:
    canceled = end(stack, 2)
    expired = stack.create(link(expiresIn=1)).json["linkId"]
    stack.advance(expired, until="expiry")
    first = stack.events("type=link.canceled").json["events"][-1]["id"]
    assert ids_of(walk(stack, "type=link.canceled")) == canceled[::-1]
    assert ids_of(walk(stack, f"type=link.expired&after={first}")) == [expired]
    assert ids_of(walk(stack, "type=link.complete")) == []


def test_the_order_is_that_of_the_real_ends(stack: Stack) -> None:
    turned = stack.create(link(expiresIn=86_400)).json["linkId"]
    stack.advance(turned, until="expiry")
    stack.now += 1
    (later,) = end(stack)
    assert ids_of(walk(stack)) == [later, turned]


def test_a_page_is_no_larger_than_an_answer_may_be(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = end(stack, 20, metadata={"m": "x" * 400})
    size = len(stack.event(ended[0]))
    monkeypatch.setattr(list_events, "MAX_PAGE_BYTES", 3 * size + 1)
    assert len(stack.events("limit=100").json["events"]) == 3
    assert ids_of(walk(stack, "limit=100")) == ended[::-1]
    monkeypatch.setattr(list_events, "MAX_PAGE_BYTES", 1)
    assert ids_of(walk(stack, "limit=7")) == ended[::-1]


def test_links_that_are_gone_are_left_out(stack: Stack) -> None:
    ended = end(stack, 3)
    first = stack.events().json["events"][-1]["id"]
    stack.advance(ended[1], until="retention")
    assert ids_of(walk(stack, f"after={first}")) == [ended[2]]
    query = aws.dynamodb().batch_get_item

    def answers(**request: Any) -> Any:  # as if the index were behind
        answer = query(**request)
        for rows in answer["Responses"].values():
            rows[:] = rows[1:]
        return answer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(aws.dynamodb(), "batch_get_item", answers)
        assert len(list(walk(stack, "limit=1"))) == 0


def test_keys_that_a_busy_store_left_are_asked_for_again(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = end(stack, 5)
    read = aws.dynamodb().batch_get_item

    def half(**request: Any) -> Any:
        ((table, wanted),) = request["RequestItems"].items()
        answer = read(RequestItems={table: wanted | {"Keys": wanted["Keys"][:2]}})
        rest = wanted["Keys"][2:]
        return answer | {"UnprocessedKeys": {table: {"Keys": rest}} if rest else {}}

    monkeypatch.setattr(aws.dynamodb(), "batch_get_item", half)
    assert ids_of(walk(stack)) == ended[::-1]


def test_an_account_sees_its_own_in_its_own_mode(stack: Stack) -> None:
    (mine,) = end(stack)
    event = stack.events().json["events"][0]["id"]
    for key in (stack.new_key("globex"), stack.new_key("acme", livemode=True)):
        assert ids_of(walk(stack, key=key)) == []
        foreign = stack.events(f"after={event}", key=key)
        unknown = stack.events("after=msg_" + "0" * 22, key=key)
        assert foreign.status == unknown.status == 400
        assert foreign.issues == unknown.issues
        assert set(foreign.issues) == {"after"}
    assert ids_of(walk(stack, key=stack.new_key("acme"))) == [mine]


@pytest.mark.parametrize(
    ("query", "path", "code"),
    [
        ("limit=0", "limit", "range"),
        ("limit=101", "limit", "range"),
        ("type=link.pending", "type", "schema"),
        ("after=link_1", "after", "format"),
        ("after=", "after", "format"),
        ("cursor=x", "cursor", "format"),
        ("since=1", "since", "unknown_field"),
    ],
)
def test_a_query_that_does_not_fit_is_told(stack: Stack, query: str, path: str, code: str) -> None:
    issues = stack.events(query).issues
    assert {where: what for where, (what, _) in issues.items()} == {path: code}


def test_a_link_that_is_open_is_after_nothing(stack: Stack) -> None:
    open_link = stack.create(link()).json["linkId"]
    assert set(stack.events(f"after=msg_{open_link[5:]}").issues) == {"after"}


def test_a_cursor_is_for_its_own_list_and_key(stack: Stack) -> None:
    end(stack, 3)
    cursor = stack.events("limit=1").json["nextCursor"]
    event = stack.events().json["events"][0]["id"]
    links = stack.page("limit=1").json["nextCursor"]
    for query in (f"cursor={cursor}&type=link.canceled", f"cursor={cursor}&after={event}", f"cursor={links}"):
        assert set(stack.events(query).issues) == {"cursor"}
    assert set(stack.events(f"cursor={cursor}", key=stack.new_key()).issues) == {"cursor"}
    assert set(stack.page(f"cursor={cursor}").issues) == {"cursor"}


# --- While others end -----------------------------------------------------------------------------


def test_what_ended_before_it_was_asked_for_is_there_when_it_is_answered(stack: Stack) -> None:
    (first,) = end(stack)
    event = stack.events().json["events"][0]["id"]
    stack.now += 60_000
    before = stack.now
    ended = end(stack, 2)
    assert ids_of(walk(stack, f"after={event}")) == ended
    assert stack.now == before + 1 + list_events.SETTLED_MS  # it waited for the second
    before = stack.now
    assert ids_of(walk(stack, f"after={event}")) == ended
    assert ids_of(walk(stack)) == [*ended[::-1], first]
    assert stack.now == before


def test_ends_of_many_at_once_come_once_and_in_order(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    end(stack)
    after = stack.events().json["events"][0]["id"]
    stack.now += 60_000
    made = [stack.create(link()).json["linkId"] for _ in range(24)]
    seen: list[dict[str, Any]] = []
    clock, under_way = Lock(), set[str]()

    def cancel(link_id: str) -> None:
        with clock:
            stack.now += random.randrange(3)  # noqa: S311 # no secret
            under_way.add(link_id)
        stack.cancel(link_id)
        under_way.discard(link_id)

    def sleep(seconds: float) -> None:
        """A write takes less than a reader waits, so those under way have ended by then."""
        with clock:
            while under_way:
                moment.wait(0.001)
            stack.now += round(1000 * seconds)

    moment = Event()  # that never comes: time.sleep is not time's own here
    monkeypatch.setattr("time.sleep", sleep)

    def look(times: int = 1) -> None:
        for _ in range(times):
            seen.extend(walk(stack, f"after={seen[-1]['id'] if seen else after}&limit=3"))

    with ThreadPoolExecutor(5) as pool:
        looks = pool.submit(look, 6)
        list(pool.map(cancel, made))
        looks.result()
    stack.now += list_events.SETTLED_MS
    look()
    assert sorted(ids_of(iter(seen))) == sorted(made)
    places = [stack.stored(event["data"]["linkId"]).end_order for event in seen]
    assert places == sorted(map(str, places))


class Late:
    """A store whose writes take their time, and whose index lags behind: an end is read late."""

    def __init__(self, world: Simulation, patch: pytest.MonkeyPatch) -> None:
        self.world = world
        self.hidden: dict[str, tuple[int, Any]] = {}  # until when, and the item
        list_ends = world.memory.ended_links

        def ended_links(*args: Any, **options: Any) -> Any:
            for link_id in [i for i, (until, _) in self.hidden.items() if until <= world.now]:
                world.memory.items[link_id] = self.hidden.pop(link_id)[1]
            return list_ends(*args, **options)

        patch.setattr("latchkey.adapters.store.ended_links", ended_links)

    def end(self, link_id: str, late_by: int) -> None:
        self.world.cancel(link_id)
        self.hidden[link_id] = self.world.now + late_by, self.world.memory.items.pop(link_id)


@given(
    ends=st.lists(
        st.tuples(st.integers(0, 3_000), st.integers(0, WRITE_MS + INDEX_MS)), min_size=1, max_size=12
    ),
    looks=st.lists(st.tuples(st.integers(0, 6_000), st.integers(1, 4)), max_size=12),
)
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_reader_sees_each_end_once_and_in_order_though_writes_overtake_each_other(
    ends: list[tuple[int, int]], looks: list[tuple[int, int]]
) -> None:
    """Each end comes some time after the one before, and can be read some time after that."""
    with simulation() as world, pytest.MonkeyPatch.context() as patch:
        late = Late(world, patch)
        made = [world.create(link(webhookUrl=None)).json["linkId"] for _ in range(len(ends) + 1)]
        world.cancel(made[0])
        anchor = world.events().json["events"][0]["id"]
        world.now += list_events.SETTLED_MS
        at, plan = world.now, []
        for link_id, (gap, late_by) in zip(made[1:], ends, strict=True):
            at += gap
            plan.append((at, link_id, late_by))

        def happen() -> None:
            while plan and plan[0][0] <= world.now:
                _, link_id, late_by = plan.pop(0)
                late.end(link_id, late_by)

        def sleep(seconds: float) -> None:
            for _ in range(round(1000 * seconds) // 100 + 1):  # what ends meanwhile
                world.now += 100
                happen()

        patch.setattr("time.sleep", sleep)
        seen: list[dict[str, Any]] = []
        for pause, limit in (*looks, (60_000, 3), (60_000, 100)):
            world.now += pause
            happen()
            seen += walk(world, f"after={seen[-1]['id'] if seen else anchor}&limit={limit}")
        assert ids_of(iter(seen)) == sorted(
            made[1:], key=lambda link_id: world.stored(link_id).end_order or ""
        )
