"""Posting, decided in memory: the balances of one batch, locked before and written after.

Each entry is posted whole or refused whole. Nothing here touches the database; `store` reads the balances under lock
and writes back what changed.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import NamedTuple

from tallystick.core.errors import ConflictError, InvariantError
from tallystick.core.money import AMOUNT_MINOR_MAX
from tallystick.ledger.chart import DEBIT_NORMAL_CODES, FLOORED_CODES

__all__ = ["Balance", "BalanceOverflowError", "Book", "InsufficientFundsError", "Line", "Posting", "Touched"]


class InsufficientFundsError(ConflictError):
    """A balance with a floor of zero would fall below it."""

    code = "insufficient_funds"
    title = "Insufficient funds"


class BalanceOverflowError(ConflictError):
    """A balance would exceed what any account can hold."""

    code = "balance_too_large"
    title = "The balance would be too large"


class Posting(NamedTuple):
    """One side of an entry that is asked for: exactly one of the amounts is above zero."""

    ledger_account_id: str
    debit_minor: int
    credit_minor: int


class Line(NamedTuple):
    """One posted line, with the account's balance before and after, in its normal sense."""

    event_index: int
    line_number: int
    ledger_account_id: str
    currency: str
    debit_minor: int
    credit_minor: int
    previous_balance_minor: int
    balance_minor: int
    account_version: int
    value_date: date


@dataclass(slots=True)
class Balance:
    """One locked ledger account."""

    code: str
    currency: str
    balance_minor: int
    version: int


class Touched(NamedTuple):
    """What a batch did to an account: the version it was locked at, and the last event that posted to it."""

    version_before: int
    last_event_index: int


@dataclass(slots=True)
class Book:
    """The locked ledger accounts of one issuer and what was posted to them.

    `lines` grows in the order of posting until they are taken to be written; `touched` names what was taken.
    """

    balances: Mapping[str, Balance]
    lines: list[Line] = field(default_factory=list)
    touched: dict[str, Touched] = field(default_factory=dict)

    def available_minor(self, ledger_account_id: str) -> int:
        """Return the balance as it stands after everything posted so far."""
        return self.balances[ledger_account_id].balance_minor

    def check(self, postings: Iterable[Posting]) -> None:
        """Refuse what `post` could not do: InsufficientFundsError, BalanceOverflowError."""
        movements: dict[str, int] = {}
        for account_id, debit_minor, credit_minor in postings:
            sign = debit_minor - credit_minor
            if self.balances[account_id].code not in DEBIT_NORMAL_CODES:
                sign = -sign
            movements[account_id] = movements.get(account_id, 0) + sign
        for account_id, movement_minor in movements.items():
            account = self.balances[account_id]
            balance_minor = account.balance_minor + movement_minor
            if balance_minor < 0 and movement_minor < 0 and account.code in FLOORED_CODES:
                raise InsufficientFundsError
            if not -AMOUNT_MINOR_MAX <= balance_minor <= AMOUNT_MINOR_MAX:
                raise BalanceOverflowError

    def post(self, event_index: int, value_date: date, postings: Iterable[Posting]) -> list[Line]:
        """Post one entry that `check` let through and return its lines.

        Raises InvariantError if the entry does not balance in each currency: no caller may ask for that.
        """
        lines: list[Line] = []
        imbalance_minor: dict[str, int] = {}
        for line_number, (account_id, debit_minor, credit_minor) in enumerate(postings):
            account = self.balances[account_id]
            movement_minor = debit_minor - credit_minor
            imbalance_minor[account.currency] = imbalance_minor.get(account.currency, 0) + movement_minor
            if account.code not in DEBIT_NORMAL_CODES:
                movement_minor = -movement_minor
            previous_minor = account.balance_minor
            account.balance_minor = previous_minor + movement_minor
            account.version += 1
            lines.append(
                Line(
                    event_index,
                    line_number,
                    account_id,
                    account.currency,
                    debit_minor,
                    credit_minor,
                    previous_minor,
                    account.balance_minor,
                    account.version,
                    value_date,
                )
            )
        if not lines or any(imbalance_minor.values()):
            raise InvariantError(f"entry {event_index} does not balance")
        self.lines += lines
        return lines

    def take_lines(self) -> list[Line]:
        """Return the lines posted since the last taking; from here on they can't be undone."""
        taken, self.lines = self.lines, []
        touched = self.touched
        for line in taken:
            account_id = line.ledger_account_id
            before = touched.get(account_id)
            version_before = line.account_version - 1 if before is None else before.version_before
            touched[account_id] = Touched(version_before, line.event_index)
        return taken

    def undo_to(self, lines_kept: int) -> None:
        """Take back every line behind the first `lines_kept`, newest first: an atomic group that was refused."""
        for line in reversed(self.lines[lines_kept:]):
            account = self.balances[line.ledger_account_id]
            account.balance_minor = line.previous_balance_minor
            account.version = line.account_version - 1
        del self.lines[lines_kept:]
