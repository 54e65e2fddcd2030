"""What an account has set, on the local stack or on a deployed one: `make account`."""

import argparse
import sys
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from latchkey.domain.urls import InvalidUrl, parse_webhook_url
from local import keys

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table


def _key(account: str) -> dict[str, str]:
    return {"pk": f"settings#{account}", "sk": "settings"}


def show(table: "Table", account: str) -> str | None:
    """Where the events of links without a webhookUrl go."""
    url = table.get_item(Key=_key(account), ConsistentRead=True).get("Item", {}).get("webhookUrl")
    return None if url is None else str(url)


def set_webhook(table: "Table", account: str, url: str, parameters: dict[str, str], *, local: bool) -> None:
    """Let such links have this webhookUrl, or none if it is empty; exits if a link could not have it."""
    if not url:
        table.delete_item(Key=_key(account))
        return
    ports = frozenset(map(int, parameters.get("WebhookPorts", "443,8443").split(",")))
    allow_loopback = local and parameters.get("AllowLoopbackWebhooks") == "true"
    try:
        parse_webhook_url(url, ports, allow_loopback)
    except InvalidUrl as invalid:
        sys.exit(f"WEBHOOK_URL {invalid}")
    table.put_item(Item=_key(account) | {"webhookUrl": url})


def main() -> None:
    parser = argparse.ArgumentParser(prog="accounts", description=__doc__)
    parser.add_argument("--stack", help="a deployed stack's name; the local stack if left out")
    parser.add_argument("account", type=keys.account_name)
    parser.add_argument(
        "--webhook-url", help="where events of links without a webhookUrl go; empty for nowhere"
    )
    arguments = parser.parse_args()
    session, endpoint, stack = reached = keys.reach(arguments.stack)
    found = session.client("cloudformation", endpoint_url=endpoint).describe_stacks(StackName=stack)[
        "Stacks"
    ][0]
    name = next(o["OutputValue"] for o in found["Outputs"] if o["OutputKey"] == "LinksTableName")
    table = session.resource("dynamodb", endpoint_url=endpoint).Table(name)
    if arguments.webhook_url is not None:
        parameters = {p["ParameterKey"]: p["ParameterValue"] for p in found.get("Parameters", [])}
        set_webhook(table, arguments.account, arguments.webhook_url, parameters, local=endpoint is not None)
    url = show(table, arguments.account)
    to = "nowhere" if url is None else f"to {url}"
    print(f"Events of {arguments.account}'s links without a webhookUrl go {to}")
    if arguments.webhook_url is not None:
        print("Functions know it within 60 seconds.")
        # The host alone: the rest of an address may hold a receiver's secret.
        keys.tell(
            reached, "account.changed", account=arguments.account, webhookHost=urlsplit(url or "").hostname
        )


if __name__ == "__main__":
    main()
