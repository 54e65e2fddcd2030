"""SQS: messages are hints that hold an id and nothing else; what they ask for stands in the store."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from latchkey import aws, ids, telemetry
from latchkey.errors import UnavailableError
from latchkey.links import Link
from latchkey.settings import settings


def wake_worker(link: Link) -> None:
    """Ask for a worker for the link's session. A hint that is lost is found by sweep."""
    _send(settings().session_queue, link, {"sessionId": ids.session_id(link.link_id)})


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


class HandBackError(Exception):
    """There is no time left for the message; the queue is to give it to another."""


def consumer(work: Callable[[dict[str, Any], Any], None]) -> telemetry.LambdaHandler:
    """Make a Lambda handler that does `work` with each message of a batch, side by side, and the context.

    What raises is handed back to the queue, and comes again when its visibility ends.
    """

    def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
        def failed(record: dict[str, Any]) -> bool:
            line = {"requestId": context.aws_request_id, "messageId": record["messageId"]}
            try:
                work(json.loads(record["body"]), context)
            except HandBackError:
                telemetry.logger.info("handed back", **line)
            except Exception as error:  # noqa: BLE001 # one message's failure is not its batch's
                telemetry.logger.error("message failed", **line, **telemetry.unexpected(error))
            else:
                telemetry.logger.info("done", **line)
                return False
            return True

        records = event["Records"]
        with ThreadPoolExecutor(len(records)) as pool:
            failures = [record for record, bad in zip(records, pool.map(failed, records), strict=True) if bad]
        return {"batchItemFailures": [{"itemIdentifier": record["messageId"]} for record in failures]}

    return telemetry.traced(handler)
