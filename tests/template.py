"""template.yaml as data, so that the tests' tables and settings are the deployed ones."""

import functools
import json
import subprocess
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent


class _Loader(yaml.SafeLoader):
    pass


def _intrinsic(loader: _Loader, tag: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        return {tag: loader.construct_scalar(node)}
    if isinstance(node, yaml.SequenceNode):
        return {tag: loader.construct_sequence(node, deep=True)}
    assert isinstance(node, yaml.MappingNode)
    return {tag: loader.construct_mapping(node, deep=True)}


_Loader.add_multi_constructor("!", _intrinsic)


def load(path: Path) -> dict[str, Any]:
    """A template; `!Ref X` reads as {"Ref": "X"}, `!Sub` as {"Sub": ...} and so on."""
    content: dict[str, Any] = yaml.load(path.read_text(), _Loader)  # noqa: S506 # a SafeLoader
    return content


@functools.cache
def template() -> dict[str, Any]:
    """template.yaml."""
    return load(ROOT / "template.yaml")


# By SAM's own interpreter; it asks for nothing but the region.
_TRANSFORM = """
import json, sys
from boto3 import Session
from samcli.lib.translate.sam_template_validator import SamTemplateValidator
from samcli.yamlhelper import yaml_parse
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

built = SamTemplateValidator(yaml_parse(sys.stdin.read()), None)
built._replace_local_codeuri()
session = Session(region_name="eu-central-1")
print(json.dumps(Translator({}, Parser(), boto_session=session).translate(built.sam_template, {})))
"""


@functools.cache
def processed() -> dict[str, Any]:
    """template.yaml as SAM's transform hands it to CloudFormation, with what it adds."""
    command = [str(ROOT / ".local/sam/bin/python"), "-c", _TRANSFORM]
    text = (ROOT / "template.yaml").read_text()
    made = subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout
    content: dict[str, Any] = json.loads(made)
    return content


def resources(kind: str) -> dict[str, dict[str, Any]]:
    """The properties of each resource of a type, by logical id."""
    found = template()["Resources"].items()
    return {name: resource.get("Properties", {}) for name, resource in found if resource["Type"] == kind}


def statements(function: str) -> list[dict[str, Any]]:
    """What a function's role allows beside logs, traces and its queue; as on AWS, where that differs."""
    found = resources("AWS::Serverless::Function")[function].get("Policies", {}).get("Statement", [])
    return [statement["If"][1] if "If" in statement else statement for statement in found]


def actions(statement: dict[str, Any]) -> list[str]:
    action = statement["Action"]
    return [action] if isinstance(action, str) else action


def table_definition(logical_id: str) -> dict[str, Any]:
    """The arguments for CreateTable of a table; its name is its logical id."""
    properties = resources("AWS::DynamoDB::Table")[logical_id]
    wanted = ("AttributeDefinitions", "KeySchema", "BillingMode", "GlobalSecondaryIndexes")
    return {"TableName": logical_id} | {name: properties[name] for name in wanted if name in properties}


def routes() -> dict[str, str]:
    """Each route key and the logical id of its function."""
    return {
        f"{event['Properties']['Method']} {event['Properties']['Path']}": name
        for name, properties in resources("AWS::Serverless::Function").items()
        for event in properties.get("Events", {}).values()
        if event["Type"] == "HttpApi"
    }


def environment() -> dict[str, str]:
    """The functions' environment under the template's defaults; resources stand as their logical ids."""

    def value(content: Any) -> str:
        if not isinstance(content, dict):
            return str(content)
        ((tag, argument),) = content.items()
        match tag:
            case "Ref":
                parameter = template()["Parameters"].get(argument)
                return str(parameter["Default"]) if parameter else argument
            case "GetAtt":
                return str(argument)
            case "Join":
                return value(argument[1])  # a CommaDelimitedList's default is its text
            case "If":
                return value(argument[2])  # each condition here is false by default, or off AWS
        raise ValueError(tag)

    variables = dict(template()["Globals"]["Function"]["Environment"]["Variables"])
    for function in resources("AWS::Serverless::Function").values():
        variables |= function.get("Environment", {}).get("Variables", {})
    return {name: value(content) for name, content in variables.items()}
