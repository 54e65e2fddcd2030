"""The rules that template.yaml holds to, for every function, role, table and parameter in it."""

import re
from typing import Any

import pytest

from tests.template import ROOT, resources, routes, template

FUNCTIONS = resources("AWS::Serverless::Function")
ROLES = resources("AWS::IAM::Role")
TABLES = resources("AWS::DynamoDB::Table")


def statements(role: dict[str, Any]) -> list[dict[str, Any]]:
    return [s for policy in role["Policies"] for s in policy["PolicyDocument"]["Statement"]]


def actions(statement: dict[str, Any]) -> list[str]:
    action = statement["Action"]
    return [action] if isinstance(action, str) else action


ALLOWED = [(name, statement) for name, role in ROLES.items() for statement in statements(role)]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_each_function_has_its_own_folder_role_and_log_group(name: str) -> None:
    function, stem = FUNCTIONS[name], name.removesuffix("Function")
    assert (ROOT / function["CodeUri"] / "app.py").is_file()
    assert function["CodeUri"] == "functions/" + re.sub(r"(?<!^)(?=[A-Z])", "_", stem).lower()
    assert function["Role"] == {"GetAtt": f"{stem}Role.Arn"}
    assert function["LoggingConfig"]["LogGroup"] == {"Ref": f"{stem}LogGroup"}
    assert "ManagedPolicyArns" not in ROLES[f"{stem}Role"]


def test_no_function_folder_and_no_role_is_left_over() -> None:
    folders = {f"functions/{path.parent.name}" for path in ROOT.glob("functions/*/app.py")}
    assert folders == {function["CodeUri"] for function in FUNCTIONS.values()}
    assert {name.removesuffix("Role") for name in ROLES} == {
        name.removesuffix("Function") for name in FUNCTIONS
    }


@pytest.mark.parametrize("name", resources("AWS::Logs::LogGroup"))
def test_each_log_group_forgets(name: str) -> None:
    assert resources("AWS::Logs::LogGroup")[name]["RetentionInDays"] == {"Ref": "LogRetentionDays"}


@pytest.mark.parametrize(
    ("role", "statement"), ALLOWED, ids=lambda value: value if isinstance(value, str) else value["Sid"]
)
def test_a_role_allows_named_actions_on_named_resources(role: str, statement: dict[str, Any]) -> None:
    assert statement["Effect"] == "Allow", role
    assert not [action for action in actions(statement) if "*" in action]
    if statement["Resource"] == "*":
        # X-Ray's two calls take no resource.
        assert actions(statement) == ["xray:PutTraceSegments", "xray:PutTelemetryRecords"]
    else:
        ((kind, target),) = statement["Resource"].items()
        assert kind == "GetAtt"
        assert target.endswith(".Arn")
        assert target.removesuffix(".Arn") in template()["Resources"]


@pytest.mark.parametrize(
    ("role", "statement"), ALLOWED, ids=lambda value: value if isinstance(value, str) else value["Sid"]
)
def test_a_role_reaches_only_its_kind_of_item_its_purpose_and_its_log(
    role: str, statement: dict[str, Any]
) -> None:
    target = statement["Resource"]
    if target == {"GetAtt": "LinksTable.Arn"}:
        keys = statement["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"]
        assert set(keys) <= {"key#*", "link_*"}
    elif target == {"GetAtt": "SealingKey.Arn"}:
        condition, on_aws, locally = statement["Condition"]["If"]
        assert condition == "OnAws"
        assert on_aws["StringEquals"].keys() == {"kms:EncryptionContext:purpose"}
        assert locally == {"Ref": "AWS::NoValue"}
    elif any(action.startswith("logs:") for action in actions(statement)):
        assert target == {"GetAtt": role.removesuffix("Role") + "LogGroup.Arn"}


@pytest.mark.parametrize("name", ROLES)
def test_a_role_is_for_lambda_alone(name: str) -> None:
    (statement,) = ROLES[name]["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Service": "lambda.amazonaws.com"}
    assert statement["Action"] == "sts:AssumeRole"


@pytest.mark.parametrize("name", TABLES)
def test_each_table_is_encrypted_and_forgets(name: str) -> None:
    assert TABLES[name]["SSESpecification"] == {"SSEEnabled": True}
    assert TABLES[name]["TimeToLiveSpecification"] == {"AttributeName": "ttl", "Enabled": True}


def test_links_can_be_restored_and_secrets_cannot() -> None:
    recovery = {
        name: table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"]
        for name, table in TABLES.items()
    }
    assert recovery == {"LinksTable": True, "SecretsTable": False}
    assert not [name for name, table in TABLES.items() if "StreamSpecification" in table]


def test_the_links_table_has_its_two_indexes() -> None:
    indexes = {index["IndexName"]: index for index in TABLES["LinksTable"]["GlobalSecondaryIndexes"]}
    keys = {name: [key["AttributeName"] for key in index["KeySchema"]] for name, index in indexes.items()}
    assert keys == {"due": ["dueShard", "dueAt"], "byAccount": ["owner", "createdAt"]}


def test_the_sealing_key_rotates() -> None:
    (key,) = resources("AWS::KMS::Key").values()
    assert key["EnableKeyRotation"] is True


def test_the_api_is_throttled_and_its_access_log_holds_no_query() -> None:
    (api,) = resources("AWS::Serverless::HttpApi").values()
    assert api["DefaultRouteSettings"]["ThrottlingRateLimit"] == {"Ref": "ThrottleRate"}
    assert api["DefaultRouteSettings"]["ThrottlingBurstLimit"] == {"Ref": "ThrottleBurst"}
    logged = set(re.findall(r"\$context\.([A-Za-z.]+)", api["AccessLogSettings"]["Format"]))
    assert {"requestId", "routeKey", "status"} <= logged
    assert not logged & {"path", "queryString", "authorizer.error"}


def test_the_function_gives_up_before_the_gateway_does() -> None:
    assert template()["Globals"]["Function"]["Timeout"] < 30


@pytest.mark.parametrize("name", template()["Parameters"])
def test_each_parameter_explains_itself_and_is_constrained(name: str) -> None:
    parameter = template()["Parameters"][name]
    assert parameter["Description"]
    assert "Default" in parameter
    assert {"AllowedValues", "AllowedPattern"} & parameter.keys() or {
        "MinValue",
        "MaxValue",
    } <= parameter.keys()
    default = str(parameter["Default"])
    if parameter["Type"] == "CommaDelimitedList":
        assert all(re.fullmatch(parameter["AllowedPattern"], item) for item in default.split(","))
    elif "AllowedPattern" in parameter:
        assert re.fullmatch(parameter["AllowedPattern"], default)


def test_no_alias_is_published() -> None:
    # A published alias would stay on its old version when only a layer changes.
    assert "AutoPublishAlias" not in str(template())


def test_the_routes_are_the_published_ones() -> None:
    assert set(routes()) == {
        "POST /v1/links",
        "GET /v1/links/{linkId}",
        "GET /v1/providers",
        "GET /v1/providers/{integrationId}",
    }
