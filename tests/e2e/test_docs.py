"""What the pages tell a newcomer to paste works."""

import json
import re
import subprocess
from pathlib import Path

from tests.e2e.deployed import Deployed
from tests.template import ROOT


def test_the_life_of_a_link_can_be_pasted(deployed: Deployed, tmp_path: Path) -> None:
    (script,) = re.findall(r"```bash\n(.*?)```", (ROOT / "docs/test.md").read_text(), re.DOTALL)
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
