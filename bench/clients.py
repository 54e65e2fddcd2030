"""Import time, memory and install size of the Python client beside stripe's and svix's: `make weigh`.

Each sample is a fresh process, of each subject in turn, so that a machine that slows down slows all alike;
medians of the samples. The base, a Python that imports nothing, is taken off. Pydantic is there to show what
models of it would add to the same client. Exit code 1: our import takes longer than its bar beside what it
stands on.
"""

import argparse
import json
import statistics
import subprocess
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
CLIENT = ROOT / "clients/python"
BAR = 150  # ms that the package itself may take

# Importing pydantic and making of each of our models one of its own.
PYDANTIC_MODELS = """
import inspect, typing, pydantic
from latchkey_client import models
made = {}
def in_pydantic(hint):
    if hint in made: return made[hint]
    of = typing.get_args(hint)
    if typing.get_origin(hint) in (list, dict): return typing.get_origin(hint)[tuple(map(in_pydantic, of))]
    if type(None) in of: return typing.Union[tuple(in_pydantic(o) for o in of)]
    return hint
for model in vars(models).values():
    if inspect.isclass(model) and issubclass(model, models.Model) and model is not models.Model:
        hints = typing.get_type_hints(model)
        fields = {name: (in_pydantic(hint), ...) for name, hint in hints.items() if not name.startswith("_")}
        made[model] = pydantic.create_model(model.__name__, **fields)
"""

SAMPLE = r"""
import json, re, sys, time
sys.path.insert(0, {path!r})
began = time.perf_counter()
{statement}
took = time.perf_counter() - began
# Of this program alone: what getrusage tells begins with its parent's.
peak = re.search(r"VmHWM:\s+(\d+) kB", open("/proc/self/status").read())
print(json.dumps([took * 1000, int(peak[1]) / 1024]))
"""


@dataclass(frozen=True)
class Subject:
    name: str
    statement: str
    environment: str
    path: str = ""  # to import from
    sized: bool = False


SUBJECTS = (
    Subject("base", "pass", "latchkey_client"),
    Subject(
        "ours: webhooks alone", "from latchkey_client import webhooks", "latchkey_client", path=str(CLIENT)
    ),
    Subject("httpx2, on which ours stands", "import httpx2", "latchkey_client"),
    Subject(
        "ours: Latchkey",
        "from latchkey_client import Latchkey",
        "latchkey_client",
        path=str(CLIENT),
        sized=True,
    ),
    Subject(
        "  with pydantic's models",
        f"from latchkey_client import Latchkey{PYDANTIC_MODELS}",
        "",
        path=str(CLIENT),
    ),
    Subject("stripe", "import stripe", "stripe", sized=True),
    Subject("svix", "import svix.api", "svix", sized=True),
)


def python(subject: Subject) -> Path:
    environment = ROOT / ".local/bench" / subject.environment if subject.environment else ROOT / ".venv"
    return environment / "bin/python"


def sample(subject: Subject) -> list[float]:
    """Milliseconds and MB of one fresh process."""
    program = SAMPLE.format(statement=subject.statement, path=subject.path or str(CLIENT.parent))
    run = subprocess.run([python(subject), "-c", program], capture_output=True, text=True, check=True)
    taken: list[float] = json.loads(run.stdout)
    return taken


def installed_mb(subject: Subject) -> float:
    """What pip puts on the disk, bytecode included, without pip and its kind."""
    packages = next((python(subject).parent.parent / "lib").glob("python*")) / "site-packages"
    folders = [packages, *([CLIENT / "latchkey_client"] if subject.path else [])]
    files = {file for folder in folders for file in folder.rglob("*") if file.is_file()}
    return sum(file.stat().st_size for file in files) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(prog="clients", description=__doc__.partition("\n")[0])
    parser.add_argument("--samples", type=int, default=15)
    arguments = parser.parse_args()
    taken: dict[str, list[list[float]]] = defaultdict(list)
    for subject in SUBJECTS:
        sample(subject)  # which writes bytecode
    for _ in range(arguments.samples):
        for subject in SUBJECTS:
            taken[subject.name].append(sample(subject))
    medians = {
        name: [statistics.median(column) for column in zip(*rows, strict=True)]
        for name, rows in taken.items()
    }
    base = medians["base"]
    print(f"Python {sys.version.split()[0]}, medians of {arguments.samples} processes, each less the base\n")
    print(f"{'':30}{'import ms':>10}{'memory MB':>11}{'installed MB':>14}")
    for subject in SUBJECTS[1:]:
        ms, mb = (median - less for median, less in zip(medians[subject.name], base, strict=True))
        size = f"{installed_mb(subject):14.1f}" if subject.sized else ""
        print(f"{subject.name:30}{ms:10.0f}{mb:11.1f}{size}")
    own = medians["ours: Latchkey"][0] - medians["httpx2, on which ours stands"][0]
    print(f"\nOurs beside what it stands on: {own:.0f} ms (at most {BAR})")
    sys.exit(own > BAR)


if __name__ == "__main__":
    main()
