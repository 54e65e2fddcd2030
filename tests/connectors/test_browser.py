"""`s.page`: a browser that a session finds again as it left it, and no other session does."""

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from latchkey_kit import Connector, Play, Session, ask
from latchkey_kit.browser import FLAGS
from latchkey_kit.connector import SPARE_SECONDS
from tests.connectors.conftest import CHROMIUM, Site, free_port

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")


def visitor(url: str) -> Connector:
    """A connector that leaves a mark in the page's storage, and asks with what it finds of the page."""
    app = Connector(url)

    def found(s: Session) -> str:
        return json.dumps(s.page.evaluate("[location.pathname, localStorage.getItem('mark')]"))

    @app.start
    def start(s: Session) -> Exception:
        s.page.goto("/login")
        title = found(s)
        s.page.evaluate("localStorage.setItem('mark', 'here')")
        return ask.login(title)

    @app.step
    def login(s: Session, password: str) -> Exception:
        if password == "a wrong field":
            s.page.get_by_label("Nothing has this label").fill(password, timeout=200)
        return ask.again(found(s))

    return app


def test_the_next_call_finds_the_page_as_it_was_left_and_no_other_session_does(site: Site) -> None:
    app = visitor(site.url)
    play, other = Play(app).start(), Play(app).start()
    assert other.challenge["title"] == '["/login", null]'
    assert play.answer(password="any").challenge["message"] == '["/login", "here"]'


def test_a_page_without_the_field_has_changed_and_what_was_typed_is_not_logged(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    play = Play(visitor(site.url)).start().answer(password="a wrong field")
    assert (play.reply["code"], play.reply["reason"]) == ("CONNECTION_FAILED", "other")
    logged = capsys.readouterr().out
    assert "page_changed: TimeoutError" in logged
    assert "Call log" in str(play.error)
    assert "Call log" not in logged


def test_a_site_that_refuses_or_hangs_is_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        for port in (free_port(), silent.getsockname()[1]):
            began = time.monotonic()
            play = Play(visitor(f"http://127.0.0.1:{port}"), seconds=SPARE_SECONDS + 3).start()
            assert (play.reply["code"], play.reply["reason"]) == ("CONNECTION_FAILED", "provider_unreachable")
            assert time.monotonic() - began < SPARE_SECONDS + 3


@pytest.fixture
def remote(tmp_path: Path) -> Iterator[str]:
    """The address of a browser that is not the connector's own."""
    flags = ["--headless", "--remote-debugging-port=0", f"--user-data-dir={tmp_path}", *FLAGS]
    with subprocess.Popen([str(CHROMIUM), *flags], stderr=subprocess.PIPE, text=True) as browser:
        assert browser.stderr
        address = next(line.split()[-1] for line in browser.stderr if "DevTools listening on" in line)
        yield address
        browser.terminate()
        browser.stderr.read()


def test_a_remote_browser_is_used_in_place_of_ones_own(
    site: Site, remote: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BROWSER_URL", remote)
    monkeypatch.setenv("PATH", "")
    play = Play(visitor(site.url)).start()
    assert play.answer(password="any").challenge["message"] == '["/login", "here"]'
