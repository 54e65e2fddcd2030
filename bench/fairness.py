"""How long one account's events wait while another's go to a receiver that hangs: `make fairness`.

First in a simulation of what AWS does: a fair queue hands out the messages of quiet groups first, and Lambda
takes them with up to 100 environments. Then on the running
local stack, whose emulator hands out messages in their order whatever their group, and takes the processors
of this machine for every call of a function: that, and not a receiver, is what events wait for there.
"""

import heapq
import json
import statistics
import time
import urllib.request
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

from latchkey.adapters.store import ACCOUNT_PLACES
from local.stack import Stack

HANGING, OTHERS = 2000, 20
ATTEMPT_SECONDS = 15.0

# --- On the local stack ----------------------------------------------------------------------------


@contextmanager
def receiver(arrivals: dict[str, float], over: Event | None) -> Iterator[str]:
    """A receiver that notes when each link's event arrives; with `over` it answers only then."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            arrivals.setdefault(body["data"]["linkId"], time.time())
            if over is not None:
                over.wait(ATTEMPT_SECONDS + 5)
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 # the base class's name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()


def measure(stack: dict[str, str]) -> list[float]:
    """Seconds from the end of each of the other account's links to the arrival of its event."""

    def post(path: str, key: str, body: Any = None) -> Any:
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        data = json.dumps(body or {}).encode()
        request = urllib.request.Request(stack["apiUrl"] + path, data, headers, method="POST")  # noqa: S310 # 127.0.0.1
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 # as above
            return json.load(answer)

    def end_a_link(key: str, url: str) -> tuple[str, float]:
        operations = [{"resource": "paymentMethod", "action": "read"}]
        body = {"integrationId": "tmobile", "operations": operations, "webhookUrl": url}
        link_id = post("/v1/links", key, body)["linkId"]
        return link_id, post(f"/v1/links/{link_id}/cancel", key)["completedAt"] / 1000

    over = Event()
    hung: dict[str, float] = {}
    arrived: dict[str, float] = {}
    with receiver(hung, over) as hanging, receiver(arrived, None) as good, ThreadPoolExecutor(16) as pool:
        started = time.monotonic()
        list(pool.map(lambda _: end_a_link(stack["testApiKey"], hanging), range(HANGING)))
        print(
            f"{HANGING} links ended in {time.monotonic() - started:.0f} s; {len(hung)} events hang",
            flush=True,
        )
        ended = dict(end_a_link(stack["otherTestApiKey"], good) for _ in range(OTHERS))
        until = time.monotonic() + 120
        while len(arrived) < OTHERS and time.monotonic() < until:
            time.sleep(0.1)
        over.set()
    return [arrived.get(link_id, float("inf")) - at for link_id, at in ended.items()]


# --- Simulated -------------------------------------------------------------------------------------


def simulate(*, fair: bool, environments: int, handling: float) -> list[float]:
    """The same, with `environments` that each take up to 10 messages at once; `handling` seconds for one
    message that finds no place. A fair queue gives out the messages of quiet groups first."""
    noisy: deque[int] = deque()  # the numbers of events whose message can be seen
    quiet: deque[int] = deque()
    line: deque[int] = deque()  # of events that wait for a place
    events: list[tuple[float, int, str, Any]] = []
    counter = 0

    def at(when: float, what: str, data: Any = None) -> None:
        nonlocal counter
        counter += 1
        heapq.heappush(events, (when, counter, what, data))

    for number in range(HANGING):
        at(number * 0.001, "message", number)
    second_wave = HANGING * 0.001 + 1.0
    ended = {}
    for number in range(HANGING, HANGING + OTHERS):
        ended[number] = second_wave + (number - HANGING) * 0.02
        at(ended[number], "message", number)
    for minute in range(1, 60):
        at(60.0 * minute, "sweep")
    idle, places = environments, ACCOUNT_PLACES
    arrived: dict[int, float] = {}
    while events and len(arrived) < OTHERS:
        now, _, what, data = heapq.heappop(events)
        if what == "message":
            (noisy if data < HANGING or not fair else quiet).append(data)
        elif what == "idle":
            idle += 1
        elif what == "place":
            places += 1
            if line:
                at(now, "message", line.popleft())
        elif what == "sweep":  # wakes all that is due once more
            noisy.extend(line)
            line.clear()
        while idle and (quiet or noisy):
            idle -= 1
            longest = handling
            for _ in range(10):
                if not (quiet or noisy):
                    break
                number = (quiet or noisy).popleft()
                if number >= HANGING:
                    arrived[number] = now + handling
                elif places:
                    places -= 1
                    longest = ATTEMPT_SECONDS
                    at(now + ATTEMPT_SECONDS, "place")
                else:
                    line.append(number)
            at(now + longest, "idle")
    return [arrived[number] - ended[number] for number in ended]


def report(name: str, waits: list[float]) -> None:
    p95 = sorted(waits)[int(len(waits) * 0.95) - 1]
    print(f"{name:60} median {statistics.median(waits):6.2f} s   p95 {p95:6.2f} s   max {max(waits):6.2f} s")


def main() -> None:
    for environments in (8, 100):
        for fair in (False, True):
            name = f"simulated, {environments} environments, {'fair queue' if fair else 'in order'}"
            report(name, simulate(fair=fair, environments=environments, handling=0.05))
    report("the local stack, in order", measure(Stack().read()))


if __name__ == "__main__":
    main()
