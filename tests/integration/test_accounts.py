"""What an account has set for all its links, and what a key is told of itself."""

import json
from typing import Any

import pytest

from latchkey.adapters import settings
from local import accounts
from tests.integration.calls import Calls
from tests.integration.conftest import SAMPLE_KEY, Answer, Receiver, Stack, founding, sample_event

HOOK, OTHER = "https://hooks.example.com/all?token=x", "https://other.example.com/"
MINUTE = 60_000


def show(stack: Stack, key: str = SAMPLE_KEY) -> Answer:
    event = sample_event("account")
    event["headers"]["authorization"] = f"Bearer {key}"
    return stack.invoke("account", event)


def set_webhook(stack: Stack, url: str, account: str = "acme", **parameters: str) -> None:
    local = bool(parameters)
    accounts.set_webhook(stack.dynamodb.Table("LinksTable"), account, url, parameters, local=local)


@pytest.mark.parametrize("livemode", [False, True])
def test_links_without_a_webhook_url_have_the_accounts(
    stack: Stack, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, livemode: bool
) -> None:
    monkeypatch.setenv("LIVE_CONNECTORS", "tmobile=arn:x")
    stack.forget_settings()
    set_webhook(stack, HOOK)
    key, others = stack.new_key(livemode=livemode), stack.new_key("globex", livemode=livemode)
    for body, key_ in (
        (founding(webhookUrl=None), key),
        (founding(), key),
        (founding(webhookUrl=None), others),
    ):
        stack.cancel(stack.create(body, key=key_).json["linkId"], key=key_)
    stack.deliver()
    assert sorted(url for url, _, _ in receiver.got) == sorted([HOOK, founding()["webhookUrl"]])


def test_it_counts_within_a_minute_and_not_for_links_that_are_there(stack: Stack) -> None:
    def hook(**headers: str) -> str | None:
        link = stack.create(founding(webhookUrl=None), headers=headers).json
        return stack.stored(link["linkId"]).webhook_url

    once = {"idempotency-key": "once"}
    assert hook(**once) is None
    set_webhook(stack, HOOK)
    stack.now += MINUTE - 1
    assert hook() is None
    stack.now += 1
    assert (hook(), hook(**once)) == (HOOK, None)
    set_webhook(stack, OTHER)
    stack.now += MINUTE
    assert hook() == OTHER
    set_webhook(stack, "")
    stack.now += MINUTE
    assert hook() is None
    assert [row for row in stack.rows("LinksTable") if row["sk"] == "settings"] == []


def test_it_is_read_once_a_minute_and_only_for_links_that_need_it(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack.create(founding())
    calls = Calls(stack, monkeypatch)
    for _ in range(3):
        stack.create(founding())
    assert calls.take()["GetItem"] == 0
    for _ in range(3):
        stack.create(founding(webhookUrl=None))
    assert calls.take()["GetItem"] == 1


@pytest.mark.parametrize(
    "url", ["http://hooks.example.com", "https://localhost/", "hooks", "https://a.example:1/"]
)
def test_an_address_that_no_link_could_have_is_refused(stack: Stack, url: str) -> None:
    with pytest.raises(SystemExit, match="WEBHOOK_URL must"):
        set_webhook(stack, url)
    assert show(stack).json["webhookUrl"] is None


def test_the_local_stack_may_have_its_listener(stack: Stack) -> None:
    set_webhook(stack, "http://127.0.0.1:4800/", AllowLoopbackWebhooks="true")
    assert show(stack).json["webhookUrl"] == "http://127.0.0.1:4800/"


@pytest.mark.parametrize(
    ("attributes", "changed"),
    [
        ({}, {}),
        ({"rate": 0}, {"limits": None}),
        ({"rate": 7, "burst": 9}, {"limits": {"rate": 7, "burst": 9}}),
        ({"label": "Shop"}, {"key": {"label": "Shop"}}),
        ({"scopes": ["account:read"]}, {"key": {"scopes": ["account:read"]}}),
        ({"expiresAt": 2_000_000_000_000}, {"key": {"expiresAt": 2_000_000_000_000}}),
    ],
)
def test_a_key_is_told_what_it_is(stack: Stack, attributes: dict[str, Any], changed: dict[str, Any]) -> None:
    key = stack.new_key(**attributes)
    plain = {"last4": key[-4:], "label": None, "scopes": None, "expiresAt": None}
    expected: dict[str, Any] = {
        "account": "acme",
        "livemode": False,
        "limits": {"rate": settings.settings().key_rate, "burst": settings.settings().key_burst},
        "webhookUrl": None,
    }
    answer = show(stack, key)
    assert answer.status == 200
    assert answer.json == expected | changed | {"key": plain | changed.get("key", {})}
    assert key not in json.dumps(answer.json)
