"""Keys that expire, that are restricted, and what is told of that; listing and revoking them."""

import argparse
import io

import pytest

from latchkey.adapters import telemetry
from latchkey.domain import ids
from local import keys
from tests.integration.conftest import Stack, founding

DAY = 86_400_000
SOON = 14 * DAY


def test_a_key_that_has_expired_is_told_so(stack: Stack) -> None:
    key = stack.new_key(expiresAt=stack.now + 1)
    assert stack.create(founding(), key=key).status == 201
    stack.now += 1  # also in an environment that knows it
    answer = stack.create(founding(), key=key)
    assert (answer.status, answer.json["code"]) == (401, "unauthorized")
    assert answer.json["error"].startswith("This API key has expired")
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert "Latchkey-Key-Expires" not in answer.headers
    assert len(stack.links()) == 1


def test_a_revoked_key_is_told_as_such_also_when_it_has_expired(stack: Stack) -> None:
    key = stack.new_key(expiresAt=stack.now, revokedAt=1)
    assert stack.create(founding(), key=key).json["error"] == "This API key is unknown or was revoked"


@pytest.mark.parametrize(("left", "told"), [(SOON + 1, False), (SOON, True), (1, True)])
def test_every_answer_tells_of_a_key_that_expires_within_14_days(stack: Stack, left: int, told: bool) -> None:
    expires_at = stack.now + left
    key = stack.new_key(expiresAt=expires_at)
    for answer in (stack.create(founding(), key=key), stack.create("{", key=key), stack.get("x", key=key)):
        assert answer.headers.get("Latchkey-Key-Expires") == (str(expires_at) if told else None)


def test_a_restricted_key_is_told_what_it_lacks_and_does_what_it_may(stack: Stack) -> None:
    key = stack.new_key(scopes=["links:write", "providers:read"])
    link = stack.create(founding(), key=key)
    assert link.status == 201
    answer = stack.get(link.json["linkId"], key=key)
    assert (answer.status, answer.json["code"]) == (403, "forbidden")
    assert "links:read" in answer.json["error"]
    nothing = stack.new_key(scopes=[])
    assert stack.create("{", key=nothing).status == 403  # before anything is read of it
    assert stack.create(founding(), key=ids.new_api_key(livemode=False)).status == 401


def test_what_a_key_is_refused_for_counts(stack: Stack) -> None:
    stack.threads.at_once = True
    key = stack.new_key(scopes=[], rate=1, burst=2)
    assert [stack.create(founding(), key=key).status for _ in range(3)] == [403, 403, 429]


@pytest.fixture
def tables(stack: Stack) -> keys.Tables:
    return keys.Tables(stack.dynamodb.Table("LinksTable"), stack.dynamodb.Table("KeyUseTable"))


def made(tables: keys.Tables, account: str = "acme", **more: object) -> str:
    key = ids.new_api_key(livemode=False)
    keys.register(tables.links, key, account, **more)
    return key


def test_keys_are_listed_with_all_but_themselves(stack: Stack, tables: keys.Tables) -> None:
    stack.threads.at_once = True
    stack.now += DAY
    shop = made(
        tables,
        label="Shop",
        expiresAt=stack.now + 90 * DAY,
        scopes=["links:read", "links:write"],
        rate=5,
        burst=9,
    )
    stack.now += 1
    gone, others = made(tables), made(tables, "globex")
    assert [stack.create(founding(), key=key).status for key in (shop, others)] == [201, 201]
    keys.revoke(tables.links, gone)
    text = keys.listing(keys.keys_of(tables, "acme"))
    # The sample events' key is of a release that had no list; nobody has used it yet.
    scopes, (_, *lines) = "links:read,links:write", text.splitlines()
    assert [line.split() for line in lines] == [
        ["test", shop[-4:], "2024-01-02", "2024-01-02", "2024-04-01", "-", "5/9", "Shop", scopes],
        ["test", gone[-4:], "2024-01-02", "never", "-", "2024-01-02", "-", "-", "all"],
    ]
    assert not any(key in text for key in (shop, gone, others))


def test_a_key_of_an_older_release_is_listed_once_it_was_used(stack: Stack, tables: keys.Tables) -> None:
    stack.threads.at_once = True
    old = stack.new_key(last4="abcd", createdAt=1)
    assert keys.keys_of(tables, "acme") == []
    stack.create(founding(), key=old)
    assert [row["last4"] for row in keys.keys_of(tables, "acme")] == ["abcd"]


def test_many_keys_are_all_listed(tables: keys.Tables) -> None:
    ends = [made(tables)[-4:] for _ in range(120)]
    assert sorted(row["last4"] for row in keys.keys_of(tables, "acme")) == sorted(ends)


def test_a_key_is_revoked_by_its_end_if_that_is_its_alone(
    stack: Stack, tables: keys.Tables, capsys: pytest.CaptureFixture[str]
) -> None:
    key, other = made(tables), made(tables, "globex")
    for wrong in (("acme", "0000"), ("acme", other[-4:]), (None, key[-4:])):
        with pytest.raises(SystemExit, match=r"No valid key of acme ends in|Whose"):
            keys.revoke_by_end(tables, wrong[1], wrong[0])
    keys.revoke_by_end(tables, key[-4:], "acme")
    assert key not in capsys.readouterr().out
    assert stack.create(founding(), key=key).status == 401
    assert stack.create(founding(), key=other).status == 201
    twin = made(tables)
    for n in range(2):
        stack.add_key(
            ids.new_api_key(livemode=False), "acme", owner="acme#keys", createdAt=n, last4=twin[-4:]
        )
    with pytest.raises(SystemExit, match="3 valid keys of acme end in"):
        keys.revoke_by_end(tables, twin[-4:], "acme")


def test_the_command_makes_lists_and_revokes(
    stack: Stack, tables: keys.Tables, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*arguments: str) -> str:
        monkeypatch.setattr("sys.argv", ["keys", *arguments])
        keys.main()
        return capsys.readouterr().out.strip()

    told: list[str] = []
    monkeypatch.setattr(keys, "tables_of", lambda _: tables)
    monkeypatch.setattr(keys, "reach", lambda _: None)
    monkeypatch.setattr(keys, "tell", lambda _, action, **__: told.append(action))
    options = (
        "--label",
        "Bob's shop",
        "--expires",
        "90d",
        "--scopes",
        "links:write",
        "--rate",
        "7",
        "--burst",
        "9",
    )
    key = run("create", "acme", "test", *options)
    monkeypatch.setattr(telemetry.logger.registered_handler, "stream", io.StringIO())
    answer = stack.create(founding(), key=key)
    assert (answer.status, answer.headers.get("Latchkey-Key-Expires")) == (201, None)
    assert stack.get(answer.json["linkId"], key=key).status == 403
    assert run("list", "acme").splitlines()[1].split() == [
        *("test", key[-4:], "2024-01-01", "never", "2024-03-31", "-", "7/9", "Bob's", "shop", "links:write")
    ]
    run("revoke", key[-4:], "--account", "acme")
    with pytest.raises(SystemExit, match="was revoked before"):
        run("revoke", key)
    assert told == ["key.created", "key.revoked"]


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (keys.expiry, "0d"),
        (keys.expiry, "90"),
        (keys.scope_list, ""),
        (keys.scope_list, "links:reed"),
        (keys.label, ""),
        (keys.whole_number(0, 10), "11"),
        (keys.whole_number(0, 10), "-1"),
    ],
)
def test_what_a_key_cannot_have_is_refused(read: object, text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        read(text)  # type: ignore[operator] # one of the above
