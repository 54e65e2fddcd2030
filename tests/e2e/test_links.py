"""Create Link, Get Link and List Providers over HTTP, deployed, with IAM enforced."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from schemas import answers
from tests.e2e.api import Answer, Api, founding
from tests.e2e.deployed import Deployed, encodings, plain_hashes
from tests.judge import hold


def test_the_founding_example_gets_its_201(api: Api) -> None:
    answer = api.create()
    assert answer.status == 201
    link = answer.json
    hold(answers.CreatedLink, answer.text)
    assert list(link) == [
        "linkId",
        "claimCode",
        "integrationId",
        "operations",
        "status",
        "appClipUrl",
        "returnUrl",
        "expiresAt",
        "createdAt",
    ]
    assert link["appClipUrl"] == f"{api.url}/{link['linkId']}?code={link['claimCode']}"
    assert link["expiresAt"] - link["createdAt"] == 14_400_000
    assert answer.headers["X-Request-Id"]
    assert answer.headers["Cache-Control"] == "no-store"


def test_a_link_reads_back_for_its_owner_alone(api: Api, deployed: Deployed) -> None:
    link = api.create().json
    answer = api.get(f"/v1/links/{link['linkId']}")
    assert answer.status == 200
    hold(answers.Link, answer.text)
    assert (answer.json["status"], answer.json["returnUrl"]) == ("pending", link["returnUrl"])
    for other in (deployed.other, deployed.live):
        refused = other.get(f"/v1/links/{link['linkId']}")
        assert (refused.status, refused.json["code"]) == (404, "not_found")


def test_the_catalogue_is_served_and_revalidated(api: Api) -> None:
    answer = api.get("/v1/providers")
    hold(answers.ProviderList, answer.text)
    assert answer.status == 200
    assert api.get("/openapi.json").json["openapi"] == "3.1.0"
    again = api.get("/v1/providers", **{"If-None-Match": answer.headers["ETag"]})
    assert (again.status, again.text) == (304, "")
    one = api.get("/v1/providers/ubereats")
    assert one.json in answer.json["providers"]
    assert api.get("/v1/providers/nobody").status == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/links"),
        ("GET", "/v1/links/link_x"),
        ("GET", "/v1/providers"),
        ("GET", "/v1/providers/att"),
    ],
)
def test_no_route_answers_without_a_valid_key(deployed: Deployed, method: str, path: str) -> None:
    answer = Api(deployed.url, "lk_test_x").request(method, path, founding() if method == "POST" else None)
    assert (answer.status, answer.json["code"]) == (401, "unauthorized")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_a_live_key_needs_a_live_connector(deployed: Deployed) -> None:
    answer = deployed.live.create()
    assert answer.status == 400
    assert [issue["path"] for issue in answer.json["issues"]] == ["integrationId"]


def test_a_bad_request_is_told_everything_at_once(api: Api) -> None:
    answer = api.create(founding(expiresIn=0, webhookUrl="x", operations=[]))
    assert answer.status == 400
    hold(answers.ApiError, answer.text)
    assert {issue["path"] for issue in answer.json["issues"]} == {"expiresIn", "webhookUrl", "operations"}
    assert api.create(b"{").status == 400
    assert api.create(b" " * 262_145).status == 413
    assert api.request("POST", "/v1/links", b"{}", {"Content-Type": "text/plain"}).status == 415


def test_a_hundred_parallel_requests_with_one_idempotency_key_make_one_link(
    api: Api, deployed: Deployed
) -> None:
    links_before = deployed.count_links()
    told_to_retry = []

    def create(_: int) -> Answer:
        answer = api.create(idempotency_key="race")
        for _ in range(5):
            if answer.status != 503:
                break
            told_to_retry.append(answer)  # the machine is too busy for a hundred at once
            answer = api.create(idempotency_key="race")
        return answer

    with ThreadPoolExecutor(100) as pool:
        answers = list(pool.map(create, range(100)))
    assert {answer.status for answer in answers} == {201}
    assert len({answer.text for answer in answers}) == 1
    # The one that made the link may be one whose first answer did not come in time.
    made = sum(answer.headers["Idempotent-Replayed"] is None for answer in answers)
    assert made == 1 or (made == 0 and told_to_retry)
    assert deployed.count_links() == links_before + 1
    link = answers[0].json
    # The hundred sealed their arguments each; all but the winner's are taken back.
    assert len(deployed.secrets(link["linkId"])) == 1

    other = api.create(founding(externalUserId="somebody else"), idempotency_key="race")
    assert (other.status, other.json["code"]) == (422, "idempotency_key_reused")

    stored = deployed.stored()
    for digest in plain_hashes(founding()):
        assert digest not in stored
    assert link["claimCode"] not in stored


def test_no_card_code_or_key_is_printed_or_stored_in_the_clear(deployed: Deployed) -> None:
    card, name = "4539148803436467", "Canary Quisling"
    body = founding()
    body["operations"][1]["arguments"] |= {"cardNumber": card, "nameOnCard": name}
    api = deployed.new_caller("canary")
    link = api.create(body, idempotency_key="canary").json
    body["operations"][1]["arguments"]["cardNumber"] = f"{card}0"
    refused = api.create(body)
    assert (link["status"], refused.status) == ("pending", 400)
    printed, stored = deployed.printed(), deployed.stored()
    assert link["linkId"] in printed
    assert link["linkId"] in stored
    for secret in (card, name, link["claimCode"], api.key):
        for text in encodings(secret):
            assert text not in printed
            assert text not in stored
            assert text not in refused.text


def test_no_card_code_or_key_is_in_a_trace(deployed: Deployed) -> None:
    card, name = "4539148803436467", "Canary Quisling"
    body = founding()
    body["operations"][1]["arguments"] |= {"cardNumber": card, "nameOnCard": name}
    api = deployed.new_caller("canary")
    with deployed.segments("CreateLinkFunction") as segments:
        link = api.create(body, idempotency_key="traced").json
        assert api.create(body, idempotency_key="traced").headers["Idempotent-Replayed"] == "true"
        assert api.create(founding(), idempotency_key="traced").status == 422
        body["operations"][1]["arguments"]["cardNumber"] = f"{card}0"
        assert api.create(body).status == 400
    traced = "\n".join(segments)
    assert all(call in traced for call in ("GetItem", "PutItem", "DeleteItem", "GenerateDataKey"))
    for secret in (card, name, link["claimCode"], api.key):
        for text in encodings(secret):
            assert text not in traced
