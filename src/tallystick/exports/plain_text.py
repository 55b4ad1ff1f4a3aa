"""The journal for plain-text accounting: hledger 1.25 or newer, and Beancount 2 or 3.

Both programs recompute every balance on their own. In hledger's journal each posting asserts the balance that it led
to; in Beancount's each account asserts its last one. Debits are positive, credits negative. A period that begins
later opens with one entry per token class. Nothing here is free text, so nothing needs quoting.
"""

import re
from collections.abc import Iterator
from datetime import date, timedelta
from itertools import chain
from pathlib import Path
from typing import Final, Protocol

from sqlalchemy import Connection

from tallystick.core.clock import format_time
from tallystick.core.money import format_amount
from tallystick.exports.manifest import Totals
from tallystick.exports.reading import Entry, Scope, Standing, booked_on, entries, standings
from tallystick.exports.records import ExportFormat, FileFacts
from tallystick.exports.writers import NewFile
from tallystick.ledger import CHART
from tallystick.participants import TokenClass

__all__ = ["write_plain_text"]

_MEDIA_TYPE: Final = "text/plain"
_TYPES: Final = {"1": "Assets", "2": "Liabilities", "4": "Income", "5": "Expenses"}
# What hledger calls the same: https://hledger.org/hledger.html#account-types
_HLEDGER_TYPES: Final = {"1": "A", "2": "L", "4": "R", "5": "X"}
_NOT_IN_BEANCOUNT: Final = re.compile(r"[^A-Za-z0-9]+")


class _Dialect(Protocol):
    """How one program wants to read it. `opened_on` and `closed_on` enclose every date of the journal."""

    def head(self, scope: Scope) -> str: ...

    def account(self, standing: Standing, scale: int, opened_on: date, closed_on: date) -> str: ...

    def opening_head(self, of_class: TokenClass, opened_on: date) -> str: ...

    def opening_posting(self, standing: Standing, scale: int) -> str: ...

    def entry(self, entry: Entry, scales: dict[str, int]) -> str: ...


def write_plain_text(
    connection: Connection, scope: Scope, folder: Path, export_format: ExportFormat
) -> tuple[list[FileFacts], Totals]:
    """Write the one journal file into `folder`, add up the totals on the way, and return the file's facts."""
    dialect = _DIALECTS[export_format]
    totals = Totals(scope)
    scales = {one.currency: one.scale for one in scope.classes}
    with NewFile(folder, f"journal.{export_format.value}", _MEDIA_TYPE) as file:
        file.write(dialect.head(scope).encode())
        if scope.last_index >= 0:
            opened_on = booked_on(connection, scope, max(scope.first_index - 1, 0))
            closed_on = booked_on(connection, scope, scope.last_index)
            for of_class in scope.classes:
                for standing in standings(connection, scope, of_class):
                    totals.add_standing(standing)
                    file.write(dialect.account(standing, of_class.scale, opened_on, closed_on).encode())
            _write_openings(connection, scope, file, dialect, opened_on)
        for entry in entries(connection, scope):
            totals.add_entry(entry)
            if entry.lines:
                file.write(dialect.entry(entry, scales).encode())
                file.rows += 1
        return [file.finish()], totals


def _write_openings(
    connection: Connection, scope: Scope, file: NewFile, dialect: _Dialect, opened_on: date
) -> None:
    if scope.first_index == 0:
        return
    for of_class in scope.classes:
        opened = (one for one in standings(connection, scope, of_class) if one.opening_minor)
        for first in opened:
            file.write(dialect.opening_head(of_class, opened_on).encode())
            for standing in chain([first], opened):
                file.write(dialect.opening_posting(standing, of_class.scale).encode())
            file.rows += 1


def _signed(code: str, balance_minor: int) -> int:
    """Return a balance in its normal sense with the sign of its side: debit positive, credit negative."""
    return balance_minor if CHART[code].debit_normal else -balance_minor


class _Hledger:
    def head(self, scope: Scope) -> str:
        lines = [_comment(scope), "decimal-mark .\n"]
        lines += [f"commodity {_sample(one.scale)} {one.currency}\n" for one in scope.classes]
        return "".join(lines) + "\n"

    def account(self, standing: Standing, scale: int, opened_on: date, closed_on: date) -> str:  # noqa: ARG002
        account_type = _HLEDGER_TYPES[standing.account.code[0]]
        return f"account {self._name(standing.account.id)}  ; type:{account_type}\n"

    def opening_head(self, of_class: TokenClass, opened_on: date) -> str:
        return f"\n{opened_on.isoformat()} * opening balances  ; token_class_id:{of_class.id}\n"

    def opening_posting(self, standing: Standing, scale: int) -> str:
        account = standing.account
        amount = format_amount(_signed(account.code, standing.opening_minor), scale)
        return self._posting(account.id, f"{amount} {account.currency}", f"{amount} {account.currency}")

    def entry(self, entry: Entry, scales: dict[str, int]) -> str:
        event, lines = entry
        head = (
            f"\n{event.booked_at.date().isoformat()} * ({event.event_index}) {event.type}\n"
            f"    ; event_id:{event.id}, instruction_id:{event.subject_id}\n"
            f"    ; booked_at:{format_time(event.booked_at)}, value_date:{lines[0].value_date.isoformat()}\n"
        )
        postings = []
        for line in lines:
            scale = scales[line.currency]
            code = line.ledger_account_id[:4]
            amount = format_amount(line.debit_minor - line.credit_minor, scale)
            balance = format_amount(_signed(code, line.balance_minor), scale)
            postings.append(
                self._posting(
                    line.ledger_account_id, f"{amount} {line.currency}", f"{balance} {line.currency}"
                )
            )
        return head + "".join(postings)

    def _posting(self, ledger_account_id: str, amount: str, balance: str) -> str:
        return f"    {self._name(ledger_account_id)}  {amount} = {balance}\n"

    @staticmethod
    def _name(ledger_account_id: str) -> str:
        code, _, owner_id = ledger_account_id.partition(".")
        return f"{code}:{CHART[code].name}:{owner_id}"


class _Beancount:
    def head(self, scope: Scope) -> str:
        options = "".join(f'option "operating_currency" "{one.currency}"\n' for one in scope.classes)
        return _comment(scope) + options + "\n"

    def account(self, standing: Standing, scale: int, opened_on: date, closed_on: date) -> str:
        account = standing.account
        name = self._name(account.id)
        balance = format_amount(_signed(account.code, standing.balance_minor), scale)
        # A balance is asserted as of the beginning of its day.
        asserted_on = closed_on + timedelta(days=1)
        return (
            f"{opened_on.isoformat()} open {name} {account.currency}\n"
            f'  ledger_account_id: "{account.id}"\n'
            f"{asserted_on.isoformat()} balance {name} {balance} ~ 0 {account.currency}\n"
        )

    def opening_head(self, of_class: TokenClass, opened_on: date) -> str:
        return f'\n{opened_on.isoformat()} * "opening balances"\n  token_class_id: "{of_class.id}"\n'

    def opening_posting(self, standing: Standing, scale: int) -> str:
        account = standing.account
        amount = format_amount(_signed(account.code, standing.opening_minor), scale)
        return f"  {self._name(account.id)}  {amount} {account.currency}\n"

    def entry(self, entry: Entry, scales: dict[str, int]) -> str:
        event, lines = entry
        head = (
            f'\n{event.booked_at.date().isoformat()} * "{event.type}" ^{event.subject_id}\n'
            f"  event_index: {event.event_index}\n"
            f'  event_id: "{event.id}"\n'
            f'  booked_at: "{format_time(event.booked_at)}"\n'
            f"  value_date: {lines[0].value_date.isoformat()}\n"
        )
        return head + "".join(self._postings(entry, scales))

    def _postings(self, entry: Entry, scales: dict[str, int]) -> Iterator[str]:
        for line in entry.lines:
            amount = format_amount(line.debit_minor - line.credit_minor, scales[line.currency])
            yield f"  {self._name(line.ledger_account_id)}  {amount} {line.currency}\n"

    @staticmethod
    def _name(ledger_account_id: str) -> str:
        # An account's parts begin with a capital or a digit and hold letters, digits and hyphens.
        code, _, owner_id = ledger_account_id.partition(".")
        name = _NOT_IN_BEANCOUNT.sub("-", CHART[code].name).strip("-")
        owner = _NOT_IN_BEANCOUNT.sub("-", owner_id)
        return f"{_TYPES[code[0]]}:{code}:{name}:{owner[0].upper()}{owner[1:]}"


_DIALECTS: Final[dict[ExportFormat, _Dialect]] = {
    ExportFormat.HLEDGER: _Hledger(),
    ExportFormat.BEANCOUNT: _Beancount(),
}


def _comment(scope: Scope) -> str:
    return f"; Issuer {scope.issuer_id}, events {scope.first_index} to {scope.last_index}\n"


def _sample(scale: int) -> str:
    # The decimal mark is written even where no decimals follow: hledger wants to see which it is.
    return "1000." + "0" * scale
