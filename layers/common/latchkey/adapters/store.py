"""DynamoDB: the only module that reads or writes the tables.

A link is one item. Whoever changes it has read it (or got it back from a refused write), and writes
under the condition that nobody has written it since: see `save`.
"""

import base64
import random
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import MISSING, dataclass, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from latchkey.adapters import aws, telemetry
from latchkey.adapters.settings import settings
from latchkey.domain import ids
from latchkey.domain.errors import NotFoundError, UnavailableError
from latchkey.domain.links import (
    NUDGE_MS,
    OPEN,
    Failure,
    Link,
    Operation,
    Sealed,
    Session,
    Webhook,
    turned_since,
)

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef, UniversalAttributeValueTypeDef

LINK_ROW = "link"
API_KEY_ROW = "key"
ACCOUNT_ROW = "account"
SETTINGS_ROW = "settings"
HOST_ROW = "host"
TURN_ROW = "turn"
KEY_USE_KEPT = 400 * 86_400  # seconds after the last use
DUE_PAGE = 100  # links that are due, in one query: 1 s of work for a sweep
MAX_ROUNDS = 8  # of a change that other writers keep getting ahead of


class SupersededError(Exception):
    """Another writer came first; `link` is what it wrote."""

    def __init__(self, link: Link) -> None:
        super().__init__("another writer came first")
        self.link = link


@dataclass(frozen=True, slots=True)
class ApiKeyRow:
    """What is stored of an API key: never the key."""

    account: str
    livemode: bool
    revoked: bool
    label: str | None = None
    expires_at: int | None = None
    scopes: tuple[str, ...] | None = None  # what it may do; None for all
    rate: int | None = None  # instead of the deployment's
    burst: int | None = None


class KeyUseRow(NamedTuple):
    """What all environments together know of an API key's use."""

    full_at: int = 0  # of its bucket, in microseconds: see domain.limits
    used_on: int = 0  # the beginning of the last day of its use


# --- Items ---------------------------------------------------------------------------------------


def _marshal(value: Any) -> "UniversalAttributeValueTypeDef":
    match value:
        case bool():  # before int, which it is too
            return {"BOOL": value}
        case str():
            return {"S": value}
        case int():
            return {"N": str(value)}
        case bytes():
            return {"B": base64.b64encode(value).decode()}
        case dict():
            return {"M": {name: _marshal(member) for name, member in value.items()}}
        case list() | tuple():
            return {"L": [_marshal(member) for member in value]}
    if is_dataclass(value):
        return {"M": _item(_members(value))}
    raise TypeError(f"cannot store a {type(value).__name__}")


def _unmarshal(value: "AttributeValueTypeDef") -> Any:
    ((kind, content),) = value.items()
    match kind:
        case "B":
            return base64.b64decode(content)  # type: ignore[arg-type] # as below: B holds text
        case "N":
            return int(content)  # type: ignore[call-overload] # items() hides that N holds text
        case "M":
            return _row(content)  # type: ignore[arg-type] # items() hides that M holds a map
        case "L":
            return [_unmarshal(member) for member in content]  # type: ignore[attr-defined] # as above: a list
    return content


def _item(row: Mapping[str, Any]) -> "dict[str, UniversalAttributeValueTypeDef]":
    return {name: _marshal(value) for name, value in row.items() if value is not None}


def _row(item: "Mapping[str, AttributeValueTypeDef]") -> dict[str, Any]:
    return {name: _unmarshal(value) for name, value in item.items()}


def _names(kind: type[Any]) -> dict[str, str]:
    """Each field's name and its attribute's: camel case, but for the link's id, which is the key."""
    camel = {f.name: re.sub("_(.)", lambda found: found[1].upper(), f.name) for f in fields(kind)}
    return camel | {"link_id": "pk"} if kind is Link else camel


_NAMES: dict[type[Any], dict[str, str]] = {
    kind: _names(kind) for kind in (Link, Operation, Session, Failure, Sealed, Webhook)
}
_DEFAULTS: dict[type[Any], dict[str, Any]] = {
    kind: {f.name: None if f.default is MISSING else f.default for f in fields(kind)} for kind in _NAMES
}


def _members(value: Any) -> dict[str, Any]:
    """Each attribute and what it holds; None, which is not stored, for what is as it is by default."""
    names, defaults = _NAMES[type(value)], _DEFAULTS[type(value)]
    return {
        attribute: None if (member := getattr(value, name)) == defaults[name] else member
        for name, attribute in names.items()
    }


def _made_of[T](kind: type[T], row: Mapping[str, Any]) -> T:
    return kind(**{name: row[attribute] for name, attribute in _NAMES[kind].items() if attribute in row})


def _link_row(link: Link) -> dict[str, Any]:
    due_at, user = link.due_at(), link.external_user_id
    return _members(link) | {
        "sk": LINK_ROW,
        "ownerUser": None if user is None else f"{link.owner}#{user}",
        "sessionEndsAt": None if link.session is None else link.session.ends_at,  # for lists
        "dueShard": None if due_at is None else link.due_shard(),
        "dueAt": None if due_at is None else due_at - link.clock_offset,
        "ttl": link.ttl(settings().retention_days),
        "timeline": link.timeline if link.debug and link.timeline else None,
    }


_PARTS: dict[str, Callable[[Any], Any]] = {
    "operations": lambda rows: tuple(_made_of(Operation, row) for row in rows),
    "embedOrigins": tuple,
    "session": lambda row: _made_of(Session, row),
    "error": lambda row: _made_of(Failure, row),
    "event": lambda row: _made_of(Sealed, row),
    "webhook": lambda row: _made_of(Webhook, row),
    "deliveries": tuple,
    "timeline": tuple,
    "plannedFailures": tuple,
}
# What only a test link may have.
_TEST_ONLY = frozenset({"clockOffset", "plannedFailures"})


def _link(item: "Mapping[str, AttributeValueTypeDef]") -> Link:
    row = _row(item)
    return _made_of(Link, row | {name: make(row[name]) for name, make in _PARTS.items() if name in row})


# --- API keys ------------------------------------------------------------------------------------


def get_api_key(key_hash: str) -> ApiKeyRow | None:
    """The key whose SHA-256 this is. Read consistently, so that a new key works at once."""
    row = _get(settings().links_table, f"key#{key_hash}", API_KEY_ROW)
    if row is None:
        return None
    return ApiKeyRow(
        row["account"],
        row["livemode"],
        revoked="revokedAt" in row,
        label=row.get("label"),
        expires_at=row.get("expiresAt"),
        scopes=tuple(row["scopes"]) if "scopes" in row else None,
        rate=row.get("rate"),
        burst=row.get("burst"),
    )


def get_key_use(key_hash: str) -> KeyUseRow:
    """How the API key has been used, as of some moment before, which may miss the last second."""
    with aws.unavailable_when_down():
        answer = aws.dynamodb().get_item(
            TableName=settings().key_use_table, Key={"pk": {"S": f"key#{key_hash}"}}
        )
    return _key_use(answer.get("Item", {}))


def tell_key_use(
    key_hash: str, used_on: int, now: int, *, row: int, full_at: int, more: int
) -> tuple[KeyUseRow, bool]:
    """Tell the row of a use: its day, and by how much `more` time the bucket will be full later.

    A bucket that is full by now begins anew with `full_at`. Which of the two it is goes by `row`, as it was
    last heard of; if that was wrong nothing is written. One write in any case. Returns the row and whether it
    was written.
    """
    client, values = aws.dynamodb(), {":now": now, ":day": used_on, ":ttl": used_on // 1000 + KEY_USE_KEPT}
    if row > now:
        full, condition = "fullAt + :more", "fullAt > :now"
        values[":more"] = more
    else:
        full, condition = ":full", "attribute_not_exists(fullAt) OR fullAt <= :now"
        values[":full"] = full_at
    with aws.unavailable_when_down():
        try:
            answer = client.update_item(
                TableName=settings().key_use_table,
                Key={"pk": {"S": f"key#{key_hash}"}},
                UpdateExpression=f"SET fullAt = {full}, usedOn = :day, #ttl = :ttl",
                ConditionExpression=condition,
                ExpressionAttributeNames={"#ttl": "ttl"},
                ExpressionAttributeValues=_item(values),
                ReturnValues="ALL_NEW",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except client.exceptions.ConditionalCheckFailedException as error:
            old: dict[str, Any] = dict(error.response)  # the stubs do not know of the item in it
            return _key_use(old.get("Item", {})), False
    return _key_use(answer["Attributes"]), True


def _key_use(item: "Mapping[str, AttributeValueTypeDef]") -> KeyUseRow:
    row = _row(item)
    return KeyUseRow(row.get("fullAt", 0), row.get("usedOn", 0))


def _get(table: str, pk: str, sk: str) -> dict[str, Any] | None:
    item = _get_item(table, pk, sk)
    return None if item is None else _row(item)


def _get_item(table: str, pk: str, sk: str) -> "Mapping[str, AttributeValueTypeDef] | None":
    with aws.unavailable_when_down():
        answer = aws.dynamodb().get_item(
            TableName=table, Key={"pk": {"S": pk}, "sk": {"S": sk}}, ConsistentRead=True
        )
    return answer.get("Item")


# --- Links ---------------------------------------------------------------------------------------


def get_link(link_id: str) -> Link | None:
    """The link as last written."""
    item = _get_item(settings().links_table, link_id, LINK_ROW)
    return None if item is None else _link(item)


def put_link(link: Link) -> Link:
    """Write the link if its id is free, and return what is stored under the id: it, or the older link."""
    client = aws.dynamodb()
    with aws.unavailable_when_down():
        try:
            client.put_item(
                TableName=settings().links_table,
                Item=_item(_link_row(link)),
                ConditionExpression="attribute_not_exists(pk)",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except client.exceptions.ConditionalCheckFailedException as error:
            return _refusing(error)
    return link


def write_over(old: Link, new: Link) -> Link:
    """Write `new` in place of all that is stored of `old`, also of what this release does not know.

    Returns the link as stored. Raises SupersededError with the newer link if somebody has written it since
    `old` was read.
    """
    new = replace(new, write_token=ids.new_token())
    client = aws.dynamodb()
    with aws.unavailable_when_down():
        try:
            client.put_item(
                TableName=settings().links_table,
                Item=_item(_link_row(new)),
                ConditionExpression="writeToken = :old",
                ExpressionAttributeValues=_item({":old": old.write_token}),
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except client.exceptions.ConditionalCheckFailedException as error:
            stored = _refusing(error)
            # A write whose answer was lost is sent again and finds itself.
            if stored.write_token != new.write_token:
                raise SupersededError(stored) from None
    return new


def save(old: Link, new: Link) -> Link:
    """Write what changed from `old` to `new`, if nobody has written the link since `old` was read.

    Returns the link as stored. Raises SupersededError with the newer link otherwise; a turn of the link's
    clock does not count, and what `new` says happened just before it. What that adds to the timeline goes to
    the log, where each link has one, and to the item of a debug link.
    """
    token, new = ids.new_token(), _in_order(old, new)
    before, after = _link_row(old), _link_row(replace(new, write_token=token))
    changes, gone = _differences(before, after)
    condition = "#writeToken = :old"
    values: dict[str, Any] = {":old": old.write_token}
    if not _TEST_ONLY.isdisjoint((*changes, *gone)):
        condition += " AND livemode = :test"
        values[":test"] = False
    try:
        stored = _update(old.link_id, token, condition, values, changes, gone)
    except SupersededError as error:
        rebased = turned_since(old, error.link, new)
        if rebased is None:
            raise
        return save(error.link, rebased)
    for step in new.timeline[len(old.timeline) :]:
        telemetry.logger.info("step", linkId=old.link_id, **step)
    return stored


def _in_order(old: Link, new: Link) -> Link:
    """`new` with its place among the ended links, if it ends here.

    By the time of the write, not by that at which the link's clock says it ended: see list_events.
    """
    if old.status not in OPEN or new.status in OPEN:
        return new
    return replace(new, end_order=f"{time.time_ns() // 1_000_000:015d}.{new.link_id}")


def _differences(
    before: dict[str, Any], after: dict[str, Any], inside: str = ""
) -> tuple[dict[str, Any], list[str]]:
    """The paths of what is new or other than before, with its value, and of what is gone.

    By member, so that what a newer release stores in a session, say, stays when an older one writes.
    """
    changes: dict[str, Any] = {}
    gone: list[str] = []
    for name, value in after.items():
        was, path = before[name], inside + name
        if value == was:
            continue
        if value is None:
            gone.append(path)
        elif is_dataclass(value) and was is not None:
            within, lost = _differences(_members(was), _members(value), f"{path}.")
            changes |= within
            gone += lost
        else:
            changes[path] = value
    return changes, gone


def claim(link_id: str, session: Session, token: str) -> Link:
    """Begin the session of a link that is pending and not expired when the session begins: one write.

    Raises SupersededError with the link if it is not, or if its clock was turned. Of many claims one is let
    through.
    """
    now = session.claimed_at
    changes = {
        "status": "active",
        "session": session,
        "sessionEndsAt": session.ends_at,
        "secrets": True,
        "updatedAt": now,
        "dueAt": min(session.ends_at, now + NUDGE_MS),
        "writeToken": token,
    }
    condition = "#status = :pending AND expiresAt > :now AND attribute_not_exists(clockOffset)"
    return _update(link_id, token, condition, {":pending": "pending", ":now": now}, changes, [])


def delete_test_link(link: Link) -> None:
    """Delete the record of a test link, if nobody has written it since it was read.

    Raises SupersededError with the newer link otherwise.
    """
    client = aws.dynamodb()
    with aws.unavailable_when_down():
        try:
            client.delete_item(
                TableName=settings().links_table,
                Key={"pk": {"S": link.link_id}, "sk": {"S": LINK_ROW}},
                ConditionExpression="#writeToken = :old AND livemode = :test",
                ExpressionAttributeNames={"#writeToken": "writeToken"},
                ExpressionAttributeValues=_item({":old": link.write_token, ":test": False}),
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except client.exceptions.ConditionalCheckFailedException as error:
            if "Item" in error.response:  # else it is gone, by an answer that was lost or by another
                raise SupersededError(_refusing(error)) from None


def _update(
    link_id: str,
    token: str,
    condition: str,
    values: dict[str, Any],
    changes: dict[str, Any],
    gone: list[str],
) -> Link:
    """One conditional write; raises SupersededError, or NotFoundError if there is no such link."""
    paths = {path: "#" + path.replace(".", ".#") for path in [*changes, *gone]}
    names = {f"#{name}": name for path in paths for name in path.split(".")}
    new = {":" + path.replace(".", "_"): value for path, value in changes.items()}
    expression = "SET " + ", ".join(
        f"{paths[path]} = {value}" for path, value in zip(changes, new, strict=True)
    )
    if gone:
        expression += " REMOVE " + ", ".join(paths[path] for path in gone)
    client = aws.dynamodb()
    with aws.unavailable_when_down():
        try:
            answer = client.update_item(
                TableName=settings().links_table,
                Key={"pk": {"S": link_id}, "sk": {"S": LINK_ROW}},
                UpdateExpression=expression,
                ConditionExpression=condition,
                ExpressionAttributeNames=names,
                ExpressionAttributeValues=_item(new | values),
                ReturnValues="ALL_NEW",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except client.exceptions.ConditionalCheckFailedException as error:
            stored = _refusing(error)
            # A write whose answer was lost is sent again and finds itself.
            if stored.write_token == token:
                return stored
            raise SupersededError(stored) from None
    return _link(answer["Attributes"])


def _refusing(error: Any) -> Link:
    """The link that a conditional write was refused for."""
    if "Item" not in error.response:
        raise NotFoundError
    return _link(error.response["Item"])


def retrying[T](link: Link, step: Callable[[Link], T]) -> T:
    """Do a step that saves the link; do it again with the newer link for as long as others come first."""
    for _ in range(MAX_ROUNDS):
        try:
            return step(link)
        except SupersededError as error:
            link = error.link
    raise UnavailableError


def list_links(
    owner: str,
    *,
    external_user_id: str | None,
    matching: tuple[str, dict[str, Any]] | None,
    after: dict[str, Any] | None,
    limit: int,
) -> tuple[list[Link], dict[str, Any] | None]:
    """At most `limit` links of an owner, or of one of its users, newest first, by one query.

    Returns them and the key to go on after; None when there are no more. `matching` is a condition with
    its values; with one there may be fewer, because a query reads 1 MB. The indexes hold the keys and what
    conditions look at, so that a session's writes need not write them; the links come without their events.
    """
    index, name, value = (
        ("byAccount", "owner", owner)
        if external_user_id is None
        else ("byExternalUser", "ownerUser", f"{owner}#{external_user_id}")
    )
    query: dict[str, Any] = {
        "TableName": settings().links_table,
        "IndexName": index,
        "KeyConditionExpression": "#key = :key",
        "ExpressionAttributeNames": {"#key": name},
        "ExpressionAttributeValues": _item({":key": value}),
        "ScanIndexForward": False,
    }
    if matching is None:
        query["Limit"] = limit
    else:
        condition, values = matching
        query["FilterExpression"] = condition
        query["ExpressionAttributeNames"] |= {f"#{name}": name for name in re.findall(r"#(\w+)", condition)}
        query["ExpressionAttributeValues"] |= _item(values)
    if after is not None:
        query["ExclusiveStartKey"] = _item(after)
    with aws.unavailable_when_down():
        answer = aws.dynamodb().query(**query)
    rows = [_row(item) for item in answer["Items"]]
    link_ids = [row["pk"] for row in rows[:limit]]
    found = get_links(link_ids, events=False) if link_ids else {}
    links = [found[link_id] for link_id in link_ids if link_id in found]
    if len(rows) > limit:
        return links, {part: rows[limit - 1][part] for part in ("pk", "sk", name, "createdAt")}
    return links, _row(answer["LastEvaluatedKey"]) if "LastEvaluatedKey" in answer else None


def key_in_list(link: Link, *, of_user: bool) -> dict[str, Any]:
    """The key to go on after the link in a list of its owner, or of one of its users."""
    listed = {"ownerUser": f"{link.owner}#{link.external_user_id}"} if of_user else {"owner": link.owner}
    return {"pk": link.link_id, "sk": LINK_ROW, "createdAt": link.created_at} | listed


def ended_links(
    owner: str, *, status: str | None, beyond: str | None, oldest_first: bool, limit: int
) -> tuple[list[str], str | None]:
    """The places (`end_order`) of links of an owner that have ended, beyond one, by one query.

    Returns at most `limit` of them, and the place to go on beyond; None when there are no more. With a status
    there may be fewer, because a query reads 1 MB.
    """
    query: dict[str, Any] = {
        "TableName": settings().links_table,
        "IndexName": "byEnd",
        "KeyConditionExpression": "#owner = :owner",
        "ExpressionAttributeNames": {"#owner": "owner"},
        "ScanIndexForward": oldest_first,
    }
    values: dict[str, Any] = {":owner": owner}
    if beyond is not None:
        query["KeyConditionExpression"] += f" AND endOrder {'>' if oldest_first else '<'} :beyond"
        values[":beyond"] = beyond
    if status is None:
        query["Limit"] = limit + 1  # one more tells whether there are more
    else:
        query["FilterExpression"] = "#status = :status"
        query["ExpressionAttributeNames"]["#status"] = "status"
        values[":status"] = status
    with aws.unavailable_when_down():
        answer = aws.dynamodb().query(**query, ExpressionAttributeValues=_item(values))
    places = [_row(item)["endOrder"] for item in answer["Items"]]
    if len(places) > limit:
        return places[:limit], places[limit - 1]
    last = answer.get("LastEvaluatedKey")
    return places, None if last is None else _row(last)["endOrder"]


# What a list reads of a link: an event is a quarter of a megabyte.
_SHOWN = {f"#{name}": name for name in _NAMES[Link].values() if name not in ("event", "deliveries")}


def get_links(link_ids: Sequence[str], *, events: bool = True) -> dict[str, Link]:
    """The links as last written, by their ids; those that are gone are left out."""
    keys: Any = [{"pk": {"S": link_id}, "sk": {"S": LINK_ROW}} for link_id in link_ids]
    found: dict[str, Link] = {}
    table = settings().links_table
    parts: Any = {"ProjectionExpression": ", ".join(_SHOWN), "ExpressionAttributeNames": _SHOWN}
    for _ in range(MAX_ROUNDS):
        request: Any = {"Keys": keys, "ConsistentRead": True} | ({} if events else parts)
        with aws.unavailable_when_down():
            answer = aws.dynamodb().batch_get_item(RequestItems={table: request})
        found |= {link.link_id: link for link in map(_link, answer["Responses"].get(table, []))}
        if table not in answer["UnprocessedKeys"]:
            return found
        keys = answer["UnprocessedKeys"][table]["Keys"]
    raise UnavailableError


def due_links(shard: int, now: int) -> Iterator[list[tuple[str, int]]]:
    """Ids of the links of a shard that need attention, and since when; in pages, the longest due first."""
    query: dict[str, Any] = {
        "TableName": settings().links_table,
        "IndexName": "due",
        "KeyConditionExpression": "dueShard = :shard AND dueAt <= :now",
        "ExpressionAttributeValues": _item({":shard": shard, ":now": now}),
        "Limit": DUE_PAGE,
    }
    return ([(row["pk"], row["dueAt"]) for row in page] for page in _pages(query) if page)


# --- Accounts ------------------------------------------------------------------------------------


def get_account_secrets(account: str) -> Sealed | None:
    """The account's sealed webhook secrets."""
    row = _get(settings().links_table, f"account#{account}", ACCOUNT_ROW)
    return None if row is None else _made_of(Sealed, row)


def put_account_secrets(account: str, sealed: Sealed, instead_of: Sealed | None) -> bool:
    """Write the account's sealed webhook secrets, if they are still those that were read; tells whether."""
    request: dict[str, Any] = {
        "TableName": settings().links_table,
        "Item": _item({"pk": f"account#{account}", "sk": ACCOUNT_ROW} | _members(sealed)),
        "ConditionExpression": "attribute_not_exists(pk)",
    }
    if instead_of is not None:
        request["ConditionExpression"] = "ciphertext = :old"
        request["ExpressionAttributeValues"] = _item({":old": instead_of.ciphertext})
    client = aws.dynamodb()
    with aws.unavailable_when_down():
        try:
            client.put_item(**request)
        except client.exceptions.ConditionalCheckFailedException:
            return False
    return True


def get_default_webhook(account: str) -> str | None:
    """Where the events of the account's links go that were made without a webhookUrl."""
    row = _get(settings().links_table, f"settings#{account}", SETTINGS_ROW)
    return None if row is None else row.get("webhookUrl")


def take_turn(api_key_hash: str, now: int) -> bool:
    """Whether the API key may test a webhook: once a second."""
    client = aws.dynamodb()
    with aws.unavailable_when_down():
        try:
            client.update_item(
                TableName=settings().links_table,
                Key=_item({"pk": f"webhook-test#{api_key_hash}", "sk": TURN_ROW}),
                UpdateExpression="SET takenAt = :now, #ttl = :ttl",
                ConditionExpression="attribute_not_exists(takenAt) OR takenAt <= :before",
                ExpressionAttributeNames={"#ttl": "ttl"},
                ExpressionAttributeValues=_item(
                    {":now": now, ":before": now - 1000, ":ttl": now // 1000 + 86_400}
                ),
            )
        except client.exceptions.ConditionalCheckFailedException:
            return False
    return True


# --- Places: how many deliveries an account and a host have in flight ------------------------------

# One account gets at most five of a host's twenty, so that no account can take them all.
ACCOUNT_PLACES, HOST_PLACES = 5, 20


class Line(NamedTuple):
    """Those of an account's deliveries that go to one host."""

    account: str
    host: str

    @property
    def key(self) -> dict[str, Any]:
        """Of the item that says until when each place is taken: by its number, and by the account's own."""
        return {"pk": f"host#{self.host}", "sk": HOST_ROW}

    def waiting(self, link_id: str = "") -> dict[str, Any]:
        """Of the item of a link that waits for a place."""
        return {"pk": f"host#{self.host}", "sk": f"{self.account}#{link_id}"}


def take_place(line: Line, now: int, until: int) -> tuple[str, str] | None:
    """Take one of the account's places and one of the host's until a time; None if there are none.

    A place that nobody gives back is free again when its time is over.
    """
    client = aws.dynamodb()
    own, hosts = (f"{owner}{random.randrange(count)}" for owner, count in _owners(line))  # noqa: S311 # no secret
    for _ in range(
        HOST_PLACES
    ):  # a later try knows which are free, and fails only if another took one of them
        try:
            with aws.unavailable_when_down():
                client.update_item(
                    TableName=settings().links_table,
                    Key=_item(line.key),
                    UpdateExpression="SET #own = :until, #hosts = :until, #ttl = :ttl",
                    ConditionExpression=(
                        "(attribute_not_exists(#own) OR #own <= :now)"
                        " AND (attribute_not_exists(#hosts) OR #hosts <= :now)"
                    ),
                    ExpressionAttributeNames={"#own": own, "#hosts": hosts, "#ttl": "ttl"},
                    ExpressionAttributeValues=_item(
                        {":until": until, ":now": now, ":ttl": until // 1000 + 86_400}
                    ),
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                )
            return own, hosts
        except client.exceptions.ConditionalCheckFailedException as error:
            old: dict[str, Any] = dict(error.response)  # the stubs do not know of the item in it
            row = _row(old["Item"])
            free = [
                [name for name in (f"{owner}{n}" for n in range(count)) if row.get(name, 0) <= now]
                for owner, count in _owners(line)
            ]
            if not all(free):
                return None
            own, hosts = map(random.choice, free)
    return None


def _owners(line: Line) -> tuple[tuple[str, int], tuple[str, int]]:
    return (f"{line.account}#", ACCOUNT_PLACES), ("place", HOST_PLACES)


def give_place_back(line: Line, place: tuple[str, str], until: int) -> None:
    """Give back a place that was taken until a time, unless it has been taken anew."""
    client = aws.dynamodb()
    own, hosts = place
    with aws.unavailable_when_down(), suppress(client.exceptions.ConditionalCheckFailedException):
        client.update_item(
            TableName=settings().links_table,
            Key=_item(line.key),
            UpdateExpression="REMOVE #own, #hosts",
            ConditionExpression="#own = :until AND #hosts = :until",
            ExpressionAttributeNames={"#own": own, "#hosts": hosts},
            ExpressionAttributeValues=_item({":until": until}),
        )


def stand_in_line(line: Line, link_id: str, until: int) -> None:
    """Let the link wait for a place; it is forgotten some time after `until`."""
    item = line.waiting(link_id) | {"ttl": until // 1000 + 86_400}
    with aws.unavailable_when_down():
        aws.dynamodb().put_item(TableName=settings().links_table, Item=_item(item))


def first_in_line(line: Line) -> str | None:
    """One of the links that wait for a place."""
    first = line.waiting()
    with aws.unavailable_when_down():
        answer = aws.dynamodb().query(
            TableName=settings().links_table,
            KeyConditionExpression="pk = :pk AND begins_with(sk, :sk)",
            ExpressionAttributeValues=_item({f":{name}": value for name, value in first.items()}),
            ConsistentRead=True,
            Limit=1,
        )
    return next((_row(item)["sk"].removeprefix(first["sk"]) for item in answer["Items"]), None)


def leave_line(line: Line, link_id: str) -> None:
    """Let the link wait no more."""
    with aws.unavailable_when_down():
        aws.dynamodb().delete_item(TableName=settings().links_table, Key=_item(line.waiting(link_id)))


# --- What is sealed while a link is open ----------------------------------------------------------


def put_secret(link: Link, row: str, sealed: Sealed) -> None:
    """Write a sealed value of the link, in a row of its own."""
    content = {"pk": link.link_id, "sk": row, "ttl": link.secrets_ttl()} | _members(sealed)
    with aws.unavailable_when_down():
        aws.dynamodb().put_item(TableName=settings().secrets_table, Item=_item(content))


def get_secret(link: Link, row: str) -> Sealed:
    """A sealed value of the link; raises NotFoundError if the row is gone."""
    found = _get(settings().secrets_table, link.link_id, row)
    if found is None:
        raise NotFoundError
    return _made_of(Sealed, found)


def delete_secret(link: Link, row: str) -> None:
    """Delete a sealed value of the link."""
    with aws.unavailable_when_down():
        aws.dynamodb().delete_item(
            TableName=settings().secrets_table, Key={"pk": {"S": link.link_id}, "sk": {"S": row}}
        )


def secret_rows(link: Link) -> Iterator[str]:
    """The rows that hold sealed values of the link."""
    query: dict[str, Any] = {
        "TableName": settings().secrets_table,
        "KeyConditionExpression": "pk = :pk",
        "ExpressionAttributeValues": _item({":pk": link.link_id}),
        "ProjectionExpression": "sk",
        "ConsistentRead": True,
    }
    return (row["sk"] for page in _pages(query) for row in page)


def _pages(query: dict[str, Any]) -> Iterator[list[dict[str, Any]]]:
    while True:
        with aws.unavailable_when_down():
            answer = aws.dynamodb().query(**query)
        yield [_row(item) for item in answer["Items"]]
        if "LastEvaluatedKey" not in answer:
            return
        query = query | {"ExclusiveStartKey": answer["LastEvaluatedKey"]}
