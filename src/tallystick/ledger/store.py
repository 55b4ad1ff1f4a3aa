"""All SQL of the books. Balances are locked in the order of their ids, so that no two batches wait for each other."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, Final

import psycopg
from sqlalchemy import Connection

from tallystick.core.arrays import BigintArray, IdArray, TextArray
from tallystick.core.pipeline import Asked, Pipeline
from tallystick.ledger.book import Balance, Book, Line
from tallystick.ledger.records import EntryLine, LedgerAccount, Position, TrialBalanceRow

_LOCK: Final = """
SELECT id, code, currency, balance_minor, version FROM ledger_account
WHERE issuer_id = %s AND id = ANY(%s) ORDER BY id FOR UPDATE
"""
_OPEN: Final = """
INSERT INTO ledger_account (issuer_id, id, code, token_class_id, currency, account_id, balance_minor, version)
VALUES (%s, %s, %s, %s, %s, %s, 0, 0)
"""
_WRITE_BALANCES: Final = """
UPDATE ledger_account a SET balance_minor = n.balance_minor, version = n.version, last_event_index = n.event_index
FROM unnest(%s, %s, %s, %s, %s)
     AS n(id, balance_minor, version, previous_version, event_index)
WHERE a.issuer_id = %s AND a.id = n.id AND a.version = n.previous_version
"""
_WRITE_LINES: Final = """
INSERT INTO journal_line (issuer_id, booked_at, event_index, line_number, ledger_account_id, currency, debit_minor,
                          credit_minor, previous_balance_minor, balance_minor, account_version, value_date)
SELECT %s, %s, n.event_index, n.line_number, n.ledger_account_id, n.currency, n.debit_minor,
       n.credit_minor, n.previous_balance_minor, n.balance_minor, n.account_version, n.value_date::date
FROM unnest(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
     AS n(event_index, line_number, ledger_account_id, currency, debit_minor, credit_minor, previous_balance_minor,
          balance_minor, account_version, value_date)
"""

_SELECT_ACCOUNT: Final = """
SELECT id, code, token_class_id, currency, account_id, balance_minor, version, last_event_index FROM ledger_account
"""
_SELECT_LINE: Final = """
SELECT event_index, line_number, ledger_account_id, currency, debit_minor, credit_minor, previous_balance_minor,
       balance_minor, account_version, booked_at, value_date FROM journal_line
"""
# One row per account whatever its age: the last line at or before the index.
_POSITIONS: Final = """
SELECT i.id, last.balance_minor, first.booked_at, last.event_index
FROM unnest(%s::text[]) AS i(id)
CROSS JOIN LATERAL (
    SELECT booked_at FROM journal_line j WHERE j.issuer_id = %s AND j.ledger_account_id = i.id
    ORDER BY j.event_index, j.line_number LIMIT 1
) first
CROSS JOIN LATERAL (
    SELECT balance_minor, event_index FROM journal_line j
    WHERE j.issuer_id = %s AND j.ledger_account_id = i.id AND j.event_index <= %s
    ORDER BY j.event_index DESC, j.line_number DESC LIMIT 1
) last
"""
_TRIAL_BALANCE: Final = """
SELECT a.id, a.code, a.token_class_id, a.currency, a.account_id, COALESCE(l.balance_minor, 0)
FROM ledger_account a
LEFT JOIN LATERAL (
    SELECT balance_minor FROM journal_line j
    WHERE j.issuer_id = a.issuer_id AND j.ledger_account_id = a.id AND j.event_index <= %s
    ORDER BY j.event_index DESC, j.line_number DESC LIMIT 1
) l ON true
WHERE a.issuer_id = %s AND a.token_class_id = %s
ORDER BY a.code, a.id
"""


def open_accounts(
    connection: Connection, issuer_id: str, rows: Iterable[tuple[str, str, str, str, str | None]]
) -> None:
    connection.exec_driver_sql(_OPEN, [(issuer_id, *row) for row in rows])


def lock(pipeline: Pipeline, issuer_id: str, ledger_account_ids: Iterable[str]) -> Asked[Book]:
    return pipeline.ask(_LOCK, (issuer_id, TextArray(list(ledger_account_ids))), _read_book)


def write_lines(pipeline: Pipeline, issuer_id: str, lines: Sequence[Line], booked_at: datetime) -> None:
    columns = list(zip(*lines, strict=True))
    pipeline.tell(
        _WRITE_LINES,
        (
            issuer_id,
            booked_at,
            BigintArray(columns[0]),
            BigintArray(columns[1]),
            IdArray(columns[2]),
            IdArray(columns[3]),
            BigintArray(columns[4]),
            BigintArray(columns[5]),
            BigintArray(columns[6]),
            BigintArray(columns[7]),
            BigintArray(columns[8]),
            IdArray([value_date.isoformat() for value_date in columns[9]]),
        ),
    )


def write_balances(pipeline: Pipeline, issuer_id: str, touched: Sequence[tuple[str, Balance]]) -> Asked[int]:
    return pipeline.tell(
        _WRITE_BALANCES,
        (
            IdArray([account_id for account_id, _ in touched]),
            BigintArray([balance.balance_minor for _, balance in touched]),
            BigintArray([balance.version for _, balance in touched]),
            BigintArray([balance.version_before for _, balance in touched]),
            BigintArray([balance.last_event_index for _, balance in touched]),
            issuer_id,
        ),
    )


def read_accounts(
    connection: Connection,
    issuer_id: str,
    *,
    token_class_id: str | None,
    account_id: str | None,
    code: str | None,
    after: str,
    limit: int,
) -> list[LedgerAccount]:
    rows = connection.exec_driver_sql(
        _SELECT_ACCOUNT
        + """WHERE issuer_id = %s AND id > %s AND (%s::text IS NULL OR token_class_id = %s)
             AND (%s::text IS NULL OR account_id = %s) AND (%s::text IS NULL OR code = %s) ORDER BY id LIMIT %s""",
        (issuer_id, after, token_class_id, token_class_id, account_id, account_id, code, code, limit),
    )
    return [LedgerAccount(*row) for row in rows]


def read_book(connection: Connection, issuer_id: str, ledger_account_ids: Sequence[str]) -> Book:
    rows = connection.exec_driver_sql(
        """SELECT id, code, currency, balance_minor, version FROM ledger_account
           WHERE issuer_id = %s AND id = ANY(%s)""",
        (issuer_id, list(ledger_account_ids)),
    )
    return Book({row[0]: Balance(*row[1:]) for row in rows})


def read_sum(connection: Connection, issuer_id: str, token_class_id: str, codes: Sequence[str]) -> int:
    return int(
        connection.exec_driver_sql(
            """SELECT COALESCE(sum(balance_minor), 0) FROM ledger_account
               WHERE issuer_id = %s AND token_class_id = %s AND code = ANY(%s)""",
            (issuer_id, token_class_id, list(codes)),
        ).scalar_one()
    )


def read_balances(
    connection: Connection, issuer_id: str, ledger_account_ids: Sequence[str]
) -> dict[str, int]:
    rows = connection.exec_driver_sql(
        "SELECT id, balance_minor FROM ledger_account WHERE issuer_id = %s AND id = ANY(%s)",
        (issuer_id, list(ledger_account_ids)),
    )
    return {row[0]: row[1] for row in rows}


def read_positions(
    connection: Connection, issuer_id: str, ledger_account_ids: Sequence[str], event_index: int
) -> list[Position]:
    rows = connection.exec_driver_sql(
        _POSITIONS, (list(ledger_account_ids), issuer_id, issuer_id, event_index)
    )
    return [Position(*row) for row in rows]


def read_trial_balance(
    connection: Connection, issuer_id: str, token_class_id: str, event_index: int
) -> list[TrialBalanceRow]:
    rows = connection.exec_driver_sql(_TRIAL_BALANCE, (event_index, issuer_id, token_class_id))
    return [TrialBalanceRow(*row) for row in rows]


def read_lines_of_accounts(
    connection: Connection,
    issuer_id: str,
    ledger_account_ids: Sequence[str],
    *,
    before: tuple[int, int],
    limit: int,
) -> list[EntryLine]:
    rows = connection.exec_driver_sql(
        _SELECT_LINE
        + """WHERE issuer_id = %s AND ledger_account_id = ANY(%s) AND (event_index, line_number) < (%s, %s)
             ORDER BY event_index DESC, line_number DESC LIMIT %s""",
        (issuer_id, list(ledger_account_ids), *before, limit),
    )
    return [EntryLine(*row) for row in rows]


def read_entry_lines(
    connection: Connection, issuer_id: str, first_index: int, last_index: int
) -> list[EntryLine]:
    rows = connection.exec_driver_sql(
        _SELECT_LINE
        + "WHERE issuer_id = %s AND event_index BETWEEN %s AND %s ORDER BY event_index, line_number",
        (issuer_id, first_index, last_index),
    )
    return [EntryLine(*row) for row in rows]


def read_lines_at(
    connection: Connection, issuer_id: str, ledger_account_ids: Sequence[str], indexes: Sequence[int]
) -> list[EntryLine]:
    rows = connection.exec_driver_sql(
        _SELECT_LINE + "WHERE issuer_id = %s AND event_index = ANY(%s) AND ledger_account_id = ANY(%s)"
        " ORDER BY event_index, line_number",
        (issuer_id, list(indexes), list(ledger_account_ids)),
    )
    return [EntryLine(*row) for row in rows]


def count_lines(connection: Connection, issuer_id: str, first_index: int, last_index: int) -> int:
    count: int = connection.exec_driver_sql(
        "SELECT count(*) FROM journal_line WHERE issuer_id = %s AND event_index BETWEEN %s AND %s",
        (issuer_id, first_index, last_index),
    ).scalar_one()
    return count


def read_touching_indexes(
    connection: Connection, issuer_id: str, ledger_account_ids: Sequence[str], after_index: int, limit: int
) -> list[int]:
    rows = connection.exec_driver_sql(
        """SELECT DISTINCT event_index FROM journal_line
           WHERE issuer_id = %s AND ledger_account_id = ANY(%s) AND event_index > %s
           ORDER BY event_index LIMIT %s""",
        (issuer_id, list(ledger_account_ids), after_index, limit),
    )
    return [row[0] for row in rows]


def stream_lines(
    connection: Connection, issuer_id: str, first_index: int, last_index: int
) -> Iterator[EntryLine]:
    """Yield lines in order without holding more than one page of events in memory."""
    page = 5_000
    for start in range(first_index, last_index + 1, page):
        yield from read_entry_lines(connection, issuer_id, start, min(start + page - 1, last_index))


def _read_book(cursor: psycopg.Cursor[Any]) -> Book:
    return Book({row[0]: Balance(row[1], row[2], row[3], row[4]) for row in cursor.fetchall()})
