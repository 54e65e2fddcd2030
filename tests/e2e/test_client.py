"""The Python client and its command against the deployed stack, with faults in between."""

import asyncio
import http.client
import json
import os
import random
import re
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from latchkey_client import APIConnectionError, AsyncLatchkey, Latchkey, models
from tests.client.faults import Answered, Faults, Sent
from tests.e2e.api import TIMEOUT, eventually
from tests.e2e.deployed import Deployed

READ: list[models.OperationInput] = [{"resource": "paymentMethod", "action": "read"}]
BUSY: Answered = (503, {"Retry-After": "0"}, b'{"error": "Later", "code": "unavailable"}')


def onward(url: str) -> Callable[[Sent], Answered]:
    def answer(sent: Sent) -> Answered:
        method, target, headers, body = sent
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=TIMEOUT)
        try:
            connection.request(method, target, body, headers)
            told = connection.getresponse()
            kept = {n: v for n, v in told.getheaders() if n.lower() not in ("content-length", "connection")}
            return told.status, kept, told.read()
        finally:
            connection.close()

    return answer


def test_through_a_network_that_loses_requests_and_answers_each_create_makes_one_link(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("latchkey_client._base.FIRST_WAIT", 0.01)
    monkeypatch.setattr("latchkey_client._base.LONGEST_WAIT", 0.1)
    caller, user = deployed.api, str(uuid.uuid4())
    dice = random.Random(4)  # noqa: S311
    kinds: list[str | Answered] = ["", "reset", "cut", BUSY]
    faults = Faults(onward(caller.url), [dice.choice(kinds) for _ in range(30)])

    async def create(url: str) -> set[str]:
        async with AsyncLatchkey(api_key=caller.key, base_url=url, max_retries=len(faults.next)) as client:
            creates = [
                client.links.create(integration_id="tmobile", operations=READ, external_user_id=user)
                for _ in range(12)
            ]
            return {link.link_id for link in await asyncio.gather(*creates)}

    with faults.serving() as url:
        made = asyncio.run(create(url))
    assert len(made) == 12
    assert len(faults.seen) > 12
    with Latchkey(api_key=caller.key, base_url=caller.url) as client:
        assert {link.link_id for link in client.links.list(external_user_id=user, limit=5)} == made


def test_a_lost_answer_to_what_is_not_repeated_is_told(deployed: Deployed) -> None:
    api = deployed.api
    faults = Faults(onward(api.url))
    with faults.serving() as url, Latchkey(api_key=api.key, base_url=url) as client:
        made = client.links.create(integration_id="tmobile", operations=READ)
        token = client.sessions.claim(code=made.claim_code).client_token
        faults.next = ["cut"]
        with pytest.raises(APIConnectionError):
            client.sessions.cancel(client_token=token)
        ended = client.links.wait(made.link_id, timeout=TIMEOUT)
    assert ended.error is not None
    assert ended.error.code == "USER_CANCELED"


def test_a_session_is_played_and_waited_for(deployed: Deployed) -> None:
    with Latchkey(api_key=deployed.api.key, base_url=deployed.url) as client:
        made = client.links.create(integration_id="tmobile", operations=READ, metadata={"plan": "pro"})
        token = client.sessions.claim(code=made.claim_code).client_token

        def asked() -> models.Challenge | None:
            return client.sessions.get(client_token=token).challenge

        challenge = eventually(asked)
        assert challenge is not None
        login = {"username": "user_good", "password": "pass_good"}
        client.sessions.input(client_token=token, challenge_id=challenge.id, input=login)
        link = client.links.wait(made.link_id, timeout=TIMEOUT)
        assert (link.status, link.metadata) == ("complete", {"plan": "pro"})
        assert link.result is not None


# --- The command -----------------------------------------------------------------------------------


@pytest.fixture
def environment(deployed: Deployed, tmp_path: Path) -> dict[str, str]:
    """A user in a folder of the local stack's, without profiles."""
    (tmp_path / ".local").mkdir()
    (tmp_path / ".local/stack.json").write_text(deployed.stack.file.read_text())
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LATCHKEY_")}
    return kept | {"XDG_CONFIG_HOME": str(tmp_path / "config")}


def command(*arguments: str) -> list[str]:
    return [str(Path(sys.executable).with_name("latchkey")), *arguments]


def run(environment: dict[str, str], folder: Path, *arguments: str, code: int = 0) -> list[Any]:
    done = subprocess.run(
        command(*arguments, "--json"),
        env=environment, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        timeout=TIMEOUT,
    )  # fmt: skip
    assert done.returncode == code, done
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_newcomer_logs_in_makes_a_link_and_follows_it_to_its_end(
    environment: dict[str, str], tmp_path: Path
) -> None:
    assert run(environment, tmp_path, "login") == []
    (who,) = run(environment, tmp_path, "whoami")
    assert (who["profile"], who["mode"]) == ("local", "test")
    read = ("--integration", "tmobile", "--operation", "paymentMethod.read")
    (made,) = run(environment, tmp_path, "links", "create", *read)
    assert run(environment, tmp_path, "links", "list", "--limit", "1")[0]["linkId"] == made["linkId"]
    assert run(environment, tmp_path, "links", "cancel", made["linkId"])[0]["status"] == "canceled"
    run(environment, tmp_path, "links", "watch", made["linkId"], code=1)


def test_a_link_and_a_user_are_erased(
    deployed: Deployed, environment: dict[str, str], tmp_path: Path
) -> None:
    user = str(uuid.uuid4())
    of_user = ("--external-user-id", user)
    make = ("links", "create", "--integration", "tmobile", "--operation", "paymentMethod.read")
    assert run(environment, tmp_path, "login") == []
    made = [run(environment, tmp_path, *make, *of_user)[0]["linkId"] for _ in range(3)]
    (left,) = run(environment, tmp_path, "links", "delete", made[0], "--yes")
    assert (left["status"], left["externalUserId"], left["erasedAt"] > 0) == ("canceled", None, True)
    assert run(environment, tmp_path, "erase", user, "--yes") == [{"erased": 2}]
    assert run(environment, tmp_path, "links", "list", *of_user) == []
    assert all(deployed.api.link(link_id)["erasedAt"] for link_id in made)
    run(environment, tmp_path, "redeliver", made[0], code=5)


def test_what_is_delivered_to_a_newcomer_is_shown_refused_and_shown_again(
    environment: dict[str, str], tmp_path: Path
) -> None:
    receiving = subprocess.Popen(
        command("receive", "--port", "0", "--answer", "500"),
        env=environment, cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert receiving.stderr is not None
        assert receiving.stdout is not None
        url = re.findall(r"Receiving at (\S+/)\.", receiving.stderr.readline())[0]
        (link,) = run(environment, tmp_path, "trigger", "canceled", "--webhook-url", url)
        for attempt in (1, 2):
            head = receiving.stdout.readline()
            assert re.search(rf" 500 link.canceled msg_\S+, verified, attempt {attempt} seen here$", head)
            shown = "".join(iter(receiving.stdout.readline, "}\n")) + "}"
            assert json.loads(shown)["data"]["linkId"] == link["linkId"]
            run(environment, tmp_path, "advance", link["linkId"], "--until", "next_attempt")
    finally:
        receiving.terminate()
        receiving.communicate()


def test_what_is_triggered_is_heard_and_handed_on_signed(
    deployed: Deployed, environment: dict[str, str], tmp_path: Path
) -> None:
    from latchkey_client import webhooks

    api = deployed.api
    with Latchkey(api_key=api.key, base_url=api.url) as client:
        secrets = [valid.secret for valid in client.webhook_secret.get().secrets]
    assert run(environment, tmp_path, "login") == []
    receiver = Faults(lambda _: (204, {}, b""))
    with receiver.serving() as url:
        listening = subprocess.Popen(
            command("listen", "--forward-to", f"{url}/hook"),
            env=environment, cwd=tmp_path, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        try:
            assert listening.stderr is not None
            assert "Listening" in listening.stderr.readline()
            ends = ("complete", "failed", "expired", "canceled")
            made = [run(environment, tmp_path, "trigger", end)[0] for end in ends]
            eventually(lambda: len(receiver.seen) >= 4)
        finally:
            listening.terminate()
            listening.communicate()
    heard = [webhooks.unwrap(body, headers, secrets) for _, _, headers, body in receiver.seen]
    wanted = [(f"link.{end}", link["linkId"]) for end, link in zip(ends, made, strict=True)]
    # Other tests' links of this account end too.
    assert [(e.type, e.data.link_id) for e in heard if (e.type, e.data.link_id) in wanted] == wanted
