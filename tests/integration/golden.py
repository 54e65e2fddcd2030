"""What a release stores and sends: recorded once, before it is published, and read by all later releases.

`python -m tests.integration.golden` writes tests/golden/VERSION.json.
"""

import io
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from typing import Any

import pytest

import tests.conftest  # noqa: F401 # for its environment
from latchkey import __version__
from latchkey.adapters import aws, store, webhook_sender
from latchkey.domain.retry_schedule import Outcome
from tests.integration.conftest import (
    LOGIN,
    Context,
    Stack,
    founding,
    mocked_clients,
    new_stack,
    operations,
    sample_event,
)
from tests.integration.simulation import Crash, Kms
from tests.template import ROOT, table_definition

FOLDER = ROOT / "tests/golden"
TABLES = ("LinksTable", "SecretsTable")


@contextmanager
def stack_with_keys(keys: dict[str, Any] | None = None) -> Iterator[tuple[Stack, Kms]]:
    """A stack whose data keys are known, so that what they sealed can be opened again."""
    with (
        mocked_clients() as clients,
        pytest.MonkeyPatch.context() as monkeypatch,
        new_stack(monkeypatch, clients) as stack,
    ):
        kms = Kms()
        for wrapped, (plain, purpose) in (keys or {}).items():
            kms._keys[bytes.fromhex(wrapped)] = bytes.fromhex(plain), {"purpose": purpose}
        monkeypatch.setattr(aws, "kms", lambda: kms)
        yield stack, kms


def record(stack: Stack, kms: Kms, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A link in each state that a link may be left in, and all that stands beside them."""
    links: dict[str, Any] = {}
    outcomes: list[Outcome] = []

    def send(*_: Any, **__: Any) -> Outcome:
        return outcomes.pop() if outcomes else Outcome(duration_ms=7, status_code=204)

    monkeypatch.setattr(webhook_sender, "send", send)

    def made(name: str, **changes: Any) -> str:
        created = stack.create(founding(**changes)).json
        links[name] = {"linkId": created["linkId"], "claimCode": created["claimCode"]}
        return str(created["linkId"])

    def claimed(name: str, **changes: Any) -> str:
        made(name, **changes)
        token = links[name]["clientToken"] = stack.claim(links[name]["claimCode"]).json["clientToken"]
        return str(token)

    def answered(name: str, user: str = "user_good", **changes: Any) -> None:
        token = claimed(name, **changes)
        stack.work()
        stack.answer(token, LOGIN | {"username": user})

    def done(name: str, user: str = "user_good", **changes: Any) -> None:
        answered(name, user, **changes)
        stack.work()

    # Those that end, and their events.
    made("expired", expiresIn=1)
    stack.now += 2000
    stack.sweep()
    stack.cancel(made("canceled"))
    done("failed", "user_locked")
    stack.client(claimed("canceled by its user"), "POST /link/session/cancel")
    done("complete", metadata={"order": "7 \u00fc"})
    stack.deliver()
    done("debugged", debug=True)
    stack.deliver()
    done("asked for again")
    stack.deliver()
    path = {"pathParameters": {"linkId": links["asked for again"]["linkId"]}}
    again = sample_event("link_deliveries") | {"routeKey": "POST /v1/links/{linkId}/redeliver"} | path
    assert stack.invoke("link_deliveries", again).status == 202
    taken = stack.queues.take("WEBHOOK_QUEUE")
    outcomes[:] = [Outcome(duration_ms=9, error="timeout")]
    done("retrying")
    stack.deliver()
    outcomes[:] = [Outcome(duration_ms=9, status_code=410)]
    done("given up")
    stack.deliver()
    done("without an event to send", webhookUrl=None)
    stack.queues.clear()
    # Those whose event a process that died was sending, waits in line, and was not sent yet.
    done("sending")

    def dies(*_: Any, **__: Any) -> Outcome:
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(webhook_sender, "send", dies)
        with suppress(Crash):
            stack.deliver()
    with monkeypatch.context() as patch:
        patch.setattr(store, "take_place", lambda *_: None)
        done("in line")
        stack.deliver()
    done("ended")
    taken += stack.queues.take("WEBHOOK_QUEUE")
    # Those that are open.
    made("pending", expiresIn=7_776_000, debug=True, metadata={"a": "b"})
    read = operations("paymentMethod.read")
    made("pending without more", webhookUrl=None, returnUrl=None, externalUserId=None, operations=read)
    claimed("waiting for its user")
    claimed("asked for a code")
    stack.work()
    stack.answer(links["asked for a code"]["clientToken"], LOGIN | {"username": "user_otp"})
    stack.work()
    play = stack.connectors.reply

    def slow(request: dict[str, Any]) -> Any:
        Context.remaining_ms = 0 if request["action"] == "execute" else 300_000
        return play(request)

    stack.connectors.reply = slow
    done("between two operations", operations=2 * read)
    Context.remaining_ms = 300_000

    def dead(request: dict[str, Any]) -> Any:
        if request["action"] == "execute":
            raise Crash
        return play(request)

    stack.connectors.reply = dead
    answered("in a read", operations=read)
    with suppress(Crash):
        stack.work()
    answered("in a write", operations=operations("paymentMethod.write"))
    with suppress(Crash):
        stack.work()
    stack.connectors.reply = play
    answered("answered")
    claimed("claimed")
    sessions = stack.queues.take("SESSION_QUEUE")
    for link in links.values():
        link["view"] = stack.get(link["linkId"]).json
    return {
        "now": stack.now,
        "links": links,
        "items": {table: _items(table) for table in TABLES},
        "tables": {table: table_definition(table) for table in TABLES},
        "messages": {"run_session": sessions, "deliver_webhook": taken},
        "keys": {w.hex(): (p.hex(), context["purpose"]) for w, (p, context) in kms._keys.items()},
        "secrets": stack.invoke("webhook_secret", sample_event("webhook_secret")).json,
    }


def _items(table: str) -> list[dict[str, Any]]:
    items: list[Any] = aws.dynamodb().scan(TableName=table)["Items"]
    return sorted(items, key=lambda item: (item["pk"]["S"], item["sk"]["S"]))


def main() -> None:
    with (
        stack_with_keys() as (stack, kms),
        pytest.MonkeyPatch.context() as monkeypatch,
        redirect_stdout(io.StringIO()),  # log lines
    ):
        recorded = record(stack, kms, monkeypatch)
    path = FOLDER / f"{__version__}.json"
    path.write_text(json.dumps(recorded, indent=1, ensure_ascii=False, sort_keys=True) + "\n")
    sys.stdout.write(f"{path.relative_to(ROOT)}: {', '.join(recorded['links'])}\n")


if __name__ == "__main__":
    main()
