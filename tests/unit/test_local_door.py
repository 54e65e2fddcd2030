"""What `make up` and its neighbours say and choose before anything runs."""

import inspect
import re
import socket
import subprocess
from pathlib import Path

import pytest

from latchkey_client.cli import commands
from local import deploy, keys
from local.stack import RECEIVER_PORT, Failure, Stack, is_free, sample_request
from tests.template import ROOT


@pytest.mark.parametrize(
    ("typed", "answer"),
    [
        ("BrandName='Acme Inc' SessionSeconds=60", {"BrandName": "Acme Inc", "SessionSeconds": "60"}),
        ("BrandNam=Acme", "did you mean BrandName"),
        ("Zzz=1", "docs/deploy.md"),
        ("BrandName", "is not NAME=VALUE"),
        ("Architecture=arm64", "write ARCH=arm64"),
    ],
)
def test_parameters_are_the_templates_or_refused_by_name(typed: str, answer: dict[str, str] | str) -> None:
    if isinstance(answer, dict):
        assert deploy.given_parameters(typed, "x86_64") == answer | {"Architecture": "x86_64"}
    else:
        with pytest.raises(SystemExit, match=answer):
            deploy.given_parameters(typed, "x86_64")


def test_ports_are_free_before_anything_is_built(tmp_path: Path) -> None:
    stack = Stack(tmp_path / "stack")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Failure, match=f"Port {port} is in use.*PORT="):
            stack.ports(port, None)
        with pytest.raises(Failure, match="EMULATOR_PORT="):
            stack.ports(None, port)
        stack.file.write_text(
            f'{{"apiUrl": "http://127.0.0.1:4999", "awsEndpointUrl": "http://localhost:{port}"}}'
        )
        api, emulator = stack.ports(None, None)
    assert api == 4999
    assert emulator not in (api, port)
    assert is_free(emulator)


@pytest.mark.parametrize(
    "target", ["account", "key", "keys", "revoke-key", "link", "connector", "conformance", "play"]
)
def test_a_target_without_its_arguments_answers_with_the_line_to_type(target: str) -> None:
    said = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=False)
    assert said.returncode == 2
    assert re.search(rf"make {target} [A-Z]+=\S", said.stderr)


def test_a_stack_that_does_not_run_is_told_as_that(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(keys, "STACK_FILE", tmp_path / "stack.json")
    (tmp_path / "stack.json").write_text("{}")  # of an emulator that was killed
    with pytest.raises(SystemExit, match=r"No local stack is running.*make up.*STACK="):
        keys.reach(None)


def test_the_request_that_is_printed_calls_nobody_elses_address() -> None:
    assert f'"http://127.0.0.1:{RECEIVER_PORT}/"' in sample_request()
    assert inspect.signature(commands.receive).parameters["port"].default == RECEIVER_PORT
    assert set(re.findall(r"https?://([^/:\"]+)", sample_request())) == {"127.0.0.1", "example.com"}
