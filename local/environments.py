"""Runs a connector's file as Lambda would, each environment a process with a folder and variables of its own.

This file is also what such a process runs: it knows nothing of Latchkey.
"""

import contextlib
import importlib.util
import json
import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any, Self

type Json = dict[str, Any]

START_SECONDS = 30  # for a process to load the connector
CALL_SECONDS = 60  # a session waits no longer for a reply
ROOT = Path(__file__).resolve().parent.parent
# Where connectors find the kit and, as the sandbox does, Latchkey itself.
PACKAGES = [ROOT / "connectors/kit", ROOT / "layers/common", ROOT]


class CallFailed(Exception):  # noqa: N818 # the connector's failure, not this program's
    """The connector gave no reply; the text says how it failed and repeats nothing of what it said."""


class Environment:
    """A process that has loaded the connector: called with a request, it gives the reply.

    Raises CallFailed when there is none.

    network: None as it is; "refused" turns each connection away; "silent" takes it and never answers.
    """

    def __init__(self, connector: Path, network: str | None = None) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="connector-"))
        self._silence = socket.create_server(("127.0.0.1", 0))
        port = self._silence.getsockname()[1] if network else 0
        if network == "refused":
            self._silence.close()
        self._printed = self._folder / "printed"
        self._made = self._folder / "made"  # names files that it has made elsewhere under /tmp
        self._left = ""
        back, answers = os.pipe()
        self._replies = back
        variables = os.environ | {
            "TMPDIR": str(self._folder),
            "AWS_LAMBDA_FUNCTION_NAME": connector.stem,
            "PYTHONPATH": os.pathsep.join(map(str, [connector.parent, *PACKAGES])),
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        with self._printed.open("wb") as printed:
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(connector), str(answers), str(port), str(self._made)],
                stdin=subprocess.PIPE,
                stdout=printed,
                stderr=printed,
                pass_fds=[answers],
                cwd=self._folder,
                env=variables,
                start_new_session=True,
            )
        os.close(answers)
        try:
            self._read(START_SECONDS)
        except CallFailed:
            said = self.printed().strip()
            self.close()
            raise CallFailed(f"{connector} does not load:\n{said}") from None

    def __call__(self, request: Json, seconds: float = CALL_SECONDS) -> bytes:
        """The reply's text. The connector is told of so many seconds, and waited for as by a session."""
        self._send(request, seconds)
        answer = self._read(CALL_SECONDS)
        if "raised" in answer:
            raise CallFailed(f"it raised {answer['raised']}")
        return str(answer["reply"]).encode()

    def interrupt(self, request: Json, after: float) -> None:
        """Send a request, and end the process after so many seconds."""
        self._send(request, CALL_SECONDS)
        with contextlib.suppress(CallFailed):
            self._read(after)
        self.close()

    def printed(self) -> str:
        """What the process has written to its output and error streams and, once closed, to its files."""
        return self._printed.read_text("utf-8", "replace") + self._left

    def close(self) -> None:
        """End the process and whatever it has started; what it printed stays to be read until `forget`.

        What it has left under /tmp goes, as it goes with an environment of Lambda.
        """
        if self._process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, 9)
        self._process.wait()
        if self._process.stdin:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        self._silence.close()
        made = [Path(name) for name in self._made.read_text().splitlines()] if self._made.exists() else []
        self._made.unlink(missing_ok=True)
        left = [file for file in self._folder.rglob("*") if file != self._printed and file.is_file()]
        for file in made + left:
            with contextlib.suppress(OSError):
                self._left += file.read_text("utf-8", "replace") if file.stat().st_size < 1 << 20 else ""
        for file in made:
            file.unlink(missing_ok=True)

    def forget(self) -> None:
        self.close()
        with contextlib.suppress(OSError):
            os.close(self._replies)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _send(self, request: Json, seconds: float) -> None:
        assert self._process.stdin
        line = json.dumps({"request": request, "seconds": seconds}) + "\n"
        try:
            self._process.stdin.write(line.encode())
            self._process.stdin.flush()
        except OSError:
            raise CallFailed("its process has ended") from None

    def _read(self, seconds: float) -> Any:
        """The next line of the process, within so many seconds."""
        line, until = b"", time.monotonic() + seconds
        while not line.endswith(b"\n"):
            ready, _, _ = select.select([self._replies], [], [], max(0, until - time.monotonic()))
            if not ready:
                self.close()
                raise CallFailed(f"no reply came within {seconds:.0f} s")
            part = os.read(self._replies, 1 << 16)
            if not part:
                raise CallFailed("its process has ended")
            line += part
        return json.loads(line)


class Environments:
    """Makes environments of one connector, and ends them all."""

    def __init__(self, connector: Path) -> None:
        self._connector = connector.resolve()
        self._made: list[Environment] = []

    def __call__(self, network: str | None = None) -> Environment:
        made = Environment(self._connector, network)
        self._made.append(made)
        return made

    def printed(self) -> str:
        """What all of them have written; ends them."""
        for made in self._made:
            made.close()
        return "".join(made.printed() for made in self._made)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for made in self._made:
            made.forget()


# --- In the process --------------------------------------------------------------------------------


class _Context:
    """What Lambda hands to a handler beside the event, as far as a connector needs it."""

    aws_request_id = "c6af9ac6-7b61-11e6-9a41-93e8deadbeef"
    function_name = os.environ.get("AWS_LAMBDA_FUNCTION_NAME", "connector")

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds

    def get_remaining_time_in_millis(self) -> int:
        return max(0, round(1000 * (self._until - time.monotonic())))


def _turn_away(port: int) -> None:
    """Let each connection that the process makes go to a port of this machine."""
    connect, connect_ex = socket.socket.connect, socket.socket.connect_ex

    def elsewhere(made: socket.socket, address: Any) -> Any:
        if made.family in (socket.AF_INET, socket.AF_INET6):
            return ("127.0.0.1", port) if made.family == socket.AF_INET else ("::ffff:127.0.0.1", port)
        return address

    def find(_host: Any, _port: Any, *_: Any, **__: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    patched: Any = socket
    patched.socket.connect = lambda made, address: connect(made, elsewhere(made, address))
    patched.socket.connect_ex = lambda made, address: connect_ex(made, elsewhere(made, address))
    patched.getaddrinfo = find


def _note_files(made: str) -> None:
    """Note each file that the process makes under /tmp but in its own folder."""
    own = os.path.dirname(made)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in ("open", "sqlite3.connect") or not isinstance(arguments[0], str):
            return
        path = os.path.abspath(arguments[0])
        if path.startswith("/tmp/") and not path.startswith(own) and not os.path.exists(path):  # noqa: S108
            with open(made, "a", encoding="utf-8") as names:
                names.write(path + "\n")

    sys.addaudithook(hook)


def load(connector: str) -> Any:
    """The connector's module."""
    name = Path(connector).stem
    spec = importlib.util.spec_from_file_location(name, connector)
    if spec is None or spec.loader is None:
        raise ImportError(f"{connector} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _serve(connector: str, answers: int, port: int, made: str) -> None:
    requests = os.fdopen(os.dup(0), encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    replies = os.fdopen(answers, "w", encoding="utf-8")

    def say(**members: Any) -> None:
        replies.write(json.dumps(members) + "\n")
        replies.flush()

    sys.path[:] = [path for path in sys.path if path != str(Path(__file__).parent)]
    if port:
        _turn_away(port)
    _note_files(made)
    handler = load(connector).lambda_handler
    say(loaded=True)
    for line in requests:
        sent = json.loads(line)
        try:
            say(reply=json.dumps(handler(sent["request"], _Context(sent["seconds"]))))
        except Exception as error:  # noqa: BLE001 # as the Lambda runtime does, which logs it
            traceback.print_exc()
            say(raised=type(error).__name__)


if __name__ == "__main__":
    _serve(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
