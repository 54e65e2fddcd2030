"""What is deployed is complete and ready to run: the built artefacts, with no other packages beside them."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from latchkey.domain.catalogue import providers
from local.build import BUILD
from tests.template import environment, resources

FUNCTIONS = resources("AWS::Serverless::Function")
CREDENTIALS = {"AWS_DEFAULT_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}


def run(function: str, code: str, **changes: str) -> None:
    """Run code in a bare interpreter that sees one function and its layers."""
    paths = [str(BUILD / part) for part in (function, "CommonLayer/python", "DepsLayer/python")]
    # -I and -S: no site-packages, no PYTHON* variables.
    command = [sys.executable, "-I", "-S", "-B", "-c", f"import sys; sys.path[:0] = {paths}\n{code}"]
    done = subprocess.run(
        command, env=environment() | CREDENTIALS | changes, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("tracing", ["true", "false"])
def test_a_function_needs_nothing_but_its_layers(function: str, tracing: str) -> None:
    run(function, "import app; app.lambda_handler", POWERTOOLS_TRACE_DISABLED=tracing)


def test_what_is_imported_on_demand_is_there_too() -> None:
    run("CreateLinkFunction", "import idna, jsonschema_rs, cryptography.hazmat.primitives.ciphers.aead")
    run("CreateLinkFunction", "from latchkey.adapters import aws; aws.dynamodb(); aws.kms()")
    names = list(providers())
    run(
        "CreateLinkFunction",
        f"from latchkey.domain import catalogue; assert list(catalogue.providers()) == {names}",
    )


def test_the_models_are_not_deployed() -> None:
    deployed = BUILD / "CommonLayer/python/latchkey/schemas"
    assert (deployed / "create_link_request.json").exists()
    assert not list(deployed.glob("**/*.py*"))
    assert not list(BUILD.glob("*/**/pydantic"))


def test_every_module_has_its_bytecode() -> None:
    sources = list(BUILD.rglob("*.py"))
    assert sources
    missing = [path for path in sources if not Path(importlib.util.cache_from_source(str(path))).exists()]
    assert missing == []
