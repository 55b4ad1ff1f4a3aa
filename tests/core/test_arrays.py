"""Whole columns as arrays: what goes to the server comes back, element for element, whatever is in it."""

from collections.abc import Iterator
from itertools import zip_longest
from typing import Any, Final

import psycopg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tallystick.core.arrays import BigintArray, BytesArray, TextArray, alike, rows_of
from tallystick.core.embedded_postgres import EmbeddedPostgres
from tests.database import connect, urls_of

BIGINT_MAX: Final = 2**63 - 1
TEXTS: Final = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
ON_ONE_CONNECTION: Final = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def connection(postgres_server: EmbeddedPostgres) -> Iterator[psycopg.Connection[Any]]:
    with connect(urls_of(postgres_server, "postgres").superuser_url) as opened:
        yield opened


def returned(connection: psycopg.Connection[Any], kind: str, array: object) -> list[Any]:
    """Return the array as `unnest` gives it, in order."""
    rows = connection.execute(
        f"SELECT u FROM unnest(%s::{kind}[]) WITH ORDINALITY AS t(u, n) ORDER BY n".encode(), [array]
    )
    return [row[0] for row in rows.fetchall()]


@ON_ONE_CONNECTION
@given(st.lists(st.none() | TEXTS, max_size=20))
@example([])
@example([None])
@example([""])
@example(["NULL", "null", "{}", '"', "\\", ",", "a,b", " ", "\t\n"])
def test_texts(connection: psycopg.Connection[Any], values: list[str | None]) -> None:
    assert returned(connection, "text", TextArray(values)) == values


@ON_ONE_CONNECTION
@given(st.lists(st.binary(max_size=40), max_size=20))
@example([b"", b"\0", b"\\x00"])
def test_bytes(connection: psycopg.Connection[Any], values: list[bytes]) -> None:
    assert returned(connection, "bytea", BytesArray(values)) == values


@ON_ONE_CONNECTION
@given(st.lists(st.none() | st.integers(-BIGINT_MAX - 1, BIGINT_MAX), max_size=20))
@example([-BIGINT_MAX - 1, BIGINT_MAX, 0, None])
@example([None, None])
def test_bigints(connection: psycopg.Connection[Any], values: list[int | None]) -> None:
    assert returned(connection, "bigint", BigintArray(values)) == values


@ON_ONE_CONNECTION
@given(st.integers(0, 200), st.integers(1, 5), st.sampled_from("aé\u20ac\U0001f41f"), st.booleans())
@example(127, 3, "a", False)
@example(128, 3, "a", False)
@example(44, 2, ",", False)
def test_elements_of_one_length(
    connection: psycopg.Connection[Any], length: int, count: int, character: str, has_null: bool
) -> None:
    """Whose length stands between them: of texts that of the bytes, not of the characters."""
    texts = ["b" * length] * count + [character + "b" * (length - 1)] * (length > 0)
    absent = [None] * has_null

    assert returned(connection, "text", TextArray([*texts, *absent])) == [*texts, *absent]
    encoded = [text.encode().ljust(length, b"\0")[:length] for text in texts]
    assert returned(connection, "bytea", BytesArray([*encoded, *absent])) == [*encoded, *absent]


@ON_ONE_CONNECTION
@given(
    st.lists(st.tuples(st.none() | TEXTS, st.none() | st.integers(-2, 2)), min_size=1, max_size=6)
    | st.tuples(st.none() | TEXTS, st.none() | st.integers(-2, 2)).map(lambda row: [row] * 4)
)
@example([("", None), ("", None)])
@example([(None, 1), (None, None), (None, 1)])
@example([("a", 1), (None, 0), ("a", 1)])
def test_a_column_that_says_one_thing_is_sent_once(
    connection: psycopg.Connection[Any], rows: list[tuple[str | None, int | None]]
) -> None:
    texts, numbers = zip(*rows, strict=True)
    one_text, other_texts = alike(texts)
    one_number, other_numbers = alike(numbers)
    for values, others in ((texts, other_texts), (numbers, other_numbers)):
        assert len(others) == (0 if len(set(values)) == 1 else len(values))
    found = connection.execute(
        """SELECT coalesce(%s::text, n.text), coalesce(%s::bigint, n.number)
           FROM unnest(%s, %s, %s) AS n(place, text, number) ORDER BY place""",
        [
            one_text,
            one_number,
            BigintArray(range(len(rows))),
            TextArray(other_texts),
            BigintArray(other_numbers),
        ],
    )
    assert found.fetchall() == rows


def test_a_number_that_is_no_bigint_is_not_sent(connection: psycopg.Connection[Any]) -> None:
    for values in ([BIGINT_MAX + 1], [1, None, -BIGINT_MAX - 2]):
        with pytest.raises(Exception, match=r"out of range|too large|requires"):
            returned(connection, "bigint", BigintArray(values))


def test_columns_of_thousands(connection: psycopg.Connection[Any]) -> None:
    numbers = list(range(5_000))
    rows = connection.execute(
        "SELECT * FROM unnest(%s::text[], %s::bigint[], %s::bytea[], %s::text[])",
        [
            TextArray([f"id_{number:04}" for number in numbers]),
            BigintArray(numbers),
            BytesArray([number.to_bytes(4) for number in numbers]),
            TextArray([None if number % 2 else f"'{number}'" for number in numbers]),
        ],
    ).fetchall()
    assert rows == [
        (f"id_{number:04}", number, number.to_bytes(4), None if number % 2 else f"'{number}'")
        for number in numbers
    ]


@ON_ONE_CONNECTION
@given(st.lists(st.none() | TEXTS, max_size=6), st.lists(st.none() | st.integers(-9, 9), max_size=6))
@example([], [])
@example(["a", "b"], [])
@example([], [1, 2, 3])
def test_rows_of_columns(
    connection: psycopg.Connection[Any], texts: list[str | None], numbers: list[int | None]
) -> None:
    """Element stands beside element, and a column that ends early goes on in NULLs."""
    rows = connection.execute(
        f"SELECT n.name, n.amount_minor FROM {rows_of('name text, amount_minor bigint')} AS n".encode(),
        [TextArray(texts), BigintArray(numbers)],
    )
    assert rows.fetchall() == list(zip_longest(texts, numbers))
