"""All SQL of what reconciliation asks of the bank's entries. Reading only."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Final

from sqlalchemy import Connection

from tallystick.statements.records import (
    INTRADAY_TYPES,
    DepositBalance,
    EntryLink,
    StatementEntry,
)

_ENTRY_COLUMNS: Final = ", ".join(StatementEntry._fields)
_SIGNED: Final = "CASE WHEN e.credit THEN e.amount_minor ELSE -e.amount_minor END"
_LINK: Final = f"e.statement_id, e.entry_number, {_SIGNED}, e.deposit_id"
_STANDING: Final = """NOT EXISTS (
    SELECT 1 FROM statement_abandonment a WHERE a.issuer_id = e.issuer_id AND a.statement_id = e.statement_id
)"""
#: What is longer is no reference, and not in the index.
_REFERENCE_LENGTH_MAX: Final = 140


def read_links(
    connection: Connection, issuer_id: str, places: Sequence[tuple[str, int]]
) -> list[tuple[EntryLink, bool]]:
    """Return the entries at these places, and of each whether it proves nothing.

    That is what a report or notification tells, or a statement that was abandoned.
    """
    if not places:
        return []
    by_statement: dict[str, list[int]] = {}
    for statement_id, number in places:
        by_statement.setdefault(statement_id, []).append(number)
    intraday = {
        row[0]
        for row in connection.exec_driver_sql(
            """SELECT s.id FROM statement s
               LEFT JOIN statement_abandonment a ON a.issuer_id = s.issuer_id AND a.statement_id = s.id
               WHERE s.issuer_id = %s AND s.id = ANY(%s)
                 AND (s.message_type = ANY(%s) OR a.statement_id IS NOT NULL)""",
            (issuer_id, list(by_statement), sorted(INTRADAY_TYPES)),
        )
    }
    # Deposits come in the order of their entries, so each statement's are close together.
    found = []
    for statement_id, numbers in by_statement.items():
        rows = connection.exec_driver_sql(
            f"""SELECT {_LINK} FROM statement_entry e
                WHERE e.issuer_id = %s AND e.statement_id = %s AND e.entry_number = ANY(%s)""",
            (issuer_id, statement_id, numbers),
        )
        told_early = statement_id in intraday
        found += [(EntryLink._make(row), told_early) for row in rows.cursor.fetchall()]
    return found


def read_linked(
    connection: Connection, issuer_id: str, matched_by: str, deposit_ids: Sequence[str]
) -> list[EntryLink]:
    assert matched_by in {"confirmed_by_hand", "notified"}
    rows = connection.exec_driver_sql(
        # The indexes are of these entries only, and are used where the query says so too.
        " UNION ALL ".join(
            f"""SELECT {_LINK} FROM statement_entry e
                WHERE e.issuer_id = %s AND e.deposit_id = ANY(%s) AND e.matched_by = '{one}' AND {_STANDING}"""
            for one in (matched_by, "retold")
        ),
        (issuer_id, list(deposit_ids)) * 2,
    )
    return [EntryLink._make(row) for row in rows]


def read_booked_sums(
    connection: Connection, issuer_id: str, statement_ids: Sequence[str]
) -> dict[str, tuple[int, int]]:
    rows = connection.exec_driver_sql(
        f"""SELECT e.statement_id, coalesce(sum({_SIGNED}) FILTER (WHERE e.booked), 0), max(e.entry_number)
            FROM statement_entry e WHERE e.issuer_id = %s AND e.statement_id = ANY(%s) GROUP BY e.statement_id""",
        (issuer_id, list(statement_ids)),
    )
    return {row[0]: (int(row[1]), row[2]) for row in rows}


def read_entries_numbered(
    connection: Connection, issuer_id: str, statement_id: str, numbers: Sequence[int]
) -> list[StatementEntry]:
    rows = connection.exec_driver_sql(
        f"""SELECT {_ENTRY_COLUMNS} FROM statement_entry
            WHERE issuer_id = %s AND statement_id = %s AND entry_number = ANY(%s) ORDER BY entry_number""",
        (issuer_id, statement_id, list(numbers)),
    )
    return [StatementEntry._make(row) for row in rows.cursor.fetchall()]


def read_payout_returns(
    connection: Connection, issuer_id: str, token_class_id: str, intraday_types: Sequence[str]
) -> list[StatementEntry]:
    columns = ", ".join(f"e.{name}" for name in StatementEntry._fields)
    rows = connection.exec_driver_sql(
        f"""SELECT {columns} FROM statement_entry e
            JOIN statement s ON s.issuer_id = e.issuer_id AND s.id = e.statement_id
            JOIN statement_completion c ON c.issuer_id = e.issuer_id AND c.statement_id = e.statement_id
            WHERE e.issuer_id = %s AND e.matched_by = 'payout_return' AND s.token_class_id = %s
              AND NOT s.message_type = ANY(%s) AND {_STANDING}
            ORDER BY e.statement_id, e.entry_number""",
        (issuer_id, token_class_id, list(intraday_types)),
    )
    return [StatementEntry._make(row) for row in rows]


def read_of_amounts(
    connection: Connection, issuer_id: str, statement_ids: Sequence[str], amounts_minor: Sequence[int]
) -> list[EntryLink]:
    rows = connection.exec_driver_sql(
        f"""SELECT {_LINK} FROM statement_entry e
            WHERE e.issuer_id = %s AND e.statement_id = ANY(%s) AND e.amount_minor = ANY(%s) AND e.credit AND e.booked
              AND e.deposit_id IS NOT NULL""",
        (issuer_id, list(statement_ids), list(amounts_minor)),
    )
    return [EntryLink._make(row) for row in rows]


def read_told(
    connection: Connection, issuer_id: str, statement_ids: Sequence[str], references: Sequence[str]
) -> list[tuple[str, int, date | None, str, int]]:
    rows = connection.exec_driver_sql(
        f"""SELECT e.bank_reference, {_SIGNED}, e.booking_date, e.statement_id, e.entry_number
            FROM statement_entry e
            WHERE e.issuer_id = %s AND e.statement_id = ANY(%s) AND e.bank_reference = ANY(%s) AND e.booked
              AND length(e.bank_reference) <= {_REFERENCE_LENGTH_MAX}""",
        (issuer_id, list(statement_ids), list(references)),
    )
    return [(row[0], row[1], row[2], row[3], row[4]) for row in rows]


def read_latest_holds(
    connection: Connection, issuer_id: str, token_class_id: str, as_of: datetime, recorded_until: datetime
) -> list[DepositBalance]:
    columns = ", ".join(DepositBalance.__slots__)
    rows = connection.exec_driver_sql(
        f"""SELECT DISTINCT ON (account_id) {columns} FROM deposit_balance
            WHERE issuer_id = %s AND token_class_id = %s AND account_id IS NOT NULL AND kind = 'hold'
              AND as_of <= %s AND recorded_at <= %s
            ORDER BY account_id, as_of DESC, id DESC""",
        (issuer_id, token_class_id, as_of, recorded_until),
    )
    return [DepositBalance(*row) for row in rows]
