"""Inbound statements as CSV (RFC 4180, in a bank's own manner), read by a mapping: one statement per account.

A file tells of whole days. Where it has a running balance, the statement opens and closes with it; without one nothing
proves that no row is missing, and its credits wait. Cells are text: a formula is never more than its letters, and what
a spreadsheet has damaged is refused.
"""

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from io import BufferedIOBase
from itertools import islice
from typing import Final

from tallystick.statements.csv_mapping import CsvMapping, amount_reader, day_reader
from tallystick.statements.findings import FindingCollector
from tallystick.statements.packed import EntryPacker, packed, unpacked
from tallystick.statements.parsed import (
    BankTransactionCode,
    ParsedBalance,
    ParsedEntry,
    ParsedEntryDetail,
    ParsedMessage,
    ParsedParty,
    ParsedStatement,
)
from tallystick.statements.refusals import StatementMalformedError, StatementTooManyEntriesError
from tallystick.statements.statement_checks import StatedTotals, check_statement
from tallystick.statements.text_bytes import TextFile, opened_text
from tallystick.statements.values import (
    UnreadableValueError,
    iban_is_valid,
    in_words,
    minor_units,
    uetr_is_valid,
)

__all__ = ["parse_csv"]

ENTRY_COUNT_MAX: Final = 250_000
_ACCOUNT_COUNT_MAX: Final = 1_000
_COLUMN_COUNT_MAX: Final = 200
_CELL_LENGTH_MAX: Final = 10_000
_LINE_LENGTH_MAX: Final = 1_000_000
_ROWS_AT_ONCE: Final = 1_000
_REFERENCE_LENGTH_MAX: Final = 35
#: What spreadsheets make of long numbers.
_SCIENTIFIC: Final = re.compile(r"[0-9][.,][0-9]+E\+?[0-9]+", re.IGNORECASE)
_NO_TOTALS: Final = StatedTotals(None, None, None, None, None, None)
_NO_PARTY: Final = ParsedParty()
_NO_CODE: Final = BankTransactionCode()


def parse_csv(
    content: bytes | BufferedIOBase,
    mapping: CsvMapping,
    *,
    size_max_bytes: int,
    entry_count_max: int = ENTRY_COUNT_MAX,
) -> ParsedMessage:
    """Return what a CSV file says, a statement for each account, with its deviations as findings.

    Raises, and never anything else: StatementTooLargeError, StatementTooManyEntriesError,
    StatementEncodingUnsupportedError, StatementMalformedError.
    """
    text = opened_text(content, size_max_bytes, mapping.encoding)
    reading = _Reading(mapping)
    accounts: dict[tuple[str, str], _Account] = {}
    rows = _rows(text, mapping, entry_count_max)
    header = next(rows, None) if mapping.header else None
    reading.find_columns([] if header is None else header[1])
    ordered: Iterable[tuple[int, list[str]]] = rows
    if mapping.order == "newest_first":
        ordered = _turned_round(rows)
    for number, row in ordered:
        line = reading.line(number, row)
        account = accounts.setdefault((line.account, line.currency), _Account(line.account, line.currency))
        account.take(line)
        if len(accounts) > _ACCOUNT_COUNT_MAX:
            raise StatementTooManyEntriesError(
                f"The limit is {_ACCOUNT_COUNT_MAX} accounts.", count_max=_ACCOUNT_COUNT_MAX
            )
    if not accounts:
        raise StatementMalformedError("The file has no rows.")
    statements = tuple(
        account.statement(f"Stmt[{number}]") for number, account in enumerate(accounts.values(), 1)
    )
    return ParsedMessage(
        message_type="CSV",
        version="",
        message_id=statements[0].statement_id,
        created_at=None,
        statements=statements,
        findings=tuple(found for one in statements for found in one.findings),
    )


def _rows(text: TextFile, mapping: CsvMapping, entry_count_max: int) -> Iterator[tuple[int, list[str]]]:
    """Yield the header and the rows that are not empty, each with the number of its first line in the file."""
    line_count = max(text.last_line - mapping.lines_behind, mapping.lines_before)
    lines = islice(text.lines(_LINE_LENGTH_MAX), mapping.lines_before, line_count)
    reader = csv.reader(
        (f"{line}\n" for line in lines),
        delimiter=mapping.delimiter,
        quotechar=mapping.quote,
        doublequote=True,
        strict=True,
    )
    count = 0
    while True:
        number = mapping.lines_before + reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error:
            raise StatementMalformedError(f"Line {number}: the quotes don't match.") from None
        if not any(cell.strip() for cell in row):
            continue
        if len(row) > _COLUMN_COUNT_MAX or any(len(cell) > _CELL_LENGTH_MAX for cell in row):
            raise StatementMalformedError(
                f"Line {number}: more columns or characters than any statement has."
            )
        count += 1
        if count > entry_count_max + mapping.header:
            raise StatementTooManyEntriesError(f"The limit is {entry_count_max}.", count_max=entry_count_max)
        yield number, [cell.strip() for cell in row]


def _turned_round(rows: Iterator[tuple[int, list[str]]]) -> Iterator[tuple[int, list[str]]]:
    """Yield rows from the last to the first: a file can be read in one direction only, so they are packed meanwhile."""
    blocks = []
    while block := list(islice(rows, _ROWS_AT_ONCE)):
        blocks.append(packed(block))
    while blocks:
        yield from reversed(unpacked(blocks.pop()))


@dataclass(frozen=True, slots=True)
class _Line:
    """One row, read. Amounts are signed minor units; `balance_minor` is that behind the entry."""

    number: int
    account: str
    currency: str
    booked: bool
    amount_minor: int
    balance_minor: int | None
    booking_date: date
    value_date: date | None
    bank_reference: str | None
    end_to_end_id: str | None
    uetr: str | None
    party: ParsedParty
    remittance: str | None


class _Reading:
    """Reads rows by the mapping."""

    def __init__(self, mapping: CsvMapping) -> None:
        self._mapping = mapping
        self._read_day = day_reader(mapping.days)
        self._read_amount = amount_reader(mapping.amounts)
        self._places: dict[str | int, int] = {}
        self._width: int | None = None

    def find_columns(self, header: Sequence[str]) -> None:
        """Find the mapping's columns in the header; refuse one that is missing, or there twice."""
        self._width = len(header) if self._mapping.header else None
        for column in self._mapping.used_columns():
            if isinstance(column, int):
                self._places[column] = column - 1
                continue
            found = [place for place, name in enumerate(header) if name == column]
            if len(found) != 1:
                raise StatementMalformedError(
                    f"A column of the mapping is {'missing' if not found else 'there twice'} in the header.",
                    column=column,
                )
            self._places[column] = found[0]

    def line(self, number: int, row: Sequence[str]) -> _Line:
        """Return one row's facts."""
        mapping = self._mapping
        self._width = self._width or len(row)
        if len(row) != self._width or max(self._places.values()) >= len(row):
            raise StatementMalformedError(f"Line {number} has another number of columns.")
        currency = mapping.currency.value or self._required(number, row, mapping.currency.column)
        columns = mapping.columns
        texts = [self._cell(row, column) for column in columns.remittance]
        booked = mapping.booked is None or self._cell(row, mapping.booked.column) in mapping.booked.values
        return _Line(
            number=number,
            account=mapping.account.value or self._number(number, row, mapping.account.column) or "",
            currency=currency,
            booked=booked,
            amount_minor=self._amount_minor(number, row, currency),
            balance_minor=self._balance_minor(number, row, currency, booked=booked),
            booking_date=self._day(number, self._required(number, row, mapping.days.booking)),
            value_date=self._optional_day(number, row, mapping.days.value),
            bank_reference=self._cell(row, columns.bank_reference),
            end_to_end_id=self._cell(row, columns.end_to_end_id),
            uetr=self._cell(row, columns.uetr),
            party=self._party(number, row),
            remittance="\n".join(text for text in texts if text) or None,
        )

    def _cell(self, row: Sequence[str], column: str | int | None) -> str | None:
        return None if column is None else row[self._places[column]] or None

    def _required(self, number: int, row: Sequence[str], column: str | int | None) -> str:
        cell = self._cell(row, column)
        if cell is None:
            raise self._malformed(number, column, "empty")
        return cell

    def _number(self, number: int, row: Sequence[str], column: str | int | None) -> str | None:
        """Return an account number, unless a spreadsheet has made another of it."""
        cell = self._cell(row, column)
        if cell is not None and _SCIENTIFIC.fullmatch(cell):
            raise self._malformed(number, column, "a spreadsheet has rounded this number")
        return cell

    def _party(self, number: int, row: Sequence[str]) -> ParsedParty:
        columns = self._mapping.columns
        name = self._cell(row, columns.counterparty_name)
        account = self._number(number, row, columns.counterparty_account)
        compact = "".join((account or "").split()).upper()
        iban = compact if iban_is_valid(compact) else None
        return ParsedParty(name=name, iban=iban, account=None if iban else account)

    def _amount_minor(self, number: int, row: Sequence[str], currency: str) -> int:
        amounts = self._mapping.amounts
        if amounts.style == "two_columns":
            credit, debit = self._cell(row, amounts.credit), self._cell(row, amounts.debit)
            if (credit is None) == (debit is None):
                raise self._malformed(number, amounts.credit, "a row is either a credit or a debit")
            minor = self._minor(
                number, amounts.credit if credit else amounts.debit, credit or debit or "", currency
            )
            if minor < 0:
                raise self._malformed(number, amounts.credit, "an amount of one side has no sign")
            return minor if credit is not None else -minor
        minor = self._minor(number, amounts.column, self._required(number, row, amounts.column), currency)
        if amounts.style == "signed":
            return minor
        mark = self._required(number, row, amounts.mark)
        if minor < 0 or mark not in amounts.credit_marks + amounts.debit_marks:
            raise self._malformed(number, amounts.mark, "not one of the marks, or beside a signed amount")
        return minor if mark in amounts.credit_marks else -minor

    def _balance_minor(self, number: int, row: Sequence[str], currency: str, *, booked: bool) -> int | None:
        column = self._mapping.balance
        if column is None or not booked:
            return None
        return self._minor(number, column, self._required(number, row, column), currency)

    def _minor(self, number: int, column: str | int | None, text: str, currency: str) -> int:
        return self._or_refuse(number, column, lambda: self._read_amount(text, currency))

    def _day(self, number: int, text: str) -> date:
        try:
            return self._read_day(text)
        except UnreadableValueError as error:
            raise self._malformed(number, self._mapping.days.booking, str(error)) from None

    def _optional_day(self, number: int, row: Sequence[str], column: str | int | None) -> date | None:
        cell = self._cell(row, column)
        return None if cell is None else self._day(number, cell)

    def _or_refuse(self, number: int, column: str | int | None, read: Callable[[], int]) -> int:
        try:
            return read()
        except UnreadableValueError as error:
            raise self._malformed(number, column, str(error)) from None

    def _malformed(self, number: int, column: str | int | None, reason: str) -> StatementMalformedError:
        return StatementMalformedError(f"Line {number}, column {column}: {reason}.")


class _Account:
    """The rows of one account, as they come: oldest first."""

    def __init__(self, account: str, currency: str) -> None:
        if not account:
            raise StatementMalformedError("A row names no account.")
        try:
            minor_units("0", currency)
        except UnreadableValueError as error:
            raise StatementMalformedError(f"A row's currency can't be read: {error}.") from None
        self._account = account
        self._currency = currency
        self._packer = EntryPacker()
        self._findings = FindingCollector()
        self._opening_minor: int | None = None
        self._balance_minor: int | None = None
        self._first_day: date | None = None
        self._last_day: date | None = None
        self._booked_count = 0

    def take(self, line: _Line) -> None:
        """Take up one row."""
        where = f"Ntry[{len(self._packer) + 1}]"
        if line.booked:
            self._follow(line, where)
        if line.uetr is not None and not uetr_is_valid(line.uetr):
            self._findings.add("uetr_invalid", where, "The UETR is not a version 4 UUID in lower case.")
        for reference in (line.bank_reference, line.end_to_end_id):
            if reference is not None and len(reference) > _REFERENCE_LENGTH_MAX:
                self._findings.add("text_too_long", where, "A reference is longer than 35 characters.")
        self._packer.add(_entry(len(self._packer) + 1, line))

    def _follow(self, line: _Line, where: str) -> None:
        """Keep the balance and the days, and note where the bank's running balance doesn't follow."""
        before = self._balance_minor
        if line.balance_minor is not None:
            reached = line.balance_minor - line.amount_minor if before is None else before
            if self._booked_count == 0:
                self._opening_minor = reached
            if reached + line.amount_minor != line.balance_minor:
                self._findings.add(
                    "balance_mismatch",
                    where,
                    f"The balance before it and the entry come to "
                    f"{in_words(reached + line.amount_minor, self._currency)}, but the balance behind it is "
                    f"{in_words(line.balance_minor, self._currency)}.",
                )
            self._balance_minor = line.balance_minor
        self._booked_count += 1
        if self._last_day is not None and line.booking_date < self._last_day:
            self._findings.add("dates_inconsistent", where, "The entry is older than the one before it.")
        self._first_day = min(self._first_day or line.booking_date, line.booking_date)
        self._last_day = max(self._last_day or line.booking_date, line.booking_date)

    def statement(self, where: str) -> ParsedStatement:
        """Return the statement of these rows."""
        entries = self._packer.entries()
        compact = "".join(self._account.split()).upper()
        iban = compact if iban_is_valid(compact) else None
        # Nothing but pending rows tell of no day yet, and the next file may have the same.
        days = f"{self._first_day}..{self._last_day}"
        if self._first_day is None:
            days = f"pending {entries[0].booking_date} {len(entries)}"
        statement = ParsedStatement(
            statement_id=days,
            electronic_sequence_number=None,
            legal_sequence_number=None,
            created_at=None,
            period_from_at=None,
            period_to_at=None,
            copy_duplicate_code=None,
            account_iban=iban,
            account_other_id=None if iban else self._account,
            currency=self._currency,
            owner_name=None,
            servicer_bic=None,
            page=None,
            balances=tuple(self._balances()),
            entries=entries,
            additional_information=None,
            findings=(),
        )
        check_statement("CSV", statement, _NO_TOTALS, self._findings, where)
        return replace(statement, findings=self._findings.collected(where))

    def _balances(self) -> Iterator[ParsedBalance]:
        for type_code, minor, day in (
            ("OPBD", self._opening_minor, self._first_day),
            ("CLBD", self._balance_minor, self._last_day),
        ):
            if minor is not None:
                yield ParsedBalance(type_code, False, None, abs(minor), self._currency, minor >= 0, day)


def _entry(sequence: int, line: _Line) -> ParsedEntry:
    credit = line.amount_minor >= 0
    amount_minor = abs(line.amount_minor)
    detail = ParsedEntryDetail(
        sequence=1,
        end_to_end_id=line.end_to_end_id,
        uetr=line.uetr,
        transaction_id=None,
        instruction_id=None,
        message_id=None,
        payment_information_id=None,
        mandate_id=None,
        account_servicer_reference=None,
        clearing_system_reference=None,
        amount_minor=amount_minor,
        currency=line.currency,
        credit=credit,
        instructed_amount_minor=None,
        instructed_currency=None,
        debtor=line.party if credit else _NO_PARTY,
        creditor=_NO_PARTY if credit else line.party,
        remittance_information=line.remittance,
        creditor_references=(),
        purpose_code=None,
        return_reason_code=None,
        return_reason_information=None,
        bank_transaction_code=_NO_CODE,
        charges=(),
        additional_information=None,
    )
    return ParsedEntry(
        sequence=sequence,
        entry_reference=None,
        account_servicer_reference=line.bank_reference,
        amount_minor=amount_minor,
        currency=line.currency,
        credit=credit,
        reversal=False,
        status="BOOK" if line.booked else "PDNG",
        booking_date=line.booking_date,
        value_date=line.value_date,
        bank_transaction_code=_NO_CODE,
        details=(detail,),
        batches=(),
        charges=(),
        additional_information=None,
    )
