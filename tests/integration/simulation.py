"""The deployed system without AWS: a strict store in memory, a clock that jumps, and a crash at any call.

The store takes and gives back items as DynamoDB would, and refuses what it would refuse; the real one is
held to the same by the handler tests over moto.
"""

import json
import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import batched
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from latchkey.adapters import aws, sealing, settings, store, webhook_sender
from latchkey.domain import ids
from latchkey.domain.errors import NotFoundError
from latchkey.domain.links import NUDGE_MS, Link, Sealed, Session, turned_since
from latchkey.domain.retry_schedule import Outcome
from latchkey.services import accounts, authenticate, key_use
from tests.integration.conftest import SAMPLE_KEY, Stack

MINUTE = 60_000


class Crash(BaseException):
    """The process dies: nothing in it gets to handle that."""


@dataclass
class Faults:
    """Counts the calls that leave a process, and lets it die before or after one of them."""

    calls: int = 0
    crash_at: int = 0  # the number of the call; 0 for none
    after: bool = False
    crashes: int = 0
    meet_at: int = 0  # the number of the call that another process comes before; 0 for none
    meets: Callable[[], Any] = lambda: None  # what that does

    def wrap(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            if self.calls + 1 == self.meet_at:
                self.meet_at = 0
                self.meets()
            self.calls += 1
            dies = self.calls == self.crash_at
            if dies and not self.after:
                self.crashes += 1
                raise Crash
            try:
                return call(*args, **kwargs)
            finally:
                if dies and self.after:
                    self.crashes += 1
                    raise Crash  # whatever the call brought, nobody learns of it

        return wrapped


class Memory:
    """The tables: every function of `latchkey.store`."""

    def __init__(self) -> None:
        self.items: dict[str, Any] = {}  # links, as items
        self.keys: dict[str, store.ApiKeyRow] = {}
        self.secrets: dict[str, dict[str, Sealed]] = defaultdict(dict)
        self.accounts: dict[str, Sealed] = {}
        self.places: dict[
            tuple[str, str, int], int
        ] = {}  # host, account or "" for the host's own, number: until
        self.lines: dict[store.Line, set[str]] = defaultdict(set)

    def get_api_key(self, key_hash: str) -> store.ApiKeyRow | None:
        return self.keys.get(key_hash)

    def get_default_webhook(self, _account: str) -> str | None:
        return None

    def get_link(self, link_id: str) -> Link | None:
        item = self.items.get(link_id)
        return None if item is None else store._link(item)

    def _put(self, link: Link) -> Link:
        item: Any = store._item(store._link_row(link))
        assert len(json.dumps(item)) < 550_000  # 400 KB, in base64
        self.items[link.link_id] = item
        return store._link(item)

    def put_link(self, link: Link) -> Link:
        return self.get_link(link.link_id) or self._put(link)

    def save(self, old: Link, new: Link) -> Link:
        stored = self.get_link(old.link_id)
        if stored is None:
            raise NotFoundError
        if stored.write_token != old.write_token:
            rebased = turned_since(old, stored, new)
            if rebased is None:
                raise store.SupersededError(stored)
            return self.save(stored, rebased)
        assert new.clock_offset == old.clock_offset or not stored.livemode
        return self._put(replace(store._in_order(old, new), write_token=ids.new_token()))

    def write_over(self, old: Link, new: Link) -> Link:
        stored = self.get_link(old.link_id)
        if stored is None:
            raise NotFoundError
        if stored.write_token != old.write_token:
            raise store.SupersededError(stored)
        return self._put(replace(new, write_token=ids.new_token()))

    def claim(self, link_id: str, session: Session, token: str) -> Link:
        stored = self.get_link(link_id)
        if stored is None:
            raise NotFoundError
        if stored.status != "pending" or stored.expires_at <= session.claimed_at or stored.clock_offset:
            raise store.SupersededError(stored)
        now = session.claimed_at
        claimed = replace(
            stored, status="active", session=session, secrets=True, updated_at=now, write_token=token
        )
        assert claimed.due_at() == min(session.ends_at, now + NUDGE_MS)  # what the real one writes
        return self._put(claimed)

    def list_links(
        self,
        owner: str,
        *,
        external_user_id: str,
        matching: None,
        after: str | None,
        limit: int,
    ) -> tuple[list[Link], str | None]:
        assert matching is None
        key = {"S": f"{owner}#{external_user_id}"}
        found = sorted(i for i, item in self.items.items() if item.get("ownerUser") == key)
        page = [link_id for link_id in found if link_id > (after or "")][:limit]
        links = [store._link(self.items[link_id]) for link_id in page]
        return links, page[-1] if len(page) == limit else None

    def ended_links(
        self, owner: str, *, status: str | None, beyond: str | None, oldest_first: bool, limit: int
    ) -> tuple[list[str], str | None]:
        links = map(store._link, self.items.values())
        ends = [link for link in links if link.owner == owner and link.status == (status or link.status)]
        places = sorted((end.end_order for end in ends if end.end_order), reverse=not oldest_first)
        beyond = beyond or ("" if oldest_first else "~")
        found = [place for place in places if (place > beyond if oldest_first else place < beyond)]
        return found[:limit], found[limit - 1] if len(found) > limit else None

    def get_links(self, link_ids: Sequence[str]) -> dict[str, Link]:
        return {link_id: store._link(self.items[link_id]) for link_id in link_ids if link_id in self.items}

    def delete_test_link(self, link: Link) -> None:
        stored = self.get_link(link.link_id)
        if stored is not None:
            if stored.livemode or stored.write_token != link.write_token:
                raise store.SupersededError(stored)
            del self.items[link.link_id]

    def due_links(self, shard: int, now: int) -> Iterator[list[tuple[str, int]]]:
        due = sorted(
            (int(item["dueAt"]["N"]), link_id)
            for link_id, item in self.items.items()
            if "dueAt" in item and item["dueShard"]["N"] == str(shard)
        )
        found = [(link_id, at) for at, link_id in due if at <= now]
        return (list(page) for page in batched(found, store.DUE_PAGE, strict=False))

    def put_secret(self, link: Link, row: str, sealed: Sealed) -> None:
        self.secrets[link.link_id][row] = sealed

    def get_secret(self, link: Link, row: str) -> Sealed:
        try:
            return self.secrets[link.link_id][row]
        except KeyError:
            raise NotFoundError from None

    def delete_secret(self, link: Link, row: str) -> None:
        self.secrets[link.link_id].pop(row, None)

    def secret_rows(self, link: Link) -> Iterator[str]:
        return iter(list(self.secrets[link.link_id]))

    def get_account_secrets(self, account: str) -> Sealed | None:
        return self.accounts.get(account)

    def put_account_secrets(self, account: str, sealed: Sealed, instead_of: Sealed | None) -> bool:
        if self.accounts.get(account) != instead_of:
            return False
        self.accounts[account] = sealed
        return True

    def take_place(self, line: store.Line, now: int, until: int) -> tuple[str, str] | None:
        assert now < until
        taken = {place: at for place, at in self.places.items() if at > now and place[0] == line.host}
        own = {number for (_, owner, number) in taken if owner == line.account}
        hosts = {number for (_, owner, number) in taken if owner == ""}
        assert len(own) <= store.ACCOUNT_PLACES
        free = [
            min(set(range(count)) - used, default=None)
            for count, used in ((store.ACCOUNT_PLACES, own), (store.HOST_PLACES, hosts))
        ]
        if None in free:
            return None
        for owner, number in zip((line.account, ""), free, strict=True):
            assert number is not None
            self.places[line.host, owner, number] = until
        return f"{line.account}#{free[0]}", f"place{free[1]}"

    def give_place_back(self, line: store.Line, place: tuple[str, str], until: int) -> None:
        for owner, name in zip((line.account, ""), place, strict=True):
            number = int(name.removeprefix(f"{line.account}#").removeprefix("place"))
            if self.places.get((line.host, owner, number)) == until:
                del self.places[line.host, owner, number]

    def stand_in_line(self, line: store.Line, link_id: str, until: int) -> None:
        assert until
        self.lines[line].add(link_id)

    def first_in_line(self, line: store.Line) -> str | None:
        return min(self.lines[line], default=None)

    def leave_line(self, line: store.Line, link_id: str) -> None:
        self.lines[line].discard(link_id)


class Kms:
    """Wraps data keys for one purpose each."""

    def __init__(self) -> None:
        self._keys: dict[bytes, tuple[bytes, dict[str, str]]] = {}
        self.away = False

    def generate_data_key(self, **request: Any) -> dict[str, bytes]:
        self._reach()
        wrapped, plain = os.urandom(16), os.urandom(32)
        self._keys[wrapped] = plain, request["EncryptionContext"]
        return {"Plaintext": plain, "CiphertextBlob": wrapped}

    def decrypt(self, **request: Any) -> dict[str, bytes]:
        self._reach()
        plain, context = self._keys[request["CiphertextBlob"]]
        assert context == request["EncryptionContext"]
        return {"Plaintext": plain}

    def _reach(self) -> None:
        if self.away:
            raise EndpointConnectionError(endpoint_url="kms")


@dataclass
class Receiver:
    """Every webhookUrl: keeps what it gets and takes it, or fails as often as it is told to."""

    failures: int = 0
    got: dict[str, list[tuple[str, bytes]]] = field(default_factory=lambda: defaultdict(list))

    def send(self, _url: str, headers: dict[str, str], body: bytes, **_: Any) -> Outcome:
        self.got[json.loads(body)["data"]["linkId"]].append((headers["webhook-id"], body))
        if self.failures:
            self.failures -= 1
            return Outcome(duration_ms=1, status_code=500)
        return Outcome(duration_ms=1, status_code=200)


class _Client:
    """An AWS client whose every operation may be where the process dies."""

    def __init__(self, faults: Faults, target: Any, *operations: str) -> None:
        for operation in operations:
            setattr(self, operation, faults.wrap(getattr(target, operation)))


class Simulation(Stack):
    """The handlers on a store in memory. What an invocation calls may kill it."""

    def __init__(self, faults: Faults, memory: Memory) -> None:
        super().__init__(dynamodb=None, kms=None)
        self.faults = faults
        self.memory = memory
        self.receiver = Receiver()
        self.kms = Kms()

    def survives(self, action: Callable[[], Any]) -> Any:
        """What an action brings; None if the process died in it."""
        with suppress(Crash):
            return action()
        return None

    def work_once(
        self, queue: str = "SESSION_QUEUE", handler: str = "run_session", visibility: int = 180
    ) -> None:
        """Take what is in a queue; a message whose consumer dies comes back when its visibility ends."""
        for body in self.queues.take(queue):
            if self.survives(partial(self.consume, handler, body)) is None:
                self.queues.put_back(os.environ[queue], body, visibility)

    def deliver_once(self) -> None:
        self.work_once("WEBHOOK_QUEUE", "deliver_webhook")

    def minute(self) -> None:
        """One minute passes, with its messages and its sweep."""
        self.now += MINUTE
        self.survives(self.sweep)
        self.work_once()
        self.deliver_once()

    def sleep(self, seconds: float) -> None:
        self.now += round(1000 * seconds)

    def stored(self, link_id: str) -> Link:
        link = self.memory.get_link(link_id)
        assert link is not None
        return link


@contextmanager
def simulation() -> Iterator[Simulation]:
    """A simulation with nothing in it but the sample events' API key."""
    with pytest.MonkeyPatch.context() as patch:
        faults, memory = Faults(), Memory()
        world = Simulation(faults, memory)
        for name, member in Memory.__dict__.items():
            if not name.startswith("_"):
                assert callable(getattr(store, name))
                patch.setattr(store, name, faults.wrap(partial(member, memory)))
        kms = _Client(faults, world.kms, "generate_data_key", "decrypt")
        sqs = _Client(faults, world.queues, "send_message")
        connectors = _Client(faults, world.connectors, "invoke")
        patch.setattr(key_use, "Thread", world.threads)
        patch.setattr(aws, "kms", lambda: kms)
        patch.setattr(aws, "sqs", lambda: sqs)
        patch.setattr(aws, "functions", lambda: connectors)
        patch.setattr(webhook_sender, "send", faults.wrap(world.receiver.send))
        patch.setattr("time.sleep", world.sleep)
        patch.setattr("time.time_ns", lambda: world.now * 1_000_000)
        for variable in ("SESSION_QUEUE", "WEBHOOK_QUEUE", "SEALING_KEY"):
            patch.setenv(variable, variable)
        settings.settings.cache_clear()
        for cache in (accounts._known, authenticate._known, sealing._data_keys, sealing._opened_keys):
            cache.clear()
        memory.keys[ids.api_key_hash(SAMPLE_KEY)] = store.ApiKeyRow("acme", livemode=False, revoked=False)
        yield world
    settings.settings.cache_clear()
    for cache in (accounts._known, authenticate._known, sealing._data_keys, sealing._opened_keys):
        cache.clear()
