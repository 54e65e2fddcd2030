"""A route imports no more than it needs. Who may import whom is pyproject.toml's, for import-linter."""

import json
import os
import subprocess
import sys

import pytest

from tests.template import ROOT, environment, resources, routes


def modules_after(statement: str) -> set[str]:
    """What a fresh interpreter has loaded after a statement."""
    code = f"{statement}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    paths = os.pathsep.join([str(ROOT), str(ROOT / "layers/common")])
    credentials = {
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
    }
    env = environment() | credentials | {"PYTHONPATH": paths, "PATH": os.environ["PATH"]}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


def packages(modules: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in modules}


def test_the_sender_brings_no_client_that_reads_urls_or_proxies_of_its_own() -> None:
    loaded = packages(modules_after("import latchkey.adapters.webhook_sender"))
    assert not loaded & {"boto3", "botocore", "http", "httpx", "requests", "urllib", "urllib3"}


@pytest.mark.parametrize(
    "function", ["create_link", "get_link", "get_providers", "link_page", "sandbox_connector"]
)
def test_a_function_starts_without_what_most_requests_do_not_need(function: str) -> None:
    loaded = modules_after(f"import functions.{function}.app")
    heavy = {
        "pydantic",
        "jsonschema",
        "cryptography",
        "aws_xray_sdk",
        "requests",
        "idna",
        "segno",
    }
    if function != "create_link":
        heavy |= {"jsonschema_rs", "latchkey.domain.validation"}
    if function == "sandbox_connector":
        heavy |= {"boto3", "botocore", "aws_lambda_powertools"}
    assert not (packages(loaded) | loaded) & heavy


def test_a_snapshot_holds_what_is_otherwise_imported_when_it_is_needed() -> None:
    begun = "import os; os.environ['AWS_LAMBDA_INITIALIZATION_TYPE'] = 'snap-start'"
    assert {"cryptography", "jsonschema_rs"} <= packages(
        modules_after(f"{begun}\nimport functions.get_link.app")
    )


def test_before_its_first_request_a_function_asks_nothing_of_aws_and_makes_nothing_unique() -> None:
    """So that environments which start from one snapshot share no key, id or secret."""
    folders = {resources("AWS::Serverless::Function")[name]["CodeUri"] for name in routes().values()}
    imports = "\n".join(f"import {folder.replace('/', '.')}.app" for folder in sorted(folders))
    modules_after(f"""
import multiprocessing.process  # makes a key of its own; boto3 imports it, and nothing here uses it
import os, random, secrets, sys

def refuse(*_):
    raise AssertionError("something unique is made")

os.urandom = secrets.token_bytes = refuse
sys.addaudithook(lambda event, _: refuse() if event == "socket.connect" else None)
{imports}
from latchkey.adapters import sealing
from latchkey.services import accounts, authenticate
assert not (accounts._known or authenticate._known or sealing._data_keys or sealing._opened_keys)
""")
