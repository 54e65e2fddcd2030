"""What IAM says to a call, by the policies of the functions' roles as SAM makes them of the template.

Of IAM's rules those that the policies use; a policy that uses another one is refused, not misread.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
"""

import functools
import re
from dataclasses import dataclass
from typing import Any

from tests.template import processed, resources

REGION, ACCOUNT, OTHER_ACCOUNT = "eu-central-1", "123456789012", "210987654321"
_PSEUDO = {
    "AWS::AccountId": ACCOUNT,
    "AWS::Partition": "aws",
    "AWS::Region": REGION,
    "AWS::StackName": "latchkey",
}
_ARNS = {
    "AWS::DynamoDB::Table": "dynamodb:{}:{}:table/{}",
    "AWS::KMS::Key": "kms:{}:{}:key/{}",
    "AWS::Lambda::Function": "lambda:{}:{}:function:{}",
    "AWS::Logs::LogGroup": "logs:{}:{}:log-group:{}:*",
    "AWS::SQS::Queue": "sqs:{}:{}:{}",
}
# SAM gives them to the roles that it makes. They are about logs, traces and the receiving of messages.
_HARMLESS = re.compile(r"AWSLambdaBasicExecutionRole|AWSXrayWriteOnlyAccess|AWSLambdaSQSQueueExecutionRole")


@dataclass(frozen=True)
class Call:
    """What a policy is asked; the context is what conditions may look at, beside the resource's account."""

    action: str
    resource: str
    context: tuple[tuple[str, str], ...] = ()

    def values(self, key: str) -> list[str]:
        """What the context holds under a key."""
        context = *self.context, ("aws:ResourceAccount", self.resource.split(":")[4])
        return [value for name, value in context if name == key]


def function_arn(name: str, account: str = ACCOUNT) -> str:
    return f"arn:aws:lambda:{REGION}:{account}:function:{name}"


def arn(logical_id: str) -> str:
    """Of a resource whose name is its logical id unless the template names it."""
    resource = processed()["Resources"][logical_id]
    name = value(resource["Properties"].get("FunctionName", logical_id))
    return "arn:aws:" + _ARNS[resource["Type"]].format(REGION, ACCOUNT, name)


def value(content: Any) -> Any:
    """A part of the template with its references resolved, on AWS and by the parameters' defaults."""
    match content:
        case {"Ref": name} if processed()["Resources"].get(name, {}).get("Type") == "AWS::Lambda::Alias":
            alias = processed()["Resources"][name]["Properties"]
            return f"{arn(alias['FunctionName']['Ref'])}:{alias['Name']}"
        case {"Ref": name}:
            parameter = processed()["Parameters"].get(name)
            return _PSEUDO.get(name) or (parameter["Default"] if parameter else name)
        case {"Fn::GetAtt": [name, "Arn"]}:
            return arn(name)
        case {"Fn::Sub": str(text)}:
            return re.sub(r"\$\{([^}]+)\}", lambda found: _named(found[1]), text)
        case {"Fn::If": ["OnAws", yes, _]}:
            return value(yes)
        case dict():
            return {name: value(member) for name, member in content.items()}
        case list():
            return [value(member) for member in content]
    return content


def _named(name: str) -> str:
    return str(value({"Fn::GetAtt": name.split(".")} if "." in name else {"Ref": name}))


@functools.cache
def policy(folder: str) -> list[dict[str, Any]]:
    """The statements of the role of the function with that folder."""
    (logical_id,) = (
        name
        for name, properties in resources("AWS::Serverless::Function").items()
        if properties["CodeUri"] == f"functions/{folder}"
    )
    every = processed()["Resources"]
    role_id, _ = every[logical_id]["Properties"]["Role"]["Fn::GetAtt"]
    role = every[role_id]["Properties"]
    for managed in value(role.get("ManagedPolicyArns", [])):
        assert _HARMLESS.search(str(managed)), managed
    return [
        value(statement)
        for each in role.get("Policies", [])
        for statement in each["PolicyDocument"]["Statement"]
    ]


def is_allowed(folder: str, call: Call) -> bool:
    """Whether the function's role may make the call: some statement allows it and none denies it."""
    effects = {statement["Effect"] for statement in policy(folder) if _applies(statement, call)}
    return effects == {"Allow"}


def _applies(statement: dict[str, Any], call: Call) -> bool:
    known = {"Sid", "Effect", "Action", "Resource", "Condition"}
    assert statement.keys() <= known, statement
    return (
        any(_like(call.action.lower(), pattern.lower()) for pattern in _list(statement["Action"]))
        and any(_like(call.resource, pattern) for pattern in _list(statement["Resource"]))
        and all(
            _holds(operator, _list(wanted), call.values(key))
            for operator, keys in statement.get("Condition", {}).items()
            for key, wanted in keys.items()
        )
    )


def _holds(operator: str, wanted: list[str], found: list[str]) -> bool:
    match operator:
        case "Null":
            return (not found) == (wanted == ["true"])
        case "StringNotEquals":  # true of what is not there, too
            return not any(each in wanted for each in found)
        case "ForAllValues:StringEquals":  # true of nothing, too: hence Null beside it
            return all(each in wanted for each in found)
        case "ForAllValues:StringLike":
            return all(any(_like(each, pattern) for pattern in wanted) for each in found)
        case "StringEquals":
            return any(each in wanted for each in found)
        case "StringLike" | "ArnLike":
            return any(_like(each, pattern) for pattern in wanted for each in found)
    raise ValueError(operator)


def _like(text: str, pattern: str) -> bool:
    """IAM's wild cards, which are not a shell's: brackets stand for themselves."""
    expression = "".join({"*": ".*", "?": "."}.get(char, re.escape(char)) for char in pattern)
    return re.fullmatch(expression, text, re.DOTALL) is not None


def _list(content: Any) -> list[str]:
    return content if isinstance(content, list) else [content]
