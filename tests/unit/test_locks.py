"""The lock files hold what pyproject.toml asks for, pinned and hashed."""

import re
import tomllib

import pytest

from tests.template import ROOT

LOCKS = {
    "deploy": "layers/deps/requirements.txt",
    "dev": "requirements-dev.txt",
    "sam": "local/requirements-sam.txt",
    "emulator": "local/requirements-emulator.txt",
    "clients": "local/requirements-clients.txt",
    "site": "local/requirements-site.txt",
    "runtime": "bench/requirements-runtime.txt",
}
GROUPS = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]


def pins(path: str) -> dict[str, str]:
    """Version of each package in a lock file; fails if one has no hash."""
    found = {}
    for entry in re.sub(r"\\\n", " ", (ROOT / path).read_text()).splitlines():
        if match := re.match(r"([a-z0-9.-]+)(?:\[[^]]*\])?==(\S+)", entry):
            assert "--hash=sha256:" in entry, entry
            found[match[1]] = match[2]
    return found


@pytest.mark.parametrize("group", LOCKS)
def test_a_lock_holds_its_whole_group(group: str) -> None:
    wanted = {re.split(r"[\[<>=]", name)[0] for name in GROUPS[group] if isinstance(name, str)}
    assert wanted
    assert wanted <= pins(LOCKS[group]).keys()


def test_what_is_tested_is_what_is_deployed() -> None:
    deployed, tested = pins(LOCKS["deploy"]), pins(LOCKS["dev"])
    assert {name: tested.get(name) for name in deployed} == deployed


@pytest.mark.parametrize("path", LOCKS.values())
def test_a_lock_names_no_registry(path: str) -> None:
    assert not re.search(r"https?://|--index-url|--find-links", (ROOT / path).read_text())
