"""RFC 8785: the fast way writes the very bytes of the reference, or refuses."""

import enum
import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import cast

import pytest
import rfc8785
from hypothesis import example, given
from hypothesis import strategies as st

from tallystick.core.canonical_json import (
    CanonicalJsonError,
    CanonicalValue,
    canonical_json,
    canonical_json_with_floats,
)
from tallystick.core.strict_json import INTEGER_MAX
from tests.vectors import vectors

# Full of the characters where sort orders and escapes go wrong.
AWKWARD = (
    '\x00\x08\t\n\x0b\x0c\r\x1f "/\\az\x7f\x80é\u2028\u2029\ud7ff\ue000\ufb33\ufeff\uffff\U00010000\U0010ffff'
)
TEXTS = st.text(st.one_of(st.sampled_from(AWKWARD), st.characters(exclude_categories=["Cs"])), max_size=6)
INTEGERS = st.integers(-INTEGER_MAX, INTEGER_MAX)
DOCUMENTS = st.recursive(
    st.one_of(st.none(), st.booleans(), INTEGERS, TEXTS),
    lambda children: st.one_of(st.lists(children, max_size=4), st.dictionaries(TEXTS, children, max_size=5)),
    max_leaves=25,
)
LONE_SURROGATE = "\ud800"


class Colour(enum.StrEnum):
    RED = "red"


class Text(str):
    __slots__ = ()


@given(DOCUMENTS)
@example({"\ue000": 1, "\U00010000": 2})
@example({"\uffff": {"\U0010ffff": 1, "\ufffd": 2}, "a": [{"€": 1, "\r": 2, "😀": 3, "\ufb33": 4}]})
def test_equals_the_reference(document: CanonicalValue) -> None:
    assert canonical_json(document) == rfc8785.dumps(cast("int", document))


@given(DOCUMENTS)
def test_is_one_form_of_the_same_value(document: CanonicalValue) -> None:
    written = canonical_json(document)
    assert json.loads(written) == document
    assert canonical_json(json.loads(written)) == written


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_have_a_form_only_for_documents_of_others(number: float) -> None:
    assert json.loads(canonical_json_with_floats([number]), parse_int=float) == [number]
    with pytest.raises(CanonicalJsonError):
        canonical_json(cast("CanonicalValue", [number]))


def test_every_character_is_escaped_as_the_reference_does() -> None:
    text = "".join(map(chr, [*range(0xD800), *range(0xE000, 0x110000)]))
    assert canonical_json(text) == rfc8785.dumps(text)


def test_sorts_names_by_utf_16_code_unit() -> None:
    assert canonical_json({"\ue000": 1, "\U00010000": 2}) == '{"\U00010000":2,"\ue000":1}'.encode()


def test_known_form() -> None:
    document: CanonicalValue = {
        "type": "mint",
        "amount": "1250.00",
        "lines": [{"b": None, "a": True}],
        "index": 7,
    }
    assert canonical_json(document) == (
        b'{"amount":"1250.00","index":7,"lines":[{"a":true,"b":null}],"type":"mint"}'
    )


def test_tuples_are_arrays() -> None:
    assert canonical_json({"lines": ((1, "a"), [])}) == b'{"lines":[[1,"a"],[]]}'


@pytest.mark.parametrize(
    "value",
    [
        1.0,
        float("nan"),
        [1, [2.5]],
        {"a": {"b": -0.0}},
        Decimal(1),
        datetime(2026, 11, 22, tzinfo=UTC),
        b"bytes",
        {1, 2},
        NotImplemented,
        Colour.RED,
        {"colour": Colour.RED},
        {Colour.RED: 1},
        Text("a"),
        {Text("a"): 1},
        {1: "a"},
        {None: "a"},
        {"a": 1, 2: "b"},
        INTEGER_MAX + 1,
        -INTEGER_MAX - 1,
        {"é": INTEGER_MAX + 1},
        10**400,
        LONE_SURROGATE,
        {LONE_SURROGATE: 1},
        {"é": LONE_SURROGATE},
    ],
    ids=ascii,
)
def test_refuses_what_our_documents_never_hold(value: object) -> None:
    with pytest.raises(CanonicalJsonError) as refusal:
        canonical_json(cast("CanonicalValue", value))
    assert refusal.value.__suppress_context__ or refusal.value.__context__ is None


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), 2**53, LONE_SURROGATE, {LONE_SURROGATE: 1}, {1: 2}, b""]
)
def test_even_the_general_form_has_limits(value: object) -> None:
    with pytest.raises(CanonicalJsonError):
        canonical_json_with_floats(value)


@pytest.mark.parametrize("depth", [65, 300, 5_000])
def test_refuses_deep_nesting(depth: int) -> None:
    value: CanonicalValue = []
    for _ in range(depth):
        value = [value]
    with pytest.raises(CanonicalJsonError, match="deep"):
        canonical_json(value)


def test_endless_nesting_is_refused_in_the_general_form() -> None:
    value: list[object] = []
    value.append(value)
    with pytest.raises(CanonicalJsonError):
        canonical_json_with_floats(value)
    with pytest.raises(CanonicalJsonError):
        canonical_json(cast("CanonicalValue", value))


def test_published_vectors() -> None:
    folder = vectors("jcs")
    inputs = sorted((folder / "input").glob("*.json"))
    assert len(inputs) == 6
    for path in inputs:
        expected = bytes.fromhex((folder / "outhex" / path.with_suffix(".txt").name).read_text())
        assert canonical_json_with_floats(json.loads(path.read_bytes())) == expected, path.name
