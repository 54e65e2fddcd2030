"""Keeps what cannot be made again, and gets it back: `make protect`, `make restore`, `make adopt`.

What cannot be made again is the Links table (links, API keys, accounts' webhook secrets) and the sealing key
that opens what is sealed in it. Each is of no use without the other.
"""

import argparse
import json
import re
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError, WaiterError

from local import keys
from local.build import ROOT
from local.deploy import KEPT, deployed_stack

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table

POLICY: dict[str, list[dict[str, Any]]] = {
    "Statement": [
        {"Effect": "Allow", "Principal": "*", "Action": "Update:*", "Resource": "*"},
        {
            "Effect": "Deny",
            "Principal": "*",
            "Action": ["Update:Replace", "Update:Delete"],
            "Resource": [f"LogicalResourceId/{name}" for name in KEPT],
        },
    ]
}


def protect(session: Any, stack: str) -> None:
    """Let nobody delete the stack or its table, nor an update replace table or key."""
    cloudformation = session.client("cloudformation")
    cloudformation.update_termination_protection(StackName=stack, EnableTerminationProtection=True)
    cloudformation.set_stack_policy(StackName=stack, StackPolicyBody=json.dumps(POLICY))
    table = keys.links_table(stack)
    table.meta.client.update_table(TableName=table.name, DeletionProtectionEnabled=True)
    print(
        f"{stack} cannot be deleted, nor its table, and no update may replace table or key. To lift it: "
        f"aws cloudformation update-termination-protection --stack-name {stack} "
        "--no-enable-termination-protection"
    )


def restore(table: "Table", at: datetime) -> str:
    """A new table with what the table held at a time; its name."""
    client, name = table.meta.client, f"{table.name}-{at:%Y%m%dT%H%M%SZ}"
    client.restore_table_to_point_in_time(
        SourceTableName=table.name, TargetTableName=name, RestoreDateTime=at
    )
    print(f"Restoring to {name}; that takes from minutes to hours ...", flush=True)
    client.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 5, "MaxAttempts": 5000})
    return name


def put_back(restored: "Table", table: "Table", now: int) -> tuple[int, int]:
    """Put each item of one table that the other lacks into that; returns how many, and how many it had.

    Nothing is written over, so that what happened since stays; what has outlived its time stays away.
    `now` in seconds.
    """
    put = had = 0
    client = table.meta.client
    for page in client.get_paginator("scan").paginate(TableName=restored.name, ConsistentRead=True):
        for item in page["Items"]:
            if "ttl" in item and int(str(item["ttl"])) < now:
                continue
            try:
                table.put_item(Item=item, ConditionExpression="attribute_not_exists(pk)")
                put += 1
            except client.exceptions.ConditionalCheckFailedException:
                had += 1
    return put, had


def adopted_template() -> str:
    """The table and the key of template.yaml, and nothing else."""

    text = (ROOT / "template.yaml").read_text()
    kept = [re.findall(rf"^  {name}:\n(?:    .*\n|\n)+", text, re.MULTILINE)[0] for name in KEPT]
    return "".join(['AWSTemplateFormatVersion: "2010-09-09"\nResources:\n', *kept])


def adopt(session: Any, stack: str, table: str, key: str) -> None:
    """Make a stack of a table and a key that another one left behind."""
    cloudformation = session.client("cloudformation")
    if deployed_stack(cloudformation, stack):
        sys.exit(f"There is a stack {stack} already; adopt them into a new one")
    name = "adopt"
    cloudformation.create_change_set(
        StackName=stack,
        ChangeSetName=name,
        ChangeSetType="IMPORT",
        TemplateBody=adopted_template(),
        ResourcesToImport=[
            _imported("AWS::DynamoDB::Table", "LinksTable", "TableName", table),
            _imported("AWS::KMS::Key", "SealingKey", "KeyId", key),
        ],
    )
    try:
        cloudformation.get_waiter("change_set_create_complete").wait(StackName=stack, ChangeSetName=name)
    except WaiterError:
        said = cloudformation.describe_change_set(StackName=stack, ChangeSetName=name)
        sys.exit(f"They cannot be adopted: {said.get('StatusReason')}")
    cloudformation.execute_change_set(StackName=stack, ChangeSetName=name)
    cloudformation.get_waiter("stack_import_complete").wait(StackName=stack)
    print(f"{stack} has the table and the key; now `make deploy STACK={stack}` adds the rest")


def _imported(kind: str, logical_id: str, identifier: str, value: str) -> dict[str, Any]:
    return {
        "ResourceType": kind,
        "LogicalResourceId": logical_id,
        "ResourceIdentifier": {identifier: value},
    }


def moment(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError("a time is like 2026-11-26T10:00:00Z") from None
    return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)


def main() -> None:
    parser = argparse.ArgumentParser(prog="recover", description=__doc__)
    parser.add_argument("--stack", required=True)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("protect")
    commands.add_parser("restore").add_argument("at", type=moment)
    adopting = commands.add_parser("adopt")
    adopting.add_argument("table")
    adopting.add_argument("key")
    arguments = parser.parse_args()
    try:
        match arguments.command:
            case "protect":
                protect(keys.session(), arguments.stack)
            case "restore":
                table = keys.links_table(arguments.stack)
                name = restore(table, arguments.at)
                resource = keys.session().resource("dynamodb")
                put, had = put_back(resource.Table(name), table, int(time.time()))
                print(f"Put {put} items back into {table.name}, which had {had} others of them")
                print(f"Look at it, then delete the copy: aws dynamodb delete-table --table-name {name}")
            case "adopt":
                adopt(keys.session(), arguments.stack, arguments.table, arguments.key)
    except (BotoCoreError, ClientError) as error:
        sys.exit(f"AWS does not answer as it should: {error}")


if __name__ == "__main__":
    main()
