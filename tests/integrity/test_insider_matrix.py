"""The insider matrix: whoever owns the database changes, removes, adds or swaps anything, with every trigger off.

Each mutation happens in a transaction of a superuser that is rolled back; the check looks from inside it. Columns come
from `information_schema`, so a new one is attacked before anybody thinks of it.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

import pytest
import sqlalchemy
from sqlalchemy import Connection, text

from tallystick import integrity
from tallystick.core.database import metadata
from tallystick.core.table_classes import TableClass, class_of
from tallystick.integrity import Finding
from tallystick.transparency import DatabaseTiles
from tests.bank import Bank

integrity.know_every_table()
TABLES: Final = sorted(metadata.tables)
#: What nobody is protected from, and why. Whole tables of class EPHEMERAL are not listed again.
UNPROTECTED: Final = {
    **{(name, column): why for name, of in integrity.uncovered().items() for column, why in of.items()},
}
COLUMNS: Final = """
SELECT table_name, column_name, data_type FROM information_schema.columns
WHERE table_schema = 'public' AND table_name <> 'alembic_version' ORDER BY table_name, ordinal_position
"""
# Another value of each type, made of the one that is there.
OTHER: Final = {
    "text": "CASE WHEN {0} IS NULL THEN 'x' WHEN {0} ~ '[0-9a-z]$' THEN left({0}, -1) || CASE right({0}, 1)"
    " WHEN '0' THEN '1' ELSE '0' END ELSE {0} || '0' END",
    "bigint": "coalesce({0}, 0) + 1",
    "smallint": "coalesce({0}, 0) + 1",
    "boolean": "NOT coalesce({0}, false)",
    "date": "coalesce({0}, '2026-01-01') + 1",
    "timestamp with time zone": "coalesce({0}, '2026-01-01Z') + interval '1 second'",
    "bytea": "CASE WHEN coalesce(length({0}), 0) = 0 THEN decode('00', 'hex')"
    " ELSE set_byte({0}, length({0}) - 1, get_byte({0}, length({0}) - 1) # 1) END",
    "jsonb": "CASE WHEN {0} IS NULL THEN '[1]'::jsonb WHEN jsonb_typeof({0}) = 'object'"
    """ THEN {0} || '{{"insider": 1}}' ELSE {0} || '["insider"]' END""",
}
ARRAYS: Final = {
    "roles": "{0} || 'holder'::text",
    "scopes": "'{{}}'::text[]",
    "ip_allow_list": "'{{}}'::text[]",
    "approval_hashes": "{0} || decode('00', 'hex')",
}


class Attack(NamedTuple):
    """One mutation: what it is called, its statement, and where the finding must be."""

    name: str
    statement: str
    table: str
    column: str


@pytest.fixture(scope="module")
def insider(lived: Bank) -> Iterator[Connection]:
    """A superuser's connection that obeys no trigger, key or check of the schema."""
    engine = sqlalchemy.create_engine(lived.urls.superuser_url, poolclass=sqlalchemy.NullPool)
    with engine.connect() as connection:
        with connection.begin():
            # Foreign keys and append-only guards are triggers; the rest is dropped, as an owner can.
            for table, constraint in connection.execute(
                text(
                    "SELECT conrelid::regclass::text, conname FROM pg_constraint"
                    " WHERE contype IN ('c', 'f') AND connamespace = 'public'::regnamespace"
                )
            ).all():
                connection.execute(text(f'ALTER TABLE {table} DROP CONSTRAINT "{constraint}"'))
            for index in (
                connection.execute(
                    text(
                        "SELECT indexrelid::regclass::text FROM pg_index WHERE indisunique AND NOT indisprimary"
                        " AND indrelid::regclass::text IN (SELECT relname FROM pg_class"
                        " WHERE relnamespace = 'public'::regnamespace)"
                    )
                )
                .scalars()
                .all()
            ):
                connection.execute(
                    text(f"ALTER TABLE {_table_of(connection, index)} DROP CONSTRAINT IF EXISTS {index}")
                )
                connection.execute(text(f"DROP INDEX IF EXISTS {index}"))
        yield connection


def _table_of(connection: Connection, index: str) -> str:
    return str(
        connection.execute(
            text("SELECT indrelid::regclass::text FROM pg_index WHERE indexrelid = CAST(:name AS regclass)"),
            {"name": index},
        ).scalar_one()
    )


@contextmanager
def undone(connection: Connection) -> Iterator[None]:
    transaction = connection.begin()
    try:
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        yield
    finally:
        transaction.rollback()


def found_by(connection: Connection, bank: Bank, *tables: str) -> Sequence[Finding]:
    return integrity.check(connection, DatabaseTiles(), bank.issuer_id, tables=tables).findings


def columns_of(connection: Connection, table: str) -> list[tuple[str, str]]:
    with undone(connection):
        return [(row[1], row[2]) for row in connection.execute(text(COLUMNS)) if row[0] == table]


def attacks_on(connection: Connection, table: str) -> list[Attack]:
    """Return every mutation of a table: each column altered and swapped, a row removed, a row added."""
    key = [column.name for column in metadata.tables[table].primary_key]
    # The oldest rows: what came after the seal is in its window.
    order = "ctid"
    made = [Attack("delete", f"DELETE FROM {table} WHERE ctid = {_row(table, order, 0)}", table, "*")]
    columns = columns_of(connection, table)
    names = [name for name, _ in columns]
    for name, kind in columns:
        if (table, name) in UNPROTECTED or (table, "*") in UNPROTECTED:
            continue
        if name in key and kind.endswith("int"):
            other = "{0} + 7000"
        elif kind == "ARRAY":
            other = ARRAYS.get(name) or "array_fill(1::bigint, ARRAY[25])"
        else:
            other = OTHER[kind]
        made.append(
            Attack(
                f"alter {name}",
                f"UPDATE {table} SET {name} = {other.format(name)} WHERE ctid = {_row(table, order, 0, name)}",
                table,
                name,
            )
        )
        if name not in key:
            made.append(
                Attack(
                    f"swap {name}",
                    f"UPDATE {table} t SET {name} = p.other FROM {_pair(table, order, name)} p WHERE t.ctid = p.at",
                    table,
                    name,
                )
            )
    added = ", ".join(_copied(metadata.tables[table], name, key) for name in names)
    made.append(
        Attack(
            "insert",
            f"INSERT INTO {table} ({', '.join(names)})"
            f" SELECT {added} FROM {table} WHERE ctid = {_row(table, order, 0)}",
            table,
            "*",
        )
    )
    return made


def _row(table: str, order: str, number: int, told: str | None = None) -> str:
    """Return a query for one row: one that has a value in a column, where there is any."""
    first = "" if told is None else f"({told} IS NULL), "
    return f"(SELECT ctid FROM {table} ORDER BY {first}{order} LIMIT 1 OFFSET {number})"


def _pair(table: str, order: str, column: str) -> str:
    """Return a query for two rows that differ in a column, each with the other's value."""
    differing = (
        f"SELECT a.ctid AS one, a.{column} AS of_one, b.ctid AS two, b.{column} AS of_two"
        f" FROM {table} a JOIN {table} b ON a.{column} IS DISTINCT FROM b.{column} AND a.ctid < b.ctid LIMIT 1"
    )
    return (
        f"(SELECT one AS at, of_two AS other FROM ({differing}) d"
        f" UNION ALL SELECT two, of_one FROM ({differing}) d)"
    )


def _copied(table: sqlalchemy.Table, name: str, key: Sequence[str]) -> str:
    """Return what a copied row has in a column: the same, but another key."""
    if name != key[-1]:
        return name
    kind = str(table.c[name].type)
    if kind in {"BIGINT", "SMALLINT"}:
        return f"{name} + 7000"
    return OTHER["bytea" if kind == "BYTEA" else "text"].format(name)


def is_told(found: Sequence[Finding], attack: Attack) -> bool:
    """Tell whether a finding names the table, and the column or the row."""
    key = {column.name for column in metadata.tables[attack.table].primary_key}
    # A row under another key is a row that is gone and one that is there: it is told wherever the table is named. So is
    # an event under another's signature, which verifies and says another index.
    anywhere = attack.column in key | {"*", "jws"}
    return any(
        finding.table == attack.table and (anywhere or finding.column in {attack.column, "*"})
        for finding in found
    )


@pytest.mark.slow
@pytest.mark.parametrize("table", TABLES)
def test_every_change_of_a_table_is_found_and_named(table: str, lived: Bank, insider: Connection) -> None:
    if class_of(metadata.tables[table]) == TableClass.EPHEMERAL or (table, "*") in UNPROTECTED:
        pytest.skip("ephemeral, or listed as uncovered")
    with undone(insider):
        assert found_by(insider, lived, table) == [], "the bank is honest before it is touched"
        assert insider.execute(text(f"SELECT count(*) FROM {table}")).scalar_one() > 0, (
            "there is nothing to attack"
        )
    unnoticed: list[Any] = []
    for attack in attacks_on(insider, table):
        with undone(insider):
            if insider.execute(text(attack.statement)).rowcount == 0:
                continue
            found = found_by(insider, lived, table)
        if not is_told(found, attack):
            unnoticed.append((attack.name, [str(one)[:160] for one in found[:3]]))
    assert unnoticed == []
