"""A bank's days in tests: its calendar, a statement and a run for each, and the close that two people sign."""

import json
from datetime import date, datetime
from typing import Any

from tallystick import attestations, closing
from tallystick.attestations import Attestation
from tallystick.closing import HandOff, LookedAt
from tallystick.tokens import Outcome
from tests.bank import Bank
from tests.camt_writer import Entry, statement

__all__ = [
    "CALENDAR",
    "FRIDAY",
    "MONDAY",
    "TUESDAY",
    "ask_close",
    "attest",
    "bring_statement",
    "close",
    "end_day",
    "hand_off",
    "look",
    "reopen",
    "set_calendar",
]

FRIDAY, MONDAY, TUESDAY = date(2026, 11, 20), date(2026, 11, 23), date(2026, 11, 24)
CALENDAR: dict[str, Any] = {
    "time_zone": "Europe/Berlin",
    "cut_off": "17:30",
    "weekend": [6, 7],
    "holidays": ["2026-12-25"],
    "reconcile_at": ["18:00"],
}


def set_calendar(bank: Bank, **changed: Any) -> Outcome:
    """Let a calendar into force with two people."""
    asked = bank.change("business_calendar", "business_calendar", CALENDAR | changed, principal=bank.maker)
    return bank.approve(asked.resource_id)


def bring_statement(bank: Bank, day: date, *credits_: tuple[str, str], opening: str = "0.00") -> str:
    """Import the bank's statement of a day: credits as (account, amount); return its id."""
    entries = tuple(
        Entry(amount, remittance=f"Funding {account}", bank_reference=f"{day}-{number}", day=day.isoformat())
        for number, (account, amount) in enumerate(credits_)
    )
    imported = bank.import_statement(statement(*entries, day=day.isoformat(), opening=opening))
    return imported.statements[0].statement.id


def attest(bank: Bank, currency: str = "USD", *, as_of: datetime | None = None) -> Attestation:
    """Reconcile a class as the auditor, with its attestation."""
    return bank.database.run(
        lambda connection: attestations.reconcile(
            connection, bank.settler, bank.auditor, bank.classes[currency].id, as_of=as_of
        )
    ).attestation


def hand_off(bank: Bank, day: date) -> HandOff:
    return bank.database.run(lambda connection: closing.hand_off(connection, bank.clock, bank.maker, day))


def ask_close(bank: Bank, day: date, hand_off_id: str, *accepted: str, key: str | None = None) -> Outcome:
    payload = {"hand_off_id": hand_off_id, "accepted_break_ids": list(accepted), "reason": None}
    return bank.change("business_date_close", day.isoformat(), payload, key=key, principal=bank.maker)


def close(bank: Bank, day: date, *accepted: str) -> dict[str, Any]:
    """Hand a date off and close it with two people; return what the checker was answered."""
    asked = ask_close(bank, day, hand_off(bank, day).id, *accepted)
    approved: dict[str, Any] = json.loads(bank.approve(asked.resource_id).body)
    return approved


def reopen(bank: Bank, day: date) -> Outcome:
    asked = bank.change(
        "business_date_reopening", day.isoformat(), {"reason": "A credit."}, principal=bank.maker
    )
    return bank.approve(asked.resource_id)


def look(bank: Bank, day: date) -> LookedAt:
    with bank.database.read() as connection:
        return closing.business_date(connection, bank.clock, bank.issuer_id, day)


def end_day(bank: Bank, day: date = FRIDAY, *, opening: str = "0.00") -> None:
    """Live a day: a credit, a mint, a payment, the statement, a run that ties, and the close."""
    bring_statement(bank, day, ("HARBOUR-USD", "100.00"), opening=opening)
    bank.mint("HARBOUR-USD", "60.00", deposited=False)
    bank.transfer("HARBOUR-USD", "LANTERN-USD", "10.00")
    assert attest(bank).verdict == "tied"
    close(bank, day)
