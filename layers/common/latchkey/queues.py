"""SQS: messages are hints that hold an id and nothing else; what they ask for stands in the store."""

import json
from collections.abc import Callable
from typing import Any

from latchkey import aws, ids, telemetry
from latchkey.errors import UnavailableError
from latchkey.links import Link
from latchkey.settings import settings


def wake_worker(link: Link) -> None:
    """Ask for a worker for the link's session. A hint that is lost is found by sweep."""
    _send(settings().session_queue, link, {"sessionId": ids.session_id(link.link_id)})


def wake_deliverer(link: Link, delay_seconds: int = 0) -> None:
    """Ask for the link's event to be delivered. A hint that is lost is found by sweep."""
    _send(settings().webhook_queue, link, {"linkId": link.link_id}, delay_seconds)


def _send(queue: str, link: Link, message: dict[str, str], delay_seconds: int = 0) -> None:
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


def consumer(work: Callable[[dict[str, Any], Any], None]) -> telemetry.LambdaHandler:
    """Make a Lambda handler that does `work` with each message of a batch and the Lambda context.

    What raises is handed back to the queue, and comes again when its visibility ends.
    """

    def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
        failed = []
        for record in event["Records"]:
            line = {"requestId": context.aws_request_id, "messageId": record["messageId"]}
            try:
                work(json.loads(record["body"]), context)
            except Exception as error:  # noqa: BLE001 # one message's failure is not its batch's
                telemetry.logger.error("message failed", **line, **telemetry.unexpected(error))
                failed.append({"itemIdentifier": record["messageId"]})
        return {"batchItemFailures": failed}

    return telemetry.traced(handler)
