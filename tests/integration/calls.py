"""What the handlers ask of AWS, call by call."""

from collections import Counter
from typing import Any

import pytest

from latchkey.adapters import aws
from tests.integration.conftest import Stack


class Calls:
    """Records each call of DynamoDB, KMS, SQS and Lambda: its operation and arguments."""

    def __init__(self, stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made: list[tuple[str, dict[str, Any]]] = []
        for client in (aws.dynamodb(), aws.kms()):
            self._record(monkeypatch, client, "_make_api_call")
        self._record(monkeypatch, stack.queues, "send_message", "SendMessage")
        self._record(monkeypatch, stack.connectors, "invoke", "Invoke")

    def _record(self, monkeypatch: pytest.MonkeyPatch, of: Any, method: str, operation: str = "") -> None:
        call = getattr(of, method)

        def recorded(*args: Any, **kwargs: Any) -> Any:
            self.made.append((operation, kwargs) if operation else args)
            return call(*args, **kwargs)

        monkeypatch.setattr(of, method, recorded)

    def take(self) -> Counter[str]:
        """How often each operation was called since the last time."""
        counts = Counter(operation for operation, _ in self.made)
        self.made.clear()
        return counts
