"""The pages agree with what they speak of, and with one another."""

import re
import tomllib
from pathlib import Path

import pytest

from latchkey import __version__
from tests.template import ROOT, template

PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]


def anchors(page: Path) -> set[str]:
    """What GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)|src=\"(?!https?:)([^\"]+)\"", page.read_text())
    for file, heading, picture in links:
        target = page.parent / (file or picture) if file or picture else page
        assert target.exists(), target
        assert not heading or heading in anchors(target), (target, heading)


def test_the_version_stands_in_three_places_alike() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    released = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert project["version"] == released[0] == __version__


def test_the_page_on_deployment_has_each_parameter_once_with_its_default() -> None:
    table = re.findall(r"^\| (`.*?) \| (.*?) \| .*\|$", (ROOT / "docs/deploy.md").read_text(), re.MULTILINE)
    told: list[tuple[str, str]] = []
    for cell, defaults in table:
        names, values = re.findall(r"`(\w+)`", cell), defaults.replace("`", "").split(", ")
        told += zip(names, values * len(names) if len(values) == 1 else values, strict=True)
    # Said in words: an empty text means none, or something else that the page names.
    words = {("LinkBaseUrl", ""): "the API's own address", ("AlarmTopicArn", ""): "the stack's own"}
    parameters = {
        name: words.get((name, str(parameter["Default"])), str(parameter["Default"]) or "none")
        for name, parameter in template()["Parameters"].items()
    }
    assert sorted(told) == sorted(parameters.items())


def test_the_first_page_has_the_figures_of_the_page_on_costs() -> None:
    costs = (ROOT / "docs/costs.md").read_text()
    completed = re.findall(r"^\| completed \|.* ([\d.]+) \|$", costs, re.MULTILINE)[0]
    month = re.findall(r"A month costs ([\d.]+) dollars before the first link", costs)[0]
    said = f"about {float(completed) / 1000:.2f} dollars of AWS, a month before the first link {month}:"
    assert said in (ROOT / "README.md").read_text()
