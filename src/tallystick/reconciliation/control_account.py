"""The control account (1100) against the bank's statements: reads what is paired, and walks from the first opening
balance to the latest closing one.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Final

from sqlalchemy import Connection

from tallystick import payouts, statements, tokens
from tallystick.core.clock import day_end
from tallystick.reconciliation.breaks import BreakCollector
from tallystick.reconciliation.pairing import DepositStanding, Pairing, Told
from tallystick.reconciliation.pushed import PushedBalance, compare_pushed
from tallystick.reconciliation.replay import Part, Scope, movements_at
from tallystick.reconciliation.tie_out import BankFacts
from tallystick.statements import Statement, StatementEntry

__all__ = ["ControlAccount", "bank_time_of", "covered_statements", "gaps_between"]

_AT_ONCE: Final = 1_000


def covered_statements(in_order: Sequence[Statement]) -> list[Statement]:
    """Return the statements up to the last one with a closing balance; those behind it prove no balance yet."""
    closed = [number for number, one in enumerate(in_order) if one.closing_minor is not None]
    return list(in_order[: closed[-1] + 1]) if closed else []


def bank_time_of(one: Statement) -> datetime:
    """Return the moment up to which a statement tells of the bank: the end of the day that it closes."""
    return one.imported_at if one.closed_on is None else min(day_end(one.closed_on), one.imported_at)


def gaps_between(in_order: Sequence[Statement]) -> list[tuple[int, int]]:
    """Return where the bank's numbers of its statements don't follow each other, as (number before, number behind).

    Pages of one statement have one number, and many banks count from 1 again each year.
    """
    gaps: list[tuple[int, int]] = []
    before: Statement | None = None
    for one in in_order:
        if one.sequence_number is None:
            continue
        if before is not None and before.sequence_number is not None:
            follows = one.sequence_number - before.sequence_number
            same = before.closing_minor is None and follows == 0
            turned = (
                one.sequence_number == 1
                and before.closed_on is not None
                and one.closed_on is not None
                and one.closed_on.year > before.closed_on.year
            )
            if follows != 1 and not same and not turned:
                gaps.append((before.sequence_number, one.sequence_number))
        before = one
    return gaps


@dataclass(slots=True)
class ControlAccount:
    """Holds what the log moved on the control account against the statements.

    `statements` are those that are covered by the latest closing balance, which is the last one's. `pushed` is a
    balance that the core told of a moment behind them.
    """

    connection: Connection
    scope: Scope
    statements: Sequence[Statement]
    last_index: int
    pushed: PushedBalance | None = None

    def compare(self, part: Part) -> BankFacts:
        """Return what the bank says, with every movement and entry that the two don't share named."""
        if not self.statements:
            return BankFacts(None)
        found = BreakCollector(self.scope.money)
        pushed = self.pushed
        pairing = Pairing(self.scope.money, found, None if pushed is None else pushed.cutoff)
        pairing.take_forward(part.forward, self._written_off_at(part))
        self._walk(pairing, part)
        alone = [
            *part.forward.alone,
            *movements_at(self.connection, self.scope, pairing.releases_alone()),
        ]
        pairing.name_alone(alone, self._confirmed_like(part), self._closed_on())
        pairing.name_written_off(self.scope.covered)
        closing_minor, breaks = self.statements[-1].closing_minor, found.collected()
        facts = BankFacts(closing_minor, pairing.difference_minor, pairing.timing_minor, breaks)
        if pushed is None or closing_minor is None:
            return facts
        told, odd = compare_pushed(self.scope.money, pushed, closing_minor, pairing.moved_since_minor)
        return replace(facts, breaks=breaks + odd, pushed=told)

    def _written_off_at(self, part: Part) -> dict[int, str]:
        """Return the causes of what was written off of the books' own movements, by each one's place in the log."""
        causes = {
            cause.removeprefix("movement:"): cause
            for cause, minor in part.forward.written_off.items()
            if minor and cause.startswith("movement:")
        }
        ids = sorted(causes)
        found: dict[int, str] = {}
        for start in range(0, len(ids), _AT_ONCE):
            for one in tokens.instructions_by_id(
                self.connection, self.scope.issuer_id, ids[start : start + _AT_ONCE]
            ).values():
                if one.event_index is not None:
                    found[one.event_index] = causes[one.id]
        return found

    def _walk(self, pairing: Pairing, part: Part) -> None:
        ids = [one.id for one in self.statements]
        sums = statements.booked_sums(self.connection, self.scope.issuer_id, ids)
        balance_minor: int | None = None
        for one in self.statements:
            opening_minor = pairing.check_opening(one.id, one.opening_minor, balance_minor)
            booked_minor, entry_count = sums.get(one.id, (0, 0))
            for block in self._blocks(one, entry_count, part):
                paid = payouts.moved_by(self.connection, self.scope.issuer_id, [entry.id for entry in block])
                # Of the debits that releases and payouts wait for nothing more needs to be known.
                left = pairing.paid_out(block, paid)
                pairing.back(left, self._standings(left, part.unproven), self._told(ids, left))
            balance_minor = pairing.check_closing(one.id, one.closing_minor, opening_minor + booked_minor)

    def _blocks(self, one: Statement, entry_count: int, part: Part) -> Iterator[list[StatementEntry]]:
        """Yield the statement's booked entries that bear no deposit out, a bounded number at once."""
        for numbers in _in_blocks(part.forward.marks.missing(one.id, entry_count)):
            found = statements.entries_numbered(self.connection, self.scope.issuer_id, one.id, numbers)
            yield [entry for entry in found if entry.booked and entry.amount_minor]

    def _standings(self, block: Sequence[StatementEntry], unproven: set[int]) -> dict[str, DepositStanding]:
        ids = [entry.deposit_id for entry in block if entry.deposit_id is not None]
        if not ids:
            return {}
        found = tokens.instructions_by_id(self.connection, self.scope.issuer_id, ids)
        return {
            deposit.id: DepositStanding(
                deposit.payee_account_id,
                deposit.amount_minor,
                deposit.state,
                deposit.event_index is not None and deposit.event_index <= self.last_index,
                deposit.event_index not in unproven,
            )
            for deposit in found.values()
        }

    def _told(self, ids: Sequence[str], block: Sequence[StatementEntry]) -> dict[Told, tuple[str, int]]:
        references = [entry.bank_reference for entry in block if entry.bank_reference]
        found = statements.first_told(self.connection, self.scope.issuer_id, ids, references)
        return {Told(*told): place for told, place in found.items()}

    def _confirmed_like(self, part: Part) -> Counter[tuple[str | None, int]]:
        """Count the deposits that are borne out and look like one that is not, by account and amount."""
        confirmed: Counter[tuple[str | None, int]] = Counter()
        amounts = sorted({one.movement_minor for one in part.forward.alone})
        for start in range(0, len(amounts), _AT_ONCE):
            links = [
                link
                for link in statements.entries_of_amounts(
                    self.connection,
                    self.scope.issuer_id,
                    [one.id for one in self.statements],
                    amounts[start : start + _AT_ONCE],
                )
                if part.forward.marks.has(link.statement_id, link.entry_number)
            ]
            for first in range(0, len(links), _AT_ONCE):
                ids = [link.deposit_id or "" for link in links[first : first + _AT_ONCE]]
                deposits = tokens.instructions_by_id(self.connection, self.scope.issuer_id, ids)
                confirmed.update((one.payee_account_id, one.amount_minor) for one in deposits.values())
        return confirmed

    def _closed_on(self) -> date:
        latest = self.statements[-1]
        return latest.closed_on or latest.imported_at.date()


def _in_blocks(runs: Iterable[tuple[int, int]]) -> Iterator[list[int]]:
    """Yield the numbers of the runs, from first to last, a bounded number at once."""
    block: list[int] = []
    for first, last in runs:
        start = first
        while start <= last:
            taken = range(start, min(last, start + _AT_ONCE - len(block) - 1) + 1)
            block += taken
            start = taken.stop
            if len(block) == _AT_ONCE:
                yield block
                block = []
    if block:
        yield block
