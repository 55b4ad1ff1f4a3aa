"""What is reconciled by itself: runs that were due, and statements that came in."""

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

__all__ = ["Arrival", "RunState", "ScheduledRun"]


class RunState(StrEnum):
    """Where a scheduled run stands.

    `due`: its time has come. `missed`: and it was not made within the grace, which is an alert until it is. `done`:
    made in time. `late`: made, after it had been missed.
    """

    DUE = "due"
    MISSED = "missed"
    DONE = "done"
    LATE = "late"


@dataclass(frozen=True, slots=True)
class ScheduledRun:
    """A reconciliation of one class that was due at a moment of a business date."""

    due_at: datetime
    token_class_id: str
    business_date: date
    missed_at: datetime | None = None
    done_at: datetime | None = None
    reconciliation_id: str | None = None

    def state(self, missed_before: datetime) -> RunState:
        """Return how it stands: missed too where it was due before `missed_before` and nobody was there to note it."""
        if self.done_at is not None:
            return RunState.DONE if self.missed_at is None else RunState.LATE
        if self.missed_at is not None or self.due_at <= missed_before:
            return RunState.MISSED
        return RunState.DUE


@dataclass(frozen=True, slots=True)
class Arrival:
    """A statement that is whole and that no run by itself has looked at yet."""

    statement_id: str
    token_class_id: str
    completed_at: datetime
