"""Small faults, each planted alone in a copy of the tree, and tests that have to notice: `make mutants`.

They stand for their kinds: boundary values, who may write what, what counts once, what a name in the template
must match, what only a crash shows, what must be unguessable, what must not be logged. Prints those that no
test notices; a reason beside one says why it may live.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
DOMAIN, ADAPTERS, SERVICES = (f"layers/common/latchkey/{room}" for room in ("domain", "adapters", "services"))
UNIT, HANDLERS = "tests/unit", "tests/integration"
SESSIONS, WEBHOOKS = f"{HANDLERS}/test_sessions.py", f"{HANDLERS}/test_webhooks.py"
CREATE, LIST, TEMPLATE = (
    f"{HANDLERS}/test_create_link.py",
    f"{HANDLERS}/test_list_links.py",
    f"{UNIT}/test_template.py",
)
LEAKS, STORE = f"{HANDLERS}/test_canaries.py", f"{HANDLERS}/test_store.py"


class Mutant(NamedTuple):
    title: str
    file: str
    text: str  # stands in the file once
    instead: str
    tests: tuple[str, ...]
    lives_because: str = ""


def mutant(title: str, file: str, text: str, instead: str, *tests: str) -> Mutant:
    return Mutant(title, file, text, instead, tests)


MUTANTS = [
    # --- The store: what counts once ---------------------------------------------------------------
    mutant(
        "a write whose answer was lost does not recognise itself",
        f"{ADAPTERS}/store.py",
        "if stored.write_token == token:",
        "if False:",
        STORE,
    ),
    mutant(
        "a write recognises itself only if it removes something",
        f"{ADAPTERS}/store.py",
        "if stored.write_token == token:",
        "if gone and stored.write_token == token:",
        STORE,
    ),
    mutant(
        "any newer write is taken for one's own",
        f"{ADAPTERS}/store.py",
        "if stored.write_token == token:",
        "if stored.write_token:",
        STORE,
    ),
    mutant(
        "a save is not conditional on what was read",
        f"{ADAPTERS}/store.py",
        '"#writeToken = :old"',
        '"attribute_exists(#writeToken) OR #writeToken = :old"',
        STORE,
    ),
    mutant(
        "a put overwrites",
        f"{ADAPTERS}/store.py",
        'ConditionExpression="attribute_not_exists(pk)",',
        'ConditionExpression="attribute_not_exists(nothing)",',
        CREATE,
    ),
    mutant(
        "a claim lets an expired link through",
        f"{ADAPTERS}/store.py",
        '"#status = :pending AND expiresAt > :now"',
        '"#status = :pending AND expiresAt >= :now"',
        SESSIONS,
    ),
    mutant(
        "the first webhook secret is written without a condition",
        f"{ADAPTERS}/store.py",
        '"ConditionExpression": "attribute_not_exists(pk)",',
        '"ConditionExpression": "attribute_not_exists(nothing)",',
        STORE,
    ),
    mutant(
        "a rotated webhook secret overwrites a newer one",
        f"{ADAPTERS}/store.py",
        '"ciphertext = :old"',
        '"attribute_exists(ciphertext) OR ciphertext = :old"',
        STORE,
    ),
    mutant(
        "a key is read eventually consistent",
        f"{ADAPTERS}/store.py",
        'Key={"pk": {"S": pk}, "sk": {"S": sk}}, ConsistentRead=True',
        'Key={"pk": {"S": pk}, "sk": {"S": sk}}, ConsistentRead=False',
        STORE,
    ),
    mutant(
        "a place is taken while another holds it",
        f"{ADAPTERS}/store.py",
        "#own <= :now)",
        "#own >= :now)",
        WEBHOOKS,
    ),
    mutant(
        "a host has no places of its own",
        f"{ADAPTERS}/store.py",
        "#hosts <= :now)",
        "#hosts >= :now)",
        WEBHOOKS,
    ),
    mutant(
        "a place is given back by whoever no longer holds it",
        f"{ADAPTERS}/store.py",
        '"#own = :until AND #hosts = :until"',
        '"attribute_exists(#own) OR #own = :until OR #hosts = :until"',
        WEBHOOKS,
    ),
    mutant("one account takes all places", f"{ADAPTERS}/store.py", "= 5, 20", "= 20, 20", WEBHOOKS),
    # --- Sealing: what must be unguessable and bound -------------------------------------------------
    mutant(
        "the nonce is constant",
        f"{ADAPTERS}/sealing.py",
        "os.urandom(NONCE_BYTES)",
        "bytes(NONCE_BYTES)",
        f"{HANDLERS}/test_sealing.py",
    ),
    mutant(
        "what is sealed is not bound to its link",
        f"{ADAPTERS}/sealing.py",
        '{account}|{subject}|{purpose}"',
        '{account}|{purpose}"',
        f"{HANDLERS}/test_sealing.py",
    ),
    mutant(
        "what is sealed is not bound to its account",
        f"{ADAPTERS}/sealing.py",
        '{account}|{subject}|{purpose}"',
        '{subject}|{purpose}"',
        f"{HANDLERS}/test_sealing.py",
    ),
    mutant(
        "a session seals under a constant instead of its link's id",
        f"{SERVICES}/run_session.py",
        """            account=self.link.account,
            subject=self.link.link_id,
            purpose=purpose,
            now=self.clock(),
        )
        store.put_secret""",
        """            account=self.link.account,
            subject="link",
            purpose=purpose,
            now=self.clock(),
        )
        store.put_secret""",
        SESSIONS,
    ),
    mutant(
        "an event is sealed under a constant instead of its link's id",
        f"{SERVICES}/end_link.py",
        "subject=link.link_id",
        'subject="link"',
        SESSIONS,
        WEBHOOKS,
    ),
    mutant(
        "a data key lives for ever",
        f"{ADAPTERS}/sealing.py",
        "now >= key.expires_at",
        "now < 0",
        f"{HANDLERS}/test_sealing.py",
    ),
    mutant(
        "a data key is used without end",
        f"{ADAPTERS}/sealing.py",
        "key.uses_left <= 0",
        "key.uses_left <= -1000000",
        f"{HANDLERS}/test_sealing.py",
    ),
    mutant(
        "KMS is not told the purpose",
        f"{ADAPTERS}/sealing.py",
        'KeySpec="AES_256", EncryptionContext={"purpose": purpose}',
        'KeySpec="AES_256", EncryptionContext={"purpose": "any"}',
        f"{HANDLERS}/test_sealing.py",
    ),
    # --- Ids ---------------------------------------------------------------------------------------
    mutant(
        "claim codes of 32 random bits",
        f"{DOMAIN}/ids.py",
        'return "clm_" + _random(_ID_BYTES, _ID_CHARS)',
        'return "clm_" + _random(4, _ID_CHARS)',
        f"{UNIT}/test_ids.py",
    ),
    mutant(
        "client tokens of 32 random bits",
        f"{DOMAIN}/ids.py",
        "{_random(_ID_BYTES, _ID_CHARS)}",
        "{_random(4, _ID_CHARS)}",
        f"{UNIT}/test_ids.py",
    ),
    mutant(
        "event ids of 32 random bits",
        f"{DOMAIN}/ids.py",
        'return "msg_" + _random(_ID_BYTES, _ID_CHARS)',
        'return "msg_" + _random(4, _ID_CHARS)',
        f"{UNIT}/test_ids.py",
    ),
    mutant(
        "write tokens of 16 random bits",
        f"{DOMAIN}/ids.py",
        "return _random(12, 17)",
        "return _random(2, 17)",
        f"{UNIT}/test_ids.py",
    ),
    mutant(
        "webhook secrets of 32 random bits",
        f"{DOMAIN}/signing.py",
        "os.urandom(_SECRET_BYTES)",
        "bytes(28) + os.urandom(4)",
        f"{UNIT}/test_signing.py",
    ),
    mutant(
        "a derived claim code belongs to the Idempotency-Key alone",
        f"{DOMAIN}/ids.py",
        'keyed_digest(api_key, "claim-code", idempotency_key.encode())',
        'keyed_digest("", "claim-code", idempotency_key.encode())',
        f"{UNIT}/test_ids.py",
        CREATE,
    ),
    mutant(
        "a client token is one for all links of a key",
        f"{DOMAIN}/ids.py",
        'keyed_digest(claim_code, "client-token"',
        'keyed_digest("", "client-token"',
        SESSIONS,
    ),
    mutant(
        "digests of different purposes are the same",
        f"{DOMAIN}/ids.py",
        'purpose.encode() + b"\\0" + message',
        'b"\\0" + message',
        f"{UNIT}/test_ids.py",
    ),
    mutant(
        "an API key's checksum is not checked",
        f"{DOMAIN}/ids.py",
        "return livemode if _checksum(body) == checksum else None",
        "return livemode",
        f"{UNIT}/test_ids.py",
        f"{HANDLERS}/test_reading.py",
    ),
    # --- Links and sessions ------------------------------------------------------------------------
    mutant(
        "a link is pending in the millisecond in which it expires",
        f"{DOMAIN}/links.py",
        "now >= link.expires_at",
        "now > link.expires_at",
        SESSIONS,
    ),
    mutant(
        "a session lasts a millisecond too long",
        f"{DOMAIN}/links.py",
        "now >= session_of(link).ends_at",
        "now > session_of(link).ends_at",
        SESSIONS,
    ),
    mutant(
        "a stopped write is reported as not done",
        f"{DOMAIN}/links.py",
        'link.operations[running].action == "write"',
        'link.operations[running].action == "wrote"',
        SESSIONS,
    ),
    mutant(
        "what the user was asked is kept beyond the end",
        f"{DOMAIN}/links.py",
        "replace(link.session, challenge=None)",
        "link.session",
        SESSIONS,
    ),
    mutant(
        "the TTL is in milliseconds",
        f"{DOMAIN}/links.py",
        "return -(-self.expires_at // 1000) + retention_days * _DAY",
        "return self.expires_at + retention_days * _DAY",
        f"{HANDLERS}/test_create_link.py",
    ),
    mutant(
        "a link waits for sweep as long as its session",
        f"{DOMAIN}/links.py",
        "session.lease_until or self.updated_at + NUDGE_MS",
        "session.lease_until or session.ends_at",
        SESSIONS,
    ),
    mutant(
        "a worker takes a session that another has",
        f"{DOMAIN}/sessions.py",
        "now >= session.lease_until",
        "now >= 0",
        SESSIONS,
    ),
    mutant(
        "a dying read has four tries", f"{DOMAIN}/sessions.py", "MAX_TRIES = 3", "MAX_TRIES = 4", SESSIONS
    ),
    mutant(
        "a client's token opens its session a millisecond too long",
        f"{DOMAIN}/sessions.py",
        "now < end + TOKEN_MS",
        "now <= end + TOKEN_MS",
        SESSIONS,
    ),
    mutant(
        "a session's lease is shorter than a call",
        f"{DOMAIN}/sessions.py",
        "LEASE_MS = (MAX_CALL_SECONDS + 30) * 1000",
        "LEASE_MS = (MAX_CALL_SECONDS - 30) * 1000",
        f"{UNIT}/test_leases.py",
    ),
    mutant(
        "a write is begun again after a crash",
        f"{SERVICES}/run_session.py",
        'operation.status == "running" and operation.action == "write"',
        'operation.status == "running" and operation.action == "wrote"',
        f"{HANDLERS}/test_crashes.py",
    ),
    mutant(
        "the sealed password stays until the link's end",
        f"{SERVICES}/run_session.py",
        "for used in (session.state_row, session.input_row):",
        "for used in (session.state_row,):",
        LEAKS,
    ),
    mutant(
        "a result that comes after the session's end counts",
        f"{SERVICES}/run_session.py",
        "now = self._check_time()  # what",
        "now = self.clock()  # what",
        SESSIONS,
    ),
    mutant(
        "a result is not checked",
        f"{SERVICES}/run_session.py",
        'if connector_protocol.data_issues(schema, reply["data"]):',
        "if False:",
        SESSIONS,
    ),
    mutant(
        "a result too large is named at the end",
        f"{SERVICES}/run_session.py",
        "if not end_link.fits(self.link, self._result(results), self.clock()):",
        "if len(results) == len(self.link.operations) and "
        "not end_link.fits(self.link, self._result(results), self.clock()):",
        SESSIONS,
    ),
    mutant(
        "a stranger's answer that lost a race stays sealed",
        f"{SERVICES}/client_session.py",
        "store.delete_secret(link, row)",
        "pass",
        SESSIONS,
    ),
    mutant(
        "any token of the link's id opens its session",
        f"{SERVICES}/client_session.py",
        "or not hmac.compare_digest(link.session.token_hash, ids.token_hash(token))",
        "or not token",
        SESSIONS,
    ),
    mutant(
        "a link of another account can be read",
        f"{SERVICES}/read_link.py",
        "link.owner != caller.owner",
        "not link.owner",
        f"{HANDLERS}/test_reading.py",
    ),
    # --- Connectors --------------------------------------------------------------------------------
    mutant(
        "botocore repeats a connector's call",
        f"{ADAPTERS}/aws.py",
        'retries={"total_max_attempts": 1}',
        'retries={"total_max_attempts": 2}',
        f"{UNIT}/test_aws.py",
    ),
    mutant(
        "a connector is not waited for as long as it may take",
        f"{ADAPTERS}/aws.py",
        "read_timeout=MAX_CALL_SECONDS",
        "read_timeout=MAX_CALL_SECONDS / 2",
        f"{UNIT}/test_aws.py",
    ),
    mutant(
        "a refused connector's answer is logged",
        f"{ADAPTERS}/connectors.py",
        'telemetry.logger.error("connector refused", function=function, code=code)',
        'telemetry.logger.error("connector refused", function=function, code=code, said=str(error))',
        LEAKS,
    ),
    mutant(
        "a dead connector's payload is in the error that is logged",
        f"{ADAPTERS}/connectors.py",
        'raise ConnectorDiedError("the connector failed")',
        'raise ConnectorDiedError(answer["Payload"].read().decode())',
        LEAKS,
    ),
    mutant(
        "a 53rd bit too much is let through",
        f"{DOMAIN}/connector_protocol.py",
        "abs(number) > MAX_INTEGER",
        "abs(number) > MAX_INTEGER + 1",
        SESSIONS,
    ),
    mutant(
        "a challenge of any size is let through",
        f"{DOMAIN}/connector_protocol.py",
        'json_size(reply.get("challenge")) > MAX_CHALLENGE_BYTES',
        'json_size(reply.get("challenge")) > MAX_REPLY_BYTES',
        f"{UNIT}/test_connector_protocol.py",
    ),
    mutant(
        "a pattern is not tried before it is used",
        f"{DOMAIN}/connector_protocol.py",
        'not _can_be_used(field["pattern"])',
        'not field["pattern"]',
        SESSIONS,
    ),
    # --- Deliveries --------------------------------------------------------------------------------
    mutant(
        "a delivery's lease is as long as an attempt alone",
        f"{DOMAIN}/deliveries.py",
        "LEASE_MS = 45_000",
        "LEASE_MS = 15_000",
        f"{UNIT}/test_leases.py",
    ),
    mutant(
        "an attempt counts before the keys can be read",
        f"{SERVICES}/deliver_event.py",
        "    # What can fail on our side comes before the lease: from there on the attempt counts.\n",
        "    link = store.save(link, deliveries.leased(link, clock(), ids.new_token()))\n",
        WEBHOOKS,
    ),
    mutant(
        "a redelivery uses up the schedule",
        f"{DOMAIN}/deliveries.py",
        "webhook.attempts - webhook.redeliveries, outcome",
        "webhook.attempts, outcome",
        WEBHOOKS,
    ),
    mutant(
        "a redelivery moves the schedule",
        f"{DOMAIN}/deliveries.py",
        "(outcome.gone or not webhook.redelivering)",
        "True",
        WEBHOOKS,
    ),
    mutant(
        "a lost redelivery is forgotten",
        f"{DOMAIN}/links.py",
        "if self.redelivering:",
        "if False:",
        WEBHOOKS,
    ),
    mutant(
        "hops of the line are not counted",
        f"{SERVICES}/deliver_event.py",
        "hops=hops + 1",
        "hops=hops",
        WEBHOOKS,
    ),
    mutant(
        "hops of the line have no end",
        f"{SERVICES}/deliver_event.py",
        "if hops < MAX_HOPS:",
        "if hops < 10 * MAX_HOPS:",
        WEBHOOKS,
    ),
    mutant(
        "every wait is a delayed message, which sends itself on",
        f"{SERVICES}/deliver_event.py",
        "SOON_SECONDS = 60",
        "SOON_SECONDS = 100_000",
        WEBHOOKS,
    ),
    mutant(
        "who finds no place waits in no line",
        f"{SERVICES}/deliver_event.py",
        "store.stand_in_line(line, link.link_id, until)",
        "pass",
        WEBHOOKS,
    ),
    mutant(
        "a delivery's error is logged with its URL",
        f"{SERVICES}/deliver_event.py",
        "error=outcome.error,",
        "error=f'{outcome.error} {link.webhook_url}',",
        LEAKS,
    ),
    mutant(
        "a signature over other bytes than the body's",
        f"{DOMAIN}/signing.py",
        'b"%s.%d.%s" % (message_id.encode(), timestamp, body)',
        'b"%s.%d.%s" % (message_id.encode(), timestamp, '
        'json.dumps(json.loads(body), separators=(",", ":")).encode())',
        f"{UNIT}/test_signing.py",
    ),
    mutant(
        "Retry-After counts with 429 and 503 alone",
        f"{DOMAIN}/retry_schedule.py",
        "asked = _retry_after(outcome.retry_after, now)",
        "asked = _retry_after(outcome.retry_after, now) if outcome.status_code in (429, 503) else None",
        f"{UNIT}/test_schedule.py",
    ),
    mutant(
        "the last step is not taken",
        f"{DOMAIN}/retry_schedule.py",
        "attempt > len(_STEPS)",
        "attempt >= len(_STEPS)",
        f"{UNIT}/test_schedule.py",
    ),
    mutant(
        "a redelivery is refused a millisecond late",
        f"{SERVICES}/deliver_event.py",
        "now >= (last.completed_at or 0) + deliveries.REDELIVERY_MS",
        "now > (last.completed_at or 0) + deliveries.REDELIVERY_MS",
        WEBHOOKS,
    ),
    mutant(
        "a family of addresses hides the other",
        f"{ADAPTERS}/webhook_sender.py",
        "return _by_turns(dict.fromkeys(public))",
        "return list(dict.fromkeys(public))",
        f"{UNIT}/test_sender.py",
    ),
    mutant(
        "one public address is enough",
        f"{ADAPTERS}/webhook_sender.py",
        "if len(public) < len(answers):",
        "if not public:",
        f"{UNIT}/test_sender.py",
    ),
    # --- Doors -------------------------------------------------------------------------------------
    mutant(
        "a revoked key works on for an hour",
        f"{SERVICES}/authenticate.py",
        "CACHE_MS = 60_000",
        "CACHE_MS = 3_600_000",
        f"{HANDLERS}/test_reading.py",
    ),
    mutant(
        "a fault's text is logged",
        f"{ADAPTERS}/telemetry.py",
        '"exception": type(error).__qualname__,',
        '"exception": f"{type(error).__qualname__} {error}",',
        LEAKS,
        f"{HANDLERS}/test_create_link.py",
    ),
    mutant(
        "a body of one byte too much is read",
        "layers/common/latchkey/http.py",
        "len(body) > MAX_BODY_BYTES",
        "len(body) > MAX_BODY_BYTES + 1",
        f"{HANDLERS}/test_create_link_validation.py",
        CREATE,
    ),
    mutant(
        "a cursor of another list is taken",
        f"{SERVICES}/list_links.py",
        "strictjson.canonical(parameters)",
        "b''",
        LIST,
    ),
    mutant(
        "a link listed as pending in the millisecond in which it expires",
        f"{SERVICES}/list_links.py",
        "#status = :pending AND #expiresAt > :now",
        "#status = :pending AND #expiresAt >= :now",
        LIST,
    ),
    mutant(
        "a session listed as active in the millisecond in which it ends",
        f"{SERVICES}/list_links.py",
        "#status = :active AND #session.endsAt > :now",
        "#status = :active AND #session.endsAt >= :now",
        LIST,
    ),
    mutant(
        "the page's code is taken from the log's side",
        "functions/link_page/app.py",
        "if ids.link_id(code) == link_id",
        "if code",
        f"{HANDLERS}/test_link_page.py",
    ),
    mutant(
        "a page may be framed by anybody",
        "functions/link_page/app.py",
        "frame-ancestors 'none'",
        "frame-ancestors *",
        f"{HANDLERS}/test_link_page.py",
    ),
    mutant(
        "the link's status tells a day and a millisecond long",
        "functions/link_status/app.py",
        "if link is None or not sessions.is_readable(link, request.now):",
        "if link is None or not sessions.is_readable(link, request.now - 1):",
        f"{HANDLERS}/test_link_status.py",
    ),
    # --- The template: names that must match, who may what ------------------------------------------
    mutant(
        "sweep's schedule is disabled",
        "template.yaml",
        "{ScheduleExpression: rate(1 minute),",
        "{ScheduleExpression: rate(1 minute), State: DISABLED,",
        TEMPLATE,
    ),
    mutant(
        "the links table is deleted with its stack",
        "template.yaml",
        """  LinksTable:
    Type: AWS::DynamoDB::Table
    DeletionPolicy: Retain""",
        """  LinksTable:
    Type: AWS::DynamoDB::Table
    DeletionPolicy: Delete""",
        TEMPLATE,
    ),
    mutant(
        "deliver_webhook may not write hosts' rows",
        "template.yaml",
        '["link_*", "host#*"]',
        '["link_*"]',
        TEMPLATE,
    ),
    mutant(
        "deliver_webhook may unseal no event",
        "template.yaml",
        '{"kms:EncryptionContext:purpose": [event, webhook-secret]}',
        '{"kms:EncryptionContext:purpose": [webhook-secret]}',
        TEMPLATE,
    ),
    mutant(
        "the alarm of given-up events watches a metric that nobody writes",
        "template.yaml",
        "MetricName: DeliveriesExhausted",
        "MetricName: DeliveriesGivenUp",
        TEMPLATE,
        WEBHOOKS,
    ),
]


@contextmanager
def _copy_of_the_tree() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "tree"
        shutil.copytree(ROOT, copy, symlinks=True, ignore=shutil.ignore_patterns(".*", "node_modules"))
        yield copy


def _passes(tree: Path, tests: tuple[str, ...]) -> bool:
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
    done = subprocess.run(command, cwd=tree, capture_output=True, check=False)  # the tests of this list
    return done.returncode == 0


def lives(trees: SimpleQueue[Path], planted: Mutant) -> bool:
    """Whether no test notices the fault."""
    tree = trees.get()
    file = tree / planted.file
    text = file.read_text("utf-8")
    try:
        assert text.count(planted.text) == 1, (
            f"{planted.title}: its text stands {text.count(planted.text)} times"
        )
        file.write_text(text.replace(planted.text, planted.instead), "utf-8")
        return _passes(tree, planted.tests)
    finally:
        file.write_text(text, "utf-8")
        trees.put(tree)


def main() -> None:
    chosen = [planted for planted in MUTANTS if all(word in planted.title for word in sys.argv[1:])]
    workers = os.cpu_count() or 1
    trees: SimpleQueue[Path] = SimpleQueue()
    with _copy_of_the_tree() as first, _copy_of_the_tree() as second, ThreadPoolExecutor(workers) as pool:
        if not _passes(first, tuple(dict.fromkeys(test for planted in chosen for test in planted.tests))):
            sys.exit("The tests fail without any fault")
        for tree in (first, second):
            trees.put(tree)
        survivors = 0
        for planted, alive in zip(chosen, pool.map(lambda m: lives(trees, m), chosen), strict=True):
            if alive:
                print(f"LIVES  {planted.title}  {planted.lives_because}", flush=True)  # noqa: T201 # a program
                survivors += not planted.lives_because
    print(f"{len(chosen)} faults planted, {survivors} unnoticed without a reason")  # noqa: T201 # a program
    sys.exit(survivors > 0)


if __name__ == "__main__":
    main()
