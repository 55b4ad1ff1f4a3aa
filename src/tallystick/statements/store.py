"""All SQL of imported statements and pushed figures. Rows are only ever added."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from itertools import islice
from typing import Final

from sqlalchemy import Connection

from tallystick.core.copy_text import NULL, copy_rows, escape
from tallystick.statements.records import (
    INTRADAY_TYPES,
    DepositBalance,
    Statement,
    StatementEntry,
    StatementFinding,
)

_BALANCE_COLUMNS: Final = ", ".join(DepositBalance.__slots__)
_INSERTED: Final = tuple(name for name in Statement.__slots__ if name not in ("completed_at", "abandoned_at"))
_SELECT: Final = f"""
SELECT {", ".join(f"s.{name}" for name in _INSERTED)}, c.completed_at, a.abandoned_at
FROM statement s
LEFT JOIN statement_completion c ON c.issuer_id = s.issuer_id AND c.statement_id = s.id
LEFT JOIN statement_abandonment a ON a.issuer_id = s.issuer_id AND a.statement_id = s.id
"""
_NOT_ABANDONED: Final = """NOT EXISTS (
    SELECT 1 FROM statement_abandonment a WHERE a.issuer_id = s.issuer_id AND a.statement_id = s.id
)"""
_ENTRY_COLUMNS: Final = ", ".join(StatementEntry._fields)
_ROWS_AT_ONCE: Final = 5_000
_FINDING_COLUMNS: Final = ", ".join(StatementFinding._fields)
#: End-of-day statements: what proves a balance.
_OF_DAYS: Final = f"s.message_type <> ALL ('{{{','.join(sorted(INTRADAY_TYPES))}}}')"
#: Beyond this it is no reference; the index leaves it out.
_REFERENCE_LENGTH_MAX: Final = 140
#: The order of an account's statements in time; the id stands for the order of import.
_ORDER: Final = "(coalesce(s.closed_on, '-infinity'), coalesce(s.sequence_number, 0), s.id)"


def add(connection: Connection, new: Statement) -> bool:
    """Insert and return True, or return False when the bank's id of it is taken."""
    added = connection.exec_driver_sql(
        f"""INSERT INTO statement ({", ".join(_INSERTED)}) VALUES ({", ".join(["%s"] * len(_INSERTED))})
            ON CONFLICT (issuer_id, bank_account, message_type, bank_statement_id) DO NOTHING""",
        tuple(getattr(new, name) for name in _INSERTED),
    )
    return added.rowcount == 1


def add_completions(
    connection: Connection, issuer_id: str, statement_ids: Sequence[str], completed_at: datetime
) -> None:
    connection.exec_driver_sql(
        """INSERT INTO statement_completion (issuer_id, statement_id, completed_at)
           SELECT %s, n.statement_id, %s FROM unnest(%s::text[]) AS n(statement_id)""",
        (issuer_id, completed_at, list(statement_ids)),
    )


def add_abandonment(
    connection: Connection,
    issuer_id: str,
    statement_id: str,
    abandoned_by: str,
    reason: str,
    abandoned_at: datetime,
) -> None:
    connection.exec_driver_sql(
        """INSERT INTO statement_abandonment (issuer_id, statement_id, abandoned_by, reason, abandoned_at)
           VALUES (%s, %s, %s, %s, %s)""",
        (issuer_id, statement_id, abandoned_by, reason, abandoned_at),
    )


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
        f"{_SELECT} WHERE s.issuer_id = %s AND s.id = %s",
        issuer_id,
        statement_id,
    )


def read_by_bank_id(
    connection: Connection, issuer_id: str, bank_account: str, message_type: str, bank_statement_id: str
) -> Statement | None:
    return _one(
        connection,
        f"""{_SELECT}
            WHERE s.issuer_id = %s AND s.bank_account = %s AND s.message_type = %s AND s.bank_statement_id = %s""",
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
        f"""{_SELECT}
            WHERE s.issuer_id = %s AND s.id > %s AND (%s::text IS NULL OR s.token_class_id = %s)
            ORDER BY s.id LIMIT %s""",
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
        f"""{_SELECT}
            WHERE s.issuer_id = %s AND s.token_class_id = %s AND {_OF_DAYS} AND c.completed_at IS NOT NULL
              AND (%s::timestamptz IS NULL OR c.completed_at <= %s)
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
        f"""{_SELECT}
            WHERE s.issuer_id = %s AND s.token_class_id = %s AND {_OF_DAYS} AND s.closing_minor IS NOT NULL
              AND c.completed_at IS NOT NULL AND (%s::timestamptz IS NULL OR c.completed_at <= %s)
            ORDER BY {_ORDER} DESC LIMIT 1""",
        issuer_id,
        token_class_id,
        imported_until,
        imported_until,
    )


def read_completed_since(connection: Connection, issuer_id: str, since: datetime) -> list[Statement]:
    return _all(
        connection,
        f"{_SELECT} WHERE s.issuer_id = %s AND c.completed_at >= %s ORDER BY s.id",
        issuer_id,
        since,
    )


def read_neighbour(connection: Connection, new: Statement, *, later: bool) -> Statement | None:
    """Return the statement of the same account with a closing balance right before `new`, or right behind it.

    It counts from when it was begun, for its balances are known from then on.
    """
    comparison, direction = (">", "ASC") if later else ("<", "DESC")
    return _one(
        connection,
        f"""{_SELECT}
            WHERE s.issuer_id = %s AND s.token_class_id = %s AND s.bank_account = %s AND {_OF_DAYS}
              AND a.abandoned_at IS NULL AND s.closing_minor IS NOT NULL
              AND {_ORDER} {comparison} (coalesce(%s::date, '-infinity'), %s, %s)
            ORDER BY {_ORDER} {direction} LIMIT 1""",
        new.issuer_id,
        new.token_class_id,
        new.bank_account,
        new.closed_on,
        new.sequence_number or 0,
        new.id,
    )


def read_previous_report(connection: Connection, new: Statement) -> Statement | None:
    """Return the report or notification of the same kind and account that was imported last before `new`."""
    return _one(
        connection,
        f"""{_SELECT}
            WHERE s.issuer_id = %s AND s.token_class_id = %s AND s.bank_account = %s AND s.message_type = %s
              AND s.id < %s AND a.abandoned_at IS NULL
            ORDER BY s.id DESC LIMIT 1""",
        new.issuer_id,
        new.token_class_id,
        new.bank_account,
        new.message_type,
        new.id,
    )


def read_last_day(connection: Connection, issuer_id: str, token_class_id: str, before_id: str) -> date | None:
    """Return the last day that the class's statements tell of, of those that were begun before `before_id`."""
    found: date | None = connection.exec_driver_sql(
        f"""SELECT s.closed_on FROM statement s
            WHERE s.issuer_id = %s AND s.token_class_id = %s AND s.closed_on IS NOT NULL AND s.id < %s AND {_OF_DAYS}
              AND {_NOT_ABANDONED}
            ORDER BY s.closed_on DESC, s.id DESC LIMIT 1""",
        (issuer_id, token_class_id, before_id),
    ).scalar()
    return found


def read_entry_counts(connection: Connection, issuer_id: str, statement_ids: Sequence[str]) -> dict[str, int]:
    """Return how many entries of each statement are in; they are written in their order, without gaps."""
    rows = connection.exec_driver_sql(
        """SELECT w.statement_id, last.entry_number
           FROM unnest(%s::text[]) AS w(statement_id)
           CROSS JOIN LATERAL (
               SELECT entry_number FROM statement_entry e
               WHERE e.issuer_id = %s AND e.statement_id = w.statement_id ORDER BY entry_number DESC LIMIT 1
           ) last""",
        (list(statement_ids), issuer_id),
    )
    return {row[0]: row[1] for row in rows}


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
) -> list[tuple[StatementEntry, bool]]:
    """Return the entries at these places, and of each whether it proves nothing.

    That is what a report or notification tells, or a statement that was abandoned.
    """
    rows = connection.exec_driver_sql(
        f"""SELECT NOT ({_OF_DAYS} AND {_NOT_ABANDONED}), {", ".join(f"e.{name}" for name in StatementEntry._fields)}
            FROM unnest(%s::text[], %s::bigint[]) AS w(statement_id, entry_number)
            JOIN statement_entry e ON e.issuer_id = %s AND e.statement_id = w.statement_id
                                  AND e.entry_number = w.entry_number
            JOIN statement s ON s.issuer_id = e.issuer_id AND s.id = e.statement_id""",
        ([place[0] for place in places], [place[1] for place in places], issuer_id),
    )
    return [(StatementEntry._make(row[1:]), row[0]) for row in rows]


def read_booked_since(
    connection: Connection,
    issuer_id: str,
    token_class_id: str,
    closed_since: date,
    bank_references: Sequence[str],
    statement_id: str,
) -> set[tuple[str, int, date | None]]:
    """Return reference, amount and booking date of the credits with one of these references since a day.

    Of end-of-day statements, and of the statement itself in any case.
    """
    rows = connection.exec_driver_sql(
        # One look into the index for each reference: a join might as well walk through every entry of a statement.
        f"""SELECT e.bank_reference, e.amount_minor, e.booking_date
            FROM unnest(%s::text[]) AS w(bank_reference)
            CROSS JOIN LATERAL (
                SELECT bank_reference, amount_minor, booking_date, statement_id FROM statement_entry
                WHERE issuer_id = %s AND bank_reference = w.bank_reference AND length(bank_reference) <= 140
                  AND booked AND credit
                OFFSET 0
            ) e
            JOIN statement s ON s.issuer_id = %s AND s.id = e.statement_id
            WHERE s.token_class_id = %s AND {_OF_DAYS} AND (s.closed_on >= %s OR s.id = %s)
              AND {_NOT_ABANDONED}""",
        (
            [one for one in bank_references if len(one) <= _REFERENCE_LENGTH_MAX],
            issuer_id,
            issuer_id,
            token_class_id,
            closed_since,
            statement_id,
        ),
    )
    return {(row[0], row[1], row[2]) for row in rows}


def read_finding_counts(connection: Connection, issuer_id: str, statement_id: str) -> dict[str, int]:
    """Return how many findings of each code are kept of a statement; they are numbered without gaps."""
    rows = connection.exec_driver_sql(
        "SELECT code, count(*) FROM statement_finding WHERE issuer_id = %s AND statement_id = %s GROUP BY code",
        (issuer_id, statement_id),
    )
    return {row[0]: row[1] for row in rows}


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


def add_deposit_balance(connection: Connection, new: DepositBalance) -> bool:
    """Insert and return True, or return False when the source has told a figure under this reference."""
    added = connection.exec_driver_sql(
        f"""INSERT INTO deposit_balance ({_BALANCE_COLUMNS})
            VALUES ({", ".join(["%s"] * len(DepositBalance.__slots__))})
            ON CONFLICT (issuer_id, source, source_reference) DO NOTHING""",
        tuple(getattr(new, name) for name in DepositBalance.__slots__),
    )
    return added.rowcount == 1


def read_deposit_balance_of_source(
    connection: Connection, issuer_id: str, source: str, source_reference: str
) -> DepositBalance:
    row = connection.exec_driver_sql(
        f"""SELECT {_BALANCE_COLUMNS} FROM deposit_balance
            WHERE issuer_id = %s AND source = %s AND source_reference = %s""",
        (issuer_id, source, source_reference),
    ).one()
    return DepositBalance(*row)


def read_deposit_balance(
    connection: Connection, issuer_id: str, deposit_balance_id: str
) -> DepositBalance | None:
    row = connection.exec_driver_sql(
        f"SELECT {_BALANCE_COLUMNS} FROM deposit_balance WHERE issuer_id = %s AND id = %s",
        (issuer_id, deposit_balance_id),
    ).one_or_none()
    return None if row is None else DepositBalance(*row)


def read_deposit_balances(
    connection: Connection,
    issuer_id: str,
    token_class_id: str | None,
    account_id: str | None,
    after: str,
    limit: int,
) -> list[DepositBalance]:
    rows = connection.exec_driver_sql(
        f"""SELECT {_BALANCE_COLUMNS} FROM deposit_balance
            WHERE issuer_id = %s AND id > %s AND (%s::text IS NULL OR token_class_id = %s)
              AND (%s::text IS NULL OR account_id = %s)
            ORDER BY id LIMIT %s""",
        (issuer_id, after, token_class_id, token_class_id, account_id, account_id, limit),
    )
    return [DepositBalance(*row) for row in rows]


def read_latest_deposit_balance(
    connection: Connection,
    issuer_id: str,
    token_class_id: str,
    kind: str,
    until: datetime,
    recorded_until: datetime,
) -> DepositBalance | None:
    row = connection.exec_driver_sql(
        f"""SELECT {_BALANCE_COLUMNS} FROM deposit_balance
            WHERE issuer_id = %s AND token_class_id = %s AND account_id IS NULL AND kind = %s AND as_of <= %s
              AND recorded_at <= %s
            ORDER BY as_of DESC, id DESC LIMIT 1""",
        (issuer_id, token_class_id, kind, until, recorded_until),
    ).one_or_none()
    return None if row is None else DepositBalance(*row)


def read_last_recorded(connection: Connection, issuer_id: str) -> dict[str, datetime]:
    rows = connection.exec_driver_sql(
        """SELECT c.id, (SELECT max(d.recorded_at) FROM deposit_balance d
                         WHERE d.issuer_id = c.issuer_id AND d.token_class_id = c.id
                           AND (d.kind = 'balance') = (d.account_id IS NULL))
           FROM token_class c WHERE c.issuer_id = %s""",
        (issuer_id,),
    )
    return {class_id: recorded_at for class_id, recorded_at in rows if recorded_at is not None}


def read_holds(
    connection: Connection, issuer_id: str, token_class_id: str, after: str, limit: int
) -> list[DepositBalance]:
    rows = connection.exec_driver_sql(
        f"""SELECT {_BALANCE_COLUMNS} FROM deposit_balance
            WHERE issuer_id = %s AND id > %s AND token_class_id = %s AND account_id IS NOT NULL AND kind = 'hold'
            ORDER BY id LIMIT %s""",
        (issuer_id, after, token_class_id, limit),
    )
    return [DepositBalance(*row) for row in rows]


def read_holds_of_account(
    connection: Connection, issuer_id: str, token_class_id: str, account_id: str
) -> list[DepositBalance]:
    rows = connection.exec_driver_sql(
        f"""SELECT {_BALANCE_COLUMNS} FROM deposit_balance
            WHERE issuer_id = %s AND token_class_id = %s AND account_id = %s AND kind = 'hold'
            ORDER BY as_of, source, source_reference""",
        (issuer_id, token_class_id, account_id),
    )
    return [DepositBalance(*row) for row in rows]


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
        f"\t{row.deposit_id or NULL}\t{row.matched_by or NULL}\t{escape(row.return_reason)}"
    )
