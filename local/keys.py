"""API keys of the local stack or of a deployed one: `make key`, `make keys`, `make revoke-key`."""

import argparse
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from latchkey.domain import ids, scopes

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table

type Reached = tuple[boto3.Session, str | None, str]  # session, endpoint, name of the stack

STACK_FILE = Path(__file__).parent.parent / ".local/stack.json"


def session() -> boto3.Session:
    """The caller's own, as REGION= and PROFILE= or their environment have it."""
    found = boto3.Session(region_name=os.environ.get("AWS_REGION"))
    if found.region_name is None:
        sys.exit("Which region? Write REGION=us-east-1, or set AWS_REGION")
    if found.get_credentials() is None:
        sys.exit("There are no AWS credentials here: write PROFILE=name, or sign in with `aws sso login`")
    return found


def reach(stack_name: str | None) -> Reached:
    """The named stack by the caller's own credentials, else the local one."""
    if stack_name is not None:
        return session(), None, stack_name
    from local.stack import Failure, Stack  # it imports this module

    try:
        local = Stack(STACK_FILE.with_suffix("")).read()
    except Failure as failure:
        sys.exit(f"{failure}, or name a deployed one with STACK=")
    return local_session(local["region"]), local["awsEndpointUrl"], local["stackName"]


class Tables(NamedTuple):
    """Where keys are, and what is known of their use."""

    links: "Table"
    use: "Table"


def tables_of(stack_name: str | None) -> Tables:
    """The tables of the named stack, or of the local one."""
    session, endpoint, stack_name = reach(stack_name)
    named = outputs(session, endpoint, stack_name)
    resource = session.resource("dynamodb", endpoint_url=endpoint)
    return Tables(*(resource.Table(named[f"{name}TableName"]) for name in ("Links", "KeyUse")))


def links_table(stack_name: str | None) -> "Table":
    """The table of the named stack, or of the local one."""
    return tables_of(stack_name).links


def outputs(session: boto3.Session, endpoint: str | None, stack_name: str) -> dict[str, str]:
    """What the template puts out."""
    stacks = session.client("cloudformation", endpoint_url=endpoint).describe_stacks(StackName=stack_name)
    return {output["OutputKey"]: output["OutputValue"] for output in stacks["Stacks"][0]["Outputs"]}


def tell(reached: Reached, action: str, **of: Any) -> None:
    """Have a stack's audit log say what was done, to what, and who did it."""
    session, endpoint, stack_name = reached
    now = time.time_ns() // 1_000_000
    try:
        line = {
            "at": datetime.fromtimestamp(now / 1000, UTC).isoformat(timespec="milliseconds"),
            "action": action,
            **of,
            "by": session.client("sts", endpoint_url=endpoint).get_caller_identity()["Arn"],
        }
        place = {
            "logGroupName": outputs(session, endpoint, stack_name)["AuditLogGroupName"],
            "logStreamName": "operators",
        }
        logs = session.client("logs", endpoint_url=endpoint)
        with suppress(logs.exceptions.ResourceAlreadyExistsException):
            logs.create_log_stream(**place)
        written = logs.put_log_events(**place, logEvents=[{"timestamp": now, "message": json.dumps(line)}])
        if "rejectedLogEventsInfo" in written:
            sys.exit("That is done, but the audit log does not say so: this machine's clock is wrong")
    except (BotoCoreError, ClientError, KeyError) as error:
        sys.exit(f"That is done, but the audit log does not say so: {error!r}")


def named(key: str, account: str) -> dict[str, Any]:
    """A key as the audit log names it."""
    return {"account": account, "livemode": ids.api_key_mode(key), "keyLast4": key[-4:]}


def local_session(region: str) -> boto3.Session:
    """The emulator's administrator."""
    return boto3.Session("test", "test", region_name=region)


def register(table: "Table", key: str, account: str, **more: Any) -> bool:
    """Let the key act for the account; False, and nothing changed, if it is known already.

    `more` is what restricts it: expiresAt, scopes, rate, burst, and its label.
    """
    item: dict[str, Any] = {
        "pk": f"key#{ids.api_key_hash(key)}",
        "sk": "key",
        "owner": f"{account}#keys",  # by which they are listed
        "account": account,
        "livemode": ids.api_key_mode(key) is True,
        "last4": key[-4:],
        "createdAt": time.time_ns() // 1_000_000,
    }
    item |= {name: value for name, value in more.items() if value is not None}
    try:
        table.put_item(Item=item, ConditionExpression="attribute_not_exists(pk)")
    except ClientError as error:
        if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
            raise
        return False
    return True


def create(table: "Table", account: str, mode: str, **more: Any) -> str:
    key = ids.new_api_key(livemode=mode == "live")
    register(table, key, account, **more)
    print(key)
    print(f"This is {account}'s new {mode} key. It is not shown again.", file=sys.stderr)
    return key


# --- Listing -------------------------------------------------------------------------------------


def keys_of(tables: Tables, account: str) -> list[dict[str, Any]]:
    """The account's keys, the oldest first, each with the day of its last use.

    The keys of release 0.1.0 are in no index: they are found once they have been used.
    """
    used = {row["pk"]: row for page in _pages(tables.use.scan) for row in page}
    owner = {"KeyConditionExpression": "#owner = :owner", "ExpressionAttributeNames": {"#owner": "owner"}}
    values = {"ExpressionAttributeValues": {":owner": f"{account}#keys"}}
    listed = _pages(tables.links.query, IndexName="byAccount", **owner, **values)
    found = sorted(used.keys() | {row["pk"] for page in listed for row in page})
    rows = [
        row for start in range(0, len(found), 100) for row in _read(tables.links, found[start : start + 100])
    ]
    return [
        row | {"usedOn": used.get(row["pk"], {}).get("usedOn")}
        for row in sorted(rows, key=lambda row: row["createdAt"])
        if row["account"] == account
    ]


def _pages(ask: Callable[..., Any], **request: Any) -> Iterator[list[dict[str, Any]]]:
    while True:
        answer = ask(**request)
        yield answer["Items"]
        if "LastEvaluatedKey" not in answer:
            return
        request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]


def _read(table: "Table", found: list[str]) -> Iterator[dict[str, Any]]:
    asked: Any = {table.name: {"Keys": [{"pk": pk, "sk": "key"} for pk in found], "ConsistentRead": True}}
    while asked:
        answer = table.meta.client.batch_get_item(RequestItems=asked)
        yield from answer["Responses"].get(table.name, [])
        asked = answer["UnprocessedKeys"]


HEADS = ("mode", "ends in", "made", "last used", "expires", "revoked", "limit", "label", "scopes")


def listing(rows: list[dict[str, Any]]) -> str:
    """The keys as lines for people."""
    lines = [
        HEADS,
        *(
            (
                "live" if row["livemode"] else "test",
                row["last4"],
                _day(row["createdAt"]),
                _day(row["usedOn"]) if row["usedOn"] else "never",
                _day(row["expiresAt"]) if "expiresAt" in row else "-",
                _day(row["revokedAt"]) if "revokedAt" in row else "-",
                _limit(row),
                row.get("label", "-"),
                ",".join(row["scopes"]) if "scopes" in row else "all",
            )
            for row in rows
        ),
    ]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def _day(milliseconds: Any) -> str:
    return datetime.fromtimestamp(int(milliseconds) / 1000, UTC).date().isoformat()


def _limit(row: dict[str, Any]) -> str:
    if "rate" not in row and "burst" not in row:
        return "-"
    return "none" if row.get("rate") == 0 else f"{row.get('rate', '')}/{row.get('burst', '')}"


# --- Revoking ------------------------------------------------------------------------------------


def revoke(table: "Table", key: str) -> dict[str, Any]:
    """Let the key act no more; returns whose it was, and of which mode."""
    return _revoke(table, f"key#{ids.api_key_hash(key)}", key[-4:])


def revoke_by_end(tables: Tables, last4: str, account: str | None) -> dict[str, Any]:
    """The same of the one valid key of the account that ends so."""
    if account is None:
        sys.exit(f"Whose? make revoke-key KEY={last4} ACCOUNT=acme")
    ending = [row for row in keys_of(tables, account) if row["last4"] == last4 and "revokedAt" not in row]
    if not ending:
        sys.exit(f"No valid key of {account} ends in {last4}: `make keys ACCOUNT={account}` lists them")
    if len(ending) > 1:
        sys.exit(f"{len(ending)} valid keys of {account} end in {last4}: give the whole key")
    return _revoke(tables.links, ending[0]["pk"], last4)


def _revoke(table: "Table", pk: str, last4: str) -> dict[str, Any]:
    try:
        changed = table.update_item(
            Key={"pk": pk, "sk": "key"},
            UpdateExpression="SET revokedAt = :now",
            ConditionExpression="attribute_exists(pk) AND attribute_not_exists(revokedAt)",
            ExpressionAttributeValues={":now": time.time_ns() // 1_000_000},
            ReturnValues="ALL_NEW",
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
            raise
        sys.exit(f"No valid key ends in {last4}: it is unknown, or was revoked before")
    print(f"The key that ends in {last4} is revoked. Functions may still accept it for up to 60 seconds.")
    return {name: changed["Attributes"][name] for name in ("account", "livemode")} | {"keyLast4": last4}


# --- The command ---------------------------------------------------------------------------------


def account_name(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9-]{1,64}", text):
        raise argparse.ArgumentTypeError("an account is 1 to 64 of a-z, 0-9 and -")
    return text


def api_key(text: str) -> str:
    if ids.api_key_mode(text) is None and not re.fullmatch("[0-9A-Za-z]{4}", text):
        raise argparse.ArgumentTypeError("that is neither an API key nor the last four characters of one")
    return text


def label(text: str) -> str:
    if not (1 <= len(text) <= 64 and text.isprintable()):
        raise argparse.ArgumentTypeError("a label is 1 to 64 characters on one line")
    return text


def expiry(text: str) -> int:
    """In milliseconds, of so many days from now."""
    if not re.fullmatch("[1-9][0-9]{0,3}d", text):
        raise argparse.ArgumentTypeError("a key expires in 1d to 9999d")
    return time.time_ns() // 1_000_000 + int(text[:-1]) * 86_400_000


def scope_list(text: str) -> list[str]:
    found = sorted({name.strip() for name in text.split(",")})
    if unknown := [name for name in found if name not in scopes.ROUTES]:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is no scope: choose of {', '.join(scopes.ROUTES)}")
    return found


def whole_number(least: int, most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"must be a whole number from {least} to {most}")
        return int(text)

    return read


def main() -> None:
    parser = argparse.ArgumentParser(prog="keys", description=__doc__)
    parser.add_argument("--stack", help="a deployed stack's name; the local stack if left out")
    commands = parser.add_subparsers(dest="command", required=True)
    creating = commands.add_parser("create")
    creating.add_argument("account", type=account_name)
    creating.add_argument("mode", choices=["test", "live"])
    creating.add_argument("--label", type=label, help="what it is for")
    creating.add_argument("--expires", dest="expiresAt", type=expiry, metavar="DAYS", help="such as 90d")
    creating.add_argument(
        "--scopes", type=scope_list, help="all that it may do, such as links:write,links:read"
    )
    creating.add_argument("--rate", type=whole_number(0, 10_000), help="requests a second; 0 for no limit")
    creating.add_argument("--burst", type=whole_number(1, 100_000), help="requests at once")
    commands.add_parser("list").add_argument("account", type=account_name)
    revoking = commands.add_parser("revoke")
    revoking.add_argument("key", type=api_key, help="whole, or its last four characters")
    revoking.add_argument("--account", type=account_name)
    arguments = vars(parser.parse_args())
    stack, command = arguments.pop("stack"), arguments.pop("command")
    match command:
        case "create":
            key = create(links_table(stack), **arguments)
            tell(reach(stack), "key.created", **named(key, arguments["account"]))
        case "list":
            print(listing(keys_of(tables_of(stack), arguments["account"])))
        case "revoke":
            tables, key = tables_of(stack), arguments["key"]
            if len(key) == 4:
                revoked = revoke_by_end(tables, key, arguments["account"])
            else:
                revoked = revoke(tables.links, key)
            tell(reach(stack), "key.revoked", **revoked)


if __name__ == "__main__":
    main()
