"""Holds what a connector is sent and what it replies against the protocol's schemas."""

import copy
import json
from collections.abc import Callable
from typing import Any

from latchkey.domain.catalogue import SCHEMAS, providers, read_schema
from latchkey.domain.connector_protocol import data_issues, reply_issues
from latchkey.domain.validation import schema_issues, validator

type Json = dict[str, Any]

REQUEST = read_schema(f"{SCHEMAS}/connector_request.json")
REPLY = read_schema(f"{SCHEMAS}/connector_reply.json")
# Whether the schemas have what the protocol grew by; what they do not know they cannot judge.
REQUESTS_GREW = '"poll"' in json.dumps(REQUEST)
REPLIES_GREW = '"pollSeconds"' in json.dumps(REPLY)


def judged(handler: Callable[[Any, Any], Json]) -> Callable[[Any, Any], Json]:
    """The handler, which fails a test that sends it no request or gets no reply of the protocol."""

    def judge(request: Json, context: Any) -> Json:
        reply = handler(request, context)
        if request["version"] == 1 and request["action"] in ("start", "answer", "poll", "execute"):
            assert _request_issues(request) == []
            assert _reply_issues(request, copy.deepcopy(reply)) == []
        return reply

    return judge


def _request_issues(request: Json) -> list[Any]:
    new = request["action"] == "poll" or "choice" in request or (request["operation"] and request["input"])
    return [] if new and not REQUESTS_GREW else schema_issues(validator(REQUEST), request)


def _reply_issues(request: Json, reply: Json) -> list[Any]:
    action, challenge = request["action"], reply.get("challenge", {})
    if not REPLIES_GREW:
        reply.pop("reason", None)
        for member in ("message", "values", "actions", "expiresInSeconds"):
            challenge.pop(member, None)
        if challenge.get("type") == "wait":
            return []
        action = "answer" if action == "poll" or challenge else action
    issues: list[Any] = reply_issues(reply, action)
    if reply["status"] == "result":
        asked = request["operation"]
        offered = providers()[request["integrationId"]].resources[asked["resource"]][asked["action"]]
        issues += data_issues(validator(offered.result), reply["data"])
    return issues
