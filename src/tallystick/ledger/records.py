"""What the books tell those who read them."""

from datetime import date, datetime
from typing import NamedTuple

__all__ = ["EntryLine", "LedgerAccount", "Position", "TrialBalanceRow"]


class LedgerAccount(NamedTuple):
    """A ledger account with its balance, minor units in its normal sense."""

    id: str
    code: str
    token_class_id: str
    currency: str
    account_id: str | None
    balance_minor: int
    version: int
    last_event_index: int | None


class EntryLine(NamedTuple):
    """A journal line as it was posted."""

    event_index: int
    line_number: int
    ledger_account_id: str
    currency: str
    debit_minor: int
    credit_minor: int
    previous_balance_minor: int
    balance_minor: int
    account_version: int
    booked_at: datetime
    value_date: date


class TrialBalanceRow(NamedTuple):
    """A ledger account's balance as of an index of the log."""

    id: str
    code: str
    token_class_id: str
    currency: str
    account_id: str | None
    balance_minor: int


class Position(NamedTuple):
    """A ledger account as of an index of the log, once it has been posted to."""

    id: str
    balance_minor: int
    first_booked_at: datetime
    last_event_index: int
