"""What a reconciliation is kept as: the figures it compared, its verdict, and each break by itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, TypeAlias

from tallystick.core.errors import DeniedError, MalformedError, NotFoundError

__all__ = [
    "EXPLAINED_TYPES",
    "AsOfInFutureError",
    "Break",
    "BreakState",
    "BreakType",
    "Evidence",
    "Figures",
    "Reconciliation",
    "ReconciliationNotAllowedError",
    "ReconciliationNotFoundError",
    "Verdict",
]

#: What a break rests on: ids, indexes, days and amounts, never names of people.
Evidence: TypeAlias = Mapping[str, str | int | None]
#: Amounts and counts as decimal strings, by name; None where there is nothing to compare with.
Figures: TypeAlias = Mapping[str, Mapping[str, str | None]]


class ReconciliationNotFoundError(NotFoundError):
    """No such reconciliation of this issuer."""

    code = "reconciliation_not_found"
    title = "No such reconciliation"


class AsOfInFutureError(MalformedError):
    """What is not yet over can't be reconciled."""

    code = "as_of_in_future"
    title = "The moment to reconcile at lies in the future"


class ReconciliationNotAllowedError(DeniedError):
    """Only the issuer's own people and its auditors see what a reconciliation compares."""

    code = "reconciliation_not_allowed"
    title = "Not allowed to reconcile"


class BreakType(StrEnum):
    """Why two records differ.

    `missing_event`: the books moved, or an index of the log is taken, without a valid signed event.
    `missing_bank_entry`: the books show money that the bank's statement does not.
    `unexpected_bank_entry`: the bank shows money that the books do not, and nothing says that they will.
    `amount`: both have it, in different amounts. `duplicate`: the books have it twice.
    `timing`: one of the two has it first, and the other is known to follow.
    """

    MISSING_EVENT = "missing_event"
    MISSING_BANK_ENTRY = "missing_bank_entry"
    UNEXPECTED_BANK_ENTRY = "unexpected_bank_entry"
    AMOUNT = "amount"
    DUPLICATE = "duplicate"
    TIMING = "timing"


#: Breaks that explain a difference, so that the books still tie: they are recorded as `explained`, all others `open`.
EXPLAINED_TYPES: Final = frozenset({BreakType.TIMING})


class BreakState(StrEnum):
    """Whether a break waits for somebody."""

    OPEN = "open"
    EXPLAINED = "explained"
    CLOSED = "closed"


class Verdict(StrEnum):
    """`tied` only if no difference is left unexplained."""

    TIED = "tied"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """One run for a token class: the log up to `event_index` against books, register and the bank's statement.

    `ledger_as_of` is the moment it looked at; `statement_id` the latest statement known then, if any.
    """

    issuer_id: str
    id: str
    token_class_id: str
    event_index: int
    ledger_as_of: datetime
    statement_id: str | None
    verdict: str
    figures: Figures
    run_by: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Break:
    """One difference. `difference_minor` is what the books have more (less, if negative) than the evidence bears out.

    A break that moves money between holders only, so that no total differs, tells the amount moved.
    """

    issuer_id: str
    id: str
    reconciliation_id: str
    token_class_id: str
    type: str
    state: str
    difference_minor: int
    explanation: str
    evidence: Evidence
    created_at: datetime
