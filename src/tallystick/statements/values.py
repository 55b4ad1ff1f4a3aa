"""Values as XML Schema and ISO 20022 write them, read exactly: decimals, dates, moments, identifiers.

Every reader raises `UnreadableValueError` with a reason that does not repeat the value.
"""

import re
from datetime import UTC, date, datetime, timedelta, timezone
from functools import lru_cache
from typing import Final

from stdnum import iban as stdnum_iban

from tallystick.core.errors import DomainError
from tallystick.core.money import AMOUNT_MINOR_MAX, currency_scale, format_amount

__all__ = [
    "UnreadableValueError",
    "bic_is_valid",
    "iban_is_valid",
    "in_words",
    "minor_units",
    "read_boolean",
    "read_date",
    "read_moment",
    "read_number",
    "uetr_is_valid",
]

#: Currencies that left ISO 4217 within the time that a bank keeps statements, with the decimals they had.
_WITHDRAWN_SCALES: Final = dict.fromkeys(
    ("ANG", "BGN", "CUC", "EEK", "HRK", "LTL", "LVL", "SLL", "VEF", "ZWL"), 2
)
_CURRENCY: Final = re.compile(r"[A-Z]{3}", re.ASCII)
_DECIMAL: Final = re.compile(r"([+-]?)([0-9]{0,40})(?:\.([0-9]{0,40}))?", re.ASCII)
_NUMBER: Final = re.compile(r"[0-9]{1,18}(?:\.0{0,5})?", re.ASCII)
_DAY: Final = r"([0-9]{4})-([0-9]{2})-([0-9]{2})"
#: XML Schema wants the colon; programs that leave it out are common and clear.
_ZONE: Final = r"(Z|[+-](?:0[0-9]|1[0-4]):?[0-5][0-9])?"
_DATE: Final = re.compile(_DAY + _ZONE, re.ASCII)
_MOMENT: Final = re.compile(
    _DAY + r"T([0-9]{2}):([0-5][0-9]):([0-5][0-9])(?:\.([0-9]{1,30}))?" + _ZONE, re.ASCII
)
#: A moment of the calendar's first or last year can leave it when it is moved to UTC.
_YEARS_WITH_MOMENTS: Final = range(2, 9999)
_BIC: Final = re.compile(r"[A-Z0-9]{4}[A-Z]{2}[A-Z0-9]{2}(?:[A-Z0-9]{3})?", re.ASCII)
_IBAN: Final = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{1,30}", re.ASCII)
_UETR: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", re.ASCII)
_BOOLEANS: Final = {"true": True, "1": True, "false": False, "0": False}


class UnreadableValueError(ValueError):
    """A value that can't be read for certain. Its message gives the reason and never the value."""


@lru_cache(maxsize=512)
def _scale(currency: str) -> int:
    if _CURRENCY.fullmatch(currency) is None:
        raise UnreadableValueError("the currency is not three capital letters")
    if currency in _WITHDRAWN_SCALES:
        return _WITHDRAWN_SCALES[currency]
    try:
        return currency_scale(currency)
    except DomainError:
        raise UnreadableValueError("the currency has no minor units in ISO 4217") from None


def minor_units(text: str, currency: str) -> int:
    """Return a decimal amount (xs:decimal, ASCII digits) in the currency's minor units, exactly.

    Zeros behind the currency's decimals are let go; anything else there, a negative amount, and more than a BIGINT
    holds are unreadable. Signs belong in the credit or debit indicator.
    """
    scale = _scale(currency)
    decimal = _DECIMAL.fullmatch(text)
    if decimal is None:
        raise UnreadableValueError("the amount is not a decimal number")
    sign, whole, fraction = decimal.group(1), decimal.group(2), decimal.group(3) or ""
    if not whole and not fraction:
        raise UnreadableValueError("the amount is not a decimal number")
    if fraction[scale:].strip("0"):
        raise UnreadableValueError("the amount has more decimals than its currency")
    minor = int(whole + fraction[:scale].ljust(scale, "0") or "0")
    if sign == "-" and minor:
        raise UnreadableValueError("the amount is negative")
    if minor > AMOUNT_MINOR_MAX:
        raise UnreadableValueError("the amount is larger than any account can hold")
    return minor


def in_words(minor: int, currency: str) -> str:
    """Return minor units for people: `EUR -12.30`. The currency is one that `minor_units` has read."""
    return f"{currency} {format_amount(minor, _scale(currency))}"


@lru_cache(maxsize=4096)
def read_date(text: str) -> date:
    """Return the calendar day of an xs:date or xs:dateTime as the bank wrote it: in the bank's own zone."""
    if "T" in text:
        return read_moment(text)[0].date()
    day = _DATE.fullmatch(text)
    if day is None:
        raise UnreadableValueError("the date is not a date of XML Schema")
    try:
        return date(int(day[1]), int(day[2]), int(day[3]))
    except ValueError:
        raise UnreadableValueError("there is no such day") from None


def read_moment(text: str) -> tuple[datetime, bool]:
    """Return the moment of an xs:dateTime, to the microsecond, and whether it named its offset.

    Without an offset UTC is taken. The hour 24:00:00 is the next day's midnight.
    """
    moment = _MOMENT.fullmatch(text)
    if moment is None:
        raise UnreadableValueError("the moment is not a date and time of XML Schema")
    year, month, day, hour, minute, second = (int(part) for part in moment.groups()[:6])
    microsecond = int((moment[7] or "")[:6].ljust(6, "0"))
    end_of_day = hour == 24 and not (minute or second or microsecond)
    if year not in _YEARS_WITH_MOMENTS:
        raise UnreadableValueError("the year is outside the calendar")
    try:
        at = datetime(
            year, month, day, 0 if end_of_day else hour, minute, second, microsecond, _zone(moment[8])
        )
    except ValueError:
        raise UnreadableValueError("there is no such moment") from None
    return (at + timedelta(days=1) if end_of_day else at), moment[8] is not None


@lru_cache(maxsize=256)
def _zone(text: str | None) -> timezone:
    if text is None or text == "Z":
        return UTC
    offset = timedelta(hours=int(text[1:3]), minutes=int(text[-2:]))
    return timezone(-offset if text[0] == "-" else offset)


def read_boolean(text: str) -> bool:
    """Return an xs:boolean."""
    try:
        return _BOOLEANS[text]
    except KeyError:
        raise UnreadableValueError("the indicator is neither true nor false") from None


def read_number(text: str) -> int:
    """Return a whole number of at most 18 digits, leading zeros allowed (ISO 20022 `Number`)."""
    if _NUMBER.fullmatch(text) is None:
        raise UnreadableValueError("the number is not a whole number")
    return int(text.partition(".")[0])


@lru_cache(maxsize=1024)
def iban_is_valid(text: str) -> bool:
    """Whether a compact IBAN (ISO 13616) has its form and its check digits."""
    return _IBAN.fullmatch(text) is not None and bool(stdnum_iban.is_valid(text, check_country=False))


def bic_is_valid(text: str) -> bool:
    """Whether a BIC (ISO 9362) has its form."""
    return _BIC.fullmatch(text) is not None


def uetr_is_valid(text: str) -> bool:
    """Whether a UETR is a version 4 UUID in lower case."""
    return _UETR.fullmatch(text) is not None
