"""The control account's movements paired with the bank's entries, and a name for each that is left over. Pure.

`forward` goes from the books to the bank, in the order of the log and in blocks; it leaves a mark at each entry that
bears a deposit out. `back` goes the other way, over the entries without a mark only. What neither finds a pair for is
told by `name_alone`. Whatever is paired wrongly, or not at all, becomes a break with its exact amount, so that the
differences of all of them add up to the difference of the two accounts.

What two people wrote off with an entry makes up for its cause, and for nothing else. Where it does so to the minor unit
there is no break; the entry or movement is then out of the pairing, lest another one of its amount be taken for it.
"""

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from types import MappingProxyType
from typing import Final, NamedTuple

from tallystick.reconciliation.breaks import BreakCollector, BreakDraft, Money
from tallystick.reconciliation.marks import Marks
from tallystick.reconciliation.records import BreakType, Evidence
from tallystick.statements import EntryLink, StatementEntry
from tallystick.tokens import State

__all__ = [
    "CAUSES",
    "KINDS",
    "ControlMovement",
    "Cutoff",
    "DepositStanding",
    "Forward",
    "Pairing",
    "Told",
]

#: How the causes begin of what is named here: each is a difference between 1100 and the bank's statements.
CAUSES: Final = ("entry:", "first_opening:", "movement:", "statement_opening:", "sum:")
#: The kinds of it that may be bundled, save for timing.
KINDS: Final = frozenset(
    {
        "credit_of_other_deposit",
        "credit_without_deposit",
        "deposit_amount",
        "deposit_of_same_entry",
        "deposit_told_twice",
        "entry_not_in_books",
        "entry_told_twice",
        "first_opening",
        "movement_not_at_bank",
        "statement_opening",
        "statement_sum",
        "written_off_in_vain",
    }
)

_CREDIT_WAITS: Final[dict[str, str]] = {
    State.UNASSIGNED: "The bank's credit waits to be assigned to an account.",
    State.PENDING_APPROVAL: "The bank's credit waits for another person's approval.",
}


class ControlMovement(NamedTuple):
    """What one signed event moved on the control account (1100): positive for a deposit that came in."""

    event_index: int
    instruction_id: str
    movement_minor: int
    value_date: date
    account_id: str | None
    statement_entry_id: str | None


class Cutoff(NamedTuple):
    """What the bank could know of at some moment: what was booked up to an index of the log, and valued by a day."""

    event_index: int
    day: date

    def takes_in(self, movement: ControlMovement) -> bool:
        """Tell whether a movement was there by then."""
        return movement.event_index <= self.event_index and movement.value_date <= self.day


class DepositStanding(NamedTuple):
    """What became of the deposit that an entry names, as of the index that is looked at.

    `settled` by then, and `proven` by a valid event; `state` is what it waits for otherwise.
    """

    account_id: str | None
    amount_minor: int
    state: str
    settled: bool
    proven: bool


class Told(NamedTuple):
    """By what an entry is recognised that the bank tells of once more: its own reference, amount and day."""

    bank_reference: str
    signed_minor: int
    booking_date: date | None


@dataclass(slots=True)
class Forward:
    """What one part of the log leaves behind: deposits without an entry, releases, odd pairs, and marks.

    `releases` are (index, amount) of what went out, in the order of the log. `written_off` is what write-offs moved, by
    the cause that each makes up for.
    """

    alone: list[ControlMovement] = field(default_factory=list)
    odd: list[tuple[str, ControlMovement, EntryLink]] = field(default_factory=list)
    releases: list[tuple[int, int]] = field(default_factory=list)
    marks: Marks = field(default_factory=Marks)
    written_off: Counter[str] = field(default_factory=Counter)

    def pair(
        self,
        movements: Sequence[ControlMovement],
        links: Mapping[str, EntryLink],
        covered: frozenset[str],
    ) -> None:
        """Pair the deposits of one block. `links` are by the entry that a deposit names, or by its own id."""
        for movement in movements:
            link = links.get(movement.statement_entry_id or movement.instruction_id)
            if link is None:
                self.alone.append(movement)
            elif link.statement_id not in covered:
                self.odd.append(("later", movement, link))
            elif link.deposit_id != movement.instruction_id or self.marks.has(
                link.statement_id, link.entry_number
            ):
                self.odd.append(("other", movement, link))
            else:
                self.marks.set(link.statement_id, link.entry_number)
                if link.signed_minor != movement.movement_minor:
                    self.odd.append(("amount", movement, link))

    def take(self, later: "Forward") -> None:
        """Take over what the next part of the log left behind."""
        self.alone += later.alone
        self.odd += later.odd
        self.releases += later.releases
        self.marks.take(later.marks)
        # Not `+`, which would drop what is below zero.
        self.written_off.update(later.written_off)


@dataclass(slots=True)
class Pairing:
    """Names what is left over; `difference_minor` sums what differs, the books less the bank.

    `moved_since_minor` is what the books moved behind the latest statement and up to `cutoff`, if there is one.
    `written_off` is what is left of the write-offs that were given with the books' side, by the cause of each.
    """

    money: Money
    found: BreakCollector
    cutoff: Cutoff | None = None
    difference_minor: int = 0
    timing_minor: int = 0
    moved_since_minor: int = 0
    written_off: dict[str, int] = field(default_factory=dict)
    _waiting: defaultdict[int, deque[int]] = field(default_factory=lambda: defaultdict(deque))

    def take_forward(self, forward: Forward, cause_at: Mapping[int, str] = MappingProxyType({})) -> None:
        """Name the odd pairs, and let releases wait for the bank's debits.

        `cause_at` tells, by index, what was written off of the books' own movements: a release is waiting no more.
        """
        self.written_off = {cause: minor for cause, minor in forward.written_off.items() if minor}
        for kind, movement, link in forward.odd:
            evidence = {**_evidence_of(movement), "bank_entry_id": link.id}
            cause = _cause_of(movement)
            if kind == "later":
                self._count_since(movement)
                self._add_timing(
                    "deposit_on_later_statement",
                    movement.movement_minor,
                    "A deposit is confirmed by a statement that has no closing balance yet, or a later one.",
                    evidence,
                    cause,
                )
            elif kind == "other":
                self._add(
                    "deposit_of_same_entry",
                    BreakType.DUPLICATE,
                    movement.movement_minor,
                    "The bank's entry was confirmed by another deposit already.",
                    {**evidence, "deposit_id_of_entry": link.deposit_id},
                    cause,
                )
            else:
                self._add(
                    "deposit_amount",
                    BreakType.AMOUNT,
                    movement.movement_minor - link.signed_minor,
                    f"The deposit is {self.money.words(movement.movement_minor)}, the bank's entry "
                    f"{self.money.words(link.signed_minor)}.",
                    evidence,
                    cause,
                )
        for event_index, movement_minor in forward.releases:
            if not self._take_written_off(cause_at.get(event_index), -movement_minor):
                self._waiting[movement_minor].append(event_index)

    def paid_out(
        self, entries: Iterable[StatementEntry], paid: Mapping[str, Sequence[tuple[int, int]]]
    ) -> list[StatementEntry]:
        """Return the entries that no release or payout waits for; the first of an amount goes with its first debit.

        `paid` gives the places in the log, with what they moved, of the payouts that an entry settled or returned: of a
        whole file, where the bank booked it as one.
        """
        left = []
        for entry in entries:
            if self._take_written_off(f"entry:{entry.id}", entry.signed_minor):
                continue
            if self._take_paid(entry, paid.get(entry.id, ())):
                continue
            waiting = self._waiting.get(entry.signed_minor) if entry.deposit_id is None else None
            if waiting:
                waiting.popleft()
            else:
                left.append(entry)
        return left

    def back(
        self,
        entries: Iterable[StatementEntry],
        standings: Mapping[str, DepositStanding],
        told: Mapping[Told, tuple[str, int]],
    ) -> None:
        """Name the bank's booked entries that bear neither a deposit out nor a release, in the order of the statements.

        `told` gives the first entry of each reference, amount and day.
        """
        for entry in entries:
            standing = standings.get(entry.deposit_id or "")
            if standing is not None and standing.settled and not standing.proven:
                # That its event is missing is a break of its own, which explains the books' side of this pair.
                self.difference_minor -= entry.signed_minor
            elif _first_told(entry, told) is not None and not (standing and standing.settled):
                self._add(
                    "entry_told_twice",
                    BreakType.DUPLICATE,
                    -entry.signed_minor,
                    f"The bank tells of {self.money.words(entry.signed_minor)} twice: with the same reference and day.",
                    {**_evidence_of_entry(entry), "first_entry_id": _first_told(entry, told)},
                    f"entry:{entry.id}",
                )
            else:
                self._name_entry(entry, standing)

    def _take_written_off(self, cause: str | None, wanted_minor: int) -> bool:
        """Tell whether exactly what is wanted was written off for a cause; it is used by that."""
        if cause is None or self.written_off.get(cause) != wanted_minor:
            return False
        del self.written_off[cause]
        return True

    def _take_paid(self, entry: StatementEntry, paid: Sequence[tuple[int, int]]) -> bool:
        """Let an entry stand for the payouts that it settled or returned, if all of them wait and come to the same."""
        if not paid or sum(movement_minor for _, movement_minor in paid) != entry.signed_minor:
            return False
        wanted = Counter(movement_minor for _, movement_minor in paid)
        if any(len(self._waiting[movement_minor]) < count for movement_minor, count in wanted.items()):
            return False
        for event_index, movement_minor in paid:
            waiting = self._waiting[movement_minor]
            # Another entry of this amount may stand for it already: then this one stands for that one's.
            if event_index in waiting:
                waiting.remove(event_index)
            else:
                waiting.popleft()
        return True

    def _name_entry(self, entry: StatementEntry, standing: DepositStanding | None) -> None:
        evidence, cause = _evidence_of_entry(entry), f"entry:{entry.id}"
        if standing is not None and not standing.settled:
            self._add_timing(
                "credit_waits",
                -entry.signed_minor,
                _CREDIT_WAITS.get(
                    standing.state, "The bank's credit is confirmed in the books behind this index."
                ),
                evidence,
                cause,
            )
            return
        if entry.deposit_id is None:
            kind = "entry_not_in_books"
            text = f"The bank booked {self.money.words(entry.signed_minor)}, which the books do not show."
        elif standing is None:
            kind = "credit_without_deposit"
            text = "The bank's credit names a deposit that does not exist."
        else:
            kind = "credit_of_other_deposit"
            text = "The bank's credit names a deposit that another entry bears out, or none."
        self._add(kind, BreakType.UNEXPECTED_BANK_ENTRY, -entry.signed_minor, text, evidence, cause)

    def releases_alone(self) -> list[int]:
        """Return the indexes of the releases that no debit of the bank bears out, in the order of the log."""
        return sorted(index for waiting in self._waiting.values() for index in waiting)

    def name_alone(
        self,
        alone: Iterable[ControlMovement],
        confirmed: Counter[tuple[str | None, int]],
        closed_on: date,
    ) -> None:
        """Name what the books moved and no entry of the bank bears out.

        `confirmed` counts the deposits that are borne out, by account and amount: one of them may have been told twice.
        """
        for movement in alone:
            evidence, cause = _evidence_of(movement), _cause_of(movement)
            pair = (movement.account_id, movement.movement_minor)
            if movement.value_date > closed_on:
                self._count_since(movement)
                self._add_timing(
                    "movement_after_statement",
                    movement.movement_minor,
                    f"The books' value date is behind {closed_on}, the day of the statement.",
                    evidence,
                    cause,
                )
            elif movement.movement_minor > 0 and confirmed[pair]:
                confirmed[pair] -= 1
                self._add(
                    "deposit_told_twice",
                    BreakType.DUPLICATE,
                    movement.movement_minor,
                    "The bank has no entry for this deposit, but the statement confirmed one of the same amount to "
                    "the same account.",
                    evidence,
                    cause,
                )
            else:
                self._add(
                    "movement_not_at_bank",
                    BreakType.MISSING_BANK_ENTRY,
                    movement.movement_minor,
                    f"The books moved {self.money.words(movement.movement_minor)}, which the bank does not show.",
                    evidence,
                    cause,
                )

    def name_written_off(self, covered: frozenset[str]) -> None:
        """Name what was written off for a cause that is none: that much is wrong in the books now.

        Of a statement that is not looked at, by what had come of the bank's by then, it is timing.
        """
        for cause, written_minor in sorted(self.written_off.items()):
            kind, _, about = cause.partition(":")
            if kind != "movement" and about.partition(".")[0] not in covered:
                self.timing_minor += written_minor
                name, break_type = "written_off_ahead", BreakType.TIMING
                text = "It was written off by a statement that is behind the one that is looked at."
            else:
                name, break_type = "written_off_in_vain", BreakType.MISSING_BANK_ENTRY
                text = f"{self.money.words(written_minor)} were booked to write off what is no difference any more."
            self.difference_minor += written_minor
            draft = BreakDraft(
                break_type, written_minor, text, {"written_off_for": cause}, 0, written_minor, cause
            )
            self.found.add(name, draft)
        self.written_off = {}

    def check_opening(self, statement_id: str, opening_minor: int | None, before_minor: int | None) -> int:
        """Return the balance that a statement starts from, and name what happened unseen before it.

        `before_minor` is what the one before it closed with; None before the first.
        """
        expected_minor = before_minor or 0
        if opening_minor is None or opening_minor == expected_minor:
            return expected_minor
        before = (
            "no statement before it was imported"
            if before_minor is None
            else f"the one before it closed at {self.money.words(expected_minor)}"
        )
        self._add(
            "first_opening" if before_minor is None else "statement_opening",
            BreakType.UNEXPECTED_BANK_ENTRY,
            expected_minor - opening_minor,
            f"The statement opens at {self.money.words(opening_minor)}, but {before}.",
            {"statement_id": statement_id},
            f"{'first_opening' if before_minor is None else 'statement_opening'}:{statement_id}",
        )
        return opening_minor

    def check_closing(self, statement_id: str, closing_minor: int | None, balance_minor: int) -> int:
        """Return the balance that a statement ends with, and name what its own entries leave open."""
        if closing_minor is None or closing_minor == balance_minor:
            return balance_minor
        self._add(
            "statement_sum",
            BreakType.AMOUNT,
            balance_minor - closing_minor,
            f"The statement's entries lead to {self.money.words(balance_minor)}, but it closes at "
            f"{self.money.words(closing_minor)}.",
            {"statement_id": statement_id},
            f"sum:{statement_id}",
        )
        return closing_minor

    def _count_since(self, movement: ControlMovement) -> None:
        if self.cutoff is not None and self.cutoff.takes_in(movement):
            self.moved_since_minor += movement.movement_minor

    def _add_timing(
        self, kind: str, difference_minor: int, explanation: str, evidence: Evidence, cause: str
    ) -> None:
        self.timing_minor += self._add(kind, BreakType.TIMING, difference_minor, explanation, evidence, cause)

    def _add(
        self,
        kind: str,
        break_type: BreakType,
        difference_minor: int,
        explanation: str,
        evidence: Evidence,
        cause: str,
    ) -> int:
        """Name what is left of a difference behind what was written off for its cause, and return that."""
        written_minor = self.written_off.pop(cause, 0)
        left_minor = difference_minor + written_minor
        self.difference_minor += left_minor
        if written_minor:
            explanation += f" {self.money.words(written_minor)} were booked as its write-off."
        if left_minor:
            self.found.add(
                kind, BreakDraft(break_type, left_minor, explanation, evidence, 0, left_minor, cause)
            )
        return left_minor


def _first_told(entry: StatementEntry, told: Mapping[Told, tuple[str, int]]) -> str | None:
    if entry.bank_reference is None:
        return None
    first = told.get(Told(entry.bank_reference, entry.signed_minor, entry.booking_date))
    if first is None or first == (entry.statement_id, entry.entry_number):
        return None
    return f"{first[0]}.{first[1]}"


def _cause_of(movement: ControlMovement) -> str:
    return f"movement:{movement.instruction_id}"


def _evidence_of(movement: ControlMovement) -> dict[str, str | int | None]:
    return {
        "event_index": movement.event_index,
        "instruction_id": movement.instruction_id,
        "value_date": movement.value_date.isoformat(),
        "statement_entry_id": movement.statement_entry_id,
    }


def _evidence_of_entry(entry: StatementEntry) -> dict[str, str | int | None]:
    return {
        "statement_entry_id": entry.id,
        "booking_date": None if entry.booking_date is None else entry.booking_date.isoformat(),
        "bank_reference": entry.bank_reference,
        "deposit_id": entry.deposit_id,
    }
