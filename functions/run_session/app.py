"""SessionQueue: a session whose turn it is."""

import time
from typing import Any

from latchkey import aws, queues, worker

aws.dynamodb()
aws.functions()


@queues.consumer
def lambda_handler(message: dict[str, Any], context: Any) -> None:
    """Take the session as far as it goes."""
    worker.run(
        message["sessionId"],
        clock=lambda: time.time_ns() // 1_000_000,
        seconds_left=lambda: context.get_remaining_time_in_millis() / 1000,
    )
