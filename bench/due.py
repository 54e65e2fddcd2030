"""How late sweep runs, with ten million links pending: `make due`.

A simulation of the `due` index, second by second. Links fall due at a rate, spread evenly over the shards (a
hash does that). Each minute every sweep takes what was due when it began, the longest due first, until that
is done or its time is over. Each full shard has a sweep of its own: as many run at once as there are shards.
How long a link takes is measured: see `bench.costs`.
"""

from collections import deque
from dataclasses import dataclass

from bench.costs import WHOLE_CPU, cpu, measured, memory_of, waiting
from latchkey.domain.links import DUE_SHARDS
from latchkey.services.sweep import THREADS

PENDING = 10_000_000
LIFE = 14_400  # seconds: the default of expiresIn
MINUTE = 60
WINDOW = 55  # seconds in which a sweep begins with links: its timeout but for the reserve
PROMISE = 120  # seconds after expiresAt in which the event leaves


@dataclass(frozen=True)
class Plan:
    name: str
    sweeps: int  # that run at once; each has as many shards as any other
    per_second: float  # links that one sweep gets done


def rate(memory: int, ms_cpu: float, ms_waiting: float) -> float:
    """Links a second of one sweep: its threads wait side by side and share one CPU, or a part of it."""
    slower = max(WHOLE_CPU / memory, 1)
    return min(1000 / (ms_cpu * slower), 1000 * THREADS / (ms_cpu * slower + ms_waiting))


def lateness(plan: Plan, due_per_second: float, seconds: int) -> tuple[float, float]:
    """The longest that a link waited for its sweep, and the links still due, after so many seconds."""
    waiting: deque[tuple[int, float]] = deque()  # of one sweep: when due, how many
    arriving = due_per_second / plan.sweeps
    latest, known = 0.0, -1
    for second in range(seconds):
        if second % MINUTE == 0:
            known = second  # it asks once, when it begins
        if second % MINUTE < WINDOW:
            able = plan.per_second
            while able > 0 and waiting and waiting[0][0] < known:
                due_at, count = waiting.popleft()
                done = min(able, count)
                able -= done
                latest = max(latest, second - due_at)
                if count > done:
                    waiting.appendleft((due_at, count - done))
        waiting.append((second, arriving))
    if waiting and waiting[0][1] > 0:
        latest = max(latest, seconds - waiting[0][0])
    return latest, plan.sweeps * sum(count for _, count in waiting)


def main() -> None:
    (expire,) = measured()["expired"].invocations
    ms_cpu, ms_waiting = cpu(expire), waiting(expire)
    memory = memory_of("sweep")
    print(
        f"An expired link costs sweep {expire.calls.total()} calls: {ms_cpu:.1f} ms of a whole CPU and "
        f"{ms_waiting:.0f} ms of waiting.\n"
    )
    plans = [
        Plan(f"{shards} at once, {size} MB", shards, rate(size, ms_cpu, ms_waiting))
        for size, shards in [
            (memory, 1),
            (512, DUE_SHARDS),
            (memory, DUE_SHARDS),
            (memory, 64),
            (memory, 128),
        ]
    ]
    loads = {
        "100/s": 100.0,
        f"{PENDING // LIFE}/s": PENDING / LIFE,
        "1,000/s": 1000.0,
        "10,000/s": 10_000.0,
    }
    print("Latest after an hour of links falling due (and links left over), in seconds:\n")
    print("| sweeps | links a second | " + " | ".join(loads) + " |")
    print("|---|---:|" + "---:|" * len(loads))
    for plan in plans:
        cells = []
        for due in loads.values():
            late, left = lateness(plan, due, 3600)
            over = f" ({left:,.0f})" if late > PROMISE else ""
            cells.append(f"{late:,.0f}{over}")
        most = plan.sweeps * plan.per_second * WINDOW / MINUTE
        print(f"| {plan.name} | {most:,.0f} | " + " | ".join(cells) + " |")
    one = Plan("", 1, rate(memory, ms_cpu, ms_waiting))
    print(f"\nSweeps at once, of {memory} MB, that keep the latest within {PROMISE} s:")
    for name, due in loads.items():
        needed = next(n for n in range(1, 10_000) if lateness(one, due / n, 900)[0] <= PROMISE)
        print(f"- {name}: {needed}")


if __name__ == "__main__":
    main()
