"""Logger, metrics and tracer, made once; what they are given holds no secret.

Keys travel with each call and are never appended, so none outlives its request. Responses, events and
exception texts are never recorded: any of them may hold what a user typed.
"""

import json
import logging
import os
import traceback
from collections.abc import Callable
from threading import Lock
from typing import Any

from aws_lambda_powertools.logging import Logger
from aws_lambda_powertools.metrics import Metrics

# What no line shows is not looked up for it: https://docs.python.org/3/howto/logging.html#optimization
logging._srcfile = None
logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False

# Names, levels and the namespace come from Powertools' own variables in the template. A message is words, and
# no JSON to try to decode; one encoder does for all lines. Together they save a third of a line's time.
logger = Logger(
    location=None,
    json_deserializer=str,
    json_serializer=json.JSONEncoder(default=str, ensure_ascii=False, separators=(",", ":")).encode,
)
_metrics = Metrics()
_one_at_a_time = Lock()  # Powertools keeps what is not flushed yet in one place for all threads

type LambdaHandler = Callable[[dict[str, Any], Any], dict[str, Any]]


def count(name: str, integration: str | None = None) -> None:
    """Count one event; only ids of the catalogue, or "none", as integration keep the metric bounded."""
    with _one_at_a_time:
        if integration is not None:
            _metrics.add_dimension("integration", integration)
        _metrics.add_metric(name=name, unit="Count", value=1)
        _metrics.flush_metrics()


def measure(name: str, milliseconds: int) -> None:
    """Record how long something took or how late it came."""
    with _one_at_a_time:
        _metrics.add_metric(name=name, unit="Milliseconds", value=milliseconds)
        _metrics.flush_metrics()


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
