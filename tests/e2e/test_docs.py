"""What the pages tell a newcomer to paste works."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.deployed import Deployed
from tests.e2e.receiver import receiving
from tests.template import ROOT


def scripts() -> list[str]:
    return re.findall(r"```bash\n(.*?)```", (ROOT / "docs/test.md").read_text(), re.DOTALL)


@pytest.fixture
def folder(deployed: Deployed, tmp_path: Path) -> Path:
    """One in which `make up` runs."""
    (tmp_path / ".local").mkdir()
    (tmp_path / ".local/stack.json").write_text(deployed.stack.file.read_text())
    (tmp_path / ".venv").symlink_to(sys.prefix)
    return tmp_path


def pasted(script: str, folder: Path, **variables: str) -> str:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LATCHKEY_")}
    environment = kept | {"XDG_CONFIG_HOME": str(folder)} | variables
    ran = subprocess.run(
        ["bash"], input=script, cwd=folder, env=environment, capture_output=True, text=True, check=False,
        timeout=120,
    )  # fmt: skip
    assert (ran.returncode, ran.stderr) == (0, "")
    return ran.stdout


def test_the_life_of_a_link_can_be_pasted(folder: Path) -> None:
    link = pasted(scripts()[0], folder).rpartition("linkId ")[2]
    assert re.search(r"^status +complete$", link, re.MULTILINE)
    for resource in ("paymentMethods", "billing"):
        assert f'"{resource}": [' in link


def test_the_recipe_for_a_pipeline_runs_as_it_stands(folder: Path) -> None:
    with receiving() as receiver:
        pasted(scripts()[1], folder, HOOK=receiver.url)
    # One completed, eight failed, two ended otherwise, one retried, one asked for again.
    assert len(receiver.got) == 13
