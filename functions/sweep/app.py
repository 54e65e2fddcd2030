"""Every minute: whatever is due. A shard with much to do is handed over to an invocation of its own."""

import json
import time
from typing import Any

from latchkey.adapters import aws, telemetry
from latchkey.domain.errors import UnavailableError
from latchkey.domain.links import DUE_SHARDS
from latchkey.services import sweep

aws.dynamodb()
# A link takes at most a few calls of 7 s: begun with less, it would not end before the function does.
RESERVE_SECONDS = 25


def _clock() -> int:
    return time.time_ns() // 1_000_000


def _handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
    alone = event.get("shard")  # of a shard that was handed over
    first = _clock() // 60_000  # another each minute, so that none is always the last, for want of time
    shards = [(first + n) % DUE_SHARDS for n in range(DUE_SHARDS)] if alone is None else [alone]

    def handed_over(shard: int) -> bool:
        if alone is not None:
            return False
        payload = json.dumps({"shard": shard}).encode()
        try:
            with aws.unavailable_when_down():
                # By name: an ARN in a path does not survive the proxy that the tests make faults with.
                aws.functions().invoke(
                    FunctionName=context.function_name,
                    Qualifier=aws.ALIAS,
                    InvocationType="Event",
                    Payload=payload,
                )
        except UnavailableError:
            return False
        return True

    late = sweep.sweep(
        shards,
        clock=_clock,
        seconds_left=lambda: context.get_remaining_time_in_millis() / 1000 - RESERVE_SECONDS,
        handed_over=handed_over,
    )
    telemetry.logger.info("swept", shard=alone, **telemetry.metrics({"SweepLateness": late}))
    return {"lateMs": late}


lambda_handler = telemetry.traced(_handle)
