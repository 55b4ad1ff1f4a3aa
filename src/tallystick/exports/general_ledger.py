"""One business date's postings for the bank's general ledger, with what it takes to check that all of them arrived.

Three files, in CSV or JSON Lines. `gl_<date>` has a row per journal line, or per code of the chart and token class;
`gl_<date>_balances` what each code opened with and closed at; `gl_<date>_control` one row per token class: number of
rows, sums of both sides, and the SHA-256 of the first file. `batch_id` is the same whenever the same day is asked for
in the same detail, so a general ledger can refuse what it has booked already. The chart is docs/accounting.md's.

A day is either a whole day in UTC, by the moment of booking, or a hand-off of a business date: its journal lines by
value date, as the log stood when it was made. `journal_sha256` is then the hash that the close of the date is signed
with.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Final

from sqlalchemy import Connection

from tallystick import ledger
from tallystick.business_dates import FIRST_DAY
from tallystick.core.money import format_amount
from tallystick.exports.manifest import Totals
from tallystick.exports.options import LedgerDetail
from tallystick.exports.reading import Entry, Scope, dated_entries, entries, standings
from tallystick.exports.records import ExportFormat, FileFacts, Pinned
from tallystick.exports.writers import (
    CSV,
    JSON_LINES,
    Row,
    SeparateFiles,
    csv_table,
    json_lines_table,
)
from tallystick.ledger import CHART, HOLDER_CODES, EntryLine
from tallystick.participants import TokenClass

__all__ = ["LEDGER_FORMATS", "canonical_line", "write_general_ledger"]

LEDGER_FORMATS: Final = {
    ExportFormat.GL_CSV: ("csv", CSV, csv_table),
    ExportFormat.GL_JSONL: ("jsonl", JSON_LINES, json_lines_table),
}
_LINE_COLUMNS: Final = (
    *("batch_id", "business_date", "sequence", "code", "name", "account_id", "token_class_id", "currency"),
    *("debit", "credit", "value_date", "event_index", "line_number", "event_id", "event_type"),
)
_CODE_COLUMNS: Final = (
    *("batch_id", "business_date", "sequence", "code", "name", "token_class_id", "currency"),
    *("debit", "credit", "lines"),
)
_BALANCE_COLUMNS: Final = (
    *("batch_id", "business_date", "code", "name", "token_class_id", "currency", "normal_balance"),
    *("opening_balance", "debits", "credits", "balance"),
)
_CONTROL_COLUMNS: Final = (
    *("batch_id", "business_date", "token_class_id", "currency", "rows", "entries", "lines"),
    *("debits", "credits", "opening_supply", "supply", "ties", "file", "file_sha256"),
    *("hand_off_id", "journal_sha256"),
)
_ONE_DAY: Final = timedelta(days=1)


class _Day:
    """One hand-off: what every row begins with, and the rows in their order."""

    def __init__(self, scope: Scope, pinned: Pinned) -> None:
        options = pinned.arguments.options
        assert options.business_date is not None
        self.date = options.business_date.isoformat()
        self.detail = options.detail or LedgerDetail.LINES
        self.hand_off_id = options.hand_off_id
        self.period = (
            None if options.handed_off is None else (options.handed_off.period_from, options.business_date)
        )
        named = [scope.issuer_id, self.date, self.detail.value, pinned.arguments.token_class_id or ""]
        if options.hand_off_id is not None:
            named.append(options.hand_off_id)
        self.batch_id = hashlib.sha256("\n".join(named).encode()).hexdigest()[:32]
        self.rows_by_currency: Counter[str] = Counter()
        self._classes = {one.currency: one for one in scope.classes}
        self._scales = {one.currency: one.scale for one in scope.classes}
        self._journal = hashlib.sha256()
        self._whole_issuer = scope.whole_issuer
        self._lines_by_code: Counter[tuple[str, str]] = Counter()
        self._sequence = 0

    def line_rows(self, entry: Entry) -> Iterator[Row]:
        """Yield the rows of an entry, where each line has one; count it in any case."""
        for line in entry.lines:
            code, _, owner_id = line.ledger_account_id.partition(".")
            self._lines_by_code[line.currency, code] += 1
            if self.period is not None:
                self._journal.update(canonical_line(line, self._scales).encode())
            if self.detail == LedgerDetail.CODES:
                continue
            of_class = self._classes[line.currency]
            yield (
                *self._beginning(line.currency),
                code,
                CHART[code].name,
                owner_id if code in HOLDER_CODES else None,
                of_class.id,
                line.currency,
                format_amount(line.debit_minor, of_class.scale) if line.debit_minor else None,
                format_amount(line.credit_minor, of_class.scale) if line.credit_minor else None,
                line.value_date.isoformat(),
                line.event_index,
                line.line_number,
                entry.event.id,
                entry.event.type,
            )

    def code_rows(self, totals: Totals) -> Iterator[Row]:
        """Yield a row for each code that was posted to, where lines are summed up."""
        if self.detail == LedgerDetail.LINES:
            return
        for of_class, code, sums in totals.trial_balance():
            count = self._lines_by_code[of_class.currency, code]
            if count:
                yield (
                    *self._beginning(of_class.currency),
                    code,
                    CHART[code].name,
                    of_class.id,
                    of_class.currency,
                    format_amount(sums.debits_minor, of_class.scale) if sums.debits_minor else None,
                    format_amount(sums.credits_minor, of_class.scale) if sums.credits_minor else None,
                    count,
                )

    def balance_rows(self, totals: Totals) -> Iterator[Row]:
        """Yield what every code opened with, moved by, and closed at."""
        for of_class, code, sums in totals.trial_balance():
            yield (
                self.batch_id,
                self.date,
                code,
                CHART[code].name,
                of_class.id,
                of_class.currency,
                "debit" if CHART[code].debit_normal else "credit",
                format_amount(sums.opening_minor, of_class.scale),
                format_amount(sums.debits_minor, of_class.scale),
                format_amount(sums.credits_minor, of_class.scale),
                format_amount(sums.balance_minor, of_class.scale),
            )

    def control_rows(self, totals: Totals, handed_off: FileFacts) -> Iterator[Row]:
        """Yield the totals of every class, to hold against what arrived."""
        for one in totals.control_totals():
            told = one | {
                "batch_id": self.batch_id,
                "business_date": self.date,
                "rows": self.rows_by_currency[one["currency"]],
                "ties": "true" if one["ties"] else "false",
                "file": handed_off.name,
                "file_sha256": handed_off.sha256,
                "hand_off_id": self.hand_off_id,
                # Of one class's lines alone there is no such hash in any close.
                "journal_sha256": self._journal.hexdigest() if self.period and self._whole_issuer else None,
            }
            yield tuple(told[column] for column in _CONTROL_COLUMNS)

    def _beginning(self, currency: str) -> tuple[str, str, int]:
        self._sequence += 1
        self.rows_by_currency[currency] += 1
        return self.batch_id, self.date, self._sequence


def write_general_ledger(
    connection: Connection, scope: Scope, folder: Path, pinned: Pinned
) -> tuple[list[FileFacts], Totals]:
    """Write a day's three files into `folder`, in constant memory, and return their facts with the totals."""
    totals, day = Totals(scope), _Day(scope, pinned)
    with SeparateFiles(folder, *LEDGER_FORMATS[pinned.arguments.format]) as tables:

        def write(name: str, columns: tuple[str, ...], rows: Iterator[Row]) -> None:
            write_row = tables.open(name, columns)
            for row in rows:
                write_row(row)
            tables.close(name)

        name = f"gl_{day.date}"
        columns = _LINE_COLUMNS if day.detail == LedgerDetail.LINES else _CODE_COLUMNS
        write(name, columns, _handed_off(connection, scope, totals, day))
        write(f"{name}_balances", _BALANCE_COLUMNS, day.balance_rows(totals))
        write(f"{name}_control", _CONTROL_COLUMNS, day.control_rows(totals, tables.files[0]))
        return tables.files, totals


def _handed_off(connection: Connection, scope: Scope, totals: Totals, day: _Day) -> Iterator[Row]:
    dated = (
        entries(connection, scope) if day.period is None else dated_entries(connection, scope, *day.period)
    )
    for entry in dated:
        totals.add_entry(entry)
        yield from day.line_rows(entry)
    for of_class in scope.classes:
        if day.period is None:
            for standing in standings(connection, scope, of_class):
                totals.add_standing(standing)
        else:
            _add_dated_balances(connection, scope, totals, of_class, day.period)
    yield from day.code_rows(totals)


def _add_dated_balances(
    connection: Connection, scope: Scope, totals: Totals, of_class: TokenClass, period: tuple[date, date]
) -> None:
    """Add the balances that count before a period and at its end, as they were known at the scope's last event."""
    first, last = period
    if first > FIRST_DAY:
        before = ledger.standpoint(connection, scope.issuer_id, scope.last_index, first - _ONE_DAY)
        for one in ledger.stream_trial_balance(connection, scope.issuer_id, of_class.id, before):
            if one.balance_minor:
                totals.add_balance(one.currency, one.code, opening_minor=one.balance_minor)
    until = ledger.standpoint(connection, scope.issuer_id, scope.last_index, last)
    for one in ledger.stream_trial_balance(connection, scope.issuer_id, of_class.id, until):
        if one.balance_minor:
            totals.add_balance(one.currency, one.code, closing_minor=one.balance_minor)


def canonical_line(line: EntryLine, scales: Mapping[str, int]) -> str:
    """Return a line as canonical JSON (RFC 8785) and a newline.

    Every value is an id, a code, a number or a day of ours, which JSON writes as they are; the names stand in order.
    """
    scale = scales[line.currency]
    return (
        f'{{"credit":"{format_amount(line.credit_minor, scale)}","currency":"{line.currency}",'
        f'"debit":"{format_amount(line.debit_minor, scale)}","event_index":{line.event_index},'
        f'"ledger_account_id":"{line.ledger_account_id}","line_number":{line.line_number},'
        f'"value_date":"{line.value_date.isoformat()}"}}\n'
    )
