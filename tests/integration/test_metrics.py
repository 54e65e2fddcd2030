"""Metrics come at every log level, and sweep's says the worst of what it cannot know."""

import logging
import os
import re
import subprocess
import sys
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from latchkey.adapters import aws, telemetry, webhook_sender
from latchkey.domain.retry_schedule import Outcome
from latchkey.services.sweep import UNREAD_MS
from tests.integration.conftest import Context, Output, Stack, founding
from tests.template import ROOT, resources


def told(output: Output) -> dict[str, int]:
    """Each metric that was printed, with its last value."""
    return {
        metric["Name"]: line[metric["Name"]]
        for line in output.lines
        if "_aws" in line
        for metric in line["_aws"]["CloudWatchMetrics"][0]["Metrics"]
    }


@pytest.mark.parametrize("level", ["DEBUG", "INFO", "WARNING", "ERROR"])
def test_metrics_are_printed_at_every_level(
    stack: Stack, output: Output, monkeypatch: pytest.MonkeyPatch, level: str
) -> None:
    monkeypatch.setattr(telemetry, "_level", logging.getLevelNamesMapping()[level])
    monkeypatch.setattr(webhook_sender, "send", lambda *_, **__: Outcome(duration_ms=1, status_code=500))
    stack.cancel(stack.create(founding()).json["linkId"])
    stack.deliver()
    stack.sweep()
    assert told(output) == {
        "LinksCreated": 1,
        "FirstAttemptLateness": 0,
        "DeliveryFailures": 1,
        "SweepLateness": 0,
    }
    others = [line for line in output.lines if "_aws" not in line and "audited" not in line]
    assert bool(others) is (level in ("DEBUG", "INFO"))


@pytest.mark.parametrize(("level", "printed"), [("INFO", "abc"), ("WARNING", "bc"), ("ERROR", "b")])
def test_the_environment_sets_the_level_of_all_other_lines(level: str, printed: str) -> None:
    code = (
        "from latchkey.adapters.telemetry import logger, metrics\n"
        "logger.info('a'); logger.info('b', **metrics({'Some': 1})); logger.warning('c')"
    )
    lines = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"POWERTOOLS_LOG_LEVEL": level, "PYTHONPATH": str(ROOT / "layers/common")},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert [line for line in printed if any(f'"message":"{line}"' in each for each in lines)] == [*printed]
    assert len(lines) == len(printed)


@pytest.mark.parametrize("broken", [16, 1])
def test_a_shard_that_sweep_cannot_read_is_not_in_time(
    stack: Stack, output: Output, monkeypatch: pytest.MonkeyPatch, broken: int
) -> None:
    query, left = aws.dynamodb().query, iter([True] * broken + [False] * 16)

    def failing(**request: Any) -> Any:
        if next(left):
            raise EndpointConnectionError(endpoint_url="dynamodb")
        return query(**request)

    monkeypatch.setattr(aws.dynamodb(), "query", failing)
    stack.sweep()
    assert told(output)["SweepLateness"] == UNREAD_MS
    assert resources("AWS::CloudWatch::Alarm")["SweepLate"]["Threshold"] < UNREAD_MS


def test_what_sweep_has_no_time_for_is_late_all_the_same(
    stack: Stack, output: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack.create(founding(expiresIn=1))
    stack.now += 1000 + 300_000
    monkeypatch.setattr(Context, "remaining_ms", 0)
    stack.sweep()
    assert told(output)["SweepLateness"] == 300_000


def refused(**_: Any) -> Any:
    status: Any = {"HTTPStatusCode": 403}
    raise ClientError({"Error": {"Code": "x", "Message": "x"}, "ResponseMetadata": status}, "Invoke")


def test_each_alarm_of_our_own_has_a_metric_that_is_printed_with_its_dimensions(
    stack: Stack, output: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telemetry, "_level", logging.ERROR)
    monkeypatch.setattr(webhook_sender, "send", lambda *_, **__: Outcome(duration_ms=1, status_code=410))
    monkeypatch.setenv("LIVE_CONNECTORS", "tmobile=arn:aws:lambda:eu-central-1:1:function:mine")
    stack.forget_settings()
    monkeypatch.setattr(stack.connectors, "invoke", refused)
    live = stack.create(founding(), key=stack.new_key(livemode=True)).json
    stack.claim(live["claimCode"])
    stack.work()
    stack.deliver()
    stack.sweep()
    printed = {
        (metric["Name"], *sorted(dimensions))
        for line in output.lines
        if "_aws" in line
        for kept in line["_aws"]["CloudWatchMetrics"]
        for metric in kept["Metrics"]
        for dimensions in kept["Dimensions"]
    }
    alarms = resources("AWS::CloudWatch::Alarm")
    watched = {
        (alarm["MetricName"], *(dimension["Name"] for dimension in alarm["Dimensions"]))
        for alarm in alarms.values()
        if alarm.get("Namespace") == "Latchkey"
    }
    query = alarms["IntegrationDown"]["Metrics"][0]["Expression"]["Sub"]
    (name, dimensions), *_ = re.findall(r"MIN\((\w+)\) FROM SCHEMA\(Latchkey, ([\w, ]+)\)", query)
    assert printed >= watched | {(name, *sorted(dimensions.split(", ")))}
