"""The floor: json, boto3 and the writes or the one read; no key check, validation, sealing or telemetry."""

import json
import os
import time
from typing import Any

import boto3

dynamodb = boto3.client("dynamodb")


def lambda_handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    if "body" not in event:
        key = {"pk": {"S": event["pathParameters"]["linkId"]}}
        found = dynamodb.get_item(TableName="Links", Key=key, ConsistentRead=True)
        return {"statusCode": 200 if "Item" in found else 404}
    request = json.loads(event["body"])
    link_id = f"link_{os.urandom(16).hex()}"
    now = int(time.time() * 1000)
    link = {
        "linkId": link_id,
        "integrationId": request["integrationId"],
        "operations": [{"resource": o["resource"], "action": o["action"]} for o in request["operations"]],
        "status": "pending",
        "createdAt": now,
        "expiresAt": now + request.get("expiresIn", 14_400) * 1000,
    }
    arguments = [o["arguments"] for o in request["operations"] if o.get("arguments")]
    if arguments:
        item = {"pk": {"S": link_id}, "arguments": {"S": json.dumps(arguments)}}
        dynamodb.put_item(TableName="Secrets", Item=item)
    item = {"pk": {"S": link_id}, "link": {"S": json.dumps(link)}, "expiresAt": {"N": str(link["expiresAt"])}}
    dynamodb.put_item(TableName="Links", Item=item)
    return {"statusCode": 201, "headers": {"Content-Type": "application/json"}, "body": json.dumps(link)}
