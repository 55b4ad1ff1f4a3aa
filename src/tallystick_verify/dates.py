"""Business dates and attestations: what people and the bank signed of the books, held against the replay.

A closed date takes no entry until it is reopened; its totals are those of the entries that count from its days. An
attested supply is the replay's at the index that it names.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

from tallystick_verify.events import Event, minor_units
from tallystick_verify.facts import ATTESTED_TYPE, CLOSED_TYPE, REOPENED_TYPE, Fact
from tallystick_verify.failures import ExitCode, Failure

__all__ = ["BusinessDates"]

_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_FIGURES: Final = frozenset(
    {"classes", "hand_off_id", "hand_off_index", "hand_off_sha256", "period_from", "period_until"}
)
_CLASS: Final = frozenset(
    {
        "accepted_break_ids",
        "bank_balance",
        "credits",
        "currency",
        "debits",
        "line_count",
        "reconciliation_id",
        "scale",
        "supply",
        "token_class_id",
        "verdict",
    }
)
#: What later releases say further: the root over all liabilities, and how much of the log was verified.
_FURTHER: Final = frozenset({"liability_attestation_id", "liability_root", "log_root_hash", "verified_size"})
_ATTESTED: Final = frozenset(
    {
        "backing",
        "bank_as_of",
        "bank_balance",
        "breaks",
        "control_account",
        "currency",
        "deposits_available",
        "holder_balances",
        "ledger_as_of",
        "ledger_index",
        "liability_register",
        "payments_in_transit",
        "scale",
        "statement_id",
        "supply",
        "timing",
        "trial_balance",
        "verdict",
    }
)


@dataclass(slots=True)
class BusinessDates:
    """How far the books are closed, and what was posted for each day."""

    closed_until: str = ""
    reopened: list[tuple[str, str]] = field(default_factory=list)
    # By currency and day: debits in minor units, credits, and lines.
    totals: dict[tuple[str, str], list[int]] = field(default_factory=dict)

    def post(self, event: Event) -> None:
        """Take up an event that holds; raises Failure (books) if its date was closed."""
        if self._is_closed(event.value_date):
            raise _refused(f"The entry counts from {event.value_date}, which had been closed.")
        late = event.original_value_date
        if late is not None and not (late < event.value_date and self._is_closed(late)):
            raise _refused("The entry is told to be late for a date that was not closed.")
        if event.lines:
            sums = self.totals.setdefault((event.currency, event.value_date), [0, 0, 0])
            sums[0] += sum(line.debit_minor for line in event.lines)
            sums[1] += sum(line.credit_minor for line in event.lines)
            sums[2] += len(event.lines)

    def take(self, fact: Fact, supply_at: Callable[[str, int], int]) -> None:
        """Take up what was signed of a date or by a reconciliation; raises Failure (books) unless it is so.

        `supply_at` tells a class's supply behind an index.
        """
        if fact.type == CLOSED_TYPE:
            self._close(fact, supply_at)
        elif fact.type == REOPENED_TYPE:
            period = _period(fact, frozenset({"period_from", "period_until"}))
            if not self._is_closed(period[1]):
                raise _refused("A date was reopened that was not closed.")
            self.reopened.append(period)
        elif fact.type == ATTESTED_TYPE:
            self._attested(fact, supply_at)

    def _close(self, fact: Fact, supply_at: Callable[[str, int], int]) -> None:
        first, last = period = _period(fact, _FIGURES)
        figures = fact.members["figures"]
        if period in self.reopened:
            self.reopened.remove(period)
        elif self.reopened or last <= self.closed_until or first <= self.closed_until:
            raise _refused("The date was closed already, or an earlier one was open.")
        else:
            self.closed_until = last
        told = figures["classes"]
        if not isinstance(told, list) or not all(
            isinstance(one, dict) and one.keys() == _CLASS for one in told
        ):
            raise _refused("The close tells other figures than are known here.")
        currencies = {one["currency"] for one in told}
        for (currency, day), sums in self.totals.items():
            if first <= day <= last and currency not in currencies and sums[2]:
                raise _refused(f"The close leaves out what was posted in {currency}.")
        for one in told:
            if _minor(one, "supply") != supply_at(one["token_class_id"], fact.index):
                raise _refused(
                    f"The supply in {one['currency']} that the date was closed with is not the log's."
                )
            days = [
                sums
                for (currency, day), sums in self.totals.items()
                if currency == one["currency"] and first <= day <= last
            ]
            posted = tuple(sum(sums[place] for sums in days) for place in range(3))
            if (_minor(one, "debits"), _minor(one, "credits"), one["line_count"]) != posted:
                raise _refused(
                    f"The date's control totals in {one['currency']} are not those of its entries."
                )

    def _attested(self, fact: Fact, supply_at: Callable[[str, int], int]) -> None:
        found = fact.members["attestation"]
        further = found.keys() - _ATTESTED
        if (
            not found.keys() >= _ATTESTED
            or further not in {frozenset(), _FURTHER}
            or type(found["ledger_index"]) is not int
        ):
            raise _refused("The attestation has other members than are known here.")
        if found["verdict"] not in {"tied", "broken"} or found["ledger_index"] >= fact.index:
            raise _refused("The attestation has an unknown verdict, or tells of what came behind it.")
        # What a broken reconciliation found is what it says it could not prove.
        if found["verdict"] != "tied":
            return
        of_log = supply_at(fact.members["token_class_id"], found["ledger_index"])
        told = ["supply", "holder_balances", "trial_balance", *further & {"liability_root"}]
        if {_minor(found, name) for name in told} != {of_log}:
            raise _refused("The attested supply is not what the log leads to.")

    def _is_closed(self, day: str) -> bool:
        # Days have one form of fixed length, so they sort as texts.
        return day <= self.closed_until and not any(first <= day <= last for first, last in self.reopened)


def _period(fact: Fact, members: frozenset[str]) -> tuple[str, str]:
    figures: dict[str, Any] = fact.members["figures"]
    first, last = str(figures.get("period_from")), str(figures.get("period_until"))
    if figures.keys() != members or not (_is_day(first) and _is_day(last)):
        raise _refused("The date's figures have other members than are known here.")
    if first > last or last != fact.members["subject_id"]:
        raise _refused("The date's period is not its own.")
    return first, last


def _is_day(text: str) -> bool:
    try:
        return _DAY.fullmatch(text) is not None and date.fromisoformat(text) is not None
    except ValueError:
        return False


def _minor(found: dict[str, Any], name: str) -> int:
    scale = found["scale"]
    if type(scale) is not int or not 0 <= scale <= 9:
        raise _refused("A scale is none.")
    return minor_units(found[name], scale)


def _refused(message: str) -> Failure:
    return Failure(ExitCode.BOOKS, message)
