"""Every minute, for each shard: whatever is due."""

import time
from typing import Any

from latchkey import aws, sweep, telemetry

aws.dynamodb()
# A link takes at most a few calls of 7 s: begun with less, it would not end before the function does.
RESERVE_SECONDS = 25


def _handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
    late = sweep.sweep(
        event["shard"],
        clock=lambda: time.time_ns() // 1_000_000,
        seconds_left=lambda: context.get_remaining_time_in_millis() / 1000 - RESERVE_SECONDS,
    )
    telemetry.logger.info("swept", shard=event["shard"], lateMs=late)
    telemetry.measure("SweepLateness", late)
    return {"lateMs": late}


lambda_handler = telemetry.traced(_handle)
