"""Makes clients of openapi.json, compiles them and runs them against the local stack: `make clients`."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from local.stack import Failure, Stack, step
from tests.template import ROOT

HERE = Path(__file__).parent
DOCUMENT = ROOT / "schemas/openapi.json"
PYTHON = ROOT / ".local/clients/bin/python"
NODE_MODULES = ROOT / ".local/typescript/node_modules"


def python(url: str, key: str, folder: Path) -> str:
    """Id of the link that the life in life.py was about, by the client made in an empty folder."""
    (folder / "config.yaml").write_text("post_hooks: []\n")  # they would format it
    _run(
        *(PYTHON.with_name("openapi-python-client"), "generate", "--fail-on-warning", "--meta", "none"),
        *("--path", DOCUMENT, "--config", "config.yaml", "--output-path", "generated_client"),
        folder=folder,
    )
    life = shutil.copy(HERE / "life.py", folder)
    check = (sys.executable, "-m", "mypy", "--config-file=", "--strict", "--python-executable", PYTHON)
    _run(*check, life, folder=folder)
    _run(*check, "-p", "generated_client", folder=folder)
    return _run(PYTHON, life, folder=folder, url=url, key=key)


def typescript(url: str, key: str, folder: Path) -> list[str]:
    """Ids of the links that the lives in *.ts were about."""
    (folder / "node_modules").symlink_to(NODE_MODULES)
    (folder / "package.json").write_text("{}")
    tool = NODE_MODULES / ".bin"
    _run(tool / "openapi-typescript", DOCUMENT, "-o", "schema.ts", folder=folder)
    _run(tool / "openapi-ts", "-i", DOCUMENT, "-o", "hey_api_client", "--no-log-file", folder=folder)
    lives = [Path(shutil.copy(file, folder)) for file in sorted(HERE.glob("*.ts"))]
    strict = ("--strict", "--noUncheckedIndexedAccess", "--target", "es2022", "--module", "node16")
    _run(tool / "tsc", *strict, "--lib", "es2022,dom,dom.iterable", *lives, folder=folder)
    return [_run("node", life.with_suffix(".js"), folder=folder, url=url, key=key) for life in lives]


def _run(*command: str | Path, folder: Path, url: str = "", key: str = "") -> str:
    """What the command prints; raises Failure with it if the command fails."""
    environment = os.environ | {"LATCHKEY_URL": url, "LATCHKEY_KEY": key}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=300
    )
    if done.returncode:
        raise Failure(f"{Path(command[0]).name} failed:\n{done.stdout}{done.stderr}")
    return done.stdout.strip()


def main() -> None:
    running = Stack().read()
    if not NODE_MODULES.exists():
        print("There is no npm here: no client is made in TypeScript")
    for make in (python, typescript) if NODE_MODULES.exists() else (python,):
        folder = ROOT / ".local/made" / make.__name__
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        with step(f"Making, compiling and running clients in {make.__name__}"):
            make(running["apiUrl"], running["testApiKey"], folder)


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        sys.exit(str(failure))
