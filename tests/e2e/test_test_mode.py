"""Test mode on the deployed stack: hours in seconds, ends and failures at will, and events that catch up."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import pytest

from latchkey.domain import ids
from latchkey.domain.retry_schedule import _STEPS
from schemas import answers, events
from tests.e2e.api import Answer, Api, link
from tests.e2e.deployed import Deployed
from tests.e2e.receiver import receiving

SOON = 5  # seconds, in which each of them is done once its function is warm


@pytest.fixture(scope="module", autouse=True)
def _warm(deployed: Deployed) -> None:
    deployed.api.test("link_" + "0" * 22, "advance", seconds=1)


def ended(answer: Answer, *, status: str, code: str | None = None) -> Any:
    assert answer.status == 200, answer.text
    view = answers.Link.model_validate_json(answer.text)
    assert (view.status, view.error and view.error.code) == (status, code)
    return answer.json


def in_time[T](act: Callable[[], T]) -> T:
    began = time.monotonic()
    made = act()
    assert time.monotonic() - began < SOON
    return made


def test_a_link_expires_and_a_session_times_out_at_once(api: Api) -> None:
    created = api.create(link()).json["linkId"]
    ended(in_time(lambda: api.test(created, "advance", until="expiry")), status="expired")
    session = api.begin()
    assert (turn := session.turn())["status"] == "awaiting_input", turn
    answer = in_time(lambda: api.test(session.link_id, "advance", until="session_end"))
    view = ended(answer, status="failed", code="CLIENT_TIMEOUT")
    assert session.view()["error"]["code"] == "CLIENT_TIMEOUT"
    assert view["testClock"]["now"] >= view["completedAt"]


def test_ten_attempts_over_75_hours_are_exhausted_at_once_and_logged_by_the_links_clock(api: Api) -> None:
    with receiving(*10 * [500]) as receiver:
        link_id = api.create(link(webhookUrl=receiver.url)).json["linkId"]
        ended(api.test(link_id, "simulate", outcome="complete"), status="complete")
        view = in_time(lambda: api.test(link_id, "advance", seconds=100 * 3600)).json
        assert view["webhook"] == {"status": "exhausted", "attempts": 10, "nextAttemptAt": None}
        assert len(receiver.got) == 10
        assert len({body for _, body in receiver.got}) == 1
        assert all(abs(int(headers["webhook-timestamp"]) - time.time()) < 30 for headers, _ in receiver.got)
    log = api.get(f"/v1/links/{link_id}/deliveries").json["deliveries"]
    assert [attempt["attempt"] for attempt in log] == list(range(1, 11))
    waits = [later["at"] - earlier["at"] for earlier, later in pairwise(log)]
    assert all(0.8 * step <= wait < 1.2 * step + 2000 for wait, step in zip(waits, _STEPS, strict=True))


@pytest.mark.parametrize("code", ["LOGIN_FAILED", "AUTOMATION_ERROR", "OUTCOME_UNKNOWN", "INTERNAL_ERROR"])
def test_a_link_fails_as_it_is_told(api: Api, code: str) -> None:
    link_id = api.create(link()).json["linkId"]
    ended(
        in_time(lambda: api.test(link_id, "simulate", outcome="fail", code=code)), status="failed", code=code
    )


def test_a_delivery_fails_as_planned_and_then_arrives(api: Api) -> None:
    with receiving() as receiver:
        link_id = api.create(link(webhookUrl=receiver.url)).json["linkId"]
        assert api.test(link_id, "fail-deliveries", count=2, **{"as": "tls"}).status == 200
        data: dict[str, Any] = {"paymentMethods": []}
        view = ended(api.test(link_id, "simulate", outcome="complete", data=[data]), status="complete")
        assert view["result"] == data
        view = in_time(lambda: api.test(link_id, "advance", seconds=3600)).json
        assert view["webhook"] == {"status": "delivered", "attempts": 3, "nextAttemptAt": None}
        assert len(receiver.got) == 1
    log = api.get(f"/v1/links/{link_id}/deliveries").json["deliveries"]
    assert [attempt["error"] for attempt in log] == ["tls", "tls", None]


def test_a_live_key_gets_404_of_all_of_it(deployed: Deployed) -> None:
    link_id = deployed.api.create(link()).json["linkId"]
    for verb in ("advance", "simulate", "fail-deliveries"):
        assert deployed.live.test(link_id, verb).status == 404
    assert deployed.live.get("/v1/test/outcomes").status == 404
    outcomes = deployed.api.get("/v1/test/outcomes")
    assert answers.SandboxUserList.model_validate_json(outcomes.text).outcomes


def test_an_example_is_sent_where_it_is_asked_for(api: Api) -> None:
    with receiving() as receiver:
        body = {"url": receiver.url, "type": "link.failed"}
        answer = api.request("POST", "/v1/webhook-tests", body)
        assert answer.status == 200, answer.text
        test = answers.WebhookTest.model_validate_json(answer.text)
        ((headers, sent),) = receiver.got
    assert (test.status_code, test.request.body) == (204, sent.decode())
    assert headers.items() >= {name.lower(): value for name, value in test.request.headers.items()}.items()


def test_a_receiver_catches_up_while_others_end(deployed: Deployed) -> None:
    """From eight sides at once, by three functions: each event comes once, in the order of the list."""
    api = deployed.new_caller(f"events-{ids.new_token().lower()}")
    first = api.create(link()).json["linkId"]
    api.cancel(first)
    after = api.get("/v1/events").json["events"][0]["id"]
    links = [api.create(link()).json["linkId"] for _ in range(30)]
    seen: list[Any] = []

    def end(number: int) -> None:
        match number % 3:
            case 0:
                api.cancel(links[number])
            case 1:
                api.test(links[number], "simulate", outcome="complete")
            case _:
                api.test(links[number], "advance", until="expiry")

    def catch_up() -> None:
        query = f"after={seen[-1]['id'] if seen else after}&limit=7"
        cursor = ""
        while cursor is not None:
            page = api.get(f"/v1/events?{query}{cursor and f'&cursor={cursor}'}")
            assert page.status == 200, page.text
            events.EventList.model_validate_json(page.text)
            seen.extend(page.json["events"])
            cursor = page.json["nextCursor"]

    with ThreadPoolExecutor(9) as pool:
        ends = [pool.submit(end, number) for number in range(len(links))]
        while not all(each.done() for each in ends):
            catch_up()
        for each in ends:
            each.result()
    catch_up()
    assert sorted(event["data"]["linkId"] for event in seen) == sorted(links)
    newest_first = [event["id"] for event in api.get("/v1/events?limit=100").json["events"]]
    assert newest_first == [*(event["id"] for event in reversed(seen)), after]
