"""What is asked to be paid out, checked before anything is decided: identifiers, address, characters, lengths.

Names and texts are written in the Latin character set that every payment system takes (ISO 20022 usage of the European
Payments Council and of SWIFT's X). Nothing is transliterated or cut: a beneficiary is named by the caller, not by us.
"""

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from tallystick.core.money import currency_scale
from tallystick.participants import check_country, compact_bic, compact_iban
from tallystick.payouts.records import Beneficiary, PayoutMalformedError

__all__ = ["Asked", "asked", "check_payable", "is_payable_text"]

_UETR: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", re.ASCII)
_TEXT: Final = re.compile(r"[A-Za-z0-9/?:().,'+ -]+", re.ASCII)
_ACCOUNT_NUMBER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,33}", re.ASCII)

#: The longest text of each member, as both messages have it.
_LENGTHS: Final = {
    "name": 70,
    "street_name": 70,
    "building_number": 16,
    "post_code": 16,
    "town_name": 35,
}
_REMITTANCE_LENGTH_MAX: Final = 140
#: A file of them still fits into a control sum's 18 digits.
_AMOUNT_MINOR_MAX: Final = 10**15 - 1


class Asked(NamedTuple):
    """What a payout says beside its account and amount."""

    beneficiary: Beneficiary
    uetr: str
    remittance: str | None


def asked(payload: Mapping[str, Any]) -> Asked:
    """Return what was asked, with identifiers in their compact form.

    Raises IbanMalformedError, BicMalformedError, CountryUnknownError, PayoutMalformedError (which names the `field`).
    """
    named = payload["beneficiary"]
    texts = {name: _text(named, name, length_max) for name, length_max in _LENGTHS.items()}
    for required in ("name", "town_name"):
        if texts[required] is None:
            raise PayoutMalformedError("It must be given.", field=f"beneficiary.{required}")
    iban, account_number = named.get("iban"), named.get("account_number")
    if (iban is None) == (account_number is None):
        raise PayoutMalformedError("Give an IBAN or an account number.", field="beneficiary.iban")
    if account_number is not None and _ACCOUNT_NUMBER.fullmatch(account_number) is None:
        raise PayoutMalformedError(
            "An account number has up to 34 letters, digits, dots and hyphens.",
            field="beneficiary.account_number",
        )
    bic = None if named.get("bic") is None else compact_bic(named["bic"])
    if bic is None and iban is None:
        raise PayoutMalformedError("Without an IBAN the bank must be named.", field="beneficiary.bic")
    uetr = payload["uetr"]
    if _UETR.fullmatch(uetr) is None:
        raise PayoutMalformedError("A UETR is a version 4 UUID in lower case.", field="uetr")
    return Asked(
        Beneficiary(
            name=texts["name"] or "",
            iban=None if iban is None else compact_iban(iban),
            account_number=account_number,
            bic=bic,
            town_name=texts["town_name"] or "",
            country=check_country(named["country"]),
            street_name=texts["street_name"],
            building_number=texts["building_number"],
            post_code=texts["post_code"],
        ),
        uetr,
        _checked(payload.get("remittance"), "remittance", _REMITTANCE_LENGTH_MAX),
    )


def check_payable(amount_minor: int, currency: str, scale: int) -> None:
    """Refuse what no payment message can say: more decimals than the currency has, and amounts beyond any bank's.

    Raises PayoutMalformedError.
    """
    finer = max(scale - currency_scale(currency), 0)
    if amount_minor % 10**finer:
        raise PayoutMalformedError("Banks pay whole units of the currency's own decimals.", field="amount")
    if amount_minor > _AMOUNT_MINOR_MAX:
        raise PayoutMalformedError("The amount is larger than a payment message takes.", field="amount")


def is_payable_text(text: str) -> bool:
    """Tell whether every payment system takes these characters."""
    return _TEXT.fullmatch(text) is not None


def _text(named: Mapping[str, Any], name: str, length_max: int) -> str | None:
    return _checked(named.get(name), f"beneficiary.{name}", length_max)


def _checked(text: str | None, field: str, length_max: int) -> str | None:
    if text is None:
        return None
    if not 0 < len(text) <= length_max or text != text.strip():
        raise PayoutMalformedError(
            f"It has 1 to {length_max} characters, none of them a blank at an end.", field=field
        )
    if not is_payable_text(text):
        raise PayoutMalformedError(
            "Payment messages are written in a-z, A-Z, 0-9, the blank and / - ? : ( ) . , ' +", field=field
        )
    return text
