"""Plays a session with a connector as its worker would, and makes the tests that every connector needs."""

import json
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from latchkey_kit.connector import CALL_SECONDS, Connector
from latchkey_kit.session import Json


class Play:
    """A session: `Play(app).start().answer(username="jane", password="...").read("orderHistory").data`

    Each method sends one request and returns the session, whose `reply` is the connector's, and whose `error`
    is the exception that it was made of. Nothing but the reply's state goes from one request to the next.
    connector: a Connector or any handler. seconds: what a call's context says is left for it.
    """

    def __init__(
        self,
        connector: Callable[[Any, Any], Any],
        integration: str = "tmobile",
        seconds: float = CALL_SECONDS,
    ) -> None:
        self._run = (
            connector.run if isinstance(connector, Connector) else lambda *call: (connector(*call), None)
        )
        self._integration = integration
        self._context = SimpleNamespace(get_remaining_time_in_millis=lambda: round(seconds * 1000))
        self._operation: Json | None = None
        self.state: Any = None
        self.reply: Json = {}
        self.error: Exception | None = None

    def start(self) -> "Play":
        self._operation = None
        return self.ask("start", state=None)

    def answer(self, **fields: str) -> "Play":
        """Answer the question that is open, also one that an operation asked."""
        return self._go_on("answer", input=fields)

    def choose(self, action: str) -> "Play":
        """Choose an action of the open question, by its id: its step's name."""
        return self._go_on("answer", choice=action)

    def poll(self) -> "Play":
        return self._go_on("poll")

    def read(self, resource: str, **arguments: Any) -> "Play":
        return self._execute(resource, "read", arguments)

    def write(self, resource: str, **arguments: Any) -> "Play":
        return self._execute(resource, "write", arguments)

    def ask(self, action: str, **members: Any) -> "Play":
        """Send one request as it stands."""
        request = {
            "version": 1,
            "action": action,
            "sessionId": "sess_0123456789abcdefghijkl",
            "integrationId": self._integration,
            "livemode": False,
            "state": self.state,
            "input": None,
            "operation": None,
        }
        reply, self.error = self._run(json.loads(json.dumps(request | members)), self._context)
        self.reply = json.loads(json.dumps(reply))
        self.state = self.reply.get("state", self.state)
        return self

    @property
    def data(self) -> Any:
        """The result; an AssertionError that says what came instead."""
        return self._said("data")

    @property
    def challenge(self) -> Any:
        """The open question; an AssertionError that says what came instead."""
        return self._said("challenge")

    @property
    def shown(self) -> str:
        """The reply without its state, and without what a question repeats to whoever typed it."""
        shown = json.loads(json.dumps(self.reply))
        shown.pop("state", None)
        shown.get("challenge", {}).pop("values", None)
        return json.dumps(shown)

    def _execute(self, resource: str, action: str, arguments: Json) -> "Play":
        operation = {"index": 0, "resource": resource, "action": action, "arguments": arguments or None}
        self._operation = operation
        return self.ask("execute", operation=operation)

    def _go_on(self, action: str, **members: Any) -> "Play":
        return self.ask("execute" if self._operation else action, operation=self._operation, **members)

    def _said(self, member: str) -> Any:
        if member not in self.reply:
            raise AssertionError(f"no {member} came but {self.shown}") from self.error
        return self.reply[member]


def standard_tests(
    connector: Callable[[Any, Any], Any],
    *users: Sequence[Mapping[str, str]],
    reads: Sequence[str],
    writes: Mapping[str, Json],
) -> type:
    """The tests of every connector, as a class for pytest: `TestLark = standard_tests(app, jane, otto, ...)`

    users: the right answers of each of two users, in their order; data that differ show the most.
    reads: the resources to read. writes: arguments for each resource to write, which is tried as a dry run.
    """

    def log_in(answers: Sequence[Mapping[str, str]], wrong: str = "") -> Play:
        play = Play(connector).start()
        for fields in answers:
            play.answer(**{name: text + wrong for name, text in fields.items()})
        return play

    def seen(play: Play) -> list[Json]:
        return [play.read(resource).data for resource in reads]

    class StandardTests:
        def test_sessions_of_one_process_do_not_mix(self) -> None:
            alone = [seen(log_in(answers)) for answers in users]
            assert [seen(play) for play in [log_in(answers) for answers in users]] == alone

        def test_a_dry_run_changes_nothing(self) -> None:
            play = log_in(users[0])
            before = seen(play)
            for resource, arguments in writes.items():
                assert play.write(resource, **arguments, dryRun=True).data["dryRun"] is True
            assert seen(play) == before

        def test_what_was_typed_is_not_shown(self, capsys: Any) -> None:
            plays = [log_in(answers[:1], wrong) for answers in users for wrong in ("", "x")]
            plays += [log_in(users[0]).write(name, **given, dryRun=True) for name, given in writes.items()]
            shown = "".join([*(play.shown for play in plays), *capsys.readouterr()])
            typed = [text for answers in users for fields in answers for text in fields.values()]
            typed += [given["cardNumber"] for given in writes.values() if "cardNumber" in given]
            assert not [text for text in typed if len(text) > 5 and text in shown]

        def test_a_wrong_login_and_unknown_requests_are_refused(self) -> None:
            assert log_in(users[0][:1], wrong="x").reply["status"] in ("challenge", "error")
            unknown = [Play(connector).ask("start", version=2), Play(connector).ask("dance")]
            unknown += [Play(connector).read(reads[0]), log_in(users[0]).read("unknownResource")]
            assert {play.reply["status"] for play in unknown} == {"error"}

    return StandardTests
