"""The list of faults that tests have to notice keeps up with the code."""

import pytest

from tests.mutants import MUTANTS, ROOT, Mutant


@pytest.mark.parametrize("planted", MUTANTS, ids=lambda planted: planted.title)
def test_a_fault_can_still_be_planted(planted: Mutant) -> None:
    assert (ROOT / planted.file).read_text("utf-8").count(planted.text) == 1
    assert planted.text != planted.instead
    assert all((ROOT / test.partition("::")[0]).exists() for test in planted.tests)
