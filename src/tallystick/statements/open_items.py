"""What reconciliation asks of the bank's entries: which bear deposits out, which are left, and which are told twice.

The one place where entries and deposits are brought together from the books' side: what else links the two joins here.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Final

from sqlalchemy import Connection

from tallystick.statements import open_items_store as store
from tallystick.statements.records import INTRADAY_TYPES, DepositBalance, EntryLink, StatementEntry

__all__ = [
    "booked_sums",
    "entries_numbered",
    "entries_of_amounts",
    "first_told",
    "latest_holds",
    "links_of_deposits",
    "payout_returns",
]

#: A way to say that there is no reference.
_NO_REFERENCE: Final = ("NONREF", "NOTPROVIDED", "")


def links_of_deposits(
    connection: Connection,
    issuer_id: str,
    entry_ids: Sequence[str],
    deposit_ids: Sequence[str],
    *,
    imported_ids: frozenset[str],
) -> dict[str, EntryLink]:
    """Return the statements' entries that bear deposits out: by the entry that a deposit names, or by its own id.

    `entry_ids` are those that deposits name as their evidence, `deposit_ids` are deposits without: people confirmed
    them, and an entry that came later may be linked to one. A report or notification proves no balance: where a deposit
    names an entry of one, the statement's entry that was linked to it stands here. What only a statement beyond
    `imported_ids` bears out is left out.
    """
    places = []
    for entry_id in entry_ids:
        statement_id, _, number = entry_id.rpartition(".")
        if statement_id and number.isascii() and number.isdigit() and len(number) < 19:
            places.append((statement_id, int(number)))
    found: dict[str, EntryLink] = {}
    told_early: dict[str, str] = {}
    for link, intraday in store.read_links(connection, issuer_id, places):
        if not intraday:
            found[link.id] = link
        elif link.deposit_id is not None:
            told_early[link.deposit_id] = link.id
    linked = store.read_linked(connection, issuer_id, "notified", list(told_early)) if told_early else []
    found |= {told_early[link.deposit_id or ""]: link for link in linked}
    if deposit_ids:
        by_hand = store.read_linked(connection, issuer_id, "confirmed_by_hand", deposit_ids)
        # A statement that was imported after the moment that is looked at explains nothing of it.
        found |= {link.deposit_id or "": link for link in by_hand if link.statement_id in imported_ids}
    return found


def booked_sums(
    connection: Connection, issuer_id: str, statement_ids: Sequence[str]
) -> dict[str, tuple[int, int]]:
    """Return of each statement with entries the sum of what is booked, minor units, and its last entry's number."""
    return store.read_booked_sums(connection, issuer_id, statement_ids)


def entries_numbered(
    connection: Connection, issuer_id: str, statement_id: str, numbers: Sequence[int]
) -> list[StatementEntry]:
    """Return a statement's entries of these numbers, in their order."""
    return store.read_entries_numbered(connection, issuer_id, statement_id, numbers)


def entries_of_amounts(
    connection: Connection, issuer_id: str, statement_ids: Sequence[str], amounts_minor: Sequence[int]
) -> list[EntryLink]:
    """Return the booked credits of these statements that have one of these amounts and name a deposit."""
    return store.read_of_amounts(connection, issuer_id, statement_ids, amounts_minor)


def first_told(
    connection: Connection, issuer_id: str, statement_ids: Sequence[str], references: Sequence[str]
) -> Mapping[tuple[str, int, date | None], tuple[str, int]]:
    """Return where the bank first told of a reference, amount and day, as (statement id, entry number).

    `statement_ids` are in their order in time, which is that of telling.
    """
    asked = sorted(set(references) - set(_NO_REFERENCE))
    if not asked:
        return {}
    order = {statement_id: number for number, statement_id in enumerate(statement_ids)}
    found: dict[tuple[str, int, date | None], tuple[str, int]] = {}
    for reference, signed_minor, day, statement_id, number in store.read_told(
        connection, issuer_id, statement_ids, asked
    ):
        told, place = (reference, signed_minor, day), (statement_id, number)
        known = found.get(told)
        if known is None or (order[statement_id], number) < (order[known[0]], known[1]):
            found[told] = place
    return found


def latest_holds(
    connection: Connection, issuer_id: str, token_class_id: str, *, as_of: datetime, recorded_until: datetime
) -> list[DepositBalance]:
    """Return the last hold that the core told of each customer's account, up to a moment, by the account's id."""
    return store.read_latest_holds(connection, issuer_id, token_class_id, as_of, recorded_until)


def payout_returns(connection: Connection, issuer_id: str, token_class_id: str) -> list[StatementEntry]:
    """Return the credits of whole end-of-day statements that name a payout."""
    return store.read_payout_returns(connection, issuer_id, token_class_id, sorted(INTRADAY_TYPES))
