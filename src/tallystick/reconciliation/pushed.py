"""A balance of the control account that the core pushed behind its latest statement, against what it should be. Pure.

It names no entries, so it can't say what differs; but that the core has less than it should tells of money that is
gone before any statement does, and nothing more may be issued on it.
"""

from datetime import datetime
from typing import NamedTuple

from tallystick.core.clock import format_time
from tallystick.reconciliation.breaks import BreakDraft, Money
from tallystick.reconciliation.pairing import Cutoff
from tallystick.reconciliation.records import BreakType, Evidence

__all__ = ["PushedBalance", "PushedFacts", "compare_pushed"]


class PushedBalance(NamedTuple):
    """What the core told of the control account as of a moment behind a statement, in minor units.

    `cutoff` is what it could know of then.
    """

    id: str
    statement_id: str
    as_of: datetime
    amount_minor: int
    cutoff: Cutoff


class PushedFacts(NamedTuple):
    """The balance that was pushed, and the one that it should be, in minor units."""

    id: str
    as_of: datetime
    amount_minor: int
    expected_minor: int


def compare_pushed(
    money: Money, pushed: PushedBalance, closing_minor: int, moved_since_minor: int
) -> tuple[PushedFacts, list[BreakDraft]]:
    """Hold a pushed balance against the latest closing balance and what the books moved since, up to that moment.

    Less than that is a missing entry of the bank's. More is timing: a credit that the books have not yet, or a debit
    that the bank has not. Neither is part of the difference between the books and the statement.
    """
    facts = PushedFacts(pushed.id, pushed.as_of, pushed.amount_minor, closing_minor + moved_since_minor)
    difference_minor = facts.expected_minor - facts.amount_minor
    if not difference_minor:
        return facts, []
    text = (
        f"As of {format_time(pushed.as_of)} the core has {money.words(facts.amount_minor)} on the control account; by "
        f"its latest statement and what the books moved since it should be {money.words(facts.expected_minor)}."
    )
    break_type = BreakType.MISSING_BANK_ENTRY if difference_minor > 0 else BreakType.TIMING
    evidence: Evidence = {"deposit_balance_id": pushed.id, "event_index": pushed.cutoff.event_index}
    # Whatever was pushed last, it is one difference until the next statement.
    cause = f"pushed_balance:{pushed.statement_id}"
    return facts, [BreakDraft(break_type, difference_minor, text, evidence, cause=cause)]
