"""Logger, metrics and tracer, made once; what they are given holds no secret.

Keys travel with each call and are never appended, so none outlives its request. Responses, events and
exception texts are never recorded: any of them may hold what a user typed.
"""

import json
import logging
import os
import time
import traceback
from collections.abc import Callable
from functools import cache
from typing import Any

from aws_lambda_powertools.logging import Logger
from aws_lambda_powertools.logging.formatter import RESERVED_LOG_ATTRS, LambdaPowertoolsFormatter
from aws_lambda_powertools.metrics import Metrics

# What no line shows is not looked up for it: https://docs.python.org/3/howto/logging.html#optimization
logging._srcfile = None
logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False

_NOT_SHOWN = frozenset(RESERVED_LOG_ATTRS)


class _Formatter(LambdaPowertoolsFormatter):
    """Powertools' lines, without a search of all places where a key may be set: half of their time."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "level": record.levelname,
            "message": record.getMessage(),
            "timestamp": self.formatTime(record),
            "service": _metrics.service,
        }
        line |= {k: v for k, v in vars(record).items() if v is not None and k not in _NOT_SHOWN}
        if trace := self._get_latest_trace_id():
            line["xray_trace_id"] = trace
        return self.serialize(line)


# Names, levels and the namespace come from Powertools' own variables in the template.
_metrics = Metrics()
logger = Logger(
    logger_formatter=_Formatter(
        utc=True,
        use_rfc3339=True,
        json_serializer=json.JSONEncoder(default=str, ensure_ascii=False, separators=(",", ":")).encode,
    )
)
_level = logger.log_level


def _is_wanted(record: logging.LogRecord) -> bool:
    """Whether a line is written: at every level if it is metrics, or audited, which others find there."""
    return record.levelno >= _level or hasattr(record, "_aws") or hasattr(record, "audited")


logger.addFilter(_is_wanted)
logger.setLevel(min(_level, logging.INFO))

type LambdaHandler = Callable[[dict[str, Any], Any], dict[str, Any]]


def metrics(values: dict[str, int], integration: str | None = None) -> dict[str, Any]:
    """Members by which a log line is metrics too, in CloudWatch's embedded metric format.

    Counts, or milliseconds where the name ends in Lateness. Each name costs 0.30 dollars a month, and again
    for each integration that it is told by: the log tells all else.
    """
    described = _described(tuple(values), integration)
    at = {"Timestamp": time.time_ns() // 1_000_000}
    return described | {"_aws": described["_aws"] | at} | values


@cache
def _described(names: tuple[str, ...], integration: str | None) -> dict[str, Any]:
    """The members for metrics of these names, each 0."""
    dimensions = {"service": _metrics.service}
    if integration is not None:
        dimensions["integration"] = integration
    units = {name: "Milliseconds" if name.endswith("Lateness") else "Count" for name in names}
    none = {name: {"Unit": unit, "Value": 0} for name, unit in units.items()}
    return dict(_metrics.serialize_metric_set(none, dimensions, metadata={}))


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
