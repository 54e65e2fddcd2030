"""No role holds a permission that can be missed: without any one of them something is seen to fail."""

from collections.abc import Callable

import pytest

from tests.e2e.api import Api, founding
from tests.e2e.deployed import Deployed
from tests.template import resources


def creates_link(_: Deployed, api: Api) -> bool:
    return api.create().status == 201


def creates_link_once_and_seals_once(deployed: Deployed, api: Api) -> bool:
    first, again = api.create(idempotency_key="k"), api.create(idempotency_key="k")
    return first.text == again.text and len(deployed.secrets(first.json["linkId"])) == 1


def reads_link(deployed: Deployed, api: Api) -> bool:
    link_id = deployed.api.create(founding()).json["linkId"]
    return api.get(f"/v1/links/{link_id}").status in (200, 404)


def reads_catalogue(_: Deployed, api: Api) -> bool:
    return api.get("/v1/providers").status == 200


def shows_page(_: Deployed, api: Api) -> bool:
    return api.get(api.create().json["appClipUrl"].removeprefix(api.url)).status == 200


NEEDED: dict[tuple[str, str, str], Callable[[Deployed, Api], bool]] = {
    ("CreateLink", "ReadApiKey", "dynamodb:GetItem"): creates_link,
    ("CreateLink", "PutLink", "dynamodb:PutItem"): creates_link,
    ("CreateLink", "PutSealedArguments", "dynamodb:PutItem"): creates_link,
    ("CreateLink", "TakeBackSealedArguments", "dynamodb:DeleteItem"): creates_link_once_and_seals_once,
    ("CreateLink", "Seal", "kms:GenerateDataKey"): creates_link,
    ("GetLink", "ReadApiKeyAndLink", "dynamodb:GetItem"): reads_link,
    ("GetProviders", "ReadApiKey", "dynamodb:GetItem"): reads_catalogue,
    ("LinkPage", "ReadLink", "dynamodb:GetItem"): shows_page,
}
# The emulator writes logs and traces itself, so these two are held by the template's tests alone.
NOT_ENFORCED_LOCALLY = ("WriteLogs", "Trace")


def test_every_permission_of_every_role_is_on_trial() -> None:
    granted = {
        (role.removesuffix("Role"), statement["Sid"], action)
        for role, properties in resources("AWS::IAM::Role").items()
        for policy in properties["Policies"]
        for statement in policy["PolicyDocument"]["Statement"]
        if statement["Sid"] not in NOT_ENFORCED_LOCALLY
        for action in ([statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"])
    }
    assert granted == NEEDED.keys()


@pytest.mark.parametrize(("stem", "statement", "action"), NEEDED, ids="-".join)
def test_without_the_permission_its_work_fails_and_with_it_it_is_done(
    deployed: Deployed, stem: str, statement: str, action: str
) -> None:
    works = NEEDED[stem, statement, action]
    deployed.restart(f"{stem}Function")
    with deployed.without(f"{stem}Role", statement, action):
        assert not works(deployed, deployed.new_caller("privilege"))
    assert works(deployed, deployed.new_caller("privilege"))
