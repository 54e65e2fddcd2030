"""What the local stack holds outlives its emulator."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.stack import Failure, Stack, is_free
from tests.e2e.api import eventually
from tests.e2e.deployed import Deployed


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Stack]:
    made = Stack(tmp_path / "stack")
    yield made
    made.down()


def free_ports() -> Iterator[int]:
    return filter(is_free, range(4700, 4800))


def test_keys_and_data_outlive_a_stop_a_kill_and_a_change_of_ports(own: Stack) -> None:
    ports = free_ports()
    own._start(next(ports), next(ports), None)
    keys = {name: key for name, key in own.read().items() if name.endswith("ApiKey")}
    url = own.client("sqs").create_queue(QueueName="first")["QueueUrl"]
    assert own.down()
    own._start(next(ports), next(ports), None)
    assert own.read().items() >= keys.items()
    own.client("sqs").create_queue(QueueName="first")  # as another deployment of the template does
    own.client("sqs").send_message(QueueUrl=url, MessageBody="by the address of before")
    saved = own.state / "emulated/sqs.json"
    eventually(lambda: "by the address of before" in saved.read_text())
    os.killpg(int(own.pid_file.read_text()), signal.SIGKILL)
    eventually(lambda: own.pid() is None)
    own._start(next(ports), next(ports), None)
    (queue,) = own.client("sqs").list_queues()["QueueUrls"]
    (message,) = own.client("sqs").receive_message(QueueUrl=queue)["Messages"]
    assert message["Body"] == "by the address of before"


def test_it_says_so_when_nothing_was_saved(own: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    ports = free_ports()
    own._start(next(ports), next(ports), None)
    assert "are new" not in capsys.readouterr().out
    os.killpg(int(own.pid_file.read_text()), signal.SIGKILL)
    eventually(lambda: own.pid() is None)
    own._start(next(ports), next(ports), None)
    assert "links, webhook secrets and the keys of `make key` are new" in capsys.readouterr().out


class Interrupted(Exception):  # noqa: N818 - what Ctrl-C does
    pass


def test_logs_of_one_link_or_function_leave_out_the_rest(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(_: float) -> None:
        raise Interrupted

    def logged(**chosen: str) -> list[str]:
        with monkeypatch.context() as patched:
            patched.setattr("local.stack.time.sleep", interrupt)
            with pytest.raises(Interrupted):
                deployed.stack.follow_logs(**chosen)
        return capsys.readouterr().out.splitlines()

    one, other = (deployed.api.create().json["linkId"] for _ in range(2))
    deployed.api.cancel(one)
    lines = eventually(lambda: found if len(found := logged(link=one)) > 1 else [])
    assert all(one in line for line in lines)
    assert not any(other in line for line in lines)
    lines = logged(function="CancelLinkFunction")
    assert any(one in line for line in lines)
    assert not any('"POST /v1/links"' in line for line in lines)
    with pytest.raises(Failure, match=r"choose one of .*CancelLinkFunction"):
        logged(function="CancelLink")
