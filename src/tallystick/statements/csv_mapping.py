"""How one bank's CSV files are to be read: which column says what, and how it writes days, amounts and signs.

CSV has no standard that would tell, so nothing is guessed: what the mapping doesn't say is not read.
"""

import re
from collections.abc import Callable
from datetime import date
from typing import Annotated, Final, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tallystick.core.errors import MalformedError
from tallystick.core.strict_json import JsonValue, parse_json
from tallystick.statements.values import UnreadableValueError, minor_units

__all__ = [
    "MAPPING_SIZE_MAX_BYTES",
    "CsvMapping",
    "StatementMappingInvalidError",
    "amount_reader",
    "day_reader",
    "read_mapping",
    "understood_mapping",
]

MAPPING_SIZE_MAX_BYTES: Final = 65_536
_FORMAT: Final = re.compile(r"(YYYY|YY|MM|DD)([./ -]?)(YYYY|YY|MM|DD)\2(YYYY|YY|MM|DD)")
_DIGITS: Final = {"YYYY": "(?P<year>[0-9]{4})", "YY": "(?P<year>[0-9]{2})", "MM": "(?P<month>[0-9]{2})"}
_CENTURY: Final = 2000
_GROUP_LENGTH: Final = 3

#: A column by the name in the header, or by its place counted from 1.
Column: TypeAlias = Annotated[str, Field(min_length=1, max_length=200)] | Annotated[int, Field(ge=1, le=200)]
Mark: TypeAlias = Annotated[str, Field(min_length=1, max_length=40)]


class StatementMappingInvalidError(MalformedError):
    """The mapping of a CSV file can't be understood; the detail names its fields."""

    code = "statement_mapping_invalid"
    title = "The mapping of the CSV file is not valid"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Told(_Strict):
    """A fact that each row tells in a `column`, or that is the same for the whole file: its `value`."""

    column: Column | None = None
    value: Annotated[str, Field(min_length=1, max_length=100)] | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> "Told":
        if (self.column is None) == (self.value is None):
            raise ValueError("give either a column or a value")
        return self


class Days(_Strict):
    """`format` is made of YYYY or YY, MM and DD with one kind of separator, or none."""

    format: str
    booking: Column
    value: Column | None = None

    @model_validator(mode="after")
    def _whole_format(self) -> "Days":
        found = _FORMAT.fullmatch(self.format)
        if found is None or {part[0] for part in found.group(1, 3, 4)} != {"Y", "M", "D"}:
            raise ValueError("the format must name year, month and day once, such as DD.MM.YYYY")
        return self


class Amounts(_Strict):
    """One signed column; one with a mark beside it; or a column each for credits and debits.

    `minus` says where a signed amount has its sign. `grouping` parts thousands; nothing does unless it is given.
    """

    style: Literal["signed", "marked", "two_columns"]
    decimal: Literal[".", ","]
    grouping: Literal[".", ",", " ", "'", "\u2019", "\u00a0", "\u202f"] | None = None
    minus: Literal["leading", "trailing"] = "leading"
    column: Column | None = None
    credit: Column | None = None
    debit: Column | None = None
    mark: Column | None = None
    credit_marks: list[Mark] = Field(default_factory=list, max_length=20)
    debit_marks: list[Mark] = Field(default_factory=list, max_length=20)

    @model_validator(mode="after")
    def _fields_of_style(self) -> "Amounts":
        wanted = {
            "signed": {"column"},
            "marked": {"column", "mark", "credit_marks", "debit_marks"},
            "two_columns": {"credit", "debit"},
        }[self.style]
        given = {
            name
            for name in ("column", "credit", "debit", "mark", "credit_marks", "debit_marks")
            if getattr(self, name)
        }
        if given != wanted:
            raise ValueError(f"amounts that are {self.style} have: {', '.join(sorted(wanted))}")
        if set(self.credit_marks) & set(self.debit_marks):
            raise ValueError("a mark can't stand for both sides")
        if self.grouping == self.decimal:
            raise ValueError("the decimal mark can't part thousands too")
        return self


class Booked(_Strict):
    """Which words of a column say that an entry is booked; all others are pending."""

    column: Column
    values: list[Mark] = Field(min_length=1, max_length=20)


class Columns(_Strict):
    """What else a row tells, as far as it does."""

    bank_reference: Column | None = None
    end_to_end_id: Column | None = None
    uetr: Column | None = None
    counterparty_name: Column | None = None
    counterparty_account: Column | None = None
    remittance: list[Column] = Field(default_factory=list, max_length=20)


class CsvMapping(_Strict):
    """The whole mapping, version 1."""

    version: Literal[1]
    encoding: Literal["utf-8", "iso-8859-1", "iso-8859-15", "windows-1252"] = "utf-8"
    delimiter: Literal[",", ";", "\t", "|"]
    quote: Literal['"', "'"] = '"'
    header: bool = True
    lines_before: int = Field(default=0, ge=0, le=100)
    lines_behind: int = Field(default=0, ge=0, le=100)
    order: Literal["oldest_first", "newest_first"]
    account: Told
    currency: Told
    days: Days
    amounts: Amounts
    balance: Column | None = None
    booked: Booked | None = None
    columns: Columns = Columns()

    @model_validator(mode="after")
    def _numbers_without_header(self) -> "CsvMapping":
        if not self.header and any(isinstance(column, str) for column in self.used_columns()):
            raise ValueError("without a header, columns are told by their numbers")
        return self

    def used_columns(self) -> list[str | int]:
        """Return every column that is read."""
        amounts, columns = self.amounts, self.columns
        found = [
            self.account.column,
            self.currency.column,
            self.days.booking,
            self.days.value,
            amounts.column,
            amounts.credit,
            amounts.debit,
            amounts.mark,
            self.balance,
            None if self.booked is None else self.booked.column,
            columns.bank_reference,
            columns.end_to_end_id,
            columns.uetr,
            columns.counterparty_name,
            columns.counterparty_account,
            *columns.remittance,
        ]
        return [column for column in found if column is not None]


def read_mapping(content: bytes) -> CsvMapping:
    """Return the mapping that a JSON file holds.

    Raises StatementMappingInvalidError, and what `core.strict_json` refuses.
    """
    return understood_mapping(parse_json(content, size_max_bytes=MAPPING_SIZE_MAX_BYTES))


def understood_mapping(asked: JsonValue) -> CsvMapping:
    """Return JSON as a mapping, or raise StatementMappingInvalidError that names each wrong field."""
    try:
        return CsvMapping.model_validate(asked)
    except ValidationError as error:
        wrong = [
            f"{'/'.join(str(part) for part in found['loc']) or 'mapping'}: {found['msg']}"
            for found in error.errors(include_url=False, include_input=False)
        ]
    raise StatementMappingInvalidError("; ".join(wrong[:10]) + ".")


def day_reader(days: Days) -> Callable[[str], date]:
    """Return what reads a day in the mapping's format; it raises UnreadableValueError."""
    digits = _DIGITS | {"DD": "(?P<day>[0-9]{2})"}
    found = _FORMAT.fullmatch(days.format)
    assert found is not None, "the mapping was checked"
    first, separator, second, third = found.groups()
    pattern = re.compile(re.escape(separator).join(digits[part] for part in (first, second, third)), re.ASCII)

    def read(text: str) -> date:
        parts = pattern.fullmatch(text)
        if parts is None:
            raise UnreadableValueError(f"the day is not written {days.format}")
        year = int(parts["year"])
        try:
            return date(
                year + (_CENTURY if len(parts["year"]) == 2 else 0), int(parts["month"]), int(parts["day"])
            )
        except ValueError:
            raise UnreadableValueError("there is no such day") from None

    return read


def amount_reader(amounts: Amounts) -> Callable[[str, str], int]:
    """Return what reads an amount and its currency to signed minor units; it raises UnreadableValueError."""

    def read(text: str, currency: str) -> int:
        bare, negative = text, False
        if amounts.minus == "leading" and text[:1] in ("-", "+"):
            bare, negative = text[1:], text[0] == "-"
        elif amounts.minus == "trailing" and text[-1:] in ("-", "+"):
            bare, negative = text[:-1], text[-1] == "-"
        whole, mark, decimals = bare.partition(amounts.decimal)
        if amounts.grouping is not None and amounts.grouping in whole:
            first, *groups = whole.split(amounts.grouping)
            if not 1 <= len(first) <= _GROUP_LENGTH or any(len(group) != _GROUP_LENGTH for group in groups):
                raise UnreadableValueError("the thousands are not parted in threes")
            whole = first + "".join(groups)
        if not (whole.isascii() and whole.isdigit()) or (
            mark and not (decimals.isascii() and decimals.isdigit())
        ):
            raise UnreadableValueError("the amount is not written as the mapping says")
        minor = minor_units(f"{whole}.{decimals}", currency)
        return -minor if negative else minor

    return read
