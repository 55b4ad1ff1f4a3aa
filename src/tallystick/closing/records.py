"""A date's hand-off to the general ledger, and what is still in the way of its close."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, NamedTuple

from tallystick.core.errors import ConflictError, MalformedError, NotFoundError

__all__ = [
    "BreakNotOpenError",
    "Checklist",
    "ChecklistIncompleteError",
    "ClassTotals",
    "HandOff",
    "HandOffNotFoundError",
    "Item",
]


class HandOffNotFoundError(NotFoundError):
    """No such hand-off of this date."""

    code = "hand_off_not_found"
    title = "No such hand-off"


class ChecklistIncompleteError(ConflictError):
    """Something on the date's checklist is not done; `missing` names it."""

    code = "checklist_incomplete"
    title = "The checklist of the business date is not complete"


class BreakNotOpenError(MalformedError):
    """A break that is accepted by name must be an open one of the date's last reconciliations."""

    code = "break_not_open"
    title = "No open break of this name"


class ClassTotals(NamedTuple):
    """What was entered in one currency on a date: control totals, in minor units, and the last event among them."""

    token_class_id: str
    currency: str
    scale: int
    debits_minor: int
    credits_minor: int
    line_count: int
    last_event_index: int


@dataclass(frozen=True, slots=True)
class HandOff:
    """What the general ledger takes over of a date: its journal lines as of `event_index`, by their totals and hash.

    `totals` has a row for each token class. `sha256` is over the lines in order, each as canonical JSON and a newline.
    """

    issuer_id: str
    id: str
    business_date: date
    period_from: date
    event_index: int
    totals: Sequence[Mapping[str, Any]]
    sha256: bytes
    produced_by: str
    reason: str | None
    produced_at: datetime

    def of_class(self, token_class_id: str) -> ClassTotals | None:
        """Return a class's totals, None if it had been opened later."""
        for one in self.totals:
            if one["token_class_id"] == token_class_id:
                return ClassTotals(**one)
        return None


class Item(NamedTuple):
    """One line of the checklist: what, of which class (None: of all), whether it is done, and what was found."""

    name: str
    token_class_id: str | None
    done: bool
    found: str
    figures: Mapping[str, Any]


class Checklist(NamedTuple):
    """A date's checklist as it stands. `open_break_ids` wait to be accepted by name."""

    items: Sequence[Item]
    hand_off: HandOff | None
    open_break_ids: Sequence[str]

    @property
    def missing(self) -> list[str]:
        """What is not done yet, for people."""
        return [f"{one.name}: {one.found}" for one in self.items if not one.done]
