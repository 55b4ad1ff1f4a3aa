"""Whole columns as arrays: what goes to the server comes back, element for element, whatever is in it."""

from collections.abc import Iterator
from typing import Any, Final

import psycopg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tallystick.core.arrays import BigintArray, BytesArray, IdArray, TextArray, alike
from tallystick.core.embedded_postgres import EmbeddedPostgres
from tests.database import connect, urls_of

BIGINT_MAX: Final = 2**63 - 1
TEXTS: Final = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
IDS: Final = st.from_regex(r"[A-Za-z0-9_.:+\-]{1,20}", fullmatch=True).filter(
    lambda text: text.lower() != "null"
)
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
@given(st.lists(st.none() | IDS, max_size=20))
@example([None])
@example(["transfer_01h455vb4pex5vsknk084sn02q", "2110.account_1", "2026-11-22T08:00:00.000000+00:00", "-1"])
def test_ids(connection: psycopg.Connection[Any], values: list[str | None]) -> None:
    assert returned(connection, "text", IdArray(values)) == values


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


@pytest.mark.parametrize(
    "value",
    ["", "a b", "a,b", ",", "{", "}", '"', "'", "\\", "a\tb", "a\n", "\u0661", "\x00", "null", "NULL"],
)
def test_what_is_no_id_is_not_sent_as_one(value: str) -> None:
    for values in ([value], ["a", value], [value, "a"], ["a", value, None]):
        with pytest.raises(ValueError, match="id"):
            IdArray(values)


def test_a_number_that_is_no_bigint_is_not_sent(connection: psycopg.Connection[Any]) -> None:
    for values in ([BIGINT_MAX + 1], [1, None, -BIGINT_MAX - 2]):
        with pytest.raises(Exception, match=r"out of range|too large|requires"):
            returned(connection, "bigint", BigintArray(values))


def test_columns_of_thousands(connection: psycopg.Connection[Any]) -> None:
    numbers = list(range(5_000))
    rows = connection.execute(
        "SELECT * FROM unnest(%s::text[], %s::bigint[], %s::bytea[], %s::text[])",
        [
            IdArray([f"id_{number}" for number in numbers]),
            BigintArray(numbers),
            BytesArray([number.to_bytes(4) for number in numbers]),
            TextArray([None if number % 2 else f"'{number}'" for number in numbers]),
        ],
    ).fetchall()
    assert rows == [
        (f"id_{number}", number, number.to_bytes(4), None if number % 2 else f"'{number}'")
        for number in numbers
    ]
