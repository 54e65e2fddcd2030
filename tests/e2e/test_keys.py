"""Keys on the deployed stack: their limits, scopes and use, and what an account has set."""

import pytest

from latchkey.domain import ids
from local import accounts, keys
from tests.e2e.api import Api, eventually, link
from tests.e2e.deployed import Deployed
from tests.e2e.receiver import receiving


@pytest.fixture
def tables(deployed: Deployed) -> keys.Tables:
    return keys.Tables(deployed.table("LinksTable"), deployed.table("KeyUseTable"))


def caller(deployed: Deployed, account: str, **more: object) -> Api:
    key = ids.new_api_key(livemode=False)
    keys.register(deployed.table("LinksTable"), key, account, **more)
    return Api(deployed.url, key)


def test_a_key_is_held_to_its_limit_and_another_is_not(deployed: Deployed) -> None:
    limited, free = caller(deployed, "limited", rate=1, burst=5), caller(deployed, "limited", rate=0)
    answers = [limited.get("/v1/providers") for _ in range(40)]
    refused = [answer for answer in answers if answer.status == 429]
    assert len(answers) - len(refused) < 30
    assert refused[0].json["code"] == "rate_limited"
    assert int(refused[0].headers["Retry-After"]) >= 1
    assert refused[0].headers["RateLimit"].startswith('"key";r=0;t=')
    assert free.get("/v1/providers").status == 200


def test_a_restricted_key_does_what_it_may(deployed: Deployed, tables: keys.Tables) -> None:
    api = caller(deployed, "restricted", scopes=["links:write", "account:read"], label="Shop")
    assert api.create(link()).status == 201
    refused = api.get("/v1/links")
    assert (refused.status, refused.json["code"]) == (403, "forbidden")
    assert api.get("/v1/account").json["key"] == {
        "last4": api.key[-4:],
        "label": "Shop",
        "scopes": ["links:write", "account:read"],
        "expiresAt": None,
    }
    (row,) = eventually(lambda: [row for row in keys.keys_of(tables, "restricted") if row["usedOn"]])
    assert row["last4"] == api.key[-4:]
    keys.revoke_by_end(tables, api.key[-4:], "restricted")
    deployed.restart("ListLinksFunction")
    assert api.get("/v1/links").status == 401


def test_links_without_a_webhook_url_go_where_make_account_says(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(keys, "STACK_FILE", deployed.stack.file)
    with receiving() as receiver:
        monkeypatch.setattr("sys.argv", ["accounts", "hooked", "--webhook-url", receiver.url])
        accounts.main()
        assert f"go to {receiver.url}" in capsys.readouterr().out
        api = caller(deployed, "hooked")
        assert api.get("/v1/account").json["webhookUrl"] == receiver.url
        api.cancel(api.create(link()).json["linkId"])
        eventually(lambda: receiver.got)
