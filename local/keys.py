"""API keys of the local stack or of a deployed one: `make key`, `make revoke-key`."""

import argparse
import os
import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
from botocore.exceptions import ClientError

from latchkey.domain import ids

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table

STACK_FILE = Path(__file__).parent.parent / ".local/stack.json"


def session() -> boto3.Session:
    """The caller's own, as REGION= and PROFILE= or their environment have it."""
    found = boto3.Session(region_name=os.environ.get("AWS_REGION"))
    if found.region_name is None:
        sys.exit("Which region? Write REGION=us-east-1, or set AWS_REGION")
    if found.get_credentials() is None:
        sys.exit("There are no AWS credentials here: write PROFILE=name, or sign in with `aws sso login`")
    return found


def reach(stack_name: str | None) -> tuple[boto3.Session, str | None, str]:
    """The named stack by the caller's own credentials, else the local one: session, endpoint, name."""
    if stack_name is not None:
        return session(), None, stack_name
    from local.stack import Failure, Stack  # it imports this module

    try:
        local = Stack(STACK_FILE.with_suffix("")).read()
    except Failure as failure:
        sys.exit(f"{failure}, or name a deployed one with STACK=")
    return local_session(local["region"]), local["awsEndpointUrl"], local["stackName"]


def links_table(stack_name: str | None) -> "Table":
    """The table of the named stack, or of the local one."""
    session, endpoint, stack_name = reach(stack_name)
    name = outputs(session, endpoint, stack_name)["LinksTableName"]
    return session.resource("dynamodb", endpoint_url=endpoint).Table(name)


def outputs(session: boto3.Session, endpoint: str | None, stack_name: str) -> dict[str, str]:
    """What the template puts out."""
    stacks = session.client("cloudformation", endpoint_url=endpoint).describe_stacks(StackName=stack_name)
    return {output["OutputKey"]: output["OutputValue"] for output in stacks["Stacks"][0]["Outputs"]}


def local_session(region: str) -> boto3.Session:
    """The emulator's administrator."""
    return boto3.Session("test", "test", region_name=region)


def register(table: "Table", key: str, account: str) -> bool:
    """Let the key act for the account; False, and nothing changed, if it is known already."""
    item: dict[str, str | int] = {
        "pk": f"key#{ids.api_key_hash(key)}",
        "sk": "key",
        "account": account,
        "livemode": ids.api_key_mode(key) is True,
        "last4": key[-4:],
        "createdAt": time.time_ns() // 1_000_000,
    }
    try:
        table.put_item(Item=item, ConditionExpression="attribute_not_exists(pk)")
    except ClientError as error:
        if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
            raise
        return False
    return True


def create(table: "Table", account: str, mode: str) -> None:
    key = ids.new_api_key(livemode=mode == "live")
    register(table, key, account)
    print(key)
    print(f"This is {account}'s new {mode} key. It is not shown again.", file=sys.stderr)


def revoke(table: "Table", key: str) -> None:
    try:
        table.update_item(
            Key={"pk": f"key#{ids.api_key_hash(key)}", "sk": "key"},
            UpdateExpression="SET revokedAt = :now",
            ConditionExpression="attribute_exists(pk) AND attribute_not_exists(revokedAt)",
            ExpressionAttributeValues={":now": time.time_ns() // 1_000_000},
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
            raise
        sys.exit(f"No valid key ends in {key[-4:]}: it is unknown, or was revoked before")
    print(f"The key that ends in {key[-4:]} is revoked. Functions may still accept it for up to 60 seconds.")


def account_name(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9-]{1,64}", text):
        raise argparse.ArgumentTypeError("an account is 1 to 64 of a-z, 0-9 and -")
    return text


def api_key(text: str) -> str:
    if ids.api_key_mode(text) is None:
        raise argparse.ArgumentTypeError("that is not an API key")
    return text


def main() -> None:
    parser = argparse.ArgumentParser(prog="keys", description=__doc__)
    parser.add_argument("--stack", help="a deployed stack's name; the local stack if left out")
    commands = parser.add_subparsers(dest="command", required=True)
    creating = commands.add_parser("create")
    creating.add_argument("account", type=account_name)
    creating.add_argument("mode", choices=["test", "live"])
    commands.add_parser("revoke").add_argument("key", type=api_key)
    arguments = parser.parse_args()
    table = links_table(arguments.stack)
    if arguments.command == "create":
        create(table, arguments.account, arguments.mode)
    else:
        revoke(table, arguments.key)


if __name__ == "__main__":
    main()
