"""One deployed stack for the whole run, on ports of its own."""

from collections.abc import Iterator

import pytest

from local.stack import Stack, stack_for_tests
from tests.e2e.api import Api
from tests.e2e.deployed import Deployed


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    with stack_for_tests() as stack:
        yield stack


@pytest.fixture(scope="session")
def deployed(stack: Stack) -> Deployed:
    return Deployed(stack)


@pytest.fixture
def api(deployed: Deployed) -> Api:
    return deployed.api
