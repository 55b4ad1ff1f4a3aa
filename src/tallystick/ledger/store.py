"""All SQL of the books. Balances are locked in the order of their ids, so that no two batches wait for each other."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from tallystick.core.clock import format_time
from tallystick.core.copy_text import copy_rows
from tallystick.core.errors import InvariantError
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
FROM unnest(%s::text[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[])
     AS n(id, balance_minor, version, previous_version, event_index)
WHERE a.issuer_id = %s AND a.id = n.id AND a.version = n.previous_version
"""
_LINE_COLUMNS: Final = """journal_line (issuer_id, event_index, line_number, ledger_account_id, currency,
debit_minor, credit_minor, previous_balance_minor, balance_minor, account_version, booked_at, value_date)"""

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


def lock(connection: Connection, issuer_id: str, ledger_account_ids: Iterable[str]) -> Book:
    rows = connection.exec_driver_sql(_LOCK, (issuer_id, list(ledger_account_ids))).all()
    return Book({row[0]: Balance(row[1], row[2], row[3], row[4]) for row in rows})


def write(connection: Connection, issuer_id: str, book: Book, booked_at: datetime) -> None:
    if not book.lines:
        return
    at = format_time(booked_at)
    copy_rows(
        connection,
        _LINE_COLUMNS,
        [
            f"{issuer_id}\t{index}\t{number}\t{account_id}\t{currency}\t{debit}\t{credit}\t{before}\t{after}"
            f"\t{version}\t{at}\t{value_date}"
            for index, number, account_id, currency, debit, credit, before, after, version, value_date in book.lines
        ],
    )
    first: dict[str, Line] = {}
    last: dict[str, Line] = {}
    for line in book.lines:
        first.setdefault(line.ledger_account_id, line)
        last[line.ledger_account_id] = line
    ids = list(last)
    written = connection.exec_driver_sql(
        _WRITE_BALANCES,
        (
            ids,
            [line.balance_minor for line in last.values()],
            [line.account_version for line in last.values()],
            [first[account_id].account_version - 1 for account_id in ids],
            [line.event_index for line in last.values()],
            issuer_id,
        ),
    )
    if written.rowcount != len(ids):
        raise InvariantError("a locked balance changed under its lock")


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
