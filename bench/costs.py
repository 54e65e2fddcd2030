"""What links cost on AWS, where growth meets a quota, and what memory pays: `make costs`.

Every call of AWS is counted, and every item weighed, while links live their lives through the handlers over
moto. Prices are list prices of us-east-1, times are measured ones; both stand below as parameters.
"""

import base64
import io
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from typing import Any

import pytest

import tests.conftest  # noqa: F401 # for its environment
from latchkey import http
from latchkey.adapters import aws, sealing
from latchkey.adapters.sealing import DATA_KEY_USES
from latchkey.adapters.store import ACCOUNT_PLACES
from latchkey.domain.limits import SECOND, TOLD_EACH
from latchkey.domain.links import DUE_SHARDS
from latchkey.domain.retry_schedule import Outcome
from latchkey.domain.sessions import MAX_CALL_SECONDS
from latchkey.services import sweep
from latchkey.services.sweep import THREADS
from tests.integration.conftest import LOGIN, Stack, mocked_clients, new_stack
from tests.template import ROOT, environment, resources, routes, template

# --- Parameters ------------------------------------------------------------------------------------

# us-east-1, list prices as of 2026-01, in dollars; without free tiers and discounts.
PRICES = {
    "API request": 1.00e-6,  # HTTP API, the first 300 million a month
    "Lambda request": 0.20e-6,
    "Lambda GB-second": 13.3334e-6,  # arm64
    "write unit": 0.625e-6,  # DynamoDB on demand
    "read unit": 0.125e-6,
    "KMS request": 3.00e-6,
    "KMS key": 1.00,  # a month, as the three below
    "dashboard": 3.00,  # an account's first three are free
    "alarm": 0.10,  # each metric that one looks at
    "metric": 0.30,  # each name with each set of dimensions, in months in which it is written
    "SQS request": 0.50e-6,  # standard 0.40, and 0.10 for message groups
    "log GB": 0.50,  # CloudWatch Logs, taken in
    "trace": 5.00e-6,  # X-Ray
    "schedule": 1.00e-6,  # EventBridge Scheduler
    "detailed route": 6 * 0.30,  # six metrics a month for each route, if the stage asks for them
    "stored GB-month": 0.25 + 0.20,  # DynamoDB, and its point-in-time recovery
    "snapshot GB-second": 1.5046e-6,  # SnapStart, kept
    "snapshot GB restored": 139.7998e-6,
}
# Measured by `make bench` (2026-11-24, 2 shared x86 CPUs), ms of a whole CPU, which is what 1769 MB gets.
CPU_OWN = 0.25  # of a request, beside its calls
CPU_CALL = 1.05  # of one call of AWS
CPU_COLD = 240.0  # of a cold start
# Not measured here: typical of AWS, in ms.
WAIT = {"DynamoDB": 4.0, "KMS": 8.0, "SQS": 8.0}
WAIT_CONNECTOR = 5_000.0  # of one call; your connectors decide this
WAIT_RECEIVER = 200.0  # of a webhook's receiver
COLD_SHARE = 0.01  # of invocations
POLLS = 20  # GET /link/session by a client during a session
TRACED = 0.05  # X-Ray's default, beyond one request a second
LOG_BYTES = 700  # of one invocation: our lines, Lambda's START, END and REPORT, the gateway's access line
AUDIT_BYTES = 250  # of a line of the audit log, which is not traced and has none of Lambda's
IDLE_POLLERS, LONG_POLL = 5, 20  # of Lambda for each queue; seconds
KMS_USES = DATA_KEY_USES / 10  # that a data key comes to before its 5 minutes are over

WHOLE_CPU = 1769  # MB
SIZES = (256, 512, 1024, 1769)


# --- What is counted -------------------------------------------------------------------------------


@dataclass
class Invocation:
    function: str
    calls: Counter[str] = field(default_factory=Counter)  # by service
    connector_calls: int = 0
    webhooks: int = 0


@dataclass
class Phase:
    """What one link causes in a part of its life."""

    invocations: list[Invocation] = field(default_factory=list)
    writes: Counter[str] = field(default_factory=Counter)  # write units, by table or index
    reads: float = 0
    api_requests: int = 0

    @property
    def calls(self) -> Counter[str]:
        return sum((invocation.calls for invocation in self.invocations), Counter())


class Meter:
    """Sorts what the handlers do into phases."""

    def __init__(self, stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
        self.stack, self.phases = stack, dict[str, Phase]()
        self._phase = Phase()
        for client, service in ((aws.dynamodb(), "DynamoDB"), (aws.kms(), "KMS")):
            monkeypatch.setattr(client, "_make_api_call", self._counted(client, service))
        send, invoke, handle = stack.queues.send_message, stack.connectors.invoke, stack.invoke
        consume = stack.consume

        def counted_send(**message: Any) -> None:
            self._count("SQS")
            send(**message)

        def counted_invoke(**call: Any) -> Any:
            self._phase.invocations[-1].connector_calls += 1
            return invoke(**call)

        def counted_handle(name: str, event: dict[str, Any]) -> Any:
            self._phase.api_requests += 1
            self._phase.invocations.append(Invocation(name))
            answer = handle(name, event)
            if event["routeKey"] in http.AUDITED:
                self._phase.invocations.append(Invocation("audit"))  # each its own, where there are few
            return answer

        def counted_consume(name: str, *bodies: str) -> list[str]:
            self._phase.invocations.append(Invocation(name))
            self._phase.invocations[-1].calls["SQS"] = 0
            return consume(name, *bodies)

        def counted_webhook(*_args: Any, **_options: Any) -> Outcome:
            self._phase.invocations[-1].webhooks += 1
            return Outcome(duration_ms=200, status_code=204)

        monkeypatch.setattr(stack.queues, "send_message", counted_send)
        monkeypatch.setattr(stack.connectors, "invoke", counted_invoke)
        monkeypatch.setattr(stack, "invoke", counted_handle)
        monkeypatch.setattr(stack, "consume", counted_consume)
        monkeypatch.setattr("latchkey.adapters.webhook_sender.send", counted_webhook)

    @contextmanager
    def phase(self, name: str, by: str = "") -> Iterator[None]:
        """Count into a phase; `by` is a function that is not called through the API or a queue."""
        self._phase = self.phases.setdefault(name, Phase())
        if by:
            self._phase.invocations.append(Invocation(by))
        yield
        self._phase = Phase()

    def _count(self, service: str) -> None:
        if self._phase.invocations:
            self._phase.invocations[-1].calls[service] += 1

    def _counted(self, client: Any, service: str) -> Callable[[str, dict[str, Any]], Any]:
        make_api_call = client._make_api_call

        def counted(operation: str, call: dict[str, Any]) -> Any:
            self._count(service)
            key = call.get("Key") or {name: call.get("Item", {}).get(name) for name in ("pk", "sk")}
            writes = operation in ("PutItem", "UpdateItem", "DeleteItem")
            before = self._item(call["TableName"], key) if writes else {}
            answer = make_api_call(operation, call)
            if writes:
                after = self._item(call["TableName"], key)
                self._phase.writes += write_units(call["TableName"], before, after)
            elif operation == "GetItem":
                self._phase.reads += math.ceil(size(answer.get("Item", {})) / 4096) or 1
            elif operation == "Query":
                units = math.ceil(sum(size(item) for item in answer["Items"]) / 4096) or 1
                self._phase.reads += units if call.get("ConsistentRead") else units / 2
            return answer

        return counted

    def _item(self, table: str, key: dict[str, Any]) -> dict[str, Any]:
        found = self.stack.dynamodb.meta.client._make_api_call  # of boto3: not counted
        plain = {name: value["S"] for name, value in key.items()}
        answer = found("GetItem", {"TableName": table, "Key": plain, "ConsistentRead": True})
        item: dict[str, Any] = answer.get("Item", {})
        return item


def size(value: Any) -> int:
    """Bytes of an item or a value of it as DynamoDB counts them; marshalled or not."""
    match value:
        case {"S": str(text)} | str(text):
            return len(text.encode())
        case {"B": str(text)}:
            return len(base64.b64decode(text))
        case bytes(data):
            return len(data)
        case bool() | {"BOOL": _} | None:
            return 1
        case {"N": number}:
            return len(str(number)) // 2 + 2
        case {"M": dict(members)}:
            return 3 + size(members) + len(members)
        case {"L": list(members)} | list(members):
            return 3 + sum(size(member) + 1 for member in members)
        case dict(members):
            return sum(len(name.encode()) + size(member) for name, member in members.items())
        case _ if hasattr(value, "value"):  # boto3's Binary
            return len(value.value)
        case _:  # a number
            return len(str(value)) // 2 + 2


def write_units(table: str, before: dict[str, Any], after: dict[str, Any]) -> Counter[str]:
    """What a write costs in the table and in each of its indexes, in units of 1 KB."""
    units = Counter({table: math.ceil(max(size(before), size(after), 1) / 1024)})
    definition = resources("AWS::DynamoDB::Table")[table]
    for index in definition.get("GlobalSecondaryIndexes", []):
        keys = [key["AttributeName"] for key in index["KeySchema"]]
        shown = {"pk", "sk", *keys, *index["Projection"].get("NonKeyAttributes", [])}
        old, new = (
            {name: value for name, value in item.items() if name in shown}
            if all(key in item for key in keys)
            else {}
            for item in (before, after)
        )
        if old != new:
            moved = old and new and any(old[key] != new[key] for key in keys)
            sizes = [size(old), size(new)] if moved else [max(size(old), size(new))]
            units[index["IndexName"]] = sum(math.ceil(each / 1024) for each in sizes)
    return units


def lives(meter: Meter) -> None:
    """One link that is completed and delivered, and one that nobody claims, both the founding example."""
    stack = meter.stack
    stack.get(stack.run("user_good")[0])  # so that keys and data keys are known
    stack.deliver()

    with meter.phase("created"):
        created = stack.create().json
    with meter.phase("completed"):
        token = stack.claim(created["claimCode"]).json["clientToken"]
        stack.work()
        challenge = stack.client(token).json["challenge"]
        body = {"challengeId": challenge["id"], "input": LOGIN}
        stack.client(token, "POST /link/session/input", body)
        stack.work()
        for _ in range(POLLS - 1):
            stack.client(token)
    with meter.phase("delivered"):
        stack.deliver()
    with meter.phase("read"):
        assert stack.get(created["linkId"]).json["webhook"]["status"] == "delivered"
    link = stack.create().json
    stack.now = link["expiresAt"] + 30_000
    sealing.seal(b"", account="acme", subject="", purpose=sealing.EVENT, now=stack.now)  # a data key anew
    with meter.phase("expired", by="sweep"):
        sweep.attend(link["linkId"], stack.now)
    stack.deliver()
    assert stack.get(link["linkId"]).json["webhook"]["status"] == "delivered"


# --- Costs -----------------------------------------------------------------------------------------


def memory_of(function: str) -> int:
    """MB of a function, as template.yaml has it."""
    for properties in resources("AWS::Serverless::Function").values():
        if properties["CodeUri"] == f"functions/{function}":
            default = template()["Globals"]["Function"]["MemorySize"]
            return int(properties.get("MemorySize", default))
    raise KeyError(function)


def cpu(invocation: Invocation) -> float:
    """ms of a whole CPU."""
    return CPU_OWN + CPU_CALL * (invocation.calls.total() + invocation.connector_calls)


def waiting(invocation: Invocation) -> float:
    """ms in which others work."""
    calls = sum(WAIT[service] * count for service, count in invocation.calls.items())
    return calls + WAIT_CONNECTOR * invocation.connector_calls + WAIT_RECEIVER * invocation.webhooks


def duration(invocation: Invocation, memory: int, cold_share: float = COLD_SHARE) -> float:
    """ms of an invocation on average, as it is billed: a cold start is."""
    slower = max(WHOLE_CPU / memory, 1)
    return (cpu(invocation) + cold_share * CPU_COLD) * slower + waiting(invocation)


def costs(phase: Phase) -> dict[str, float]:
    """Dollars by service."""
    gb_seconds = sum(
        duration(i, memory_of(i.function)) / 1000 * memory_of(i.function) / 1024 for i in phase.invocations
    )
    runs = sum(i.function != "sweep" for i in phase.invocations)  # a sweep has many links
    audits = sum(i.function == "audit" for i in phase.invocations)
    log_bytes = (runs - audits) * LOG_BYTES + audits * AUDIT_BYTES
    messages = phase.calls["SQS"]
    return {
        "API Gateway": phase.api_requests * PRICES["API request"],
        "Lambda": runs * PRICES["Lambda request"] + gb_seconds * PRICES["Lambda GB-second"],
        "DynamoDB": phase.writes.total() * PRICES["write unit"] + phase.reads * PRICES["read unit"],
        "SQS": 3 * messages * PRICES["SQS request"],  # sent, received, deleted
        "KMS": sealings(phase) / KMS_USES * PRICES["KMS request"],
        "logs, traces": log_bytes / 1e9 * PRICES["log GB"] + (runs - audits) * TRACED * PRICES["trace"],
    }


def sealings(phase: Phase) -> int:
    """About as many values are sealed or opened as rows of Secrets are written, and the event."""
    return phase.writes["SecretsTable"] + 1


def print_costs(phases: dict[str, Phase]) -> None:
    print("## Dollars per million links\n")
    services = list(costs(Phase()))
    print("| | " + " | ".join(services) + " | all |")
    print("|---|" + "---:|" * (len(services) + 1))
    for name, phase in phases.items():
        dollars = [1e6 * cost for cost in costs(phase).values()]
        print(f"| {name} | " + " | ".join(f"{d:.2f}" for d in dollars) + f" | {sum(dollars):.2f} |")
    print("\n| | invocations | calls of AWS | write units | read units |\n|---|---:|---:|---:|---:|")
    for name, phase in phases.items():
        units = ", ".join(f"{table} {count}" for table, count in phase.writes.items())
        calls = phase.calls.total()
        print(f"| {name} | {len(phase.invocations)} | {calls} | {units or 0} | {phase.reads:g} |")
    month = 30 * 86_400
    sweeps = month / 60
    idle = Invocation("sweep", Counter(DynamoDB=DUE_SHARDS))
    memory = memory_of("sweep")
    gb_seconds = sweeps * duration(idle, memory, 0) / 1000 * memory / 1024
    fixed = sweeps * (PRICES["schedule"] + PRICES["Lambda request"] + DUE_SHARDS * PRICES["read unit"] / 2)
    fixed += gb_seconds * PRICES["Lambda GB-second"] + sweeps * LOG_BYTES / 1e9 * PRICES["log GB"]
    events = [
        e for f in resources("AWS::Serverless::Function").values() for e in f.get("Events", {}).values()
    ]
    polled = sum(event["Type"] == "SQS" for event in events)
    polls = polled * IDLE_POLLERS * month / LONG_POLL
    alarms = resources("AWS::CloudWatch::Alarm").values()
    watched = sum(max(len(alarm.get("Metrics", [])) - 1, 1) for alarm in alarms)
    keys, boards = len(resources("AWS::KMS::Key")), len(resources("AWS::CloudWatch::Dashboard"))
    (api,) = resources("AWS::Serverless::HttpApi").values()
    detailed = len(routes()) if api["DefaultRouteSettings"]["DetailedMetricsEnabled"] else 0
    names = metric_names()
    fixed_costs = {
        f"{sweeps:.0f} sweeps": fixed,
        "the trace of each": sweeps * PRICES["trace"],
        f"Lambda's polling of {polled} queues": polls * PRICES["SQS request"],
        f"{len(alarms)} alarms, of {watched} metrics": watched * PRICES["alarm"],
        f"{len(names)} metrics of our own": len(names) * PRICES["metric"],
        f"metrics of {detailed} routes": detailed * PRICES["detailed route"],
        f"{keys} keys of KMS": keys * PRICES["KMS key"],
        f"{boards} dashboard": boards * PRICES["dashboard"],
    }
    listed = ", ".join(f"{dollars:.2f} for {what}" for what, dollars in fixed_costs.items() if dollars)
    total = sum(fixed_costs.values())
    print(f"\nA month costs {total:.2f} dollars before the first link: {listed}.")
    print(
        f"Each integration with a live connector adds {PRICES['metric']:.2f}; X-Ray traces the first request "
        f"of each second and costs at most {30 * 86_400 * PRICES['trace']:.2f} a month."
    )
    routed = len(set(routes().values()))
    kept = routed * memory_of("create_link") / 1024 * month * PRICES["snapshot GB-second"]
    print(f"Snapshots=yes: {kept:.0f} dollars a month to keep {routed} of them.")
    write, tokens = PRICES["write unit"], int(environment()["KEY_BURST"]) // 10
    print(
        f"A key's limit costs nothing while it is idle, {1e6 / tokens * write:.2f} per million requests that "
        f"are far from it, and {3600 * SECOND / TOLD_EACH * write:.3f} an hour at most in each environment "
        "that is busy with it."
    )


def metric_names() -> set[str]:
    """The metrics that are told by stack alone, as the code writes them."""
    code = [
        path for folder in ("layers/common/latchkey", "functions") for path in (ROOT / folder).rglob("*.py")
    ]
    text = "\n".join(path.read_text("utf-8") for path in code)
    told = re.findall(r"telemetry\.metrics\(\{(.*?)\}(?:, (\w+))?", text)
    written = {name for names, by in told if not by for name in re.findall(r'"([A-Z]\w+)": ', names)}
    return written | set(re.findall(r'metrics\["(\w+)"\] = ', text))


def print_quotas(phases: dict[str, Phase]) -> None:
    created, completed = phases["created"], phases["completed"]
    whole_life = created.writes + completed.writes + phases["delivered"].writes
    per_create = sum(created.writes.values()) - created.writes["SecretsTable"]
    memory = memory_of("create_link")
    create, _ = created.invocations
    workers = [i for i in completed.invocations if i.function == "run_session"]
    session = sum(duration(i, memory_of("run_session")) for i in workers) / 1000
    worker_limit = _concurrency("RunSessionFunction")
    delivery = phases["delivered"].invocations[0]
    attempt = duration(delivery, memory_of("deliver_webhook")) / 1000
    senders = _concurrency("DeliverWebhookFunction") * 10
    throttle = template()["Parameters"]["ThrottleRate"]["Default"]
    print("\n## What bites on the way to 10,000 creates a second\n")
    print("| at | quota | what to raise |\n|---:|---|---|")
    rows = [
        (
            worker_limit / session,
            f"completed a second: SessionConcurrency, {worker_limit}, and {session:.0f} s of "
            f"work a session (connectors: {WAIT_CONNECTOR / 1000:.0f} s a call)",
            "the parameter, to 1000, and Lambda's concurrency with it; above it, faster connectors",
        ),
        (
            ACCOUNT_PLACES / attempt,
            f"events a second of one account to one host: {ACCOUNT_PLACES} in flight, {attempt:.1f} s each",
            "ACCOUNT_PLACES, if the receiver agrees",
        ),
        (
            1000 / created.writes["byAccount"],
            f"creates a second of one account and mode: one key of byAccount takes 1000 write units, "
            f"a create {created.writes['byAccount']}",
            "spread callers over accounts; beyond that the index needs shards, as `due` has",
        ),
        (throttle, "creates a second: ThrottleRate", "the parameter, to 10,000; above it AWS's quota"),
        (
            DUE_SHARDS * 1000 / whole_life["due"],
            f"links a second through their life: {DUE_SHARDS} keys of `due` take 1000 write units each, "
            f"a life {whole_life['due']}",
            "DUE_SHARDS: links written before stay where they are",
        ),
        (
            senders / attempt,
            f"deliveries a second: deliver_webhook's {senders} threads, {attempt:.1f} s each",
            "DeliveryConcurrency, to 1000",
        ),
        (
            40_000 / per_create,
            f"creates a second: a table's 40,000 write units, {per_create} a create with its indexes",
            "the quota; and warm the table up, a new one takes 4,000",
        ),
        (
            1000 / (duration(create, memory) / 1000),
            f"creates a second: Lambda's 1,000 at once, {duration(create, memory):.0f} ms each",
            "the quota; it grows by 1,000 every 10 s",
        ),
        (10_000, "requests a second: API Gateway's quota for an account and region", "the quota"),
        (
            10_000 * KMS_USES,
            f"sealings a second: KMS's 10,000 requests (us-east-1 has more), one for {KMS_USES:.0f} sealings",
            "nothing",
        ),
    ]
    for figure, quota, remedy in sorted(rows, key=lambda row: row[0]):
        print(f"| {figure:,.0f} | {quota} | {remedy} |")
    print("\nSQS standard queues have no quota on the rate of messages; 120,000 may be in flight.")


def _concurrency(logical_id: str) -> int:
    (event,) = resources("AWS::Serverless::Function")[logical_id]["Events"].values()
    parameter = event["Properties"]["ScalingConfig"]["MaximumConcurrency"]["Ref"]
    return int(template()["Parameters"][parameter]["Default"])


def print_memory(phases: dict[str, Phase]) -> None:
    print("\n## Memory: dollars per million x milliseconds\n")
    print("| invocation | " + " | ".join(f"{size} MB" for size in SIZES) + " | cost x time is least at |")
    print("|---|" + "---:|" * (len(SIZES) + 1))
    worker = max(phases["completed"].invocations, key=lambda i: i.connector_calls)
    create, _ = phases["created"].invocations
    (read,) = phases["read"].invocations
    (expire,) = [i for i in phases["expired"].invocations if i.function == "sweep"]
    (deliver,) = phases["delivered"].invocations
    lines = [
        ("create_link", create, COLD_SHARE, 0),
        ("create_link, all warm", create, 0.0, 0),
        ("create_link, all cold", create, 1.0, 0),
        ("get_link", read, COLD_SHARE, 0),
        ("run_session", worker, COLD_SHARE, 0),
        ("deliver_webhook, one", deliver, COLD_SHARE, 0),
        ("deliver_webhook, each of 10", deliver, 0.0, 10),
        ("sweep, each of 16 links", expire, 0.0, THREADS),
    ]
    for name, invocation, cold_share, together in lines:
        cells, products = [], {}
        for memory in SIZES:
            took = duration(invocation, memory, cold_share)
            if together:  # threads share the CPU and wait side by side
                took = max(cpu(invocation) * max(WHOLE_CPU / memory, 1), took / together)
            dollars = 1e6 * took / 1000 * memory / 1024 * PRICES["Lambda GB-second"]
            products[memory] = dollars * took
            cells.append(f"{dollars:.3g} x {took:,.0f}")
        best = min(products, key=lambda memory: products[memory])
        print(f"| {name} | " + " | ".join(cells) + f" | {best} MB |")


def measured() -> dict[str, Phase]:
    assert WAIT_CONNECTOR <= 1000 * MAX_CALL_SECONDS
    with (
        mocked_clients() as clients,
        pytest.MonkeyPatch.context() as monkeypatch,
        new_stack(monkeypatch, clients) as stack,
        redirect_stdout(io.StringIO()),  # log lines
    ):
        meter = Meter(stack, monkeypatch)
        lives(meter)
        return meter.phases


def main() -> None:
    phases = measured()
    print_costs(phases)
    print_quotas(phases)
    print_memory(phases)


if __name__ == "__main__":
    main()
