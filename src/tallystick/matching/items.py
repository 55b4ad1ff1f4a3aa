"""What both sides know, in one shape: how an entry, a hold or an instruction becomes an item, and how it is known."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from tallystick.core.ids import suffix_of
from tallystick.matching.records import Item, ItemKind, Side
from tallystick.statements import DepositBalance, Statement, StatementEntry
from tallystick.tokens import Instruction

__all__ = [
    "compact",
    "deposit_reference",
    "expected_item",
    "item_of_entry",
    "item_of_hold",
    "item_of_instruction",
    "references_of_entry",
    "references_of_instruction",
]

#: What banks and payers write where they have no reference.
_NONE: Final = frozenset({"NONREF", "NOTPROVIDED"})
#: An id of ours, in whole or without its prefix, which an end-to-end id of 35 characters has no room for.
_OWN: Final = re.compile(r"(?<![0-9a-z])(?:[a-z_]{2,24}_)?([0-7][0-9a-hjkmnp-tv-z]{25})(?![0-9a-z])")
_OWN_MAX: Final = 200
_REFERENCE_LENGTH_MAX: Final = 140
_KINDS: Final = frozenset(ItemKind)


def item_of_entry(of: Statement, entry: StatementEntry, known_at: datetime) -> Item:
    """Return a booked entry as an item."""
    return Item(
        id=entry.id,
        token_class_id=of.token_class_id,
        side=Side.BANK,
        kind=ItemKind.ENTRY,
        amount_minor=entry.signed_minor,
        day=entry.booking_date or entry.value_date or of.closed_on,
        place=f"{of.bank_statement_id} {entry.entry_number:09}",
        counterparty=compact(entry.counterparty_account),
        reversal=entry.reversal,
        known_at=known_at,
    )


def item_of_hold(figure: DepositBalance, change_minor: int, counterparty: str | None) -> Item:
    """Return by how much a hold changed as an item: more is held for what comes in, less for what goes out."""
    return Item(
        id=figure.id,
        token_class_id=figure.token_class_id,
        side=Side.BANK,
        kind=ItemKind.HOLD,
        amount_minor=change_minor,
        day=figure.as_of.date(),
        place=f"{figure.as_of.isoformat()} {figure.source} {figure.source_reference}",
        counterparty=compact(counterparty),
        account_id=figure.account_id,
        known_at=figure.recorded_at,
    )


def item_of_instruction(
    of: Instruction, amount_minor: int, event_index: int, accounts: Mapping[str, str]
) -> Item:
    """Return what an instruction moved on the control account; `accounts` are deposit accounts by account."""
    account_id = of.payee_account_id or of.payer_account_id
    return Item(
        id=of.id,
        token_class_id=of.token_class_id or "",
        side=Side.BOOKS,
        kind=of.kind if of.kind in _KINDS else ItemKind.OTHER,
        amount_minor=amount_minor,
        day=of.value_date or (None if of.settled_at is None else of.settled_at.date()),
        place=suffix_of(of.id),
        counterparty=compact(accounts.get(account_id or "")),
        account_id=account_id,
        event_index=event_index,
    )


def expected_item(of: Instruction, accounts: Mapping[str, str]) -> Item:
    """Return a redemption as the debit that the bank may show before the deposit is released."""
    return item_of_instruction(of, -of.amount_minor, 0, accounts)._replace(event_index=None)


def references_of_entry(entry: StatementEntry) -> set[str]:
    """Return by what an entry is known: UETR, ids of ours in its texts, end-to-end id, the bank's own reference."""
    found = {f"own:{one}" for one in _own_ids(entry)}
    if entry.uetr:
        found.add(f"uetr:{entry.uetr.lower()}")
    for text in (entry.end_to_end_id, entry.remittance):
        if _is_reference(text):
            found.add(f"e2e:{text}")
    if _is_reference(entry.bank_reference):
        found.add(f"bank:{entry.bank_reference}")
    if entry.deposit_id is not None:
        found.add(deposit_reference(entry.deposit_id))
    return found


def references_of_instruction(of: Instruction) -> set[str]:
    """Return by what an instruction is known: its id, and the reference that was given with it."""
    found = {f"own:{suffix_of(of.id)}"}
    if _is_reference(of.reference):
        found.add(f"e2e:{of.reference}")
    return found


def deposit_reference(deposit_id: str) -> str:
    """Return by what a credit is found whose deposit was not settled when its statement came."""
    return f"deposit:{deposit_id}"


def compact(number: str | None) -> str | None:
    """Return an account number without blanks, in capitals; None for none."""
    return "".join(number.split()).upper() or None if number else None


def _own_ids(entry: StatementEntry) -> list[str]:
    found: dict[str, None] = {}
    for text in (entry.end_to_end_id, entry.remittance):
        # Banks write in capitals and break lines within words.
        for one in _OWN.findall((text or "").lower()):
            found[one] = None
    return list(found)[:_OWN_MAX]


def _is_reference(text: str | None) -> bool:
    return text is not None and text not in _NONE and 0 < len(text) <= _REFERENCE_LENGTH_MAX
