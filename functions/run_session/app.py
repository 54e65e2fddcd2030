"""SessionQueue: a session whose turn it is; and, by {"check": "connectors"}, who can be called."""

import time
from typing import Any

from latchkey import messages
from latchkey.adapters import aws
from latchkey.services import run_session

aws.functions()


@messages.consumer
def _take(message: dict[str, Any], context: Any) -> None:
    """Take the session as far as it goes."""
    run_session.run(
        message["sessionId"],
        clock=lambda: time.time_ns() // 1_000_000,
        seconds_left=lambda: context.get_remaining_time_in_millis() / 1000,
    )


def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Take a batch's session on, or check the live connectors with the role that calls them."""
    if event.get("check") == "connectors":
        return {"connectors": run_session.check_connectors()}
    return _take(event, context)
