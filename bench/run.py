"""Cold start, warm CPU and memory of the functions beside a bare handler and two well-known frameworks.

Each sample is a fresh process that serves one event over and over, against a stub on this machine that
answers AWS calls at once. Ours are the built artefacts (`make build`); the bare handler and the frameworks
are packaged in the same way, with bytecode and without the models of other AWS services. Rounds are
interleaved and each ratio is taken within its round, so that a machine that slows down slows all alike. The
tables show medians of the rounds with the quartiles in brackets. Exit code 1: a bar is missed; 2: a subject
did not do the work.
"""

import argparse
import contextlib
import http.client
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from bench import runtime
from bench.work import ENVIRONMENT, ROOT, api_functions, events
from local.build import BUILD, SERVICES, compile_bytecode

WARM_UP, REQUESTS = 50, 200  # per process; the clock runs for the latter

NO_CALL_TRACING = {"POWERTOOLS_TRACE_DISABLED": "true"}  # parameter Tracing=functions, the default
CALL_TRACING = {"POWERTOOLS_TRACE_DISABLED": "false"}  # parameter Tracing=calls

IN_PROCESS = "in process"
RUNTIME = "under the runtime client"
SOURCES = "under the runtime client, without bytecode"
CLOCKS = {
    IN_PROCESS: "from before the import to the first answer",
    RUNTIME: "from the start of the process to the first answer",
    SOURCES: "the same, first answer alone",
}


@dataclass(frozen=True)
class Subject:
    name: str
    events: tuple[str, ...]
    function: str = ""  # logical id, if it is one of ours
    peer: str = ""  # folder in bench/peers, if it is not
    status: int = 201
    variables: dict[str, str] = field(default_factory=dict)
    clocks: tuple[str, ...] = (IN_PROCESS, RUNTIME, SOURCES)

    @property
    def refuses(self) -> bool:
        """Whether it is to refuse what is wrong: the floor does not."""
        return "founding" in self.events and self.name != "floor"


FLOOR = Subject("floor", ("plain", "founding"), peer="floor")
# Of a function that has to read a link, whatever else it does.
FLOOR_READ = Subject("floor, one read", ("link_page",), peer="floor", status=200, clocks=(IN_PROCESS,))
PEERS = [
    Subject("FastAPI + Mangum", ("plain", "founding"), peer="fastapi_mangum"),
    Subject("Powertools default", ("plain", "founding"), peer="powertools"),
]
CREATE_LINK = Subject(
    "create_link", ("plain", "founding"), function="CreateLinkFunction", variables=NO_CALL_TRACING
)
OTHERS = [
    Subject(
        name, (name,), function=function, status=200, variables=NO_CALL_TRACING, clocks=(IN_PROCESS, RUNTIME)
    )
    for name, function in api_functions().items()
    if name != "create_link"
]
# For information, no bar: the same with the tracing of AWS calls switched the other way.
VARIANTS = [
    Subject(
        "Powertools, tracer off",
        ("founding",),
        peer="powertools",
        variables=NO_CALL_TRACING,
        clocks=(IN_PROCESS,),
    ),
    Subject(
        "create_link, tracer on",
        ("founding",),
        function="CreateLinkFunction",
        variables=CALL_TRACING,
        clocks=(IN_PROCESS,),
    ),
]
SUBJECTS = [FLOOR, *PEERS, CREATE_LINK, FLOOR_READ, *OTHERS, *VARIANTS]
# Of create_link: x floor, x floor, MiB.
AT_MOST = {"cold": 1.25, "warm": 1.25, "memory": 60.0}
# x floor, of what answers from what it holds; of link_page beside the read, without which it cannot tell the
# link's state nor that there is none.
HOLDER_WARM = 0.4
PEERS_COLD = 0.65  # x either peer


class Sample(NamedTuple):
    cold: float  # ms
    warm: float  # ms of CPU per request
    memory: float  # MiB, peak


class Bar(NamedTuple):
    what: str
    seen: float
    most: float  # that it may be


class WorkNotDoneError(Exception):
    """A subject did not do the work, so its figures would mean nothing."""


@contextlib.contextmanager
def stub() -> Iterator[int]:
    command = [sys.executable, "-m", "bench.stub"]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        yield int(process.stdout.readline())
        # Leaving closes its standard input, which ends it.


def package_peers(folder: Path) -> None:
    """Lay out the floor and the peers as SAM lays out ours; files are linked, not copied."""
    for peer in {subject.peer for subject in SUBJECTS if subject.peer}:
        task, packages = folder / peer / "task", folder / peer / "packages"
        task.mkdir(parents=True)
        for source in ["links.py", "catalogue.json", f"{peer}/app.py"]:
            shutil.copy(ROOT / "bench/peers" / source, task)
        installed = ROOT / ".local/bench" / peer / "lib/python3.13/site-packages"
        shutil.copytree(installed, packages, copy_function=os.link)
        for model in (packages / "botocore/data").glob("*/"):
            if model.name not in SERVICES:
                shutil.rmtree(model)
        compile_bytecode(task, "/var/task")
        compile_bytecode(packages, "/opt")


class Bench:
    def __init__(self, folder: Path, port: int, sampled: bool) -> None:
        self.folder, self.port, self.sampled = folder, port, sampled
        package_peers(folder)
        for artefact in [BUILD, *(path for path in folder.iterdir())]:
            without = folder / "sources" / artefact.name
            shutil.copytree(
                artefact, without, copy_function=os.link, ignore=shutil.ignore_patterns("__pycache__")
            )

    def paths(self, subject: Subject, clock: str) -> list[Path]:
        """Where its app.py is, and its packages."""
        sources = clock == SOURCES
        if subject.peer:
            root = self.folder / "sources" / subject.peer if sources else self.folder / subject.peer
            return [root / "task", root / "packages"]
        root = self.folder / "sources" / BUILD.name if sources else BUILD
        return [root / subject.function, root / "CommonLayer/python", root / "DepsLayer/python"]

    def _stub(self, method: str, path: str, body: str = "") -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        with contextlib.closing(connection):
            connection.request(method, path, body=body)
            return json.load(connection.getresponse())

    def run(
        self, subject: Subject, event: str, clock: str, warm_up: int, requests: int
    ) -> tuple[list[int], dict[str, int], Sample]:
        """Statuses of the answers, AWS calls by operation, and the figures of one fresh process."""
        self._stub("PUT", "/answers", json.dumps(events()[event].answers))
        content, paths = json.dumps(events()[event].content), self.paths(subject, clock)
        variables = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}"} | subject.variables
        environment = ENVIRONMENT | variables
        if clock == IN_PROCESS:
            arguments = [str(warm_up), str(requests), str(int(self.sampled)), *map(str, paths)]
            done = subprocess.run(
                [str(runtime.PYTHON), "-I", str(ROOT / "bench/subject.py"), *arguments],
                input=content,
                cwd=self.folder,
                env=environment,
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
            if done.returncode:
                raise WorkNotDoneError(f"{subject.name} failed on the {event} event:\n{done.stderr}")
            report = json.loads(done.stdout)
            statuses, figures = report["statuses"], [report[figure] for figure in Sample._fields]
        else:
            statuses, *figures = runtime.run(paths, environment, content, warm_up, requests)
        return statuses, self._stub("GET", "/counts"), Sample(*figures)

    def sample(self, subject: Subject, event: str, clock: str) -> Sample:
        warm_up, requests = (0, 0) if clock == SOURCES else (WARM_UP, REQUESTS)
        statuses, calls, sample = self.run(subject, event, clock, warm_up, requests)
        writes = events()[event].writes
        expected = None if writes is None else writes * (1 + warm_up + requests)
        if statuses != [subject.status] or expected not in (None, calls.get("PutItem")):
            raise WorkNotDoneError(
                f"{subject.name} answered the {event} event {clock} {statuses} with the AWS calls {calls}; "
                f"expected {[subject.status]}, and {expected} writes"
            )
        return sample

    def check_refusals(self, subject: Subject) -> None:
        for event in ("broken key", "broken field", "broken argument"):
            [status], calls, _ = self.run(subject, event, IN_PROCESS, 0, 0)
            if not 400 <= status < 500 or "PutItem" in calls:
                raise WorkNotDoneError(
                    f"{subject.name} answered the event with a {event} {status} and the AWS calls {calls}"
                )


Rounds = list[dict[tuple[str, str, str], Sample]]  # by subject, event and clock


def measure(rounds: int, sampled: bool) -> Rounds:
    kinds = [
        (subject, event, clock)
        for subject in SUBJECTS
        for event in subject.events
        for clock in subject.clocks
    ]
    # In .local, because hard links do not leave a file system.
    with tempfile.TemporaryDirectory(dir=ROOT / ".local/bench") as name, stub() as port:
        bench = Bench(Path(name), port, sampled)
        print("checking that each does the work", file=sys.stderr, flush=True)
        for subject in filter(lambda subject: subject.refuses, SUBJECTS):
            bench.check_refusals(subject)
        results: Rounds = []
        for number in range(rounds):
            print(f"round {number + 1} of {rounds}", file=sys.stderr, flush=True)
            shift = number % len(kinds)  # nobody always runs after the same neighbour's caches
            results.append(
                {
                    (subject.name, event, clock): bench.sample(subject, event, clock)
                    for subject, event, clock in kinds[shift:] + kinds[:shift]
                }
            )
        return results


def values(
    results: Rounds, subject: Subject, event: str, clock: str, measurement: str, ratio_to: Subject | None
) -> list[float]:
    """One value a round, in its unit or as the ratio to another's on the same event (or the plain one)."""

    def value(samples: dict[tuple[str, str, str], Sample], name: str, event: str) -> float:
        return float(getattr(samples[name, event, clock], measurement))

    if ratio_to is None:
        return [value(samples, subject.name, event) for samples in results]
    base = event if event in ratio_to.events else "plain"
    return [value(samples, subject.name, event) / value(samples, ratio_to.name, base) for samples in results]


def print_table(results: Rounds, clock: str) -> None:
    columns = {"cold": "{:.0f} ms", "warm": "{:.2f} ms", "memory": "{:.0f} MiB"}
    heads = {"cold": "cold start", "warm": "warm CPU a request", "memory": "peak memory"}
    if clock == SOURCES:
        del columns["warm"], columns["memory"]
    print(f"\n{clock}; cold: {CLOCKS[clock]}")
    lines: list[tuple[Subject, str]] = [
        (s, event) for event in ("plain", "founding") for s in SUBJECTS if event in s.events
    ]
    lines += [(s, event) for s in [*OTHERS, FLOOR_READ] for event in s.events]
    for subject, event in lines:
        if clock not in subject.clocks:
            continue
        if subject is FLOOR or (subject is OTHERS[0]):
            title = event if subject is FLOOR else "the other functions"
            print((f"{title:24}" + "".join(f"{heads[column]:30}" for column in columns)).rstrip())
        cells = []
        for column, unit in columns.items():
            ratios = values(results, subject, event, clock, column, FLOOR)
            low, middle, high = statistics.quantiles(ratios, n=4)
            plain = unit.format(statistics.median(values(results, subject, event, clock, column, None)))
            cells.append(f"{middle:.2f} x ({low:.2f}-{high:.2f}) {plain}")
        print(f"{subject.name:24}" + "".join(f"{cell:30}" for cell in cells).rstrip())


def print_bars(results: Rounds) -> bool:
    """Says of each bar whether it is met; returns whether all are."""

    def median(
        subject: Subject, event: str, measurement: str, to: Subject | None = FLOOR, clock: str = IN_PROCESS
    ) -> float:
        return statistics.median(values(results, subject, event, clock, measurement, to))

    bars = []
    for event in CREATE_LINK.events:
        what = f"create_link, {event}"
        bars += [
            Bar(f"{what}: {name}, x floor", median(CREATE_LINK, event, name), AT_MOST[name])
            for name in ("cold", "warm")
        ]
        memory = median(CREATE_LINK, event, "memory", None)
        cold = median(CREATE_LINK, event, "cold", clock=RUNTIME)
        bars += [
            Bar(f"{what}: memory, MiB", memory, AT_MOST["memory"]),
            Bar(f"{what}, runtime: cold, x floor", cold, AT_MOST["cold"]),
        ]
        bars += [
            Bar(
                f"{what}, runtime: cold, x {peer.name}",
                median(CREATE_LINK, event, "cold", peer, RUNTIME),
                PEERS_COLD,
            )
            for peer in PEERS
        ]
        bars += [
            Bar(f"{what}: {measurement}, x {peer.name}", median(CREATE_LINK, event, measurement, peer), 1)
            for peer in PEERS
            for measurement in Sample._fields
        ]
    others = {subject.name: subject for subject in OTHERS}
    catalogue = median(others["get_providers"], "get_providers", "warm")
    page, read = (
        values(results, subject, "link_page", IN_PROCESS, "warm", FLOOR)
        for subject in (others["link_page"], FLOOR_READ)
    )
    beside = [whole - one for whole, one in zip(page, read, strict=True)]
    bars += [
        Bar("get_providers: warm, x floor", catalogue, HOLDER_WARM),
        Bar("link_page: warm, x floor, beside its one read", statistics.median(beside), HOLDER_WARM),
    ]
    print()
    for bar in bars:
        verdict = "met" if bar.seen <= bar.most else "MISSED"
        print(f"{verdict:8}{bar.what:62}{bar.seen:>5.2f}  at most {bar.most:g}")
    return all(bar.seen <= bar.most for bar in bars)


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9, help="samples of each figure (default 9)")
    parser.add_argument(
        "--sampled", action="store_true", help="in process, as if X-Ray had chosen every request for a trace"
    )
    options = parser.parse_args()
    began, load = time.monotonic(), os.getloadavg()[0]
    try:
        results = measure(options.rounds, options.sampled)
    except WorkNotDoneError as error:
        print(error, file=sys.stderr)
        return 2
    print(
        f"Python {platform.python_version()}, {os.cpu_count()} CPUs, "
        f"load {load:.2f} before and {os.getloadavg()[0]:.2f} after, {time.monotonic() - began:.0f} s. "
        f"{options.rounds} rounds; in each, a fresh process for each line: its first answer (cold), "
        f"{WARM_UP} requests to warm up, {REQUESTS} measured (warm)."
    )
    for clock in CLOCKS:
        print_table(results, clock)
    return 0 if print_bars(results) else 1


if __name__ == "__main__":
    sys.exit(main())
