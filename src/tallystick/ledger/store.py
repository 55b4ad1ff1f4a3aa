"""All SQL of the books. Balances are locked in the order of their ids, so that no two batches wait for each other."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import Connection, text

from tallystick.core.arrays import BigintArray, TextArray, alike, rows_of
from tallystick.core.pipeline import Asked, Pipeline, RowValues
from tallystick.ledger.book import Balance, Book, Line
from tallystick.ledger.records import EntryLine, LedgerAccount, Position, TrialBalanceRow
from tallystick.ledger.standpoints import Standpoint

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
_LINES: Final = rows_of(
    "event_index bigint, line_number bigint, ledger_account_id text, currency text, debit_minor bigint, "
    "credit_minor bigint, previous_balance_minor bigint, balance_minor bigint, account_version bigint, "
    "value_date text"
)
_WRITE_LINES: Final = f"""
INSERT INTO journal_line (issuer_id, booked_at, event_index, line_number, ledger_account_id, currency, debit_minor,
                          credit_minor, previous_balance_minor, balance_minor, account_version, value_date)
SELECT %s, %s, n.event_index, n.line_number, n.ledger_account_id, coalesce(%s::text, n.currency), n.debit_minor,
       n.credit_minor, n.previous_balance_minor, n.balance_minor, n.account_version,
       coalesce(%s::date, n.value_date::date)
FROM {_LINES} AS n
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
# A line that counts from another day than it was booked on: how many days late, below zero for early. They have an
# index of their own: those under way across a day are found by one look for each number of days that ever occurred.
_DAYS_LATE: Final = "((booked_at AT TIME ZONE 'UTC')::date - value_date)"
_SHIFTED: Final = "value_date <> (booked_at AT TIME ZONE 'UTC')::date"
_UNDER_WAY: Final = f"""
WITH RECURSIVE lateness(days) AS (
    (SELECT {_DAYS_LATE} FROM journal_line WHERE issuer_id = %(issuer_id)s AND {_SHIFTED}
     ORDER BY {_DAYS_LATE} LIMIT 1)
    UNION ALL
    SELECT (SELECT {_DAYS_LATE} FROM journal_line
            WHERE issuer_id = %(issuer_id)s AND {_SHIFTED} AND {_DAYS_LATE} > l.days ORDER BY {_DAYS_LATE} LIMIT 1)
    FROM lateness l WHERE l.days IS NOT NULL
), under_way AS (
    SELECT j.ledger_account_id,
           CASE WHEN l.days > 0 THEN 1 ELSE -1 END * (j.balance_minor - j.previous_balance_minor) AS movement_minor
    FROM (SELECT days FROM lateness WHERE days IS NOT NULL) l
    CROSS JOIN LATERAL (
        SELECT ledger_account_id, balance_minor, previous_balance_minor FROM journal_line
        WHERE issuer_id = %(issuer_id)s AND {_SHIFTED} AND {_DAYS_LATE} = l.days
          AND value_date > %(effective_on)s::date - greatest(l.days, 0)
          AND value_date <= %(effective_on)s::date - least(l.days, 0)
          AND event_index <= %(event_index)s
        -- Whatever the statistics say, one range of the index for each number of days.
        OFFSET 0
    ) j
)
"""
_NONE_UNDER_WAY: Final = (
    "WITH under_way(ledger_account_id, movement_minor) AS (SELECT ''::text, 0 WHERE false)"
)
_BALANCES_AT: Final = """
SELECT a.id, (COALESCE(l.balance_minor, 0) + COALESCE(u.movement_minor, 0))::numeric
FROM ledger_account a
LEFT JOIN LATERAL (
    SELECT balance_minor FROM journal_line j
    WHERE j.issuer_id = a.issuer_id AND j.ledger_account_id = a.id AND j.event_index <= %(base_index)s
    ORDER BY j.event_index DESC, j.line_number DESC LIMIT 1
) l ON true
LEFT JOIN (
    SELECT ledger_account_id, sum(movement_minor) AS movement_minor FROM under_way
    WHERE ledger_account_id = ANY(%(ids)s::text[]) GROUP BY ledger_account_id
) u ON u.ledger_account_id = a.id
-- Most accounts were never posted to, and that is known without looking for a line.
WHERE a.issuer_id = %(issuer_id)s AND a.id = ANY(%(ids)s::text[]) AND a.version > 0
  AND (l.balance_minor IS NOT NULL OR u.movement_minor IS NOT NULL)
"""
_SUM_AT: Final = """
SELECT COALESCE((
    SELECT sum(l.balance_minor) FROM ledger_account a
    CROSS JOIN LATERAL (
        SELECT balance_minor FROM journal_line j
        WHERE j.issuer_id = a.issuer_id AND j.ledger_account_id = a.id AND j.event_index <= %(base_index)s
        ORDER BY j.event_index DESC, j.line_number DESC LIMIT 1
    ) l
    WHERE a.issuer_id = %(issuer_id)s AND a.token_class_id = %(token_class_id)s AND a.code = ANY(%(codes)s)
      AND a.version > 0
), 0) + COALESCE((
    SELECT sum(u.movement_minor) FROM under_way u
    JOIN ledger_account a ON a.issuer_id = %(issuer_id)s AND a.id = u.ledger_account_id
    WHERE a.token_class_id = %(token_class_id)s AND a.code = ANY(%(codes)s)
), 0)
"""
_CLAIMS_AT: Final = """
SELECT a.account_id, sum(COALESCE(l.balance_minor, 0) + COALESCE(u.movement_minor, 0))::numeric
FROM ledger_account a
LEFT JOIN LATERAL (
    SELECT balance_minor FROM journal_line j
    WHERE j.issuer_id = a.issuer_id AND j.ledger_account_id = a.id AND j.event_index <= %(base_index)s
    ORDER BY j.event_index DESC, j.line_number DESC LIMIT 1
) l ON true
LEFT JOIN (
    SELECT ledger_account_id, sum(movement_minor) AS movement_minor FROM under_way GROUP BY ledger_account_id
) u ON u.ledger_account_id = a.id
WHERE a.issuer_id = %(issuer_id)s AND a.token_class_id = %(token_class_id)s AND a.code = ANY(%(codes)s)
  AND a.version > 0 AND (l.balance_minor IS NOT NULL OR u.movement_minor IS NOT NULL)
GROUP BY a.account_id
"""
_TRIAL_BALANCE_AT: Final = """
SELECT a.id, a.code, a.token_class_id, a.currency, a.account_id,
       (COALESCE(l.balance_minor, 0) + COALESCE(u.movement_minor, 0))::numeric
FROM ledger_account a
LEFT JOIN LATERAL (
    SELECT balance_minor FROM journal_line j
    WHERE j.issuer_id = a.issuer_id AND j.ledger_account_id = a.id AND j.event_index <= %(base_index)s
    ORDER BY j.event_index DESC, j.line_number DESC LIMIT 1
) l ON true
LEFT JOIN (
    SELECT ledger_account_id, sum(movement_minor) AS movement_minor FROM under_way GROUP BY ledger_account_id
) u ON u.ledger_account_id = a.id
WHERE a.issuer_id = %(issuer_id)s AND a.token_class_id = %(token_class_id)s
ORDER BY a.id
"""
_ROWS_AT_ONCE: Final = 1_000


def open_accounts(
    connection: Connection, issuer_id: str, rows: Iterable[tuple[str, str, str, str, str | None]]
) -> None:
    connection.exec_driver_sql(_OPEN, [(issuer_id, *row) for row in rows])


def lock(pipeline: Pipeline, issuer_id: str, ledger_account_ids: Iterable[str]) -> Asked[Book]:
    return pipeline.ask(_LOCK, (issuer_id, TextArray(list(ledger_account_ids))), _read_book)


def write_lines(pipeline: Pipeline, issuer_id: str, lines: Sequence[Line], booked_at: datetime) -> None:
    columns = list(zip(*lines, strict=True))
    currency, currencies = alike(columns[3])
    value_date, value_dates = alike(columns[9])
    pipeline.tell(
        _WRITE_LINES,
        (
            issuer_id,
            booked_at,
            currency,
            value_date,
            BigintArray(columns[0]),
            BigintArray(columns[1]),
            TextArray(columns[2]),
            TextArray(currencies),
            BigintArray(columns[4]),
            BigintArray(columns[5]),
            BigintArray(columns[6]),
            BigintArray(columns[7]),
            BigintArray(columns[8]),
            TextArray([each.isoformat() for each in value_dates]),
        ),
    )


def write_balances(pipeline: Pipeline, issuer_id: str, touched: Sequence[tuple[str, Balance]]) -> Asked[int]:
    return pipeline.tell(
        _WRITE_BALANCES,
        (
            TextArray([account_id for account_id, _ in touched]),
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


def read_balances_at(
    connection: Connection, issuer_id: str, ledger_account_ids: Sequence[str], at: Standpoint
) -> dict[str, int]:
    rows = connection.exec_driver_sql(
        _under_way(at) + _BALANCES_AT, _parameters(issuer_id, at) | {"ids": list(ledger_account_ids)}
    )
    return {row[0]: int(row[1]) for row in rows}


def read_sum_at(
    connection: Connection, issuer_id: str, token_class_id: str, codes: Sequence[str], at: Standpoint
) -> int:
    asked = _parameters(issuer_id, at) | {"token_class_id": token_class_id, "codes": list(codes)}
    return int(connection.exec_driver_sql(_under_way(at) + _SUM_AT, asked).scalar_one())


def stream_trial_balance(
    connection: Connection, issuer_id: str, token_class_id: str, at: Standpoint
) -> Iterator[TrialBalanceRow]:
    """Yield rows as the server's cursor gives them: neither here nor there is the whole of them in memory."""
    rows = connection.exec_driver_sql(
        _under_way(at) + _TRIAL_BALANCE_AT,
        _parameters(issuer_id, at) | {"token_class_id": token_class_id},
        execution_options={"stream_results": True, "yield_per": _ROWS_AT_ONCE},
    )
    with rows:
        for row in rows:
            yield TrialBalanceRow._make((*row[:5], int(row[5])))


def stream_claims(
    connection: Connection, issuer_id: str, token_class_id: str, codes: Sequence[str], at: Standpoint
) -> Iterator[tuple[str, int]]:
    rows = connection.exec_driver_sql(
        _under_way(at) + _CLAIMS_AT,
        _parameters(issuer_id, at) | {"token_class_id": token_class_id, "codes": list(codes)},
        execution_options={"stream_results": True, "yield_per": _ROWS_AT_ONCE},
    )
    with rows:
        for row in rows:
            yield row[0], int(row[1])


def _under_way(at: Standpoint) -> str:
    return _NONE_UNDER_WAY if at.effective_on is None else _UNDER_WAY


def _parameters(issuer_id: str, at: Standpoint) -> dict[str, Any]:
    return {"issuer_id": issuer_id, **at._asdict()}


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


def stream_account_lines(
    connection: Connection, issuer_id: str, ledger_account_id: str, first_index: int, last_index: int
) -> Iterator[EntryLine]:
    """Yield one account's lines in order without holding more than a page of them in memory."""
    page, after = 1_000, (first_index, -1)
    while True:
        rows = connection.exec_driver_sql(
            _SELECT_LINE
            + """WHERE issuer_id = %s AND ledger_account_id = %s AND (event_index, line_number) > (%s, %s)
                 AND event_index <= %s ORDER BY event_index, line_number LIMIT %s""",
            (issuer_id, ledger_account_id, *after, last_index, page),
        ).all()
        yield from (EntryLine(*row) for row in rows)
        if len(rows) < page:
            return
        after = rows[-1][0], rows[-1][1]


def read_moved(
    connection: Connection, issuer_id: str, first_index: int, last_index: int
) -> Sequence[tuple[int, str, int, int]]:
    rows = connection.exec_driver_sql(
        """SELECT event_index, ledger_account_id, debit_minor, credit_minor FROM journal_line
           WHERE issuer_id = %s AND event_index BETWEEN %s AND %s ORDER BY event_index, line_number""",
        (issuer_id, first_index, last_index),
    )
    # A million of them are read in one run, so that they stay the rows that they are.
    return rows.cursor.fetchall()


def stream_lines_dated(
    connection: Connection, issuer_id: str, first_day: date, last_day: date, last_index: int
) -> Iterator[EntryLine]:
    rows = connection.execute(
        text(
            _SELECT_LINE
            + """WHERE issuer_id = :issuer_id AND value_date BETWEEN :first_day AND :last_day
                   AND event_index <= :last_index ORDER BY event_index, line_number"""
        ),
        {"issuer_id": issuer_id, "first_day": first_day, "last_day": last_day, "last_index": last_index},
        execution_options={"stream_results": True, "max_row_buffer": 5_000},
    )
    for row in rows:
        yield EntryLine(*row)


def read_first_dated_behind(
    connection: Connection, issuer_id: str, first_day: date, last_day: date, after_index: int
) -> int | None:
    found: int | None = connection.exec_driver_sql(
        """SELECT min(event_index) FROM journal_line
           WHERE issuer_id = %s AND event_index > %s AND value_date BETWEEN %s AND %s""",
        (issuer_id, after_index, first_day, last_day),
    ).scalar()
    return found


def read_trial_sums(
    connection: Connection, issuer_id: str, token_class_id: str, debit_normal: Sequence[str]
) -> tuple[int, int]:
    # A debit balance is positive where debits raise the account, and a credit balance where credits do.
    row = connection.exec_driver_sql(
        """SELECT coalesce(sum(debit_minor) FILTER (WHERE debit_minor > 0), 0),
                  coalesce(-sum(debit_minor) FILTER (WHERE debit_minor < 0), 0)
           FROM (SELECT CASE WHEN code = ANY(%s) THEN balance_minor ELSE -balance_minor END
                 FROM ledger_account WHERE issuer_id = %s AND token_class_id = %s) AS a(debit_minor)""",
        (list(debit_normal), issuer_id, token_class_id),
    ).one()
    return int(row[0]), int(row[1])


def _read_book(rows: list[RowValues]) -> Book:
    return Book({row[0]: Balance(row[1], row[2], row[3], row[4]) for row in rows})


def read_movements(
    connection: Connection, issuer_id: str, ledger_account_id: str, first_index: int, last_index: int
) -> list[tuple[int, int, date]]:
    rows = connection.exec_driver_sql(
        """SELECT event_index, sum(debit_minor - credit_minor)::bigint, min(value_date) FROM journal_line
           WHERE issuer_id = %s AND ledger_account_id = %s AND event_index BETWEEN %s AND %s
           GROUP BY event_index ORDER BY event_index LIMIT 5000""",
        (issuer_id, ledger_account_id, first_index, last_index),
    )
    return [(row[0], row[1], row[2]) for row in rows]
