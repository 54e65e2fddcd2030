"""Runs one built function in a container, on the local stack's tables: `make invoke`."""

import argparse
import json
import socket
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import yaml

from local.build import BUILD, SAM, host_architecture
from local.stack import Failure, Stack

# Prints the host's address on Docker's bridge; the exit codes below say what is missing.
ASK_ENGINE = """
import docker, ipaddress, sys
try:
    engine = docker.from_env()
    bridge = engine.networks.get("bridge").attrs["IPAM"]["Config"][0]
    print(bridge.get("Gateway") or ipaddress.ip_network(bridge["Subnet"])[1])
except docker.errors.DockerException:
    sys.exit(4)
try:
    engine.images.get(sys.argv[1])
except docker.errors.ImageNotFound:
    sys.exit(3)
"""
NO_IMAGE, NO_ENGINE = 3, 4


def invoke(stack: Stack, function: str, event: Path) -> int:
    """Print the function's answer; return SAM CLI's exit code."""
    physical = stack.physical_ids()
    if function not in physical:
        names = ", ".join(name for name in physical if name.endswith("Function"))
        raise Failure(f"There is no {function}: the functions are {names}")
    image = f"public.ecr.aws/lambda/python:3.13-{host_architecture()}"
    asked = subprocess.run(
        [SAM.parent / "python", "-c", ASK_ENGINE, image], stdout=subprocess.PIPE, text=True, check=False
    )
    if asked.returncode == NO_ENGINE:
        raise Failure("No Docker engine answers: start Docker, or set DOCKER_HOST to where one listens")

    emulator_port = int(stack.read()["awsEndpointUrl"].rpartition(":")[2])
    deployed = stack.client("lambda").get_function_configuration(FunctionName=physical[function])
    with reachable_from_container(asked.stdout.strip(), emulator_port) as endpoint:
        # A container gets only the variables that the template names, and of a Ref only the logical name.
        variables = deployed["Environment"]["Variables"] | {"AWS_ENDPOINT_URL": endpoint}
        template = yaml.safe_load((BUILD / "template.yaml").read_text())
        template["Resources"][function]["Properties"]["Environment"] = {"Variables": variables}
        local_template = BUILD / "invoke.json"  # beside the code, which it names by relative paths
        local_template.write_text(json.dumps(template))
        return stack.sam(
            *["local", "invoke", function, "--event", str(event), "--template", str(local_template)],
            *["--parameter-overrides", f"Architecture={host_architecture()}"],
            *([] if asked.returncode == NO_IMAGE else ["--skip-pull-image"]),
            AWS_ENDPOINT_URL=endpoint,  # SAM CLI prefers its own environment to the template's values
        )


@contextmanager
def reachable_from_container(bridge: str, port: int) -> Iterator[str]:
    """Carry connections from Docker's bridge to the port, which is open on the loopback address alone."""

    class Carrier(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.create_connection(("127.0.0.1", port)) as emulator:
                back = threading.Thread(target=copy, args=(emulator, self.request))
                back.start()
                copy(self.request, emulator)
                back.join()

    try:
        server = socketserver.ThreadingTCPServer((bridge, 0), Carrier)
    except OSError:
        # Docker runs in a virtual machine, as on macOS; there this name leads to the loopback address.
        yield f"http://host.docker.internal:{port}"
        return
    with server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://{bridge}:{server.server_address[1]}"
        server.shutdown()


def copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


def main() -> None:
    parser = argparse.ArgumentParser(prog="invoke", description=__doc__)
    parser.add_argument("function", help="logical name in template.yaml")
    parser.add_argument("event", type=Path)
    arguments = parser.parse_args()
    try:
        sys.exit(invoke(Stack(), arguments.function, arguments.event))
    except Failure as failure:
        sys.exit(str(failure))


if __name__ == "__main__":
    main()
