"""Strict reading of a JSON body."""

import contextlib
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latchkey.domain.errors import ValidationFailedError
from latchkey.domain.strictjson import canonical, read_object

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=20,
)


def refusal(body: bytes) -> tuple[str, str, str]:
    with pytest.raises(ValidationFailedError) as caught:
        read_object(body)
    (issue,) = caught.value.issues
    return issue.path, issue.code, issue.message


@pytest.mark.parametrize(
    ("body", "code", "word"),
    [
        (b"", "json", "must not be empty"),
        (b" \r\n\t", "json", "must not be empty"),
        (b"{", "json", "line 1, column 2"),
        (b"{} {}", "json", "line 1, column 4"),
        (b"{'a': 1}", "json", "line 1, column 2"),
        (b'{"a": 1,\n "b": "\xc3\xbc", x}', "json", "line 2, column 12"),
        (b'{"a": "never closed', "json", "line 1, column 7"),
        (b'{"a": "\\q"}', "json", "line 1, column 8"),
        (b'{"a": "\x01"}', "json", "line 1, column 8"),
        (b'\xef\xbb\xbf{"a": 1}', "json", "byte-order mark"),
        (b'{"a": 1, "a": 1}', "json", "same name"),
        (b'{"x": {"a": 1, "\\u0061": 2}}', "json", "same name"),
        (b'{"a": NaN}', "json", "NaN"),
        (b'{"a": -Infinity}', "json", "Infinity"),
        (b'{"a": "\xff"}', "json", "UTF-8"),
        (b'{"a": "\xed\xa0\x80"}', "json", "UTF-8"),
        (b'{"a": "\\ud800"}', "json", "surrogate"),
        (b'{"\\uDC00": 1}', "json", "surrogate"),
        (b'{"a": ' + b"9" * 5000 + b"}", "json", "digits"),
        (b"[]", "type", "object"),
        (b"null", "type", "object"),
        (b'"text"', "type", "object"),
        (b"1e3", "type", "object"),
        (b"[" * 200_000, "json", "deeper"),
    ],
)
def test_what_is_no_strict_json_object_is_refused_at_the_whole_body(
    body: bytes, code: str, word: str
) -> None:
    path, got_code, message = refusal(body)
    assert (path, got_code) == ("", code)
    assert word in message


def nested(depth: int) -> bytes:
    """An object that is `depth` levels deep, itself the first."""
    return b'{"a":' * (depth - 1) + b"{}" + b"}" * (depth - 1)


def test_64_levels_are_read_and_65_are_not() -> None:
    assert read_object(nested(64))
    assert "64" in refusal(nested(65))[2]
    assert "64" in refusal(b'{"a":' + b"[" * 64 + b"]" * 64 + b"}")[2]


def test_a_whole_float_is_not_taken_for_an_integer() -> None:
    body = read_object(b'{"a": 60.0, "b": 1e3, "c": 1.5, "d": 60}')
    assert math.isnan(body["a"])
    assert math.isnan(body["b"])
    assert (body["c"], body["d"]) == (1.5, 60)


def test_a_pair_of_surrogates_is_one_character() -> None:
    assert read_object(b'{"a": "\\ud83d\\ude00"}') == {"a": "\U0001f600"}


@given(st.dictionaries(st.text(), json_values))
def test_what_json_writes_is_read_back_the_same(value: dict[str, Any]) -> None:
    assert read_object(json.dumps(value).encode()) == value


@given(st.binary())
def test_any_bytes_give_an_object_or_a_refusal(body: bytes) -> None:
    with contextlib.suppress(ValidationFailedError):
        assert isinstance(read_object(body), dict)


@given(st.dictionaries(st.text(), json_values))
def test_canonical_bytes_do_not_depend_on_key_order_or_white_space(value: dict[str, Any]) -> None:
    shuffled = dict(reversed(value.items()))
    assert canonical(shuffled) == canonical(json.loads(json.dumps(value, indent=3)))


def test_canonical_bytes_differ_for_different_values() -> None:
    values: list[Any] = [1, "1", True, "true", [1], {"1": 1}, None, "null"]
    assert len({canonical(value) for value in values}) == len(values)
