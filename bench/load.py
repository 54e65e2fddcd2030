"""Creates and reads links on the running local stack at rising concurrency: `make load`.

Says at each level how many requests a second were answered, how long they took, and whose CPU they took. At
the end, looks into the table: each 201 is one link there, and there is no other.
"""

import argparse
import json
import os
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from itertools import count
from pathlib import Path
from threading import local
from typing import Any

from latchkey.domain import ids
from local.stack import Failure, Stack, sample_event

LEVELS = (1, 2, 4, 8, 16, 32)
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Answer:
    status: int  # 0: none
    seconds: float
    body: Any = None


class Client:
    """One connection for each thread."""

    def __init__(self, url: str, key: str) -> None:
        self._address = url.removeprefix("http://")
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self._threads = local()

    def request(self, method: str, path: str, body: Any = None) -> Answer:
        connection = getattr(self._threads, "connection", None)
        if connection is None:
            connection = self._threads.connection = HTTPConnection(self._address, timeout=30)
        start = time.perf_counter()
        try:
            connection.request(method, path, None if body is None else json.dumps(body), self._headers)
            response = connection.getresponse()
            content = json.loads(response.read())
        except (OSError, HTTPException, ValueError):
            connection.close()
            return Answer(0, time.perf_counter() - start)
        return Answer(response.status, time.perf_counter() - start, content)


class Load:
    def __init__(self, stack: Stack) -> None:
        running = stack.read()
        key = ids.new_api_key(livemode=False)
        stack.register(key, "acme", rate=0)  # one without a limit
        self.stack, self.client = stack, Client(running["apiUrl"], key)
        self.run = ids.new_token()  # marks what this run has created
        self.numbers = count()
        self.created: dict[str, str] = {}  # link id of each user of ours
        self.body = json.loads(sample_event()["body"])
        del self.body["webhookUrl"]  # whose expiry would send an event

    def create_and_read(self, until: float) -> list[tuple[str, Answer]]:
        if time.monotonic() > until:
            return []
        user = f"load-{self.run}-{next(self.numbers)}"
        created = self.client.request("POST", "/v1/links", self.body | {"externalUserId": user})
        if created.status != 201:
            return [("create", created)]
        self.created[user] = created.body["linkId"]
        read = self.client.request("GET", f"/v1/links/{created.body['linkId']}")
        if read.status == 200 and read.body["externalUserId"] != user:
            read = Answer(0, read.seconds)
        return [("create", created), ("read", read)]

    def level(self, concurrency: int, pairs: int, seconds: float) -> float:
        """Requests a second at this concurrency, after printing a line about it."""
        cpu, start = self._cpu(), time.monotonic()
        with ThreadPoolExecutor(concurrency) as pool:
            done = list(pool.map(self.create_and_read, [start + seconds] * pairs))
        took = time.monotonic() - start
        answers = [answer for pair in done for answer in pair]
        used = {name: (after - cpu[name]) / took for name, after in self._cpu().items()}
        errors = sum(answer.status not in (200, 201) for _, answer in answers)
        times = {
            kind: [1000 * answer.seconds for of, answer in answers if of == kind]
            for kind in ("create", "read")
        }
        per_second = (len(answers) - errors) / took
        cells = [f"{concurrency:>11}", f"{per_second:>10.0f}", f"{errors:>6}"]
        cells += [f"{_quantiles(times[kind]):>18}" for kind in times]
        cells += [f"{share:>9.2f}" for share in used.values()]
        print(" ".join(cells), flush=True)
        self.used = used
        return per_second

    def _cpu(self) -> dict[str, float]:
        """Seconds of CPU that each party has used: one process, many, and this one."""
        emulator, functions = self.stack.pid(), 0.0
        seconds = {"emulator": 0.0}
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = path.read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(fields[2]) == emulator:  # of its process group
                used = (int(fields[11]) + int(fields[12])) / TICKS
                if int(path.parent.name) == emulator:
                    seconds["emulator"] = used
                else:
                    functions += used
        return seconds | {"functions": functions, "client": time.process_time()}

    def check_stored(self) -> bool:
        """Whether each 201 is stored once, and nothing else of this run is."""
        pages = self.stack.client("dynamodb").get_paginator("scan")
        stored: dict[str, list[str]] = {}
        for page in pages.paginate(
            TableName=self.stack.physical_ids()["LinksTable"],
            FilterExpression="begins_with(externalUserId, :run)",
            ExpressionAttributeValues={":run": {"S": f"load-{self.run}-"}},
            ConsistentRead=True,
        ):
            for item in page["Items"]:
                stored.setdefault(item["externalUserId"]["S"], []).append(item["pk"]["S"])
        wrong = [user for user, link_id in self.created.items() if stored.get(user) != [link_id]]
        unasked = stored.keys() - self.created.keys()  # written, but its answer was lost
        print(
            f"\n{len(self.created)} creates were answered 201; {len(self.created) - len(wrong)} of them are "
            f"stored exactly once, and {len(unasked)} that got no 201 are stored."
        )
        return not wrong and len(set(self.created.values())) == len(self.created)


def _quantiles(times: list[float]) -> str:
    if len(times) < 2:
        return "-"
    cut = statistics.quantiles(times, n=100, method="inclusive")
    return f"{cut[49]:.0f}/{cut[94]:.0f}/{cut[98]:.0f}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="load", description=__doc__)
    parser.add_argument("--pairs", type=int, default=200, help="creates, each read once, at each level (200)")
    parser.add_argument("--seconds", type=float, default=20, help="the longest for a level (20)")
    options = parser.parse_args()
    try:
        load = Load(Stack())
    except Failure as failure:
        sys.exit(str(failure))
    load.client.request("GET", "/v1/providers")
    print(
        f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.2f}; times are p50/p95/p99 in ms, CPU in cores\n"
    )
    print("concurrency   answered errors             create               read  emulator functions    client")
    print("                     /s")
    best = (0.0, 0, {"": 0.0})
    for concurrency in LEVELS:
        per_second = load.level(concurrency, options.pairs, options.seconds)
        best = max(best, (per_second, concurrency, load.used), key=lambda level: level[0])
    per_second, concurrency, used = best
    ms = {name: 1000 * share / per_second for name, share in used.items()}
    cpus = os.cpu_count() or 1
    # The emulator is one process of Python, which fills one CPU at most; the functions are many.
    alone = {"emulator": 1000 / ms["emulator"], "functions": 1000 * cpus / ms["functions"]}
    lowest = min(alone, key=lambda name: alone[name])
    print(
        f"\nThe ceiling is {per_second:.0f} requests a second, at {concurrency} at once. A request takes "
        f"{ms['emulator']:.1f} ms of the emulator's CPU, {ms['functions']:.1f} ms of the functions' and "
        f"{ms['client']:.1f} ms of the client's. With {cpus} CPUs to itself the emulator would end at "
        f"{alone['emulator']:.0f} a second, the functions at {alone['functions']:.0f}: "
        f"{'the emulator is' if lowest == 'emulator' else 'the functions are'} the ceiling."
    )
    return 0 if load.check_stored() else 1


if __name__ == "__main__":
    sys.exit(main())
