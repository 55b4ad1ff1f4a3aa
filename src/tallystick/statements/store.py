"""All SQL of imported statements. Statements, entries and findings are only ever added."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from itertools import islice
from typing import Final

from sqlalchemy import Connection

from tallystick.core.copy_text import NULL, copy_rows, escape
from tallystick.statements.records import Statement, StatementEntry, StatementFinding

_COLUMNS: Final = ", ".join(Statement.__slots__)
_ENTRY_COLUMNS: Final = ", ".join(StatementEntry._fields)
_ROWS_AT_ONCE: Final = 5_000
_FINDING_COLUMNS: Final = ", ".join(StatementFinding._fields)
#: The order of an account's statements in time; the id stands for the order of import.
_ORDER: Final = "(coalesce(closed_on, '-infinity'), coalesce(sequence_number, 0), id)"


def add(connection: Connection, new: Statement) -> bool:
    """Insert and return True, or return False when the bank's id of it is taken."""
    added = connection.exec_driver_sql(
        f"""INSERT INTO statement ({_COLUMNS}) VALUES ({", ".join(["%s"] * len(Statement.__slots__))})
            ON CONFLICT (issuer_id, bank_account, message_type, bank_statement_id) DO NOTHING""",
        tuple(getattr(new, name) for name in Statement.__slots__),
    )
    return added.rowcount == 1


def insert_entries(connection: Connection, issuer_id: str, rows: Iterable[StatementEntry]) -> None:
    lines = (_entry_line(issuer_id, row) for row in rows)
    while block := list(islice(lines, _ROWS_AT_ONCE)):
        copy_rows(connection, f"statement_entry (issuer_id, {_ENTRY_COLUMNS})", block)


def insert_findings(connection: Connection, issuer_id: str, rows: Iterable[StatementFinding]) -> None:
    copy_rows(
        connection,
        f"statement_finding (issuer_id, {_FINDING_COLUMNS})",
        [
            f"{issuer_id}\t{statement_id}\t{number}\t{code}\t{severity}\t{escape(location)}\t{escape(message)}"
            for statement_id, number, code, severity, location, message in rows
        ],
    )


def read_statement(connection: Connection, issuer_id: str, statement_id: str) -> Statement | None:
    return _one(
        connection,
        f"SELECT {_COLUMNS} FROM statement WHERE issuer_id = %s AND id = %s",
        issuer_id,
        statement_id,
    )


def read_by_bank_id(
    connection: Connection, issuer_id: str, bank_account: str, message_type: str, bank_statement_id: str
) -> Statement | None:
    return _one(
        connection,
        f"""SELECT {_COLUMNS} FROM statement
            WHERE issuer_id = %s AND bank_account = %s AND message_type = %s AND bank_statement_id = %s""",
        issuer_id,
        bank_account,
        message_type,
        bank_statement_id,
    )


def read_statements(
    connection: Connection, issuer_id: str, token_class_id: str | None, after: str, limit: int
) -> list[Statement]:
    return _all(
        connection,
        f"""SELECT {_COLUMNS} FROM statement
            WHERE issuer_id = %s AND id > %s AND (%s::text IS NULL OR token_class_id = %s)
            ORDER BY id LIMIT %s""",
        issuer_id,
        after,
        token_class_id,
        token_class_id,
        limit,
    )


def read_in_order(
    connection: Connection, issuer_id: str, token_class_id: str, imported_until: datetime | None
) -> list[Statement]:
    return _all(
        connection,
        f"""SELECT {_COLUMNS} FROM statement
            WHERE issuer_id = %s AND token_class_id = %s AND (%s::timestamptz IS NULL OR imported_at <= %s)
            ORDER BY {_ORDER}""",
        issuer_id,
        token_class_id,
        imported_until,
        imported_until,
    )


def read_latest_closed(
    connection: Connection, issuer_id: str, token_class_id: str, imported_until: datetime | None
) -> Statement | None:
    return _one(
        connection,
        f"""SELECT {_COLUMNS} FROM statement
            WHERE issuer_id = %s AND token_class_id = %s AND closing_minor IS NOT NULL
              AND (%s::timestamptz IS NULL OR imported_at <= %s)
            ORDER BY {_ORDER} DESC LIMIT 1""",
        issuer_id,
        token_class_id,
        imported_until,
        imported_until,
    )


def read_neighbour(connection: Connection, new: Statement, *, later: bool) -> Statement | None:
    """Return the statement of the same account with a closing balance right before `new`, or right behind it."""
    comparison, direction = (">", "ASC") if later else ("<", "DESC")
    return _one(
        connection,
        f"""SELECT {_COLUMNS} FROM statement
            WHERE issuer_id = %s AND token_class_id = %s AND bank_account = %s AND closing_minor IS NOT NULL
              AND {_ORDER} {comparison} (coalesce(%s::date, '-infinity'), %s, %s)
            ORDER BY {_ORDER} {direction} LIMIT 1""",
        new.issuer_id,
        new.token_class_id,
        new.bank_account,
        new.closed_on,
        new.sequence_number or 0,
        new.id,
    )


def read_entries(
    connection: Connection, issuer_id: str, statement_id: str, after: int, limit: int
) -> list[StatementEntry]:
    rows = connection.exec_driver_sql(
        f"""SELECT {_ENTRY_COLUMNS} FROM statement_entry
            WHERE issuer_id = %s AND statement_id = %s AND entry_number > %s ORDER BY entry_number LIMIT %s""",
        (issuer_id, statement_id, after, limit),
    )
    return [StatementEntry._make(row) for row in rows]


def read_entries_at(
    connection: Connection, issuer_id: str, places: Sequence[tuple[str, int]]
) -> list[StatementEntry]:
    rows = connection.exec_driver_sql(
        f"""SELECT {", ".join(f"e.{name}" for name in StatementEntry._fields)}
            FROM unnest(%s::text[], %s::bigint[]) AS w(statement_id, entry_number)
            JOIN statement_entry e ON e.issuer_id = %s AND e.statement_id = w.statement_id
                                  AND e.entry_number = w.entry_number""",
        ([place[0] for place in places], [place[1] for place in places], issuer_id),
    )
    return [StatementEntry._make(row) for row in rows]


def read_confirmed_by_hand(
    connection: Connection, issuer_id: str, deposit_ids: Sequence[str]
) -> list[StatementEntry]:
    rows = connection.exec_driver_sql(
        f"""SELECT {_ENTRY_COLUMNS} FROM statement_entry
            WHERE issuer_id = %s AND deposit_id = ANY(%s) AND matched_by = 'confirmed_by_hand'""",
        (issuer_id, list(deposit_ids)),
    )
    return [StatementEntry._make(row) for row in rows]


def read_booked_since(
    connection: Connection,
    issuer_id: str,
    token_class_id: str,
    closed_since: date,
    bank_references: Sequence[str],
) -> set[tuple[str, int, date | None]]:
    """Return reference, amount and booking date of the credits with one of these references since a day."""
    rows = connection.exec_driver_sql(
        """SELECT e.bank_reference, e.amount_minor, e.booking_date
           FROM statement s
           JOIN statement_entry e ON e.issuer_id = s.issuer_id AND e.statement_id = s.id
           WHERE s.issuer_id = %s AND s.token_class_id = %s AND s.closed_on >= %s
             AND e.booked AND e.credit AND e.bank_reference = ANY(%s)""",
        (issuer_id, token_class_id, closed_since, list(bank_references)),
    )
    return {(row[0], row[1], row[2]) for row in rows}


def read_findings(
    connection: Connection, issuer_id: str, statement_id: str, after: int, limit: int
) -> list[StatementFinding]:
    rows = connection.exec_driver_sql(
        f"""SELECT {_FINDING_COLUMNS} FROM statement_finding
            WHERE issuer_id = %s AND statement_id = %s AND finding_number > %s
            ORDER BY finding_number LIMIT %s""",
        (issuer_id, statement_id, after, limit),
    )
    return [StatementFinding._make(row) for row in rows]


def _one(connection: Connection, query: str, *values: object) -> Statement | None:
    found = _all(connection, query, *values)
    return found[0] if found else None


def _all(connection: Connection, query: str, *values: object) -> list[Statement]:
    return [
        Statement(
            **{**row._mapping, "content_hash": bytes(row.content_hash), "file_hash": bytes(row.file_hash)}
        )
        for row in connection.exec_driver_sql(query, values)
    ]


def _entry_line(issuer_id: str, row: StatementEntry) -> str:
    return (
        f"{issuer_id}\t{row.statement_id}\t{row.entry_number}\t{row.amount_minor}\t{row.credit}\t{row.booked}"
        f"\t{row.reversal}\t{row.booking_date or NULL}\t{row.value_date or NULL}"
        f"\t{escape(row.bank_reference)}\t{escape(row.end_to_end_id)}\t{escape(row.uetr)}"
        f"\t{escape(row.counterparty_name)}\t{escape(row.counterparty_account)}\t{escape(row.remittance)}"
        f"\t{row.deposit_id or NULL}\t{row.matched_by or NULL}"
    )
