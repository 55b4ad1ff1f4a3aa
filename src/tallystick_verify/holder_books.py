"""A holder's accounts, worked out from the leaves that its pack shows, and compared with the pack's figures.

The sums are proven as far as the leaves go. A leaf that is left out, with everything that is counted from it, leaves no
gap that could be seen here, save where a balance would fall below zero without it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from tallystick_verify.chart import CLAIM_CODES, HOLDER_CODES
from tallystick_verify.events import Event, Line
from tallystick_verify.facts import Fact
from tallystick_verify.failures import ExitCode, Failure
from tallystick_verify.figures import (
    ACCOUNT_MEMBERS,
    balance_row,
    compare,
    compare_all,
    differs,
    journal_row,
    liability_row,
    parsed,
)
from tallystick_verify.manifest import Manifest
from tallystick_verify.replay import LedgerAccount, Posted, TokenClass

__all__ = ["HolderBooks"]

#: A file's rows by its name.
Rows = Callable[[str], Iterator[bytes]]

_ACCOUNTS: Final = "accounts.jsonl"
_JOURNAL: Final = "journal.jsonl"
_LIABILITIES: Final = "liabilities.jsonl"


@dataclass(slots=True)
class HolderBooks:
    """The books of one holder's accounts, and the journal that is read beside its leaves."""

    manifest: Manifest
    rows: Rows
    journal: Iterator[bytes] = field(init=False)
    owned: dict[str, str] = field(default_factory=dict)
    classes: dict[str, TokenClass] = field(default_factory=dict)
    accounts: dict[str, LedgerAccount] = field(default_factory=dict)
    line_count: int = 0
    in_period: bool = False

    def __post_init__(self) -> None:
        self.journal = self.rows(_JOURNAL)
        for line in self.rows(_ACCOUNTS):
            row = parsed(line, _ACCOUNTS)
            account_id = str(row.get("account_id"))
            if not all(isinstance(value, str) for value in row.values()):
                raise differs("A row has a member of another type than expected.", _ACCOUNTS)
            if tuple(row) != ACCOUNT_MEMBERS or account_id in self.owned:
                raise differs("A row is malformed, or tells of an account twice.", _ACCOUNTS)
            if row["holder_id"] != self.manifest.holder_id:
                raise differs("An account is another holder's than the pack's.", _ACCOUNTS)
            self.owned[account_id] = str(row["token_class_id"])

    def post(self, event: Event | Fact) -> None:
        """Post what an event moved in these accounts. Raises Failure (books, figures)."""
        if not self.in_period and event.index >= self.manifest.first_index:
            self._begin_period()
        if isinstance(event, Fact):
            return
        for number, line in enumerate(event.lines):
            if line.code in HOLDER_CODES and line.account[5:] in self.owned:
                posted = self._post(event, line)
                compare(next(self.journal, None), journal_row(event, number, posted), _JOURNAL)
                self.line_count += 1

    def finish(self) -> dict[str, str]:
        """Compare every figure; return what was checked, by the name of the check. Raises Failure (figures)."""
        if not self.in_period:
            self._begin_period()
        compare(next(self.journal, None), None, _JOURNAL)
        if self.owned.keys() != {one.owner for one in self.accounts.values()}:
            raise differs("An account is told that no leaf moves anything in.", _ACCOUNTS)
        balances = (
            balance_row(account_id, account, of_class)
            for of_class in self._classes()
            for account_id, account in sorted(self.accounts.items())
            if account.token_class_id == of_class.id
        )
        return {
            "journal": f"{self.line_count:,} lines of these accounts, as far as the leaves go",
            "balances": compare_all(self.rows("balances.jsonl"), balances, "balances.jsonl"),
            "register": self._check_liabilities(),
        }

    def _begin_period(self) -> None:
        self.in_period = True
        for account in self.accounts.values():
            account.opening_minor = account.balance_minor

    def _classes(self) -> list[TokenClass]:
        return sorted(self.classes.values(), key=lambda one: one.currency)

    def _post(self, event: Event, line: Line) -> Posted:
        if self.owned[line.account[5:]] != event.token_class_id:
            raise differs("An account is told to be of another token class than its events'.", _ACCOUNTS)
        of_class = self.classes.setdefault(
            event.token_class_id, TokenClass(event.token_class_id, event.currency, event.scale)
        )
        if (of_class.currency, of_class.scale) != (event.currency, event.scale):
            raise Failure(ExitCode.BOOKS, "The event has another currency or scale than its token class.")
        account = self.accounts.setdefault(
            line.account,
            LedgerAccount(line.code, line.account[5:], of_class.id, first_booked_at=event.booked_at),
        )
        previous_minor = account.balance_minor
        account.balance_minor += line.credit_minor - line.debit_minor
        if account.balance_minor < 0:
            raise Failure(
                ExitCode.BOOKS, f"{line.account} falls below zero: a leaf that came before is left out."
            )
        account.version += 1
        account.last_index = event.index
        return Posted(line, previous_minor, account.balance_minor, account.version)

    def _check_liabilities(self) -> str:
        claims: dict[str, list[LedgerAccount]] = {}
        for account in self.accounts.values():
            if account.code in CLAIM_CODES:
                claims.setdefault(account.token_class_id, []).append(account)
        count = 0
        for line in self.rows(_LIABILITIES):
            count += 1
            row = parsed(line, _LIABILITIES)
            class_id = str(row.get("token_class_id"))
            touched = claims.pop(class_id, None)
            if touched is None or row.get("holder_id") != self.manifest.holder_id:
                raise differs(
                    "The register has a record that no claim of this holder belongs to.", _LIABILITIES
                )
            compare(line, liability_row(row, touched, self.classes[class_id]), _LIABILITIES)
        if claims:
            raise differs("The register leaves out what is owed.", _LIABILITIES)
        return f"{count:,} rows equal"
