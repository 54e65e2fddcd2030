"""Calling connectors: the Lambda functions that log in at a provider and run operations there."""

import json
import re
import time
from typing import Any

from botocore.exceptions import (
    ClientError,
    ConnectionError,  # noqa: A004 # botocore's name
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
)

from latchkey.adapters import aws, telemetry
from latchkey.adapters.settings import settings
from latchkey.domain import ids
from latchkey.domain.catalogue import providers
from latchkey.domain.connector_protocol import VERSION, UnreadableReplyError, read_reply, reply_issues
from latchkey.domain.links import Link

THROTTLED_WAITS = (0.5, 1, 2)  # seconds before each further try of a call that Lambda did not take


class ConnectorDiedError(Exception):
    """No reply that fits the protocol: what was asked may have been done or not."""


class ConnectorUnreachableError(Exception):
    """The connector was never called."""


def call(link: Link, action: str, state: Any, **members: Any) -> dict[str, Any]:
    """Ask the link's connector, and return its reply, which fits the protocol and the action.

    Raises ConnectorUnreachableError or ConnectorDiedError. Their texts hold nothing of the reply.
    """
    request = {
        "version": VERSION,
        "action": action,
        "sessionId": ids.session_id(link.link_id),
        "integrationId": link.integration_id,
        "livemode": link.livemode,
        "state": state,
        "input": None,
        "operation": None,
    } | members
    payload = _invoke(_function(link), json.dumps(request, ensure_ascii=False).encode())
    try:
        reply = read_reply(payload)
    except UnreadableReplyError as error:
        raise ConnectorDiedError(str(error)) from None
    if reply_issues(reply, action):
        raise ConnectorDiedError("the reply does not fit the protocol")
    answer: dict[str, Any] = reply
    return answer


def check() -> dict[str, str]:
    """Whether each live connector can be called: "ok", or what is wrong and what to do. None is run."""
    return {
        integration: _fault(integration, arn) or "ok"
        for integration, arn in settings().live_connectors.items()
    }


def misnamed(integration: str, arn: str, region: str) -> str | None:
    """What is wrong with a live connector's name, and what to do; None if nothing is."""
    if integration not in providers():
        return f"there is no such integration; there are {', '.join(providers())}"
    named = re.fullmatch(r"arn:[a-z-]+:lambda:([a-z0-9-]+):\d{12}:function:[\w-]+(:[\w$-]+)?", arn)
    if named is None:
        return f"{arn} is not the ARN of a function, or of an alias of one"
    if named[1] != region:
        return f"{arn} is in {named[1]}, and connectors are called in {region}: deploy it there"
    return None


def _fault(integration: str, arn: str) -> str | None:
    if fault := misnamed(integration, arn, aws.functions().meta.region_name):
        return fault
    try:
        aws.functions().invoke(FunctionName=arn, InvocationType="DryRun")
    except ClientError as error:
        match error.response["Error"]["Code"]:
            case "AccessDeniedException":
                return (
                    f"run_session may not call {arn}: aws lambda add-permission for the output "
                    f"RunSessionRoleArn, with --qualifier if the ARN ends in an alias"
                )
            case "ResourceNotFoundException":
                return f"there is no {arn}"
            case code:
                return f"Lambda answers {code} for {arn}"
    except (ConnectionError, HTTPClientError):
        return "Lambda does not answer; try again"
    return None


def _function(link: Link) -> dict[str, Any]:
    if not link.livemode:
        return {"FunctionName": settings().sandbox_connector, "Qualifier": aws.ALIAS}
    try:
        return {"FunctionName": settings().live_connectors[link.integration_id]}
    except KeyError:
        raise ConnectorUnreachableError("no connector is registered") from None


def _invoke(function: dict[str, Any], request: bytes) -> bytes:
    """One call, which is never repeated once the connector may have begun."""
    for wait in (*THROTTLED_WAITS, None):
        try:
            answer = aws.functions().invoke(**function, Payload=request)
            break
        except (ConnectTimeoutError, EndpointConnectionError) as error:
            raise ConnectorUnreachableError("no connection to Lambda") from error
        except HTTPClientError as error:
            raise ConnectorDiedError("no answer in time") from error
        except ClientError as error:
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            if status >= 500:
                raise ConnectorDiedError("Lambda failed") from error
            if status != 429:
                code = error.response["Error"]["Code"]
                line = {"function": function["FunctionName"], "code": code}
                line |= telemetry.metrics({"ConnectorsRefused": 1})
                telemetry.logger.error("connector refused", **line)
                raise ConnectorUnreachableError("Lambda refused the call") from error
            if wait is None:
                raise ConnectorUnreachableError("throttled") from error
            time.sleep(wait)
    if answer.get("FunctionError"):
        raise ConnectorDiedError("the connector failed")
    return answer["Payload"].read()
