"""SessionQueue: a session whose turn it is."""

import time
from typing import Any

from latchkey import messages
from latchkey.adapters import aws
from latchkey.services import run_session

aws.functions()


@messages.consumer
def lambda_handler(message: dict[str, Any], context: Any) -> None:
    """Take the session as far as it goes."""
    run_session.run(
        message["sessionId"],
        clock=lambda: time.time_ns() // 1_000_000,
        seconds_left=lambda: context.get_remaining_time_in_millis() / 1000,
    )
