"""What a session adds to its connector's own time, from the last input to the result: `make added`.

On the running local stack, with the practice site's connector behind its live key:

    .venv/bin/python examples/provider/lark.py &
    make up CONNECTORS="att=examples/provider/connector_http.py"
"""

import json
import statistics
import sys
import time
from typing import Any

from bench.load import Answer, Client
from local.stack import Failure, Stack

LINKS = 20
OPERATIONS = [{"resource": "mobileBillingStatement", "action": "read"}]
LOGIN = {"username": "jane", "password": "jane-password-1"}
LOOK_SECONDS = 0.01


def done(answer: Answer) -> Any:
    if not 200 <= answer.status < 300:
        raise Failure(f"The service answered {answer.status}: {json.dumps(answer.body)}")
    return answer.body


def session(url: str, live_key: str) -> tuple[str, float]:
    """A session's id, and the seconds from its last input to its end."""
    created = done(
        Client(url, live_key).request("POST", "/v1/links", {"integrationId": "att", "operations": OPERATIONS})
    )
    claimed = done(Client(url, "").request("POST", "/link/claim", {"code": created["claimCode"]}))
    user = Client(url, claimed["clientToken"])

    def look(over: tuple[str, ...]) -> Any:
        while (seen := done(user.request("GET", "/link/session")))["status"] not in over:
            time.sleep(LOOK_SECONDS)
        return seen

    challenge = look(("awaiting_input", "failed"))["challenge"]
    if challenge is None:
        raise Failure("The connector asks for no login: see that the practice site runs")
    began = time.perf_counter()
    body = {"challengeId": challenge["id"], "input": LOGIN}
    done(user.request("POST", "/link/session/input", body))
    status = look(("complete", "failed"))["status"]
    seconds = time.perf_counter() - began
    if status != "complete":
        raise Failure("The session failed: see that the practice site runs")
    return claimed["sessionId"], seconds


def connector_seconds(stack: Stack) -> dict[str, float]:
    """By session, what the connector's own log lines say that its calls after the start took."""
    pages = (
        stack.client("logs")
        .get_paginator("filter_log_events")
        .paginate(logGroupName="/aws/lambda/connector-att", filterPattern="sessionId")
    )
    took: dict[str, float] = {}
    for event in (event for page in pages for event in page["events"]):
        for text in event["message"].splitlines():
            line = json.loads(text) if text.startswith("{") else {}
            if "ms" in line and line.get("step") != "start":
                took[line["sessionId"]] = took.get(line["sessionId"], 0) + line["ms"] / 1000
    return took


def main() -> None:
    stack = Stack()
    try:
        running = stack.read()
        session(running["apiUrl"], running["liveApiKey"])  # processes that have to start
        sessions = [session(running["apiUrl"], running["liveApiKey"]) for _ in range(LINKS)]
        took = connector_seconds(stack)
    except Failure as failure:
        sys.exit(str(failure))
    added = sorted(1000 * (seconds - took[session_id]) for session_id, seconds in sessions)
    own = statistics.median(1000 * took[session_id] for session_id, _ in sessions)
    print(f"{LINKS} links, one after the other; the connector's own time is {own:.0f} ms (median)")
    print(f"added: {statistics.median(added):.0f} ms (median), {added[0]:.0f} to {added[-1]:.0f} ms")


if __name__ == "__main__":
    main()
