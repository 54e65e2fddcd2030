"""From a queue's event to a handler of one message, and from what it raises to what the queue gets back."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from latchkey.adapters import aws, telemetry
from latchkey.domain.errors import HandBackError


def consumer(work: Callable[[dict[str, Any], Any], None]) -> telemetry.LambdaHandler:
    """Make a Lambda handler that does `work` with each message of a batch, side by side, and the context.

    What raises is handed back to the queue, and comes again when its visibility ends.
    """

    # Connecting takes longest: done while Lambda starts the environment.
    aws.dynamodb()

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
