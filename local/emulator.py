"""Runs the AWS emulator (MiniStack) for local/stack.py, in the emulator's own environment.

Started as `emulator.py PID_FILE FAULTS_PORT PORT [PORT]`, where FAULTS_PORT may be empty. It holds a lock
on PID_FILE for as long as it lives, so that no other process that gets its id is ever taken for it.
"""

import asyncio
import fcntl
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from threading import BoundedSemaphore
from typing import Any

# mypy: disable-error-code="import-not-found"
# These are installed in the emulator's environment alone.
from hypercorn.asyncio import serve
from hypercorn.config import Config
from ministack.app import _build_persistence_save_dict, app
from ministack.core.lambda_runtime import Worker
from ministack.core.persistence import PERSIST_STATE, save_all
from ministack.services import apigateway, lambda_svc, sqs
from ministack.services.cloudformation import changesets, engine, handlers, stacks

# It waits for log lines after each invocation; its 50 ms for the first would be our slowest step.
Worker._drain_stderr_bounded.__defaults__ = (0.003, 0.001, 0.25)

# Each invocation without a free process starts one. A hundred at once keep the processors so busy that
# the calls of those that run time out, so a function has a few processes and the others wait their turn.
PROCESSES_PER_FUNCTION = 4 * (os.cpu_count() or 1)
_turns: dict[str, BoundedSemaphore] = defaultdict(lambda: BoundedSemaphore(PROCESSES_PER_FUNCTION))
_execute_function, _emit_logs = lambda_svc._execute_function_warm, lambda_svc._emit_lambda_logs
_evaluate_conditions = engine._evaluate_conditions
_handle_execute, _match_route = apigateway._handle_execute_in_scope, apigateway._match_route


def execute_function_in_turn(function: dict[str, Any], event: Any, request_id: str) -> Any:
    with _turns[function["config"]["FunctionArn"]]:
        return _execute_function(function, event, request_id)


def emit_logs_by_function(function: dict[str, Any], *rest: Any, **more: Any) -> None:
    """As on AWS, a stream in a group of several functions has its function's name in its own."""
    config = function.get("config") or function
    _emit_logs({"config": config | {"Version": "{FunctionName}[{Version}]".format(**config)}}, *rest, **more)


def evaluate_conditions_with_account(template: dict[str, Any], params: dict[str, Any]) -> Any:
    """In a condition, it would take a Ref of AWS::AccountId for that very text."""
    return _evaluate_conditions(template, params | {"AWS::AccountId": {"Value": "000000000000"}})


async def handle_execute_with_preflights(
    api: str, stage: str, path: str, method: str, *rest: Any, **more: Any
) -> Any:
    """It would refuse every OPTIONS, though one has a route: so it is told of `options`, which it routes."""
    method = "options" if method == "OPTIONS" else method
    return await _handle_execute(api, stage, path, method, *rest, **more)


def match_route_in_any_case(api: str, method: str, path: str) -> Any:
    return _match_route(api, method.upper(), path)


apigateway._handle_execute_in_scope = handle_execute_with_preflights
apigateway._match_route = match_route_in_any_case
lambda_svc._execute_function_warm = execute_function_in_turn
lambda_svc._emit_lambda_logs = emit_logs_by_function
# A queue's URL is its name in all that is saved, and so stays when the port changes.
sqs.DEFAULT_PORT = "4566"
sqs._CANONICAL_NETLOC = f"{sqs.DEFAULT_HOST}:{sqs.DEFAULT_PORT}"
for module in (changesets, engine, handlers, stacks):
    module._evaluate_conditions = evaluate_conditions_with_account


def main() -> None:
    pid_file, faults_port, *ports = sys.argv[1:]
    with open(pid_file, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        lock.write(str(os.getpid()))
        lock.flush()
        config = Config()
        config.bind = [f"127.0.0.1:{port}" for port in ports]
        config.keep_alive_timeout = 75
        with fault_injector(faults_port) if faults_port else nullcontext():
            asyncio.run(serve_and_save(config))


async def serve_and_save(config: Config) -> None:
    """By itself it saves all it has when it ends, for which one that is killed has no time."""
    async with asyncio.TaskGroup() as tasks:
        saving = tasks.create_task(save_now_and_then())
        await serve(app, config)
        saving.cancel()


async def save_now_and_then() -> None:
    """About every ten seconds: it takes 0.2, most of it for the layers, in which nothing else is answered."""
    took = 0.0
    while PERSIST_STATE:
        await asyncio.sleep(max(2, 50 * took))
        began = time.monotonic()
        save_all(_build_persistence_save_dict())
        took = time.monotonic() - began


@contextmanager
def fault_injector(port: str) -> Iterator[None]:
    """The proxy to which HTTP_PROXY sends the functions' calls."""
    command = [f"{sys.prefix}/bin/microburst", "--upstream", os.environ["AWS_ENDPOINT_URL"]]
    with subprocess.Popen([*command, "--host", "127.0.0.1", "--port", port]) as process:
        yield
        process.terminate()


if __name__ == "__main__":
    main()
