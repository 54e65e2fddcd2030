"""AWS clients, and what becomes of their errors."""

import functools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Any

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionError, HTTPClientError  # noqa: A004 # botocore's name
from botocore.loaders import Loader

from latchkey.domain.errors import UnavailableError
from latchkey.domain.sessions import MAX_CALL_SECONDS

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_kms import KMSClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_sqs import SQSClient

# One call at its worst: 2 attempts x (1 s to connect + 2 s to answer) + at most 1 s between them = 7 s.
# A create makes four: 28 s, within the function's 29 s and the gateway's 30 s. A call that fails ends the
# request, so a replay's fifth, which takes its spare arguments back, follows four that were answered.
_CONFIG = Config(
    connect_timeout=1,
    read_timeout=2,
    retries={"mode": "standard", "total_max_attempts": 2},
    max_pool_connections=16,  # as many as sweep has threads
    # The calls are written here, typed and tested; checking each one again costs a tenth of its CPU.
    parameter_validation=False,
    # botocore would put together a long one for each call, twice.
    user_agent="latchkey",
)

# Lambda freezes an environment between invocations, and nobody hears there that a server hangs up: its pooled
# connections answer the next request with a reset. After a pause new ones are made; each costs a handshake.
_IDLE_NS = 10 * 1_000_000_000

ALIAS = "live"  # of every function, as template.yaml names it: what is called is one release as a whole

_TRANSIENT = {
    "InternalServerError",
    "KMSInternalException",
    "LimitExceededException",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "ThrottlingException",
}


# The shapes of DynamoDB's model that hold what the store has put together already.
_DOCUMENTS = (
    "AttributeValue",
    "AttributeMap",
    "ExpressionAttributeValueMap",
    "Key",
    "PutItemInputAttributeMap",
)


class _Loader(Loader):
    """botocore's data without what costs and serves nothing here.

    The table of every endpoint of AWS is 7 MB of memory and a tenth of a cold start; each service's own rules
    (endpoint-rule-set-1.json) say where it is, in every partition. To copy an item node by node into what it
    is already takes a twentieth of a create's CPU: as a document it is sent, and comes, as it is.
    """

    def load_data_with_path(self, name: str) -> tuple[Any, str]:
        if name == "endpoints":
            return {"partitions": []}, self.BUILTIN_DATA_PATH
        data, path = super().load_data_with_path(name)
        if name.startswith("dynamodb/") and name.endswith("/service-2"):
            document = {"type": "structure", "members": {}, "document": True}
            data["shapes"].update(dict.fromkeys(_DOCUMENTS, document))
        return data, path


@functools.cache
def _session() -> boto3.Session:
    session = botocore.session.get_session()
    session.register_component("data_loader", _Loader())
    return boto3.Session(botocore_session=session)


def _client(service: str, config: Config = _CONFIG) -> Any:
    client: Any = _session().client(service, config=config)  # type: ignore[call-overload] # the names above
    _keep_endpoint(client)
    lock, used = Lock(), time.time_ns()

    def before_send(**_: Any) -> None:
        nonlocal used
        with lock:  # others wait until the old connections are gone
            now = time.time_ns()
            if now - used > _IDLE_NS:
                client.close()  # idle connections alone, and the next call opens anew
            used = now

    client.meta.events.register("before-send", before_send)
    return client


def _keep_endpoint(client: Any) -> None:
    """Ask the service's rules where it is at the first call alone: to ask again takes a twentieth of each.

    They judge by region, partition, FIPS and the like, none of which changes. botocore has no setting for it.
    """
    resolver = client._ruleset_resolver
    kept: Any = None
    ask = resolver.construct_endpoint

    def construct_endpoint(**call: Any) -> Any:
        nonlocal kept
        kept = kept or ask(**call)
        return kept

    resolver.construct_endpoint = construct_endpoint


@functools.cache
def dynamodb() -> "DynamoDBClient":
    """The environment's DynamoDB client."""
    client: DynamoDBClient = _client("dynamodb")
    return client


@functools.cache
def kms() -> "KMSClient":
    """The environment's KMS client."""
    client: KMSClient = _client("kms")
    return client


@functools.cache
def sqs() -> "SQSClient":
    """The environment's SQS client."""
    client: SQSClient = _client("sqs")
    return client


@functools.cache
def functions() -> "LambdaClient":
    """A Lambda client that waits as long as a connector may take, and calls once: a call may be a write."""
    patient = Config(read_timeout=MAX_CALL_SECONDS, retries={"total_max_attempts": 1})
    client: LambdaClient = _client("lambda", _CONFIG.merge(patient))
    return client


@contextmanager
def unavailable_when_down() -> Iterator[None]:
    """Turn a throttled, failing or unreachable service into UnavailableError.

    Everything else passes as it is: a refused permission or a bad parameter is a fault of ours.
    """
    try:
        yield
    except (ConnectionError, HTTPClientError) as error:  # no connection, no answer in time, half an answer
        raise UnavailableError from error
    except ClientError as error:
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        if status >= 500 or status == 429 or error.response["Error"]["Code"] in _TRANSIENT:
            raise UnavailableError from error
        raise
