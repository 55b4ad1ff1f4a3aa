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
    control account (1100); by these every difference between totals must be explained to the minor unit. `cause` says
    what the break is about, in the same words at every run: by it a break is known again.
    """

    type: BreakType
    difference_minor: int
    explanation: str
    evidence: Evidence
    supply_effect_minor: int = 0
    control_effect_minor: int = 0
    cause: str = ""
    #: Of a bundle: what its breaks come to, each by itself.
    bundled_excess_minor: int | None = None

    @property
    def excess_minor(self) -> int:
        """How far the tokens that could be issued may exceed what is borne out, by this break alone; never negative.

        What is missing elsewhere does not make up for it: breaks are never netted.
        """
        if self.bundled_excess_minor is not None:
            return self.bundled_excess_minor
        return max(0, self.difference_minor, self.supply_effect_minor, self.control_effect_minor)


@dataclass(slots=True)
class _Kind:
    shown: list[BreakDraft] = field(default_factory=list)
    more: list[int] = field(default_factory=lambda: [0, 0, 0, 0, 0])


class BreakCollector:
    """Gathers breaks by kind. Of one kind the first hundred are shown, and the rest as one with their exact sum."""

    def __init__(self, money: Money) -> None:
        self._money = money
        self.kinds: dict[str, _Kind] = {}

    def add(self, kind: str, draft: BreakDraft) -> None:
        """Record a break; those of one `kind` have one type and one reason."""
        kept = self.kinds.setdefault(kind, _Kind())
        if len(kept.shown) < _SHOWN_PER_KIND_MAX:
            kept.shown.append(draft)
            return
        kept.more[0] += 1
        kept.more[1] += draft.difference_minor
        kept.more[2] += draft.supply_effect_minor
        kept.more[3] += draft.control_effect_minor
        kept.more[4] += draft.excess_minor

    def take(self, later: "BreakCollector") -> None:
        """Take over what another collector found behind this one's."""
        for kind, theirs in later.kinds.items():
            for draft in theirs.shown:
                self.add(kind, draft)
            ours = self.kinds[kind]
            ours.more = [one + other for one, other in zip(ours.more, theirs.more, strict=True)]

    def collected(self) -> list[BreakDraft]:
        """Return the breaks, kind by kind in the order in which each was first found."""
        found: list[BreakDraft] = []
        for kind, kept in self.kinds.items():
            found += kept.shown
            count, difference, supply_effect, control_effect, excess = kept.more
            if count:
                found.append(
                    BreakDraft(
                        kept.shown[0].type,
                        difference,
                        f"{count} more of the kind {kind}, together {self._money.words(difference)}.",
                        {"kind": kind, "count": count},
                        supply_effect,
                        control_effect,
                        f"more:{kind}",
                        excess,
                    )
                )
        return found


def supply_effect(drafts: Iterable[BreakDraft]) -> int:
    """Return the sum of what these breaks explain of a difference in supply."""
    return sum(draft.supply_effect_minor for draft in drafts)


def control_effect(drafts: Iterable[BreakDraft]) -> int:
    """Return the sum of what these breaks explain of a difference in the control account."""
    return sum(draft.control_effect_minor for draft in drafts)
