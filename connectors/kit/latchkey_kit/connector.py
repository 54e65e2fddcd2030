"""A connector as a Lambda function: it takes one request of a session at a time, and replies to it."""

import base64
import inspect
import json
import re
import time
import traceback
import zlib
from collections.abc import Callable
from typing import Any, TypeVar

from latchkey_kit.ask import Question
from latchkey_kit.errors import CODES, REFUSALS, Failed, KitError
from latchkey_kit.session import Json, Session

MAX_STATE_BYTES = 64 * 1024
CALL_SECONDS = 60.0  # a session waits no longer for a reply
SPARE_SECONDS = 2.0  # for what comes after the deadline: the state, the browser's end, the reply's way back

SECRET = {"format": "password", "writeOnly": True}
_CODE = {"title": "One-time code", "writeOnly": True}
_SECRET_NAME = re.compile("pass|secret|pin$", re.IGNORECASE)

Run = TypeVar("Run", bound=Callable[..., Any])


class Connector:
    """The steps of a login and the operations at one provider; called with a request, it is a Lambda handler.

        app = lambda_handler = Connector("https://lark.example")

        @app.start
        def start(s: Session) -> None:
            raise ask.login("Log in to Lark")

        @app.step
        def login(s: Session, username: str, password: str) -> None:
            page = s.form("/login", username=username, password=password)
            if page.url.path == "/login":
                raise ask.again("That user name and password do not match")

        @app.read("mobileBillingStatement")
        def bills(s: Session, limit: int = 100) -> Json: ...

    A step that neither raises nor returns a question has logged the user in; one that an operation asked for
    returns the operation's result. Each runs once for each answer. All it wants to remember goes through `s`:
    the function's memory serves many users.
    """

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url
        self._runs: dict[str, Callable[..., Any]] = {}  # steps by name, operations as "read orderHistory"
        self._fields: dict[str, Json] = {}

    def start(self, run: Run) -> Run:
        """What begins a session."""
        self._runs[""] = run
        return run

    def step(self, run: Run) -> Run:
        """A step, known by the function's name. Its parameters after the session are a question's fields.

        A field's title is the parameter's name in words, its text 1 to 100 characters; one with a default
        may be left empty. Say more with members of the protocol's text field:
        `zip: Annotated[str, {"title": "ZIP code", "pattern": "^[0-9]{5}$"}]`. What `SECRET` marks is hidden
        while it is typed and never shown again; names with pass or secret in them, or pin at their end, are
        marked so unasked.
        """
        parameters = list(inspect.signature(run, eval_str=True).parameters.values())[1:]
        self._fields[run.__name__] = {parameter.name: _field(parameter) for parameter in parameters}
        self._runs[run.__name__] = run
        return run

    def read(self, resource: str) -> Callable[[Run], Run]:
        """What reads a resource. Its parameters are the arguments; it returns the result."""
        return lambda run: self._runs.setdefault(f"read {resource}", run)  # type: ignore[return-value]

    def write(self, resource: str) -> Callable[[Run], Run]:
        """What changes a resource: with `s.submitting()` around what does."""
        return lambda run: self._runs.setdefault(f"write {resource}", run)  # type: ignore[return-value]

    def __call__(self, event: Any, context: Any = None) -> Json:
        """Reply to a request: schemas/connector_request.json and connector_reply.json say how."""
        return self.run(event, context)[0]

    def run(self, event: Any, context: Any = None) -> tuple[Json, Exception | None]:
        """The reply, and the exception that it was made of, for tests to show."""
        began = time.monotonic()
        left = context.get_remaining_time_in_millis() / 1000 if context else CALL_SECONDS
        session = Session(self._base_url, began + min(left, CALL_SECONDS) - SPARE_SECONDS)
        line, error = session.line, None
        try:
            with session.closing:
                reply = self._reply(event, session)
        except Exception as raised:  # noqa: BLE001 # whatever it is: its text may hold what was typed
            error = raised
            meaning = session.explain(raised)
            reply = _failure(meaning, session)
            line |= {"level": "WARNING" if isinstance(meaning, Failed) else "ERROR"}
            line |= {"error": type(raised).__name__, "at": self._place(raised)}
            line |= {"detail": str(meaning)} if isinstance(meaning, (Failed, KitError)) else {}
        line |= {name: reply[name] for name in ("status", "code", "reason") if name in reply}
        print(json.dumps(line | {"ms": round((time.monotonic() - began) * 1000)}), flush=True)  # noqa: T201
        return reply, error

    def _reply(self, event: Any, session: Session) -> Json:
        if event["version"] != 1:
            raise KitError("no version of the protocol that this kit knows")
        session.line["sessionId"] = event["sessionId"]
        memory = _unpacked(event["state"])
        session.state, session.saved, asked = memory["state"], memory["saved"], memory["asked"]
        run, arguments = self._chosen(event, memory, session)
        try:
            returned = run(session, **arguments)
        except Question as question:
            if session.uncertain:
                raise
            returned = question
        memory["asked"] = None
        if isinstance(returned, Question):
            memory["asked"] = self._asked(returned, asked, event["input"] or {})
            reply = {"status": "challenge", "challenge": memory["asked"]["challenge"]}
        elif event["action"] != "execute":
            memory["loggedIn"] = True
            reply = {"status": "authenticated"}
        elif isinstance(returned, dict):
            reply = {"status": "result", "data": returned}
        else:
            raise KitError("an operation returns its result, an object, or asks")
        return reply | {"state": _packed(memory | {"state": session.state, "saved": session.kept()})}

    def _chosen(self, event: Json, memory: Json, session: Session) -> tuple[Callable[..., Any], Json]:
        """What is to be run, with which arguments; whatever is raised here is a request unknown."""
        asked, choice, typed = memory["asked"], event.get("choice"), event["input"]
        answered = asked is not None and (choice is not None or typed is not None)
        polled = asked is not None and not answered and asked["challenge"]["type"] == "wait"
        if event["action"] == "start":
            session.line["step"] = "start"
            return self._runs[""], {}
        if event["action"] == "execute" and memory["loggedIn"]:
            operation = event["operation"]
            name = f"{operation['action']} {operation['resource']}"
            run, session.arguments = self._runs[name], operation["arguments"] or {}
            session.line["operation"], session.writing = name, operation["action"] == "write"
            session.dry_run = session.arguments.get("dryRun") is True
            if not (answered or polled):  # also a question that lost its answer: begin anew
                return run, session.arguments
        elif memory["loggedIn"] or (event["action"], True) not in (("answer", answered), ("poll", polled)):
            raise KitError("no request that this connector knows, or not at this point")
        if choice is not None and choice not in _actions(asked["challenge"]):
            raise KitError("no such action was offered")
        session.line["step"] = asked["then"] if choice is None else choice
        return self._runs[session.line["step"]], typed or {}

    def _asked(self, question: Question, asked: Json | None, typed: Json) -> Json:
        """The challenge as the protocol has it, and the step that its answer goes to."""
        if question.kind == "again":
            if asked is None:
                raise KitError("nothing was asked before, so nothing can be asked again")
            fields = asked["challenge"]["schema"]["properties"]
            shown = {name: text for name, text in typed.items() if not fields[name].get("writeOnly")}
            more = {"message": question.title} | ({"values": shown} if shown else {}) | question.more
            return {"challenge": asked["challenge"] | more, "then": asked["then"]}
        if missing := {question.then, *_actions(question.more)} - self._fields.keys():
            raise KitError(f"there is no @app.step {', '.join(missing)} to go to")
        properties = self._fields[question.then]
        schema: Json = {"type": "object", "properties": properties, "additionalProperties": False}
        if required := [name for name, field in properties.items() if field.get("minLength")]:
            schema["required"] = required
        if question.options:
            options = [{"const": const, "title": title} for const, title in question.options.items()]
            ((name, field),) = properties.items()
            schema["properties"] = {name: {"type": "string", "title": field["title"], "oneOf": options}}
        challenge = {"type": question.kind, "title": question.title, "schema": schema}
        return {"challenge": challenge | question.more, "then": question.then}

    def _place(self, raised: Exception) -> str | None:
        """The last line of the connector's own that an exception went through."""
        files = {run.__code__.co_filename for run in self._runs.values()}
        frames = [f for f in traceback.extract_tb(raised.__traceback__) if f.filename in files]
        return f"{frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno}" if frames else None


def _actions(challenge: Json) -> list[str]:
    return [action["id"] for action in challenge.get("actions", ())]


def _field(parameter: inspect.Parameter) -> Json:
    words = re.sub("(?<=[a-z])(?=[A-Z])|_", " ", parameter.name).capitalize()
    field: Json = {"type": "string", "title": words, "maxLength": 100}
    if parameter.default is inspect.Parameter.empty:
        field["minLength"] = 1
    field |= SECRET if _SECRET_NAME.search(parameter.name) else _CODE if parameter.name == "code" else {}
    for more in getattr(parameter.annotation, "__metadata__", ()):
        field |= more
    return field


def _failure(error: Exception, session: Session) -> Json:
    """The reply that an exception makes. What was submitted and not refused has an unknown outcome."""
    reason = error.reason if isinstance(error, Failed) else None
    if session.writing and (session.uncertain or (session.submitted and reason not in REFUSALS)):
        return {"status": "error", "code": "OUTCOME_UNKNOWN"}
    own, unexpected = "LOGIN_FAILED", "CONNECTION_FAILED"
    if "operation" in session.line:
        own = unexpected = "AUTOMATION_ERROR"
    if reason is None:
        return {"status": "error", "code": unexpected}
    code = CODES.get(reason, own)
    if code not in (own, "CONNECTION_FAILED"):  # the protocol has no such code for this action
        code, reason = unexpected, "other"
    return {"status": "error", "code": code, "reason": reason}


def _packed(memory: Json) -> str:
    packed = base64.b64encode(zlib.compress(json.dumps(memory).encode())).decode()
    if len(packed) + 2 > MAX_STATE_BYTES:  # with its quotes
        raise KitError(f"the state takes {len(packed)} bytes, compressed, of at most {MAX_STATE_BYTES}")
    return packed


def _unpacked(packed: str | None) -> Json:
    if packed is None:
        return {"state": {}, "saved": {}, "asked": None, "loggedIn": False}
    memory: Json = json.loads(zlib.decompress(base64.b64decode(packed)))
    return memory
