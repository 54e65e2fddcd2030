"""What the pages tell a newcomer to paste works."""

import json
import os
import re
import subprocess
from pathlib import Path

from tests.e2e.deployed import Deployed
from tests.e2e.receiver import receiving
from tests.template import ROOT


def scripts() -> list[str]:
    return re.findall(r"```bash\n(.*?)```", (ROOT / "docs/test.md").read_text(), re.DOTALL)


def test_the_life_of_a_link_can_be_pasted(deployed: Deployed, tmp_path: Path) -> None:
    script = scripts()[0]
    (tmp_path / ".local").mkdir()
    (tmp_path / ".local/stack.json").write_text(deployed.stack.file.read_text())
    pasted = subprocess.run(
        ["bash"], input=script, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60
    )
    assert pasted.stderr == ""
    link = json.loads("{" + pasted.stdout.rpartition("}{")[2])
    assert link["status"] == "complete"
    assert [result["resource"] for result in link["result"]["operations"]] == [
        "paymentMethod",
        "mobileBillingStatement",
    ]


def test_the_recipe_for_a_pipeline_runs_as_it_stands(deployed: Deployed) -> None:
    with receiving() as receiver:
        settings = {"API": deployed.url, "KEY": deployed.api.key, "HOOK": receiver.url}
        ran = subprocess.run(
            ["bash"], input=scripts()[1], env=os.environ | settings, capture_output=True, text=True,
            check=False, timeout=60,
        )  # fmt: skip
    assert (ran.returncode, ran.stderr) == (0, "")
    # One completed, eight failed, two ended otherwise, one retried, one asked for again.
    assert len(receiver.got) == 13
