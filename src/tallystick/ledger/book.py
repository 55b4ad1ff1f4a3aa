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
from tallystick.core.records import maker
from tallystick.ledger.chart import DEBIT_NORMAL_CODES, FLOORED_CODES

__all__ = ["Balance", "BalanceOverflowError", "Book", "InsufficientFundsError", "Line", "Posting"]


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


_line = maker(Line)


@dataclass(slots=True)
class Balance:
    """One locked ledger account, as it stands after everything posted so far.

    `version_before` is the one it was locked at; `last_event_index` the last event that posted to it since.
    """

    code: str
    currency: str
    balance_minor: int
    version: int
    version_before: int = field(init=False)
    last_event_index: int | None = field(init=False, default=None)
    debit_normal: bool = field(init=False)
    floored: bool = field(init=False)

    def __post_init__(self) -> None:
        self.version_before = self.version
        self.debit_normal = self.code in DEBIT_NORMAL_CODES
        self.floored = self.code in FLOORED_CODES


@dataclass(slots=True)
class Book:
    """The locked ledger accounts of one issuer and what was posted to them.

    `lines` grows in the order of posting until they are taken to be written.
    """

    balances: Mapping[str, Balance]
    lines: list[Line] = field(default_factory=list)
    _last_events: list[int | None] = field(default_factory=list)

    def available_minor(self, ledger_account_id: str) -> int:
        """Return the balance as it stands after everything posted so far."""
        return self.balances[ledger_account_id].balance_minor

    def check(self, postings: Iterable[Posting]) -> None:
        """Refuse what `post` could not do: InsufficientFundsError, BalanceOverflowError."""
        movements: dict[str, int] = {}
        balances = self.balances
        for account_id, debit_minor, credit_minor in postings:
            account = balances[account_id]
            raised_minor = debit_minor - credit_minor if account.debit_normal else credit_minor - debit_minor
            # An account that is posted to twice is judged by both together.
            if account_id in movements:
                raised_minor += movements[account_id]
            movements[account_id] = raised_minor
        for account_id, movement_minor in movements.items():
            account = balances[account_id]
            balance_minor = account.balance_minor + movement_minor
            if movement_minor < 0:
                if balance_minor < 0 and account.floored:
                    raise InsufficientFundsError
                if balance_minor < -AMOUNT_MINOR_MAX:
                    raise BalanceOverflowError
            elif balance_minor > AMOUNT_MINOR_MAX:
                raise BalanceOverflowError

    def post(self, event_index: int, value_date: date, postings: Iterable[Posting]) -> list[Line]:
        """Post one entry that `check` let through and return its lines.

        Raises InvariantError if the entry does not balance in each currency: no caller may ask for that.
        """
        lines: list[Line] = []
        imbalance_minor: dict[str, int] = {}
        balances, last_events = self.balances, self._last_events
        for account_id, debit_minor, credit_minor in postings:
            account = balances[account_id]
            currency = account.currency
            raised_minor = debit_minor - credit_minor
            imbalance_minor[currency] = imbalance_minor.get(currency, 0) + raised_minor
            previous_minor = account.balance_minor
            balance_minor = previous_minor + (raised_minor if account.debit_normal else -raised_minor)
            account.balance_minor = balance_minor
            version = account.version = account.version + 1
            last_events.append(account.last_event_index)
            account.last_event_index = event_index
            lines.append(
                _line(
                    (
                        event_index,
                        len(lines),
                        account_id,
                        currency,
                        debit_minor,
                        credit_minor,
                        previous_minor,
                        balance_minor,
                        version,
                        value_date,
                    )
                )
            )
        if not lines or any(imbalance_minor.values()):
            raise InvariantError(f"entry {event_index} does not balance")
        self.lines += lines
        return lines

    def take_lines(self) -> list[Line]:
        """Return the lines posted since the last taking; from here on they can't be undone."""
        taken, self.lines = self.lines, []
        self._last_events.clear()
        return taken

    def touched(self) -> list[tuple[str, Balance]]:
        """Return the accounts that were posted to, with their ids."""
        return [
            (account_id, balance)
            for account_id, balance in self.balances.items()
            if balance.last_event_index is not None
        ]

    def undo_to(self, lines_kept: int) -> None:
        """Take back every line behind the first `lines_kept`, newest first: an atomic group that was refused."""
        for line in reversed(self.lines[lines_kept:]):
            account = self.balances[line.ledger_account_id]
            account.balance_minor = line.previous_balance_minor
            account.version = line.account_version - 1
            account.last_event_index = self._last_events.pop()
        del self.lines[lines_kept:]
