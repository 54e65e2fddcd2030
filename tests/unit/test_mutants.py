"""The list of faults that tests have to notice keeps up with the code."""

import ast

import pytest

from tests.mutants import MUTANTS, ROOT, Mutant, planted_in


@pytest.mark.parametrize("fault", MUTANTS, ids=lambda fault: fault.title)
def test_a_fault_can_still_be_planted_and_its_tests_are_there(fault: Mutant) -> None:
    text = (ROOT / fault.file).read_text("utf-8")
    changed = planted_in(text, fault)
    assert changed != text
    if fault.file.endswith(".py"):
        ast.parse(changed)
    assert fault.tests
    for test in fault.tests:
        file, _, name = test.partition("::")
        assert f"def {name}" in (ROOT / file).read_text("utf-8")


def test_each_fault_is_there_once() -> None:
    assert len({fault.title for fault in MUTANTS}) == len(MUTANTS)
    assert len({(fault.file, fault.text, fault.instead) for fault in MUTANTS}) == len(MUTANTS)
