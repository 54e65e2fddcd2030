"""What the AWS emulator's CloudFormation leaves undone, done by API calls after each deployment."""

import json
import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any

# Makes a client of a service.
Client = Callable[[str], Any]


def close(client: Client, stack_name: str, physical: dict[str, str]) -> None:
    """Turn on expiry and queues, make the routes, and put the API at the root of http://127.0.0.1:PORT."""
    got = client("cloudformation").get_template(StackName=stack_name, TemplateStage="Processed")
    body = got["TemplateBody"]
    template = json.loads(body) if isinstance(body, str) else body
    for name, resource in template["Resources"].items():
        properties = resource.get("Properties", {})
        if "TimeToLiveSpecification" in properties:
            client("dynamodb").update_time_to_live(
                TableName=physical[name], TimeToLiveSpecification=properties["TimeToLiveSpecification"]
            )
        elif resource["Type"] == "AWS::Lambda::EventSourceMapping":
            # It takes a parameter's number for text, and then polls nothing.
            mapping = client("lambda").get_event_source_mapping(UUID=physical[name])
            most = int(mapping["ScalingConfig"]["MaximumConcurrency"])
            client("lambda").update_event_source_mapping(
                UUID=physical[name], ScalingConfig={"MaximumConcurrency": most}
            )
        elif resource["Type"] == "AWS::ApiGatewayV2::Api":
            create_routes(client("apigatewayv2"), physical[name], properties["Body"]["paths"], physical)
            name_domain(client("apigatewayv2"), physical[name])


def create_routes(gateway: Any, api: str, paths: dict[str, Any], physical: dict[str, str]) -> None:
    """Make the API's routes those of its OpenAPI paths."""
    wanted = {
        f"{method.upper()} {path}": operation["x-amazon-apigateway-integration"]["uri"]["Fn::Sub"]
        for path, operations in paths.items()
        for method, operation in operations.items()
    }
    there = {route["RouteKey"]: route["RouteId"] for route in gateway.get_routes(ApiId=api)["Items"]}
    for route_key in there.keys() - wanted.keys():
        gateway.delete_route(ApiId=api, RouteId=there[route_key])
    for route_key in wanted.keys() - there.keys():
        (alias,) = re.findall(r"functions/\$\{(\w+)\}", wanted[route_key])
        integration = gateway.create_integration(
            ApiId=api,
            IntegrationType="AWS_PROXY",
            IntegrationUri=physical[alias],
            PayloadFormatVersion="2.0",
        )
        target = f"integrations/{integration['IntegrationId']}"
        gateway.create_route(ApiId=api, RouteKey=route_key, Target=target)


def name_domain(gateway: Any, api: str) -> None:
    """Give the API a domain of its own, named as every client of the local stack calls it."""
    with suppress(gateway.exceptions.ConflictException):
        gateway.create_domain_name(DomainName="127.0.0.1")
    if not gateway.get_api_mappings(DomainName="127.0.0.1")["Items"]:
        gateway.create_api_mapping(DomainName="127.0.0.1", ApiId=api, Stage="$default")
