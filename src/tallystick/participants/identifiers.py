"""Identifiers of the outside world, checked before they are stored: LEI, BIC, IBAN, country."""

import re
from collections.abc import Callable
from functools import cache
from typing import Final

from stdnum import bic as stdnum_bic
from stdnum import iban as stdnum_iban
from stdnum import lei as stdnum_lei
from stdnum.exceptions import ValidationError

from tallystick.core.errors import MalformedError

__all__ = [
    "BicMalformedError",
    "CountryUnknownError",
    "IbanMalformedError",
    "LeiMalformedError",
    "check_country",
    "compact_bic",
    "compact_iban",
    "compact_lei",
]


_LEI: Final = re.compile(r"[0-9A-Z]{18}[0-9]{2}")


class LeiMalformedError(MalformedError):
    """Not an ISO 17442 identifier with right check digits (MOD 97-10 = 1)."""

    code = "lei_malformed"
    title = "Not a legal entity identifier (ISO 17442)"


class BicMalformedError(MalformedError):
    """Not an ISO 9362 business identifier code."""

    code = "bic_malformed"
    title = "Not a business identifier code (ISO 9362)"


class IbanMalformedError(MalformedError):
    """Not an ISO 13616 account number with right check digits."""

    code = "iban_malformed"
    title = "Not an international bank account number (ISO 13616)"


class CountryUnknownError(MalformedError):
    """Not an ISO 3166-1 alpha-2 code."""

    code = "country_unknown"
    title = "Not a country code (ISO 3166-1 alpha-2)"


def compact_lei(text: str) -> str:
    """Return the LEI in its compact form, or raise LeiMalformedError."""
    compact = _compact(stdnum_lei.validate, text)
    # The library checks the check digits only.
    if compact is None or _LEI.fullmatch(compact) is None:
        raise LeiMalformedError
    return compact


def compact_bic(text: str) -> str:
    """Return the BIC in its compact form, or raise BicMalformedError."""
    compact = _compact(stdnum_bic.validate, text)
    if compact is None:
        raise BicMalformedError
    return compact


def compact_iban(text: str) -> str:
    """Return the IBAN without spaces, or raise IbanMalformedError."""
    compact = _compact(lambda number: stdnum_iban.validate(number, check_country=False), text)
    if compact is None:
        raise IbanMalformedError
    return compact


def _compact(validate: Callable[[str], str], text: str) -> str | None:
    # The library takes the digits of every script for digits, and look-alikes of letters for letters.
    if not text.isascii():
        return None
    try:
        return validate(text)
    except ValidationError:
        return None


@cache
def _countries() -> frozenset[str]:
    # Loaded on first use: its data files cost a cold start a tenth of a second.
    import pycountry  # noqa: PLC0415

    return frozenset(country.alpha_2 for country in pycountry.countries)


def check_country(code: str) -> str:
    """Return an ISO 3166-1 alpha-2 code unchanged, or raise CountryUnknownError."""
    if code not in _countries():
        raise CountryUnknownError
    return code
