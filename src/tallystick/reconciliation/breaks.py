"""Breaks while they are being found: each exact, and never more of them than people can look through."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from tallystick.core.money import format_amount
from tallystick.reconciliation.records import BreakType, Evidence

__all__ = ["BreakCollector", "BreakDraft", "Money", "control_effect", "supply_effect"]

_SHOWN_PER_KIND_MAX: Final = 100


class Money(NamedTuple):
    """How amounts of a token class are told."""

    currency: str
    scale: int

    def text(self, minor: int) -> str:
        """Return a decimal string with the class's scale."""
        return format_amount(minor, self.scale)

    def words(self, minor: int) -> str:
        """Return an amount for people: `USD 12.30`."""
        return f"{self.currency} {self.text(minor)}"


class BreakDraft(NamedTuple):
    """A break as it is found.

    `supply_effect_minor` and `control_effect_minor` are the parts of it in the books' supply (21xx) and in their
    control account (1100); by these every difference between totals must be explained to the minor unit.
    """

    type: BreakType
    difference_minor: int
    explanation: str
    evidence: Evidence
    supply_effect_minor: int = 0
    control_effect_minor: int = 0


@dataclass(slots=True)
class _Kind:
    shown: list[BreakDraft] = field(default_factory=list)
    more: list[int] = field(default_factory=lambda: [0, 0, 0, 0])


class BreakCollector:
    """Gathers breaks by kind. Of one kind the first hundred are shown, and the rest as one with their exact sum."""

    def __init__(self, money: Money) -> None:
        self._money = money
        self._kinds: dict[str, _Kind] = {}

    def add(self, kind: str, draft: BreakDraft) -> None:
        """Record a break; those of one `kind` have one type and one reason."""
        kept = self._kinds.setdefault(kind, _Kind())
        if len(kept.shown) < _SHOWN_PER_KIND_MAX:
            kept.shown.append(draft)
            return
        kept.more[0] += 1
        kept.more[1] += draft.difference_minor
        kept.more[2] += draft.supply_effect_minor
        kept.more[3] += draft.control_effect_minor

    def collected(self) -> list[BreakDraft]:
        """Return the breaks, kind by kind in the order in which each was first found."""
        found: list[BreakDraft] = []
        for kind, kept in self._kinds.items():
            found += kept.shown
            count, difference, supply_effect, control_effect = kept.more
            if count:
                found.append(
                    BreakDraft(
                        kept.shown[0].type,
                        difference,
                        f"{count} more of the kind {kind}, together {self._money.words(difference)}.",
                        {"kind": kind, "count": count},
                        supply_effect,
                        control_effect,
                    )
                )
        return found


def supply_effect(drafts: Iterable[BreakDraft]) -> int:
    """Return the sum of what these breaks explain of a difference in supply."""
    return sum(draft.supply_effect_minor for draft in drafts)


def control_effect(drafts: Iterable[BreakDraft]) -> int:
    """Return the sum of what these breaks explain of a difference in the control account."""
    return sum(draft.control_effect_minor for draft in drafts)
