"""Values of SWIFT's statement fields, read exactly: dates, amounts, balances, and the statement line (:61:).

After the field specifications of MT940 and MT942. Every reader raises UnreadableValueError with a reason that does not
repeat the value.
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Final

from tallystick.statements.values import UnreadableValueError, minor_units

__all__ = [
    "StatementLine",
    "SwiftBalance",
    "read_balance",
    "read_line",
    "read_moment",
    "read_sum",
    "short_date",
]

_AMOUNT: Final = r"([0-9]{1,15},[0-9]{0,14})"
_BALANCE: Final = re.compile(rf"([CD])([0-9]{{6}})([A-Z]{{3}}){_AMOUNT}", re.ASCII)
_SUM: Final = re.compile(rf"([0-9]{{1,5}})([A-Z]{{3}}){_AMOUNT}", re.ASCII)
#: 6!n[4!n]2a[1!a]15d1!a3!c16x[//16x]; some banks put blanks where the entry date is missing.
_LINE: Final = re.compile(
    rf"([0-9]{{6}})([0-9]{{4}}| {{4}})?([RE]?[CD])([A-Z])?{_AMOUNT}([NFS][A-Z0-9]{{3}})(.*)", re.ASCII
)
_MOMENT: Final = re.compile(r"([0-9]{6})([0-9]{2})([0-9]{2})(?:([+-])([0-9]{2})([0-9]{2}))?", re.ASCII)
_CENTURY_TURNS: Final = 80
_NO_REFERENCE: Final = "NONREF"


@dataclass(frozen=True, slots=True)
class SwiftBalance:
    """A balance: minor units of its currency, never negative, and the side."""

    credit: bool
    day: date
    currency: str
    amount_minor: int


@dataclass(frozen=True, slots=True)
class StatementLine:
    """What field 61 says. `mark` is C, D, RC, RD, EC or ED; the references are None where the bank has none."""

    value_date: date
    entry_date: date | None
    mark: str
    amount: str
    type_code: str
    owner_reference: str | None
    servicer_reference: str | None


def short_date(text: str) -> date:
    """Return the day of YYMMDD: of 1980 to 2079."""
    year = int(text[:2])
    try:
        return date(year + (1900 if year >= _CENTURY_TURNS else 2000), int(text[2:4]), int(text[4:6]))
    except ValueError:
        raise UnreadableValueError("there is no such day") from None


def read_balance(text: str) -> SwiftBalance:
    """Return the balance of fields 60, 62, 64 and 65."""
    found = _BALANCE.fullmatch(text)
    if found is None:
        raise UnreadableValueError("not a mark, a date, a currency and an amount with a comma")
    mark, day, currency, amount = found.groups()
    return SwiftBalance(mark == "C", short_date(day), currency, _minor(amount, currency))


def read_sum(text: str, currency: str) -> tuple[int, int]:
    """Return number and sum, in minor units, of fields 90C and 90D."""
    found = _SUM.fullmatch(text)
    if found is None or found[2] != currency:
        raise UnreadableValueError("not a number, the account's currency and an amount with a comma")
    return int(found[1]), _minor(found[3], currency)


def read_line(text: str) -> StatementLine:
    """Return the first line of field 61, its amount still as text."""
    found = _LINE.fullmatch(text)
    if found is None:
        raise UnreadableValueError("not a date, a mark, an amount with a comma and a type")
    day, entry_day, mark, _funds, amount, type_code, references = found.groups()
    value_date = short_date(day)
    owner, _, servicer = references.partition("//")
    return StatementLine(
        value_date,
        None if entry_day is None or not entry_day.strip() else _entry_date(entry_day, value_date),
        mark,
        amount,
        type_code,
        _reference(owner),
        _reference(servicer),
    )


def _reference(text: str) -> str | None:
    stripped = text.strip()
    return None if stripped in ("", _NO_REFERENCE) else stripped


def _entry_date(text: str, value_date: date) -> date:
    """Return the day of MMDD in the year that brings it nearest to the value date."""
    near = []
    for year in (value_date.year - 1, value_date.year, value_date.year + 1):
        try:
            near.append(date(year, int(text[:2]), int(text[2:])))
        except ValueError:  # The 29th of February is not in every year.
            continue
    if not near:
        raise UnreadableValueError("there is no such day")
    return min(near, key=lambda day: abs(day - value_date))


def read_moment(text: str) -> datetime:
    """Return the moment of field 13: YYMMDDhhmm, with an offset or else taken as UTC."""
    found = _MOMENT.fullmatch(text)
    if found is None:
        raise UnreadableValueError("not a date and a time")
    day, hour, minute, sign, offset_hours, offset_minutes = found.groups()
    zone = UTC
    try:
        if sign is not None:
            offset = timedelta(hours=int(offset_hours), minutes=int(offset_minutes))
            zone = timezone(-offset if sign == "-" else offset)
        on = short_date(day)
        return datetime(on.year, on.month, on.day, int(hour), int(minute), tzinfo=zone)
    except ValueError:
        raise UnreadableValueError("there is no such moment") from None


def _minor(amount: str, currency: str) -> int:
    return minor_units(amount.replace(",", "."), currency)
