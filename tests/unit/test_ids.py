"""Ids, claim codes and API keys."""

import string
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latchkey.domain import ids

BASE62 = string.digits + string.ascii_letters


@pytest.mark.parametrize("livemode", [True, False])
def test_a_new_key_says_its_mode_and_passes_its_checksum(livemode: bool) -> None:
    key = ids.new_api_key(livemode=livemode)
    assert key.startswith("lk_live_" if livemode else "lk_test_")
    assert len(key) == 8 + 30 + 6
    assert ids.api_key_mode(key) is livemode


@given(position=st.integers(0, 43), replacement=st.sampled_from(BASE62 + "-é "))
def test_a_key_with_one_character_changed_is_junk(position: int, replacement: str) -> None:
    key = "lk_test_SampleKeyThatOpensNothing000002e62Lx"
    assert ids.api_key_mode(key) is False
    changed = key[:position] + replacement + key[position + 1 :]
    assert changed == key or ids.api_key_mode(changed) is None


@given(st.text())
def test_any_text_can_be_asked_whether_it_is_a_key(text: str) -> None:
    assert ids.api_key_mode(text) is None


def test_a_link_id_follows_from_its_claim_code_alone() -> None:
    code = ids.new_claim_code()
    assert ids.link_id(code) == ids.link_id(code) != ids.link_id(ids.new_claim_code())
    assert ids.is_link_id(ids.link_id(code))
    assert code.removeprefix("clm_") not in ids.link_id(code)


def test_a_derived_claim_code_belongs_to_one_key_and_one_idempotency_key() -> None:
    codes = {ids.derived_claim_code(key, idem) for key in ("key a", "key b") for idem in ("1", "2")}
    assert len(codes) == 4
    assert ids.derived_claim_code("key a", "1") in codes


@pytest.mark.parametrize(
    "text", ["", "link_", "link_" + "a" * 21, "link_" + "a" * 23, "link_" + "é" * 22, "clm_" + "a" * 23]
)
def test_what_is_no_link_id_is_told_without_a_look_up(text: str) -> None:
    assert not ids.is_link_id(text)


LINK_ID = "link_" + "a" * 22


@pytest.mark.parametrize(
    ("make", "bits"),
    [
        (ids.new_claim_code, 128),
        (lambda: ids.new_client_token(LINK_ID)[25:], 128),
        (ids.new_message_id, 128),
        (ids.new_token, 96),
        (lambda: ids.new_api_key(livemode=False)[8:-6], 178),
    ],
)
def test_what_must_be_unguessable_has_its_bits(make: Callable[[], str], bits: int) -> None:
    """Of so many made, the largest fills the number of characters that the bits need."""
    numbers = []
    for _ in range(200):
        text = make().rpartition("_")[2]
        numbers.append(sum(BASE62.index(c) * 62**i for i, c in enumerate(reversed(text.swapcase()))))
    assert len(set(numbers)) == 200
    assert max(numbers).bit_length() >= bits - 1


def test_a_digest_is_of_one_secret_one_purpose_and_one_message() -> None:
    digests = {
        ids.keyed_digest(secret, purpose, message)
        for secret in ("a", "b")
        for purpose in ("body", "cursor")
        for message in (b"1", b"2")
    }
    assert len(digests) == 8
