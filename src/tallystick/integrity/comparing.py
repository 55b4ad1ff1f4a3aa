"""One table against what the log says that it holds: the database compares, and only differences come back."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection, text

from tallystick.core.database import streamed
from tallystick.integrity.records import NO_ROW, ROW, WHOLE_ROW, Finding

__all__ = ["Expectation", "compare"]

# What was signed, as JSON: the middle segment of each event's JWS, which `signed.log` verifies and holds the row's own
# columns against. OFFSET 0 keeps each step from being done again for every column that reads it.
_PAYLOAD: Final = """
signed AS MATERIALIZED (
    SELECT event_index, type, p, booked_at
    FROM (
        SELECT event_index, type, booked_at, convert_from(decode(
                   segment || repeat('=', (4 - octet_length(segment) % 4) % 4), 'base64'), 'UTF8')::jsonb AS p
        FROM (
            SELECT event_index, type, booked_at,
                   replace(replace(split_part(jws, '.', 2), '-', '+'), '_', '/') AS segment
            FROM event WHERE issuer_id = :issuer_id AND type LIKE ANY (CAST(:event_types AS text[])) OFFSET 0
        ) segments OFFSET 0
    ) payloads
)
"""
# Every event.
_ANY: Final = ("%",)


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a table must hold. `expected` is a SELECT of its key and these columns, under those names.

    It may read `signed` (event_index, type, p, booked_at; events whose type is like one of `types`) and the WITH
    queries of `given`. `found` says how a column
    is read where it is not simply read; `where` which of the table's rows are meant; `source` a SELECT to read `t` from
    where the table's rows have to be joined or summed up first.
    """

    table: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    expected: str
    given: str = ""
    found: Mapping[str, str] = field(default_factory=dict)
    where: str = "true"
    source: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    types: tuple[str, ...] = _ANY


def compare(connection: Connection, issuer_id: str, expectation: Expectation) -> Iterator[Finding]:
    """Yield each row that is missing or one too many, and each column that differs, in constant memory."""
    of, table = expectation, expectation.table
    key = " || '/' || ".join(f"{name}::text" for name in of.key)
    found_key = " || '/' || ".join(f"t.{name}::text" for name in of.key)
    named = {name: of.found.get(name, f"t.{name}") for name in of.columns}
    columns = "".join(f", ('{name}', CAST(e.{name} AS text), CAST(f.{name} AS text))" for name in of.columns)
    found = "".join(f", {expression} AS {name}" for name, expression in named.items())
    statement = f"""
        WITH {_PAYLOAD},{of.given}{of.given and ","}
        expected AS (SELECT {key} AS record_key, x.* FROM ({of.expected}) x),
        found AS (
            SELECT {found_key} AS record_key{found}
            FROM {(of.source and f"({of.source})") or table} t WHERE t.issuer_id = :issuer_id AND {of.where}
        )
        SELECT coalesce(e.record_key, f.record_key), v.name, v.expected, v.found
        FROM expected e FULL JOIN found f ON f.record_key = e.record_key
        CROSS JOIN LATERAL (VALUES
            ('{WHOLE_ROW}', CASE WHEN e.record_key IS NULL THEN '{NO_ROW}' ELSE '{ROW}' END,
                            CASE WHEN f.record_key IS NULL THEN '{NO_ROW}' ELSE '{ROW}' END){columns}
        ) AS v(name, expected, found)
        WHERE v.expected IS DISTINCT FROM v.found
          AND (v.name = '{WHOLE_ROW}' OR e.record_key IS NOT NULL AND f.record_key IS NOT NULL)
        ORDER BY 1, 2
    """
    given = {"issuer_id": issuer_id, "event_types": list(of.types), **of.parameters}
    if "signed" not in f"{of.given}{of.expected}{of.found}":
        statement = statement.replace(f"{_PAYLOAD},", "", 1)
        del given["event_types"]
    with streamed(connection, text(statement), given) as rows:
        for row in rows:
            yield Finding(table, *row)
