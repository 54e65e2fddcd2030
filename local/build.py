"""Builds the artefacts that both AWS and the local stack are given: `make build`.

`sam build`, and then what it leaves undone: unneeded files go, so that a new instance has less to
load, and bytecode is compiled, because a function's own file system is read-only and each cold start
would otherwise compile all it imports. The same input gives the same files, but for the time in the
template, by which each deployment is a release of its own.
"""

import argparse
import compileall
import os
import platform
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from py_compile import PycInvalidationMode
from tempfile import TemporaryFile

ROOT = Path(__file__).parent.parent
SAM = ROOT / ".local/sam/bin/sam"
BUILD = ROOT / ".aws-sam/build"
LOG = ROOT / ".local/build.log"

# Each AWS service that a function or the tracer calls; the models of the other 400 are 15.6 MB zipped, which
# is more than all that is left.
SERVICES = {"dynamodb", "kms", "lambda", "sqs", "xray"}
# With what each takes off the zip, before bytecode.
UNNEEDED = [
    "**/*.pyi",  # 37 kB
    "*-stubs",  # 6 kB
    "*.dist-info/sboms",  # 37 kB
    "*.dist-info/RECORD",  # 112 kB
    "botocore/data/*/*/examples-1.json",  # 276 kB, most of other services
    # 200 kB of boto3: resources, which nobody makes here, and what it adds to clients of other services.
    *("boto3/data", "boto3/examples", "boto3/dynamodb", "boto3/ec2", "boto3/s3"),
    "s3transfer/*",  # 150 kB, for STAND_INS
    # 152 kB, for systems without time zones; botocore asks for UTC and local time.
    "dateutil/zoneinfo/*.tar.gz",
    # 891 kB of Powertools that its logging, metrics and tracing do without (they need jmespath_utils).
    "aws_lambda_powertools/event_handler",
    "aws_lambda_powertools/utilities/[!_j]*",
    # 167 kB: cryptography's binary needs _cffi_backend and not the compiler around it.
    "cffi*",
    "pycparser*",
]
# boto3 asks the class, when it is imported, whether it has a default; the true one loads multiprocessing and
# all that transfers to S3 need, a tenth of a cold start.
STAND_INS = {"s3transfer/__init__.py": "", "s3transfer/manager.py": "class TransferConfig: ...\n"}
MODELS = "latchkey/schemas/*.py"  # of the schemas that are deployed: they need pydantic
# What may be loaded at a cold start, zipped: third-party packages, and a function's own code.
MOST_BYTES = {"DepsLayer": 15_000_000, "Function": 50_000}


ARCHITECTURE = "architecture"  # the file that says what was built


def host_architecture() -> str:
    return "arm64" if platform.machine() in ("arm64", "aarch64") else "x86_64"


def sam_build(architecture: str) -> None:
    # sam needs a python3.13 that has pip, whatever else is on the path.
    path = os.pathsep.join([str(SAM.parent), str(Path(sys.base_exec_prefix) / "bin"), os.environ["PATH"]])
    command = [str(SAM), "build", "--cached", "--parameter-overrides", f"Architecture={architecture}"]
    LOG.parent.mkdir(exist_ok=True)
    environment = os.environ | {"PATH": path, "SAM_CLI_TELEMETRY": "0"}
    with LOG.open("w") as log:
        done = subprocess.run(command, cwd=ROOT, env=environment, stdout=log, stderr=log, check=False)
    if done.returncode:
        print("".join(LOG.read_text().splitlines(keepends=True)[-5:]), file=sys.stderr)
        sys.exit(f"sam build failed; its whole output is in {LOG.relative_to(ROOT)}")


def stamp(template: Path) -> None:
    unstamped = template.read_text()
    if unstamped.count("RELEASE: never built") != 1:
        sys.exit("template.yaml has no place for the time of its build: RELEASE: never built")
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    template.write_text(unstamped.replace("RELEASE: never built", f'RELEASE: "{now}"'))


def trim(packages: Path) -> None:
    unneeded = [path for pattern in UNNEEDED for path in packages.glob(pattern)]
    unneeded += [path for path in (packages / "botocore/data").glob("*/") if path.name not in SERVICES]
    for path in unneeded:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)  # gone with its directory
    for name, source in STAND_INS.items():
        (packages / name).write_text(source)


def compile_bytecode(artefact: Path, deployed_at: str) -> None:
    """Unchecked: files in a deployed package get new modification times, and do not change."""
    compiled = compileall.compile_dir(
        artefact,
        quiet=1,
        stripdir=str(artefact),
        prependdir=deployed_at,
        invalidation_mode=PycInvalidationMode.UNCHECKED_HASH,
    )
    if not compiled:
        sys.exit(f"{artefact.relative_to(ROOT)} does not compile")


def zipped_size(artefact: Path) -> int:
    with TemporaryFile() as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(artefact.rglob("*")):
                archive.write(path, path.relative_to(artefact))
        return file.tell()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--architecture", choices=["arm64", "x86_64"], default=host_architecture())
    architecture = parser.parse_args().architecture
    started = time.monotonic()
    print(f"Building for {architecture}", flush=True)
    sam_build(architecture)
    stamp(BUILD / "template.yaml")
    (BUILD / ARCHITECTURE).write_text(architecture)
    trim(BUILD / "DepsLayer/python")
    for path in (BUILD / "CommonLayer/python").glob(MODELS):
        path.unlink()
    sizes = {}
    for artefact in sorted(path for path in BUILD.iterdir() if path.is_dir()):
        compile_bytecode(artefact, "/opt" if artefact.name.endswith("Layer") else "/var/task")
        size = sizes[artefact.name] = zipped_size(artefact)
        for kind, most in MOST_BYTES.items():
            if artefact.name.endswith(kind) and size > most:
                sys.exit(f"{artefact.name} is {size / 1e3:.0f} kB zipped, more than {most / 1e3:.0f} kB")
    largest = max(size for name, size in sizes.items() if name.endswith("Function"))
    print(
        f"Built .aws-sam/build in {time.monotonic() - started:.0f} s. Zipped: third-party packages "
        f"{sizes['DepsLayer'] / 1e6:.1f} MB, shared code {sizes['CommonLayer'] / 1e3:.0f} kB, "
        f"the largest function {largest / 1e3:.0f} kB"
    )


if __name__ == "__main__":
    main()
