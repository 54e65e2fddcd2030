"""The local stack: template.yaml deployed to an AWS emulator on this machine, as `make up` has it.

The emulator is a process group of its own that outlives the command. All that it writes is in one state
directory, so that a second stack (the tests') can run beside it; what its user needs stands in a JSON file
beside that directory. Both outlive the emulator: the next one goes on with what they hold.
"""

import argparse
import fcntl
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from latchkey.domain import ids
from latchkey.domain.catalogue import providers
from local import connectors, deploy, gaps, keys
from local.build import ARCHITECTURE, BUILD, ROOT, SAM, host_architecture

REGION = "us-east-1"
STACK_NAME = "latchkey"
PORT = 4600
EMULATOR_PORT = 4601
RECEIVER_PORT = 4800  # of `latchkey receive`
EMULATOR = ROOT / ".local/emulator/bin/python"


class Failure(Exception):  # noqa: N818 - not a defect of the program
    """What went wrong and what to do about it, in one sentence."""


class Stack:
    """One local stack, running or not."""

    def __init__(self, state: Path = ROOT / ".local/stack", *, saving: bool = True) -> None:
        self.state = state
        self.saving = saving
        self.file = state.with_suffix(".json")
        self.pid_file = state / "emulator.pid"
        self.log = state / "emulator.log"

    def read(self) -> dict[str, str]:
        """Addresses and keys, as they stand in the JSON file."""
        if self.pid() is None or not self.file.exists():
            raise Failure("No local stack is running: start it with `make up`")
        found: dict[str, str] = json.loads(self.file.read_text())
        return found

    def pid(self) -> int | None:
        """Id of the emulator's process and of its group; None if it does not run."""
        with suppress(FileNotFoundError), self.pid_file.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(file.read())
        return None

    def client(self, service: str) -> Any:
        """A client of the emulator, as its administrator."""
        make: Any = keys.local_session(REGION).client
        return make(service, endpoint_url=self.read()["awsEndpointUrl"])

    def physical_ids(self) -> dict[str, str]:
        """Physical id of each of the template's resources."""
        listed = self.client("cloudformation").describe_stack_resources(StackName=STACK_NAME)
        return {item["LogicalResourceId"]: item["PhysicalResourceId"] for item in listed["StackResources"]}

    # --- up and down -----------------------------------------------------------------------------

    def before(self) -> dict[str, str]:
        """Addresses and keys of the stack that runs or ran last; empty if there was none."""
        return json.loads(self.file.read_text()) if self.file.exists() else {}

    def ports(self, port: int | None, emulator_port: int | None) -> tuple[int, int]:
        """Those of the API and of the emulator: as they are, as asked, as before, or free ones."""
        asked, before = {"PORT": port, "EMULATOR_PORT": emulator_port}, self.before()
        urls = before.get("apiUrl", f":{PORT}"), before.get("awsEndpointUrl", f":{EMULATOR_PORT}")
        last = [int(url.rpartition(":")[2]) for url in urls]
        if self.pid() is not None and self.file.exists():
            for (name, number), at, url in zip(asked.items(), last, urls, strict=True):
                if number not in (None, at):
                    raise Failure(
                        f"The stack is already running at {url}: `make down` first to change {name}"
                    )
            return last[0], last[1]
        asked["PORT"] = port = port or last[0]
        for name, number in asked.items():
            if number is not None and not is_free(number):
                raise Failure(f"Port {number} is in use: choose another with `make up {name}=...`")
        if emulator_port is None:
            others = (number for number in (last[1], *range(port + 1, 1 << 16)) if number != port)
            emulator_port = next(filter(is_free, others))
        return port, emulator_port

    def up(
        self,
        port: int,
        emulator_port: int,
        faults_port: int | None = None,
        live: Mapping[str, Path] = {},  # nobody changes it
        parameters: Mapping[str, str] = {},  # nor this
    ) -> None:
        """Start the stack at `ports`, or update the one that runs; keys, data and parameters of before stay.

        With a faults port, the functions' calls of AWS go through a proxy there that makes them fail as told.
        `live` is the file of each integration's connector for live links.
        """
        running = self.pid() is not None and self.file.exists()
        if not running:
            self.down()
            self._start(port, emulator_port, faults_port)
        if (built := (BUILD / ARCHITECTURE).read_text()) != host_architecture():
            raise Failure(f"What is built is for {built}, and this machine is not: `make build` first")
        try:
            with step("Deploying template.yaml to it"):
                self.deploy(connectors.deploy(self.client, live), parameters)
                gaps.close(self.client, STACK_NAME, self.physical_ids())
                if live:
                    connectors.admit(self.client, self.physical_ids()["RunSessionFunction"])
            with step("Registering API keys"):
                self._register_keys()
            with step("Waiting for the API"):
                self._await_api()
        except BaseException:
            if not running:
                self.down()
            raise

    def down(self) -> bool:
        """Stop what `up` started, and nothing else; False if nothing ran."""
        pid = self.pid()
        if pid is not None:
            os.killpg(pid, signal.SIGTERM)
            until = time.monotonic() + 5
            while self.pid() is not None and time.monotonic() < until:
                time.sleep(0.05)
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(pid, 0)
        return pid is not None

    def forget(self) -> None:
        """Stop it, and delete what the next one would go on with."""
        self.down()
        self.file.unlink(missing_ok=True)
        shutil.rmtree(self.state, ignore_errors=True)

    def _start(self, port: int, emulator_port: int, faults_port: int | None) -> None:
        self.state.mkdir(parents=True, exist_ok=True)
        self.state.chmod(0o700)  # what is saved is not sealed by any KMS but the one that is saved with it
        shutil.rmtree(self.state / "tmp", ignore_errors=True)
        (self.state / "tmp").mkdir()
        before = self.before()
        # Functions inherit this environment, so nothing of the caller's is in it.
        environment = {
            "PATH": f"{EMULATOR.parent}:/usr/bin:/bin",
            "HOME": str(self.state),
            "TMPDIR": str(self.state / "tmp"),
            "LANG": "C.UTF-8",
            "AUTH": "true",
            "LAMBDA_EXECUTOR": "local",
            "GATEWAY_PORT": str(emulator_port),
            "AWS_ENDPOINT_URL": f"http://localhost:{emulator_port}",
            "PERSIST_STATE": "1" if self.saving else "0",
            "STATE_DIR": str(self.state / "emulated"),
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
        }
        running = {
            "apiUrl": f"http://127.0.0.1:{port}",
            **{
                name: before.get(name) or ids.new_api_key(livemode=name == "liveApiKey")
                for name in ("testApiKey", "liveApiKey", "otherTestApiKey")
            },
            "awsEndpointUrl": environment["AWS_ENDPOINT_URL"],
            "region": REGION,
            "stackName": STACK_NAME,
        }
        if faults_port:
            running["faultsUrl"] = f"http://127.0.0.1:{faults_port}"
            environment |= {"HTTP_PROXY": running["faultsUrl"], "NO_PROXY": "127.0.0.1"}
        self.file.touch(mode=0o600)
        self.file.write_text(json.dumps(running, indent=2) + "\n")
        with step("Starting the AWS emulator"):
            self._run_emulator(environment, [emulator_port, port], faults_port)
        if before and deploy.deployed_stack(self.client("cloudformation"), STACK_NAME) is None:
            print("Nothing of before was saved: links, webhook secrets and the keys of `make key` are new")

    def _run_emulator(self, environment: dict[str, str], ports: list[int], faults_port: int | None) -> None:
        arguments = [str(self.pid_file), str(faults_port or ""), *map(str, dict.fromkeys(ports))]
        with self.log.open("w") as log:
            process = subprocess.Popen(
                [EMULATOR, ROOT / "local/emulator.py", *arguments],
                env=environment,
                cwd=self.state,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            until = time.monotonic() + 60
            while status(ports[0], "/_ministack/health") != 200:
                if process.poll() is not None or time.monotonic() > until:
                    raise Failure(f"The AWS emulator does not start; its log is {self.log}")
                time.sleep(0.1)
        except BaseException:
            process.kill()
            process.wait()
            raise
        process.returncode = 0  # it is to go on without this object, which would complain

    # --- deploying -------------------------------------------------------------------------------

    def sam(self, *arguments: str, output: Path | None = None, **variables: str) -> int:
        """Run SAM CLI on this stack, where it cannot reach AWS; return its exit code."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        environment |= {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL": self.read()["awsEndpointUrl"],
            "NO_PROXY": "localhost,127.0.0.1",
            "SAM_CLI_TELEMETRY": "0",
            **variables,
        }
        with output.open("w") if output else nullcontext() as log:
            return subprocess.run(
                [SAM, *arguments], cwd=ROOT, env=environment, stdout=log, stderr=log, check=False
            ).returncode

    def deploy(self, live_connectors: str, given: Mapping[str, str] = {}) -> None:
        log, bucket = self.state / "deploy.log", "artefacts"
        self.client("s3").create_bucket(Bucket=bucket)
        options = ["--s3-bucket", bucket, "--capabilities", "CAPABILITY_IAM"]
        options += ["--no-confirm-changeset", "--no-fail-on-empty-changeset", "--no-progressbar"]
        # All others are as they were.
        parameters = {
            "LinkBaseUrl": self.read()["apiUrl"],
            "AllowLoopbackWebhooks": "true",
            **given,
            "Architecture": host_architecture(),
            **({"LiveConnectors": live_connectors} if live_connectors else {}),
        }
        template = str(BUILD / "template.yaml")
        failed = self.sam(
            *["deploy", "--template-file", template, "--stack-name", STACK_NAME, *options],
            "--parameter-overrides",
            *(f"{name}={deploy.quoted(value)}" for name, value in parameters.items()),
            output=log,
        )
        if failed:
            said = [line for line in log.read_text().splitlines() if line.startswith("Error: ")]
            raise Failure("\n".join([*said[-1:], f"sam deploy failed; its output is in {log}"]))

    def register(self, key: str, account: str, **more: Any) -> None:
        """Let the key act for the account, as keys.register does."""
        endpoint = self.read()["awsEndpointUrl"]
        resource = keys.local_session(REGION).resource("dynamodb", endpoint_url=endpoint)
        keys.register(resource.Table(self.physical_ids()["LinksTable"]), key, account, **more)

    def _register_keys(self) -> None:
        running = self.read()
        for key in (running["testApiKey"], running["liveApiKey"], sample_api_key()):
            self.register(key, "acme")
        self.register(running["otherTestApiKey"], "globex")

    def _await_api(self) -> None:
        running = self.read()
        port = int(running["apiUrl"].rpartition(":")[2])
        until = time.monotonic() + 60
        while (answer := status(port, "/v1/providers", running["testApiKey"])) != 200:
            if time.monotonic() > until:
                raise Failure(f"GET /v1/providers answers {answer}; what the functions said is in {self.log}")
            time.sleep(0.2)

    def follow_logs(self, link: str = "", function: str = "") -> None:
        """Print what the functions log, from a minute ago on, until interrupted.

        With a link, what they said of it ever; with a function, by its logical id, what that one says.
        """
        physical = self.physical_ids()
        named = [name for logical, name in physical.items() if logical.endswith("LogGroup")]
        functions = {logical: name for logical, name in physical.items() if logical.endswith("Function")}
        functions |= {f"{connectors.PREFIX}{name}": f"{connectors.PREFIX}{name}" for name in providers()}
        if function and function not in functions:
            raise Failure(f"There is no function {function}: choose one of {', '.join(functions)}")
        stream = f"[{functions[function]}[" if function else ""
        since = 0 if link else time.time_ns() // 1_000_000 - 60_000
        wanted = {"filterPattern": f'"{link}"'} if link else {}
        logs, seen = self.client("logs"), set()
        while True:
            for group in [*named, *connectors.log_groups(self.client)]:
                pages = logs.get_paginator("filter_log_events").paginate(
                    logGroupName=group, startTime=since, **wanted
                )
                for event in (event for page in pages for event in page["events"]):
                    line = (event["logStreamName"], event["timestamp"], event["message"])
                    if stream in line[0] and line not in seen:
                        seen.add(line)
                        print(event["message"].rstrip(), flush=True)
            time.sleep(0.5)


@contextmanager
def stack_for_tests(live: Mapping[str, Path] | None = None) -> Iterator[Stack]:
    """A stack of its own for as long as the context lasts; one at a time.

    It has a faults port; one with connectors has none, because an ARN in the path of a request does not
    survive the proxy there.
    """
    stack = Stack(ROOT / f".local/{'test-stack' if live is None else 'connectors-stack'}", saving=False)
    with stack.state.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stack.forget()  # what a killed test run left behind
        ports = [port for port in range(4650, 4700) if is_free(port)]
        try:
            # Tests ask more of one key than its callers do; those of the limit make keys that have their own.
            stack.up(ports[0], ports[1], ports[2] if live is None else None, live or {}, {"KeyRate": "0"})
            yield stack
        finally:
            stack.down()


@contextmanager
def step(text: str) -> Iterator[None]:
    print(f"{text} ...", end=" ", flush=True)
    started = time.monotonic()
    try:
        yield
    except BaseException:
        print("failed")
        raise
    print(f"{time.monotonic() - started:.1f} s", flush=True)


def is_free(port: int) -> bool:
    with socket.socket() as probe, suppress(OSError):
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))
        return True
    return False


def status(port: int, path: str, api_key: str = "") -> int | None:
    """Status of a GET; None if there is no answer."""
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path, headers={"Authorization": f"Bearer {api_key}"} if api_key else {})
        return connection.getresponse().status
    except (OSError, HTTPException):
        return None
    finally:
        connection.close()


def sample_event() -> dict[str, Any]:
    event: dict[str, Any] = json.loads((ROOT / "events/create_link.json").read_text())
    return event


def sample_api_key() -> str:
    """The key of the sample events, which thus work on a local stack as they are."""
    return str(sample_event()["headers"]["authorization"].removeprefix("Bearer "))


def sample_request() -> str:
    """Its body, with the webhook to `latchkey receive`, and not to a name that may be somebody's."""
    body = json.loads(sample_event()["body"]) | {
        "webhookUrl": f"http://127.0.0.1:{RECEIVER_PORT}/",
        "returnUrl": "https://example.com/done",
    }
    return json.dumps(body)


def print_welcome(running: dict[str, str], live: Mapping[str, Path]) -> None:
    print(f"\nThe API is at {running['apiUrl']}, a test key is {running['testApiKey']}\n")
    print(f"curl -i {running['apiUrl']}/v1/links \\")
    print(f"  -H 'Authorization: Bearer {running['testApiKey']}' \\")
    print("  -H 'Content-Type: application/json' \\")
    print(f"  -d {shlex.quote(sample_request())}")
    print("\nIts event comes to `.venv/bin/latchkey receive`.")
    if live:
        print(f"\nLive links of {', '.join(live)} are run by their connectors: {running['liveApiKey']}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="stack", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up")
    up.add_argument("--port", type=int, help=f"of the API ({PORT})")
    up.add_argument("--emulator-port", type=int, help=f"of the emulated AWS ({EMULATOR_PORT})")
    up.add_argument("--connectors", type=connectors.pairs, default={}, help="integration=file.py ...")
    commands.add_parser("down")
    logs = commands.add_parser("logs")
    logs.add_argument("--link", default="", help="only what was said of it")
    logs.add_argument("--function", default="", help="only what it says")
    arguments = parser.parse_args()
    stack = Stack()
    try:
        match arguments.command:
            case "up":
                parameters = deploy.given_parameters(os.environ.get("PARAMETERS", ""), host_architecture())
                ports = stack.ports(arguments.port, arguments.emulator_port)
                if subprocess.run([sys.executable, "-m", "local.build"], cwd=ROOT, check=False).returncode:
                    sys.exit(1)
                stack.up(*ports, live=arguments.connectors, parameters=parameters)
                print_welcome(stack.read(), arguments.connectors)
            case "down":
                print("Stopped the local stack" if stack.down() else "No local stack was running")
            case "logs":
                stack.follow_logs(arguments.link, arguments.function)
    except Failure as failure:
        sys.exit(str(failure))
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
