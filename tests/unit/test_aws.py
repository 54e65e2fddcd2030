"""The clients call the same addresses, under the same signature, as botocore's own."""

from typing import Any

import boto3
import botocore.session
import pytest
from botocore.awsrequest import AWSPreparedRequest

from latchkey.adapters import aws
from latchkey.domain import sessions


class NotSentError(Exception):
    """Carries the request that was about to be sent."""


def stop(request: AWSPreparedRequest, **_: Any) -> None:
    raise NotSentError(request)


def target(
    session: botocore.session.Session, service: str, region: str, call: dict[str, Any]
) -> tuple[str, str]:
    """Where a call would go, and the region and service that its signature names."""
    client: Any = boto3.Session(botocore_session=session).client(service, region_name=region)  # type: ignore[call-overload] # the names below
    client.meta.events.register("before-send", stop)
    ((operation, arguments),) = call.items()
    with pytest.raises(NotSentError) as stopped:
        getattr(client, operation)(**arguments)
    request = stopped.value.args[0]
    scope = request.headers["Authorization"].decode().partition(",")[0]
    return request.url, scope.partition("/")[2].partition("/")[2]


@pytest.mark.parametrize(
    ("region", "fips"),
    [("us-east-1", "false"), ("us-east-1", "true"), ("cn-north-1", "false"), ("us-gov-west-1", "false")],
)
@pytest.mark.parametrize(
    ("service", "call"),
    [
        ("dynamodb", {"get_item": {"TableName": "t", "Key": {"pk": {"S": "x"}}}}),
        ("kms", {"generate_data_key": {"KeyId": "k", "KeySpec": "AES_256"}}),
        ("lambda", {"invoke": {"FunctionName": "f"}}),
        ("sqs", {"send_message": {"QueueUrl": "https://sqs.example.com/1/q", "MessageBody": "x"}}),
    ],
)
def test_a_service_is_called_where_botocore_would_call_it(
    monkeypatch: pytest.MonkeyPatch, service: str, call: dict[str, Any], region: str, fips: str
) -> None:
    monkeypatch.setenv("AWS_USE_FIPS_ENDPOINT", fips)
    ours = aws._session.__wrapped__()._session
    assert target(ours, service, region, call) == target(
        botocore.session.get_session(), service, region, call
    )


def test_a_connector_is_called_once_and_waited_for_as_long_as_it_may_take(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    config: Any = aws.functions.__wrapped__().meta.config  # the stubs do not know what it holds
    assert config.retries["total_max_attempts"] == 1  # a call may be a write
    assert config.read_timeout >= sessions.MAX_CALL_SECONDS
