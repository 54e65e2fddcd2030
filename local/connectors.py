"""Connectors' files as functions of the local stack, behind its live keys.

A function loads its file, the kit and this environment's packages from where they are on this machine: what
is changed there counts from its next process on. Of the caller's variables it gets those that its file names.
"""

import argparse
import io
import json
import os
import re
import sysconfig
import zipfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from latchkey.domain.catalogue import providers
from local.environments import PACKAGES

PREFIX = "connector-"
# Makes a client of a service.
type Client = Callable[[str], Any]


def deploy(client: Client, connectors: Mapping[str, Path]) -> str:
    """Make or update a function for each integration; returns what the parameter LiveConnectors is to be."""
    role = _role(client)
    arns = {name: _function(client("lambda"), name, file, role) for name, file in connectors.items()}
    return ",".join(f"{name}={arn}" for name, arn in arns.items())


def admit(client: Client, run_session: str) -> None:
    """Let the function that runs sessions call them: the emulator does not read a function's own policy."""
    function = client("lambda").get_function_configuration(FunctionName=run_session)
    resource = f"arn:aws:lambda:*:*:function:{PREFIX}*"
    statement = {"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": resource}
    client("iam").put_role_policy(
        RoleName=function["Role"].rpartition("/")[2],
        PolicyName="connectors",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
    )


def log_groups(client: Client) -> list[str]:
    """The log groups of those that have logged."""
    found = client("logs").describe_log_groups(logGroupNamePrefix=f"/aws/lambda/{PREFIX}")
    return [group["logGroupName"] for group in found["logGroups"]]


def _role(client: Client) -> str:
    """A role that may do nothing."""
    iam, name = client("iam"), "connectors"
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    try:
        made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document)
    except iam.exceptions.EntityAlreadyExistsException:
        made = iam.get_role(RoleName=name)
    return str(made["Role"]["Arn"])


def _function(functions: Any, integration: str, file: Path, role: str) -> str:
    paths = [str(path) for path in (file.parent, *PACKAGES, sysconfig.get_path("purelib"))]
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        lines = [
            "import sys",
            f"sys.path[:0] = {paths!r}",
            "from local.environments import load",
            f"lambda_handler = load({str(file)!r}).lambda_handler",
        ]
        archive.writestr("index.py", "\n".join(lines) + "\n")
    named = set(re.findall(r"\b(?!AWS_)[A-Z][A-Z0-9_]+\b", file.read_text("utf-8")))
    variables = {name: os.environ[name] for name in sorted(named & os.environ.keys())}
    name = f"{PREFIX}{integration}"
    with suppress(functions.exceptions.ResourceNotFoundException):
        functions.delete_function(FunctionName=name)
    made = functions.create_function(
        FunctionName=name,
        Runtime="python3.13",
        Handler="index.lambda_handler",
        Role=role,
        Code={"ZipFile": code.getvalue()},
        Timeout=60,
        MemorySize=1024,
        Environment={"Variables": variables},
    )
    return str(made["FunctionArn"])


def pairs(text: str) -> dict[str, Path]:
    """Of "voltly=path/to/connector.py other=...", each integration's file."""
    found = {}
    for pair in text.split():
        integration, _, path = pair.partition("=")
        if integration not in providers():
            known = ", ".join(providers())
            raise argparse.ArgumentTypeError(f"{integration!r} is no integration: choose one of {known}")
        if not path.endswith(".py") or not Path(path).is_file():
            raise argparse.ArgumentTypeError(f"{path!r} is no Python file that is there")
        found[integration] = Path(path).resolve()
    return found
