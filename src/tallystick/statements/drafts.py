"""A part of a statement on its way in: what was read of it, and what is found out about it, before it is written."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Final, TypeAlias

from tallystick.participants import TokenClass
from tallystick.statements.content import entry_row
from tallystick.statements.findings import FINDING_SEVERITIES, Finding
from tallystick.statements.matching import Match, MatchedBy
from tallystick.statements.parsed import ParsedEntry, ParsedStatement
from tallystick.statements.records import Statement, StatementEntry

__all__ = [
    "NO_REFERENCE",
    "Place",
    "StatementDraft",
    "contradictions",
    "day_of",
    "draft_of",
    "entry_finding",
    "is_deposit",
]

#: What banks and payers write where they have no reference.
NO_REFERENCE: Final = frozenset({"NONREF", "NOTPROVIDED"})


@dataclass(slots=True)
class StatementDraft:
    """Some entries of one statement, one after the other.

    `rows` and `matches` are by entry number; `waits` says that nothing may be confirmed from the statement.
    """

    statement: Statement
    of_class: TokenClass
    entries: Sequence[ParsedEntry]
    waits: bool
    rows: dict[int, StatementEntry]
    findings: list[Finding] = field(default_factory=list)
    matches: dict[int, Match] = field(default_factory=dict)
    part_links: list[tuple[str, int, str]] = field(default_factory=list)

    @property
    def credits(self) -> list[ParsedEntry]:
        """The entries that stand for a deposit."""
        return [entry for entry in self.entries if is_deposit(entry)]

    def note(self, code: str, entry: ParsedEntry, message: str) -> None:
        """Record a finding about an entry."""
        self.findings.append(entry_finding(code, entry, message))

    def link_parts(self, entry: ParsedEntry, deposit_ids: Sequence[str]) -> None:
        """Name the deposits that an entry is made of, or the one that it is a part of."""
        self.matches.pop(entry.sequence, None)
        self.rows[entry.sequence] = self.rows[entry.sequence]._replace(
            matched_by=MatchedBy.NOTIFIED_IN_PARTS.value
        )
        self.part_links += [(self.statement.id, entry.sequence, one) for one in deposit_ids]

    def link(self, entry: ParsedEntry, deposit_id: str, matched_by: str) -> None:
        """Name the deposit that stands for an entry already, so that nothing is confirmed from it."""
        self.matches.pop(entry.sequence, None)
        self.rows[entry.sequence] = self.rows[entry.sequence]._replace(
            deposit_id=deposit_id, matched_by=matched_by
        )


#: An entry and the part of a statement that it is in.
Place: TypeAlias = tuple[StatementDraft, ParsedEntry]


def draft_of(
    statement: Statement, of_class: TokenClass, entries: Sequence[ParsedEntry], *, waits: bool
) -> StatementDraft:
    """Return the draft of some entries; raises StatementAmountInexactError."""
    rows = {entry.sequence: entry_row(entry, statement.id, of_class.scale) for entry in entries}
    return StatementDraft(statement, of_class, entries, waits, rows)


def contradictions(parsed: ParsedStatement) -> list[str]:
    """Return the codes of what a statement contradicts itself in, sorted."""
    return sorted({one.code for one in parsed.findings if one.severity == "error"})


def is_deposit(entry: ParsedEntry) -> bool:
    """Whether an entry stands for money that came in for good: booked, and no reversal."""
    return entry.booked and entry.credit and not entry.reversal and entry.amount_minor > 0


def day_of(draft: StatementDraft, entry: ParsedEntry) -> date | None:
    """Return the day that the bank booked an entry, as near as it tells."""
    return entry.booking_date or entry.value_date or draft.statement.closed_on


def entry_finding(code: str, entry: ParsedEntry, message: str) -> Finding:
    """Return a finding about an entry."""
    return Finding(code, FINDING_SEVERITIES[code], f"Ntry[{entry.sequence}]", message)
