"""Getting back what the table has lost."""

import json

import pytest

from local import keys, recover
from local.recover import put_back
from tests.integration.conftest import Stack, founding
from tests.template import table_definition


def test_what_is_missing_comes_back_what_is_newer_stays_and_what_is_over_stays_away(stack: Stack) -> None:
    table = stack.dynamodb.Table("LinksTable")
    lost, changed, over = (stack.create(founding()).json["linkId"] for _ in range(3))
    restored = stack.dynamodb.create_table(**table_definition("LinksTable") | {"TableName": "restored"})
    rows = {row["pk"]: row for row in stack.rows("LinksTable")}
    for row in rows.values():
        restored.put_item(Item=row)
    now = int(rows[over]["ttl"]) + 1
    restored.put_item(Item=rows[lost] | {"ttl": now})
    for link_id in (lost, over):
        table.delete_item(Key={"pk": link_id, "sk": "link"})
    stack.cancel(changed)
    put, had = put_back(restored, table, now)
    assert put == 1
    assert had >= 1  # the key
    assert stack.stored(lost).status == "pending"
    assert stack.stored(changed).status == "canceled"
    assert over not in {row["pk"] for row in stack.rows("LinksTable")}


def test_a_link_that_was_erased_since_does_not_come_back(stack: Stack) -> None:
    link_id = stack.create(founding()).json["linkId"]
    restored = stack.dynamodb.create_table(**table_definition("LinksTable") | {"TableName": "before"})
    for row in stack.rows("LinksTable"):
        restored.put_item(Item=row)
    stack.erase(link_id)
    assert put_back(restored, stack.dynamodb.Table("LinksTable"), stack.now // 1000)[0] == 0
    assert stack.get(link_id).json["externalUserId"] is None


def test_an_adopted_stack_is_made_of_the_table_and_the_key_alone() -> None:
    text = recover.adopted_template()
    assert text.count("\n    Type: ") == 2
    for name in ("LinksTable", "SealingKey"):
        assert f"\n  {name}:\n" in text
    # Nothing in it names what is not there.
    assert "!Ref " not in text.replace("!Ref AWS::", "")
    assert "!GetAtt" not in text


def test_nobody_deletes_or_replaces_what_cannot_be_made_again() -> None:
    allow, deny = recover.POLICY["Statement"]
    assert (allow["Effect"], allow["Action"]) == ("Allow", "Update:*")
    assert (deny["Effect"], set(deny["Action"])) == ("Deny", {"Update:Replace", "Update:Delete"})
    assert set(deny["Resource"]) == {"LogicalResourceId/LinksTable", "LogicalResourceId/SealingKey"}
    json.dumps(recover.POLICY)


def test_a_command_for_aws_says_which_region_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    with pytest.raises(SystemExit, match="REGION=us-east-1"):
        keys.session()
