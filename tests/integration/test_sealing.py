"""Sealing: what is bound to what, and for how long a data key is used."""

from typing import Any
from unittest.mock import Mock

import pytest
from cryptography.exceptions import InvalidTag

from latchkey.adapters import aws, sealing
from latchkey.domain.links import Sealed

PLAIN = b"4242424242424242"
BOUND = {"account": "acme", "subject": "link_1", "purpose": sealing.INPUT}


pytestmark = pytest.mark.usefixtures("stack", "keys")


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The requests for data keys."""
    made: list[dict[str, Any]] = []
    generate = aws.kms().generate_data_key

    def spy(**request: Any) -> Any:
        made.append(request)
        return generate(**request)

    monkeypatch.setattr(aws.kms(), "generate_data_key", spy)
    return made


def seal(now: int = 0, **changes: str) -> Sealed:
    return sealing.seal(PLAIN, **BOUND | changes, now=now)


@pytest.mark.parametrize("change", [{"account": "globex"}, {"subject": "link_2"}])
def test_what_is_sealed_opens_for_its_own_account_and_link_alone(change: dict[str, str]) -> None:
    sealed = seal()
    assert sealing.unseal(sealed, **BOUND, now=0) == PLAIN
    with pytest.raises(InvalidTag):
        sealing.unseal(sealed, **BOUND | change, now=0)


def test_kms_is_told_the_purpose_and_holds_to_it(keys: list[dict[str, Any]]) -> None:
    sealed = seal()
    seal(purpose=sealing.STATE)
    assert [key["EncryptionContext"]["purpose"] for key in keys] == [sealing.INPUT, sealing.STATE]
    sealing._opened_keys.clear()
    with pytest.raises(aws.kms().exceptions.InvalidCiphertextException):
        sealing.unseal(sealed, **BOUND | {"purpose": sealing.STATE}, now=0)


def test_the_same_is_never_sealed_the_same_way() -> None:
    assert len({seal().ciphertext for _ in range(50)}) == 50
    assert len({seal().ciphertext[: sealing.NONCE_BYTES] for _ in range(50)}) == 50


def test_a_data_key_lasts_five_minutes_or_a_thousand_uses(keys: list[dict[str, Any]]) -> None:
    seal()
    seal(now=sealing.DATA_KEY_MS - 1)
    assert len(keys) == 1
    seal(now=sealing.DATA_KEY_MS)
    assert len(keys) == 2
    for _ in range(sealing.DATA_KEY_USES - 1):
        seal(now=sealing.DATA_KEY_MS)
    assert len(keys) == 2
    seal(now=sealing.DATA_KEY_MS)
    assert len(keys) == 3


def test_an_opened_key_is_remembered_for_five_minutes_and_not_beyond_its_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sealing, "OPENED_KEYS", 2)
    decrypt = Mock(wraps=aws.kms().decrypt)
    monkeypatch.setattr(aws.kms(), "decrypt", decrypt)
    sealed = seal()
    for now in (0, sealing.DATA_KEY_MS - 1):
        sealing.unseal(sealed, **BOUND, now=now)
    assert decrypt.call_count == 1
    sealing.unseal(sealed, **BOUND, now=sealing.DATA_KEY_MS)
    assert decrypt.call_count == 2
    for n in range(1, 5):
        sealing.unseal(seal(now=n * sealing.DATA_KEY_MS), **BOUND, now=n * sealing.DATA_KEY_MS)
        assert len(sealing._opened_keys) <= 2
