"""The command latchkey, against the handlers."""

import io
import json
import os
import pty
import re
import select
import signal
import stat
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from latchkey_client import Latchkey, webhooks
from latchkey_client.cli import commands, listen, profiles
from latchkey_client.cli.output import Output, duration
from tests.client.conftest import Served
from tests.client.faults import NO_ROUTE, Answered, Faults, Sent
from tests.template import ROOT

READ = ("--integration", "tmobile", "--operation", "paymentMethod.read")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user without profiles, in an empty folder, whose variables say nothing."""
    for name in ("LATCHKEY_API_KEY", "LATCHKEY_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


class Command:
    """Runs command lines in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.err = ""

    def __call__(self, *arguments: str, code: int = 0) -> str:
        self._capsys.readouterr()
        assert commands.execute(arguments) == code, self._capsys.readouterr()
        printed = self._capsys.readouterr()
        self.err = printed.err
        return printed.out

    def json(self, *arguments: str, code: int = 0) -> list[Any]:
        return [json.loads(line) for line in self(*arguments, "--json", code=code).splitlines()]


@pytest.fixture
def stranger(capsys: pytest.CaptureFixture[str]) -> Command:
    """Not logged in."""
    return Command(capsys)


@pytest.fixture
def latchkey(stranger: Command, served: Served, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Whose environment has the address and the key."""
    monkeypatch.setenv("LATCHKEY_API_KEY", served.key)
    monkeypatch.setenv("LATCHKEY_BASE_URL", served.url)
    return stranger


# --- Whom to ask -----------------------------------------------------------------------------------


def stack_file(folder: Path, served: Served) -> None:
    (folder / ".local").mkdir()
    (folder / ".local/stack.json").write_text(json.dumps({"apiUrl": served.url, "testApiKey": served.key}))


def test_the_local_stack_is_found_from_a_folder_within_and_followed(
    stranger: Command, served: Served, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack_file(home, served)
    (home / "deep/er").mkdir(parents=True)
    monkeypatch.chdir(home / "deep/er")
    assert stranger("login") == ""
    assert "Logged in" in stranger.err
    monkeypatch.chdir("/")
    (who,) = stranger.json("whoami")
    assert (who["profile"], who["url"], who["mode"]) == ("local", served.url, "test")
    # Another stack has another key; none is kept that would be stale.
    assert served.key not in profiles.path().read_text()
    (home / ".local/stack.json").unlink()
    stranger("whoami", code=2)
    assert "`make up` starts it" in stranger.err


def test_a_key_comes_by_standard_input_and_is_kept_for_its_owner_alone(
    stranger: Command, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{served.key}\n"))
    printed = stranger("login", "--url", f"{served.url}/", "--profile", "cloud") + stranger.err
    assert served.key not in printed
    file = profiles.path()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert [entry.name for entry in file.parent.iterdir()] == [file.name]
    (who,) = stranger.json("whoami", "--profile", "cloud")
    assert who["url"] == served.url
    stranger("whoami", "--profile", "other", code=2)
    assert "there is: cloud" in stranger.err


def test_a_key_that_is_refused_is_not_kept(
    stranger: Command, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("lk_test_wrong\n"))
    stranger("login", "--url", served.url, code=3)
    assert not profiles.path().exists()
    assert "lk_test_wrong" not in stranger.err


def test_a_restricted_key_is_a_valid_one(
    stranger: Command, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = served.stack.new_key(scopes=["account:read"], label="Shop")
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{key}\n"))
    stranger("login", "--url", served.url)
    assert stranger.json("whoami")[0]["key"] == f"...{key[-4:]}"
    assert stranger.json("account")[0]["key"]["scopes"] == ["account:read"]
    stranger("links", "list", code=3)
    assert "links:read" in stranger.err


def test_the_environment_goes_before_the_current_profile_and_the_flag_before_both(
    latchkey: Command,
) -> None:
    profiles.save(profiles.Profile("old", "http://127.0.0.1:1", "lk_test_old"))
    (who,) = latchkey.json("whoami")
    assert who["profile"] == "environment"
    assert commands.Run(Output(False), "old").profile.url == "http://127.0.0.1:1"


def test_whoever_is_not_logged_in_is_told_how(stranger: Command) -> None:
    stranger("links", "list", code=2)
    assert "latchkey login" in stranger.err
    stranger("login", code=2)
    assert "--url" in stranger.err


def test_whoever_never_logged_in_has_the_local_stack_of_the_folder(
    stranger: Command, served: Served, home: Path
) -> None:
    stack_file(home, served)
    assert stranger.json("whoami")[0]["url"] == served.url
    profiles.save(profiles.Profile("cloud", "http://127.0.0.1:1", "lk_test_other"))
    assert commands.Run(Output(False), None).profile.name == "cloud"


def test_the_doctor_finds_what_is_wrong(
    latchkey: Command, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = Events(served.faults)
    found = {row["check"]: row["status"] for row in latchkey.json("doctor")}
    assert found == dict.fromkeys(("profile", "service", "key", "clock", "events"), "ok")
    events.absent = True
    assert latchkey.json("doctor", code=1)[-1]["status"] == "failed"
    events.absent = False
    answer = served.faults.answer

    def at_another_time(sent: Sent) -> Answered:
        status, headers, body = answer(sent)
        return status, headers | {"Date": "Mon, 01 Jan 2024 00:00:00 GMT"}, body

    served.faults.answer = at_another_time
    found = {row["check"]: row["status"] for row in latchkey.json("doctor", code=1)}
    assert found["clock"] == "failed"
    served.faults.answer = answer
    monkeypatch.setenv("LATCHKEY_API_KEY", "lk_test_wrong")
    found = {row["check"]: row["status"] for row in latchkey.json("doctor", code=1)}
    assert found == {"profile": "ok", "service": "ok", "key": "failed"}
    monkeypatch.delenv("LATCHKEY_API_KEY")
    profiles.save(profiles.Profile("p", served.url, served.key))
    profiles.path().chmod(0o644)
    (row,) = latchkey.json("doctor", code=1)
    assert "chmod 600" in row["found"]


# --- Links -----------------------------------------------------------------------------------------


def test_a_link_is_made_listed_read_and_canceled(latchkey: Command) -> None:
    origins = ("--embed-origin", "https://a.example", "--embed-origin", "https://b.example")
    (made,) = latchkey.json(
        "links", "create", *READ, "--metadata.plan", "pro", "--expires-in", "2h", *origins
    )
    assert made["expiresAt"] - made["createdAt"] == 7_200_000
    twice = [latchkey("links", "create", *READ, "--idempotency-key", "a") for _ in range(2)]
    assert twice[0] == twice[1]
    (link,) = latchkey.json("links", "get", made["linkId"])
    assert link["metadata"] == {"plan": "pro"}
    assert link["embedOrigins"] == ["https://a.example", "https://b.example"]
    assert "pending" in latchkey("links", "get", made["linkId"])
    assert latchkey("links", "list", "--limit", "1").splitlines()[0].split()[0] == "linkId"
    assert len(latchkey.json("links", "list", "--limit", "0")) == 2
    assert latchkey.json("links", "cancel", made["linkId"])[0]["status"] == "canceled"
    assert latchkey.json("links", "watch", made["linkId"], code=1)[0]["status"] == "canceled"


def test_the_page_is_printed(latchkey: Command) -> None:
    printed = latchkey("links", "create", *READ)
    assert re.search(r"^page +http\S+/link_\w+\?code=clm_\w+$", printed, re.MULTILINE)


def test_arguments_come_from_a_file_and_never_show(latchkey: Command, home: Path, served: Served) -> None:
    event = json.loads((ROOT / "events/create_link.json").read_text())
    card = json.loads(event["body"])["operations"][1]["arguments"]
    (home / "card.json").write_text(json.dumps(card))
    write = ("links", "create", "--integration", "tmobile", "--operation")
    printed = latchkey(*write, "paymentMethod.write=card.json") + latchkey.err
    assert card["cardNumber"] not in printed
    assert json.loads(served.faults.seen[-1][3])["operations"][0]["arguments"] == card
    (home / "card.json").write_text('{"cardNumber": "4242424242424242",}')
    printed = latchkey(*write, "paymentMethod.write=card.json", code=2) + latchkey.err
    assert "card.json is no JSON" in printed
    assert "4242" not in printed
    latchkey(*write, "paymentMethod.write=missing.json", code=2)
    assert "missing.json" in latchkey.err


def test_secrets_and_data_come_by_standard_input_too(
    latchkey: Command, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def given(text: str, *arguments: str) -> Any:
        monkeypatch.setattr(sys, "stdin", io.StringIO(text))
        return latchkey.json(*arguments)[0]

    code = latchkey.json("links", "create", *READ)[0]["claimCode"]
    assert given(f"{code}\n", "session", "status", "-")["status"] == "pending"
    token = given(f"{code}\n", "session", "claim", "-")["clientToken"]
    served.stack.work()
    challenge = given(f"{token}\n", "session", "show", "-")["challenge"]["id"]
    login = '{"username": "user_good", "password": "pass_good"}'
    assert given(login, "session", "input", token, challenge, "--input", "-")["status"] == "running"
    assert given(f"{token}\n", "session", "cancel", "-")["status"] == "canceled"
    served.faults.next = [(200, {}, b'{"linkId": "link_1"}')]
    given("[{}]", "simulate", "link_1", "complete", "--data", "-")
    assert json.loads(served.faults.seen[-1][3])["data"] == [{}]


def test_an_answer_waits_for_its_question(
    latchkey: Command, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A link's life without an id but its own."""

    def answer(text: str, code: int = 0) -> str:
        monkeypatch.setattr(sys, "stdin", io.StringIO(text))
        printed = latchkey("session", "input", token, "--input", "-", "--fields", "status", code=code)
        return printed.rpartition("}\n")[2]  # the sandbox's log goes there too

    waited = []

    def wait(seconds: float) -> None:
        waited.append(seconds)
        served.stack.work()

    monkeypatch.setattr("time.sleep", wait)
    link, code = latchkey("links", "create", *READ, "--fields", "linkId,claimCode").split()
    token = latchkey("session", "claim", code, "--fields", "clientToken").strip()
    assert answer('{"username": "user_otp", "password": "pass_good"}') == "running\n"
    assert answer('{"code": "123456"}') == "running\n"
    assert answer("{}", code=2) == ""
    assert "the session is complete" in latchkey.err
    assert len(waited) == 3
    assert latchkey("links", "get", link, "--fields", "status") == "complete\n"


def test_only_the_members_that_are_named_are_printed(latchkey: Command) -> None:
    (made,) = latchkey.json("links", "create", *READ, "--external-user-id", "a b\x1b")
    fields = "linkId,webhook.status,webhook.attempts,result,externalUserId"
    wanted = f"{made['linkId']} none 0 null a b�\n"
    assert latchkey("links", "get", made["linkId"], "--fields", fields) == wanted
    assert latchkey("links", "list", "--fields", "linkId") == f"{made['linkId']}\n"
    latchkey("links", "get", "link_1", "--fields", "linkId", code=4)
    assert latchkey.err.startswith("404 not_found: ")


def test_without_a_terminal_nothing_is_asked_and_the_flag_is_named(
    latchkey: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\ny\n"))
    for arguments, named in [
        (("links", "create"), "--integration, one of att, tmobile"),
        (("links", "create", "--integration", "tmobile"), "--operation, one of paymentMethod.read"),
        (("links", "create", "--integration", "tmobile", "--operation", "paymentMethod.write"), "=FILE"),
        (("links", "delete", "link_1"), "--yes"),
        (("erase", "user_1"), "--yes"),
        (("session", "input", "ct_1", "chl_1"), "--input"),
    ]:
        latchkey(*arguments, code=2)
        assert named in latchkey.err


@pytest.mark.usefixtures("latchkey")
def test_at_a_terminal_a_link_is_asked_for_and_shown_as_a_qr_code_and_a_card_is_typed_unseen(
    served: Served,
) -> None:
    given = ["tmobile", "paymentMethod.write", "4242424242424242", "04/29", "123", "Jane Doe", "12345"]
    shown = at_a_terminal(["links", "create"], list(given))
    assert "▀" in shown
    assert "?code=clm_" in shown
    for typed in given[2:]:
        assert typed not in shown
    assert json.loads(served.faults.seen[-1][3])["operations"][0]["arguments"]["cvv"] == "123"


def test_colours_are_for_terminals_that_want_them(latchkey: Command) -> None:
    latchkey("links", "create", *READ)
    assert "\x1b[33mpending" in at_a_terminal(["links", "list"], [], TERM="xterm-256color")
    assert "\x1b[33m" not in at_a_terminal(["links", "list"], [], TERM="xterm-256color", NO_COLOR="1")
    assert "\x1b" not in latchkey("links", "list")


def read(terminal: int) -> str:
    """What comes next; fails if nothing does."""
    assert select.select([terminal], [], [], 30)[0], "nothing in 30 s"
    return os.read(terminal, 4096).decode(errors="replace")


def at_a_terminal(arguments: list[str], given: list[str], **variables: str) -> str:
    """What a terminal shows of a command whose prompts are answered so, each when it is there."""
    main_, terminal = pty.openpty()
    program = (
        f"import sys; from latchkey_client.cli.commands import execute; sys.exit(execute({arguments!r}))"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT / "clients/python"), "TERM": "dumb"} | variables
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdin=terminal, stdout=terminal, stderr=terminal,
        env=environment, start_new_session=True,
    )  # fmt: skip
    os.close(terminal)
    shown = waiting = ""
    try:
        while chunk := read(main_):
            shown, waiting = shown + chunk, waiting + chunk
            if given and waiting.rstrip(" ").endswith(":"):
                os.write(main_, f"{given.pop(0)}\n".encode())
                waiting = ""
    except OSError:  # the terminal's end, on Linux
        pass
    finally:
        os.close(main_)
        assert process.wait(30) == 0, shown
    return shown


# --- Errors ----------------------------------------------------------------------------------------


def test_each_kind_of_failure_has_its_exit_code(
    latchkey: Command, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    latchkey("links", "gte", "link_1", code=2)
    assert 'Did you mean "get"?' in latchkey.err.replace("\n", "")
    latchkey("links", "get", code=2)
    latchkey("links", "create", "--integration", "tmobil", "--operation", "a.b", code=2)
    assert 'did you mean "tmobile"?' in latchkey.err
    latchkey("links", "get", "link_1", code=4)
    (made,) = latchkey.json("links", "create", *READ)
    latchkey("redeliver", made["linkId"], code=5)
    served.faults.next = [NO_ROUTE]
    latchkey("outcomes", code=4)
    assert "older than this command" in latchkey.err
    monkeypatch.setattr("time.sleep", lambda _: None)
    served.faults.next = [(429, {"Retry-After": "1000"}, b"{}"), (503, {"Retry-After": "1000"}, b"{}")]
    latchkey("providers", code=6)
    latchkey("providers", code=7)
    monkeypatch.setenv("LATCHKEY_API_KEY", "lk_test_wrong")
    latchkey("providers", code=3)
    latchkey("advance", "link_1", code=2)
    latchkey("advance", "link_1", "4 hours", code=2)
    assert "write it like" in latchkey.err


def test_an_error_is_json_too_on_stderr(latchkey: Command) -> None:
    assert latchkey("links", "create", *READ, "--expires-in", "0", "--json", code=2) == ""
    told = json.loads(latchkey.err)
    assert (told["code"], told["issues"][0]["path"]) == ("validation_failed", "expiresIn")
    assert told["requestId"]


def test_the_help_tells_the_exit_codes(stranger: Command) -> None:
    assert "Exit codes: 0 done" in stranger("--help")
    assert "130 interrupted" in " ".join(stranger("links", "get", "--help").split())


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell"])
def test_shells_complete_it(latchkey: Command, shell: str) -> None:
    script = latchkey("completion", shell)
    assert "fail-deliveries" in script
    if shell == "bash":
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)


def test_a_terminal_is_not_steered_by_what_is_stored(latchkey: Command) -> None:
    latchkey("links", "create", *READ, "--external-user-id", "\x1b[2J[bold]x")
    printed = latchkey("links", "list")
    assert "\x1b" not in printed
    assert "[2J[bold]x" in printed


@pytest.mark.parametrize(
    ("text", "seconds"), [("45", 45), ("90s", 90), ("15m", 900), ("4h", 14_400), ("1d12h", 129_600)]
)
def test_a_time_is_read(text: str, seconds: int) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "h", "-4h", "4 h", "4h!", "1.5h", "٤h", "²"])
def test_what_is_no_time_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="write it like"):
        duration(text)


# --- Events, as the contract has them ----------------------------------------------------------------


class Events:
    """GET /v1/events of a list that grows, and everything else as before."""

    def __init__(self, faults: Faults) -> None:
        self.ended: list[dict[str, Any]] = []  # oldest first
        self.absent = False  # as in a deployment of before
        self._answer = faults.answer
        faults.answer = self.answer

    def end(self, *names: str) -> None:
        for name in names:
            data = {"linkId": f"link_{name}", "status": "failed", "metadata": {"city": "Zürich"}}
            event = {"id": f"msg_{name}", "type": "link.failed", "timestamp": "2026-11-22T09:00:00.000Z"}
            self.ended.append({**event, "data": data, "webhook": {"status": "none", "attempts": 0}})

    def answer(self, sent: Sent) -> Answered:
        if not sent[1].startswith("/v1/events"):
            return self._answer(sent)
        if self.absent:
            return NO_ROUTE
        query = {name: value for name, (value,) in parse_qs(urlsplit(sent[1]).query).items()}
        ids = [event["id"] for event in self.ended]
        if "after" in query and query["after"] not in ids:
            refusal = {"error": "Validation failed", "code": "validation_failed", "issues": [
                {"path": "after", "message": "must be the id of an event", "code": "format"}]}  # fmt: skip
            return 400, {}, json.dumps(refusal).encode()
        found = self.ended[ids.index(query["after"]) + 1 :] if "after" in query else self.ended[::-1]
        start = int(query.get("cursor", "0"))
        end = start + min(2, int(query.get("limit", "20")))  # small pages
        page = {"events": found[start:end], "nextCursor": str(end) if end < len(found) else None}
        return 200, {}, json.dumps(page, ensure_ascii=False).encode()


@pytest.fixture
def events(served: Served) -> Events:
    return Events(served.faults)


def test_events_are_listed(latchkey: Command, events: Events) -> None:
    events.end("a", "b", "c")
    assert [event["id"] for event in latchkey.json("events")] == ["msg_c", "msg_b", "msg_a"]
    assert [event["id"] for event in latchkey.json("events", "--after", "msg_a", "--limit", "1")] == ["msg_b"]
    assert "link_c" in latchkey("events", "--limit", "1")


def test_each_event_is_seen_once_and_in_order(
    client: Latchkey, events: Events, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])

    def seen(after: float = 1) -> str:
        clock[0] += after
        return "".join(event.id[-1] for event in follower.new())

    events.end("x", "y")
    follower = listen.Follower(client)
    assert seen() == ""
    events.end("a", "b", "c")
    assert seen() == "abc"
    assert seen() == ""
    events.end("d")
    events.ended[-2:] = events.ended[:-3:-1]  # d comes to stand before c, which was seen already
    assert seen() == "d"
    assert seen(100) == ""
    served.faults.seen.clear()
    assert seen() == ""
    assert len(served.faults.seen) == 1  # one page is enough when nothing is new
    events.ended = [event for event in events.ended if event["id"] != "msg_c"]  # erased
    events.end("e")
    assert seen() == "e"


def test_only_events_of_a_type_are_seen(client: Latchkey, events: Events, served: Served) -> None:
    follower = listen.Follower(client, "link.failed")
    events.end("a")
    assert [event.id for event in follower.new()] == ["msg_a"]
    assert all("type=link.failed" in target for _, target, _, _ in served.faults.seen)


@contextmanager
def receiver(status: int = 204) -> Iterator[tuple[str, list[Sent]]]:
    faults = Faults(lambda _: (status, {}, b""))
    with faults.serving() as url:
        yield f"{url}/hook", faults.seen


def interrupted_after(looks: int, monkeypatch: pytest.MonkeyPatch, *pressed: str, then: Any = None) -> None:
    """Let listen look so often, with these keys pressed in between; `then` happens before the second look."""
    left = [*pressed, *[""] * (looks - len(pressed))]

    def read_key(_: float) -> str:
        if not left:
            raise KeyboardInterrupt
        if then and len(left) == looks:
            then()
        return left.pop(0)

    @contextmanager
    def keys() -> Iterator[Callable[[float], str]]:
        yield read_key

    monkeypatch.setattr(listen, "keys", keys)


def test_an_event_is_printed_and_handed_on_signed_and_again_when_asked_to(
    latchkey: Command,
    client: Latchkey,
    events: Events,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("time.time", lambda: 1_700_000_000.0)
    events.end("before")
    old = client.webhook_secret.get().secrets[0].secret
    secrets = [client.webhook_secret.rotate(overlap_seconds=600).secret, old]
    interrupted_after(2, monkeypatch, "", "r", then=lambda: events.end("a"))
    with receiver() as (url, received):
        printed = latchkey("listen", "--forward-to", url, code=130)
    assert re.fullmatch(r"(\S+ link.failed link_a msg_a -> 204 in \d+ ms\n){2}", printed)
    for _, target, headers, body in received:
        assert target == "/hook"
        for secret in secrets:
            event = webhooks.unwrap(body, headers, secret)
        assert (event.id, event.data.metadata) == ("msg_a", {"city": "Zürich"})
        assert set(json.loads(body)) == {"type", "timestamp", "data"}
    assert len(received) == 2


@pytest.mark.usefixtures("latchkey")
def test_at_a_terminal_a_key_sends_the_last_event_again_and_the_terminal_is_as_before(events: Events) -> None:
    main_, terminal = pty.openpty()
    before = termios.tcgetattr(terminal)
    shown = ""

    def until(text: str) -> None:
        nonlocal shown
        while text not in shown:
            shown += read(main_)

    with receiver() as (url, received):
        arguments = ["listen", "--forward-to", url]
        program = (
            f"import sys; from latchkey_client.cli.commands import execute; sys.exit(execute({arguments!r}))"
        )
        environment = os.environ | {"PYTHONPATH": str(ROOT / "clients/python"), "TERM": "dumb"}
        process = subprocess.Popen(
            [sys.executable, "-c", program],
            stdin=terminal, stdout=terminal, stderr=terminal, env=environment,
        )  # fmt: skip
        try:
            until("r sends the last one again")
            events.end("a")
            until("msg_a -> 204")
            shown = ""
            os.write(main_, b"r")  # without a line's end
            until("msg_a -> 204")
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 130
            after = termios.tcgetattr(terminal)
            os.close(terminal)
            os.close(main_)
    assert len(received) == 2
    assert after == before


def test_listening_goes_on_when_the_service_or_the_receiver_fails(
    latchkey: Command, served: Served, events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    def then() -> None:
        events.end("a")
        served.faults.next = [(500, {"Retry-After": "1000"}, b"{}")]

    interrupted_after(3, monkeypatch, then=then)
    printed = latchkey("listen", "--forward-to", "http://127.0.0.1:1/", "--json", code=130)
    (event,) = [json.loads(line) for line in printed.splitlines()]
    assert event["id"] == "msg_a"
    assert event["forwarded"]["statusCode"] is None
    assert "refused" in event["forwarded"]["error"]
    assert "Trying again" in latchkey.err


def test_everything_that_was_given_up_since_then_is_sent_again(
    latchkey: Command, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    hour = 3_600_000
    now = 1_700_000_000_000
    monkeypatch.setattr("time.time", lambda: now / 1000)
    ends = {"link_old": now - 3 * hour, "link_new": now - hour, "link_erased": now - hour}

    def answer(sent: Sent) -> Answered:
        if sent[0] == "GET":
            assert "webhookStatus=exhausted" in sent[1]
            listed = [{"linkId": name, "status": "failed", "completedAt": at} for name, at in ends.items()]
            return 200, {}, json.dumps({"links": listed, "nextCursor": None}).encode()
        if "link_erased" in sent[1]:
            return 410, {}, b'{"error": "It was erased", "code": "gone"}'
        return 202, {}, json.dumps({"linkId": "link_new", "webhook": {"status": "pending"}}).encode()

    served.faults.answer = answer
    (sent,) = latchkey.json("recover", "--since", "2h", code=1)
    assert sent["linkId"] == "link_new"
    assert "1 sent again, 1 refused" in latchkey.err


def test_a_test_link_is_brought_to_each_end(latchkey: Command, served: Served) -> None:
    asked: list[tuple[str, Any]] = []
    through = served.faults.answer

    def answer(sent: Sent) -> Answered:
        if not sent[1].startswith("/v1/test/"):
            return through(sent)
        name = sent[1].rpartition("/")[2]
        asked.append((name, json.loads(sent[3])))
        return 200, {}, json.dumps({"linkId": "link_1", "status": name, "createdAt": 0}).encode()

    served.faults.answer = answer
    for end in ("complete", "failed", "expired", "canceled"):
        latchkey.json("trigger", end)
    assert asked == [
        ("simulate", {"outcome": "complete"}),
        ("simulate", {"outcome": "fail", "code": "LOGIN_FAILED"}),
        ("advance", {"until": "expiry"}),
    ]
    assert len(served.stack.links()) == 4
    assert re.search(r"link\.canceled msg_[\w-]+, as it is sent: its signature was verified", latchkey.err)
    assert [link["status"] for link in latchkey.json("links", "list", "--status", "canceled")] == ["canceled"]


def test_a_user_is_erased_until_nothing_is_left(latchkey: Command, served: Served) -> None:
    served.faults.next = [
        (200, {}, json.dumps({"erased": number, "remaining": more}).encode())
        for number, more in ((100, True), (7, False))
    ]
    assert latchkey.json("erase", "user_1", "--yes") == [{"erased": 107}]


@pytest.mark.usefixtures("latchkey")
def test_a_reader_that_has_enough_ends_it_quietly() -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT / "clients/python")}
    program = "import sys; from latchkey_client.cli.commands import execute; sys.exit(execute(['openapi']))"
    line = f'"{sys.executable}" -c "{program}" | head -c 10'
    done = subprocess.run(["bash", "-c", line], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == '{"openapi"'
    assert done.stderr == ""


def test_without_its_packages_it_says_what_to_install() -> None:
    program = "import sys; sys.modules['cyclopts'] = None\nfrom latchkey_client.cli import main; main()"
    environment = os.environ | {"PYTHONPATH": str(ROOT / "clients/python")}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "latchkey-client[cli]" in done.stderr
    assert "Traceback" not in done.stderr
