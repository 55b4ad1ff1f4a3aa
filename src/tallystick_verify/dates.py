"""Business dates and attestations: what people and the bank signed of the books, held against the replay.

A closed date takes no entry until it is reopened; its totals are those of the entries that count from its days. An
attested supply is the replay's at the index that it names.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from tallystick_verify.events import Event, minor_units
from tallystick_verify.facts import ATTESTED_TYPE, CLOSED_TYPE, REOPENED_TYPE, Fact
from tallystick_verify.failures import ExitCode, Failure

__all__ = ["BusinessDates"]

#: Whether a token class may have a currency and a scale; of one without events nobody knows.
IsClass: TypeAlias = Callable[[str, str, int], bool]


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

    def take(self, fact: Fact, supply_at: Callable[[str, int], int], is_class: IsClass) -> None:
        """Take up what was signed of a date or by a reconciliation; raises Failure (books) unless it is so.

        `supply_at` tells a class's supply behind an index, `is_class` whether it may have a currency and scale.
        """
        if fact.type == CLOSED_TYPE:
            self._close(fact, supply_at, is_class)
        elif fact.type == REOPENED_TYPE:
            period = _period(fact)
            if not self._is_closed(period[1]):
                raise _refused("A date was reopened that was not closed.")
            self.reopened.append(period)
        elif fact.type == ATTESTED_TYPE:
            self._attested(fact, supply_at, is_class)

    def _close(self, fact: Fact, supply_at: Callable[[str, int], int], is_class: IsClass) -> None:
        first, last = period = _period(fact)
        figures = fact.members["figures"]
        if period in self.reopened:
            self.reopened.remove(period)
        elif self.reopened or last <= self.closed_until or first <= self.closed_until:
            raise _refused("The date was closed already, or an earlier one was open.")
        else:
            self.closed_until = last
        told = figures["classes"]
        currencies = {one["currency"] for one in told}
        for (currency, day), sums in self.totals.items():
            if first <= day <= last and currency not in currencies and sums[2]:
                raise _refused(f"The close leaves out what was posted in {currency}.")
        for one in told:
            _check_class(one["token_class_id"], one, is_class)
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

    def _attested(self, fact: Fact, supply_at: Callable[[str, int], int], is_class: IsClass) -> None:
        found = fact.members["attestation"]
        if found["ledger_index"] >= fact.index:
            raise _refused("The attestation tells of what came behind it.")
        if int(found.get("verified_size") or 0) > found["ledger_index"] + 1:
            raise _refused("The attestation vouches for more of the log than it looked at.")
        _check_class(fact.members["token_class_id"], found, is_class)
        # What a broken reconciliation found is what it says it could not prove.
        if found["verdict"] != "tied":
            return
        of_log = supply_at(fact.members["token_class_id"], found["ledger_index"])
        told = ["supply", "holder_balances", "trial_balance", *found.keys() & {"liability_root"}]
        if {_minor(found, name) for name in told} != {of_log}:
            raise _refused("The attested supply is not what the log leads to.")

    def _is_closed(self, day: str) -> bool:
        # Days have one form of fixed length, so they sort as texts.
        return day <= self.closed_until and not any(first <= day <= last for first, last in self.reopened)


def _period(fact: Fact) -> tuple[str, str]:
    figures: dict[str, Any] = fact.members["figures"]
    first, last = figures["period_from"], figures["period_until"]
    if first > last or last != fact.members["subject_id"]:
        raise _refused("The date's period is not its own.")
    return first, last


def _check_class(token_class_id: str, told: dict[str, Any], is_class: IsClass) -> None:
    if not is_class(token_class_id, told["currency"], told["scale"]):
        raise _refused("The figures have another currency or scale than their token class.")


def _minor(found: dict[str, Any], name: str) -> int:
    return minor_units(found[name], found["scale"])


def _refused(message: str) -> Failure:
    return Failure(ExitCode.BOOKS, message)
