"""What earlier releases have stored and sent is read by today's code, and goes on."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from functions.sandbox_connector import app as sandbox
from latchkey.adapters import aws, store, webhook_sender
from latchkey.domain.retry_schedule import Outcome
from tests.integration import golden
from tests.integration.conftest import LOGIN, Stack, sample_event
from tests.template import table_definition

RELEASES = sorted(golden.FOLDER.glob("*.json"))
LATEST = max(RELEASES, key=lambda path: [int(part) for part in path.stem.split(".")])


def read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text())
    return content


@pytest.fixture(params=RELEASES, ids=lambda path: path.stem)
def recorded(request: pytest.FixtureRequest) -> dict[str, Any]:
    return read(request.param)


@pytest.fixture
def stack(recorded: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    """A stack that the release has left behind."""
    with golden.stack_with_keys(recorded["keys"]) as (stack, _):
        for table, items in recorded["items"].items():
            for item in items:
                aws.dynamodb().put_item(TableName=table, Item=item)
        stack.now = recorded["now"]
        monkeypatch.setattr(webhook_sender, "send", lambda *_, **__: Outcome(duration_ms=1, status_code=204))
        yield stack


def views(stack: Stack, recorded: dict[str, Any]) -> dict[str, Any]:
    return {name: stack.get(link["linkId"]).json for name, link in recorded["links"].items()}


def test_every_link_reads_as_it_did(stack: Stack, recorded: dict[str, Any]) -> None:
    for name, view in views(stack, recorded).items():
        before = recorded["links"][name]["view"]
        assert {member: view[member] for member in before} == before, name
    listed = {link["linkId"]: link for link in stack.page("limit=100").json["links"]}
    for link in recorded["links"].values():
        before = {name: value for name, value in link["view"].items() if name != "result"}
        assert listed[link["linkId"]].items() >= before.items()
    secrets = stack.invoke("webhook_secret", sample_event("webhook_secret")).json
    assert secrets == recorded["secrets"]


def end(view: dict[str, Any]) -> tuple[str, str | None]:
    return view["status"], view["error"] and view["error"]["code"]


def test_every_link_goes_on_to_its_end_and_every_event_is_delivered(
    stack: Stack, recorded: dict[str, Any]
) -> None:
    links = recorded["links"]
    for name, bodies in recorded["messages"].items():
        for body in bodies:
            assert stack.consume(name, body) == []
    assert stack.claim(links["pending"]["claimCode"]).status == 200
    for minute in range(90):
        stack.work()
        for name in ("claimed", "waiting for its user", "asked for a code"):
            challenge = stack.client(links[name]["clientToken"]).json.get("challenge")
            if challenge is not None:
                given = LOGIN if "username" in challenge["schema"]["properties"] else {"code": sandbox.CODE}
                stack.answer(links[name]["clientToken"], given)
        stack.deliver()
        if minute == 5:
            stack.cancel(links["pending without more"]["linkId"])
        stack.now += 60_000
        stack.sweep()
    after = views(stack, recorded)
    before = {name: link["view"] for name, link in links.items() if link["view"]["completedAt"]}
    assert {name: end(view) for name, view in after.items()} == {
        **{name: end(view) for name, view in before.items()},
        "pending": ("failed", "CLIENT_TIMEOUT"),
        "pending without more": ("canceled", None),
        "waiting for its user": ("complete", None),
        "asked for a code": ("complete", None),
        "between two operations": ("complete", None),
        "in a read": ("complete", None),
        "in a write": ("failed", "OUTCOME_UNKNOWN"),
        "answered": ("complete", None),
        "claimed": ("complete", None),
    }
    deliveries = {name: view["webhook"]["status"] for name, view in after.items()}
    assert {name: status for name, status in deliveries.items() if status != "delivered"} == {
        "given up": "exhausted",
        "without an event to send": "none",
        "pending without more": "none",
    }
    assert stack.rows("SecretsTable") == []


def test_what_a_newer_release_has_added_survives_a_write_of_this_one(
    stack: Stack, recorded: dict[str, Any]
) -> None:
    """A release that is rolled back to rewrites what it does not know."""
    table = stack.dynamodb.Table("LinksTable")
    key = {"pk": recorded["links"]["answered"]["linkId"], "sk": store.LINK_ROW}
    for path in ("#new", "#session.#new"):
        names = {"#new": "invented"} | ({"#session": "session"} if "session" in path else {})
        table.update_item(
            Key=key,
            UpdateExpression=f"SET {path} = :new",
            ExpressionAttributeNames=names,
            ExpressionAttributeValues={":new": "x"},
        )
    for body in recorded["messages"]["run_session"]:
        stack.consume("run_session", body)
    row = table.get_item(Key=key)["Item"]
    assert (row["status"], row["invented"], row["session"]["invented"]) == ("complete", "x", "x")
    table.update_item(
        Key=key, UpdateExpression="SET webhook.invented = :new", ExpressionAttributeValues={":new": "x"}
    )
    stack.deliver()
    row = table.get_item(Key=key)["Item"]
    assert (row["webhook"]["status"], row["webhook"]["invented"]) == ("delivered", "x")


def test_a_table_changes_by_one_index_a_release_at_most() -> None:
    """DynamoDB takes one at a time, and a changed projection is an index of another name."""
    for table, before in read(LATEST)["tables"].items():
        old, new = (
            {index["IndexName"]: index for index in definition.pop("GlobalSecondaryIndexes", [])}
            for definition in (before, dict(table_definition(table)))
        )
        assert len(old.keys() ^ new.keys()) <= 1
        for name in old.keys() & new.keys():
            assert new[name] == old[name], f"{name} changed: give it another name"
        now = table_definition(table)
        assert now["KeySchema"] == before["KeySchema"]
        assert [
            each for each in before["AttributeDefinitions"] if each not in now["AttributeDefinitions"]
        ] == []
