"""Debian's Firefox, driven over its own protocol, Marionette: no other driver takes it as it comes."""

import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.e2e.api import eventually

FIREFOX = shutil.which("firefox-esr") or shutil.which("firefox")
PREFERENCES = """
user_pref("marionette.port", 0);
user_pref("remote.prefs.recommended", false); // they let popups through
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("browser.shell.checkDefaultBrowser", false);
"""


class Firefox:
    """One window, and those that it opens."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self._answers = self._socket.makefile("rb")
        self._receive()  # its greeting
        self._sent = 0
        self.send("NewSession")

    def send(self, command: str, **parameters: Any) -> Any:
        self._sent += 1
        message = json.dumps([0, self._sent, f"WebDriver:{command}", parameters])
        self._socket.sendall(f"{len(message.encode())}:{message}".encode())
        _, _, error, value = self._receive()
        assert error is None, error
        return value["value"] if isinstance(value, dict) and set(value) == {"value"} else value

    def _receive(self) -> Any:
        length = b""
        while (digit := self._answers.read(1)) != b":":
            length += digit
        return json.loads(self._answers.read(int(length)))

    def run(self, script: str, *arguments: Any) -> Any:
        """What a function's body returns in the page."""
        return self.send("ExecuteScript", script=script, args=arguments, sandbox=None)

    def click(self, selector: str) -> None:
        found = self.send("FindElement", using="css selector", value=selector)
        self.send("ElementClick", id=next(iter(found.values())))

    def close(self) -> None:
        self._answers.close()
        self._socket.close()


@contextmanager
def firefox(folder: Path) -> Iterator[Firefox]:
    """A Firefox with a profile in the folder, for as long as the context lasts."""
    assert FIREFOX is not None
    (folder / "user.js").write_text(PREFERENCES)
    command = [FIREFOX, "--headless", "--marionette", "--profile", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        try:
            port = eventually(lambda: _port(folder))
            browser = Firefox(port)
            yield browser
            browser.close()
        finally:
            running.terminate()
            running.wait()


def _port(folder: Path) -> int:
    file = folder / "MarionetteActivePort"
    return int(file.read_text() or 0) if file.exists() else 0
