"""The event of a link's end, through the handlers: one id and the same bytes until it is delivered."""

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError
from standardwebhooks import Webhook, WebhookVerificationError

from latchkey.adapters import aws, sealing, store
from latchkey.domain import deliveries, ids
from latchkey.domain.retry_schedule import Outcome
from tests.integration.conftest import (
    OK,
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
from tests.integration.simulation import MINUTE, simulation

HOUR = 3_600_000
FAILING = Outcome(duration_ms=30, status_code=500)


def link(**changes: Any) -> dict[str, Any]:
    return founding(operations=operations("paymentMethod.read"), **changes)


def secrets(stack: Stack, key: str = SAMPLE_KEY) -> Any:
    event = sample_event("webhook_secret")
    event["headers"]["authorization"] = f"Bearer {key}"
    return stack.invoke("webhook_secret", event).json["secrets"]


def rotate(stack: Stack, body: Any, key: str = SAMPLE_KEY, **headers: str) -> Answer:
    return post(stack, "POST /v1/webhook-secret/rotate", body, key, **headers)


def try_out(stack: Stack, body: Any, key: str = SAMPLE_KEY) -> Answer:
    return post(stack, "POST /v1/webhook-tests", body, key)


def post(stack: Stack, route: str, body: Any, key: str, **headers: str) -> Answer:
    event = sample_event("webhook_secret") | {"routeKey": route}
    event["headers"] |= {"authorization": f"Bearer {key}", "content-type": "application/json"} | headers
    return stack.invoke("webhook_secret", event | {"body": json.dumps(body)})


def about(stack: Stack, route: str, link_id: str, key: str = SAMPLE_KEY) -> Answer:
    event = sample_event("link_deliveries") | {"routeKey": route, "pathParameters": {"linkId": link_id}}
    event["headers"]["authorization"] = f"Bearer {key}"
    return stack.invoke("link_deliveries", event)


def attempts(stack: Stack, link_id: str) -> Any:
    return about(stack, "GET /v1/links/{linkId}/deliveries", link_id).json["deliveries"]


def redeliver(stack: Stack, link_id: str, key: str = SAMPLE_KEY) -> Answer:
    return about(stack, "POST /v1/links/{linkId}/redeliver", link_id, key)


def webhook(stack: Stack, link_id: str) -> Any:
    return stack.get(link_id).json["webhook"]


def play_out(stack: Stack, *links: str) -> None:
    """Let each of the links' attempts be made when it is due, until there is none."""
    while planned := [(at, link_id) for link_id in links if (at := webhook(stack, link_id)["nextAttemptAt"])]:
        at, link_id = min(planned)
        stack.now = max(stack.now, at)
        stack.consume("deliver_webhook", json.dumps({"linkId": link_id, "hops": 0}))


def pass_time(stack: Stack, milliseconds: int) -> None:
    """Let the minutes pass, each with its sweep and the messages that come in it."""
    until = stack.now + milliseconds
    while stack.now < until:
        stack.now = min(stack.now + MINUTE, until)
        stack.sweep()
        stack.deliver()


# --- The event -----------------------------------------------------------------------------------


def complete(stack: Stack) -> str:
    return stack.run("user_good", link(metadata={"order": "7"}))[0]


def failed(stack: Stack) -> str:
    return stack.run("user_op1_fails", link(metadata={"order": "7"}))[0]


def canceled(stack: Stack) -> str:
    link_id: str = stack.create(link(metadata={"order": "7"})).json["linkId"]
    stack.cancel(link_id)
    return link_id


def expired(stack: Stack) -> str:
    link_id: str = stack.create(link(metadata={"order": "7"}, expiresIn=1)).json["linkId"]
    stack.now += 1000
    stack.sweep()
    return link_id


@pytest.mark.parametrize("end", [complete, failed, canceled, expired], ids=lambda end: end.__name__)
def test_each_end_sends_one_event_that_verifies(
    stack: Stack, receiver: Receiver, end: Callable[[Stack], str]
) -> None:
    link_id = end(stack)
    view = stack.get(link_id).json
    assert view["webhook"] == {"status": "pending", "attempts": 0, "nextAttemptAt": stack.now}
    stack.deliver()
    ((url, headers, body),) = receiver.got
    assert url == founding()["webhookUrl"]
    content = json.loads(body)
    assert content == {
        "type": f"link.{end.__name__}",
        "timestamp": content["timestamp"],
        "data": {
            name: view[name]
            for name in (
                *("linkId", "status", "integrationId", "externalUserId", "metadata", "livemode"),
                *("result", "error", "createdAt", "completedAt"),
            )
        },
    }
    assert content["timestamp"].startswith("2024-01-01T00:00:0")
    assert headers["webhook-timestamp"] == str(stack.now // 1000)
    assert headers["webhook-id"].startswith("msg_")
    (secret,) = secrets(stack)
    verified = Webhook(secret["secret"])
    verified_headers = headers | {"webhook-timestamp": headers["webhook-timestamp"]}
    with pytest.raises(WebhookVerificationError):  # the tests' clock stands in the past
        verified.verify(body.decode(), verified_headers)
    again = stack.get(link_id).json["webhook"]
    assert again == {"status": "delivered", "attempts": 1, "nextAttemptAt": None}
    assert attempts(stack, link_id) == [
        {"attempt": 1, "at": stack.now, "durationMs": 20, "statusCode": 204, "error": None}
    ]
    pass_time(stack, 10 * MINUTE)
    assert len(receiver.got) == 1


def test_a_link_without_a_webhook_url_owes_nothing(stack: Stack, receiver: Receiver) -> None:
    link_id, _ = stack.run("user_good", link(webhookUrl=None))
    assert webhook(stack, link_id) == {"status": "none", "attempts": 0, "nextAttemptAt": None}
    assert [row for row in stack.links() if "dueAt" in row] == []
    assert redeliver(stack, link_id).status == 409
    assert attempts(stack, link_id) == []
    assert receiver.got == []


# --- Trying again --------------------------------------------------------------------------------


def test_ten_attempts_with_one_id_and_the_same_bytes_and_then_exhausted(
    stack: Stack, receiver: Receiver, output: Output
) -> None:
    receiver.otherwise = FAILING
    link_id, _ = stack.run("user_good", link())
    start = stack.now
    for wait in (0, 5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400):
        stack.now += wait * 1000
        if wait > 5:
            assert webhook(stack, link_id)["nextAttemptAt"] - stack.now == 0
            stack.sweep()
        stack.deliver()
    assert stack.now - start == (75 * 3600 + 35 * 60 + 5) * 1000
    assert len(receiver.got) == 10
    assert len({headers["webhook-id"] for _, headers, _ in receiver.got}) == 1
    assert len({body for _, _, body in receiver.got}) == 1
    assert len({headers["webhook-timestamp"] for _, headers, _ in receiver.got}) == 10
    assert webhook(stack, link_id) == {"status": "exhausted", "attempts": 10, "nextAttemptAt": None}
    assert [d["attempt"] for d in attempts(stack, link_id)] == list(range(1, 11))
    assert [row for row in stack.links() if "dueAt" in row] == []
    assert output.text.count('"DeliveriesExhausted":1') == 1


def test_a_receiver_that_is_gone_gets_no_more(stack: Stack, receiver: Receiver) -> None:
    receiver.outcomes = [Outcome(duration_ms=1, status_code=410)]
    link_id, _ = stack.run("user_good", link())
    stack.deliver()
    assert webhook(stack, link_id)["status"] == "exhausted"


def test_an_event_can_be_sent_again_for_thirty_days(stack: Stack, receiver: Receiver) -> None:
    link_id, _ = stack.run("user_good", link())
    assert redeliver(stack, link_id, stack.new_key("globex")).status == 404
    stack.deliver()
    for outcome, status in ((FAILING, "delivered"), (OK, "delivered")):
        receiver.outcomes = [outcome]
        stack.now += HOUR
        answer = redeliver(stack, link_id)
        assert (answer.status, answer.json["webhook"]["status"]) == (202, "pending")
        stack.deliver()
        assert webhook(stack, link_id)["status"] == status  # what was asked for is tried once
        pass_time(stack, 10 * MINUTE)
    assert len(receiver.got) == 3
    assert len({(headers["webhook-id"], body) for _, headers, body in receiver.got}) == 1
    assert [d["statusCode"] for d in attempts(stack, link_id)] == [204, 500, 204]
    stack.now = stack.get(link_id).json["completedAt"] + 30 * 24 * HOUR - 1
    assert redeliver(stack, link_id).status == 202
    stack.now += 1
    assert redeliver(stack, link_id).status == 409


def test_an_exhausted_event_goes_out_again_and_a_waiting_one_goes_at_once(
    stack: Stack, receiver: Receiver
) -> None:
    receiver.outcomes = [Outcome(duration_ms=1, status_code=410), FAILING, OK]
    link_id, _ = stack.run("user_good", link())
    stack.deliver()
    for status in ("exhausted", "delivered"):
        redeliver(stack, link_id)
        stack.deliver()
        assert webhook(stack, link_id)["status"] == status
    receiver.outcomes = [FAILING, FAILING, OK]
    waiting, _ = stack.run("user_good", link())
    stack.deliver()
    stack.now += 5000
    stack.deliver()
    assert webhook(stack, waiting)["nextAttemptAt"] > stack.now
    redeliver(stack, waiting)
    stack.deliver()
    assert webhook(stack, waiting) == {"status": "delivered", "attempts": 3, "nextAttemptAt": None}


def test_an_open_link_has_nothing_to_send_and_an_unswept_end_soon_will(
    stack: Stack, receiver: Receiver
) -> None:
    link_id = stack.create(link(expiresIn=1)).json["linkId"]
    assert redeliver(stack, link_id).status == 409
    stack.now += 1000
    assert redeliver(stack, link_id).status == 202
    stack.sweep()
    stack.deliver()
    assert [event["type"] for event in receiver.events] == ["link.expired"]


def test_a_link_remembers_its_newest_attempts(
    stack: Stack, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliveries, "KEPT", 4)
    link_id, _ = stack.run("user_good", link())
    stack.deliver()
    for _ in range(5):
        redeliver(stack, link_id)
        stack.deliver()
    assert [d["attempt"] for d in attempts(stack, link_id)] == [3, 4, 5, 6]
    assert len(receiver.got) == 6


# --- Messages that are lost, repeated, late ------------------------------------------------------


def test_repeated_messages_make_no_further_attempt(stack: Stack, receiver: Receiver) -> None:
    stack.queues.copies = 5
    link_id, _ = stack.run("user_good", link())
    stack.deliver()
    assert len(receiver.got) == 1
    assert webhook(stack, link_id)["attempts"] == 1


def test_a_thousand_events_survive_ten_minutes_without_messages() -> None:
    with simulation() as world:
        links = [world.create(link(expiresIn=60, metadata={"n": str(n)})).json["linkId"] for n in range(1000)]
        world.queues.losing, world.queues.copies = True, 5
        for _ in range(10):
            world.minute()
        assert {world.stored(link_id).status for link_id in links} == {"expired"}
        assert world.receiver.got == {}
        world.queues.losing = False  # and from here each message comes five times, the newest first
        for _ in range(3):
            world.minute()
        assert sorted(world.receiver.got) == sorted(links)
        assert {len(got) for got in world.receiver.got.values()} == {1}
        assert {world.stored(link_id).due_at() for link_id in links} == {None}


def test_an_attempt_that_dies_is_made_again_when_its_lease_is_over(stack: Stack, receiver: Receiver) -> None:
    link_id, _ = stack.run("user_good", link())

    def die() -> None:
        raise KeyError

    receiver.during = die
    bodies = stack.queues.take("WEBHOOK_QUEUE")
    assert stack.consume("deliver_webhook", *bodies) == ["m0"]
    receiver.during = lambda: None
    stack.consume("deliver_webhook", *bodies)
    assert len(receiver.got) == 1  # the lease holds
    pass_time(stack, MINUTE)
    assert len(receiver.got) == 2
    assert webhook(stack, link_id) == {"status": "delivered", "attempts": 2, "nextAttemptAt": None}


def test_an_attempt_that_outlives_its_lease_does_not_overwrite_the_next(
    stack: Stack, receiver: Receiver
) -> None:
    link_id, _ = stack.run("user_good", link())
    bodies = stack.queues.take("WEBHOOK_QUEUE")

    def outlive() -> None:
        receiver.during = lambda: None
        stack.now += 46_000
        stack.consume("deliver_webhook", *bodies)

    receiver.during = outlive
    receiver.outcomes = [OK, FAILING]  # the inner one is answered first
    stack.consume("deliver_webhook", *bodies)
    assert len(receiver.got) == 2
    assert [d["attempt"] for d in attempts(stack, link_id)] == [2]
    assert webhook(stack, link_id)["status"] == "delivered"


def test_no_attempt_begins_without_the_time_to_finish_it(
    stack: Stack, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack.run("user_good", link())
    bodies = stack.queues.take("WEBHOOK_QUEUE")
    monkeypatch.setattr(Context, "remaining_ms", 16_999)
    assert stack.consume("deliver_webhook", *bodies) == ["m0"]
    assert receiver.got == []
    monkeypatch.setattr(Context, "remaining_ms", 17_000)
    assert stack.consume("deliver_webhook", *bodies) == []
    assert len(receiver.got) == 1


def test_a_host_has_five_deliveries_in_flight(stack: Stack, receiver: Receiver) -> None:
    links = [stack.create(link()).json["linkId"] for _ in range(7)]
    for link_id in links:
        stack.cancel(link_id)
    bodies = stack.queues.take("WEBHOOK_QUEUE")
    depth, deepest = 0, 0

    def nested() -> None:
        nonlocal depth, deepest
        depth += 1
        deepest = max(deepest, depth)
        if bodies:
            stack.consume("deliver_webhook", bodies.pop())
        if bodies:
            stack.consume("deliver_webhook", bodies.pop())
        depth -= 1

    receiver.during = nested
    stack.consume("deliver_webhook", bodies.pop())
    assert deepest == 5
    receiver.during = lambda: None
    pass_time(stack, MINUTE)
    assert sorted(event["data"]["linkId"] for event in receiver.events) == sorted(links)


def test_an_event_is_not_sent_twice_at_once(stack: Stack, receiver: Receiver) -> None:
    ended_links(stack, 1)
    (body,) = stack.queues.take("WEBHOOK_QUEUE")

    def again() -> None:
        receiver.during = lambda: None
        stack.consume("deliver_webhook", body)

    receiver.during = again
    stack.consume("deliver_webhook", body)
    assert len(receiver.got) == 1


def test_a_place_is_free_as_soon_as_its_attempt_is_over(stack: Stack, receiver: Receiver) -> None:
    for n in range(1, 2 * store.ACCOUNT_PLACES):
        ended_links(stack, 1)
        stack.deliver()
        assert len(receiver.got) == n


def ended_links(stack: Stack, count: int, key: str = SAMPLE_KEY) -> list[str]:
    links = [stack.create(link(), key=key).json["linkId"] for _ in range(count)]
    for link_id in links:
        stack.cancel(link_id, key=key)
    return links


def test_no_account_takes_all_places_of_a_host(stack: Stack, receiver: Receiver) -> None:
    """Twenty-five events of five accounts, each begun while all before are in flight."""
    keys = {account: stack.new_key(account) for account in ("a", "b", "c", "d", "e")}
    owners = {link_id: account for account, key in keys.items() for link_id in ended_links(stack, 7, key=key)}
    bodies = stack.queues.take("WEBHOOK_QUEUE")[::-1]
    in_flight: list[str] = []
    most: list[str] = []

    def nested() -> None:
        nonlocal most
        in_flight.append(owners[receiver.events[-1]["data"]["linkId"]])
        most = max(most, in_flight.copy(), key=len)
        while bodies:
            stack.consume("deliver_webhook", bodies.pop(0))
        in_flight.pop()

    receiver.during = nested
    stack.consume("deliver_webhook", bodies.pop(0))
    assert most == [account for account in "abcd" for _ in range(5)]
    receiver.during = lambda: None
    pass_time(stack, MINUTE)
    assert sorted(event["data"]["linkId"] for event in receiver.events) == sorted(owners)


def test_who_leaves_a_place_serves_those_that_wait_for_it(stack: Stack, receiver: Receiver) -> None:
    line = store.Line("acme", "your-app.com:443")
    links = ended_links(stack, 12)
    bodies = stack.queues.take("WEBHOOK_QUEUE")

    def meanwhile() -> None:
        receiver.during = lambda: None
        for _ in range(4):  # the others are taken by deliveries that are still under way
            assert store.take_place(line, stack.now, stack.now + 45_000)
        for body in bodies:
            stack.consume("deliver_webhook", body)
        assert len(receiver.got) == 1

    receiver.during = meanwhile
    stack.consume("deliver_webhook", bodies.pop())
    # No message and no time was needed for it.
    assert sorted(event["data"]["linkId"] for event in receiver.events) == sorted(links)
    assert stack.queues.take("WEBHOOK_QUEUE") == []
    assert store.first_in_line(line) is None


def test_who_serves_the_line_goes_on_in_another_message_when_its_time_is_over(
    stack: Stack, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = ended_links(stack, 2)
    line = store.Line("acme", "your-app.com:443")
    store.stand_in_line(line, second, stack.now)
    stack.queues.clear()
    receiver.during = lambda: monkeypatch.setattr(Context, "remaining_ms", 16_999)
    for hops, expected in ((0, [1]), (11, [12]), (12, [])):
        monkeypatch.setattr(Context, "remaining_ms", 300_000)
        store.stand_in_line(line, second, stack.now)
        redeliver(stack, first)
        stack.queues.clear()
        stack.consume("deliver_webhook", json.dumps({"linkId": first, "hops": hops}))
        sent = [json.loads(body) for body in stack.queues.take("WEBHOOK_QUEUE")]
        assert [(message["linkId"], message["hops"]) for message in sent] == [(second, n) for n in expected]
    assert {event["data"]["linkId"] for event in receiver.events} == {first}


def test_a_place_is_given_back_by_its_holder_alone(stack: Stack) -> None:
    line, now = store.Line("acme", "h:443"), stack.now

    def take(at: int, until: int) -> tuple[str, str] | None:
        return store.take_place(line, at, until)

    assert len({place[0] for _ in range(5) if (place := take(now, now + 1000))}) == 5
    assert take(now + 999, now + 2000) is None
    assert store.take_place(store.Line("globex", "h:443"), now, now + 1000) is not None
    place = take(now + 1000, now + 2000)  # its time was over
    assert place is not None
    store.give_place_back(line, place, now + 1000)  # by who had it before
    assert [take(now + 1000, now + 2000) is not None for _ in range(5)] == [True] * 4 + [False]
    store.give_place_back(line, place, now + 2000)
    again = take(now + 1001, now + 2000)
    assert again is not None
    assert again[0] == place[0]


# --- Faults of our own, and attempts that are asked for --------------------------------------------


def test_an_outage_of_our_own_uses_up_no_attempt(
    stack: Stack, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver.otherwise = FAILING
    link_id, _ = stack.run("user_good", link())
    sealing._opened_keys.clear()

    def away(**_: Any) -> None:
        raise EndpointConnectionError(endpoint_url="kms")

    with monkeypatch.context() as outage:
        outage.setattr(aws.kms(), "decrypt", away)
        pass_time(stack, 9 * MINUTE)
    assert webhook(stack, link_id)["attempts"] == 0
    assert attempts(stack, link_id) == []
    play_out(stack, link_id)
    assert len(receiver.got) == 10
    assert [delivery["attempt"] for delivery in attempts(stack, link_id)] == list(range(1, 11))
    assert webhook(stack, link_id)["status"] == "exhausted"


def test_what_is_asked_for_moves_nothing_of_the_schedule(stack: Stack, receiver: Receiver) -> None:
    receiver.otherwise = FAILING
    alone, pressed = (stack.run("user_good", link())[0] for _ in range(2))
    stack.deliver()
    for n in range(13):
        stack.now += 3000
        if n < 9:
            redeliver(stack, pressed)
        stack.deliver()
    play_out(stack, alone, pressed)
    by_schedule = [delivery["at"] for delivery in attempts(stack, alone)]
    in_all = [delivery["at"] for delivery in attempts(stack, pressed)]
    assert len(by_schedule) == 10
    assert len(in_all) == 19
    assert set(by_schedule) <= set(in_all)
    assert [delivery["attempt"] for delivery in attempts(stack, pressed)] == list(range(1, 20))
    assert webhook(stack, pressed) == {"status": "exhausted", "attempts": 19, "nextAttemptAt": None}


def test_a_delivery_that_was_asked_for_ends_the_schedule(stack: Stack, receiver: Receiver) -> None:
    receiver.outcomes = [FAILING, FAILING, OK]
    link_id, _ = stack.run("user_good", link())
    stack.deliver()
    scheduled = webhook(stack, link_id)["nextAttemptAt"]
    redeliver(stack, link_id)
    assert webhook(stack, link_id) == {"status": "pending", "attempts": 1, "nextAttemptAt": stack.now}
    stack.deliver()
    assert webhook(stack, link_id) == {"status": "pending", "attempts": 2, "nextAttemptAt": scheduled}
    redeliver(stack, link_id)
    stack.deliver()
    play_out(stack, link_id)
    assert len(receiver.got) == 3
    assert webhook(stack, link_id) == {"status": "delivered", "attempts": 3, "nextAttemptAt": None}


def test_what_is_asked_for_during_an_attempt_is_one_more(stack: Stack, receiver: Receiver) -> None:
    link_id, _ = stack.run("user_good", link())

    def ask() -> None:
        receiver.during = lambda: None
        redeliver(stack, link_id)

    receiver.during = ask
    stack.deliver()
    assert len(receiver.got) == 2
    assert webhook(stack, link_id) == {"status": "delivered", "attempts": 2, "nextAttemptAt": None}


def test_an_attempt_that_was_asked_for_and_is_lost_is_made_again(stack: Stack, receiver: Receiver) -> None:
    link_id, _ = stack.run("user_good", link())
    stack.deliver()

    def die() -> None:
        receiver.during = lambda: None
        raise KeyError

    receiver.during = die
    redeliver(stack, link_id)
    stack.consume("deliver_webhook", *stack.queues.take("WEBHOOK_QUEUE"))
    pass_time(stack, 2 * MINUTE)
    assert len(receiver.got) == 3
    assert webhook(stack, link_id) == {"status": "delivered", "attempts": 3, "nextAttemptAt": None}


def test_an_event_is_given_up_once(stack: Stack, receiver: Receiver, output: Output) -> None:
    receiver.otherwise = Outcome(duration_ms=1, status_code=410)
    link_id, _ = stack.run("user_good", link())
    stack.deliver()
    redeliver(stack, link_id)
    stack.deliver()
    assert len(receiver.got) == 2
    assert sum("DeliveriesExhausted" in line for line in output.lines) == 1


def test_a_malformed_message_is_handed_back_and_the_others_are_not(stack: Stack, receiver: Receiver) -> None:
    stack.run("user_good", link())
    (body,) = stack.queues.take("WEBHOOK_QUEUE")
    assert stack.consume("deliver_webhook", "{", body, '{"linkId": 1}', "[]") == ["m0", "m2", "m3"]
    assert len(receiver.got) == 1


# --- Secrets -------------------------------------------------------------------------------------


def test_an_account_has_a_secret_that_both_modes_share_and_no_other_account(stack: Stack) -> None:
    (secret,) = secrets(stack)
    assert secret["expiresAt"] is None
    assert secrets(stack, stack.new_key("acme", livemode=True)) == [secret]
    assert secrets(stack, stack.new_key("globex")) != [secret]
    assert secret["secret"] not in repr(stack.rows("LinksTable"))


def test_both_secrets_sign_until_the_overlap_ends(stack: Stack, receiver: Receiver) -> None:
    (old,) = secrets(stack)
    new = rotate(stack, {"overlapSeconds": 3600}).json["secret"]
    assert secrets(stack) == [
        {"secret": new, "expiresAt": None},
        {"secret": old["secret"], "expiresAt": stack.now + HOUR},
    ]
    signatures = []
    for wait in (0, HOUR - 1, 1):
        stack.now += wait
        stack.run("user_good", link())
        stack.deliver()
        signatures.append(len(receiver.got[-1][1]["webhook-signature"].split()))
    assert signatures == [2, 2, 1]
    assert [secret["secret"] for secret in secrets(stack)] == [new]


def test_at_most_two_secrets_are_valid_and_no_overlap_is_none(stack: Stack) -> None:
    made = [secrets(stack)[0]["secret"], *(rotate(stack, {}).json["secret"] for _ in range(3))]
    assert [secret["secret"] for secret in secrets(stack)] == made[:1:-1]
    assert secrets(stack)[1]["expiresAt"] == stack.now + 24 * HOUR
    last = rotate(stack, {"overlapSeconds": 0}).json["secret"]
    assert secrets(stack) == [{"secret": last, "expiresAt": None}]


@pytest.mark.parametrize("overlap", [-1, 604_801, 1.5, "60", True, None])
def test_an_overlap_is_at_most_a_week(stack: Stack, overlap: Any) -> None:
    answer = rotate(stack, {"overlapSeconds": overlap})
    assert answer.status == 400
    assert set(answer.issues) == {"overlapSeconds"}


def test_each_account_has_a_line_of_its_own_in_both_queues(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fair queue goes by the message group."""
    groups: list[str] = []
    send = stack.queues.send_message

    def spy(**message: Any) -> None:
        groups.append(message["MessageGroupId"])
        send(**message)

    monkeypatch.setattr(stack.queues, "send_message", spy)
    for key in (SAMPLE_KEY, SAMPLE_KEY, stack.new_key("globex")):
        created = stack.create(link(), key=key).json
        stack.claim(created["claimCode"])
        stack.cancel(created["linkId"], key=key)
    assert groups == ["acme"] * 4 + ["globex"] * 2


# --- What must not leak --------------------------------------------------------------------------


def test_no_secret_code_card_or_result_is_in_a_log_or_a_message(
    stack: Stack, receiver: Receiver, output: Output
) -> None:
    receiver.outcomes = [FAILING]
    messages: list[str] = []
    send = stack.queues.send_message

    def spy(**message: Any) -> None:
        messages.append(message["MessageBody"])
        send(**message)

    stack.queues.send_message = spy  # type: ignore[method-assign]
    created = stack.create(founding()).json
    token = stack.claim(created["claimCode"]).json["clientToken"]
    stack.work()
    stack.answer(token, {"username": "user_otp", "password": "pass_good"})
    stack.work()
    stack.answer(token, {"code": "123456"})
    stack.work()
    stack.deliver()
    stack.now += 5000
    stack.deliver()
    assert len(receiver.got) == 2
    (secret,) = secrets(stack)
    told = "\n".join(
        [*messages, output.text, repr(stack.rows("LinksTable")), repr(stack.rows("SecretsTable"))]
    )
    assert created["linkId"] in told
    card = founding()["operations"][1]["arguments"]["cardNumber"]
    for canary in (
        *(created["claimCode"], token, SAMPLE_KEY, secret["secret"]),
        *(card, "pass_good", "123456", "pm_8841", "user_otp"),
    ):
        assert canary not in told
    assert stack.get(created["linkId"]).json["status"] == "complete"


def test_a_store_in_trouble_costs_a_delivery_nothing_but_time(
    stack: Stack, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    link_id, _ = stack.run("user_good", link())
    bodies = stack.queues.take("WEBHOOK_QUEUE")
    with monkeypatch.context() as trouble:

        def fail(**_: Any) -> None:
            raise ConnectionError(ids.new_token())

        trouble.setattr(aws.dynamodb(), "update_item", fail)
        assert stack.consume("deliver_webhook", *bodies) == ["m0"]
    assert receiver.got == []
    stack.deliver()
    pass_time(stack, MINUTE)
    assert webhook(stack, link_id)["status"] == "delivered"


# --- A rotation that is repeated ------------------------------------------------------------------


def test_a_repeated_rotation_gets_the_same_answer_and_rotates_once(stack: Stack) -> None:
    first = secrets(stack)[0]["secret"]
    made = rotate(stack, {"overlapSeconds": 60}, **{"idempotency-key": "k"})
    assert "Idempotent-Replayed" not in made.headers
    stack.now += 1000
    again = rotate(stack, {"overlapSeconds": 60}, **{"idempotency-key": "k"})
    assert (again.text, again.headers["Idempotent-Replayed"]) == (made.text, "true")
    assert [each["secret"] for each in secrets(stack)] == [made.json["secret"], first]
    # Long after that secret is over, its key brings it back to nobody.
    newer = [rotate(stack, {}).json["secret"] for _ in range(2)]
    assert rotate(stack, {"overlapSeconds": 60}, **{"idempotency-key": "k"}).text == made.text
    assert [each["secret"] for each in secrets(stack)] == newer[::-1]


def test_a_rotations_key_is_for_one_body_and_one_api_key(stack: Stack) -> None:
    made = rotate(stack, {}, **{"idempotency-key": "k"}).json["secret"]
    answer = rotate(stack, {"overlapSeconds": 0}, **{"idempotency-key": "k"})
    assert (answer.status, answer.json["code"]) == (422, "idempotency_key_reused")
    assert [each["secret"] for each in secrets(stack)] == [made]
    other = rotate(stack, {}, stack.new_key("acme"), **{"idempotency-key": "k"}).json["secret"]
    assert other != made
    assert set(rotate(stack, {}, **{"idempotency-key": ""}).issues) == {"Idempotency-Key"}


def test_rotations_with_one_key_at_the_same_time_are_one(stack: Stack) -> None:
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: rotate(stack, {}, **{"idempotency-key": "k"}), range(4)))
    assert len({answer.text for answer in answers}) == 1
    assert [each["secret"] for each in secrets(stack)] == [answers[0].json["secret"]]


def test_secrets_that_release_0_1_0_stored_are_read(stack: Stack) -> None:
    plain = json.dumps([["whsec_" + "A" * 43 + "=", None]]).encode()
    sealed = sealing.seal(
        plain, account="acme", subject="account#acme", purpose=sealing.WEBHOOK_SECRET, now=stack.now
    )
    store.put_account_secrets("acme", sealed, instead_of=None)
    assert secrets(stack) == [{"secret": "whsec_" + "A" * 43 + "=", "expiresAt": None}]
    rotate(stack, {})
    assert len(secrets(stack)) == 2


# --- Webhook tests --------------------------------------------------------------------------------


@pytest.mark.parametrize("type_", ["link.complete", "link.failed", "link.expired", "link.canceled"])
def test_an_example_of_each_type_is_signed_and_sent(stack: Stack, receiver: Receiver, type_: str) -> None:
    url = "https://hooks.example.com/in"
    stack.now = round(1000 * time.time())  # which is what the library verifies by
    answer = try_out(stack, {"url": url, "type": type_})
    assert answer.status == 200
    ((sent_to, headers, body),) = receiver.got
    assert sent_to == url
    assert answer.json["request"]["body"] == body.decode()
    assert answer.json["request"]["headers"].items() >= headers.items()
    outcome = {name: answer.json[name] for name in ("statusCode", "durationMs", "error")}
    assert outcome == {"statusCode": 204, "durationMs": 20, "error": None}
    (secret,) = secrets(stack)
    event = Webhook(secret["secret"]).verify(body, headers)
    assert (event["type"], event["data"]["linkId"]) == (type_, "link_test")
    assert headers["webhook-id"].startswith("msg_")
    assert stack.links() == []
    assert not [row for row in stack.rows("LinksTable") if row.get("place0")]  # its place is free again


def test_a_webhook_test_tells_how_it_failed(stack: Stack, receiver: Receiver) -> None:
    receiver.otherwise = Outcome(duration_ms=5, error="tls")
    answer = try_out(stack, {"url": "https://hooks.example.com", "type": "link.complete"})
    assert (answer.json["statusCode"], answer.json["error"]) == (None, "tls")


def test_a_key_tests_one_webhook_a_second(stack: Stack, receiver: Receiver) -> None:
    body = {"url": "https://hooks.example.com", "type": "link.complete"}
    assert try_out(stack, {}).status == 400  # which takes no turn
    assert try_out(stack, body).status == 200
    stack.now += 999
    answer = try_out(stack, body)
    assert (answer.status, answer.json["code"], answer.headers["Retry-After"]) == (429, "rate_limited", "1")
    assert try_out(stack, body, stack.new_key("acme")).status == 200
    stack.now += 1
    assert try_out(stack, body).status == 200
    ids_ = [headers["webhook-id"] for _, headers, _ in receiver.got]
    assert len(set(ids_)) == len(ids_) == 3


def test_a_webhook_test_takes_one_of_its_accounts_places(stack: Stack, receiver: Receiver) -> None:
    line = store.Line("acme", "hooks.example.com:443")
    for _ in range(store.ACCOUNT_PLACES):
        assert store.take_place(line, stack.now, stack.now + MINUTE)
    answer = try_out(stack, {"url": "https://hooks.example.com", "type": "link.complete"})
    assert (answer.status, receiver.got) == (429, [])


@pytest.mark.parametrize(
    ("body", "path", "code"),
    [
        ({"type": "link.complete"}, "url", "required"),
        ({"url": "https://hooks.example.com"}, "type", "required"),
        ({"url": "https://hooks.example.com", "type": "link.pending"}, "type", "schema"),
        ({"url": "http://hooks.example.com", "type": "link.complete"}, "url", "format"),
        ({"url": "https://10.0.0.1", "type": "link.complete"}, "url", "format"),
        ({"url": "https://hooks.example.com:22", "type": "link.complete"}, "url", "format"),
        ({"url": "https://hooks.example.com/" + "x" * 2048, "type": "link.complete"}, "url", "range"),
        ({"url": "no url", "type": "link.complete"}, "url", "format"),
    ],
)
def test_a_webhook_test_that_may_not_be_is_refused(
    stack: Stack, receiver: Receiver, body: Any, path: str, code: str
) -> None:
    issues = try_out(stack, body).issues
    assert {where: what for where, (what, _) in issues.items()} == {path: code}
    assert receiver.got == []


def test_the_real_sender_guards_a_webhook_test(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: [(0, 0, 0, "", ("127.0.0.1", 443))])
    answer = try_out(stack, {"url": "https://rebinding.example.com", "type": "link.complete"})
    assert answer.json["error"] == "blocked_address"
