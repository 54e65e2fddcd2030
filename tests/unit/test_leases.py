"""Leases outlast what is done under them, call by call at its worst."""

from typing import Any

from latchkey.adapters import aws, webhook_sender
from latchkey.domain import deliveries, sessions
from latchkey.services import deliver_event, run_session, sweep

# What one call to AWS takes at most: see aws.py.
CALL_MS = 7_000


def test_the_worst_of_a_call_is_what_the_leases_count_with() -> None:
    config: Any = aws._CONFIG  # botocore's stubs do not know what it holds
    attempts = config.retries["total_max_attempts"]
    assert 1000 * (attempts * (config.connect_timeout + config.read_timeout) + 1) == CALL_MS


def test_a_delivery_is_over_before_its_lease_is() -> None:
    # The lease's own write, the attempt, its record, and one more try of that.
    longest = 1000 * webhook_sender.ATTEMPT_SECONDS + 3 * CALL_MS
    assert longest < deliveries.LEASE_MS
    assert webhook_sender.ATTEMPT_SECONDS < deliver_event.NEEDED_SECONDS


def test_each_thread_of_sweep_has_a_connection() -> None:
    config: Any = aws._CONFIG
    assert config.max_pool_connections >= sweep.THREADS


def test_a_connectors_call_is_over_before_its_sessions_lease_is() -> None:
    longest = 1000 * sessions.MAX_CALL_SECONDS + 3 * CALL_MS
    assert longest < sessions.LEASE_MS
    assert 1000 * run_session.NEEDED_SECONDS >= sessions.LEASE_MS
