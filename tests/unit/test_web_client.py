"""The script for web pages, and the package that it is in."""

import gzip
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.template import ROOT

SCRIPT = ROOT / "functions/link_page/latchkey.js"
TYPESCRIPT = ROOT / ".local/typescript/node_modules"
STRICT = (
    *("--strict", "--noUncheckedIndexedAccess", "--exactOptionalPropertyTypes", "--noEmit"),
    *("--target", "es2022", "--module", "nodenext", "--lib", "es2022,dom"),
)


def test_the_script_is_small_and_needs_nothing() -> None:
    assert len(gzip.compress(SCRIPT.read_bytes(), mtime=0)) <= 4096
    assert not re.search(r"\b(import|require|eval|innerHTML|Function)\b", SCRIPT.read_text())


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package in it, as npm makes it of clients/web."""
    if not TYPESCRIPT.exists():
        pytest.skip("no compiler of TypeScript here: make .local/typescript/.ready, which needs npm")
    folder = tmp_path_factory.mktemp("web")
    source = shutil.copytree(ROOT / "clients/web", folder / "a/b/web")
    shutil.copytree(SCRIPT.parent, folder / "a/functions/link_page")
    shutil.copy(ROOT / "LICENSE", folder / "a")
    run("npm", "pack", "--silent", "--pack-destination", folder, folder=source)
    (archive,) = folder.glob("*.tgz")
    with tarfile.open(archive) as packed:
        packed.extractall(folder / "node_modules", filter="data")
    (folder / "node_modules/package").rename(folder / "node_modules/latchkey-web")
    (folder / "package.json").write_text('{"type": "module"}')
    return folder


def test_the_package_holds_the_script_that_is_served(installed: Path) -> None:
    package = installed / "node_modules/latchkey-web"
    assert (package / "latchkey.js").read_bytes() == SCRIPT.read_bytes()
    assert {file.name for file in package.iterdir()} == {
        *("LICENSE", "README.md", "index.d.ts", "index.js", "latchkey.js", "package.json"),
    }


def test_the_package_can_be_imported_where_there_is_no_browser(installed: Path) -> None:
    program = 'import { Latchkey } from "latchkey-web"; console.log(Object.keys(Latchkey).join())'
    assert run("node", "--input-type=module", "-e", program, folder=installed) == "open,resume\n"


def test_every_member_compiles_and_misuse_does_not(installed: Path) -> None:
    """Each line marked @ts-expect-error is an error of the compiler's unless it is refused."""
    shutil.copy(ROOT / "tests/clients/web/uses.ts", installed)
    run(TYPESCRIPT / ".bin/tsc", *STRICT, "uses.ts", folder=installed)


def run(*command: str | Path, folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
