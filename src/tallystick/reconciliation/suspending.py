"""Why a run suspends issuance: what the bank confirms is missing, old, out of order, or too little. Pure.

Whatever is in doubt counts against issuance. Redemption is never touched.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

from tallystick import tokens
from tallystick.policy import ReconciliationTerms
from tallystick.reconciliation.breaks import BreakDraft, Money
from tallystick.reconciliation.records import BreakType

__all__ = ["RunFacts", "suspends_because"]

#: What says that a statement does not begin where the one before it ended.
_OUT_OF_SEQUENCE: Final = ("statement_opening:", "more:statement_opening")


class RunFacts(NamedTuple):
    """What a run found, as far as it decides on issuance.

    `counted` are the breaks that count: all but those that were written off at exactly their amount, and timing that is
    not overdue. `in_books_minor` is what the control account shows.
    """

    counted: Sequence[BreakDraft]
    in_books_minor: int
    has_bank_data: bool
    bank_as_of: datetime | None
    gaps: Sequence[tuple[int, int]]
    now: datetime


def suspends_because(terms: ReconciliationTerms, money: Money, facts: RunFacts) -> str | None:
    """Return why nothing more may be issued, or None. Amounts are told to the minor unit."""
    unsigned = sum(1 for draft in facts.counted if draft.type is BreakType.MISSING_EVENT)
    if unsigned:
        return f"The log lacks valid events: {unsigned} breaks say where."
    if facts.in_books_minor:
        if not facts.has_bank_data:
            return f"Nothing of the bank's confirms the {money.words(facts.in_books_minor)} in the books."
        stale = tokens.stale_because(terms, facts.bank_as_of, facts.now)
        if stale is not None:
            return stale
    if facts.gaps and not terms.sequence_gaps_accepted:
        before, behind = facts.gaps[0]
        return f"Between the bank's statements number {before} and {behind} some are missing or out of order."
    if any(draft.cause.startswith(_OUT_OF_SEQUENCE) for draft in facts.counted):
        return "A statement does not begin with the balance that the one before it closed with."
    excess_minor = sum(draft.excess_minor for draft in facts.counted)
    if excess_minor > terms.tolerance_minor:
        return (
            f"The tokens could exceed what is confirmed by {money.words(excess_minor)}, which is more than the "
            f"tolerance of {money.words(terms.tolerance_minor)}."
        )
    return None
