"""Inbound SWIFT statements: MT940 (customer statement) and MT942 (interim transaction report).

Bytes in, facts out, as with camt: what can be read for certain is read, a deviation becomes a finding, and whatever
makes an amount, a sign, a day or an account doubtful is refused. A file is read as it comes, and of its statement lines
only some hundred are ever held as they stand.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from io import BufferedIOBase
from typing import Final, TypeVar

from tallystick.statements.findings import FindingCollector
from tallystick.statements.packed import EntryPacker
from tallystick.statements.parsed import (
    BankTransactionCode,
    PageInformation,
    ParsedBalance,
    ParsedEntry,
    ParsedEntryDetail,
    ParsedMessage,
    ParsedParty,
    ParsedStatement,
)
from tallystick.statements.refusals import StatementMalformedError, StatementTooManyEntriesError
from tallystick.statements.statement_checks import StatedTotals, check_statement
from tallystick.statements.swift_details import SwiftDetails, joined, read_details
from tallystick.statements.swift_fields import LINE_LENGTH_MAX, SwiftField, SwiftStart, swift_fields
from tallystick.statements.swift_values import (
    StatementLine,
    read_balance,
    read_line,
    read_moment,
    read_sum,
)
from tallystick.statements.text_bytes import TextFile, opened_text
from tallystick.statements.values import UnreadableValueError, iban_is_valid, minor_units

__all__ = ["parse_swift"]

ENTRY_COUNT_MAX: Final = 250_000
_STATEMENT_COUNT_MAX: Final = 10_000
_LINES_AT_ONCE: Final = 500
_TEXT_LENGTH_MAX: Final = 10_000
_REFERENCE_LENGTH_MAX: Final = 16
_BALANCES: Final = {"60F": "OPBD", "60M": "ITBD", "62F": "CLBD", "62M": "ITBD", "64": "CLAV", "65": "FWAV"}
_OPENING: Final = frozenset({"60F", "60M"})
_CLOSING: Final = frozenset({"62F", "62M"})
#: What a statement has at most once; a second one would leave open which one counts.
_ONCE: Final = frozenset({"20", "21", "25", "25P", "28", "28C", "13", "13D", "90C", "90D"})
_KNOWN: Final = _ONCE | _BALANCES.keys() | {"61", "86", "34F", "NS"}
_NO_PARTY: Final = ParsedParty()

_Value = TypeVar("_Value")


def parse_swift(
    content: bytes | BufferedIOBase, *, size_max_bytes: int, entry_count_max: int = ENTRY_COUNT_MAX
) -> ParsedMessage:
    """Return what a file of MT940 or of MT942 messages says, with its deviations as findings.

    Raises, and never anything else: StatementTooLargeError, StatementTooManyEntriesError,
    StatementEncodingUnsupportedError, StatementMalformedError.
    """
    text = opened_text(content, size_max_bytes)
    findings = FindingCollector()
    if not text.ascii_only:
        findings.add(
            "encoding_not_declared",
            "file",
            f"The file is not in SWIFT's characters; read as {text.encoding}.",
        )
    kinds: set[str] = set()
    names: set[tuple[str, PageInformation | None]] = set()
    statements: list[ParsedStatement] = []
    message_id = ""
    for reading in _readings(text, entry_count_max):
        statement = reading.statement()
        kinds.add(reading.message_type)
        if (statement.statement_id, statement.page) in names:
            reading.note("statement_id_duplicated", "Another statement of the file has this number and day.")
        names.add((statement.statement_id, statement.page))
        message_id = message_id or reading.one("20").strip()
        statements.append(replace(statement, findings=reading.findings.collected(reading.where)))
        if len(statements) > _STATEMENT_COUNT_MAX:
            raise StatementTooManyEntriesError(
                f"The limit is {_STATEMENT_COUNT_MAX} statements.", count_max=_STATEMENT_COUNT_MAX
            )
    if len(kinds) != 1:
        raise StatementMalformedError("The file holds no statement, or MT940 and MT942 in one.")
    of_message = findings.collected("file")
    return ParsedMessage(
        message_type=kinds.pop(),
        version="",
        message_id=message_id,
        created_at=None,
        statements=tuple(statements),
        findings=(*of_message, *(found for one in statements for found in one.findings)),
    )


def _readings(text: TextFile, entry_count_max: int) -> Iterator["_Reading"]:
    """Yield each message of the file, all of its fields taken up."""
    reading: _Reading | None = None
    left, count = entry_count_max, 0
    for found in swift_fields(text.lines(LINE_LENGTH_MAX)):
        if isinstance(found, SwiftStart):
            if reading is not None:
                left -= reading.finish()
                yield reading
            count += 1
            reading = _Reading(found.kind, f"Stmt[{count}]", left)
        elif reading is not None:
            reading.take(found)
    if reading is not None:
        reading.finish()
        yield reading


class _Reading:
    """Reads one message, field by field: its statement lines are read some at a time, and kept packed."""

    def __init__(self, kind: str | None, where: str, entry_count_max: int) -> None:
        self.where = where
        self.findings = FindingCollector()
        self._kind = kind
        self._entry_count_max = entry_count_max
        self._by_tag: dict[str, SwiftField] = {}
        self._read_balances: list[ParsedBalance] = []
        self._packer = EntryPacker()
        #: Statement lines, each with the information that follows it, that are not read yet.
        self._pairs: list[tuple[SwiftField, SwiftField | None]] = []
        self._last_tag: str | None = None

    @property
    def message_type(self) -> str:
        """MT940 or MT942: as its header says, or else by whether it has balances."""
        closed = bool(self._by_tag.keys() & _CLOSING | self._by_tag.keys() & _OPENING)
        return "MT940" if self._kind == "940" or (self._kind is None and closed) else "MT942"

    def note(self, code: str, message: str) -> None:
        self.findings.add(code, self.where, message)

    def one(self, *tags: str) -> str:
        """Return the value of the field that stands under one of these tags, or refuse."""
        for tag in tags:
            if tag in self._by_tag:
                return "".join(self._by_tag[tag].lines[:1])
        raise StatementMalformedError(f"{self.where}: field {tags[0]} is missing.")

    def take(self, field: SwiftField) -> None:
        """Take up the next field; refuse one that stands twice or out of order.

        What payers wrote must not pass for a field.
        """
        tag = field.tag
        if tag == "61":
            self._take_line(field)
        elif tag == "86":
            if self._last_tag == "61":
                self._pairs[-1] = self._pairs[-1][0], field
        else:
            self._take_other(field)
        self._last_tag = tag

    def finish(self) -> int:
        """Read what is left, and return how many entries there are."""
        self._read_lines()
        return len(self._packer)

    def _take_line(self, field: SwiftField) -> None:
        if self._by_tag.keys() & _CLOSING:
            raise StatementMalformedError(f"{self.where}: a statement line stands outside its balances.")
        if len(self._pairs) == _LINES_AT_ONCE:
            self._read_lines()
        self._pairs.append((field, None))

    def _take_other(self, field: SwiftField) -> None:
        tag = field.tag
        if tag not in _KNOWN and tag not in self._by_tag:
            self.findings.add("field_unknown", f"{self.where}/{tag}", "The field is not of MT940 or MT942.")
        if tag in _ONCE and tag in self._by_tag:
            raise self._malformed(field, "stands more than once")
        for group in (_OPENING, _CLOSING):
            if tag in group and self._by_tag.keys() & group:
                raise self._malformed(field, "is a second balance of its kind")
        if tag in _OPENING and (self._pairs or len(self._packer)):
            raise StatementMalformedError(f"{self.where}: a statement line stands outside its balances.")
        if tag in _BALANCES:
            read = self._read(field, read_balance)
            self._read_balances.append(
                ParsedBalance(
                    _BALANCES[tag], False, None, read.amount_minor, read.currency, read.credit, read.day
                )
            )
        self._by_tag.setdefault(tag, field)

    def _read_lines(self) -> None:
        """Read the statement lines that wait, and keep them packed."""
        if not self._pairs:
            return
        if len(self._packer) + len(self._pairs) > self._entry_count_max:
            raise StatementTooManyEntriesError("The file has too many entries.", count_max=ENTRY_COUNT_MAX)
        currency = self._currency()
        read = [(field, self._line(field), details) for field, details in self._pairs]
        for (field, line, text), details in zip(read, read_details(read, currency), strict=True):
            self._packer.add(self._entry(len(self._packer) + 1, field, line, text, details, currency))
        self._pairs = []

    def statement(self) -> ParsedStatement:
        """Return the statement without its findings."""
        balances = self._read_balances
        iban, other_id = self._account()
        currency = self._currency()
        number, page = self._number()
        created_at = self._created_at()
        entries = self._packer.entries()
        closing = [balance for balance in balances if balance.type_code in ("CLBD", "ITBD")]
        day = closing[-1].date if closing else entries[-1].booking_date if entries else None
        told_on = f"{created_at:%Y-%m-%dT%H:%M}" if created_at and not closing else day or "undated"
        statement = ParsedStatement(
            # Numbers begin anew each year, and some banks never count.
            statement_id=f"{told_on}-{number}",
            electronic_sequence_number=number or None,
            legal_sequence_number=None,
            created_at=created_at,
            period_from_at=None,
            period_to_at=None,
            copy_duplicate_code=None,
            account_iban=iban,
            account_other_id=other_id,
            currency=currency,
            owner_name=None,
            servicer_bic=None,
            page=page,
            balances=tuple(balances),
            entries=entries,
            additional_information=None,
            findings=(),
        )
        check_statement(self.message_type, statement, self._totals(currency), self.findings, self.where)
        return statement

    def _malformed(self, field: SwiftField, reason: str) -> StatementMalformedError:
        return StatementMalformedError(f"{self.where}, {field.where}: {reason}.")

    def _read(self, field: SwiftField, read: Callable[[str], _Value]) -> _Value:
        """Return what `read` makes of a field of one line, or refuse."""
        if len(field.lines) != 1:
            raise self._malformed(field, "has more or fewer lines than one")
        try:
            return read(field.lines[0].strip())
        except UnreadableValueError as error:
            raise self._malformed(field, str(error)) from None

    def _account(self) -> tuple[str | None, str | None]:
        """Return the IBAN, without a bank's code before it or a currency behind it, or else the bank's own number."""
        stated = self.one("25", "25P").strip()
        if not stated:
            raise StatementMalformedError(f"{self.where}: field 25 is empty.")
        for candidate in (stated, stated.partition("/")[2]):
            compact = "".join(candidate.split())
            for iban in (compact, compact[:-3]):
                if iban_is_valid(iban):
                    return iban, None
        return None, stated

    def _currency(self) -> str:
        """Return the currency of its first balance, or else of the floor of an interim report."""
        if self._read_balances:
            return self._read_balances[0].currency
        floor = self.one("34F").strip()[:3]
        try:
            minor_units("0", floor)
        except UnreadableValueError as error:
            raise StatementMalformedError(f"{self.where}: field 34F: {error}.") from None
        return floor

    def _number(self) -> tuple[int, PageInformation | None]:
        """Return the statement's number, and which page this is where the bank parts it into pages."""
        number, _, sequence = self.one("28C", "28").strip().partition("/")
        if not (number.isascii() and number.isdigit() and len(number) <= 18):
            raise StatementMalformedError(f"{self.where}: field 28C is no number.")
        if self.message_type == "MT942" or ("60M" not in self._by_tag and "62M" not in self._by_tag):
            return int(number), None
        if not (sequence.isascii() and sequence.isdigit() and 0 < len(sequence) <= 18):
            self.note("page_unreadable", "The page of a statement of several is not numbered.")
        page = int(sequence) if sequence.isascii() and sequence.isdigit() and len(sequence) <= 18 else 1
        return int(number), PageInformation(max(page, 1), "62F" in self._by_tag)

    def _created_at(self) -> datetime | None:
        for tag in ("13D", "13"):
            if tag in self._by_tag:
                return self._read(self._by_tag[tag], read_moment)
        return None

    def _totals(self, currency: str) -> StatedTotals:
        sums = {
            tag: self._read(self._by_tag[tag], lambda text: read_sum(text, currency))
            for tag in ("90C", "90D")
            if tag in self._by_tag
        }
        credit_count, credit_minor = sums.get("90C", (None, None))
        debit_count, debit_minor = sums.get("90D", (None, None))
        return StatedTotals(None, None, credit_count, credit_minor, debit_count, debit_minor)

    def _line(self, field: SwiftField) -> StatementLine:
        if not 1 <= len(field.lines) <= 2:
            raise self._malformed(field, "has more than two lines")
        try:
            return read_line(field.lines[0].strip())
        except UnreadableValueError as error:
            raise self._malformed(field, str(error)) from None

    def _entry(
        self,
        sequence: int,
        field: SwiftField,
        line: StatementLine,
        text: SwiftField | None,
        details: SwiftDetails,
        currency: str,
    ) -> ParsedEntry:
        where = f"{self.where}/Ntry[{sequence}]"
        try:
            amount_minor = minor_units(line.amount.replace(",", "."), currency)
        except UnreadableValueError as error:
            raise self._malformed(field, str(error)) from None
        for reference in (line.owner_reference, line.servicer_reference):
            if reference is not None and len(reference) > _REFERENCE_LENGTH_MAX:
                self.findings.add("text_too_long", where, "A reference is longer than 16 characters.")
        information = joined(text)
        if information is not None and len(information) > _TEXT_LENGTH_MAX:
            raise self._malformed(field, f"its information is longer than {_TEXT_LENGTH_MAX} characters")
        code = BankTransactionCode(proprietary=line.type_code)
        credit = line.mark in ("C", "EC", "RD")
        return ParsedEntry(
            sequence=sequence,
            entry_reference=None,
            account_servicer_reference=line.servicer_reference,
            amount_minor=amount_minor,
            currency=currency,
            credit=credit,
            reversal=line.mark[0] == "R",
            status="PDNG" if line.mark[0] == "E" else "BOOK",
            booking_date=line.entry_date or line.value_date,
            value_date=line.value_date,
            bank_transaction_code=code,
            details=(_detail(line, details, amount_minor, currency, credit, code),),
            batches=(),
            charges=(),
            additional_information=information,
        )


def _detail(
    line: StatementLine,
    details: SwiftDetails,
    amount_minor: int,
    currency: str,
    credit: bool,
    code: BankTransactionCode,
) -> ParsedEntryDetail:
    number = None if details.account is None else "".join(details.account.split())
    iban = number if number is not None and iban_is_valid(number) else None
    other = ParsedParty(name=details.name, iban=iban, account=None if iban else number)
    end_to_end_id = details.end_to_end_id or line.owner_reference
    return ParsedEntryDetail(
        sequence=1,
        end_to_end_id=end_to_end_id,
        uetr=None,
        transaction_id=None,
        instruction_id=None,
        message_id=None,
        payment_information_id=None,
        mandate_id=None,
        account_servicer_reference=None,
        clearing_system_reference=None,
        amount_minor=amount_minor,
        currency=currency,
        credit=credit,
        instructed_amount_minor=None,
        instructed_currency=None,
        debtor=other if credit else _NO_PARTY,
        creditor=_NO_PARTY if credit else other,
        remittance_information=details.remittance,
        creditor_references=(),
        purpose_code=None,
        return_reason_code=None,
        return_reason_information=None,
        bank_transaction_code=code,
        charges=(),
        additional_information=None,
    )
