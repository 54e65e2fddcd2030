"""What the local stack holds outlives its emulator."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.stack import Stack, is_free
from tests.e2e.api import eventually


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    made = Stack(tmp_path / "stack")
    yield made
    made.down()


def free_ports() -> Iterator[int]:
    return filter(is_free, range(4700, 4800))


def test_keys_and_data_outlive_a_stop_a_kill_and_a_change_of_ports(stack: Stack) -> None:
    ports = free_ports()
    stack._start(next(ports), next(ports), None)
    keys = {name: key for name, key in stack.read().items() if name.endswith("ApiKey")}
    url = stack.client("sqs").create_queue(QueueName="first")["QueueUrl"]
    assert stack.down()
    stack._start(next(ports), next(ports), None)
    assert stack.read().items() >= keys.items()
    stack.client("sqs").create_queue(QueueName="first")  # as another deployment of the template does
    stack.client("sqs").send_message(QueueUrl=url, MessageBody="by the address of before")
    saved = stack.state / "emulated/sqs.json"
    eventually(lambda: "by the address of before" in saved.read_text())
    os.killpg(int(stack.pid_file.read_text()), signal.SIGKILL)
    eventually(lambda: stack.pid() is None)
    stack._start(next(ports), next(ports), None)
    (queue,) = stack.client("sqs").list_queues()["QueueUrls"]
    (message,) = stack.client("sqs").receive_message(QueueUrl=queue)["Messages"]
    assert message["Body"] == "by the address of before"


def test_it_says_so_when_nothing_was_saved(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    ports = free_ports()
    stack._start(next(ports), next(ports), None)
    assert "are new" not in capsys.readouterr().out
    os.killpg(int(stack.pid_file.read_text()), signal.SIGKILL)
    eventually(lambda: stack.pid() is None)
    stack._start(next(ports), next(ports), None)
    assert "links, webhook secrets and the keys of `make key` are new" in capsys.readouterr().out
