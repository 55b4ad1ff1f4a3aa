"""Matching in the test bank, told in the accounts' and amounts' own words."""

from datetime import datetime
from typing import Any

from tallystick import matching
from tallystick.matching import Match, OpenItems, Run, Side
from tests.bank import Bank
from tests.camt_writer import Entry, statement

__all__ = ["accepted", "debit", "matches", "open_ids", "open_now", "run", "shown", "told"]


def run(bank: Bank, currency: str = "USD") -> Run:
    return matching.match_in_parts(bank.database, bank.clock, bank.issuer_id, bank.classes[currency].id)


def matches(bank: Bank, **asked: Any) -> list[Match]:
    with bank.database.read() as connection:
        return matching.matches(connection, bank.issuer_id, limit=10_000, **asked)


def accepted(bank: Bank, **asked: Any) -> list[Match]:
    return matches(bank, state="accepted", **asked)


def shown(found: list[Match]) -> list[tuple[str, str, str, int]]:
    """Return rule, confidence, kind and amount of matches."""
    return sorted((one.rule, one.confidence, one.kind, one.bank_minor) for one in found)


def open_ids(bank: Bank, side: Side, currency: str = "USD") -> list[str]:
    with bank.database.read() as connection:
        found = matching.present_open_items(
            connection, bank.issuer_id, bank.classes[currency].id, side, limit=10_000
        )
    return [one.id for one in found]


def open_now(
    bank: Bank, *, event_index: int = 10**9, known_until: datetime | None = None, currency: str = "USD"
) -> OpenItems:
    with bank.database.read() as connection:
        return matching.open_items(
            connection,
            bank.issuer_id,
            bank.classes[currency].id,
            event_index=event_index,
            known_until=known_until or bank.clock.now(),
        )


def debit(amount: str, **more: Any) -> Entry:
    return Entry(amount, credit=False, **more)


def told(bank: Bank, *entries: Entry, **stated: Any) -> str:
    """Import a statement of these entries, and return its id."""
    [one] = bank.import_statement(statement(*entries, **stated)).statements
    return one.statement.id
