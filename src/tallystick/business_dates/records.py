"""What is known of an issuer's business dates, and what is kept of each close and each reopening."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any, Final, NamedTuple

from tallystick.business_dates.calendar import BusinessCalendar
from tallystick.core.errors import ConflictError, NotFoundError

__all__ = [
    "FIRST_DAY",
    "Action",
    "BusinessCalendarMissingError",
    "BusinessDateClosedError",
    "BusinessDateConflictError",
    "BusinessDateNotFoundError",
    "BusinessDays",
    "DateAction",
    "LateItem",
    "Period",
]

#: The first period reaches back to here: it also takes what was booked before dates were kept.
FIRST_DAY: Final = date(1, 1, 1)
_ONE_DAY: Final = timedelta(days=1)


class BusinessCalendarMissingError(ConflictError):
    """No calendar has been set: the issuer keeps no business dates yet."""

    code = "business_calendar_missing"
    title = "The issuer has no business calendar"


class BusinessDateNotFoundError(NotFoundError):
    """The day is no business date, or one that has not begun."""

    code = "business_date_not_found"
    title = "No such business date"


class BusinessDateClosedError(ConflictError):
    """Nothing is entered back into a closed date: reopen it, or enter it without a value date."""

    code = "business_date_closed"
    title = "The business date is closed"


class BusinessDateConflictError(ConflictError):
    """A date is closed in order, once, and reopened only while it is closed."""

    code = "business_date_conflict"
    title = "The business date's state does not allow this"


class Period(NamedTuple):
    """The days that a business date takes in, both included: those since the date before it."""

    first: date
    last: date

    def holds(self, day: date) -> bool:
        """Tell whether a day lies in it."""
        return self.first <= day <= self.last


class Action(StrEnum):
    """What was done to a business date."""

    CLOSED = "closed"
    REOPENED = "reopened"


@dataclass(frozen=True, slots=True)
class BusinessDays:
    """The calendar in force and how far the books are closed: what decides on which date an entry lands.

    `reopened` are periods up to `closed_until` that take entries again. Without a calendar every day is a business date
    of its own, in UTC, and none is ever closed.
    """

    calendar: BusinessCalendar | None = None
    closed_until: date | None = None
    reopened: tuple[Period, ...] = ()

    def current(self, at: datetime) -> date:
        """Return the business date that a moment is booked to: the calendar's, or the first behind the closed ones."""
        if self.calendar is None:
            return at.date()
        day = self.calendar.date_of(at)
        if self.closed_until is not None and day <= self.closed_until:
            return self.calendar.business_day_from(self.closed_until + _ONE_DAY)
        return day

    def is_closed(self, day: date) -> bool:
        """Tell whether nothing may be entered with this value date."""
        if self.closed_until is None or day > self.closed_until:
            return False
        return not any(period.holds(day) for period in self.reopened)

    def next_to_close(self) -> Period:
        """Return the first date that was never closed. Raises BusinessCalendarMissingError."""
        calendar = self.required_calendar()
        if self.closed_until is None:
            return Period(FIRST_DAY, calendar.business_day_from(calendar.opened_on))
        first = self.closed_until + _ONE_DAY
        return Period(first, calendar.business_day_from(first))

    def required_calendar(self) -> BusinessCalendar:
        """Return the calendar or raise BusinessCalendarMissingError."""
        if self.calendar is None:
            raise BusinessCalendarMissingError
        return self.calendar


@dataclass(frozen=True, slots=True)
class DateAction:
    """One close or reopening, and what was known of all dates behind it (`closed_until`, `reopened`)."""

    issuer_id: str
    event_index: int
    business_date: date
    action: str
    period_from: date
    period_until: date
    closed_until: date
    reopened: Sequence[Sequence[str]]
    figures: Mapping[str, Any]
    reason: str | None
    done_by: str
    approvals: Sequence[str]
    done_at: datetime

    @property
    def period(self) -> Period:
        """The days that the date takes in."""
        return Period(self.period_from, self.period_until)


class LateItem(NamedTuple):
    """An entry that belongs to a closed date and landed in an open one."""

    event_index: int
    instruction_id: str
    value_date: date
    original_value_date: date
