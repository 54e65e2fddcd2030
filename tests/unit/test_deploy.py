"""What `make deploy` refuses, warns of and keeps."""

from typing import Any

import pytest

from local import deploy
from tests.template import resources

REGION = "eu-central-1"
CONNECTOR = f"arn:aws:lambda:{REGION}:123456789012:function:att-connector"


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"LiveConnectors": f"att={CONNECTOR},tmobile={CONNECTOR}:live"},
        {"LinkBaseUrl": "https://links.example.com", "AppleAppIds": "ABCDE12345.com.example.app"},
        {"LinkBaseUrl": "https://example.com/links"},
        {"DomainName": "links.example.com", "CertificateArn": "arn:aws:acm:eu-central-1:1:certificate/x"},
    ],
)
def test_what_works_is_deployed(parameters: dict[str, str]) -> None:
    assert list(deploy.faults(parameters, REGION)) == []


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"LiveConnectors": f"atnt={CONNECTOR}"}, "no such integration; there are "),
        ({"LiveConnectors": f"att={CONNECTOR.replace(REGION, 'us-east-1')}"}, "is in us-east-1"),
        ({"LiveConnectors": "att=arn:aws:s3:::bucket"}, "not the ARN of a function"),
        ({"LinkBaseUrl": "https://example.com/a", "AndroidPackage": "com.example.app"}, "no path"),
        ({"DomainName": "links.example.com"}, "give both or none"),
        ({"CertificateArn": "arn:aws:acm:eu-central-1:1:certificate/x"}, "give both or none"),
    ],
)
def test_what_would_not_work_is_refused_with_what_to_do(parameters: dict[str, str], said: str) -> None:
    (fault,) = deploy.faults(parameters, REGION)
    assert said in fault


def test_parameters_are_given_as_to_a_shell() -> None:
    given = deploy.given_parameters("BrandName='Acme & Söhne' AccentColor=#123456", "arm64")
    assert given == {"BrandName": "Acme & Söhne", "AccentColor": "#123456", "Architecture": "arm64"}


@pytest.mark.parametrize("text", ["BrandName", "=x", "Architecture=x86_64", "Brand-Name=x"])
def test_other_parameters_are_refused(text: str) -> None:
    with pytest.raises(SystemExit):
        deploy.given_parameters(text, "arm64")


class CloudFormation:
    """One change set, in two pages."""

    def __init__(self, *changes: dict[str, str]) -> None:
        self.pages = [list(changes[:1]), list(changes[1:])]

    def describe_change_set(self, NextToken: str = "", **_: str) -> dict[str, Any]:  # noqa: N803
        page = [{"ResourceChange": change} for change in self.pages[1 if NextToken else 0]]
        return {"Changes": page} if NextToken else {"Changes": page, "NextToken": "second"}


def change(name: str, action: str = "Modify", replacement: str = "False") -> dict[str, str]:
    return {"LogicalResourceId": name, "Action": action, "Replacement": replacement}


def test_what_a_change_would_leave_behind_is_named() -> None:
    harmless = CloudFormation(change("LinksTable"), change("SessionQueue", replacement="True"))
    assert deploy.replaced(harmless, "s", "c") == []
    harmful = CloudFormation(
        change("LinksTable", replacement="Conditional"), change("SealingKey", action="Remove")
    )
    assert deploy.replaced(harmful, "s", "c") == ["LinksTable", "SealingKey"]
    assert set(deploy.KEPT) <= {*resources("AWS::DynamoDB::Table"), *resources("AWS::KMS::Key")}


def test_nobody_is_asked_where_nobody_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    assert deploy.confirmed("?", confirm=False)
    assert not deploy.confirmed("?", confirm=True)
