"""run_session tells whether it may call each live connector, and runs none."""

from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from functions.run_session import app
from latchkey.adapters import aws, settings
from tests.integration.conftest import Context

ARN = "arn:aws:lambda:eu-central-1:123456789012:function:"


@pytest.fixture
def lambda_(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Lambda, as far as the check asks it; returns what it was asked."""
    asked: list[dict[str, Any]] = []
    codes = {
        "denied": "AccessDeniedException",
        "gone": "ResourceNotFoundException",
        "odd": "KMSDisabledException",
    }

    def invoke(**request: Any) -> dict[str, Any]:
        asked.append(request)
        name = request["FunctionName"].split(":")[6]
        if name == "away":
            raise EndpointConnectionError(endpoint_url="lambda")
        if name in codes:
            raise ClientError({"Error": {"Code": codes[name], "Message": "x"}}, "Invoke")
        return {"StatusCode": 204}

    monkeypatch.setattr(aws.functions(), "invoke", invoke)
    return asked


def checked(monkeypatch: pytest.MonkeyPatch, registered: str) -> str:
    monkeypatch.setenv("LIVE_CONNECTORS", registered)
    settings.settings.cache_clear()
    try:
        found: dict[str, str] = app.lambda_handler({"check": "connectors"}, Context())["connectors"]
    finally:
        settings.settings.cache_clear()
    (told,) = found.values()
    return told


@pytest.mark.parametrize(
    ("registered", "told"),
    [
        (f"att={ARN}mine", "ok"),
        (f"att={ARN}mine:live", "ok"),
        (f"att={ARN.replace('1234', '9999')}theirs", "ok"),
        (f"att={ARN}denied:live", "add-permission"),
        (f"att={ARN}gone", "there is no arn"),
        (f"att={ARN}odd", "KMSDisabledException"),
        (f"att={ARN}away", "try again"),
    ],
)
def test_each_connector_is_tried_and_none_is_run(
    monkeypatch: pytest.MonkeyPatch, lambda_: list[dict[str, Any]], registered: str, told: str
) -> None:
    assert told in checked(monkeypatch, registered)
    (request,) = lambda_
    assert request == {"FunctionName": registered.removeprefix("att="), "InvocationType": "DryRun"}


@pytest.mark.parametrize(
    ("registered", "told"),
    [
        (f"attt={ARN}mine", "there is no such integration; there are "),
        (f"att={ARN.replace('eu-central-1', 'us-east-1')}mine", "called in eu-central-1: deploy it there"),
        ("att=arn:aws:sqs:eu-central-1:123456789012:queue", "not the ARN of a function"),
        ("att=mine", "not the ARN of a function"),
    ],
)
def test_what_can_be_seen_to_be_wrong_is_not_tried(
    monkeypatch: pytest.MonkeyPatch, lambda_: list[dict[str, Any]], registered: str, told: str
) -> None:
    assert told in checked(monkeypatch, registered)
    assert lambda_ == []
