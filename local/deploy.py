"""Deploys to AWS: `make deploy`.

SAM makes a change set, with the parameters that are given and all others as they are deployed. It is looked
at here before it is executed, because AWS's own list says "Replacement: True" of a table and goes on.
"""

import argparse
import difflib
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, WaiterError

from latchkey.adapters import connectors
from local import keys
from local.build import ARCHITECTURE, BUILD, ROOT, SAM

ENOUGH_AT_ONCE = 500  # of the account's concurrent executions: two for each session, one for each request
KEPT = ("LinksTable", "SealingKey")  # what a replacement would leave behind, with all that is in it
# What deploying takes; a sample, because what a deployer lacks is mostly a whole service.
RIGHTS = (
    *("cloudformation:CreateChangeSet", "cloudformation:ExecuteChangeSet", "s3:PutObject"),
    *("lambda:CreateFunction", "lambda:PublishVersion", "lambda:CreateEventSourceMapping", "iam:CreateRole"),
    *("iam:PutRolePolicy", "iam:PassRole", "apigateway:POST", "dynamodb:CreateTable", "kms:CreateKey"),
    *("sqs:CreateQueue", "sns:CreateTopic", "logs:CreateLogGroup", "logs:CreateLogDelivery"),
    *("scheduler:CreateSchedule", "cloudwatch:PutMetricAlarm", "cloudwatch:PutDashboard"),
)


def faults(parameters: dict[str, str], region: str) -> Iterator[str]:
    """What CloudFormation would take and what would not work, each in a sentence."""
    for pair in filter(None, parameters.get("LiveConnectors", "").split(",")):
        integration, _, arn = pair.partition("=")
        if fault := connectors.misnamed(integration, arn, region):
            yield f"LiveConnectors: {integration}: {fault}"
    apps = ("AppStoreId", "AppleAppIds", "AppleClipIds", "AndroidPackage")
    base, configured = parameters.get("LinkBaseUrl", ""), [name for name in apps if parameters.get(name)]
    if re.match(r"https://[^/]+/", base) and configured:
        yield (
            f"LinkBaseUrl: an app finds out at the root of the host that it may open links, so with "
            f"{', '.join(configured)} it has no path"
        )
    if bool(parameters.get("DomainName")) != bool(parameters.get("CertificateArn")):
        yield "DomainName and CertificateArn: give both or none"


def given_parameters(text: str, architecture: str) -> dict[str, str]:
    """Of PARAMETERS="Name=value ...", each parameter's value; exits for what is none of the template's."""
    template = (ROOT / "template.yaml").read_text()
    known = re.findall(
        r"^  (\w+):", re.split(r"(?m)^(\w+):$", template.partition("\nParameters:\n")[2])[0], re.M
    )
    given = {}
    for part in shlex.split(text):
        name, equals, value = part.partition("=")
        if not equals or not re.fullmatch(r"[A-Za-z0-9]+", name):
            sys.exit(
                f'PARAMETERS: {part} is not NAME=VALUE; write PARAMETERS="BrandName=Acme LogLevel=ERROR"'
            )
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            meant = f"did you mean {near[0]}?" if near else "docs/deploy.md has them all"
            sys.exit(f"PARAMETERS: the template has no {name}: {meant}")
        given[name] = value
    if given.get("Architecture", architecture) != architecture:
        sys.exit(f"PARAMETERS: the build is for {architecture}; write ARCH={given['Architecture']} instead")
    return given | {"Architecture": architecture}


def quoted(value: str) -> str:
    """As SAM reads a parameter's value."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def deployed_stack(cloudformation: Any, name: str) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
    except ClientError as error:
        if "does not exist" in error.response["Error"]["Message"]:
            return None
        raise
    return None if found["StackStatus"] == "REVIEW_IN_PROGRESS" else found


def warnings(session: Any) -> Iterator[str]:
    """What the account or the deployer may lack, as far as it can be told beforehand."""
    try:
        settings = session.client("lambda").get_account_settings()["AccountLimit"]
        if (at_once := settings["ConcurrentExecutions"]) < ENOUGH_AT_ONCE:
            yield (
                f"The account runs {at_once} functions at once, and a session takes two: ask AWS for "
                f"{ENOUGH_AT_ONCE} or more (Service Quotas, Lambda, Concurrent executions)"
            )
    except ClientError as error:
        yield f"Cannot tell how many functions may run at once ({error.response['Error']['Code']})"
    who = session.client("sts").get_caller_identity()["Arn"]
    if who.endswith(":root"):
        return
    who = re.sub(r":sts::(\d+):assumed-role/([^/]+)/.*", r":iam::\1:role/\2", who)
    try:
        simulated = session.client("iam").simulate_principal_policy(PolicySourceArn=who, ActionNames=RIGHTS)
    except ClientError as error:
        yield f"Cannot tell whether {who} may do all that it takes ({error.response['Error']['Code']})"
        return
    lacking = [r["EvalActionName"] for r in simulated["EvaluationResults"] if r["EvalDecision"] != "allowed"]
    if lacking:
        yield f"{who} may not {', '.join(lacking)}"


def change_set(cloudformation: Any, stack: str) -> str | None:
    """The one that SAM has just made; None where nothing changes."""
    waiting = [
        found
        for page in cloudformation.get_paginator("list_change_sets").paginate(StackName=stack)
        for found in page["Summaries"]
        if found.get("ExecutionStatus") == "AVAILABLE"
    ]
    newest = max(waiting, key=lambda found: found["CreationTime"], default=None)
    return str(newest["ChangeSetName"]) if newest else None


def replaced(cloudformation: Any, stack: str, name: str) -> list[str]:
    """Which of the things that cannot be made again the change set would leave behind."""
    pages = [cloudformation.describe_change_set(StackName=stack, ChangeSetName=name)]
    while token := pages[-1].get("NextToken"):
        pages.append(cloudformation.describe_change_set(StackName=stack, ChangeSetName=name, NextToken=token))
    changes = [change["ResourceChange"] for page in pages for change in page["Changes"]]
    lost = [c for c in changes if c["Action"] == "Remove" or c.get("Replacement") in ("True", "Conditional")]
    return [c["LogicalResourceId"] for c in lost if c["LogicalResourceId"] in KEPT]


def confirmed(question: str, confirm: bool) -> bool:
    if not confirm:
        return True
    if not sys.stdin.isatty():
        print("Nobody is here to confirm it: write CONFIRM=no for a pipeline", file=sys.stderr)
        return False
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")


def execute(cloudformation: Any, stack: str, name: str, *, first: bool) -> None:
    cloudformation.execute_change_set(StackName=stack, ChangeSetName=name)
    print("Deploying ...", flush=True)
    waiter = cloudformation.get_waiter("stack_create_complete" if first else "stack_update_complete")
    try:
        waiter.wait(StackName=stack, WaiterConfig={"Delay": 2, "MaxAttempts": 900})
    except WaiterError:
        events = cloudformation.describe_stack_events(StackName=stack)["StackEvents"]
        for event in reversed(events[:200]):
            if event["ResourceStatus"].endswith("_FAILED"):
                print(f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason')}", file=sys.stderr)
        sys.exit(f"{stack} is as it was before: the deployment failed, for the reasons above")


def deploy(session: Any, stack: str, asked: str | None, text: str, *, confirm: bool) -> None:
    cloudformation = session.client("cloudformation")
    before = deployed_stack(cloudformation, stack)
    if before and before["StackStatus"] in ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED"):
        sys.exit(
            f"The first deployment of {stack} failed: delete it (`sam delete --stack-name {stack}`) first"
        )
    parameters = {p["ParameterKey"]: p["ParameterValue"] for p in (before or {}).get("Parameters", [])}
    architecture = asked or parameters.get("Architecture", "arm64")
    given = given_parameters(text, architecture)
    if wrong := list(faults(parameters | given, session.region_name)):
        sys.exit("\n".join(wrong))
    for warning in warnings(session):
        print(f"Warning: {warning}", file=sys.stderr)
    build = [sys.executable, "-m", "local.build", "--architecture", architecture]
    if subprocess.run(build, cwd=ROOT, check=False).returncode:
        sys.exit(1)
    built = (BUILD / ARCHITECTURE).read_text()
    if built != architecture:
        sys.exit(f"The build is for {built}, not for {architecture}: do not build while it is deployed")
    command = [str(SAM), "deploy", "--stack-name", stack]
    command += ["--region", session.region_name, "--no-confirm-changeset", "--no-execute-changeset"]
    command += ["--no-fail-on-empty-changeset", "--no-progressbar", "--parameter-overrides"]
    command += [f"{name}={quoted(value)}" for name, value in given.items()]
    if subprocess.run(command, cwd=ROOT, check=False).returncode:
        sys.exit("sam deploy made no change set, for the reason above; nothing has changed")
    name = change_set(cloudformation, stack)
    if name is None:
        sys.exit(f"{stack} is as it was: there is nothing to change")
    if lost := replaced(cloudformation, stack, name):
        print(
            f"Warning: this leaves {lost} behind, with all links, API keys and secrets; the "
            "the new ones are empty (docs/operate.md, Recover)",
            file=sys.stderr,
        )
        confirm = True  # whatever the pipeline says
    if not confirmed(f"Deploy this to {stack} in {session.region_name}?", confirm):
        cloudformation.delete_change_set(StackName=stack, ChangeSetName=name)
        sys.exit("Nothing has changed")
    execute(cloudformation, stack, name, first=before is None)
    after = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in after["Outputs"]}
    print(f"\n{stack} is at {outputs['ApiUrl']}")
    if "DomainTarget" in outputs:
        print(f"Its name has to be an alias (CNAME) of {outputs['DomainTarget']}")
    if before is None:
        print_next_steps(stack, outputs)


def print_next_steps(stack: str, outputs: dict[str, str]) -> None:
    print(
        f"\nNext:\n"
        f"  make key ACCOUNT=acme MODE=test STACK={stack}     # prints an API key, once\n"
        f"  curl {outputs['ApiUrl']}/v1/providers -H 'Authorization: Bearer THE_KEY'\n"
        f"  make smoke STACK={stack}                          # tries all of it\n"
        f"  make protect STACK={stack}                        # nobody deletes it by mistake\n"
        f"Alarms publish to {outputs['AlarmTopicArn']}: subscribe to it, or deploy with "
        f'PARAMETERS="AlarmEmail=you@example.com"'
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="deploy", description=__doc__)
    parser.add_argument("--stack", default="latchkey")
    parser.add_argument("--architecture", choices=["arm64", "x86_64"], help="as deployed, at first arm64")
    parser.add_argument("--no-confirm", action="store_true")
    arguments = parser.parse_args()
    try:
        session = keys.session()
        deploy(
            session,
            arguments.stack,
            arguments.architecture,
            os.environ.get("PARAMETERS", ""),  # a shell would take its quotes away
            confirm=not arguments.no_confirm,
        )
    except (BotoCoreError, ClientError) as error:
        sys.exit(f"AWS does not answer as it should: {error}")


if __name__ == "__main__":
    main()
