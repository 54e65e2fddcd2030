"""What a connector's author is given: its beginnings, and a way to play it."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from functions.sandbox_connector import app
from latchkey.domain.catalogue import providers
from local import new_connector, play
from local.connector_session import Json, Session
from tests.template import ROOT

NAME = "brandnew"  # unlikely to be there


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with a new connector in it."""
    root = tmp_path_factory.mktemp("project") / "tree"
    shutil.copytree(ROOT, root, symlinks=True, ignore=shutil.ignore_patterns(".*", "__pycache__"))
    new_connector.write(root, NAME)
    return root


def run(tree: Path, *command: str) -> str:
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": f"{tree}:{tree}/layers/common"}
    done = subprocess.run(
        [sys.executable, "-B", "-m", *command], cwd=tree, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_new_connector_passes_its_test_and_the_checks_of_the_project(tree: Path) -> None:
    assert " passed" in run(
        tree, "pytest", "-q", "-p", "no:cacheprovider", f"tests/connectors/test_{NAME}.py"
    )
    run(tree, "ruff", "check", f"connectors/{NAME}", f"tests/connectors/test_{NAME}.py")
    run(tree, "ruff", "format", "--check", f"connectors/{NAME}", f"tests/connectors/test_{NAME}.py")


def test_a_new_connector_conforms_and_does_no_harm(tree: Path) -> None:
    made = f"connectors/{NAME}"
    inputs = ["--integration", NAME, "--input", f"{made}/inputs.json"]
    assert ", 0 failed, 0 skipped" in run(tree, "local.conformance", f"{made}/connector.py", *inputs)


def test_a_connector_that_is_there_is_not_written_over(tree: Path) -> None:
    with pytest.raises(FileExistsError, match="is there already"):
        new_connector.write(tree, NAME)


def test_a_connector_is_played_in_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each answer is typed where it is asked for, secrets unseen."""
    typed = ["user_choice", "2", "2", "1", "1", "", "4"]
    hidden = ["pass_good", "123456"]
    monkeypatch.setattr("builtins.input", lambda _: typed.pop(0))
    monkeypatch.setattr(play, "getpass", lambda _: hidden.pop(0))
    provider = providers()["tmobile"]
    operations = {
        f"{action} {resource}": operation
        for resource, actions in provider.resources.items()
        for action, operation in actions.items()
    }

    def call(request: Json) -> Any:
        return app.lambda_handler(request, None)

    play.play(Session(call, "tmobile", lambda: 0.0), operations)
    shown = capsys.readouterr().out
    assert (typed, hidden) == ([], [])
    assert "A new code is on its way" in shown
    assert '"paymentMethods"' in shown
    assert "! " not in shown
