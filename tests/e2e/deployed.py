"""The deployed stack behind the API: its tables, roles and logs, as its administrator sees them."""

import base64
import hashlib
import json
import os
import signal
import socket
import subprocess
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from latchkey.domain import ids
from local import keys
from local.stack import REGION, Stack
from tests.e2e.api import Api


class Deployed:
    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        running = stack.read()
        self.url = running["apiUrl"]
        self.api = Api(self.url, running["testApiKey"])
        self.live = Api(self.url, running["liveApiKey"])
        self.other = Api(self.url, running["otherTestApiKey"])
        self.physical = stack.physical_ids()
        self.sweeps = 0  # that were asked for by a test
        self._resource: Any = keys.local_session(REGION).resource(
            "dynamodb", endpoint_url=running["awsEndpointUrl"]
        )

    def table(self, name: str) -> Any:
        return self._resource.Table(self.physical[name])

    def new_caller(self, account: str) -> Api:
        """A caller with a key that no function has seen."""
        key = ids.new_api_key(livemode=False)
        keys.register(self.table("LinksTable"), key, account)
        return Api(self.url, key)

    def rows(self, name: str) -> list[dict[str, Any]]:
        pages = self._resource.meta.client.get_paginator("scan").paginate(TableName=self.physical[name])
        return [row for page in pages for row in page["Items"]]

    def count_links(self) -> int:
        return sum(row["sk"] == "link" for row in self.rows("LinksTable"))

    def link(self, link_id: str) -> dict[str, Any]:
        row: dict[str, Any] = self.table("LinksTable").get_item(Key={"pk": link_id, "sk": "link"})["Item"]
        return row

    def secrets(self, link_id: str) -> list[dict[str, Any]]:
        return [row for row in self.rows("SecretsTable") if row["pk"] == link_id]

    def let_pass(self, link_id: str, seconds: int) -> None:
        """Set back what the link waits for, as if so much time had passed; its end and its session's stay."""
        row, milliseconds = self.link(link_id), 1000 * seconds
        waits = [row, row.get("session", {}), row.get("webhook", {})]
        for part in waits:
            for name in ("updatedAt", "dueAt", "leaseUntil", "pollAt", "nextAttemptAt"):
                if part.get(name):
                    part[name] -= milliseconds
        self.table("LinksTable").put_item(
            Item=row,
            ConditionExpression="writeToken = :read",  # nobody is at it
            ExpressionAttributeValues={":read": row["writeToken"]},
        )

    def invoke(self, function: str, event: Any = None) -> Any:
        """Invoke a function as its trigger would; fails if it does."""
        client = self.stack.client("lambda")
        answer = client.invoke(FunctionName=self.alias(function), Payload=json.dumps(event or {}))
        payload = json.loads(answer["Payload"].read())
        assert "FunctionError" not in answer, payload
        return payload

    def sweep(self) -> None:
        """What happens each minute, now."""
        self.sweeps += 1
        self.invoke("SweepFunction")

    @contextmanager
    def unscheduled(self) -> Iterator[None]:
        """Keep sweep from running by itself for as long as the context lasts."""
        scheduler = self.stack.client("scheduler")
        (schedule,) = scheduler.list_schedules()["Schedules"]
        found = scheduler.get_schedule(Name=schedule["Name"])
        kept = {name: found[name] for name in ("Name", "ScheduleExpression", "Target", "FlexibleTimeWindow")}
        scheduler.update_schedule(**kept, State="DISABLED")
        try:
            yield
        finally:
            scheduler.update_schedule(**kept, State="ENABLED")

    def kill(self, function: str) -> int:
        """SIGKILL the processes that run a function; returns how many there were."""
        listed = subprocess.run(
            ["ps", "-A", "-ww", "-o", "pid=,command="], capture_output=True, text=True, check=True
        )
        # Each runs from a directory of its own, which is named after its function.
        mark = f"{self.stack.state / 'tmp'}/ministack-lambda-{self.physical[function]}-"
        found = [int(line.split()[0]) for line in listed.stdout.splitlines() if mark in line]
        for process in found:
            os.kill(process, signal.SIGKILL)
        return len(found)

    def logged(self, text: str) -> int:
        """How many lines that hold a text the functions have logged."""
        return sum(text in line for line in self.lines(self.physical["LogGroup"]))

    def lines(self, group: str) -> Iterator[str]:
        """All of a log group, by stream: the emulator gives the first ten thousand of what is asked for."""
        logs = self.stack.client("logs")
        for page in logs.get_paginator("describe_log_streams").paginate(logGroupName=group):
            for stream in page["logStreams"]:
                asked = {"logGroupName": group, "logStreamNames": [stream["logStreamName"]]}
                for found in logs.get_paginator("filter_log_events").paginate(**asked):
                    yield from (event["message"] for event in found["events"])

    @contextmanager
    def without(self, role: str, statement: str, action: str) -> Iterator[None]:
        """Take one action out of a statement of a role for as long as the context lasts."""
        iam, name = self.stack.client("iam"), self.physical[role]
        (policy,) = iam.list_role_policies(RoleName=name)["PolicyNames"]
        before = iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
        after = json.loads(json.dumps(before))
        for candidate in after["Statement"]:
            if candidate["Sid"] == statement:
                actions = (
                    candidate["Action"] if isinstance(candidate["Action"], list) else [candidate["Action"]]
                )
                # Another action, because a statement must have one.
                candidate["Action"] = [a for a in actions if a != action] or ["dynamodb:ListBackups"]
        assert after != before
        iam.put_role_policy(RoleName=name, PolicyName=policy, PolicyDocument=json.dumps(after))
        try:
            yield
        finally:
            iam.put_role_policy(RoleName=name, PolicyName=policy, PolicyDocument=json.dumps(before))

    def restart(self, function: str) -> None:
        """Let the next request start a new environment, which has cached nothing."""
        self.release(function, self.variables(function) | {"RESTARTED": ids.new_token()})

    def alias(self, function: str) -> str:
        return self.physical[f"{function}Aliaslive"]

    def variables(self, function: str) -> dict[str, str]:
        client = self.stack.client("lambda")
        found = client.get_function_configuration(FunctionName=self.alias(function))
        variables: dict[str, str] = found["Environment"]["Variables"]
        return variables

    def release(self, function: str, variables: dict[str, str]) -> None:
        """Let the alias be at a version with other variables, as a deployment does."""
        client, name = self.stack.client("lambda"), self.physical[function]
        client.update_function_configuration(FunctionName=name, Environment={"Variables": variables})
        version = client.publish_version(FunctionName=name)["Version"]
        client.update_alias(FunctionName=name, Name="live", FunctionVersion=version)

    @contextmanager
    def segments(self, function: str) -> Iterator[list[str]]:
        """Trace the function's AWS calls; what it sent to X-Ray is in the list once the context ends."""
        sent, before = list[str](), self.variables(function)
        with socket.socket(type=socket.SOCK_DGRAM) as daemon:
            daemon.bind(("127.0.0.1", 0))
            daemon.setblocking(False)
            traced = {
                "POWERTOOLS_TRACE_DISABLED": "false",
                "AWS_XRAY_DAEMON_ADDRESS": f"127.0.0.1:{daemon.getsockname()[1]}",
            }
            self.release(function, before | traced)
            try:
                yield sent
                with suppress(BlockingIOError):  # all of it: a function sends before it answers
                    while segment := daemon.recv(65536):
                        sent.append(segment.decode())
            finally:
                self.release(function, before)

    def printed(self) -> str:
        """All that functions and emulator have written to any log."""
        logs = self.stack.client("logs")
        groups = [group["logGroupName"] for group in logs.describe_log_groups()["logGroups"]]
        lines = [line for group in groups for line in self.lines(group)]
        return "\n".join([*lines, self.stack.log.read_text(errors="replace")])

    def stored(self) -> str:
        """All table cells outside sealed values, as text and as hex."""
        rows = [row for table in ("LinksTable", "SecretsTable", "KeyUseTable") for row in self.rows(table)]
        return "\n".join(cell.hex() if isinstance(cell, bytes) else repr(cell) for cell in _cells(rows))


def _cells(value: Any) -> Iterator[Any]:
    """What is in a row, in its maps and lists, and not sealed."""
    match value:
        case dict():
            for name, member in value.items():
                if name not in ("ciphertext", "wrappedKey"):
                    yield name
                    yield from _cells(member)
        case list():
            for member in value:
                yield from _cells(member)
        case _:
            yield getattr(value, "value", value)


def encodings(secret: str) -> list[str]:
    """A secret as it stands, in hex, URL-encoded, and in base64 at each of the three alignments."""
    raw = secret.encode()
    aligned = [base64.b64encode(b"\0" * shift + raw).decode()[4 if shift else 0 : -4] for shift in range(3)]
    return [secret, raw.hex(), urllib.parse.quote(secret), *aligned]


def plain_hashes(body: Any) -> list[str]:
    """Digests that a body could be recognised by."""
    texts = [
        json.dumps(body),
        json.dumps(body, sort_keys=True),
        json.dumps(body, sort_keys=True, separators=(",", ":")),
    ]
    return [
        hashlib.new(name, text.encode()).hexdigest() for name in ("sha256", "sha1", "md5") for text in texts
    ]
