"""The body of a request: one meaning, or a refusal; in linear time, never another exception."""

import contextlib
import json
import time
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tallystick.core.canonical_json import canonical_json
from tallystick.core.errors import DomainError
from tallystick.core.strict_json import (
    DEPTH_MAX,
    INTEGER_MAX,
    SIZE_MAX_BYTES,
    BodyTooLargeError,
    JsonDuplicateKeyError,
    JsonInvalidError,
    JsonNumberNotIntegerError,
    JsonNumberTooLargeError,
    JsonStringInvalidError,
    JsonTooDeepError,
    JsonValue,
    parse_json,
)
from tests.vectors import vectors

# RFC 8259 allows these, and this service does not.
STRICTER: dict[str, type[DomainError]] = {
    "y_number.json": JsonNumberNotIntegerError,
    "y_number_0e+1.json": JsonNumberNotIntegerError,
    "y_number_0e1.json": JsonNumberNotIntegerError,
    "y_number_double_close_to_zero.json": JsonNumberNotIntegerError,
    "y_number_int_with_exp.json": JsonNumberNotIntegerError,
    "y_number_real_capital_e.json": JsonNumberNotIntegerError,
    "y_number_real_capital_e_neg_exp.json": JsonNumberNotIntegerError,
    "y_number_real_capital_e_pos_exp.json": JsonNumberNotIntegerError,
    "y_number_real_exponent.json": JsonNumberNotIntegerError,
    "y_number_real_fraction_exponent.json": JsonNumberNotIntegerError,
    "y_number_real_neg_exp.json": JsonNumberNotIntegerError,
    "y_number_real_pos_exponent.json": JsonNumberNotIntegerError,
    "y_number_simple_real.json": JsonNumberNotIntegerError,
    "y_object_extreme_numbers.json": JsonNumberNotIntegerError,
    "y_structure_lonely_negative_real.json": JsonNumberNotIntegerError,
    "y_object_duplicated_key.json": JsonDuplicateKeyError,
    "y_object_duplicated_key_and_value.json": JsonDuplicateKeyError,
    "y_object_escaped_null_in_key.json": JsonStringInvalidError,
    "y_string_null_escape.json": JsonStringInvalidError,
}

MALFORMED = [
    (b"", JsonInvalidError),
    (b" ", JsonInvalidError),
    (b"\xef\xbb\xbf{}", JsonInvalidError),
    ("{}".encode("utf-16"), JsonInvalidError),
    (b'"\xff"', JsonInvalidError),
    (b'"\xc0\x80"', JsonInvalidError),
    (b'"\xed\xa0\x80"', JsonInvalidError),
    (rb'"\ud800"', JsonInvalidError),
    (rb'"\udc00\ud800"', JsonInvalidError),
    (rb'{"\ud800":1}', JsonInvalidError),
    (b"NaN", JsonInvalidError),
    (b"[Infinity]", JsonInvalidError),
    (b"[-Infinity]", JsonInvalidError),
    (b"{'a':1}", JsonInvalidError),
    (b'{"a":1,}', JsonInvalidError),
    (b"[1]//", JsonInvalidError),
    (b"{} {}", JsonInvalidError),
    (b"[01]", JsonInvalidError),
    (b"[+1]", JsonInvalidError),
    (b"[1_000]", JsonInvalidError),
    ("[\u0661]".encode(), JsonInvalidError),
    (b'"\x00"', JsonInvalidError),
    (b'"a\nb"', JsonInvalidError),
    (b"\x0c{}", JsonInvalidError),
    (b'{"a":1,"a":1}', JsonDuplicateKeyError),
    (rb'{"a":1,"\u0061":2}', JsonDuplicateKeyError),
    (b'{"":1,"":2}', JsonDuplicateKeyError),
    (b'[{"b":{"a":1,"c":2,"a":1}}]', JsonDuplicateKeyError),
    (rb'{"\"":1,"\"":2}', JsonDuplicateKeyError),
    (rb'{"\\":"\\\"","\\":2}', JsonDuplicateKeyError),
    (rb'{":":1,":":2}', JsonDuplicateKeyError),
    (b"1.0", JsonNumberNotIntegerError),
    (b"[1e2]", JsonNumberNotIntegerError),
    (b'{"a":1E2}', JsonNumberNotIntegerError),
    (b"[-0.0]", JsonNumberNotIntegerError),
    (b"[1e-400]", JsonNumberNotIntegerError),
    (b"9007199254740992", JsonNumberTooLargeError),
    (b"[-9007199254740992]", JsonNumberTooLargeError),
    (b"[9223372036854775808]", JsonNumberTooLargeError),
    (b"[18446744073709551616]", JsonNumberTooLargeError),
    (b"[" + b"9" * 5_000 + b"]", JsonNumberTooLargeError),
    (b"[1e400]", JsonNumberNotIntegerError),
    (b"[123e45]", JsonNumberNotIntegerError),
    (b'{"1.5e3":18446744073709551616}', JsonNumberTooLargeError),
    (rb'"\u0000"', JsonStringInvalidError),
    (rb'{"a":["\u0000"]}', JsonStringInvalidError),
    (rb'{"\u0000":1}', JsonStringInvalidError),
    (b"[" * 17 + b"]" * 17, JsonTooDeepError),
    (b'{"a":' * 17 + b"1" + b"}" * 17, JsonTooDeepError),
    (b"[{}," * 17 + b"1" + b"]" * 17, JsonTooDeepError),
    (b"[" * 2_000 + b"]" * 2_000, JsonTooDeepError),
    (b"[" * 100_000, JsonTooDeepError),
    (b'{"a":' * 100_000, JsonTooDeepError),
]


@pytest.mark.parametrize(("body", "refusal"), MALFORMED, ids=lambda value: ascii(value)[:40])
def test_refuses(body: bytes, refusal: type[DomainError]) -> None:
    with pytest.raises(DomainError) as raised:
        parse_json(body)
    assert type(raised.value) is refusal
    assert raised.value.status == 422
    # Neither the error nor what hangs on it may carry the body into a log.
    assert raised.value.__context__ is None
    assert raised.value.__cause__ is None


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b"null", None),
        (b' \t\r\n{"a" : [true, false, -0, 12]} ', {"a": [True, False, 0, 12]}),
        (b"9007199254740991", INTEGER_MAX),
        (b"-9007199254740991", -INTEGER_MAX),
        (rb'"\ud83d\ude00\u007f"', "\U0001f600\x7f"),
        (rb'{"a":":","b":"\":\"","\\":"\\","c":"[{"}', {"a": ":", "b": '":"', "\\": "\\", "c": "[{"}),
        (rb'"\\u0000"', r"\u0000"),
        (rb'{"a":[1,null,"\\u0000"]}', {"a": [1, None, r"\u0000"]}),
        (rb'{"a":{"a":1},"b":{"a":1}}', {"a": {"a": 1}, "b": {"a": 1}}),
        (b'"' + b"[" * 1_000 + b'"', "[" * 1_000),
        (b"[" + b"[]," * 1_000 + b"[]]", [[]] * 1_001),
    ],
    ids=lambda value: ascii(value)[:40],
)
def test_accepts(body: bytes, value: JsonValue) -> None:
    assert parse_json(body) == value


def test_nesting_is_allowed_up_to_the_limit() -> None:
    assert parse_json(b"[" * DEPTH_MAX + b"]" * DEPTH_MAX) is not None
    assert parse_json(b"1", depth_max=0) == 1
    with pytest.raises(JsonTooDeepError):
        parse_json(b"[]", depth_max=0)


def test_size_is_checked_before_anything_is_read() -> None:
    body = b'"' + b"a" * (SIZE_MAX_BYTES - 2) + b'"'
    assert parse_json(body) == "a" * (SIZE_MAX_BYTES - 2)
    with pytest.raises(BodyTooLargeError) as refusal:
        parse_json(body + b" ")
    assert (refusal.value.status, refusal.value.code) == (413, "body_too_large")
    assert refusal.value.members == {"size_max_bytes": SIZE_MAX_BYTES}
    with pytest.raises(BodyTooLargeError):
        parse_json(b"[1]", size_max_bytes=2)


def test_an_invalid_body_is_pointed_into() -> None:
    with pytest.raises(JsonInvalidError) as refusal:
        parse_json(b'{"secret":x}')
    assert refusal.value.members == {"position": 10}
    assert "secret" not in str(refusal.value)


HOSTILE: list[Callable[[int], bytes]] = [
    lambda size: b"[" * size,
    lambda size: b"[" + b"[]," * (size // 3 - 1) + b"[]]",
    lambda size: b"[]," * (size // 3),
    lambda size: b'"' + b'\\"' * (size // 2 - 1),
    lambda size: b'"' + b"\\\\" * (size // 2 - 1) + b'"',
    lambda size: b'{"a":' * (size // 5),
    lambda size: b"{" + b'"a":1,' * (size // 6 - 2) + b'"a":1}',
    lambda size: b"1" * size,
    lambda size: b"1." + b"0" * (size - 2),
    lambda size: b"\\" * size,
    lambda size: b'"' * size,
    lambda size: b"\xff" * size,
    lambda size: b'"' + rb"\u0000" * (size // 6 - 1) + b'"',
]


@pytest.mark.parametrize("hostile", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_bodies_cost_linear_time(hostile: Callable[[int], bytes]) -> None:
    body = hostile(SIZE_MAX_BYTES)
    started = time.process_time()
    with contextlib.suppress(DomainError):
        parse_json(body)
    # Quadratic work on a mebibyte takes hours; a tenth of a second is usual. No machine is this slow.
    assert time.process_time() - started < 20


def test_json_test_suite() -> None:
    files = sorted((vectors("jsontestsuite") / "test_parsing").glob("*.json"))
    assert len(files) == 318
    refused_although_valid: dict[str, type[DomainError]] = {}
    for path in files:
        try:
            parse_json(path.read_bytes())
        except DomainError as error:
            if path.name.startswith("y_"):
                refused_although_valid[path.name] = type(error)
        else:
            assert not path.name.startswith("n_"), path.name
    assert refused_although_valid == STRICTER


NAMES = st.text(st.sampled_from('a:"\\{[é\U0001f600'), max_size=2)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-INTEGER_MAX, INTEGER_MAX), NAMES),
    lambda children: st.one_of(st.lists(children, max_size=3), st.dictionaries(NAMES, children, max_size=3)),
    max_leaves=12,
)


@given(VALUES, st.booleans())
def test_reads_what_was_written(value: JsonValue, escaped: bool) -> None:
    read = parse_json(json.dumps(value, ensure_ascii=escaped).encode(), depth_max=64)
    assert read == value
    assert canonical_json(read) == canonical_json(value)


class DuplicateError(Exception):
    pass


def test_duplicates_are_found_wherever_the_reference_finds_them() -> None:
    def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
        if len(dict(pairs)) != len(pairs):
            raise DuplicateError
        return dict(pairs)

    members = st.tuples(NAMES, NAMES)

    @given(st.lists(members, max_size=4), st.lists(members, max_size=4), st.booleans())
    def check(outer: list[tuple[str, str]], inner: list[tuple[str, str]], escaped: bool) -> None:
        def written(pairs: list[tuple[str, str]], more: str = "") -> str:
            parts = [f"{json.dumps(name, ensure_ascii=escaped)}: {json.dumps(text)}" for name, text in pairs]
            return "{" + ",".join([*parts, *([more] if more else [])]) + "}"

        body = written(outer, '"inner":' + written(inner))
        try:
            expected = json.loads(body, object_pairs_hook=unique)
        except DuplicateError:
            with pytest.raises(JsonDuplicateKeyError):
                parse_json(body.encode())
        else:
            assert parse_json(body.encode()) == expected

    check()


@given(
    st.one_of(st.binary(max_size=40), st.text('{}[]",:\\0123456789.eEu-tfn ', max_size=40).map(str.encode))
)
@example(b'\\"[[[[[[[[[[[[[[[[[[[[[')
def test_arbitrary_bytes_are_read_or_refused(body: bytes) -> None:
    try:
        value = parse_json(body)
    except DomainError:
        return
    assert json.loads(body) == value
    assert parse_json(canonical_json(value)) == value
