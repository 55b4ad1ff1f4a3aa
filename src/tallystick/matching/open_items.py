"""What is open as of two times: up to a place in the log, and up to a moment at which the bank had told.

A match counts only if all that it ties lies within both; else what lies within is open, and says what it waits for.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from tallystick import participants, statements, tokens
from tallystick.matching import open_items_store, store
from tallystick.matching.items import item_of_entry, item_of_instruction
from tallystick.matching.records import Item, ItemKind, Match, Side
from tallystick.statements import Statement

__all__ = ["OpenItem", "OpenItems", "open_items"]

_PAGE: Final = 5_000


@dataclass(frozen=True, slots=True)
class OpenItem:
    """An item that nothing on the other side stands for as of the two times.

    `waits_for` are the items of its match that lie behind them: a deposit that is confirmed later, an entry of a
    statement that came later. `anticipated_by` is the redemption or payout that an entry is the payment of, and that
    has not left the control account yet.
    """

    item: Item
    match_id: str | None = None
    waits_for: tuple[str, ...] = ()
    anticipated_by: str | None = None


@dataclass(frozen=True, slots=True)
class OpenItems:
    """Both sides, each sorted by day and place.

    The bank's items less the books' are by how much the bank's balance is above 1100, as far as the statements tell of
    it from their first opening balance on. `next_event_index` and `matched_at` are how far matching had come.
    """

    bank: tuple[OpenItem, ...]
    books: tuple[OpenItem, ...]
    next_event_index: int
    matched_at: datetime | None


def open_items(
    connection: Connection, issuer_id: str, token_class_id: str, *, event_index: int, known_until: datetime
) -> OpenItems:
    """Return what is open on each side as of a place in the log and a moment of the bank's.

    Looks at what matching has taken in: run `match_class` before, in the same transaction.
    """
    progress = store.read_progress(connection, issuer_id, token_class_id)
    next_event_index, matched_at = (0, None) if progress is None else progress
    found: dict[str, OpenItem] = {}
    for side in Side:
        after = ""
        while page := store.read_open_items(connection, issuer_id, token_class_id, side, after, _PAGE):
            after = page[-1].id
            found |= {one.id: OpenItem(one) for one in page if _within(one, event_index, known_until)}
    every = statements.statements_in_order(connection, issuer_id, token_class_id)
    within = {one.id: one for one in every if one.completed_at and one.completed_at <= known_until}
    later = [one.id for one in every if one.id not in within]
    crossing = open_items_store.read_crossing_items(
        connection, issuer_id, token_class_id, event_index, known_until, later
    )
    found |= _crossing(connection, issuer_id, crossing, event_index, known_until)
    found |= _evidence_ahead(connection, issuer_id, token_class_id, event_index, within)
    if later:
        early = open_items_store.read_evidence_of(connection, issuer_id, event_index, later)
        found |= _deposits(connection, issuer_id, early)
    in_order = sorted(
        found.values(), key=lambda one: (str(one.item.day), one.item.event_index or 0, one.item.place)
    )
    return OpenItems(
        tuple(one for one in in_order if one.item.side == Side.BANK),
        tuple(one for one in in_order if one.item.side == Side.BOOKS),
        next_event_index,
        matched_at,
    )


def _within(one: Item, event_index: int, known_until: datetime) -> bool:
    if one.side == Side.BANK:
        return one.known_at is not None and one.known_at <= known_until
    return one.event_index is not None and one.event_index <= event_index


def _crossing(
    connection: Connection, issuer_id: str, items: Sequence[Item], event_index: int, known_until: datetime
) -> dict[str, OpenItem]:
    """Return what is tied to something that lies beyond the two times, and what that is."""
    matches = {
        one.id: one
        for one in store.read_matches_by_id(
            connection, issuer_id, sorted({one.match_id for one in items if one.match_id})
        )
    }
    ids = sorted({item for one in matches.values() for item in (*one.bank_item_ids, *one.book_item_ids)})
    every = store.read_items(connection, issuer_id, ids)
    found = {}
    for one in items:
        match = matches[one.match_id or ""]
        beyond = [
            every[item_id]
            for item_id in (*match.bank_item_ids, *match.book_item_ids)
            if not _within(every[item_id], event_index, known_until)
        ]
        expected = [other.id for other in beyond if other.side == Side.BOOKS and other.event_index is None]
        found[one.id] = OpenItem(
            one,
            match.id,
            tuple(other.id for other in beyond if other.id not in expected),
            expected[0] if expected else None,
        )
    return found


def _evidence_ahead(
    connection: Connection, issuer_id: str, class_id: str, event_index: int, within: Mapping[str, Statement]
) -> dict[str, OpenItem]:
    """Return the credits whose deposits lie behind the place in the log."""
    found = {}
    behind = open_items_store.read_evidence_behind(
        connection, issuer_id, class_id, event_index, sorted(within)
    )
    entries = statements.entries_by_id(connection, issuer_id, [one.bank_item_ids[0] for one in behind])
    for one in behind:
        entry = entries[one.bank_item_ids[0]]
        of = within[entry.statement_id]
        item = item_of_entry(of, entry, of.completed_at or of.imported_at)
        found[item.id] = OpenItem(item, one.id, tuple(one.book_item_ids))
    return found


def _deposits(connection: Connection, issuer_id: str, matches: list[Match]) -> dict[str, OpenItem]:
    deposits = tokens.instructions_by_id(connection, issuer_id, [one.book_item_ids[0] for one in matches])
    account_ids = sorted({one.payee_account_id or "" for one in deposits.values()})
    accounts = participants.deposit_accounts(connection, issuer_id, account_ids)
    found = {}
    for one in matches:
        deposit = deposits[one.book_item_ids[0]]
        item = item_of_instruction(deposit, deposit.amount_minor, one.event_index or 0, accounts)
        assert item.kind == ItemKind.DEPOSIT, "only deposits are tied by evidence"
        found[item.id] = OpenItem(item, one.id, tuple(one.bank_item_ids))
    return found
