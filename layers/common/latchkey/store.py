"""DynamoDB: the only module that reads or writes the tables."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from latchkey import aws
from latchkey.links import Link, Operation
from latchkey.sealing import Sealed
from latchkey.settings import settings

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef, UniversalAttributeValueTypeDef

LINK_ROW = "link"
API_KEY_ROW = "key"


@dataclass(frozen=True, slots=True)
class ApiKeyRow:
    """What is stored of an API key: never the key."""

    account: str
    livemode: bool
    revoked: bool


def _marshal(value: Any) -> "UniversalAttributeValueTypeDef":
    match value:
        case bool():  # before int, which it is too
            return {"BOOL": value}
        case str():
            return {"S": value}
        case int():
            return {"N": str(value)}
        case bytes():
            return {"B": value}
        case dict():
            return {"M": {name: _marshal(member) for name, member in value.items()}}
        case list():
            return {"L": [_marshal(member) for member in value]}
    raise TypeError(f"cannot store a {type(value).__name__}")


def _unmarshal(value: "AttributeValueTypeDef") -> Any:
    ((kind, content),) = value.items()
    match kind:
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


def _link_row(link: Link) -> dict[str, Any]:
    due_shard, due_at = link.due()
    return {
        "pk": link.link_id,
        "sk": LINK_ROW,
        "owner": link.owner,
        "createdAt": link.created_at,
        "livemode": link.livemode,
        "integrationId": link.integration_id,
        "operations": [{"resource": o.resource, "action": o.action} for o in link.operations],
        "status": link.status,
        "baseUrl": link.base_url,
        "updatedAt": link.updated_at,
        "expiresAt": link.expires_at,
        "writeToken": link.write_token,
        "sealedArguments": link.sealed_arguments,
        "debug": link.debug,
        "webhookUrl": link.webhook_url,
        "returnUrl": link.return_url,
        "externalUserId": link.external_user_id,
        "metadata": link.metadata,
        "fingerprint": link.fingerprint,
        "dueShard": due_shard,
        "dueAt": due_at,
        "ttl": link.ttl(settings().retention_days),
    }


def _link(item: "Mapping[str, AttributeValueTypeDef]") -> Link:
    row = _row(item)
    return Link(
        link_id=row["pk"],
        owner=row["owner"],
        livemode=row["livemode"],
        integration_id=row["integrationId"],
        operations=tuple(Operation(**operation) for operation in row["operations"]),
        status=row["status"],
        base_url=row["baseUrl"],
        created_at=row["createdAt"],
        updated_at=row["updatedAt"],
        expires_at=row["expiresAt"],
        write_token=row["writeToken"],
        sealed_arguments=row["sealedArguments"],
        debug=row["debug"],
        webhook_url=row.get("webhookUrl"),
        return_url=row.get("returnUrl"),
        external_user_id=row.get("externalUserId"),
        metadata=row.get("metadata"),
        fingerprint=row.get("fingerprint"),
    )


def get_api_key(key_hash: str) -> ApiKeyRow | None:
    """The key whose SHA-256 this is. Read consistently, so that a new key works at once."""
    with aws.unavailable_when_down():
        answer = aws.dynamodb().get_item(
            TableName=settings().links_table,
            Key={"pk": {"S": f"key#{key_hash}"}, "sk": {"S": API_KEY_ROW}},
            ConsistentRead=True,
        )
    if "Item" not in answer:
        return None
    row = _row(answer["Item"])
    return ApiKeyRow(row["account"], row["livemode"], "revokedAt" in row)


def get_link(link_id: str) -> Link | None:
    """The link as last written."""
    with aws.unavailable_when_down():
        answer = aws.dynamodb().get_item(
            TableName=settings().links_table,
            Key={"pk": {"S": link_id}, "sk": {"S": LINK_ROW}},
            ConsistentRead=True,
        )
    return _link(answer["Item"]) if "Item" in answer else None


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
            old: dict[str, Any] = dict(error.response)  # the stubs do not know of the item in it
            return _link(old["Item"])
    return link


def put_arguments(link: Link, sealed: Sealed) -> None:
    """Write a link's sealed arguments, in a row of this request's own."""
    row = {
        "pk": link.link_id,
        "sk": link.arguments_row,
        "ciphertext": sealed.ciphertext,
        "wrappedKey": sealed.wrapped_key,
        "ttl": link.secrets_ttl(),
    }
    with aws.unavailable_when_down():
        aws.dynamodb().put_item(TableName=settings().secrets_table, Item=_item(row))


def delete_arguments(link: Link) -> None:
    """Delete the arguments that this request wrote."""
    with aws.unavailable_when_down():
        aws.dynamodb().delete_item(
            TableName=settings().secrets_table,
            Key={"pk": {"S": link.link_id}, "sk": {"S": link.arguments_row}},
        )
