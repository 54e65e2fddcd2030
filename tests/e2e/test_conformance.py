"""The deployed sandbox speaks the protocol of connectors."""

import pytest

from latchkey.domain.catalogue import providers
from local import conformance, keys
from local.stack import Stack


@pytest.mark.parametrize("integration_id", providers())
def test_the_deployed_sandbox_conforms(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, integration_id: str
) -> None:
    monkeypatch.setattr(keys, "STACK_FILE", stack.file)
    call = conformance.deployed("SandboxConnectorFunction", None)
    inputs = [{"username": "user_otp", "password": "pass_good"}, {"code": "123456"}]
    assert conformance.report(conformance.conformance(call, providers()[integration_id], inputs))


def test_a_function_that_raises_is_told_of_without_what_it_said(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(keys, "STACK_FILE", stack.file)
    call = conformance.deployed("SandboxConnectorFunction", None)
    inputs = [{"username": "user_crash", "password": "pass_good"}]
    assert not conformance.report(conformance.conformance(call, providers()["ubereats"], inputs))
    assert "the function raised or timed out: its log says why" in capsys.readouterr().out
