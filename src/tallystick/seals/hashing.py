"""How a record is hashed: in the database, column by column, so that a difference can be named and nothing travels.

Of a record each column is hashed by itself: the first 16 bytes of the SHA-256 over the SHA-256 of the column's text in
each of the record's rows, in the order of the table's key. The text is PostgreSQL's own (`column::text`, in UTC) behind
a byte 01; NULL is hashed as nothing. Most records are one row. What never changes and is much is taken together: the
entries of a statement, or a thousand numbers of a log.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Table, text
from sqlalchemy.dialects.postgresql import BYTEA

from tallystick.core.database import SERVICE_ROLE, metadata
from tallystick.core.table_classes import Sealing, sealing_of

__all__ = ["HASH_SIZE_BYTES", "SPAN_SIZE", "Part", "parts", "prepare_session", "split_hashes"]

HASH_SIZE_BYTES: Final = 16
SPAN_SIZE: Final = 1_000

# What text a value has must not depend on who asks.
_SESSION: Final = (
    "SET LOCAL TimeZone = 'UTC'",
    "SET LOCAL DateStyle = 'ISO, YMD'",
    "SET LOCAL bytea_output = 'hex'",
    "SET LOCAL extra_float_digits = 1",
    # Whole tables are read here, on purpose.
    "SET LOCAL enable_seqscan = on",
    # To compile these statements would take longer than they do.
    "SET LOCAL jit = off",
)
_CHANGEABLE: Final = """
SELECT a.attname FROM pg_attribute a
WHERE a.attrelid = CAST(:table_name AS regclass) AND a.attnum > 0 AND NOT a.attisdropped
  AND has_column_privilege(CAST(:role AS text), a.attrelid, a.attnum, 'UPDATE')
"""
# Moments that tell when a row was made.
_MADE_AT: Final = (
    "created_at",
    "opened_at",
    "recorded_at",
    "imported_at",
    "screened_at",
    "decided_at",
    "done_at",
    "completed_at",
    "answered_at",
    "signed_at",
    "cosigned_at",
    "added_at",
    "attested_at",
    "booked_at",
    "made_at",
    "produced_at",
    "set_at",
    "taken_in_at",
)


class Part(NamedTuple):
    """Records of a table that are sealed alike: its rows, groups of them, or spans along a number.

    `name` is how the seal calls the part; `columns` are hashed, in this order; of these, `changeable` may change by
    right. `records` is the SELECT of record_key, column_hashes and made_at (NULL where no column tells) of the
    issuer's present records, with `{where}` for further conditions on the row `t`.
    """

    name: str
    table: str
    columns: tuple[str, ...]
    changeable: frozenset[str]
    key: str
    records: str
    along: str | None


def prepare_session(connection: Connection) -> None:
    """Let every value have the one text that is hashed, until the transaction ends."""
    for statement in _SESSION:
        connection.exec_driver_sql(statement)


def parts(connection: Connection, tables: Sequence[str] | None = None) -> list[Part]:
    """Return what is sealed, by name; of these tables alone if any are given."""
    found = []
    for name, table in sorted(metadata.tables.items()):
        sealing = sealing_of(table)
        if sealing is not None and (tables is None or name in tables):
            changeable = frozenset(
                connection.execute(text(_CHANGEABLE), {"table_name": name, "role": SERVICE_ROLE}).scalars()
            )
            found += _parts_of(table, sealing, changeable)
    return found


def split_hashes(hashes: bytes) -> list[bytes]:
    """Return the hash of each column."""
    return [hashes[start : start + HASH_SIZE_BYTES] for start in range(0, len(hashes), HASH_SIZE_BYTES)]


def _parts_of(table: Table, sealing: Sealing, changeable: frozenset[str]) -> list[Part]:
    key = [str(column.name) for column in table.primary_key if column.name != "issuer_id"] or ["issuer_id"]
    every = tuple(
        str(column.name)
        for column in table.columns
        if column.name not in sealing.left_out and (column.name != "issuer_id" or key == ["issuer_id"])
    )
    still = tuple(name for name in every if name not in changeable or name in sealing.also)
    if sealing.together:
        return [_groups(table, sealing, key, still)]
    if sealing.along is None:
        return [_rows(table, str(table.name), key, every, changeable)]
    spans = _spans(table, sealing.along, key, still)
    if not table.c[sealing.along].nullable:
        return [spans]
    rows = _rows(table, f"{table.name} without {sealing.along}", key, every, changeable)
    return [spans, rows._replace(along=sealing.along)]


def _rows(
    table: Table, name: str, key: list[str], columns: tuple[str, ...], changeable: frozenset[str]
) -> Part:
    key_text = _key_text(table, key)
    records = _select(table, key_text, columns, key, group_by=", ".join(f"t.{one}" for one in key))
    return Part(name, str(table.name), columns, changeable, key_text, records, None)


def _groups(table: Table, sealing: Sealing, key: list[str], columns: tuple[str, ...]) -> Part:
    together = list(sealing.together)
    key_text = _key_text(table, together)
    condition = ""
    if sealing.complete_by is not None:
        same = " AND ".join(f"c.{one} = t.{one}" for one in ("issuer_id", *together))
        condition = f" AND EXISTS (SELECT 1 FROM {sealing.complete_by} c WHERE {same})"
    records = _select(
        table, key_text, columns, key, group_by=", ".join(f"t.{one}" for one in together), where=condition
    )
    return Part(str(table.name), str(table.name), columns, frozenset(), key_text, records, None)


def _spans(table: Table, along: str, key: list[str], columns: tuple[str, ...]) -> Part:
    # `s` are spans, told by the caller; a row outside of all of them is a record by itself.
    key_text = f"coalesce(s.record_key, t.{along}::text)"
    records = _select(
        table,
        key_text,
        columns,
        key,
        group_by="1",
        source=(
            f"{table.name} t LEFT JOIN spans s ON s.chunk = t.{along} / {SPAN_SIZE}"
            f" AND t.{along} BETWEEN s.first AND s.last"
        ),
    )
    return Part(str(table.name), str(table.name), columns, frozenset(), f"t.{along}::text", records, along)


def _select(
    table: Table,
    key_text: str,
    columns: Sequence[str],
    key: Sequence[str],
    *,
    group_by: str,
    where: str = "",
    source: str | None = None,
) -> str:
    order = ", ".join(f"t.{one}" for one in key)
    hashes = " || ".join(
        f"substr(sha256(string_agg({_hash(column)}, ''::bytea ORDER BY {order})), 1, {HASH_SIZE_BYTES})"
        for column in columns
    )
    made_at = next((name for name in _MADE_AT if name in table.c), None)
    told = "NULL::timestamptz" if made_at is None else f"max(t.{made_at})"
    return (
        f"SELECT {key_text} AS record_key, {hashes} AS column_hashes, {told} AS made_at "
        f"FROM {source or f'{table.name} t'} WHERE t.issuer_id = :issuer_id{where}{{where}} GROUP BY {group_by}"
    )


def _hash(column: str) -> str:
    value = f't."{column}"'
    return (
        f"sha256(CASE WHEN {value} IS NULL THEN ''::bytea"
        f" ELSE decode('01', 'hex') || convert_to({value}::text, 'UTF8') END)"
    )


def _key_text(table: Table, key: Sequence[str]) -> str:
    def as_text(name: str) -> str:
        kind: Any = table.c[name].type
        return f"encode(t.{name}, 'hex')" if isinstance(kind, BYTEA) else f"t.{name}::text"

    return " || '/' || ".join(as_text(name) for name in key)
