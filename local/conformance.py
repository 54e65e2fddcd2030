"""Tries a connector against the protocol that sessions speak with it: `make conformance`.

What passes keeps schemas/connector_request.json and connector_reply.json, and what they cannot say:
its state alone carries a session, and it refuses what it does not know.
"""

import argparse
import json
import string
import sys
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ReadTimeoutError

from latchkey.domain import ids
from latchkey.domain.catalogue import Operation, Provider, providers
from latchkey.domain.connector_protocol import (
    MAX_REPLY_BYTES,
    VERSION,
    UnreadableReplyError,
    data_issues,
    read_reply,
    reply_issues,
)
from latchkey.domain.errors import Issue
from latchkey.domain.sessions import MAX_CALL_SECONDS
from latchkey.domain.validation import schema_issues, validator
from local import keys

type Json = dict[str, Any]

# Sends a request and returns the reply; raises CallFailed when there is none.
type Call = Callable[[Json], Any]

SANDBOX_INPUTS: list[Json] = [{"username": "user_good", "password": "pass_good"}]
UNKNOWN_ACTION = "dance"
# The next letter or digit, so that what is made wrong still has its form.
SHIFTED = str.maketrans(
    string.ascii_letters + string.digits,
    "".join(
        group[1:] + group[0] for group in (string.ascii_lowercase, string.ascii_uppercase, string.digits)
    ),
)


class CallFailed(Exception):  # noqa: N818 # the function's failure, not this program's
    """The function gave no reply; the text says how it failed and repeats nothing of what it said."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was tried: all that was wrong with it, and what to do about that."""

    name: str
    problems: list[str]
    advice: str = ""
    skipped: bool = False  # not tried; the advice says what would let it be


@dataclass(slots=True)
class Session:
    """A session as its worker holds it: it remembers the state of the last reply that had one."""

    call: Call
    integration_id: str
    clock: Callable[[], float]
    state: Any = None
    session_id: str = field(default_factory=lambda: f"sess_{ids.new_token()}")
    secrets: set[str] = field(default_factory=set)  # no reply may repeat one outside of its state

    def ask(self, action: str, **members: Any) -> tuple[Json, list[str]]:
        """The reply, {} if it is none, and what is wrong with it."""
        request = {
            "version": VERSION,
            "action": action,
            "sessionId": self.session_id,
            "integrationId": self.integration_id,
            "livemode": False,
            "state": self.state,
            "input": None,
            "operation": None,
        }
        started = self.clock()
        try:
            reply = self.call(request | members)
        except CallFailed as failed:
            return {}, [str(failed)]
        seconds = self.clock() - started
        # An action that there is not may be refused with any code.
        judges = ("start", "execute") if action == UNKNOWN_ACTION else (action,)
        issues = min((reply_issues(reply, judge) for judge in judges), key=len)
        if issues:
            return {}, _told("reply", issues)
        self.state = reply.get("state", self.state)
        problems = []
        if seconds > MAX_CALL_SECONDS:
            problems.append(f"the reply took {seconds:.0f} s, and a session waits for {MAX_CALL_SECONDS} s")
        shown = json.dumps({name: value for name, value in reply.items() if name != "state"})
        if any(json.dumps(secret)[1:-1] in shown for secret in self.secrets):
            problems.append("the reply repeats a password or card number outside of its state")
        return reply, problems

    def answer(self, challenge: Json, fields: Json) -> tuple[Json, list[str]]:
        passwords = {fields.get(name, "") for name in _secret_fields(challenge)}
        self.secrets |= {password for password in passwords if len(password) > 5}  # others turn up by chance
        return self.ask("answer", input=fields)

    def execute(
        self, resource: str, action: str, arguments: Json | None, index: int = 0
    ) -> tuple[Json, list[str]]:
        self.secrets |= {value for name, value in (arguments or {}).items() if name == "cardNumber"}
        operation = {"index": index, "resource": resource, "action": action, "arguments": arguments}
        return self.ask("execute", operation=operation)


def conformance(
    call: Call,
    provider: Provider,
    inputs: list[Json],
    *,
    submit: bool = False,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Check]:
    """Log in, run each operation of the catalogue, send what is to be refused, and log in wrongly.

    Writes are dry runs unless `submit`.
    """

    def session(state: Any = None) -> Session:
        return Session(call, provider.id, clock, state)

    logged_in = session()
    if (yield from _log_in(logged_in, inputs)):
        yield from _run_operations(logged_in, provider, submit=submit)
        yield from _repeat_a_read(session(logged_in.state), provider)
        yield from _unknown_operations(session(logged_in.state), provider)
    yield from _unknown_requests(session(), provider)
    yield _wrong_login(session(), inputs)


def _log_in(session: Session, inputs: list[Json]) -> Generator[Check, None, bool]:
    reply, problems = session.ask("start")
    yield Check("start", problems, "start replies with a challenge, or authenticated where none is needed")
    for number, fields in enumerate(inputs, 1):
        if reply.get("status") != "challenge":
            break
        name = f"answer with input {number}"
        if misfits := _misfits(reply["challenge"], fields):
            yield Check(name, misfits, "give inputs that fit the connector's challenges with INPUT=file.json")
            return False
        reply, problems = session.answer(reply["challenge"], fields)
        yield Check(name, problems)
    match reply:
        case {"status": "authenticated"}:
            return True
        case {"status": "challenge", "challenge": challenge}:
            names = ", ".join(challenge["schema"]["properties"])
            problems = [f'it still asks "{challenge["title"]}" ({names})']
        case {"status": "error", "code": code}:
            problems = [f"it replied {code}"]
        case _:
            return False
    yield Check("logged in", problems, "see that INPUT=file.json holds the right input for each challenge")
    return False


def _run_operations(session: Session, provider: Provider, *, submit: bool) -> Iterator[Check]:
    index = count()
    for resource, action, operation in _operations(provider):
        tried = list(_arguments(operation, action, submit=submit))
        if not tried:
            name = f"{action} {resource}"
            yield Check(name, [], "it has no dryRun: SUBMIT=yes runs it for real", skipped=True)
        for arguments in tried:
            reply, problems = session.execute(resource, action, arguments, next(index))
            yield Check(
                f"{action} {resource} with {_summary(arguments)}",
                problems or list(_result_problems(reply, operation, arguments or {})),
                "GET /v1/providers shows the operation's result schema, with examples",
            )


def _repeat_a_read(session: Session, provider: Provider) -> Iterator[Check]:
    """A read that was interrupted comes again with the state it had, to whatever environment."""
    state = session.state
    for resource, action, operation in _operations(provider):
        if action == "read":
            arguments = next(_arguments(operation, action, submit=False))
            session.execute(resource, action, arguments)
            session.state = state
            reply, problems = session.execute(resource, action, arguments)
            yield Check(
                f"{action} {resource} again, by its state alone",
                problems or list(_result_problems(reply, operation, arguments or {})),
                "keep all that a session needs in its state, and nothing in memory or under the sessionId",
            )
            return


def _unknown_operations(session: Session, provider: Provider) -> Iterator[Check]:
    resource, action, _ = next(_operations(provider))
    for name, wanted in (
        ("an unknown resource is refused", ("unknownResource", action)),
        ("an unknown action on a resource is refused", (resource, "unknownAction")),
    ):
        yield _refused(name, *session.execute(*wanted, None))


def _unknown_requests(session: Session, provider: Provider) -> Iterator[Check]:
    resource, action, _ = next(_operations(provider))
    yield _refused("an unknown version is refused", *session.ask("start", version=VERSION + 1))
    yield _refused("an unknown action is refused", *session.ask(UNKNOWN_ACTION))
    session.state = None
    yield _refused("an operation before the login is refused", *session.execute(resource, action, None))


def _refused(name: str, reply: Json, problems: list[str]) -> Check:
    if reply.get("status", "error") != "error":
        problems = [f"it replied {reply['status']}, not error"]
    advice = 'reply {"status": "error", "code": "CONNECTION_FAILED"} to what the connector does not know'
    return Check(name, problems, advice)


def _wrong_login(session: Session, inputs: list[Json]) -> Check:
    name, changed = "a wrong password does not log in", False
    reply, problems = session.ask("start")
    for fields in inputs:
        if problems or reply["status"] != "challenge":
            break
        challenge = reply["challenge"]
        wrong = {
            name: str(fields[name]).translate(SHIFTED) for name in _secret_fields(challenge) & fields.keys()
        }
        if _misfits(challenge, fields | wrong):
            break
        changed |= fields | wrong != fields
        reply, problems = session.answer(challenge, fields | wrong)
    if not changed and not problems:
        advice = 'no challenge has a field with "format": "password" whose value could be made wrong'
        return Check(name, [], advice, skipped=True)
    if reply.get("status") == "authenticated":
        problems = ["it replied authenticated"]
    advice = "ask again with a challenge whose title says so, or reply LOGIN_FAILED"
    return Check(name, problems, advice)


def _operations(provider: Provider) -> Iterator[tuple[str, str, Operation]]:
    for resource, operations in provider.resources.items():
        for action, operation in operations.items():
            yield resource, action, operation


def _arguments(operation: Operation, action: str, *, submit: bool) -> Iterator[Json | None]:
    """What an operation is tried with: none where that fits, the examples of its arguments, one row."""
    schema = operation.arguments or {"type": "object", "properties": {}, "examples": [{}]}
    examples: list[Json] = schema["examples"]
    if action == "write":
        if "dryRun" in schema["properties"]:
            yield from (example | {"dryRun": True} for example in examples)
        if submit:
            for example in examples:
                yield {name: value for name, value in example.items() if name != "dryRun"} or None
        return
    if not schema_issues(validator(schema), {}):
        yield None
    yield from filter(None, examples)
    if "limit" in schema["properties"]:
        yield examples[0] | {"limit": 1}


def _result_problems(reply: Json, operation: Operation, arguments: Json) -> Iterator[str]:
    if reply["status"] != "result":
        yield f"it replied {reply['code']}, not a result"
        return
    data = reply["data"]
    yield from _told("result", data_issues(validator(operation.result), data))
    if arguments.get("dryRun") and data.get("dryRun") is not True:
        yield "the result does not say dryRun: a dry run checks and submits nothing"
    rows = max((len(value) for value in data.values() if isinstance(value, list)), default=0)
    if rows > arguments.get("limit", rows):
        yield f"the result has {rows} rows, more than the limit"


def _secret_fields(challenge: Json) -> set[str]:
    fields = challenge["schema"]["properties"].items()
    return {name for name, field in fields if field.get("format") == "password"}


def _misfits(challenge: Json, fields: Json) -> list[str]:
    return _told("input", schema_issues(validator(challenge["schema"]), fields))


def _told(what: str, issues: list[Issue]) -> list[str]:
    return [f"the {what}'s {issue.path} {issue.message}".replace("'s  ", " ") for issue in issues]


def _summary(arguments: Json | None) -> str:
    """The arguments for reading: numbers and flags with their values, of the others how many."""
    told = {name: value for name, value in (arguments or {}).items() if isinstance(value, int)}
    others = len(arguments or {}) - len(told)
    parts = [f"{name} {json.dumps(value)}" for name, value in told.items()]
    return ", ".join(parts + [f"{others} other arguments"] * (others > 0)) or "no arguments"


# --- the command -------------------------------------------------------------------------------------


def deployed(connector: str, stack: str | None) -> Call:
    """A function by its logical id in a stack of Latchkey's, by its name, or by an ARN anywhere on AWS."""
    if stack is None and connector.startswith("arn:") and ":000000000000:" not in connector:
        session, endpoint = boto3.Session(region_name=connector.split(":")[3]), None
    else:
        session, endpoint, stack = keys.reach(stack)
        resources = session.client("cloudformation", endpoint_url=endpoint).describe_stack_resources(
            StackName=stack
        )["StackResources"]
        named = {resource["LogicalResourceId"]: resource["PhysicalResourceId"] for resource in resources}
        connector = named.get(connector, connector)
    # One attempt: a call that is sent again may submit again.
    wait = MAX_CALL_SECONDS + 5
    config = Config(read_timeout=wait, retries={"total_max_attempts": 1})
    client = session.client("lambda", endpoint_url=endpoint, config=config)

    def call(request: Json) -> Any:
        try:
            answer = client.invoke(FunctionName=connector, Payload=json.dumps(request).encode())
            payload = answer["Payload"].read()
        except ReadTimeoutError:
            raise CallFailed(f"no reply came within {wait} s") from None
        if answer.get("FunctionError"):
            raise CallFailed("the function raised or timed out: its log says why")
        try:
            return read_reply(payload)
        except UnreadableReplyError as error:
            raise CallFailed(f"{error}: at most {MAX_REPLY_BYTES} bytes of JSON are read") from None

    return call


def report(checks: Iterator[Check]) -> bool:
    """Print each check as it is done; whether none failed."""
    tally = {"ok": 0, "FAILED": 0, "skipped": 0}
    for check in checks:
        outcome = "skipped" if check.skipped else "FAILED" if check.problems else "ok"
        tally[outcome] += 1
        print(f"  {outcome:8} {check.name}", flush=True)
        for problem in check.problems:
            print(f"           - {problem}")
        if outcome != "ok" and check.advice:
            print(f"           > {check.advice}")
    print(f"{tally['ok']} passed, {tally['FAILED']} failed, {tally['skipped']} skipped")
    return not tally["FAILED"]


def inputs_file(name: str) -> list[Json]:
    try:
        inputs = json.loads(Path(name).read_text())
    except (OSError, ValueError):
        inputs = None
    if not isinstance(inputs, list) or not all(isinstance(fields, dict) for fields in inputs):
        raise argparse.ArgumentTypeError(f"{name} must hold a JSON array of objects, one for each challenge")
    return inputs


def main() -> None:
    parser = argparse.ArgumentParser(prog="conformance", description=__doc__)
    parser.add_argument("connector", help="logical id in a stack, function name or ARN")
    parser.add_argument("--integration", choices=providers(), default="tmobile")
    parser.add_argument("--input", type=inputs_file, default=SANDBOX_INPUTS, help="the sandbox's if left out")
    parser.add_argument("--stack", help="a deployed stack's name; the local stack if left out")
    parser.add_argument("--submit", action="store_true", help="also run writes for real")
    arguments = parser.parse_args()
    try:
        call = deployed(arguments.connector, arguments.stack)
        print(f"{arguments.connector} as a connector for {arguments.integration}, version {VERSION}")
        provider = providers()[arguments.integration]
        passed = report(conformance(call, provider, arguments.input, submit=arguments.submit))
    except (BotoCoreError, ClientError) as error:
        sys.exit(f"{error}\nName a function that these credentials may invoke: CONNECTOR=name or ARN")
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
