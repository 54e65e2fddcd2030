"""Cold start, warm CPU and memory of the functions beside a bare handler and two well-known frameworks.

Each sample is a fresh process in an environment of its own. It serves one event over and over, against a
stub on this machine that answers AWS calls at once. Rounds are interleaved and each ratio is taken within
its round, so that a machine that slows down slows all alike. The table shows medians of the rounds with
the quartiles in brackets. Exit code 1: a bar is missed; 2: a subject did not do the work.
"""

import argparse
import contextlib
import copy
import hashlib
import http.client
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parent.parent
WARM_UP, REQUESTS = 50, 200  # per process; the clock runs for the latter

REGION = "us-east-1"
SEALING_KEY = f"arn:aws:kms:{REGION}:000000000000:key/bench"
ENVIRONMENT = {
    # As on Lambda.
    "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "bench",
    "AWS_SESSION_TOKEN": "bench",
    "AWS_REGION": REGION,
    "AWS_DEFAULT_REGION": REGION,
    "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
    "AWS_LAMBDA_FUNCTION_NAME": "bench",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
    "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
    "LAMBDA_TASK_ROOT": "/var/task",
    "LANG": "en_US.UTF-8",
    "TZ": ":UTC",
    # Whoever runs this may have an AWS profile.
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    # What template.yaml sets.
    "LINKS_TABLE": "Links",
    "SECRETS_TABLE": "Secrets",
    "SEALING_KEY": SEALING_KEY,
    "LINK_BASE_URL": "https://appclip.example.com",
    "MAX_EXPIRES_IN": "7776000",
    "RETENTION_DAYS": "30",
    "LIVE_CONNECTORS": "",
    "WEBHOOK_PORTS": "443,8443",
    "ALLOW_LOOPBACK_WEBHOOKS": "false",
    "POWERTOOLS_SERVICE_NAME": "latchkey",
    "POWERTOOLS_METRICS_NAMESPACE": "Latchkey",
    "POWERTOOLS_LOG_LEVEL": "INFO",
}
NO_CALL_TRACING = {"POWERTOOLS_TRACE_DISABLED": "true"}  # parameter Tracing=functions, the default
CALL_TRACING = {"POWERTOOLS_TRACE_DISABLED": "false"}  # parameter Tracing=calls


@dataclass(frozen=True)
class Subject:
    name: str
    environment: str  # folder under .local/bench
    paths: tuple[str, ...]  # put first on sys.path; one of them holds app.py
    events: tuple[str, ...]
    status: int = 201
    variables: dict[str, str] = field(default_factory=dict)
    refuses: bool = True
    once: dict[str, dict[str, int]] = field(
        default_factory=dict
    )  # event: AWS calls a process makes only once

    def calls(self, event: str, requests: int) -> dict[str, int]:
        writes = {"plain": 1, "founding": 2}.get(event)
        return self.once.get(event, {}) | ({"PutItem": writes * requests} if writes else {})


def ours(
    name: str, function: str, *events: str, status: int = 201, variables: dict[str, str] = NO_CALL_TRACING
) -> Subject:
    key = {"GetItem": 1}  # the API key's row
    once = {"plain": key, "founding": key | {"GenerateDataKey": 1}, "providers": key}
    paths = (f"functions/{function}", "layers/common")
    return Subject(name, "latchkey", paths, events, status=status, variables=variables, once=once)


def peer(name: str, folder: str, *events: str, variables: dict[str, str] | None = None) -> Subject:
    return Subject(name, folder, (f"bench/peers/{folder}", "bench/peers"), events, variables=variables or {})


FLOOR = Subject("floor", "floor", ("bench/peers/floor",), ("plain", "founding"), refuses=False)
PEERS = [
    peer("FastAPI + Mangum", "fastapi_mangum", "plain", "founding"),
    peer("Powertools default", "powertools", "plain", "founding"),
]
CREATE_LINK = ours("create_link", "create_link", "plain", "founding")
GET_PROVIDERS = ours("get_providers", "get_providers", "providers", status=200)
# For information, no bar: the same with the tracing of AWS calls switched the other way.
VARIANTS = [
    peer("Powertools, tracer off", "powertools", "founding", variables=NO_CALL_TRACING),
    ours("create_link, tracer on", "create_link", "founding", variables=CALL_TRACING),
]
SUBJECTS = [FLOOR, *PEERS, CREATE_LINK, GET_PROVIDERS, *VARIANTS]


class Sample(NamedTuple):
    cold: float  # ms, from before the import to the first answer
    warm: float  # ms of CPU per request
    memory: float  # MiB, peak


class WorkNotDoneError(Exception):
    """A subject did not do the work, so its figures would mean nothing."""


def events() -> dict[str, Any]:
    """The events by name; those that must be refused are named `broken ...`."""
    founding = json.loads((ROOT / "events/create_link.json").read_text())
    founding["headers"]["idempotency-key"] = "bench"  # everything on
    body = json.loads(founding["body"])
    write = next(o for o in body["operations"] if o.get("arguments"))

    def created_by(change: dict[str, Any]) -> dict[str, Any]:
        return {**copy.deepcopy(founding), "body": json.dumps(body | change)}

    def without_key(event: dict[str, Any]) -> dict[str, Any]:
        return {
            **event,
            "headers": {k: v for k, v in event["headers"].items() if k.lower() != "authorization"},
        }

    providers = json.loads((ROOT / "events/get_providers.json").read_text())
    read = {"resource": write["resource"], "action": "read"}
    bad_write = {**write, "arguments": write["arguments"] | {"cvv": "12"}}
    return {
        "founding": founding,
        "plain": created_by({"operations": [read, read]}),
        "providers": providers,
        "broken key": without_key(founding),
        "broken field": created_by({"integrationId": None}),
        "broken argument": created_by({"operations": [bad_write]}),
        "broken providers": without_key(providers),
    }


def aws_answers(event: dict[str, Any]) -> dict[str, Any]:
    headers = {name.lower(): value for name, value in event["headers"].items()}
    key = headers["authorization"].removeprefix("Bearer ")
    row = {
        "pk": {"S": "key#" + hashlib.sha256(key.encode()).hexdigest()},
        "sk": {"S": "key"},
        "account": {"S": "acme"},
        "livemode": {"BOOL": False},
    }
    data_key = {"KeyId": SEALING_KEY, "CiphertextBlob": "d3JhcHBlZA==", "Plaintext": "A" * 43 + "="}
    return {"GetItem": {"Item": row}, "PutItem": {}, "DeleteItem": {}, "GenerateDataKey": data_key}


@contextlib.contextmanager
def stub(answers: dict[str, Any]) -> Iterator[int]:
    command = [sys.executable, "-m", "bench.stub"]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(json.dumps(answers) + "\n")
        process.stdin.flush()
        yield int(process.stdout.readline())
        # Leaving closes its standard input, which ends it.


class Bench:
    def __init__(self, folder: Path, port: int, sampled: bool) -> None:
        self.folder, self.port, self.sampled = folder, port, sampled

    def calls(self) -> dict[str, int]:
        """The AWS calls seen since the last time of asking."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        with contextlib.closing(connection):
            connection.request("GET", "/counts")
            counts: dict[str, int] = json.load(connection.getresponse())
        return counts

    def run(
        self, subject: Subject, event: str, warm_up: int = 0, requests: int = 0
    ) -> tuple[list[int], Sample]:
        python = ROOT / ".local/bench" / subject.environment / "bin/python"
        file = self.folder / f"{event}.json"
        paths = [str(ROOT / path) for path in subject.paths]
        arguments = [str(file), str(warm_up), str(requests), str(int(self.sampled)), *paths]
        done = subprocess.run(
            [str(python), "-I", str(ROOT / "bench/subject.py"), *arguments],
            cwd=self.folder,
            env=ENVIRONMENT | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}"} | subject.variables,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if done.returncode:
            raise WorkNotDoneError(f"{subject.name} failed on the {event} event:\n{done.stderr}")
        report = json.loads(done.stdout)
        return report["statuses"], Sample(report["cold"], report["warm"], report["memory"])

    def sample(self, subject: Subject, event: str) -> Sample:
        statuses, sample = self.run(subject, event, WARM_UP, REQUESTS)
        calls, expected = self.calls(), subject.calls(event, 1 + WARM_UP + REQUESTS)
        if statuses != [subject.status] or calls != expected:
            raise WorkNotDoneError(
                f"{subject.name} answered the {event} event {statuses} with the AWS calls {calls}; "
                f"expected {[subject.status]} and {expected}"
            )
        return sample

    def check_refusals(self, subject: Subject) -> None:
        create = ["broken key", "broken field", "broken argument"]
        for event in create if "founding" in subject.events else ["broken providers"]:
            [status], _ = self.run(subject, event)
            calls = self.calls()
            if not 400 <= status < 500 or "PutItem" in calls:
                raise WorkNotDoneError(
                    f"{subject.name} answered the event with a {event} {status} and the AWS calls {calls}"
                )


Rounds = list[dict[tuple[str, str], Sample]]


def measure(rounds: int, sampled: bool) -> Rounds:
    prepared = events()
    pairs = [(subject, event) for subject in SUBJECTS for event in subject.events]
    with tempfile.TemporaryDirectory() as name, stub(aws_answers(prepared["founding"])) as port:
        folder = Path(name)
        for event, content in prepared.items():
            (folder / f"{event}.json").write_text(json.dumps(content))
        bench = Bench(folder, port, sampled)
        print("checking that each does the work", file=sys.stderr, flush=True)
        for subject in SUBJECTS:
            for event in subject.events:
                bench.sample(subject, event)  # also leaves the bytecode behind
            if subject.refuses:
                bench.check_refusals(subject)
        results: Rounds = []
        for number in range(rounds):
            print(f"round {number + 1} of {rounds}", file=sys.stderr, flush=True)
            shift = number % len(pairs)  # nobody always runs after the same neighbour's caches
            order = pairs[shift:] + pairs[:shift]
            results.append({(subject.name, event): bench.sample(subject, event) for subject, event in order})
        return results


def values(results: Rounds, subject: Subject, event: str, measurement: str, ratio: bool) -> list[float]:
    """One value a round, in its unit or as the ratio to the floor (for reading: to the plain event's)."""
    floor = (FLOOR.name, "plain" if event == "providers" else event)
    taken = [(getattr(r[subject.name, event], measurement), getattr(r[floor], measurement)) for r in results]
    return [value / base if ratio else value for value, base in taken]


def print_table(results: Rounds) -> None:
    columns = {"cold": "{:.0f} ms", "warm": "{:.2f} ms", "memory": "{:.0f} MiB"}
    heads = {"cold": "cold start", "warm": "warm CPU a request", "memory": "peak memory"}
    for event in ("plain", "founding", "providers"):
        print((f"\n{event:24}" + "".join(f"{heads[column]:30}" for column in columns)).rstrip())
        for subject in SUBJECTS if event != "providers" else [GET_PROVIDERS]:
            if event not in subject.events:
                continue
            cells = []
            for column, unit in columns.items():
                low, middle, high = statistics.quantiles(values(results, subject, event, column, True), n=4)
                plain = unit.format(statistics.median(values(results, subject, event, column, False)))
                cells.append(f"{middle:.2f} x ({low:.2f}-{high:.2f}) {plain}")
            print(f"{subject.name:24}" + "".join(f"{cell:30}" for cell in cells).rstrip())


def print_bars(results: Rounds) -> bool:
    """Says of each bar whether it is met; returns whether all are."""

    def median(subject: Subject, event: str, measurement: str, ratio: bool = True) -> float:
        return statistics.median(values(results, subject, event, measurement, ratio))

    bars: list[tuple[str, float, float]] = []  # what, seen, the most it may be
    for event in CREATE_LINK.events:
        bars += [
            (f"create_link, {event}: cold, x floor", median(CREATE_LINK, event, "cold"), 1.5),
            (f"create_link, {event}: warm, x floor", median(CREATE_LINK, event, "warm"), 1.4),
            (f"create_link, {event}: memory, MiB", median(CREATE_LINK, event, "memory", ratio=False), 68),
        ]
    bars.append(("get_providers: warm, x floor", median(GET_PROVIDERS, "providers", "warm"), 0.4))
    verdicts = [(what, f"{seen:.2f}", f"at most {most:g}", seen <= most) for what, seen, most in bars]
    for event in CREATE_LINK.events:
        for measurement in Sample._fields:
            seen = median(CREATE_LINK, event, measurement)
            best = min(median(peer, event, measurement) for peer in PEERS)
            what = f"create_link, {event}: {measurement}, x floor"
            verdicts.append((what, f"{seen:.2f}", f"below both peers' {best:.2f}", seen < best))
    print()
    for what, figure, bar, met in verdicts:
        print(f"{'met' if met else 'MISSED':8}{what:42}{figure:>7}  {bar}")
    return all(met for *_, met in verdicts)


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=13, help="samples of each figure (default 13)")
    parser.add_argument(
        "--sampled", action="store_true", help="as if X-Ray had chosen every request for a trace"
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
    print_table(results)
    return 0 if print_bars(results) else 1


if __name__ == "__main__":
    sys.exit(main())
