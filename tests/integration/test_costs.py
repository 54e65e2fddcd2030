"""The page on costs says what its scripts print."""

import os
import subprocess
import sys

import pytest

from bench.costs import measured
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


def test_a_link_is_written_to_a_lists_index_three_times_in_its_life() -> None:
    """When it is made, claimed, and ended: whatever its session and its deliveries do."""
    phases = measured()
    lives = [phases["created"].writes + phases["completed"].writes + phases["delivered"].writes]
    lives.append(phases["created"].writes + phases["expired"].writes)
    assert [(life["byAccount"], life["byExternalUser"]) for life in lives] == [(3, 3), (2, 2)]
