"""The kit keeps the protocol's rules for its authors: what fails how, what is asked, kept and logged."""

import json
import re
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Annotated, Any

import httpx2
import pytest

from latchkey.domain.connector_protocol import MAX_STATE_BYTES, json_size, reply_issues
from latchkey_kit import SECRET, Connector, Failed, Play, Session, ask
from latchkey_kit.connector import SPARE_SECONDS
from latchkey_kit.errors import CODES

PASSWORD, CARD = "correct-horse", "4111111111111111"
type Act = Callable[[Session], Any]


def raising(error: Exception) -> Act:
    def act(_: Session) -> None:
        raise error

    return act


def nothing(_: Session) -> None: ...


def approved(_: Session) -> dict[str, Any]:
    return {"success": True, "card": {"last4": CARD[-4:]}}


def code(s: Session, code: str) -> dict[str, Any]:
    assert code
    return {"success": True, "card": {"last4": s.arguments["cardNumber"][-4:]}}


def connector(
    *, login: Act = nothing, before: Act = nothing, inside: Act = nothing, after: Act = nothing
) -> Connector:
    """A connector that does these things where its name says, and saves cards in `saved`."""
    app = Connector("http://127.0.0.1:9")

    @app.start
    def start(_: Session) -> Exception:
        return ask.login("Log in", then=check)

    @app.step
    def check(s: Session, username: str, password: str) -> Any:
        assert username
        assert password
        return login(s)

    app.step(code)
    app.step(approved)

    @app.write("paymentMethod")
    def save(s: Session, cardNumber: str, **_: bool) -> dict[str, Any]:  # noqa: N803 # as the argument is called
        before(s)
        with s.submitting():
            inside(s)
        after(s)
        return {"success": True, "card": {"last4": cardNumber[-4:]}}

    @app.read("mobileBillingStatement")
    def bills(s: Session) -> Any:
        before(s)
        return {"billing": []}

    return app


def log_in(app: Connector) -> Play:
    return Play(app).start().answer(username="jane", password=PASSWORD)


def error(play: Play) -> tuple[Any, Any]:
    return play.reply.get("code"), play.reply.get("reason")


REFUSED = httpx2.ConnectError("refused")
UNKNOWN = ("OUTCOME_UNKNOWN", None)


@pytest.mark.parametrize(
    ("place", "raised", "expected"),
    [
        ("before", ValueError(), ("AUTOMATION_ERROR", None)),
        ("before", REFUSED, ("CONNECTION_FAILED", "provider_unreachable")),
        ("before", Failed("card_not_supported"), ("AUTOMATION_ERROR", "card_not_supported")),
        ("before", Failed("account_locked"), ("AUTOMATION_ERROR", "other")),
        ("before", Failed("other"), ("AUTOMATION_ERROR", "other")),
        ("inside", ValueError(), UNKNOWN),
        ("inside", REFUSED, UNKNOWN),
        ("inside", Failed("card_declined"), UNKNOWN),
        ("inside", ask.otp("The code", then=code), UNKNOWN),
        ("after", ValueError(), UNKNOWN),
        ("after", REFUSED, UNKNOWN),
        ("after", Failed("page_changed"), UNKNOWN),
        ("after", Failed("provider_maintenance"), UNKNOWN),
        ("after", Failed("other"), UNKNOWN),
        ("after", Failed("card_declined"), ("AUTOMATION_ERROR", "card_declined")),
    ],
)
def test_a_write_that_fails_says_whether_it_may_have_happened(
    place: str, raised: Exception, expected: tuple[str, str | None]
) -> None:
    play = log_in(connector(**{place: raising(raised)}))
    assert error(play.write("paymentMethod", cardNumber=CARD)) == expected


def test_a_state_that_cannot_be_kept_after_a_submit_leaves_the_outcome_unknown() -> None:
    def remember_much(s: Session) -> None:
        s.state["much"] = [str(number**3) for number in range(20_000)]

    assert error(log_in(connector(after=remember_much)).write("paymentMethod", cardNumber=CARD)) == UNKNOWN
    read = log_in(connector(before=remember_much)).read("mobileBillingStatement")
    assert error(read) == ("AUTOMATION_ERROR", None)
    assert re.search(r"the state takes [0-9]+ bytes, compressed, of at most 65536", str(read.error))


def test_a_question_after_the_submit_says_that_nothing_is_written_yet() -> None:
    play = log_in(connector(after=raising(ask.otp("The code", then=code))))
    assert play.write("paymentMethod", cardNumber=CARD).challenge["title"] == "The code"
    assert play.answer(code="123456").data["card"] == {"last4": CARD[-4:]}


def test_an_operation_that_waits_is_polled_and_one_that_lost_its_answer_begins_anew() -> None:
    begun: list[Session] = []
    waiting = log_in(connector(before=begun.append, after=raising(ask.wait("Approve it", then=approved))))
    assert waiting.write("paymentMethod", cardNumber=CARD).challenge["type"] == "wait"
    assert waiting.write("paymentMethod", cardNumber=CARD).data["success"] is True  # both null: a poll
    assert len(begun) == 1
    lost = log_in(connector(before=begun.append, after=raising(ask.otp("The code", then=code))))
    lost.write("paymentMethod", cardNumber=CARD).write("paymentMethod", cardNumber=CARD)
    assert lost.challenge["type"] == "otp"
    assert len(begun) == 3


def test_an_operation_without_a_result_has_failed() -> None:
    app = connector()
    app.read("orderHistory")(nothing)
    assert error(log_in(app).read("orderHistory")) == ("AUTOMATION_ERROR", None)


def test_a_question_to_a_step_that_there_is_not_is_no_question() -> None:
    write = log_in(connector(after=raising(ask.otp("The code")))).write("paymentMethod", cardNumber=CARD)
    assert error(write) == UNKNOWN
    assert str(write.error) == "there is no @app.step otp to go to"


def test_a_dry_run_cannot_submit() -> None:
    submitted: list[Session] = []
    play = log_in(connector(inside=submitted.append))
    assert error(play.write("paymentMethod", cardNumber=CARD, dryRun=True)) == ("AUTOMATION_ERROR", None)
    assert submitted == []
    assert play.write("paymentMethod", cardNumber=CARD).data["success"] is True
    assert len(submitted) == 1


@pytest.mark.parametrize("reason", [*CODES, "other"])
def test_each_reason_has_a_code_that_the_action_may_reply(reason: Any) -> None:
    at_login = log_in(connector(login=raising(Failed(reason))))
    reading = log_in(connector(before=raising(Failed(reason)))).read("mobileBillingStatement")
    for action, play in (("answer", at_login), ("execute", reading)):
        code, told = error(play)
        assert reply_issues({"status": "error", "code": code}, action) == []
        assert told == (reason if CODES.get(reason, code) == code else "other")


def test_a_reason_that_is_none_is_refused_where_it_is_raised() -> None:
    with pytest.raises(Exception, match="there is no reason card_refused: choose one of"):
        Failed("card_refused")  # type: ignore[arg-type]


@pytest.mark.parametrize("raised", [ValueError(PASSWORD), REFUSED, KeyError(PASSWORD)])
def test_a_login_that_breaks_is_no_wrong_password(raised: Exception) -> None:
    assert log_in(connector(login=raising(raised))).reply["code"] == "CONNECTION_FAILED"


# --- Questions -----------------------------------------------------------------------------------


def asking(question: Exception, steps: tuple[Callable[..., Any], ...]) -> Play:
    app = Connector("http://127.0.0.1:9")
    app.start(raising(question))
    for step in steps:
        app.step(step)
    return Play(app).start()


def test_a_steps_parameters_are_the_fields_of_its_question() -> None:
    def login(
        _: Session,
        accountNumber: str,  # noqa: N803
        passphrase: str,
        zip: Annotated[str, {"title": "ZIP code", "pattern": "^[0-9]{5}$", "maxLength": 5}],  # noqa: A002
        word: Annotated[str, SECRET],
        nickname: str = "",
    ) -> None: ...

    challenge = asking(ask.login("Log in"), steps=(login,)).challenge
    text = {"type": "string", "minLength": 1, "maxLength": 100}
    assert challenge["schema"] == {
        "type": "object",
        "properties": {
            "accountNumber": text | {"title": "Account number"},
            "passphrase": text | {"title": "Passphrase"} | SECRET,
            "zip": text | {"title": "ZIP code", "pattern": "^[0-9]{5}$", "maxLength": 5},
            "word": text | {"title": "Word"} | SECRET,
            "nickname": {"type": "string", "title": "Nickname", "maxLength": 100},
        },
        "required": ["accountNumber", "passphrase", "zip", "word"],
        "additionalProperties": False,
    }


def test_a_choice_is_one_field_with_the_options() -> None:
    def choice(_: Session, channel: str) -> None: ...

    challenge = asking(
        ask.choice("Where to?", {"sms": "A text", "mail": "A mail"}), steps=(choice,)
    ).challenge
    options = [{"const": "sms", "title": "A text"}, {"const": "mail", "title": "A mail"}]
    assert challenge["schema"]["properties"] == {
        "channel": {"type": "string", "title": "Channel", "oneOf": options}
    }


def test_what_a_question_has_beside_its_title_comes_only_where_it_was_said() -> None:
    def wait(_: Session) -> None: ...

    def resend(_: Session) -> None: ...

    plain = asking(ask.wait("Approve it"), steps=(wait,)).challenge
    assert plain.keys() == {"type", "title", "schema", "pollSeconds"}
    question = ask.wait("Approve it", message="Look", actions={"Again": resend}, expires=60, poll=2)
    assert asking(question, steps=(wait, resend)).challenge == plain | {
        "message": "Look",
        "actions": [{"id": "resend", "title": "Again"}],
        "expiresInSeconds": 60,
        "pollSeconds": 2,
    }


def test_a_question_asked_again_repeats_what_was_typed_but_no_secret() -> None:
    challenge = log_in(connector(login=raising(ask.again("That is not right")))).challenge
    assert challenge["title"] == "Log in"
    assert challenge["message"] == "That is not right"
    assert challenge["values"] == {"username": "jane"}


def test_an_answer_runs_its_step_once_and_an_action_only_if_it_was_offered() -> None:
    ran: list[str] = []

    def otp(_: Session, code: str) -> Exception:
        ran.append(code)
        return ask.again("Wrong")

    def resend(_: Session) -> Exception:
        ran.append("resend")
        return ask.again("On its way")

    def other(_: Session) -> None:
        ran.append("other")

    play = asking(ask.otp("The code", actions={"Again": resend}), steps=(otp, resend, other))
    play.answer(code="1").choose("resend").answer(code="2")
    assert ran == ["1", "resend", "2"]
    for action in ("other", "otp", "read mobileBillingStatement"):
        assert play.choose(action).reply["code"] == "CONNECTION_FAILED"
    assert play.poll().reply["code"] == "CONNECTION_FAILED"  # only a wait is polled
    assert ran == ["1", "resend", "2"]


# --- What goes on, what is said, and how long it takes --------------------------------------------


def test_what_a_call_keeps_comes_back_in_the_next_and_nowhere_else() -> None:
    def remember(s: Session) -> None:
        s.state["token"] = "kept"
        s.http.cookies.set("sid", "s3cret", domain="lark.example", path="/account")

    def recall(s: Session) -> None:
        (cookie,) = s.http.cookies.jar
        assert (cookie.name, cookie.value) == ("sid", "s3cret")
        assert (cookie.domain, cookie.path) == ("lark.example", "/account")
        assert s.state == {"token": "kept"}

    app = connector(login=remember, before=recall)
    play = log_in(app)
    assert "s3cret" not in play.shown
    assert play.read("mobileBillingStatement").data == {"billing": []}
    assert Play(app).read("mobileBillingStatement").reply["code"] == "CONNECTION_FAILED"


@pytest.mark.parametrize("state", ["", "bm90aGluZw==", "no base64!", {"step": "login"}, 1])
def test_a_state_of_another_connector_is_refused(state: Any) -> None:
    play = Play(connector())
    play.state = state
    assert play.read("mobileBillingStatement").reply == {"status": "error", "code": "CONNECTION_FAILED"}
    assert play.answer(username="x", password="x").reply == {"status": "error", "code": "CONNECTION_FAILED"}


def test_the_state_is_compressed_and_at_most_what_a_session_keeps() -> None:
    def remember(s: Session) -> None:
        s.state["page"] = "<p>much the same</p>" * 50_000

    assert json_size(log_in(connector(login=remember)).state) < MAX_STATE_BYTES // 16


def test_a_call_logs_one_line_without_what_was_typed_or_kept(capsys: pytest.CaptureFixture[str]) -> None:
    def fail(s: Session) -> None:
        s.state["token"] = "s3cret-token"
        raise ValueError(f"{PASSWORD} {CARD}")

    log_in(connector(login=fail))
    log_in(connector(inside=fail)).write("paymentMethod", cardNumber=CARD)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(lines) == 5
    logged = json.dumps(lines)
    assert not [text for text in (PASSWORD, CARD, "s3cret-token", "jane") if text in logged]
    shown = {name: lines[-1][name] for name in ("level", "operation", "code", "error")}
    assert shown == {
        "level": "ERROR",
        "operation": "write paymentMethod",
        "code": "OUTCOME_UNKNOWN",
        "error": "ValueError",
    }
    assert re.fullmatch(r"test_kit\.py:[0-9]+", lines[-1]["at"])


type Pages = dict[str, tuple[int, str]]


@contextmanager
def served(pages: Pages, seen: list[str]) -> Iterator[Session]:
    """A session with a provider that has these pages, and notes each request."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            sent = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            seen.append(f"{self.command} {self.path} {sent}")
            status, html = pages[self.path.partition("?")[0]]
            self.send_response(status)
            self.end_headers()
            self.wfile.write(html.encode())

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        session = Session(f"http://127.0.0.1:{server.server_port}", time.monotonic() + 20)
        try:
            with session.closing:
                yield session
        finally:
            server.shutdown()


FORMS = """<form method="post" action="../code"><input type=hidden name=csrf value=1><input name=code></form>
<form method="post" action="/code/new?to=sms"><input type=hidden name=csrf value=2></form>
<form method="dialog"><input name="q"></form>"""


def test_a_form_is_found_by_its_fields_and_where_it_goes() -> None:
    pages = {"/login/a": (200, FORMS), "/code": (200, "ok"), "/code/new": (404, "gone")}
    seen: list[str] = []
    with served(pages, seen) as s:
        assert s.form("/login/a", code="123456").text == "ok"
        page = s.http.get("/login/a")
        assert s.form(page, to="to=sms").status_code == 404
        assert s.form(page, q="a&b").text == FORMS
        with pytest.raises(Failed, match="page_changed: no form to /code with the fields q"):
            s.form(page, to="/code", q="x")
    assert seen == [
        "GET /login/a ",
        "POST /code csrf=1&code=123456",
        "GET /login/a ",
        "POST /code/new?to=sms csrf=2",
        "GET /login/a?q=a%26b ",
    ]


@pytest.mark.parametrize(
    ("status", "reason"),
    [(429, "blocked_by_provider"), (500, "provider_unreachable"), (503, "provider_maintenance")],
)
def test_a_status_with_which_no_page_comes_is_a_failure(status: int, reason: str) -> None:
    with served({"/": (status, "")}, []) as s, pytest.raises(Failed) as failed:
        s.http.get("/")
    assert failed.value.reason == reason


def say_nothing(_: socket.socket) -> None: ...


def say_half(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")


def drip(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 999999\r\n\r\n")
    with suppress(OSError):
        while not select.select([connection], [], [], 0.02)[0]:
            connection.sendall(b".")


@pytest.mark.parametrize("serve", [say_nothing, say_half, drip])
def test_a_provider_that_hangs_is_given_up_in_time_for_a_reply(
    serve: Callable[[socket.socket], None],
) -> None:
    def answer(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection, suppress(OSError):
            connection.recv(65536)
            serve(connection)
            connection.recv(1)  # until the other side has closed it

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=answer, args=[listener], daemon=True)
        server.start()
        app = Connector(f"http://127.0.0.1:{listener.getsockname()[1]}")
        app.start(lambda s: s.http.get("/"))
        play = Play(app, seconds=SPARE_SECONDS + 0.2)
        began = time.monotonic()
        assert error(play.start()) == ("CONNECTION_FAILED", "provider_unreachable")
        assert time.monotonic() - began < SPARE_SECONDS
        server.join()


@pytest.mark.parametrize("request_", [None, [], {}, {"version": 1}, {"version": 1, "action": "start"}])
def test_what_is_no_request_is_refused(request_: Any) -> None:
    assert connector()(request_) == {"status": "error", "code": "CONNECTION_FAILED"}
