"""A function under AWS's own runtime client, behind AWS's runtime interface emulator.

The emulator (of aws-sam-cli's wheel) starts the runtime's process at the first request, as Lambda does for a
new environment: the first answer's time holds the interpreter, the client, the imports and the handler.
"""

import contextlib
import http.client
import json
import os
import platform
import socket
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
PYTHON = ROOT / ".local/bench/runtime/bin/python"
_ARCHITECTURE = "arm64" if platform.machine() in ("arm64", "aarch64") else "x86_64"
_RAPID = ROOT / ".local/sam/lib/python3.13/site-packages/samcli/local/rapid"
EMULATOR = _RAPID / f"aws-lambda-rie-{_ARCHITECTURE}"
INVOCATIONS = "/2015-03-31/functions/function/invocations"


def run(
    paths: list[Path], environment: dict[str, str], event: str, warm_up: int, requests: int
) -> tuple[list[int], float, float, float]:
    """Statuses; ms to the first answer; ms of CPU a request in the runtime's process; its peak memory in MiB.

    app.py is in the first of the paths, the packages are in the others.
    """
    task, *packages = paths
    port, runtime_port = _free_ports()
    command = [str(EMULATOR), "--log-level", "error"]
    command += ["--runtime-interface-emulator-address", f"127.0.0.1:{port}"]
    command += ["--runtime-api-address", f"127.0.0.1:{runtime_port}"]
    command += [str(PYTHON), "-m", "awslambdaric", "app.lambda_handler"]
    variables = {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": os.pathsep.join(map(str, packages)),
        "PYTHONDONTWRITEBYTECODE": "1",  # as on Lambda, where its files are read-only
        "AWS_LAMBDA_FUNCTION_TIMEOUT": "29",
    }
    with subprocess.Popen(
        command, cwd=task, env=environment | variables, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as emulator:
        try:
            _await(port)
            start = time.perf_counter()
            statuses = {_invoke(port, event)}
            cold = (time.perf_counter() - start) * 1e3
            (runtime,) = _children(emulator.pid)
            for _ in range(warm_up):
                statuses.add(_invoke(port, event))
            before = _cpu(runtime)
            for _ in range(requests):
                statuses.add(_invoke(port, event))
            warm = (_cpu(runtime) - before) / (requests or 1)
            return sorted(statuses), cold, warm, _peak_memory(runtime)
        finally:
            emulator.terminate()  # and it ends its runtime


def _invoke(port: int, event: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    with contextlib.closing(connection):
        connection.request("POST", INVOCATIONS, body=event)
        answer = json.load(connection.getresponse())
    return int(answer.get("statusCode", 0))  # 0: the function died


def _free_ports() -> tuple[int, int]:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        return one.getsockname()[1], other.getsockname()[1]


def _await(port: int) -> None:
    until = time.monotonic() + 10
    while time.monotonic() < until:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.01)
    raise TimeoutError("the runtime interface emulator does not start")


def _children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def _cpu(pid: int) -> float:
    """ms of CPU that the process's threads have used."""
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e6


def _peak_memory(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024
