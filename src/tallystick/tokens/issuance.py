"""The breaker of issuance: it trips by itself on the rate and the volume of mints, and two people reset it.

It is looked at in the very transaction that would mint, so it trips before the mint that is one too many and not a
moment after. Redemption is never touched by it.
"""

from dataclasses import dataclass
from typing import NamedTuple

from tallystick.core.errors import ConflictError
from tallystick.policy import BreakerTerms

__all__ = ["BreakerTrippedError", "Issuance", "IssuanceSuspendedError", "Trip", "trips"]


class IssuanceSuspendedError(ConflictError):
    """The breaker of the token class has tripped: nothing is minted until two people reset it."""

    code = "issuance_suspended"
    title = "Issuance of this token class is suspended"


@dataclass(slots=True)
class Issuance:
    """A class's breaker, and what was minted within its window, under the issuer's lock."""

    tripped: bool
    mints: int
    amount_minor: int


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
