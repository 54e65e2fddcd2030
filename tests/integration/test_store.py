"""What the store promises of a write, whoever else writes and whatever is lost on the way."""

from dataclasses import replace
from typing import Any
from unittest.mock import Mock

import pytest

from latchkey.adapters import aws, store
from latchkey.domain.errors import NotFoundError
from latchkey.domain.links import Link, Sealed
from tests.integration.conftest import Stack, founding


def made(stack: Stack) -> Link:
    return stack.stored(stack.create(founding()).json["linkId"])


def repeated(monkeypatch: pytest.MonkeyPatch, operation: str) -> None:
    """Each write is sent twice, as botocore does when the first answer is lost."""
    client = aws.dynamodb()
    send = getattr(client, operation)

    def twice(**request: Any) -> Any:
        send(**request)
        return send(**request)

    monkeypatch.setattr(client, operation, twice)


@pytest.mark.parametrize(
    "change", [{"updated_at": 5}, {"metadata": None}], ids=["that adds", "that takes away"]
)
def test_a_write_whose_answer_was_lost_finds_itself(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    link = made(stack)
    repeated(monkeypatch, "update_item")
    saved = store.save(link, replace(link, **change))
    assert replace(saved, write_token="") == replace(link, write_token="", **change)


def test_a_claim_whose_answer_was_lost_is_a_claim(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    link = stack.create(founding()).json
    repeated(monkeypatch, "update_item")
    assert stack.claim(link["claimCode"]).status == 200


def test_who_comes_second_changes_nothing_and_learns_what_the_first_wrote(stack: Stack) -> None:
    link = made(stack)
    first = store.save(link, replace(link, updated_at=5))
    with pytest.raises(store.SupersededError) as second:
        store.save(link, replace(link, updated_at=6))
    assert second.value.link == first == stack.stored(link.link_id)


def test_nothing_is_written_over_that_was_not_read(stack: Stack) -> None:
    link = made(stack)
    first = store.save(link, replace(link, updated_at=5))
    with pytest.raises(store.SupersededError) as second:
        store.write_over(link, replace(link, metadata=None))
    assert second.value.link == first == stack.stored(link.link_id)
    stack.dynamodb.Table("LinksTable").delete_item(Key={"pk": link.link_id, "sk": store.LINK_ROW})
    with pytest.raises(NotFoundError):
        store.write_over(first, first)
    assert stack.links() == []


def test_a_write_over_whose_answer_was_lost_finds_itself(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = made(stack)
    repeated(monkeypatch, "put_item")
    left = store.write_over(link, replace(link, webhook_url=None))
    assert left == stack.stored(link.link_id)
    assert left.webhook_url is None


@pytest.mark.usefixtures("stack")
def test_of_two_first_secrets_one_is_kept() -> None:
    ours, theirs = Sealed(b"ours", b"k"), Sealed(b"theirs", b"k")
    assert store.put_account_secrets("acme", ours, instead_of=None)
    assert not store.put_account_secrets("acme", theirs, instead_of=None)
    assert store.get_account_secrets("acme") == ours
    assert store.put_account_secrets("acme", theirs, instead_of=ours)
    assert not store.put_account_secrets("acme", ours, instead_of=ours)
    assert store.get_account_secrets("acme") == theirs


def test_what_was_just_written_is_read(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    requests: list[dict[str, Any]] = []
    read = aws.dynamodb().get_item

    def spy(**request: Any) -> Any:
        requests.append(request)
        return read(**request)

    monkeypatch.setattr(aws.dynamodb(), "get_item", spy)
    stack.get(stack.create(founding()).json["linkId"])
    assert [request["ConsistentRead"] for request in requests] == [True, True]


LINE = store.Line("acme", "hook.example.com:443")


def test_what_is_sealed_and_who_waits_are_listed_as_last_written(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = Mock(wraps=aws.dynamodb().query)
    monkeypatch.setattr(aws.dynamodb(), "query", query)
    list(store.secret_rows(made(stack)))
    store.first_in_line(LINE)
    assert [call.kwargs["ConsistentRead"] for call in query.call_args_list] == [True, True]


def test_a_host_is_forgotten_a_day_after_its_last_delivery(stack: Stack) -> None:
    until = stack.now + 45_000
    store.take_place(LINE, stack.now, until)
    store.stand_in_line(LINE, "link_1", until)
    rows = [row for row in stack.rows("LinksTable") if row["pk"].startswith("host#")]
    assert [row["ttl"] for row in rows] == 2 * [until // 1000 + 86_400]  # seconds


@pytest.mark.usefixtures("stack")
def test_whoever_finds_a_free_place_taken_by_another_takes_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """All five of an account at once, each choosing the place that the others choose."""
    line = store.Line("acme", "h:443")
    monkeypatch.setattr("random.randrange", lambda _: 0)
    monkeypatch.setattr("random.choice", lambda free: free[0])
    write = aws.dynamodb().update_item
    others = 4

    def overtaken(**request: Any) -> Any:
        nonlocal others
        if others:
            others -= 1
            write(**request)  # another one's, which is the same but for who holds it
        return write(**request)

    monkeypatch.setattr(aws.dynamodb(), "update_item", overtaken)
    assert store.take_place(line, 0, 1000) == ("acme#4", "place4")
    assert store.take_place(line, 0, 1000) is None
