"""The control account (1100) against the bank's statements, entry by entry.

Everything that the statements up to the latest closing balance tell, and everything that signed events moved on the
control account, is paired; what is left over is named and typed, so that the difference of the two balances is
explained to the minor unit. The bank's entries pair with deposits by the deposit that each became, or by the one that
people had confirmed for it before; its debits pair with releases of the same amount, first with first.
"""

from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Final

from sqlalchemy import Connection

from tallystick import statements, tokens
from tallystick.reconciliation.breaks import BreakCollector, BreakDraft, Money
from tallystick.reconciliation.records import BreakType, Evidence
from tallystick.reconciliation.replay import ControlMovement
from tallystick.statements import Statement, StatementEntry
from tallystick.tokens import State

__all__ = ["ControlAccount", "covered_statements"]

_AT_ONCE = 1_000
_CREDIT_WAITS: Final[dict[str, str]] = {
    State.UNASSIGNED: "The bank's credit waits to be assigned to an account.",
    State.PENDING_APPROVAL: "The bank's credit waits for another person's approval.",
}


def covered_statements(in_order: Sequence[Statement]) -> list[Statement]:
    """Return the statements up to the last one with a closing balance; those behind it prove no balance yet."""
    closed = [number for number, one in enumerate(in_order) if one.closing_minor is not None]
    return list(in_order[: closed[-1] + 1]) if closed else []


@dataclass(slots=True)
class ControlAccount:
    """Pairs movements as they come from the log, and then the statements' entries.

    `statements` are those that are covered by the latest closing balance, which is the last one's; `imported_ids` are
    those and the ones behind them.
    """

    connection: Connection
    issuer_id: str
    money: Money
    found: BreakCollector
    statements: Sequence[Statement]
    imported_ids: frozenset[str]
    last_index: int
    #: Sum of what differs: the books less the bank.
    difference_minor: int = 0
    timing_minor: int = 0
    _queue: list[ControlMovement] = field(default_factory=list)
    _alone: list[ControlMovement] = field(default_factory=list)
    _releases: list[ControlMovement] = field(default_factory=list)
    _confirmed: dict[tuple[str | None, int], int] = field(default_factory=dict)

    @property
    def closing_minor(self) -> int | None:
        """The balance that the bank's latest statement closes with."""
        return self.statements[-1].closing_minor if self.statements else None

    def take(self, movement: ControlMovement) -> None:
        """Take up one signed movement, in the order of the log."""
        if not self.statements:
            return
        if movement.movement_minor < 0:
            self._releases.append(movement)
            return
        self._queue.append(movement)
        if len(self._queue) == _AT_ONCE:
            self._pair_queued()

    def finish(self, unproven: set[int]) -> None:
        """Pair what is left, then go through the bank's entries. `unproven` are indexes without a valid event."""
        if not self.statements:
            return
        self._pair_queued()
        self._follow_statements(unproven)
        self._name_movements_alone()

    def _pair_queued(self) -> None:
        """Compare these deposits with the bank's entries for them."""
        covered = {one.id for one in self.statements}
        entries = self._entries_of_queued()
        for movement in self._queue:
            entry = entries.get(movement.statement_entry_id or movement.instruction_id)
            if entry is None:
                self._alone.append(movement)
            elif entry.statement_id not in covered:
                self._add_timing(
                    "deposit_on_later_statement",
                    movement.movement_minor,
                    "A deposit is confirmed by a statement that has no closing balance yet, or a later one.",
                    {**_evidence_of(movement), "statement_id": entry.statement_id},
                )
            elif entry.deposit_id != movement.instruction_id:
                self._add(
                    "deposit_of_same_entry",
                    BreakType.DUPLICATE,
                    movement.movement_minor,
                    "The bank's entry was confirmed by another deposit already.",
                    {**_evidence_of(movement), "deposit_id_of_entry": entry.deposit_id},
                )
            elif entry.signed_minor != movement.movement_minor:
                self._add(
                    "deposit_amount",
                    BreakType.AMOUNT,
                    movement.movement_minor - entry.signed_minor,
                    f"The deposit is {self.money.words(movement.movement_minor)}, the bank's entry "
                    f"{self.money.words(entry.signed_minor)}.",
                    _evidence_of(movement),
                )
        self._queue = []

    def _entries_of_queued(self) -> dict[str, StatementEntry]:
        """Look up the entries that these deposits name as their evidence, by the entries' ids.

        Deposits that were signed without evidence were confirmed by hand. If an entry that came later is linked to
        one, it stands under the deposit's id.
        """
        named_ids = [one.statement_entry_id for one in self._queue if one.statement_entry_id]
        entries = statements.entries_by_id(self.connection, self.issuer_id, named_ids)
        by_hand_ids = [one.instruction_id for one in self._queue if not one.statement_entry_id]
        linked = statements.entries_confirmed_by_hand(self.connection, self.issuer_id, by_hand_ids)
        # A statement that was imported after the moment that is looked at explains nothing of it.
        entries |= {
            deposit_id: entry
            for deposit_id, entry in linked.items()
            if entry.statement_id in self.imported_ids
        }
        return entries

    def _follow_statements(self, unproven: set[int]) -> None:
        """Walk from the first opening balance to the latest closing one, over every entry."""
        # Only what is alone so far can turn out to be one of these told twice.
        self._confirmed = {(one.account_id, one.movement_minor): 0 for one in self._alone}
        debits: list[StatementEntry] = []
        balance_minor: int | None = None
        for one in self.statements:
            balance_minor = self._check_opening(one, balance_minor)
            after = 0
            while page := statements.entries(
                self.connection, self.issuer_id, one.id, after=after, limit=_AT_ONCE
            ):
                after = page[-1].entry_number
                booked = [entry for entry in page if entry.booked]
                balance_minor += sum(entry.signed_minor for entry in booked)
                debits += [entry for entry in booked if entry.deposit_id is None and entry.amount_minor]
                self._check_credits([entry for entry in booked if entry.deposit_id is not None], unproven)
            if one.closing_minor is not None and one.closing_minor != balance_minor:
                self._add(
                    "statement_sum",
                    BreakType.AMOUNT,
                    balance_minor - one.closing_minor,
                    f"The statement's entries lead to {self.money.words(balance_minor)}, but it closes at "
                    f"{self.money.words(one.closing_minor)}.",
                    {"statement_id": one.id},
                )
                balance_minor = one.closing_minor
        self._pair_debits(debits)

    def _check_opening(self, one: Statement, balance_minor: int | None) -> int:
        """Return the balance that a statement starts from, and name what happened before it unseen."""
        if one.opening_minor is None:
            return balance_minor or 0
        expected_minor = balance_minor or 0
        if one.opening_minor != expected_minor:
            before = (
                "no statement before it was imported"
                if balance_minor is None
                else f"the one before it closed at {self.money.words(expected_minor)}"
            )
            self._add(
                "statement_opening",
                BreakType.UNEXPECTED_BANK_ENTRY,
                expected_minor - one.opening_minor,
                f"The statement opens at {self.money.words(one.opening_minor)}, but {before}.",
                {"statement_id": one.id},
            )
        return one.opening_minor

    def _check_credits(self, entries: Sequence[StatementEntry], unproven: set[int]) -> None:
        """Name the bank's credits that the books don't have as of the index."""
        deposits = tokens.instructions_by_id(
            self.connection, self.issuer_id, [entry.deposit_id or "" for entry in entries]
        )
        for entry in entries:
            deposit = deposits.get(entry.deposit_id or "")
            if deposit is None:
                self._add(
                    "credit_without_deposit",
                    BreakType.UNEXPECTED_BANK_ENTRY,
                    -entry.signed_minor,
                    "The bank's credit names a deposit that does not exist.",
                    _evidence_of_entry(entry),
                )
            elif deposit.event_index is None or deposit.event_index > self.last_index:
                self._add_timing(
                    "credit_waits",
                    -entry.signed_minor,
                    _CREDIT_WAITS.get(
                        deposit.state, "The bank's credit is confirmed in the books behind this index."
                    ),
                    _evidence_of_entry(entry),
                )
            elif deposit.event_index in unproven:
                # That its event is missing is a break of its own, which explains the books' side of this pair.
                self.difference_minor -= entry.signed_minor
            else:
                pair = deposit.payee_account_id, deposit.amount_minor
                if pair in self._confirmed:
                    self._confirmed[pair] += 1

    def _pair_debits(self, entries: Sequence[StatementEntry]) -> None:
        """Pair the bank's other entries with releases of the same amount, first with first."""
        waiting: defaultdict[int, deque[ControlMovement]] = defaultdict(deque)
        for release in self._releases:
            waiting[release.movement_minor].append(release)
        for entry in entries:
            if waiting[entry.signed_minor]:
                waiting[entry.signed_minor].popleft()
                continue
            self._add(
                "entry_not_in_books",
                BreakType.UNEXPECTED_BANK_ENTRY,
                -entry.signed_minor,
                f"The bank booked {self.money.words(entry.signed_minor)}, which the books do not show.",
                _evidence_of_entry(entry),
            )
        left = {release.event_index for queue in waiting.values() for release in queue}
        self._alone += [release for release in self._releases if release.event_index in left]

    def _name_movements_alone(self) -> None:
        """Name what the books moved and no entry of the bank bears out."""
        closed_on = self._closed_on()
        for movement in self._alone:
            evidence = _evidence_of(movement)
            if movement.value_date > closed_on:
                self._add_timing(
                    "movement_after_statement",
                    movement.movement_minor,
                    f"The books' value date is behind {closed_on}, the day of the statement.",
                    evidence,
                )
            elif self._confirmed.get((movement.account_id, movement.movement_minor)):
                self._confirmed[movement.account_id, movement.movement_minor] -= 1
                self._add(
                    "deposit_told_twice",
                    BreakType.DUPLICATE,
                    movement.movement_minor,
                    "The bank has no entry for this deposit, but the statement confirmed one of the same amount to "
                    "the same account.",
                    evidence,
                )
            else:
                self._add(
                    "movement_not_at_bank",
                    BreakType.MISSING_BANK_ENTRY,
                    movement.movement_minor,
                    f"The books moved {self.money.words(movement.movement_minor)}, which the bank does not show.",
                    evidence,
                )

    def _closed_on(self) -> date:
        latest = self.statements[-1]
        return latest.closed_on or latest.imported_at.date()

    def _add_timing(self, kind: str, difference_minor: int, explanation: str, evidence: Evidence) -> None:
        self.timing_minor += difference_minor
        self._add(kind, BreakType.TIMING, difference_minor, explanation, evidence)

    def _add(
        self, kind: str, break_type: BreakType, difference_minor: int, explanation: str, evidence: Evidence
    ) -> None:
        self.difference_minor += difference_minor
        self.found.add(
            kind, BreakDraft(break_type, difference_minor, explanation, evidence, 0, difference_minor)
        )


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
