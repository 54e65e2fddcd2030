"""GET /v1/links through its handler: order, filters, cursors."""

import base64
import json
from typing import Any
from urllib.parse import urlencode

import pytest

from latchkey.adapters import aws, webhook_sender
from latchkey.domain.retry_schedule import Outcome
from latchkey.services import list_links
from tests.integration.conftest import SAMPLE_KEY, Stack, founding, operations


def link(**changes: Any) -> dict[str, Any]:
    return founding(operations=operations("paymentMethod.read"), **changes)


def make(stack: Stack, count: int = 1, **changes: Any) -> list[str]:
    """Ids of new links, the oldest first, each a millisecond after the other."""
    made = []
    for _ in range(count):
        stack.now += 1
        made.append(stack.create(link(**changes)).json["linkId"])
    return made


def walk(stack: Stack, key: str = SAMPLE_KEY, **query: Any) -> list[str]:
    """Ids over all pages."""
    found: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = stack.page(urlencode(query | cursor), key=key).json
        found += [item["linkId"] for item in page["links"]]
        if page["nextCursor"] is None:
            return found
        cursor = {"cursor": page["nextCursor"]}


def test_links_come_newest_first_without_their_results(stack: Stack) -> None:
    link_id, _ = stack.run("user_good", link(debug=True))
    (shown,) = stack.page().json["links"]
    whole = stack.get(link_id).json
    assert whole.pop("result") is not None
    assert shown == whole
    newer = make(stack, 3)
    assert walk(stack) == [*newer[::-1], link_id]


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
def test_following_cursors_yields_every_link_once(stack: Stack, limit: int) -> None:
    made = make(stack, 5) + [
        stack.create(link()).json["linkId"] for _ in range(2)
    ]  # three in one millisecond
    found = walk(stack, limit=limit)
    assert sorted(found) == sorted(made)
    assert found[-4:] == made[3::-1]


def test_a_page_has_twenty_links_unless_another_number_is_asked_for(stack: Stack) -> None:
    make(stack, 21)
    assert len(stack.page().json["links"]) == 20
    assert len(stack.page("limit=21").json["links"]) == 21


@pytest.mark.parametrize("query", ["limit=100", "limit=100&externalUserId=user_123"])
def test_a_page_that_lambda_would_not_take_is_shorter_and_the_next_one_goes_on(
    stack: Stack, query: str
) -> None:
    """A quote takes four bytes in an answer: one in the value, two in the body, four in what Lambda takes."""
    largest = {'"' * 38 + f"{n:02}": '"' * 500 for n in range(50)}
    made = make(stack, 70, metadata=largest)
    found, sizes = [], []
    cursor: str | None = ""
    while cursor is not None:
        answer = stack.page(query + cursor)
        sizes.append(len(json.dumps({"statusCode": 200, "headers": answer.headers, "body": answer.text})))
        found.append([link["linkId"] for link in answer.json["links"]])
        following = answer.json["nextCursor"]
        cursor = None if following is None else f"&cursor={following}"
    assert max(sizes) <= 6 * 1024 * 1024 < sum(sizes)
    assert [link for page in found for link in page] == made[::-1]
    assert len(found[0]) > 50


def test_links_are_found_by_what_became_of_their_event(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([204, 410])
    monkeypatch.setattr(
        webhook_sender, "send", lambda *_, **__: Outcome(duration_ms=1, status_code=next(answers))
    )
    (none,), *ended = make(stack), *make(stack, 3, webhookUrl="https://your-app.com/hook")
    for link_id in ended:
        stack.cancel(link_id)
    delivered, exhausted, pending = ended
    stack.queues.clear()
    for link_id in (delivered, exhausted):
        stack.consume("deliver_webhook", json.dumps({"linkId": link_id, "hops": 0}))
    by_status = {
        "none": [none],
        "delivered": [delivered],
        "exhausted": [exhausted],
        "pending": [pending],
    }
    for status, links in by_status.items():
        assert walk(stack, webhookStatus=status) == links
    assert walk(stack, webhookStatus="delivered", status="pending") == []
    make(stack, 110)
    assert walk(stack, webhookStatus="exhausted", limit=1) == [exhausted]
    assert len(walk(stack, webhookStatus="none", limit=7)) == 111
    assert stack.page("webhookStatus=lost").status == 400


def test_filters_look_at_links_as_they_are_now(stack: Stack) -> None:
    (expired,) = make(stack, expiresIn=1)
    timed_out, _ = stack.claimed(link())
    stack.now += 900_000
    (pending,) = make(stack)
    (canceled,) = make(stack)
    stack.cancel(canceled)
    complete, _ = stack.run("user_good", link())
    failed, _ = stack.run("user_locked", link())
    active, _ = stack.claimed(link())
    by_status = {
        "pending": [pending],
        "active": [active],
        "complete": [complete],
        "failed": [failed, timed_out],
        "expired": [expired],
        "canceled": [canceled],
    }
    for swept in (False, True):
        for status, links in by_status.items():
            assert walk(stack, status=status) == links, (status, swept)
            assert walk(stack, status=status, limit=1, integrationId="tmobile") == links
        stack.sweep()
    assert walk(stack, status="pending", integrationId="att") == []
    assert walk(stack, integrationId="no such") == []


def test_a_link_that_has_gone_on_since_its_index_was_written_is_in_no_old_list(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    (stale, fresh), query = make(stack, 2), aws.dynamodb().query

    def behind(**request: Any) -> Any:
        answer = query(**request)
        stack.cancel(stale)
        return answer

    monkeypatch.setattr(aws.dynamodb(), "query", behind)
    assert walk(stack, status="pending") == [fresh]


def test_a_batch_that_dynamodb_answers_in_parts_is_whole_and_in_order(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, read = make(stack, 7), aws.dynamodb().batch_get_item

    def in_parts(**request: Any) -> Any:
        ((table, wanted),) = request["RequestItems"].items()
        first, later = wanted["Keys"][-3:], wanted["Keys"][:-3]
        answer = read(RequestItems={table: wanted | {"Keys": first}})
        return answer | {"UnprocessedKeys": {table: wanted | {"Keys": later}} if later else {}}

    monkeypatch.setattr(aws.dynamodb(), "batch_get_item", in_parts)
    assert walk(stack) == made[::-1]
    monkeypatch.setattr(
        aws.dynamodb(),
        "batch_get_item",
        lambda RequestItems: {"Responses": {"LinksTable": []}, "UnprocessedKeys": RequestItems},  # noqa: N803
    )
    assert stack.page().status == 503


def test_a_link_that_is_gone_is_in_no_list(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    (gone, there), query = make(stack, 2), aws.dynamodb().query

    def behind(**request: Any) -> Any:
        answer = query(**request)
        aws.dynamodb().delete_item(TableName="LinksTable", Key={"pk": {"S": gone}, "sk": {"S": "link"}})
        return answer

    monkeypatch.setattr(aws.dynamodb(), "query", behind)
    assert walk(stack) == [there]


def test_a_link_changes_lists_in_the_millisecond_in_which_it_ends(stack: Stack) -> None:
    (unclaimed,) = make(stack, expiresIn=900)
    claimed, _ = stack.claimed(link())
    stack.now += 900_000 - 1
    assert (walk(stack, status="pending"), walk(stack, status="active")) == ([unclaimed], [claimed])
    assert (walk(stack, status="expired"), walk(stack, status="failed")) == ([], [])
    stack.now += 1
    assert (walk(stack, status="pending"), walk(stack, status="active")) == ([], [])
    assert (walk(stack, status="expired"), walk(stack, status="failed")) == ([unclaimed], [claimed])


def test_a_user_s_links_are_found_by_the_callers_own_name_for_the_user(stack: Stack) -> None:
    ann, bob = make(stack, 3, externalUserId="ann"), make(stack, 2, externalUserId="bob#1")
    make(stack, externalUserId=None)
    assert walk(stack, externalUserId="ann", limit=2) == ann[::-1]
    assert walk(stack, externalUserId="bob#1", status="pending", limit=1) == bob[::-1]
    assert walk(stack, externalUserId="nobody") == []
    assert walk(stack, stack.new_key("globex"), externalUserId="ann") == []


def test_an_account_sees_its_own_links_in_its_own_mode(stack: Stack) -> None:
    made = make(stack)
    assert walk(stack, stack.new_key("acme")) == made
    assert walk(stack, stack.new_key("globex")) == []
    assert walk(stack, stack.new_key("acme", livemode=True)) == []


def test_a_cursor_is_for_its_own_list_and_key_and_is_not_made_up(stack: Stack) -> None:
    make(stack, 3)
    cursor = stack.page("limit=1").json["nextCursor"]
    flipped = ("B" if cursor[0] == "A" else "A") + cursor[1:]
    for query, key in (
        (f"cursor={flipped}", SAMPLE_KEY),
        (f"cursor={cursor[:-1]}", SAMPLE_KEY),
        (f"cursor={cursor}x", SAMPLE_KEY),
        ("cursor=", SAMPLE_KEY),
        ("cursor=%C3%BC", SAMPLE_KEY),
        (f"cursor={cursor}&status=pending", SAMPLE_KEY),
        (f"cursor={cursor}", stack.new_key("globex")),
    ):
        answer = stack.page(query, key=key)
        assert answer.status == 400, query
        assert set(answer.issues) == {"cursor"}
    assert stack.page(f"cursor={cursor}&limit=2").status == 200  # a page's size is its own affair
    signed = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    assert signed[16:17] == b"{"  # 128 bits come before what is signed


@pytest.mark.parametrize(
    ("query", "path", "code"),
    [
        ("status=done", "status", "schema"),
        ("status=", "status", "schema"),
        ("limit=0", "limit", "range"),
        ("limit=101", "limit", "range"),
        ("limit=-1", "limit", "type"),
        ("limit=ten", "limit", "type"),
        ("limit=1.0", "limit", "type"),
        ("limit=%D9%A1", "limit", "type"),
        ("limit=" + "1" * 5000, "limit", "type"),
        ("externalUserId=", "externalUserId", "range"),
        ("state=pending", "state", "unknown_field"),
        ("limit=1&limit=2", "limit", "range"),
    ],
)
def test_a_parameter_that_does_not_fit_is_refused(stack: Stack, query: str, path: str, code: str) -> None:
    answer = stack.page(query)
    assert answer.status == 400
    assert {issue["path"]: issue["code"] for issue in answer.json["issues"]} == {path: code}


def test_a_filter_that_matches_little_reads_on_and_then_gives_a_cursor(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A query reads a megabyte: here, ten links."""
    from latchkey.adapters import aws

    (old,) = make(stack, integrationId="att")
    make(stack, 45)
    client, queries = aws.dynamodb(), 0
    query = client.query

    def of_ten(**request: Any) -> Any:
        nonlocal queries
        queries += 1
        return query(**request | {"Limit": 10})

    monkeypatch.setattr(client, "query", of_ten)
    first = stack.page("integrationId=att").json
    assert (first["links"], queries) == ([], list_links.MAX_QUERIES)
    assert walk(stack, integrationId="att") == [old]
