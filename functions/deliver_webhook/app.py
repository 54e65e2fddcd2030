"""WebhookQueue: events whose delivery is due."""

import time
from typing import Any

from latchkey import messages
from latchkey.services.deliver_event import deliver


@messages.consumer
def lambda_handler(message: dict[str, Any], context: Any) -> None:
    """Attempt a delivery."""
    deliver(
        message["linkId"],
        message["hops"],
        clock=lambda: time.time_ns() // 1_000_000,
        seconds_left=lambda: context.get_remaining_time_in_millis() / 1000,
    )
