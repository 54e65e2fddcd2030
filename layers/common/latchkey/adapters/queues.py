"""SQS: messages are hints that hold an id and nothing else; what they ask for stands in the store."""

import json
from typing import Any

from latchkey.adapters import aws, telemetry
from latchkey.adapters.settings import settings
from latchkey.domain import ids
from latchkey.domain.errors import UnavailableError
from latchkey.domain.links import Link


def wake_worker(link: Link, delay_seconds: int = 0) -> None:
    """Ask for a worker for the link's session. A hint that is lost is found by sweep."""
    _send(settings().session_queue, link, {"sessionId": ids.session_id(link.link_id)}, delay_seconds)


def wake_deliverer(link: Link, delay_seconds: int = 0, hops: int = 0) -> None:
    """Ask for the link's event to be delivered, after so many messages that were sent on.

    A hint that is lost is found by sweep.
    """
    _send(settings().webhook_queue, link, {"linkId": link.link_id, "hops": hops}, delay_seconds)


def _send(queue: str, link: Link, message: dict[str, Any], delay_seconds: int = 0) -> None:
    try:
        with aws.unavailable_when_down():
            aws.sqs().send_message(
                QueueUrl=queue,
                MessageBody=json.dumps(message),
                DelaySeconds=delay_seconds,
                MessageGroupId=link.account,  # a fair queue: one account's backlog does not hold up another's
            )
    except UnavailableError:
        telemetry.logger.warning("a message was not sent; sweep does its work", linkId=link.link_id)
