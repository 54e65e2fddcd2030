"""The page on costs says what its scripts print."""

import os
import subprocess
import sys

import pytest

from tests.template import ROOT


@pytest.mark.parametrize("script", ["costs", "due"])
def test_the_page_holds_each_figure_that_is_printed(script: str) -> None:
    printed = subprocess.run(
        [sys.executable, "-m", f"bench.{script}"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": "layers/common"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    page = (ROOT / "docs/costs.md").read_text().splitlines()
    assert len(printed) > 10
    assert [line for line in printed if line not in page] == []
