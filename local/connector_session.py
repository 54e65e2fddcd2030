"""A session with a connector as its worker holds it, and what can be wrong with what comes back."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from latchkey.domain import ids
from latchkey.domain.catalogue import Operation, Provider
from latchkey.domain.connector_protocol import (
    MAX_STATE_BYTES,
    VERSION,
    data_issues,
    is_secret,
    json_size,
    reason,
    reply_issues,
)
from latchkey.domain.errors import Issue
from latchkey.domain.sessions import MAX_ASKED, MAX_CALL_SECONDS
from latchkey.domain.validation import schema_issues, validator
from local.environments import CallFailed

type Json = dict[str, Any]

# Sends a request and returns the reply; raises CallFailed when there is none.
type Call = Callable[[Json], Any]

UNKNOWN_ACTION = "dance"
WAIT_SECONDS = 120  # for what the user has to do elsewhere
FULL_STATE = MAX_STATE_BYTES * 7 // 8


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
    more: list[Json] = field(default_factory=list)  # inputs for what an operation asks
    session_id: str = field(default_factory=lambda: f"sess_{ids.new_token()}")
    secrets: set[str] = field(default_factory=set)  # no reply may repeat one outside of its state
    typed: set[str] = field(default_factory=set)  # all that was typed or given: nothing may print it

    def request(self, action: str, **members: Any) -> Json:
        request: Json = {
            "version": VERSION,
            "action": action,
            "sessionId": self.session_id,
            "integrationId": self.integration_id,
            "livemode": False,
            "state": self.state,
            "input": None,
            "operation": None,
        }
        return request | members

    def ask(self, action: str, **members: Any) -> tuple[Json, list[str]]:
        """The reply, {} if it is none, and what is wrong with it."""
        started = self.clock()
        try:
            reply = self.call(self.request(action, **members))
        except CallFailed as failed:
            return {}, [str(failed)]
        seconds = self.clock() - started
        # An action that there is not may be refused with any code.
        judges = ("start", "execute") if action == UNKNOWN_ACTION else (action,)
        issues = min((reply_issues(reply, judge) for judge in judges), key=len)
        if issues:
            return {}, told("reply", issues)
        self.state = reply.get("state", self.state)
        problems = []
        if seconds > MAX_CALL_SECONDS:
            problems.append(f"the reply took {seconds:.0f} s, and a session waits for {MAX_CALL_SECONDS} s")
        shown = json.dumps({name: value for name, value in reply.items() if name != "state"})
        if any(json.dumps(secret)[1:-1] in shown for secret in self.secrets):
            problems.append("the reply repeats a password, code or card number outside of its state")
        if json_size(self.state) > FULL_STATE:
            room = f"{FULL_STATE // 1024} of the {MAX_STATE_BYTES // 1024} KiB"
            problems.append(f"the state takes more than {room} that there are: another user's may not fit")
        if "reason" in reply and reason(reply) != reply["reason"]:
            problems.append(
                f"the reason {reply['reason'][:40]!r} is none of {reply['code']}: it counts as other"
            )
        return reply, problems

    def start(self) -> tuple[Json, list[str]]:
        return self._waited(*self.ask("start"), "poll")

    def answer(self, challenge: Json, fields: Json) -> tuple[Json, list[str]]:
        self._type(challenge, fields)
        return self._waited(*self.ask("answer", input=fields), "poll")

    def execute(
        self, resource: str, action: str, arguments: Json | None, index: int = 0
    ) -> tuple[Json, list[str]]:
        """What an operation comes to, after the answers to what it asks."""
        given = {name: value for name, value in (arguments or {}).items() if isinstance(value, str)}
        self.secrets |= {value for name, value in given.items() if name == "cardNumber"}
        self.typed |= set(given.values())
        operation = {"index": index, "resource": resource, "action": action, "arguments": arguments}
        reply, problems = self._waited(
            *self.ask("execute", operation=operation), "execute", operation=operation
        )
        for fields in islice(self.more, MAX_ASKED):
            if problems or reply["status"] != "challenge":
                return reply, problems
            if misfits := misfits_of(reply["challenge"], fields):
                return reply, misfits
            self._type(reply["challenge"], fields)
            asked = self.ask("execute", operation=operation, input=fields)
            reply, problems = self._waited(*asked, "execute", operation=operation)
        if not problems and reply["status"] == "challenge":
            problems = [f"it still asks {question(reply['challenge'])}: INPUT=file.json has no more for it"]
        return reply, problems

    def _type(self, challenge: Json, fields: Json) -> None:
        schema = challenge["schema"]["properties"]
        secrets = {text for name, text in fields.items() if is_secret(schema.get(name, {}))}
        self.secrets |= {text for text in secrets if len(text) > 5}  # others turn up by chance
        self.typed |= set(fields.values())

    def _waited(
        self, reply: Json, problems: list[str], action: str, **members: Any
    ) -> tuple[Json, list[str]]:
        """What comes after a wait, which is polled at its pace."""
        until = self.clock() + WAIT_SECONDS
        while not problems and reply.get("challenge", {}).get("type") == "wait":
            if self.clock() > until:
                return reply, [
                    f"it still waits after {WAIT_SECONDS} s: do what {question(reply['challenge'])} says"
                ]
            time.sleep(reply["challenge"]["pollSeconds"])
            reply, problems = self.ask(action, **members)
        return reply, problems


def operations_of(provider: Provider) -> Iterator[tuple[str, str, Operation]]:
    for resource, operations in provider.resources.items():
        for action, operation in operations.items():
            yield resource, action, operation


def arguments_for(operation: Operation, action: str, *, submit: bool) -> Iterator[Json | None]:
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


def result_problems(reply: Json, operation: Operation, arguments: Json) -> Iterator[str]:
    if reply["status"] == "challenge":
        yield f"it still asks {question(reply['challenge'])}"
        return
    if reply["status"] != "result":
        yield f"it replied {reply['code']}, not a result"
        return
    data = reply["data"]
    yield from told("result", data_issues(validator(operation.result), data))
    if arguments.get("dryRun") and data.get("dryRun") is not True:
        yield "the result does not say dryRun: a dry run checks and submits nothing"
    rows = max((len(value) for value in data.values() if isinstance(value, list)), default=0)
    if rows > arguments.get("limit", rows):
        yield f"the result has {rows} rows, more than the limit"


def misfits_of(challenge: Json, fields: Json) -> list[str]:
    return told("input", schema_issues(validator(challenge["schema"]), fields))


def told(what: str, issues: list[Issue]) -> list[str]:
    return [f"the {what}'s {issue.path} {issue.message}".replace("'s  ", " ") for issue in issues]


def question(challenge: Json) -> str:
    names = ", ".join(challenge["schema"]["properties"])
    return f'"{challenge["title"]}"' + (f" ({names})" if names else "")
