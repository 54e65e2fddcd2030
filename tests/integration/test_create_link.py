"""POST /v1/links through its handler: the answer, idempotency, what is stored, what fails."""

import json
import re
from typing import Any

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    ReadTimeoutError,
)
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from latchkey.adapters import aws, sealing
from latchkey.domain import ids
from tests.integration.conftest import SAMPLE_KEY, Output, Stack, founding

CREATED_FIELDS = [
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


def test_the_founding_example_is_answered_with_exactly_its_fields(stack: Stack) -> None:
    answer = stack.create(founding())
    assert answer.status == 201
    link = answer.json
    assert list(link) == CREATED_FIELDS
    assert re.fullmatch(r"link_[0-9A-Za-z]{22}", link["linkId"])
    assert re.fullmatch(r"clm_[0-9A-Za-z]{22}", link["claimCode"])
    assert link | {"linkId": "", "claimCode": "", "appClipUrl": "", "returnUrl": ""} == {
        "linkId": "",
        "claimCode": "",
        "integrationId": "tmobile",
        "operations": [
            {"resource": "paymentMethod", "action": "read"},
            {"resource": "paymentMethod", "action": "write"},
        ],
        "status": "pending",
        "appClipUrl": "",
        "returnUrl": "",
        "createdAt": stack.now,
        "expiresAt": stack.now + 14_400_000,
    }
    assert link["appClipUrl"] == f"https://api.example.com/{link['linkId']}?code={link['claimCode']}"
    assert link["returnUrl"] == f"https://your-app.com/done?linkId={link['linkId']}"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Content-Type"] == "application/json"
    assert "Idempotent-Replayed" not in answer.headers


def test_return_url_is_in_the_answer_only_when_one_was_given(stack: Stack) -> None:
    assert list(stack.create(founding(returnUrl=None)).json) == [
        f for f in CREATED_FIELDS if f != "returnUrl"
    ]


def test_app_clip_url_starts_with_the_deployers_base_url(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LINK_BASE_URL", "https://appclip.example.com")
    stack.forget_settings()
    link = stack.create(founding()).json
    assert link["appClipUrl"] == f"https://appclip.example.com/{link['linkId']}?code={link['claimCode']}"


def test_expires_in_sets_the_expiry(stack: Stack) -> None:
    assert stack.create(founding(expiresIn=60)).json["expiresAt"] == stack.now + 60_000
    assert stack.create(founding(expiresIn=None)).json["expiresAt"] == stack.now + 14_400_000
    assert stack.create(founding(expiresIn=7_776_000)).json["expiresAt"] == stack.now + 7_776_000_000


def test_each_request_makes_a_link_of_its_own(stack: Stack) -> None:
    first, second = stack.create(founding()).json, stack.create(founding()).json
    assert first["linkId"] != second["linkId"]
    assert first["claimCode"] != second["claimCode"]
    assert len(stack.links()) == 2


def test_the_stored_link_is_due_at_expiry_and_deleted_a_retention_later(stack: Stack) -> None:
    stack.create(founding())
    (row,) = stack.links()
    assert row["dueAt"] == row["expiresAt"] == stack.now + 14_400_000
    assert 0 <= row["dueShard"] < 16
    assert row["ttl"] == (stack.now + 14_400_000) // 1000 + 30 * 86_400
    assert row["owner"] == "acme#test"


def test_metadata_and_external_user_come_back_on_get(stack: Stack) -> None:
    link = stack.create(founding(metadata={"order": "77"}, externalUserId="u" * 256)).json
    view = stack.get(link["linkId"]).json
    assert view["metadata"] == {"order": "77"}
    assert view["externalUserId"] == "u" * 256


# --- Idempotency ---------------------------------------------------------------------------------

IDEM = {"idempotency-key": "order-77"}


def test_a_repeated_request_gets_the_same_answer_byte_for_byte(stack: Stack) -> None:
    first = stack.create(founding(), headers=IDEM)
    stack.now += 60_000
    reordered = dict(reversed(founding().items()))
    again = stack.create(json.dumps(reordered, indent=2), headers=IDEM)
    assert (again.status, again.text) == (201, first.text)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.headers
    assert len(stack.links()) == 1
    assert len(stack.rows("SecretsTable")) == 1


def test_a_replay_is_the_same_after_the_base_url_has_moved(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = stack.create(founding(), headers=IDEM)
    monkeypatch.setattr("latchkey.http.Request.host", "elsewhere.example.com")
    assert stack.create(founding(), headers=IDEM).text == first.text


def test_the_key_with_another_body_is_refused_and_changes_nothing(stack: Stack) -> None:
    stack.create(founding(), headers=IDEM)
    before = (stack.rows("LinksTable"), stack.rows("SecretsTable"))
    other = founding()
    other["operations"][1]["arguments"]["cvv"] = "999"
    answer = stack.create(other, headers=IDEM)
    assert (answer.status, answer.json["code"]) == (422, "idempotency_key_reused")
    assert (stack.rows("LinksTable"), stack.rows("SecretsTable")) == before


def test_an_idempotency_key_is_scoped_to_its_api_key(stack: Stack) -> None:
    first = stack.create(founding(), headers=IDEM).json
    other = stack.create(founding(), headers=IDEM, key=stack.new_key("acme")).json
    assert first["linkId"] != other["linkId"]


def test_a_refused_request_does_not_use_the_key_up(stack: Stack) -> None:
    assert stack.create(founding(expiresIn=0), headers=IDEM).status == 400
    assert stack.create(founding(), headers=IDEM).status == 201


@pytest.mark.parametrize("value", ["", "k" * 256, "schlüssel", "tab\there", "nul\0"])
def test_a_malformed_idempotency_key_is_an_issue_beside_the_bodys(stack: Stack, value: str) -> None:
    answer = stack.create(founding(expiresIn=0), headers={"idempotency-key": value})
    assert answer.status == 400
    assert set(answer.issues) == {"Idempotency-Key", "expiresIn"}


@pytest.mark.parametrize("value", ["!", "k" * 255, "with space ~"])
def test_an_idempotency_key_may_be_any_printable_ascii(stack: Stack, value: str) -> None:
    assert stack.create(founding(), headers={"idempotency-key": value}).status == 201


def test_the_store_holds_neither_claim_code_nor_a_plain_hash_of_the_body(stack: Stack) -> None:
    body = founding()
    code = stack.create(body, headers=IDEM).json["claimCode"]
    (row,) = stack.links()
    assert code not in repr(row)
    assert row["fingerprint"].value == ids.keyed_digest(SAMPLE_KEY, "body", _canonical(body))


def _canonical(body: Any) -> bytes:
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


# --- Sealing -------------------------------------------------------------------------------------


def _open(stack: Stack, row: dict[str, Any], purpose: str = "arguments", account: str = "acme") -> Any:
    key = stack.kms.decrypt(
        CiphertextBlob=row["wrappedKey"].value, EncryptionContext={"purpose": "arguments"}
    )
    sealed = row["ciphertext"].value
    associated = sealing.additional_data(account, row["pk"], purpose)
    return json.loads(AESGCM(key["Plaintext"]).decrypt(sealed[:12], sealed[12:], associated))


def test_arguments_are_sealed_for_one_account_link_and_purpose(stack: Stack) -> None:
    link = stack.create(founding()).json
    (row,) = stack.rows("SecretsTable")
    assert row["pk"] == link["linkId"]
    assert row["ttl"] == link["expiresAt"] // 1000 + 86_400
    assert _open(stack, row) == [None, founding()["operations"][1]["arguments"]]
    for changed in ({"purpose": "session"}, {"account": "globex"}):
        with pytest.raises(InvalidTag):
            _open(stack, row, **changed)


def test_nothing_is_sealed_without_arguments(stack: Stack) -> None:
    stack.create(founding(operations=[{"resource": "paymentMethod", "action": "read", "arguments": {}}]))
    assert stack.rows("SecretsTable") == []


def test_a_data_key_serves_five_minutes_or_a_thousand_uses(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealing, "DATA_KEY_USES", 3)
    wrapped = []
    for wait in (0, 299_999, 1, 0, 0, 0):
        stack.now += wait
        stack.create(founding())
        (row,) = stack.rows("SecretsTable")
        wrapped.append(row["wrappedKey"].value)
        stack.dynamodb.Table("SecretsTable").delete_item(Key={"pk": row["pk"], "sk": row["sk"]})
    assert [wrapped[i] == wrapped[i + 1] for i in range(5)] == [True, False, True, True, False]


# --- A store in trouble --------------------------------------------------------------------------


def _client_error(code: str, status: int) -> ClientError:
    return ClientError(
        {"Error": {"Code": code, "Message": "canary"}, "ResponseMetadata": {"HTTPStatusCode": status}},  # type: ignore[typeddict-item] # the rest is not read
        "PutItem",
    )


@pytest.mark.parametrize(
    "error",
    [
        _client_error("ProvisionedThroughputExceededException", 400),
        _client_error("ThrottlingException", 400),
        _client_error("InternalServerError", 500),
        ReadTimeoutError(endpoint_url="canary"),
        ConnectTimeoutError(endpoint_url="canary"),
        EndpointConnectionError(endpoint_url="canary"),
    ],
    ids=["throughput", "throttled", "server", "timeout", "connect", "endpoint"],
)
@pytest.mark.parametrize("call", ["get_item", "put_item", "generate_data_key"])
def test_a_service_in_trouble_is_503_and_the_retry_makes_the_one_link(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, call: str, error: Exception
) -> None:
    def fail(**_: Any) -> None:
        raise error

    with monkeypatch.context() as trouble:
        trouble.setattr(aws.kms() if call == "generate_data_key" else aws.dynamodb(), call, fail)
        answer = stack.create(founding(), headers=IDEM)
    assert (answer.status, answer.json["code"]) == (503, "unavailable")
    assert answer.headers["Retry-After"] == "2"
    assert "canary" not in answer.text
    assert stack.links() == []
    assert stack.create(founding(), headers=IDEM).status == 201
    assert len(stack.links()) == 1


@pytest.mark.parametrize("headers", [IDEM, {}], ids=["with key", "without key"])
def test_a_put_whose_answer_was_lost_finds_itself_and_keeps_its_arguments(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, headers: dict[str, str]
) -> None:
    put_item = aws.dynamodb().put_item

    def twice(**request: Any) -> Any:
        if request["TableName"] == "LinksTable":
            put_item(**request)
        return put_item(**request)

    monkeypatch.setattr(aws.dynamodb(), "put_item", twice)
    answer = stack.create(founding(), headers=headers)
    assert answer.status == 201
    assert "Idempotent-Replayed" not in answer.headers
    assert len(stack.links()) == len(stack.rows("SecretsTable")) == 1


def test_a_replay_stands_even_if_its_spare_arguments_cannot_be_taken_back(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = stack.create(founding(), headers=IDEM)

    def fail(**_: Any) -> None:
        raise _client_error("ThrottlingException", 400)

    monkeypatch.setattr(aws.dynamodb(), "delete_item", fail)
    again = stack.create(founding(), headers=IDEM)
    assert (again.status, again.text) == (201, first.text)


def test_a_fault_of_ours_is_a_500_that_says_nothing_about_the_inside(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, output: Output
) -> None:
    def fail(**_: Any) -> None:
        raise _client_error("AccessDeniedException", 400)

    monkeypatch.setattr(aws.dynamodb(), "put_item", fail)
    answer = stack.create(founding())
    assert answer.status == 500
    assert set(answer.json) == {"error", "code", "requestId"}
    assert answer.json["code"] == "internal"
    assert "ClientError" in output.text
    assert "canary" not in output.text + answer.text
