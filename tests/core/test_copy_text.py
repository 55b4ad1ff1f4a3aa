"""COPY in text format: what goes in comes out, character for character, and failures are SQLAlchemy's."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import DataError, IntegrityError

from tallystick.core.copy_text import NULL, copy_rows, escape
from tallystick.core.database import Database
from tests.database import DatabaseUrls, connect

# Whatever COPY, C or a terminal reads specially.
AWKWARD = "\\\t\n\r\b\f\v\x01\x1b\x7f.N|\"'`$%{},;\x85\xa0é�中\u2028\u202e\ufeff\U0001f600\U0010ffff"


@pytest.fixture
def database(database_urls: DatabaseUrls) -> Iterator[Database]:
    with connect(database_urls.superuser_url) as connection:
        connection.execute("CREATE TABLE note (number int PRIMARY KEY, words text)")
        connection.execute("GRANT SELECT, INSERT, UPDATE ON note TO tallystick_service")
    opened = Database(database_urls.service_url, pool_size=2)
    yield opened
    opened.close()


def copied(database: Database, texts: list[str | None]) -> list[str | None]:
    """Return what the database holds after COPY of these texts; nothing is kept."""
    with database.engine.connect() as connection:
        copy_rows(
            connection,
            "note (number, words)",
            (f"{number}\t{escape(text)}" for number, text in enumerate(texts)),
        )
        return list(connection.exec_driver_sql("SELECT words FROM note ORDER BY number").scalars())


def test_every_awkward_text_comes_back(database: Database) -> None:
    texts = [
        None,
        "",
        NULL,
        "\\\\N",
        "\\.",
        "\\",
        "a\\",
        "\\t",
        "a\tb",
        "a\nb",
        "a\r\nb",
        "\n",
        "\\x41",
        "\\101",
        "ends in a tab\t",
        "ends in a newline\n",
        "NULL",
        AWKWARD,
        *AWKWARD,
        *[chr(point) for point in range(1, 160)],
    ]
    assert copied(database, texts) == texts


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.none()
        | st.text(
            st.sampled_from(AWKWARD) | st.characters(exclude_characters="\0", exclude_categories=["Cs"]),
            max_size=12,
        ),
        max_size=20,
    )
)
@example([])
@example([None])
def test_any_text_comes_back(database: Database, texts: list[str | None]) -> None:
    assert copied(database, texts) == texts


def test_a_null_character_is_refused_by_the_database_and_leaves_nothing(database: Database) -> None:
    # The API refuses U+0000 before it comes here (core.strict_json); PostgreSQL's text can't hold it.
    with pytest.raises(DataError):
        database.run(
            lambda connection: copy_rows(connection, "note (number, words)", ["1\t" + escape("a\0b")])
        )
    assert copied(database, ["x"]) == ["x"]


def test_a_refused_row_is_an_integrity_error_as_of_any_other_statement(database: Database) -> None:
    database.run(lambda connection: copy_rows(connection, "note (number, words)", ["1\tfirst"]))
    with pytest.raises(IntegrityError) as refused:
        database.run(lambda connection: copy_rows(connection, "note (number, words)", ["2\tnew", "1\tagain"]))
    assert getattr(refused.value.orig, "sqlstate", None) == "23505"
    with database.read() as connection:
        assert connection.exec_driver_sql("SELECT number, words FROM note").all() == [(1, "first")]
