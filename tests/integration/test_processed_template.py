"""template.yaml as SAM's transform hands it to CloudFormation."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.template import ROOT, processed, resources

ALIASES = {
    name: resource["Properties"]["FunctionName"]["Ref"]
    for name, resource in processed()["Resources"].items()
    if resource["Type"] == "AWS::Lambda::Alias"
}


def of_type(kind: str) -> dict[str, dict[str, Any]]:
    return {name: each for name, each in processed()["Resources"].items() if each["Type"] == kind}


def test_every_function_has_an_alias_and_no_version_outlives_its_release() -> None:
    assert set(ALIASES.values()) == resources("AWS::Serverless::Function").keys()
    assert {each["DeletionPolicy"] for each in of_type("AWS::Lambda::Version").values()} == {"Delete"}


def test_every_trigger_calls_an_alias_and_may() -> None:
    queues = [
        each["Properties"]["FunctionName"]["Ref"]
        for each in of_type("AWS::Lambda::EventSourceMapping").values()
    ]
    schedules = [
        each["Properties"]["Target"]["Arn"]["Ref"] for each in of_type("AWS::Scheduler::Schedule").values()
    ]
    (api,) = of_type("AWS::ApiGatewayV2::Api").values()
    routes = [
        operation["x-amazon-apigateway-integration"]["uri"]["Fn::Sub"].split("${")[-1].partition("}")[0]
        for operations in api["Properties"]["Body"]["paths"].values()
        for operation in operations.values()
    ]
    logs = [
        each["Properties"]["DestinationArn"]["Ref"]
        for each in of_type("AWS::Logs::SubscriptionFilter").values()
    ]
    assert {*queues, *schedules, *routes, *logs} <= ALIASES.keys()
    permitted = [
        each["Properties"]["FunctionName"]["Ref"] for each in of_type("AWS::Lambda::Permission").values()
    ]
    assert sorted(permitted) == sorted([*routes, *logs])


def test_no_name_is_longer_than_aws_takes_with_the_longest_stack_name() -> None:
    stack = 58 * "s"
    for resource in processed()["Resources"].values():
        for member in ("Name", "FunctionName", "LayerName", "LogGroupName"):
            name = resource.get("Properties", {}).get(member)
            if isinstance(name, dict) and "Fn::Sub" in name and member in ("Name", "FunctionName"):
                assert len(name["Fn::Sub"].replace("${AWS::StackName}", stack)) <= 64


@pytest.mark.parametrize("snapshots", ["no", "yes"])
def test_cloudformation_takes_it_in_six_regions(snapshots: str, tmp_path: Path) -> None:
    template = json.loads(json.dumps(processed()))
    template["Parameters"]["Snapshots"]["Default"] = snapshots
    file = tmp_path / "template.json"
    file.write_text(json.dumps(template))
    regions = ["us-east-1", "us-west-2", "eu-central-1", "ap-southeast-2", "sa-east-1", "ca-central-1"]
    # Its own lint ignores what the source's does, and names that SAM makes.
    command = [
        str(ROOT / ".local/sam/bin/cfn-lint"),
        "--format",
        "parseable",
        "--regions",
        *regions,
        "--",
        str(file),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
