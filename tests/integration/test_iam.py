"""Each function's role lets it make the calls that it makes, and no other, by simulation.

The local stack's emulator enforces actions and resources; conditions on keys and purposes are tried here.
"""

import importlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import pytest

from latchkey.adapters import sealing, store, webhook_sender
from latchkey.domain.links import DUE_SHARDS
from latchkey.domain.retry_schedule import Outcome
from latchkey.services import accounts, authenticate
from tests import iam
from tests.iam import Call, arn, function_arn
from tests.integration.calls import Calls
from tests.integration.conftest import LOGIN, SAMPLE_KEY, Context, Stack, founding, mocked_clients, new_stack
from tests.integration.test_calls import REQUESTS
from tests.template import ROOT, resources

FOLDERS = sorted(folder.name for folder in (ROOT / "functions").iterdir())
LEADING, PURPOSE = "dynamodb:LeadingKeys", "kms:EncryptionContext:purpose"
KEYS = ("key#", "link_", "account#", "host#", "webhook-test#", "settings#", "other")
PURPOSES = ("arguments", "input", "state", "result", "event", "webhook-secret", "other")
MINUTE = 60_000


def as_iam(operation: str, request: dict[str, Any]) -> Call:
    """What IAM is asked when botocore makes the call."""
    match operation:
        case "SendMessage":
            return Call("sqs:SendMessage", arn(request["QueueUrl"]))
        case "Invoke":
            name = request["FunctionName"]
            named = arn(name) if name.isalpha() else name if name.startswith("arn:") else function_arn(name)
            alias = f":{request['Qualifier']}" if "Qualifier" in request else ""
            return Call("lambda:InvokeFunction", named + alias)
        case "GenerateDataKey" | "Decrypt":
            context = (PURPOSE, request["EncryptionContext"]["purpose"])
            return Call(f"kms:{operation}", arn("SealingKey"), (context,))
    action = f"dynamodb:{operation}"
    if operation == "BatchGetItem":
        ((name, batch),) = request["RequestItems"].items()
        assert all(key["pk"]["S"].startswith("link_") for key in batch["Keys"])
        return Call(action, arn(name), ((LEADING, "link_x"),))
    table = arn(request["TableName"])
    if "IndexName" in request:
        return Call(action, f"{table}/index/{request['IndexName']}")
    if operation == "Query":
        key: str = request["ExpressionAttributeValues"][":pk"]["S"]
    else:
        key = (request.get("Key") or request["Item"])["pk"]["S"]
    start = next((known for known in KEYS if key.startswith(known)), "other")
    return Call(action, table, ((LEADING, start + "x"),))


def _cold() -> None:
    authenticate._known.clear()
    accounts._known.clear()
    sealing._data_keys.clear()
    sealing._opened_keys.clear()


def lives(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that links, sessions, deliveries and sweeps may come to, each time as in a new environment."""
    answers = [500, 204]

    def send(*_: Any, **__: Any) -> Outcome:
        return Outcome(duration_ms=1, status_code=answers.pop() if answers else 204)

    monkeypatch.setattr(webhook_sender, "send", send)
    link_id, token = stack.claimed(founding())
    _cold()
    stack.answer(token, LOGIN | {"username": "user_good"})
    _cold()
    stack.work()
    _cold()
    stack.deliver()  # fails
    _cold()
    stack.now += 10_000
    stack.deliver()
    _cold()
    stack.get(link_id)
    _, token = stack.claimed(founding())
    stack.answer(token, LOGIN | {"username": "user_wait"})
    stack.work()  # it is to be polled
    stack.queues.clear()
    # A worker runs out of time between two operations, and another one goes on.
    play = stack.connectors.reply

    def slowly(request: dict[str, Any]) -> Any:
        monkeypatch.setattr(Context, "remaining_ms", 0 if request["action"] == "execute" else 300_000)
        return play(request)

    stack.connectors.reply = slowly
    _, token = stack.claimed(founding())
    stack.answer(token, LOGIN | {"username": "user_good"})
    stack.work()
    monkeypatch.setattr(Context, "remaining_ms", 300_000)
    stack.connectors.reply = play
    stack.now += MINUTE
    stack.sweep()
    _cold()
    stack.work()
    stack.page("externalUserId=user_123")
    stack.create(founding(), headers={"idempotency-key": "k"})
    stack.create(founding(), headers={"idempotency-key": "k"})  # what was sealed twice is taken back
    key = stack.new_key("globex")  # whose secret nobody has asked for
    stack.cancel(stack.create(founding(), key=key).json["linkId"], key=key)
    stack.deliver()
    # A connector that asks to be polled.
    _, token = stack.claimed(founding())
    stack.answer(token, LOGIN | {"username": "user_wait"})
    stack.work()
    stack.queues.clear()
    # Test mode: a link's clock goes to its end, its event waits for a place, its record is deleted.
    take, busy = store.take_place, iter([True])
    with monkeypatch.context() as patch:
        patch.setattr(store, "take_place", lambda *of: None if next(busy, False) else take(*of))
        for key in (stack.new_key("initech"), SAMPLE_KEY):  # whose secret is new, and is there
            link_id = stack.create(founding(), key=key).json["linkId"]
            _cold()
            stack.test_mode(link_id, "advance", {"seconds": 14_400}, key=key)
            _cold()
            stack.test_mode(link_id, "advance", {"seconds": 40 * 86_400}, key=key)
    stack.now += MINUTE
    first = stack.events().json["events"][-1]
    stack.events(f"after={first['id']}")
    # More events than places: somebody stands in line, and is served.
    monkeypatch.setattr(store, "ACCOUNT_PLACES", 1)
    line = store.Line("acme", "your-app.com:443")
    place = store.take_place(line, stack.now, stack.now + MINUTE)
    assert place is not None
    stack.cancel(stack.create(founding()).json["linkId"])
    stack.deliver()
    store.give_place_back(line, place, stack.now + MINUTE)
    stack.cancel(stack.create(founding()).json["linkId"])
    stack.deliver()
    # Test mode's share of that: an account's first secret, a place that is waited for, and the record's end.
    link_id = stack.create(founding(), key=stack.new_key("initech")).json["linkId"]
    key = stack.new_key("initech")
    line = store.Line("initech", "your-app.com:443")
    place = store.take_place(line, stack.now, stack.now + MINUTE)
    assert place is not None
    until = stack.now + MINUTE
    monkeypatch.setattr("time.sleep", lambda _: store.give_place_back(line, place, until))
    _cold()
    assert stack.test_mode(link_id, "advance", {"until": "expiry"}, key=key).status == 200
    last = stack.events(key=key).json["events"][0]["id"]
    _cold()
    stack.now += MINUTE
    assert stack.events(f"after={last}", key=key).status == 200
    _cold()
    assert stack.test_mode(link_id, "advance", {"until": "retention"}, key=key).status == 200
    assert stack.advance(stack.create(founding()).json["linkId"], until="expiry").status == 200
    # Sweep's share: links that expire, sessions whose worker never came, events not sent, too much at once.
    expiring, idle = stack.create(founding(expiresIn=60)).json, stack.create(founding()).json
    stack.claim(idle["claimCode"])
    stack.queues.clear()
    stack.now += 2 * MINUTE
    _cold()
    stack.sweep()
    stack.work()
    assert stack.stored(expiring["linkId"]).status == "expired"
    monkeypatch.setattr(store, "DUE_PAGE", 1)
    for _ in range(2 * DUE_SHARDS):
        stack.create(founding(expiresIn=1))
    stack.now += MINUTE
    stack.sweep()


@pytest.fixture(scope="module")
def used() -> Iterator[dict[str, set[Call]]]:
    """The calls that each function makes."""
    made: dict[str, set[Call]] = defaultdict(set)

    def recording(calls: Calls, folder: str, handler: Callable[..., Any]) -> Callable[..., Any]:
        def handle(event: Any, context: Any) -> Any:
            before = len(calls.made)
            try:
                return handler(event, context)
            finally:
                made[folder] |= {as_iam(*call) for call in calls.made[before:]}

        return handle

    with (
        mocked_clients() as clients,
        pytest.MonkeyPatch.context() as monkeypatch,
        new_stack(monkeypatch, clients) as stack,
    ):
        calls = Calls(stack, monkeypatch)
        stack.threads.at_once = True
        for folder in FOLDERS:
            module = importlib.import_module(f"functions.{folder}.app")
            handler = recording(calls, folder, module.lambda_handler)
            monkeypatch.setattr(module, "lambda_handler", handler)
        for prepare, _ in REQUESTS.values():
            act = prepare(stack)
            _cold()
            for row in stack.rows("KeyUseTable"):  # as if nobody had used a key yet
                stack.dynamodb.Table("KeyUseTable").delete_item(Key={"pk": row["pk"]})
            act()
        lives(stack, monkeypatch)
        yield made


def conceivable() -> Iterator[Call]:
    """Each action of the services that are used, on each resource, key and purpose."""
    links, secrets, use = arn("LinksTable"), arn("SecretsTable"), arn("KeyUseTable")
    reads = ("GetItem", "Query", "BatchGetItem", "Scan")
    writes = ("PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem")
    for action, key in product((*reads, *writes), KEYS):
        yield Call(f"dynamodb:{action}", links, ((LEADING, f"{key}x"),))
    for action in (*reads, *writes):
        yield Call(f"dynamodb:{action}", secrets, ((LEADING, "link_x"),))
        yield Call(f"dynamodb:{action}", use, ((LEADING, "key#x"),))
    yield from (Call("dynamodb:Scan", table) for table in (links, secrets, use))  # no key is named
    for index in resources("AWS::DynamoDB::Table")["LinksTable"]["GlobalSecondaryIndexes"]:
        yield from (Call(f"dynamodb:{a}", f"{links}/index/{index['IndexName']}") for a in ("Query", "Scan"))
    for action, purpose in product(("GenerateDataKey", "Decrypt", "Encrypt", "ReEncryptFrom"), PURPOSES):
        yield Call(f"kms:{action}", arn("SealingKey"), ((PURPOSE, purpose),))
    yield from (Call(f"kms:{a}", arn("SealingKey")) for a in ("Decrypt", "ScheduleKeyDeletion"))
    for queue in resources("AWS::SQS::Queue"):
        yield Call("sqs:SendMessage", arn(queue))
    for function in resources("AWS::Serverless::Function"):
        yield Call("lambda:InvokeFunction", arn(function))
        yield Call("lambda:UpdateFunctionCode", arn(function))


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_function_may_make_the_calls_that_it_makes_and_no_other(
    used: dict[str, set[Call]], folder: str
) -> None:
    every = {*conceivable(), *used[folder]}
    assert {call for call in every if iam.is_allowed(folder, call)} == used[folder]


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_connector_in_another_account_is_called_by_run_session_alone(folder: str) -> None:
    """The other account has to consent, too; in this account a connector's own policy is enough."""

    def may_call(account: str) -> bool:
        return iam.is_allowed(folder, Call("lambda:InvokeFunction", function_arn("connector", account)))

    assert may_call(iam.OTHER_ACCOUNT) == (folder == "run_session")
    assert not may_call(iam.ACCOUNT)


A, B = "arn:aws:s:r:1:a", "arn:aws:s:r:1:b[1]"


def statement(**changes: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": "s:Get*", "Resource": ["arn:aws:s:r:1:a*", B]} | changes


@pytest.mark.parametrize(
    ("condition", "context", "holds"),
    [
        ({}, {}, True),
        ({"StringEquals": {"k": ["a", "b"]}}, {"k": "b"}, True),
        ({"StringEquals": {"k": "a"}}, {"k": "a*"}, False),
        ({"StringEquals": {"k": "a"}}, {}, False),
        ({"StringLike": {"k": "a*"}}, {"k": "abc"}, True),
        ({"StringLike": {"k": "a?"}}, {"k": "abc"}, False),
        ({"ArnLike": {"k": "arn:*:x"}}, {"k": "arn:1:x"}, True),
        ({"StringNotEquals": {"k": "a"}}, {"k": "a"}, False),
        ({"StringNotEquals": {"k": "a"}}, {}, True),
        ({"ForAllValues:StringLike": {"k": ["a*"]}}, {"k": "b"}, False),
        ({"ForAllValues:StringLike": {"k": ["a*"]}}, {}, True),
        ({"ForAllValues:StringLike": {"k": ["a*"]}, "Null": {"k": "false"}}, {}, False),
        ({"Null": {"k": "true"}}, {"k": "a"}, False),
    ],
)
def test_conditions_are_read_as_iam_reads_them(
    condition: dict[str, Any], context: dict[str, str], holds: bool
) -> None:
    call = Call("s:GetItem", A, tuple(context.items()))
    assert iam._applies(statement(Condition=condition), call) is holds


def test_actions_have_no_case_resources_have_and_a_denial_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    statements = [statement()]
    monkeypatch.setattr(iam, "policy", lambda _: statements)
    calls = ("S:getitem", A), ("s:Put", A), ("s:Get", A.upper()), ("s:Get", B)
    assert [iam.is_allowed("f", Call(*call)) for call in calls] == [True, False, False, True]
    statements.append(statement(Effect="Deny", Resource=A))
    assert [iam.is_allowed("f", Call(*call)) for call in calls] == [False, False, False, True]
    with pytest.raises(ValueError, match="IpAddress"):
        iam._holds("IpAddress", [], [])
