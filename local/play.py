"""Plays a connector's file in the terminal, as a user of its integration would: `make play`."""

import argparse
import json
import sys
import time
from getpass import getpass
from pathlib import Path
from typing import Any

from latchkey.domain.catalogue import Operation, providers
from latchkey.domain.connector_protocol import is_secret
from latchkey.domain.validation import schema_issues, validator
from local.conformance import read
from local.connector_session import Json, Session, misfits_of, told
from local.environments import CallFailed, Environments


def play(session: Session, operations: dict[str, Operation]) -> None:
    """Log in, and then run what is chosen, until nothing is."""
    reply = _settled(session, _asked(session, "start"), "answer", "poll")
    if reply.get("status") != "authenticated":
        return
    print("\nLogged in.")
    for index in range(1_000_000):
        names = [*operations, ""]
        number = _chosen("What now?", [*operations, "Leave"])
        if not names[number]:
            return
        action, resource = names[number].split()
        arguments = _arguments(operations[names[number]])
        wanted = {"index": index % 20, "resource": resource, "action": action, "arguments": arguments}
        members: Json = {"operation": wanted}
        reply = _settled(session, _asked(session, "execute", **members), "execute", "execute", **members)
        if "data" in reply:
            print(json.dumps(reply["data"], indent=2, ensure_ascii=False))
            schema = validator(operations[names[number]].result)
            for problem in told("result", schema_issues(schema, reply["data"])):
                print(f"! {problem}")


def _settled(session: Session, reply: Json, answer: str, poll: str, **members: Any) -> Json:
    """What comes after all that is asked."""
    while reply.get("status") == "challenge":
        challenge = reply["challenge"]
        print(f"\n{challenge['title']}")
        if "message" in challenge:
            print(f"  {challenge['message']}")
        actions = challenge.get("actions", [])
        if actions and (number := _chosen("", ["Go on", *[action["title"] for action in actions]])):
            reply = _asked(session, answer, choice=actions[number - 1]["id"], **members)
        elif challenge["type"] == "wait":
            print(f"  waits {challenge['pollSeconds']} s ...")
            time.sleep(challenge["pollSeconds"])
            reply = _asked(session, poll, **members)
        else:
            reply = _asked(session, answer, input=_typed(challenge), **members)
    return reply


def _asked(session: Session, action: str, **members: Any) -> Json:
    began = time.monotonic()
    reply, problems = session.ask(action, **members)
    said = [reply.get(name, "") for name in ("status", "code", "reason")]
    print(f"< {' '.join(filter(None, said)) or 'no reply'} ({time.monotonic() - began:.2f} s)")
    for problem in problems:
        print(f"! {problem}")
    return reply


def _typed(challenge: Json) -> Json:
    while True:
        fields = {}
        for name, field in challenge["schema"]["properties"].items():
            given = challenge.get("values", {}).get(name, "")
            if "oneOf" in field:
                titles = [option["title"] for option in field["oneOf"]]
                text = field["oneOf"][_chosen(field["title"], titles)]["const"]
            else:
                ask = getpass if is_secret(field) else input
                text = ask(f"  {field['title']}{f' [{given}]' if given else ''}: ") or given
            if text:
                fields[name] = text
        misfits = misfits_of(challenge, fields)
        for misfit in misfits:
            print(f"! {misfit}")
        if not misfits:
            return fields


def _chosen(title: str, options: list[str]) -> int:
    """The index of the option that is chosen; the first one by the enter key."""
    print("\n".join(filter(None, [title, *(f"  {n}. {option}" for n, option in enumerate(options, 1))])))
    while True:
        text = input(f"1 to {len(options)}: ") or "1"
        if text.isdecimal() and 1 <= int(text) <= len(options):
            return int(text) - 1


def _arguments(operation: Operation) -> Json | None:
    """What is typed as JSON, or the first example, which is a dry run where there is such a thing."""
    schema = operation.arguments
    if schema is None:
        return None
    example = schema["examples"][0] | ({"dryRun": True} if "dryRun" in schema["properties"] else {})
    while True:
        text = input(f"  arguments [{json.dumps(example)}]: ")
        try:
            arguments: Any = json.loads(text) if text else example
        except ValueError as error:
            print(f"! that is no JSON: {error}")
            continue
        issues = told("argument", schema_issues(validator(schema), arguments))
        for issue in issues:
            print(f"! {issue}")
        if not issues:
            return arguments or None


def main() -> None:
    parser = argparse.ArgumentParser(prog="play", description=__doc__)
    parser.add_argument("connector", type=Path, help="a Python file")
    parser.add_argument("--integration", choices=providers(), default="tmobile")
    arguments = parser.parse_args()
    provider = providers()[arguments.integration]
    operations = {
        f"{action} {resource}": operation
        for resource, actions in provider.resources.items()
        for action, operation in actions.items()
    }
    try:
        with Environments(arguments.connector) as fresh:
            environment = fresh()
            session = Session(lambda request: read(environment(request)), provider.id, time.monotonic)
            play(session, operations)
            print(environment.printed(), end="")
    except CallFailed as failed:
        sys.exit(str(failed))
    except (KeyboardInterrupt, EOFError):
        sys.exit(130)


if __name__ == "__main__":
    main()
