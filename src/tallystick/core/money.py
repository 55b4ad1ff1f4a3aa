"""Exact money: decimal strings outside, BIGINT minor units inside, nothing in between.

An amount on the wire has ASCII digits and exactly the token class's number of decimals, so that a slipped decimal
point can't be read as another amount. Scales of currencies come from ISO 4217 data, never from a locale library.
"""

import re
from functools import cache, lru_cache
from typing import Final

import iso4217

from tallystick.core.errors import MalformedError

__all__ = [
    "AMOUNT_MINOR_MAX",
    "SCALE_MAX",
    "AmountMalformedError",
    "CurrencyUnknownError",
    "currency_scale",
    "format_amount",
    "parse_amount",
    "parse_positive_amount",
]

AMOUNT_MINOR_MAX: Final = 2**63 - 1
SCALE_MAX: Final = 9


class AmountMalformedError(MalformedError):
    """Not a decimal string of exactly the class's scale, or out of range."""

    code = "amount_malformed"
    title = "The amount is not a decimal string of exactly the token class's scale"


class CurrencyUnknownError(MalformedError):
    """Not an ISO 4217 currency with minor units."""

    code = "currency_unknown"
    title = "Not an ISO 4217 currency"


@cache
def _pattern(scale: int) -> re.Pattern[str]:
    fraction = rf"\.[0-9]{{{scale}}}" if scale else ""
    return re.compile(rf"(?:0|[1-9][0-9]{{0,18}}){fraction}", re.ASCII)


def parse_amount(text: str, scale: int) -> int:
    """Return the minor units of a decimal string with exactly `scale` decimals (`"12.30"`, 2 → 1230).

    Raises AmountMalformedError for anything else: signs, exponents, spaces, other digits, more or fewer decimals,
    or a value over BIGINT.
    """
    if _pattern(scale).fullmatch(text) is None:
        raise AmountMalformedError(f"The amount must be a decimal string with exactly {scale} decimals.")
    minor = int(text.replace(".", ""))
    if minor > AMOUNT_MINOR_MAX:
        raise AmountMalformedError("The amount is larger than any account can hold.")
    return minor


def parse_positive_amount(text: str, scale: int) -> int:
    """Like `parse_amount`, and refuse zero."""
    minor = parse_amount(text, scale)
    if minor == 0:
        raise AmountMalformedError("The amount must be more than zero.")
    return minor


def format_amount(minor: int, scale: int) -> str:
    """Return minor units as a decimal string with exactly `scale` decimals; a minus sign leads a negative one."""
    if scale == 0:
        return str(minor)
    if minor < 0:
        return "-" + format_amount(-minor, scale)
    digits = str(minor)
    if len(digits) <= scale:
        digits = digits.rjust(scale + 1, "0")
    return f"{digits[:-scale]}.{digits[-scale:]}"


@lru_cache(maxsize=512)
def currency_scale(currency: str) -> int:
    """Return the number of decimals of an ISO 4217 currency (USD 2, JPY 0, IQD 3).

    Raises CurrencyUnknownError for codes without minor units (metals, tests) and for unknown ones.
    """
    try:
        exponent = iso4217.Currency(currency).exponent
    except ValueError:
        exponent = None
    if exponent is None:
        raise CurrencyUnknownError
    return int(exponent)
