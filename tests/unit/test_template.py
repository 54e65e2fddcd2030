"""The rules that template.yaml holds to, for every function, role, table and parameter in it."""

import re
from typing import Any

import pytest

from functions.sweep import app as sweep_app
from latchkey.adapters import aws, sealing
from latchkey.domain import deliveries
from latchkey.domain.links import AFTERMATH_MS
from latchkey.services import deliver_event, list_links, run_session
from tests.template import ROOT, actions, resources, routes, statements, template

FUNCTIONS = resources("AWS::Serverless::Function")
TABLES = resources("AWS::DynamoDB::Table")


_ANY_FUNCTION = "arn:${AWS::Partition}:lambda:${AWS::Region}:${AWS::AccountId}:function:"


def targets(statement: dict[str, Any]) -> list[str]:
    """Logical ids of what a statement names: a resource, an index of a table, or a function's alias."""
    by_name = {f["FunctionName"]["Sub"]: name for name, f in FUNCTIONS.items() if "FunctionName" in f}
    named, found = statement["Resource"], []
    for resource in named if isinstance(named, list) else [named]:
        ((kind, text),) = (resource["If"][1] if "If" in resource else resource).items()
        if kind == "Sub" and text.startswith(_ANY_FUNCTION):
            name, _, alias = text.removeprefix(_ANY_FUNCTION).rpartition(":")
            assert alias == aws.ALIAS
            found.append(by_name[name])
        else:
            pattern = {"GetAtt": r"(\w+)\.Arn", "Ref": r"(\w+)\.Alias", "Sub": r"\$\{(\w+)\.Arn\}/index/\w+"}[
                kind
            ]
            match = re.fullmatch(pattern, text)
            assert match, text
            found.append(match[1])
    return found


ALLOWED = [(name.removesuffix("Function"), statement) for name in FUNCTIONS for statement in statements(name)]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_each_function_has_its_own_folder_and_a_role_of_its_own(name: str) -> None:
    function, stem = FUNCTIONS[name], name.removesuffix("Function")
    assert (ROOT / function["CodeUri"] / "app.py").is_file()
    assert function["CodeUri"] == "functions/" + re.sub(r"(?<!^)(?=[A-Z])", "_", stem).lower()
    # SAM makes one that only Lambda may take, and gives it what logs, traces and a queue need.
    assert "Role" not in function
    assert function.get("Policies", {"Statement": []}).keys() == {"Statement"}


def test_no_function_folder_is_left_over() -> None:
    folders = {f"functions/{path.parent.name}" for path in ROOT.glob("functions/*/app.py")}
    assert folders == {function["CodeUri"] for function in FUNCTIONS.values()}


def test_functions_log_to_one_group_and_every_group_forgets() -> None:
    assert template()["Globals"]["Function"]["LoggingConfig"] == {"LogGroup": {"Ref": "LogGroup"}}
    assert [name for name, function in FUNCTIONS.items() if "LoggingConfig" in function] == ["AuditFunction"]
    kept = {name: group["RetentionInDays"]["Ref"] for name, group in resources("AWS::Logs::LogGroup").items()}
    days = dict.fromkeys(("AccessLogGroup", "LogGroup"), "LogRetentionDays")
    assert kept == days | {"AuditLogGroup": "AuditRetentionDays"}


def test_the_audit_log_has_the_lines_of_one_function_which_another_group_calls() -> None:
    audit = FUNCTIONS["AuditFunction"]
    # Lambda's own lines are left out.
    wanted = {"LogGroup": {"Ref": "AuditLogGroup"}, "LogFormat": "JSON", "SystemLogLevel": "WARN"}
    assert audit["LoggingConfig"] == wanted
    (event,) = audit["Events"].values()
    assert event["Properties"]["LogGroupName"] == {"Ref": "LogGroup"}
    assert statements("AuditFunction") == []


@pytest.mark.parametrize(
    ("role", "statement"), ALLOWED, ids=lambda value: value if isinstance(value, str) else value["Sid"]
)
def test_a_role_allows_named_actions_on_named_resources(role: str, statement: dict[str, Any]) -> None:
    assert statement["Effect"] == "Allow"
    assert not [action for action in actions(statement) if "*" in action]
    if (role, statement["Sid"]) == ("RunSession", "CallOtherAccounts"):
        # Theirs have no names here; none of this account's is among them.
        assert statement["Action"] == "lambda:InvokeFunction"
        assert statement["Resource"] == {"Sub": "arn:${AWS::Partition}:lambda:${AWS::Region}:*:function:*"}
        assert statement["Condition"] == {
            "StringNotEquals": {"aws:ResourceAccount": {"Ref": "AWS::AccountId"}}
        }
        return
    for target in targets(statement):
        assert target in template()["Resources"]


@pytest.mark.parametrize(
    "statement", [s for _, s in ALLOWED], ids=[f"{role}-{s['Sid']}" for role, s in ALLOWED]
)
def test_a_role_reaches_only_its_kind_of_item_and_its_purpose(statement: dict[str, Any]) -> None:
    target = statement["Resource"]
    if target == {"GetAtt": "LinksTable.Arn"}:
        keys = statement["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"]
        assert set(keys) <= {"key#*", "link_*", "account#*", "host#*", "webhook-test#*", "settings#*"}
    elif target == {"GetAtt": "SealingKey.Arn"}:
        condition, on_aws, locally = statement["Condition"]["If"]
        assert condition == "OnAws"
        assert on_aws["StringEquals"].keys() == {"kms:EncryptionContext:purpose"}
        assert locally == {"Ref": "AWS::NoValue"}


@pytest.mark.parametrize("name", TABLES)
def test_each_table_forgets_and_is_encrypted_with_the_key_that_costs_nothing(name: str) -> None:
    assert "SSESpecification" not in TABLES[name]
    assert TABLES[name]["TimeToLiveSpecification"] == {"AttributeName": "ttl", "Enabled": True}


def test_links_can_be_restored_and_secrets_cannot() -> None:
    recovery = {
        name: table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"]
        for name, table in TABLES.items()
    }
    assert recovery == {"LinksTable": True, "SecretsTable": False, "KeyUseTable": False}
    assert not [name for name, table in TABLES.items() if "StreamSpecification" in table]


def test_the_links_table_has_its_indexes() -> None:
    indexes = {index["IndexName"]: index for index in TABLES["LinksTable"]["GlobalSecondaryIndexes"]}
    keys = {name: [key["AttributeName"] for key in index["KeySchema"]] for name, index in indexes.items()}
    assert keys == {
        "due": ["dueShard", "dueAt"],
        "byAccount": ["owner", "createdAt"],
        "byExternalUser": ["ownerUser", "createdAt"],
        "byEnd": ["owner", "endOrder"],
    }


def test_the_keys_rotate() -> None:
    assert all(key["EnableKeyRotation"] is True for key in resources("AWS::KMS::Key").values())


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


@pytest.mark.parametrize("name", ["PrivacyUrl", "TermsUrl"])
def test_a_legal_page_is_an_https_address(name: str) -> None:
    pattern = template()["Parameters"][name]["AllowedPattern"]
    for url in (
        *("", "https://example.com", "https://example.com:8443/", "https://www.example.com/privacy.html"),
        "https://example.com/a%20b/c?lang=en&v=1#data-we_keep",
    ):
        assert re.search(pattern, url), url
    for url in (
        *("http://example.com/", "javascript:alert(1)", "//example.com/", "example.com", "https://", " "),
        *(
            'https://example.com/"',
            "https://example.com/<",
            "https://user@example.com/",
            "https://example.com/ x",
        ),
        "mailto:legal@example.com",
    ):
        assert not re.search(pattern, url), url


QUEUES = resources("AWS::SQS::Queue")
CONSUMERS = {
    name: event["Properties"]
    for name, function in FUNCTIONS.items()
    for event in function.get("Events", {}).values()
    if event["Type"] == "SQS"
}


@pytest.mark.parametrize("name", [name for name in QUEUES if not name.endswith("DeadLetters")])
def test_a_queue_gives_its_consumer_time_tries_and_a_place_for_what_it_cannot_take(name: str) -> None:
    queue = QUEUES[name]
    (consumer,) = [f for f, event in CONSUMERS.items() if event["Queue"] == {"GetAtt": f"{name}.Arn"}]
    assert CONSUMERS[consumer]["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert queue["VisibilityTimeout"] >= 6 * FUNCTIONS[consumer]["Timeout"]
    dead_letters = name.removesuffix("Queue") + "DeadLetters"
    assert queue["RedrivePolicy"]["deadLetterTargetArn"] == {"GetAtt": f"{dead_letters}.Arn"}
    assert queue["RedrivePolicy"]["maxReceiveCount"] >= 10
    assert QUEUES[dead_letters]["MessageRetentionPeriod"] > queue["MessageRetentionPeriod"]


def test_the_list_indexes_hold_what_lists_filter_by_and_nothing_that_a_session_writes() -> None:
    filters = {f"status={status}" for status in ("pending", "active", "failed", "expired", "complete")}
    looked_at = {"integrationId"}
    for query in filters:
        parameters = dict([query.split("=")])
        condition = list_links._condition(parameters, 0)
        assert condition is not None
        looked_at |= set(re.findall(r"#(\w+)", condition[0]))
    for index in TABLES["LinksTable"]["GlobalSecondaryIndexes"]:
        if index["IndexName"] not in ("due", "byEnd"):
            assert set(index["Projection"]["NonKeyAttributes"]) == looked_at


def test_a_deployment_is_a_release_of_its_own_to_which_every_trigger_moves_at_once() -> None:
    shared = template()["Globals"]["Function"]
    assert (shared["AutoPublishAlias"], shared["AutoPublishAliasAllProperties"]) == (aws.ALIAS, True)
    assert shared["VersionDeletionPolicy"] == "Delete"  # a snapshot costs for as long as its version is kept
    assert shared["Environment"]["Variables"]["RELEASE"] == "never built"
    assert all(layer["PublishLambdaVersion"] for layer in resources("AWS::Serverless::LayerVersion").values())


def test_snapshots_are_of_the_functions_that_somebody_waits_for() -> None:
    asked = {"If": ["StartFromSnapshots", {"ApplyOn": "PublishedVersions"}, {"Ref": "AWS::NoValue"}]}
    assert {name for name, function in FUNCTIONS.items() if function.get("SnapStart") == asked} == set(
        routes().values()
    )


def test_the_routes_are_the_published_ones() -> None:
    assert set(routes()) == {
        "POST /v1/links",
        "GET /v1/links/{linkId}",
        "DELETE /v1/links/{linkId}",
        "POST /v1/erasures",
        "GET /v1/links",
        "POST /v1/links/{linkId}/cancel",
        "GET /v1/links/{linkId}/deliveries",
        "POST /v1/links/{linkId}/redeliver",
        "GET /v1/account",
        "GET /v1/webhook-secret",
        "POST /v1/webhook-secret/rotate",
        "POST /v1/webhook-tests",
        "GET /v1/events",
        "POST /v1/test/links/{linkId}/advance",
        "POST /v1/test/links/{linkId}/simulate",
        "POST /v1/test/links/{linkId}/fail-deliveries",
        "GET /v1/test/outcomes",
        "GET /{linkId}",
        "HEAD /{linkId}",
        "GET /latchkey.js",
        "GET /.well-known/apple-app-site-association",
        "GET /.well-known/assetlinks.json",
        "POST /link/claim",
        "POST /link/status",
        "OPTIONS /link/status",
        "GET /link/session",
        "POST /link/session/input",
        "POST /link/session/cancel",
        "GET /v1/providers",
        "GET /v1/providers/{integrationId}",
        "GET /openapi.json",
    }


# --- Names that must match what the code does ------------------------------------------------------


def test_sweep_runs_each_minute() -> None:
    (event,) = FUNCTIONS["SweepFunction"]["Events"].values()
    assert event["Properties"]["ScheduleExpression"] == "rate(1 minute)"
    assert event["Properties"].get("State", "ENABLED") == "ENABLED"


@pytest.mark.parametrize("name", ["LinksTable", "SealingKey", "AuditLogGroup"])
def test_what_cannot_be_made_again_outlives_its_stack(name: str) -> None:
    resource = template()["Resources"][name]
    # What a failed first deployment made holds nothing yet.
    assert (resource["DeletionPolicy"], resource["UpdateReplacePolicy"]) == ("RetainExceptOnCreate", "Retain")


# Which kinds of item each function touches, and for what it may seal and unseal.
ITEMS = {
    ("Account", "GetItem"): {"key#*", "settings#*"},
    ("CreateLink", "GetItem"): {"key#*", "settings#*"},
    ("CreateLink", "PutItem"): {"link_*"},
    ("GetLink", "GetItem"): {"key#*", "link_*"},
    ("GetProviders", "GetItem"): {"key#*"},
    ("ListLinks", "GetItem"): {"key#*"},
    ("ListEvents", "GetItem"): {"key#*", "link_*"},
    ("ListEvents", "BatchGetItem"): {"link_*"},
    ("ListLinks", "BatchGetItem"): {"link_*"},
    ("CancelLink", "GetItem"): {"key#*", "link_*"},
    ("CancelLink", "UpdateItem"): {"link_*"},
    ("EraseLinks", "GetItem"): {"key#*", "link_*"},
    ("EraseLinks", "BatchGetItem"): {"link_*"},
    ("EraseLinks", "PutItem"): {"link_*"},
    ("LinkPage", "GetItem"): {"link_*"},
    ("ClaimLink", "UpdateItem"): {"link_*"},
    ("LinkStatus", "GetItem"): {"link_*"},
    ("ClientSession", "GetItem"): {"link_*"},
    ("ClientSession", "UpdateItem"): {"link_*"},
    ("RunSession", "GetItem"): {"link_*"},
    ("RunSession", "UpdateItem"): {"link_*"},
    ("DeliverWebhook", "GetItem"): {"account#*", "link_*"},
    ("DeliverWebhook", "UpdateItem"): {"host#*", "link_*"},
    ("DeliverWebhook", "PutItem"): {"account#*", "host#*"},
    ("DeliverWebhook", "Query"): {"host#*"},
    ("DeliverWebhook", "DeleteItem"): {"host#*"},
    ("LinkDeliveries", "GetItem"): {"key#*", "link_*"},
    ("LinkDeliveries", "UpdateItem"): {"link_*"},
    ("WebhookSecret", "GetItem"): {"account#*", "key#*"},
    ("WebhookSecret", "PutItem"): {"account#*"},
    ("WebhookSecret", "UpdateItem"): {"host#*", "webhook-test#*"},
    ("TestLinks", "GetItem"): {"account#*", "key#*", "link_*"},
    ("TestLinks", "UpdateItem"): {"host#*", "link_*"},
    ("TestLinks", "PutItem"): {"account#*", "host#*"},
    ("TestLinks", "Query"): {"host#*"},
    ("TestLinks", "DeleteItem"): {"host#*", "link_*"},
    ("Sweep", "GetItem"): {"link_*"},
    ("Sweep", "UpdateItem"): {"link_*"},
}
PURPOSES = {
    ("CreateLink", "kms:GenerateDataKey"): {sealing.ARGUMENTS},
    ("GetLink", "kms:Decrypt"): {sealing.EVENT},
    ("ListEvents", "kms:Decrypt"): {sealing.EVENT},
    ("CancelLink", "kms:GenerateDataKey"): {sealing.EVENT},
    ("ClientSession", "kms:GenerateDataKey"): {sealing.INPUT, sealing.EVENT},
    ("RunSession", "kms:GenerateDataKey"): {sealing.STATE, sealing.RESULT, sealing.EVENT},
    ("RunSession", "kms:Decrypt"): {sealing.ARGUMENTS, sealing.INPUT, sealing.STATE, sealing.RESULT},
    ("DeliverWebhook", "kms:GenerateDataKey"): {sealing.WEBHOOK_SECRET},
    ("DeliverWebhook", "kms:Decrypt"): {sealing.EVENT, sealing.WEBHOOK_SECRET},
    ("WebhookSecret", "kms:GenerateDataKey"): {sealing.WEBHOOK_SECRET},
    ("WebhookSecret", "kms:Decrypt"): {sealing.WEBHOOK_SECRET},
    ("TestLinks", "kms:GenerateDataKey"): {sealing.EVENT, sealing.WEBHOOK_SECRET},
    ("TestLinks", "kms:Decrypt"): {sealing.EVENT, sealing.WEBHOOK_SECRET},
    ("Sweep", "kms:GenerateDataKey"): {sealing.EVENT},
}


def as_set(value: Any) -> set[str]:
    return {value} if isinstance(value, str) else set(value)


def test_each_function_reaches_the_items_and_purposes_that_its_code_uses() -> None:
    """The local stack enforces neither condition."""
    items: dict[tuple[str, str], set[str]] = {}
    purposes: dict[tuple[str, str], set[str]] = {}
    for role, statement in ALLOWED:
        condition = statement.get("Condition", {})
        if keys := condition.get("ForAllValues:StringLike", {}).get("dynamodb:LeadingKeys"):
            for action in actions(statement):
                about = role, action.removeprefix("dynamodb:")
                items[about] = items.get(about, set()) | as_set(keys)
        if "If" in condition:
            allowed = condition["If"][1]["StringEquals"]["kms:EncryptionContext:purpose"]
            for action in actions(statement):
                purposes[role, action] = purposes.get((role, action), set()) | as_set(allowed)
    assert items == ITEMS
    assert purposes == PURPOSES


CODE = [path for folder in ("layers/common/latchkey", "functions") for path in (ROOT / folder).rglob("*.py")]
WRITTEN = "\n".join(path.read_text("utf-8") for path in CODE)


ALARMS = resources("AWS::CloudWatch::Alarm")
ONE_IS_TOO_MANY = ("SessionDeadLetter", "WebhookDeadLetter", "EventsGivenUp", "ConnectorRefused")


@pytest.mark.parametrize("name", ALARMS)
def test_an_alarm_rings_above_its_threshold_tells_the_topic_and_names_its_page(name: str) -> None:
    alarm, told = ALARMS[name], [{"If": ["OwnTopic", {"Ref": "AlarmTopic"}, {"Ref": "AlarmTopicArn"}]}]
    assert alarm["ComparisonOperator"] == "GreaterThanThreshold"
    assert (alarm["AlarmActions"], alarm["OKActions"]) == (told, told)
    assert alarm["AlarmDescription"].endswith(f" See {name} in docs/operate.md.")
    assert f"### {name}\n" in (ROOT / "docs/operate.md").read_text()
    if name in ONE_IS_TOO_MANY:
        assert alarm["Threshold"] == 0


@pytest.mark.parametrize("name", [n for n, alarm in ALARMS.items() if alarm.get("Namespace") == "Latchkey"])
def test_an_alarm_of_our_own_watches_what_the_code_writes(name: str) -> None:
    alarm = ALARMS[name]
    assert f'"{alarm["MetricName"]}"' in WRITTEN
    assert alarm["Namespace"] == VARIABLES["POWERTOOLS_METRICS_NAMESPACE"]
    assert alarm["Dimensions"] == [{"Name": "service", "Value": VARIABLES["POWERTOOLS_SERVICE_NAME"]}]


def test_the_runbook_has_no_alarm_that_is_not_there() -> None:
    text = (ROOT / "docs/operate.md").read_text()
    alarms = text.partition("\n## Alarms\n")[2].partition("\n## ")[0]
    assert set(re.findall(r"^### (\w+)$", alarms, re.MULTILINE)) == ALARMS.keys()


def test_a_sweep_that_is_silent_or_two_minutes_late_rings() -> None:
    assert ALARMS["SweepLate"]["Threshold"] == 120_000  # milliseconds
    assert {n for n, a in ALARMS.items() if a["TreatMissingData"] == "breaching"} == {"SweepLate"}


@pytest.mark.parametrize("name", ["SessionQueue", "WebhookQueue"])
def test_a_queues_alarms_watch_its_age_and_its_dead_letters(name: str) -> None:
    age, dead = ALARMS[f"{name}Age"], ALARMS[f"{name.removesuffix('Queue')}DeadLetter"]
    letters = name.removesuffix("Queue") + "DeadLetters"
    assert age["Dimensions"] == [{"Name": "QueueName", "Value": {"GetAtt": f"{name}.QueueName"}}]
    assert age["MetricName"] == "ApproximateAgeOfOldestMessage"
    assert dead["Dimensions"] == [{"Name": "QueueName", "Value": {"GetAtt": f"{letters}.QueueName"}}]
    assert dead["MetricName"] == "ApproximateNumberOfMessagesVisible"


VARIABLES = template()["Globals"]["Function"]["Environment"]["Variables"] | {
    name: value
    for function in FUNCTIONS.values()
    for name, value in function.get("Environment", {}).get("Variables", {}).items()
}


@pytest.mark.parametrize(
    "name", [name for name in VARIABLES if name != "RELEASE" and not name.startswith("POWERTOOLS_")]
)
def test_a_variable_holds_what_its_name_says(name: str) -> None:
    ((kind, held),) = VARIABLES[name].items()
    if kind == "If":  # the local stack's, or the deployer's
        ((kind, held),) = (held[2] if name.startswith("ALLOW") else held[1]).items()
    if kind == "Join":
        held = held[1]["Ref"]
    assert held.removesuffix(".Arn").removesuffix("Function") == name.title().replace("_", "")


def test_calls_are_traced_only_where_it_is_asked_for() -> None:
    assert VARIABLES["POWERTOOLS_TRACE_DISABLED"] == {"If": ["TraceCalls", "false", "true"]}


@pytest.mark.parametrize("name", QUEUES)
def test_each_queue_is_encrypted(name: str) -> None:
    assert QUEUES[name]["SqsManagedSseEnabled"] is True


def test_the_sealing_key_is_the_accounts_own() -> None:
    (statement,) = resources("AWS::KMS::Key")["SealingKey"]["KeyPolicy"]["Statement"]
    assert statement["Principal"] == {
        "AWS": {"Sub": "arn:${AWS::Partition}:iam::${AWS::AccountId}:root"},
    }


def test_lambda_lets_a_wait_be_polled_by_a_message_from_the_poll_before() -> None:
    """It stops a function that has called itself 16 times; the emulator does not."""
    assert FUNCTIONS["RunSessionFunction"]["RecursiveLoop"] == "Allow"


def test_a_record_outlives_the_last_redelivery_of_its_event() -> None:
    assert template()["Parameters"]["RetentionDays"]["MinValue"] * 86_400_000 >= deliveries.REDELIVERY_MS


def test_sweep_looks_at_an_erased_link_when_whoever_was_at_it_is_done() -> None:
    longest = max(function.get("Timeout", 0) for function in FUNCTIONS.values())
    assert longest + 30 <= AFTERMATH_MS // 1000


def test_a_function_has_the_time_that_it_asks_for_before_it_begins() -> None:
    seconds = {name: function["Timeout"] for name, function in FUNCTIONS.items() if "Timeout" in function}
    # Two connector calls at the least, or a session that was begun anew at each would never end.
    assert seconds["RunSessionFunction"] >= 2 * run_session.NEEDED_SECONDS
    assert seconds["DeliverWebhookFunction"] > deliver_event.NEEDED_SECONDS
    # It stops beginning in time for the next, which comes after a minute.
    assert 50 <= seconds["SweepFunction"] - sweep_app.RESERVE_SECONDS < 60
