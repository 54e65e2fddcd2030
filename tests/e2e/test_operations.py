"""What operators do: deploy anew under load, smoke, and be told what somebody changed by hand."""

import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from local import keys, smoke
from local.build import BUILD, host_architecture
from local.smoke import Failure, Smoke
from local.stack import REGION, STACK_NAME
from tests.e2e.api import Api
from tests.e2e.deployed import Deployed
from tests.template import ROOT

OTHER = {"arm64": "x86_64", "x86_64": "arm64"}[host_architecture()]


@pytest.fixture
def tried(deployed: Deployed) -> Iterator[Smoke]:
    endpoint = deployed.stack.read()["awsEndpointUrl"]
    trials = Smoke(keys.local_session(REGION), endpoint, STACK_NAME, deployed.url)
    yield trials
    trials.http.close()


def test_a_stack_passes_its_smoke_test_and_keeps_no_key_of_it(
    deployed: Deployed, tried: Smoke, capsys: pytest.CaptureFixture[str]
) -> None:
    assert smoke.run(tried, deployed.table("LinksTable")) == 0, capsys.readouterr().out
    revoked = [row for row in deployed.rows("LinksTable") if row.get("last4") == tried.key[-4:]]
    assert all("revokedAt" in row for row in revoked)
    assert len(revoked) == 1


def test_a_permission_that_somebody_took_away_is_named(deployed: Deployed, tried: Smoke) -> None:
    with (
        deployed.without("CreateLinkFunctionRole", "PutLink", "dynamodb:PutItem"),
        pytest.raises(Failure, match=r"CreateLinkFunction may not dynamodb:PutItem .*make deploy"),
    ):
        tried.functions_are_as_deployed()
    tried.functions_are_as_deployed()


def test_an_alarm_that_tells_nobody_is_named(deployed: Deployed, tried: Smoke) -> None:
    client = deployed.stack.client("cloudwatch")
    name = deployed.physical["SweepLate"]
    (alarm,) = client.describe_alarms(AlarmNames=[name])["MetricAlarms"]
    kept = {
        member: alarm[member]
        for member in (
            *(
                "AlarmName",
                "AlarmDescription",
                "Namespace",
                "MetricName",
                "Dimensions",
                "Statistic",
                "Period",
            ),
            *("EvaluationPeriods", "Threshold", "ComparisonOperator", "TreatMissingData"),
        )
    }
    client.put_metric_alarm(**kept, OKActions=alarm["OKActions"])
    try:
        with pytest.raises(Failure, match=f"{name} tells nobody: `make deploy`"):
            tried.alarms_tell_somebody()
    finally:
        client.put_metric_alarm(**kept, OKActions=alarm["OKActions"], AlarmActions=alarm["AlarmActions"])
    tried.alarms_tell_somebody()


def test_a_parameter_that_a_function_does_not_run_with_is_named(deployed: Deployed, tried: Smoke) -> None:
    before = deployed.variables("CreateLinkFunction")
    deployed.release("CreateLinkFunction", before | {"MAX_EXPIRES_IN": "60"})
    try:
        with pytest.raises(Failure, match=r"CreateLinkFunction runs with MAX_EXPIRES_IN='60'.*make deploy"):
            tried.functions_are_as_deployed()
    finally:
        deployed.release("CreateLinkFunction", before)


def test_a_deployment_under_load_gives_no_answer_but_the_contracts(deployed: Deployed) -> None:
    template = BUILD / "template.yaml"
    built = template.read_text()
    again, stamped = re.subn(r'RELEASE: "?[^\n"]+"?', f'RELEASE: "again {time.time_ns()}"', built)
    assert stamped == 1
    answers: Counter[int] = Counter()
    over = threading.Event()

    def ask(number: int) -> None:
        api = Api(deployed.url, deployed.api.key)
        while not over.wait(0.05 * 4):  # four threads, twenty requests a second
            answers[(api.get("/v1/providers") if number % 2 else api.create()).status] += 1

    threads = [threading.Thread(target=ask, args=[number]) for number in range(4)]
    for thread in threads:
        thread.start()
    try:
        template.write_text(again)
        deployed.stack.deploy("")
    finally:
        template.write_text(built)
        over.set()
        for thread in threads:
            thread.join()
    running = deployed.variables("CreateLinkFunction")["RELEASE"]
    assert running.startswith("again ")
    assert answers.keys() == {200, 201}
    assert answers.total() > 50


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project anew, so that what it builds is nobody else's."""
    folder = tmp_path_factory.mktemp("deployer") / "project"
    left = shutil.ignore_patterns(
        ".*", "node_modules", "__pycache__", "bench", "tests", "clients", "connectors"
    )
    shutil.copytree(ROOT, folder, symlinks=True, ignore=left)
    for environment in (".venv", ".local"):
        (folder / environment).symlink_to(ROOT / environment)
    return folder


def make_deploy(tree: Path, deployed: Deployed, *arguments: str) -> tuple[int, str]:
    """What `make deploy` without a terminal ends with, and prints."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environment |= {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": REGION,
        "AWS_ENDPOINT_URL": deployed.stack.read()["awsEndpointUrl"],
    }
    command = [sys.executable, "-m", "local.deploy", "--stack", "release", *arguments]
    done = subprocess.run(
        command,
        cwd=tree,
        env=environment | {"PYTHONPATH": "layers/common"} | PARAMETERS,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


PARAMETERS: dict[str, str] = {}


def test_a_deployment_keeps_the_parameters_that_are_not_given_and_builds_what_it_deploys(
    tree: Path, deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    samconfig = (tree / "samconfig.toml").read_text()
    monkeypatch.setitem(PARAMETERS, "PARAMETERS", "BrandName='Acme & Söhne' LogLevel=ERROR")
    code, text = make_deploy(tree, deployed, "--no-confirm", "--architecture", host_architecture())
    assert code == 0, text
    assert "make key ACCOUNT=acme" in text  # what to do next
    monkeypatch.delitem(PARAMETERS, "PARAMETERS")
    code, text = make_deploy(tree, deployed, "--architecture", OTHER)
    assert (code, "CONFIRM=no" in text) == (1, True), text  # nobody is here to confirm it
    code, text = make_deploy(tree, deployed, "--architecture", OTHER, "--no-confirm")
    assert code == 0, text
    (stack,) = deployed.stack.client("cloudformation").describe_stacks(StackName="release")["Stacks"]
    parameters = {p["ParameterKey"]: p["ParameterValue"] for p in stack["Parameters"]}
    assert parameters["BrandName"] == "Acme & Söhne"
    assert (parameters["LogLevel"], parameters["Architecture"]) == ("ERROR", OTHER)
    functions = deployed.stack.client("lambda").list_functions()["Functions"]
    ours = [each for each in functions if each["FunctionName"].startswith("release-")]
    assert {each["Architectures"][0] for each in ours} == {OTHER}
    monkeypatch.setitem(PARAMETERS, "PARAMETERS", f"Architecture={host_architecture()}")
    code, text = make_deploy(tree, deployed, "--architecture", OTHER, "--no-confirm")
    assert (code, f"ARCH={host_architecture()}" in text) == (1, True), text
    assert (tree / "samconfig.toml").read_text() == samconfig
    # Its queues and schedule are nobody's business here.
    client = deployed.stack.client("cloudformation")
    client.delete_stack(StackName="release")
    client.get_waiter("stack_delete_complete").wait(StackName="release", WaiterConfig={"Delay": 1})
