"""Tries a connector against the protocol that sessions speak with it: `make conformance`.

What passes keeps schemas/connector_request.json and connector_reply.json, and what they cannot say:
its state alone carries a session, and it refuses what it does not know. A connector's file also shows what
harm it does to its users (harms.py), in processes of this machine.
"""

import argparse
import json
import string
import sys
import time
from collections.abc import Callable, Generator, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ReadTimeoutError

from latchkey.domain.catalogue import Provider, providers
from latchkey.domain.connector_protocol import (
    MAX_REPLY_BYTES,
    VERSION,
    UnreadableReplyError,
    read_reply,
)
from latchkey.domain.sessions import MAX_CALL_SECONDS
from local import harms, keys
from local.connector_session import (
    UNKNOWN_ACTION,
    Call,
    Check,
    Json,
    Session,
    arguments_for,
    misfits_of,
    operations_of,
    question,
    result_problems,
)
from local.environments import CallFailed, Environments

SANDBOX_INPUTS: list[Json] = [{"username": "user_good", "password": "pass_good"}]
# The next letter or digit, so that what is made wrong still has its form.
SHIFTED = str.maketrans(
    string.ascii_letters + string.digits,
    "".join(
        group[1:] + group[0] for group in (string.ascii_lowercase, string.ascii_uppercase, string.digits)
    ),
)


def conformance(
    call: Call,
    provider: Provider,
    inputs: list[Json],
    *,
    submit: bool = False,
    clock: Callable[[], float] = time.monotonic,
    typed: set[str] | None = None,
) -> Iterator[Check]:
    """Log in, run each operation of the catalogue, send what is to be refused, and log in wrongly.

    Writes are dry runs unless `submit`. What was typed is added to `typed`.
    """
    typed = set() if typed is None else typed

    def session(state: Any = None, more: list[Json] | None = None) -> Session:
        return Session(call, provider.id, clock, state, more or [], typed=typed)

    logged_in = session()
    if (yield from _log_in(logged_in, inputs)):
        yield from _run_operations(logged_in, provider, submit=submit)
        yield from _repeat_a_read(session(logged_in.state, logged_in.more), provider)
        yield from _unknown_operations(session(logged_in.state), provider)
    yield from _unknown_requests(session(), provider)
    yield _wrong_login(session(), inputs)


def _log_in(session: Session, inputs: list[Json]) -> Generator[Check, None, bool]:
    reply, problems = session.start()
    yield Check("start", problems, "start replies with a challenge, or authenticated where none is needed")
    for number, fields in enumerate(inputs, 1):
        if reply.get("status") != "challenge" or reply["challenge"]["type"] == "wait":
            session.more = inputs[number - 1 :]
            break
        name = f"answer with input {number}"
        if misfits := misfits_of(reply["challenge"], fields):
            yield Check(name, misfits, "give inputs that fit the connector's challenges with INPUT=file.json")
            return False
        reply, problems = session.answer(reply["challenge"], fields)
        yield Check(name, problems)
    match reply:
        case {"status": "authenticated"}:
            return True
        case {"status": "challenge", "challenge": challenge}:
            problems = [f"it still asks {question(challenge)}"]
        case {"status": "error", "code": code}:
            problems = [f"it replied {code}"]
        case _:
            return False
    yield Check("logged in", problems, "see that INPUT=file.json holds the right input for each challenge")
    return False


def _run_operations(session: Session, provider: Provider, *, submit: bool) -> Iterator[Check]:
    index = count()
    for resource, action, operation in operations_of(provider):
        tried = list(arguments_for(operation, action, submit=submit))
        if not tried:
            name = f"{action} {resource}"
            yield Check(name, [], "it has no dryRun: SUBMIT=yes runs it for real", skipped=True)
        for arguments in tried:
            reply, problems = session.execute(resource, action, arguments, next(index))
            yield Check(
                f"{action} {resource} with {_summary(arguments)}",
                problems or list(result_problems(reply, operation, arguments or {})),
                "GET /v1/providers shows the operation's result schema, with examples",
            )


def _repeat_a_read(session: Session, provider: Provider) -> Iterator[Check]:
    """A read that was interrupted comes again with the state it had, to whatever environment."""
    state = session.state
    for resource, action, operation in operations_of(provider):
        if action == "read":
            arguments = next(arguments_for(operation, action, submit=False))
            session.execute(resource, action, arguments)
            session.state = state
            reply, problems = session.execute(resource, action, arguments)
            yield Check(
                f"{action} {resource} again, by its state alone",
                problems or list(result_problems(reply, operation, arguments or {})),
                "keep all that a session needs in its state, and nothing in memory or under the sessionId",
            )
            return


def _unknown_operations(session: Session, provider: Provider) -> Iterator[Check]:
    resource, action, _ = next(operations_of(provider))
    for name, wanted in (
        ("an unknown resource is refused", ("unknownResource", action)),
        ("an unknown action on a resource is refused", (resource, "unknownAction")),
    ):
        yield _refused(name, *session.execute(*wanted, None))


def _unknown_requests(session: Session, provider: Provider) -> Iterator[Check]:
    resource, action, _ = next(operations_of(provider))
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
    reply, problems = session.start()
    for fields in inputs:
        if problems or reply["status"] != "challenge":
            break
        challenge = reply["challenge"]
        if misfits_of(challenge, fields):
            break
        wrong = {
            name: str(fields[name]).translate(SHIFTED) for name in _secret_fields(challenge) & fields.keys()
        }
        if misfits_of(challenge, fields | wrong):
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


def _secret_fields(challenge: Json) -> set[str]:
    fields = challenge["schema"]["properties"].items()
    return {name for name, field in fields if field.get("format") == "password"}


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
        return read(payload)

    return call


def read(payload: bytes) -> Any:
    """The reply; raises CallFailed if that is none."""
    try:
        return read_reply(payload)
    except UnreadableReplyError as error:
        raise CallFailed(f"{error}: at most {MAX_REPLY_BYTES} bytes of JSON are read") from None


def on_this_machine(
    connector: Path, provider: Provider, users: list[list[Json]], *, submit: bool = False
) -> Iterator[Check]:
    """All that a connector's file shows, also with the harm it does."""
    typed: set[str] = set()
    with Environments(connector) as fresh:
        environment = fresh()
        yield from conformance(
            lambda request: read(environment(request)), provider, users[0], submit=submit, typed=typed
        )
        yield from harms.Harms(fresh, provider, users, read, typed).checks()


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


def inputs_file(name: str) -> list[list[Json]]:
    """Each user's inputs."""
    try:
        inputs = json.loads(Path(name).read_text())
    except (OSError, ValueError):
        inputs = None
    users = inputs if isinstance(inputs, list) and inputs and isinstance(inputs[0], list) else [inputs]
    if not all(isinstance(user, list) and all(isinstance(fields, dict) for fields in user) for user in users):
        raise argparse.ArgumentTypeError(
            f"{name} must hold a JSON array of objects, one for each challenge, or two such arrays"
        )
    return users


def main() -> None:
    parser = argparse.ArgumentParser(prog="conformance", description=__doc__)
    parser.add_argument("connector", help="a Python file, or logical id in a stack, function name or ARN")
    parser.add_argument("--integration", choices=providers(), default="tmobile")
    parser.add_argument(
        "--input", type=inputs_file, default=[SANDBOX_INPUTS], help="the sandbox's if left out"
    )
    parser.add_argument("--stack", help="a deployed stack's name; the local stack if left out")
    parser.add_argument("--submit", action="store_true", help="also run writes for real")
    arguments = parser.parse_args()
    try:
        provider, users, submit = providers()[arguments.integration], arguments.input, arguments.submit
        if arguments.connector.endswith(".py"):
            checks = on_this_machine(Path(arguments.connector), provider, users, submit=submit)
        else:
            call = deployed(arguments.connector, arguments.stack)
            checks = conformance(call, provider, users[0], submit=submit)
        print(f"{arguments.connector} as a connector for {arguments.integration}, version {VERSION}")
        passed = report(checks)
    except CallFailed as failed:
        sys.exit(str(failed))
    except (BotoCoreError, ClientError) as error:
        sys.exit(f"{error}\nName a function that these credentials may invoke: CONNECTOR=name or ARN")
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
