"""The breaker of issuance: it trips by itself on the rate and the volume of mints, on bank data that are too old and on
what a reconciliation finds. Two people reset it, behind a clean run.

It is looked at in the very transaction that would mint, so it trips before the mint that is one too many and not a
moment after. Redemption is never touched by it.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from tallystick.core.errors import ConflictError
from tallystick.policy import BreakerTerms, ReconciliationTerms

__all__ = [
    "BankDataKind",
    "BreakerTrippedError",
    "Issuance",
    "IssuanceSuspendedError",
    "Trip",
    "kind_of_backing",
    "stale_because",
    "trips",
]


class IssuanceSuspendedError(ConflictError):
    """The breaker of the token class has tripped: nothing is minted until two people reset it."""

    code = "issuance_suspended"
    title = "Issuance of this token class is suspended"


class BankDataKind(StrEnum):
    """What confirms the deposits of a class: statements of the control account, or holds that a core pushed."""

    STATEMENT = "statement"
    HOLD = "hold"


@dataclass(slots=True)
class Issuance:
    """A class's breaker, and what was minted within its window, under the issuer's lock.

    `stale` says why the bank's data are too old to mint on; None if they are not.
    """

    tripped: bool
    mints: int
    amount_minor: int
    stale: str | None = None


class Trip(NamedTuple):
    """A breaker that trips, and why."""

    token_class_id: str
    reason: str


class BreakerTrippedError(IssuanceSuspendedError):
    """This mint was one too many: it is refused, and the breaker is tripped with it."""

    code = "breaker_tripped"
    title = "The breaker of issuance has tripped"

    def __init__(self, trip: Trip, *, detail: str) -> None:
        super().__init__(detail)
        self.trip = trip


def trips(terms: BreakerTerms | None, lately: Issuance, amount_minor: int) -> str | None:
    """Return why one more mint of this amount trips the breaker, or None."""
    if terms is None:
        return None
    if terms.mints_max is not None and lately.mints + 1 > terms.mints_max:
        return f"More than {terms.mints_max} mints within {terms.window_seconds} seconds."
    if terms.amount_max_minor is not None and lately.amount_minor + amount_minor > terms.amount_max_minor:
        return f"More than the breaker's amount was minted within {terms.window_seconds} seconds."
    return None


def kind_of_backing(terms: ReconciliationTerms) -> BankDataKind:
    """Return which of the bank's data confirm the deposits of a class."""
    return BankDataKind.HOLD if terms.backing == "customer_holds" else BankDataKind.STATEMENT


def stale_because(terms: ReconciliationTerms, until: datetime | None, at: datetime) -> str | None:
    """Return why nothing may be minted on bank data that reach up to `until`, or None."""
    if terms.bank_data_age_max_hours is None:
        return None
    if until is None:
        return "Nothing of the bank's confirms the deposits of this class."
    if at - until > timedelta(hours=terms.bank_data_age_max_hours):
        return (
            f"The bank's data reach up to {until:%Y-%m-%d %H:%M} UTC and are older than "
            f"{terms.bank_data_age_max_hours} hours."
        )
    return None
