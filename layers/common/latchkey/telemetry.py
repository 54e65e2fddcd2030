"""Log lines, metrics and the tracer; what they are given holds no secret.

A line holds what it is given and nothing of an earlier one. Responses, events and exception texts are never
recorded: any of them may hold what a user typed.

Lines and metrics are written here and not by Powertools' Logger and Metrics, which make the same JSON: those
take a twentieth of a cold start to import and a sixteenth of a warm request's CPU (`make bench`).
"""

import json
import os
import time
import traceback
from collections.abc import Callable
from typing import Any

_SERVICE = "latchkey"
_NAMESPACE = "Latchkey"
_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")

type LambdaHandler = Callable[[dict[str, Any], Any], dict[str, Any]]


class _Logger:
    """Writes JSON lines of at least the level that the template sets."""

    def __init__(self, least: str) -> None:
        self._shown = frozenset(_LEVELS[_LEVELS.index(least) :])

    def info(self, message: str, **fields: Any) -> None:
        self._write("INFO", message, fields)

    def warning(self, message: str, **fields: Any) -> None:
        self._write("WARNING", message, fields)

    def error(self, message: str, **fields: Any) -> None:
        self._write("ERROR", message, fields)

    def _write(self, level: str, message: str, fields: dict[str, Any]) -> None:
        if level in self._shown:
            seconds, milliseconds = divmod(time.time_ns() // 1_000_000, 1000)
            moment = f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{milliseconds:03}Z"
            line = {"level": level, "message": message, "timestamp": moment, "service": _SERVICE} | fields
            # "Root=1-...;Parent=...;Sampled=..."; Lambda sets it anew for each request.
            root = os.environ.get("_X_AMZN_TRACE_ID", "").partition(";")[0]
            _print(line | {"xray_trace_id": root.removeprefix("Root=")} if root else line)


_json = json.JSONEncoder(separators=(",", ":")).encode


def _print(line: dict[str, Any]) -> None:
    # One write and one flush for a line, because a batch's messages are worked on side by side.
    print(_json(line) + "\n", end="", flush=True)  # noqa: T201 # how Lambda logs


logger = _Logger(os.environ.get("LOG_LEVEL", "INFO"))


def count(name: str, integration: str | None = None) -> None:
    """Count one event; only ids of the catalogue, or "none", as integration keep the metric bounded."""
    _put_metric(name, 1, "Count", {} if integration is None else {"integration": integration})


def measure(name: str, milliseconds: int) -> None:
    """Record how long something took or how late it came."""
    _put_metric(name, milliseconds, "Milliseconds", {})


def _put_metric(name: str, value: int, unit: str, dimensions: dict[str, str]) -> None:
    """CloudWatch reads the metric out of the log line: embedded metric format."""
    dimensions |= {"service": _SERVICE}
    metric = {
        "Namespace": _NAMESPACE,
        "Dimensions": [list(dimensions)],
        "Metrics": [{"Name": name, "Unit": unit}],
    }
    envelope = {"Timestamp": time.time_ns() // 1_000_000, "CloudWatchMetrics": [metric]}
    _print({"_aws": envelope, name: value} | dimensions)


def unexpected(error: BaseException) -> dict[str, Any]:
    """What may be logged of an exception that nobody foresaw: its type and where, never its text."""
    frames = traceback.extract_tb(error.__traceback__)
    return {
        "exception": type(error).__qualname__,
        "stack": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
    }


def traced(handler: LambdaHandler) -> LambdaHandler:
    """The handler with a subsegment for each AWS call, when the deployer asked for that.

    The X-Ray SDK takes 0.1 s to import, so it is left out otherwise; Lambda's own segments need none of it.
    """
    if os.environ.get("POWERTOOLS_TRACE_DISABLED", "true") == "true":
        return handler
    from aws_lambda_powertools.tracing import Tracer

    traced_handler: LambdaHandler = Tracer().capture_lambda_handler(
        handler, capture_response=False, capture_error=False
    )
    return traced_handler
