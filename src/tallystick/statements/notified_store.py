"""All SQL of deposits that were told before their statement, and of the entries that are linked to deposits."""

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Final, NamedTuple

from sqlalchemy import Connection

from tallystick.core.copy_text import NULL, copy_rows, escape
from tallystick.statements.records import StatementEntry

_ENTRY_COLUMNS: Final = ", ".join(f"e.{name}" for name in StatementEntry._fields)
_STANDING: Final = """NOT EXISTS (
    SELECT 1 FROM statement_abandonment a WHERE a.issuer_id = e.issuer_id AND a.statement_id = e.statement_id
)"""


class NotifiedDeposit(NamedTuple):
    """A deposit that was there before its statement; `booked_on` is the day that the bank booked it.

    A report or notification confirmed it, or a statement that was abandoned; then it may have no account yet.
    """

    deposit_id: str
    token_class_id: str
    account_id: str | None
    amount_minor: int
    booked_on: date
    uetr: str | None


def add_notified(
    connection: Connection,
    issuer_id: str,
    deposits: Sequence[NotifiedDeposit],
    references: Iterable[tuple[str, str, str]],
) -> None:
    """Write deposits that a notification confirmed, and (class, reference, deposit) by which they are known."""
    copy_rows(
        connection,
        f"notified_deposit (issuer_id, {', '.join(NotifiedDeposit._fields)})",
        [
            f"{issuer_id}\t{deposit_id}\t{class_id}\t{account_id or NULL}\t{amount_minor}\t{booked_on}\t{escape(uetr)}"
            for deposit_id, class_id, account_id, amount_minor, booked_on, uetr in deposits
        ],
    )
    copy_rows(
        connection,
        "notified_reference (issuer_id, token_class_id, reference, deposit_id)",
        [
            f"{issuer_id}\t{class_id}\t{escape(reference)}\t{deposit_id}"
            for class_id, reference, deposit_id in references
        ],
    )


def read_notified_by_reference(
    connection: Connection, issuer_id: str, token_class_id: str, references: Sequence[str]
) -> list[tuple[str, NotifiedDeposit]]:
    """Return, with the reference that they share, the notified deposits of a class with one of these references."""
    rows = connection.exec_driver_sql(
        f"""SELECT r.reference, {", ".join(f"d.{name}" for name in NotifiedDeposit._fields)}
            FROM notified_reference r
            JOIN notified_deposit d ON d.issuer_id = r.issuer_id AND d.deposit_id = r.deposit_id
            WHERE r.issuer_id = %s AND r.token_class_id = %s AND r.reference = ANY(%s)
            ORDER BY d.booked_on, d.deposit_id""",
        (issuer_id, token_class_id, list(references)),
    )
    return [(row[0], NotifiedDeposit._make(row[1:])) for row in rows]


def read_notified_by_account(
    connection: Connection,
    issuer_id: str,
    token_class_id: str,
    clues: Sequence[tuple[str, int]],
    since: date,
    until: date,
) -> list[NotifiedDeposit]:
    """Return the notified deposits of a class with one of these accounts and amounts, oldest first.

    Only those booked from `since` to `until`, both included.
    """
    rows = connection.exec_driver_sql(
        f"""SELECT {", ".join(f"d.{name}" for name in NotifiedDeposit._fields)}
            FROM unnest(%s::text[], %s::bigint[]) AS w(account_id, amount_minor)
            JOIN notified_deposit d ON d.issuer_id = %s AND d.token_class_id = %s
                                   AND d.account_id = w.account_id AND d.amount_minor = w.amount_minor
                                   AND d.booked_on BETWEEN %s AND %s
            ORDER BY d.booked_on, d.deposit_id""",
        (
            [clue[0] for clue in clues],
            [clue[1] for clue in clues],
            issuer_id,
            token_class_id,
            since,
            until,
        ),
    )
    return [NotifiedDeposit._make(row) for row in rows]


def keep_notified(
    connection: Connection,
    issuer_id: str,
    deposits: Sequence[NotifiedDeposit],
    references: Sequence[tuple[str, str, str]],
) -> None:
    """Write what `add_notified` does, but for what is there already."""
    connection.exec_driver_sql(
        f"""INSERT INTO notified_deposit (issuer_id, {", ".join(NotifiedDeposit._fields)})
            VALUES (%s{", %s" * len(NotifiedDeposit._fields)}) ON CONFLICT DO NOTHING""",
        [(issuer_id, *one) for one in deposits],
    )
    if not references:
        return
    connection.exec_driver_sql(
        """INSERT INTO notified_reference (issuer_id, token_class_id, reference, deposit_id)
           VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING""",
        [(issuer_id, *one) for one in references],
    )


def add_part_links(connection: Connection, issuer_id: str, links: Iterable[tuple[str, int, str]]) -> None:
    """Write (statement, entry number, deposit) of entries that are linked in parts."""
    copy_rows(
        connection,
        "statement_entry_deposit (issuer_id, statement_id, entry_number, deposit_id)",
        [
            f"{issuer_id}\t{statement_id}\t{number}\t{deposit_id}"
            for statement_id, number, deposit_id in links
        ],
    )


def read_part_links_of_statement(
    connection: Connection, issuer_id: str, statement_id: str
) -> list[tuple[int, str]]:
    rows = connection.exec_driver_sql(
        """SELECT entry_number, deposit_id FROM statement_entry_deposit
           WHERE issuer_id = %s AND statement_id = %s ORDER BY entry_number, deposit_id""",
        (issuer_id, statement_id),
    )
    return [(row[0], row[1]) for row in rows]


def read_linked_ids(connection: Connection, issuer_id: str, deposit_ids: Sequence[str]) -> set[str]:
    """Return those of these deposits that a statement has told of, in whole or in parts."""
    linked = {entry.deposit_id or "" for entry in read_notified(connection, issuer_id, deposit_ids)}
    rows = connection.exec_driver_sql(
        f"""SELECT e.deposit_id FROM statement_entry_deposit e
            WHERE e.issuer_id = %s AND e.deposit_id = ANY(%s) AND {_STANDING}""",
        (issuer_id, list(deposit_ids)),
    )
    return linked | {row[0] for row in rows}


def read_confirmed_by_hand(
    connection: Connection, issuer_id: str, deposit_ids: Sequence[str]
) -> list[StatementEntry]:
    """Return the entries that are linked to these deposits that people had confirmed."""
    return _linked(connection, issuer_id, deposit_ids, ("confirmed_by_hand", "retold"), _STANDING)


def read_notified(connection: Connection, issuer_id: str, deposit_ids: Sequence[str]) -> list[StatementEntry]:
    """Return the statements' entries that are linked to these deposits that were told before."""
    return _linked(connection, issuer_id, deposit_ids, ("notified", "retold"), _STANDING)


def read_links_of_abandoned(connection: Connection, issuer_id: str, deposit_ids: Sequence[str]) -> set[str]:
    """Return those of these deposits that a statement was linked to which was abandoned."""
    found = _linked(connection, issuer_id, deposit_ids, ("notified",), f"NOT {_STANDING}")
    return {entry.deposit_id or "" for entry in found}


def _linked(
    connection: Connection,
    issuer_id: str,
    deposit_ids: Sequence[str],
    matched_by: Sequence[str],
    condition: str,
) -> list[StatementEntry]:
    # Written out, so that any plan can use the index of these few.
    rows = connection.exec_driver_sql(
        " UNION ALL ".join(
            f"""SELECT {_ENTRY_COLUMNS} FROM statement_entry e
                WHERE e.issuer_id = %s AND e.deposit_id = ANY(%s) AND e.matched_by = '{one}' AND {condition}"""
            for one in matched_by
        ),
        (issuer_id, list(deposit_ids)) * len(matched_by),
    )
    return [StatementEntry._make(row) for row in rows]
