"""What both peers share: the models, checks and writes of create link, by pydantic, jsonschema and boto3."""

import json
import os
import time
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl, urlencode, urlsplit

import boto3
from jsonschema import Draft202012Validator
from pydantic import AnyUrl, BaseModel, ConfigDict, Field, HttpUrl, model_validator
from pydantic.alias_generators import to_camel

dynamodb = boto3.client("dynamodb")

# integration -> resource -> action -> validator of the arguments
CATALOGUE = {
    integration: {
        resource: {action: Draft202012Validator(schema) for action, schema in actions.items()}
        for resource, actions in resources.items()
    }
    for integration, resources in json.loads(Path(__file__).with_name("catalogue.json").read_text()).items()
}


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid", alias_generator=to_camel, populate_by_name=True)


class Operation(Model):
    resource: str
    action: Literal["read", "write"]


class RequestedOperation(Operation):
    arguments: dict[str, Any] = {}


class CreateLink(Model):
    integration_id: str
    operations: Annotated[list[RequestedOperation], Field(min_length=1, max_length=20)]
    webhook_url: Annotated[HttpUrl, Field(max_length=2048)] | None = None
    return_url: Annotated[AnyUrl, Field(max_length=2048)] | None = None
    external_user_id: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    debug: bool = False
    expires_in: Annotated[int, Field(gt=0, le=7_776_000)] = 14_400
    metadata: dict[str, str] = {}

    @model_validator(mode="after")
    def offered_by_the_integration(self) -> "CreateLink":
        resources = CATALOGUE.get(self.integration_id)
        if resources is None:
            raise ValueError("unknown integration")
        for index, operation in enumerate(self.operations):
            validator = resources.get(operation.resource, {}).get(operation.action)
            if validator is None:
                raise ValueError(f"operations.{index}: not offered by {self.integration_id}")
            for error in validator.iter_errors(operation.arguments):
                raise ValueError(
                    f"operations.{index}.arguments: fails {error.validator} at {error.json_path}"
                )
        return self


class CreatedLink(Model):
    link_id: str
    claim_code: str
    integration_id: str
    operations: list[Operation]
    status: Literal["pending"] = "pending"
    app_clip_url: str
    return_url: str | None = None
    expires_at: int
    created_at: int


def create(request: CreateLink) -> CreatedLink:
    link_id, claim_code = f"link_{os.urandom(16).hex()}", f"clm_{os.urandom(16).hex()}"
    now = int(time.time() * 1000)
    return_url = None
    if request.return_url:
        parts = urlsplit(str(request.return_url))
        query = [pair for pair in parse_qsl(parts.query, keep_blank_values=True) if pair[0] != "linkId"]
        return_url = parts._replace(query=urlencode([*query, ("linkId", link_id)])).geturl()
    created = CreatedLink(
        link_id=link_id,
        claim_code=claim_code,
        integration_id=request.integration_id,
        operations=[Operation(resource=o.resource, action=o.action) for o in request.operations],
        app_clip_url=f"https://appclip.example.com/{link_id}?code={claim_code}",
        return_url=return_url,
        expires_at=now + request.expires_in * 1000,
        created_at=now,
    )
    arguments = {str(index): o.arguments for index, o in enumerate(request.operations) if o.arguments}
    if arguments:
        item = {"pk": {"S": link_id}, "arguments": {"S": json.dumps(arguments)}}
        dynamodb.put_item(TableName="Secrets", Item=item)
    dynamodb.put_item(
        TableName="Links",
        Item={
            "pk": {"S": link_id},
            "link": {"S": created.model_dump_json(exclude={"claim_code", "app_clip_url"})},
            "request": {"S": request.model_dump_json(exclude={"operations"})},
            "expiresAt": {"N": str(created.expires_at)},
        },
        ConditionExpression="attribute_not_exists(pk)",
    )
    return created
