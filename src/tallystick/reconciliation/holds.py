"""Backing by holds: the money stays on the customers' own accounts, and the core tells what it holds of each. Pure.

What an account has in the books (deposits to tokenise and tokens) must be what the core holds on its deposit account.
What moved since the core told is in transit; the rest of a difference is a break of that account.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from tallystick.core.clock import format_time
from tallystick.reconciliation.breaks import BreakCollector, BreakDraft, Money
from tallystick.reconciliation.records import BreakType, Evidence
from tallystick.reconciliation.tie_out import BankFacts

__all__ = ["Held", "compare_holds"]


class Held(NamedTuple):
    """What the core last told of one account, minor units, and what the books had of it at that moment."""

    held_minor: int
    as_of: datetime
    books_then_minor: int
    deposit_balance_id: str


def compare_holds(
    money: Money, books_minor: Mapping[str, int], held: Mapping[str, Held], in_transit_minor: int
) -> BankFacts:
    """Return what the core holds in all, with the difference to the books explained account by account.

    `books_minor` is what each account has now; `in_transit_minor` what has left the accounts and not the bank (2310).
    """
    if not held:
        return BankFacts(None)
    found = BreakCollector(money)
    difference_minor, timing_minor = in_transit_minor, in_transit_minor
    if in_transit_minor:
        _add(
            found,
            "payments_in_transit",
            BreakType.TIMING,
            in_transit_minor,
            "Payments have left the accounts and not the bank yet.",
            {"ledger_code": "2310"},
            "in_transit",
        )
    for account_id in sorted({*books_minor, *held}):
        now_minor = books_minor.get(account_id, 0)
        told = held.get(account_id)
        then_minor = now_minor if told is None else told.books_then_minor
        since_minor = now_minor - then_minor
        rest_minor = then_minor - (0 if told is None else told.held_minor)
        difference_minor += since_minor + rest_minor
        timing_minor += since_minor
        evidence: dict[str, str | int | None] = {
            "account_id": account_id,
            "deposit_balance_id": None if told is None else told.deposit_balance_id,
            "as_of": None if told is None else format_time(told.as_of),
        }
        if since_minor:
            _add(
                found,
                "moved_since_hold",
                BreakType.TIMING,
                since_minor,
                f"{money.words(since_minor)} moved on the account since the core told its hold.",
                evidence,
                f"moved:{account_id}",
            )
        if rest_minor:
            _add_rest(found, money, rest_minor, then_minor, told, evidence)
    closing_minor = sum(one.held_minor for one in held.values())
    return BankFacts(closing_minor, difference_minor, timing_minor, found.collected())


def _add_rest(
    found: BreakCollector,
    money: Money,
    rest_minor: int,
    then_minor: int,
    told: Held | None,
    evidence: Evidence,
) -> None:
    account_id = evidence["account_id"]
    if told is None or told.held_minor == 0:
        kind, break_type = "account_not_held", BreakType.MISSING_BANK_ENTRY
        text = f"The books show {money.words(then_minor)} on the account, of which the core holds nothing."
    elif then_minor == 0:
        kind, break_type = "hold_without_books", BreakType.UNEXPECTED_BANK_ENTRY
        text = (
            f"The core holds {money.words(told.held_minor)} on the account, of which the books have nothing."
        )
    elif told.held_minor == 2 * then_minor:
        kind, break_type = "held_twice", BreakType.DUPLICATE
        text = f"The core holds {money.words(told.held_minor)}: twice what the books show on the account."
    else:
        kind, break_type = "held_amount", BreakType.AMOUNT
        text = (
            f"The books show {money.words(then_minor)} on the account, the core holds "
            f"{money.words(told.held_minor)}."
        )
    _add(found, kind, break_type, rest_minor, text, evidence, f"hold:{account_id}")


def _add(  # noqa: PLR0917 One line at each break.
    found: BreakCollector,
    kind: str,
    break_type: BreakType,
    difference_minor: int,
    explanation: str,
    evidence: Evidence,
    cause: str,
) -> None:
    found.add(
        kind, BreakDraft(break_type, difference_minor, explanation, evidence, 0, difference_minor, cause)
    )
