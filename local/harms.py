"""What harm a connector does to its users, seen without its help: in processes of this machine."""

import base64
import json
import re
import time
from collections.abc import Callable, Generator, Iterator
from itertools import zip_longest
from urllib.parse import quote

from latchkey.domain.catalogue import Provider
from latchkey.domain.sessions import MAX_CALL_SECONDS
from local.connector_session import Call, Check, Json, Session, arguments_for, operations_of
from local.environments import Environment, Environments

HANG_SECONDS = 10.0  # that a call is told to have while its provider hangs

# A connector's data, by what was read; None for what could not be.
type Data = dict[str, Json | None]


class Harms:
    """Tries one connector with one user's inputs or two users'."""

    def __init__(
        self,
        fresh: Environments,
        provider: Provider,
        users: list[list[Json]],
        read: Callable[[bytes], Json],
        typed: set[str],
    ) -> None:
        self._fresh = fresh
        self._provider = provider
        self._users = users
        self._read = read
        self._typed = typed
        self._states: list[Json] = []

    def checks(self) -> Iterator[Check]:
        alone = self._alone(self._users[0])
        yield Check(
            "what is read once is read again",
            [] if alone else ["two reads in a row differ, or one fails: no other harm can be told from that"],
            "the checks above say what fails; try a user whose data stand still",
            skipped=alone is None,
        )
        if alone is not None:
            yield self._two_users(alone)
            yield self._process_for_each_call(alone)
            yield self._started_twice(alone)
            yield self._interrupted(alone)
            yield from self._dry_runs(alone)  # last: what it finds has changed what is read
        yield from self._provider_away()
        yield self._printed()

    # --- Sessions ------------------------------------------------------------------------------------

    def _session(self, call: Call, session_id: str | None = None) -> Session:
        session = Session(call, self._provider.id, time.monotonic, typed=self._typed)
        session.session_id = session_id or session.session_id
        return session

    def _in(self, environment: Environment, seconds: float = MAX_CALL_SECONDS) -> Call:
        return lambda request: self._read(environment(request, seconds))

    def _logs_in(self, session: Session, inputs: list[Json]) -> Generator[None, None, bool]:
        """Takes one step at a time; whether it is logged in."""
        reply, problems = session.start()
        for number, fields in enumerate(inputs):
            if problems or reply["status"] != "challenge":
                session.more = inputs[number:]
                break
            yield
            reply, problems = session.answer(reply["challenge"], fields)
        self._states.append(session.state)
        return not problems and reply["status"] == "authenticated"

    def _logged_in(self, call: Call, inputs: list[Json]) -> Session | None:
        session = self._session(call)
        return session if _run(self._logs_in(session, inputs)) else None

    def _data(self, session: Session) -> Generator[None, None, Data]:
        """Takes one read at a time."""
        found: Data = {}
        for resource, action, operation in operations_of(self._provider):
            if action == "read":
                yield
                given = next(arguments_for(operation, action, submit=False))
                reply, _ = session.execute(resource, action, given)
                found[resource] = reply.get("data")
        self._states.append(session.state)
        return found

    def _alone(self, inputs: list[Json]) -> Data | None:
        """What a user reads in a process of its own; None if that fails or changes."""
        session = self._logged_in(self._in(self._fresh()), inputs)
        if session is None:
            return None
        first, second = _run(self._data(session)), _run(self._data(session))
        return first if first == second and None not in first.values() else None

    # --- The harms -----------------------------------------------------------------------------------

    def _two_users(self, alone: Data) -> Check:
        name = "two users in turn through one process see their own"
        if len(self._users) < 2:
            return Check(name, [], "let INPUT=file.json hold two lists, of two users' inputs", skipped=True)
        other = self._alone(self._users[1])
        if other is None or other == alone:
            why = "give a second user that can log in, whose data stand still and differ from the first one's"
            return Check(name, [], why, skipped=True)
        one = self._in(self._fresh())
        sessions = [self._session(one) for _ in range(2)]
        logins = zip(sessions, self._users[:2], strict=True)
        problems = []
        if _in_turn(*[self._logs_in(session, inputs) for session, inputs in logins]) != [True, True]:
            problems.append("they cannot log in at the same time, and each can alone")
        else:
            for reads in (1, 2):
                seen = _in_turn(*[self._data(session) for session in sessions])
                for n, (data, own) in enumerate(zip(seen, (alone, other), strict=True), 1):
                    wrong = [resource for resource in own if data[resource] != own[resource]]
                    problems += [
                        f"user {n} does not read its own {resource} (time {reads})" for resource in wrong
                    ]
        advice = (
            "one user would see another's account: keep cookies, pages and clients in no module and no cache"
        )
        return Check(name, problems, advice)

    def _dry_runs(self, alone: Data) -> Iterator[Check]:
        name = "a dry run changes nothing"
        tried = [
            (resource, action, given)
            for resource, action, operation in operations_of(self._provider)
            if action == "write"
            for given in arguments_for(operation, action, submit=False)
        ]
        session = self._logged_in(self._in(self._fresh()), self._users[0])
        if not tried or session is None:
            return
        problems = []
        for resource, action, given in tried:
            session.execute(resource, action, given)
            after = _run(self._data(session))
            wrong = [read for read in alone if after[read] != alone[read]]
            problems += [f"after the dry run of {resource} another {read} is read" for read in wrong]
        advice = "a user who only tried would have paid: with dryRun return before anything is submitted"
        yield Check(name, list(dict.fromkeys(problems)), advice)

    def _process_for_each_call(self, alone: Data) -> Check:
        def once(request: Json) -> Json:
            environment = self._fresh()
            try:
                return self._read(environment(request))
            finally:
                environment.close()

        session = self._logged_in(once, self._users[0])
        problems = ["a login that goes from one process to the next fails"] if session is None else []
        if session is not None and _run(self._data(session)) != alone:
            problems = ["what another process reads, by the state alone, is not the same"]
        advice = (
            "links would fail whenever Lambda starts another process: keep all in the state, none of it in "
            "memory, in files or under the sessionId"
        )
        return Check("each call in a process of its own goes on from the state", problems, advice)

    def _started_twice(self, alone: Data) -> Check:
        call = self._in(self._fresh())
        first = self._session(call)
        first.start()
        session, problems = self._session(call, first.session_id), []
        if not _run(self._logs_in(session, self._users[0])):
            problems = ["the login after the second start fails"]
        elif _run(self._data(session)) != alone:
            problems = ["what is read after the second start is not the same"]
        advice = (
            "it is repeated when its worker died: let it begin anew, and keep nothing under the sessionId"
        )
        return Check("a start that comes twice does no harm", problems, advice)

    def _interrupted(self, alone: Data) -> Check:
        name = "a read that was interrupted does no harm"
        session = self._logged_in(self._in(self._fresh()), self._users[0])
        reads = [o for o in operations_of(self._provider) if o[1] == "read"]
        if session is None or not reads:
            return Check(name, [], "there is none to try", skipped=True)
        resource, action, operation = reads[0]
        given = next(arguments_for(operation, action, submit=False))
        state, began = session.state, time.monotonic()
        session.execute(resource, action, given)
        half = (time.monotonic() - began) / 2
        wanted = {"index": 0, "resource": resource, "action": action, "arguments": given}
        self._fresh().interrupt(session.request("execute", operation=wanted) | {"state": state}, half)
        again = self._session(self._in(self._fresh()), session.session_id)
        again.state, again.more = state, session.more
        same = _run(self._data(again)) == alone
        problems = [] if same else [f"{resource} is not read the same by the state of before"]
        advice = "a read whose process died is tried again with the state it had: do not use that up"
        return Check(name, problems, advice)

    def _provider_away(self) -> Iterator[Check]:
        """Each step from where it can be reached, in a process whose connections come to nothing."""
        session = self._logged_in(self._in(self._fresh()), self._users[0])
        steps: list[tuple[str, Json, str]] = [("start", {}, "the login")]
        if session is not None:
            for resource, action, operation in operations_of(self._provider):
                if given := list(arguments_for(operation, action, submit=False)):
                    wanted = {"index": 0, "resource": resource, "action": action, "arguments": given[0]}
                    steps.append(("execute", {"operation": wanted}, f"{action} {resource}"))
        for network, name, tried in (
            ("refused", "a provider that cannot be reached is told", steps),
            ("silent", "a provider that hangs is given up in time", steps[:2]),
        ):
            seconds = HANG_SECONDS if network == "silent" else MAX_CALL_SECONDS
            problems = []
            for action, members, words in tried:
                call = self._in(self._fresh(network), seconds)
                away = self._session(call)
                away.state = session.state if session is not None and action == "execute" else None
                reply, told = away.ask(action, **members)
                blamed = reply.get("code") in ("LOGIN_FAILED", "OUTCOME_UNKNOWN")
                told += (
                    [f"it replied {reply['code']}, as if that had come from the provider"] if blamed else []
                )
                problems += [f"{words}: {problem}" for problem in told]
            advice = (
                "the user would be told a wrong reason, or wait for nothing: give each request a time-out "
                "within what context.get_remaining_time_in_millis() says, and reply CONNECTION_FAILED"
            )
            yield Check(name, problems, advice)

    def _printed(self) -> Check:
        printed = self._fresh.printed()
        shown = sum(any(_stands_in(printed, form) for form in _forms(text)) for text in self._typed)
        kept = {text for state in self._states for text in _texts(state) if _is_token(text)}
        told = f"{shown} of the texts that were typed or given are in its output or its files"
        problems = [told] if shown else []
        if any(text in printed for text in kept):
            problems.append("a cookie or token of its state is in its output or its files")
        advice = (
            "whoever reads the log could log in as the user: print neither requests nor replies nor pages, "
            "and let no exception hold them"
        )
        return Check("nothing that was typed, and no cookie, is printed", problems, advice)


def _run[T](steps: Generator[None, None, T]) -> T:
    """Take all steps; what they return."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: T = end.value
            return result


def _in_turn[T](*runs: Generator[None, None, T]) -> list[T]:
    """Take a step of each in turn until all are done; what they return."""

    done: dict[int, T] = {}

    def steps(n: int, run: Generator[None, None, T]) -> Iterator[None]:
        done[n] = yield from run

    for _ in zip_longest(*[steps(n, run) for n, run in enumerate(runs)]):
        pass
    return [done[n] for n in range(len(runs))]


def _forms(text: str) -> set[str]:
    """The text as it may stand in a log."""
    raw = text.encode()
    encoded = {base64.b64encode(raw).decode().rstrip("="), raw.hex()}
    return {text, json.dumps(text)[1:-1], quote(text), quote(text, safe="")} | encoded


def _stands_in(printed: str, text: str) -> bool:
    """Whether the text is there, one of 4 or 5 characters as a word; shorter ones turn up by chance."""
    if len(text) > 5:
        return text in printed
    return len(text) > 3 and re.search(rf"(?<![\w.]){re.escape(text)}(?![\w.])", printed) is not None


def _texts(value: object) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            for member in value.values():
                yield from _texts(member)
        case list():
            for member in value:
                yield from _texts(member)


def _is_token(text: str) -> bool:
    """Whether a text is like a cookie or a token, and like no name, sentence or address."""
    return bool(re.fullmatch(r"(?=.*\d)(?=.*[A-Za-z])[A-Za-z0-9+/=_.%-]{16,}", text))
