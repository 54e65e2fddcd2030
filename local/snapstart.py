"""Lets the built template's functions behind routes start from snapshots: `make deploy SNAPSTART=yes`.

Snapshots are taken of published versions, so those functions get an alias. This is not a parameter of
template.yaml because SAM takes no condition for an alias, and one that is always there would hold changes
back: SAM publishes a version when a function's properties change as text, which a parameter's new value
does not do. Here each deployment says when it was made, and so publishes a version of each function.

Run by the interpreter that SAM CLI is installed in, whose YAML reader and writer these are.
"""

import sys
import time
from pathlib import Path
from typing import Any

# mypy: disable-error-code="import-not-found"
from samcli.yamlhelper import yaml_dump, yaml_parse


def start_from_snapshots(template: Any, deployed_at: str) -> None:
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            properties = resource["Properties"]
            # Nobody waits for the others.
            if any(event["Type"] == "HttpApi" for event in properties.get("Events", {}).values()):
                properties["Description"] += f" (deployed {deployed_at})"
                properties["AutoPublishAlias"] = "live"
                properties["AutoPublishAliasAllProperties"] = True
                properties["SnapStart"] = {"ApplyOn": "PublishedVersions"}
        elif resource["Type"] == "AWS::Serverless::LayerVersion":
            resource["Properties"]["PublishLambdaVersion"] = True


def main() -> None:
    path = Path(sys.argv[1])
    template = yaml_parse(path.read_text())
    start_from_snapshots(template, time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
    path.write_text(yaml_dump(template))


if __name__ == "__main__":
    main()
