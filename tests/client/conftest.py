"""The handlers over moto, behind a real HTTP server whose answers get lost."""

import io
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

import pytest

from latchkey.adapters import telemetry
from latchkey_client import Latchkey
from tests.client.faults import NO_ROUTE, Answered, Faults, Sent
from tests.integration.conftest import (
    SAMPLE_KEY,
    Stack,
    clients,  # noqa: F401 # a fixture, as the next
    sample_event,
    stack,  # noqa: F401
)
from tests.template import resources, routes


def through_handlers(stack: Stack) -> Callable[[Sent], Answered]:  # noqa: F811 # the fixture's value
    """What the gateway makes of a request."""
    lock = threading.Lock()
    functions = resources("AWS::Serverless::Function")

    def answer(sent: Sent) -> Answered:
        method, target, headers, body = sent
        path = urlsplit(target).path
        for key in routes():
            wanted = key.partition(" ")[2].split("/")
            parts = path.split("/")
            if key.startswith(f"{method} ") and len(parts) == len(wanted):
                pairs = list(zip(wanted, parts, strict=True))
                if all(w == p or w.startswith("{") for w, p in pairs):
                    break
        else:
            return NO_ROUTE
        event = sample_event("create_link") | {
            "routeKey": key,
            "rawPath": path,
            "rawQueryString": urlsplit(target).query,
            "headers": headers,
            "pathParameters": {w[1:-1]: unquote(p) for w, p in pairs if w.startswith("{")},
            "body": body.decode(),
            "isBase64Encoded": False,
        }
        event["requestContext"] = event["requestContext"] | {"routeKey": key}
        event["requestContext"]["http"] = event["requestContext"]["http"] | {"method": method, "path": path}
        with lock:
            told = stack.invoke(functions[routes()[key]]["CodeUri"].rpartition("/")[2], event)
        return told.status, told.headers, told.text.encode()

    return answer


@dataclass
class Served:
    url: str
    stack: Stack
    faults: Faults
    key: str = SAMPLE_KEY


@pytest.fixture
def served(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:  # noqa: F811 # the fixture
    # The functions' log is no part of what a command prints.
    monkeypatch.setattr(telemetry.logger.registered_handler, "stream", io.StringIO())
    faults = Faults(through_handlers(stack))
    with faults.serving() as url:
        yield Served(url, stack, faults)


@pytest.fixture
def waits() -> list[float]:
    """The seconds that the client waited, which pass at once."""
    return []


@pytest.fixture
def client(served: Served, waits: list[float]) -> Iterator[Latchkey]:
    with Latchkey(api_key=served.key, base_url=served.url) as client:
        client._sleep = waits.append  # type: ignore[assignment] # it takes fewer kinds of number
        yield client
