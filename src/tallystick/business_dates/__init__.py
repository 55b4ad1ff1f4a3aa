"""Business dates, apart from the clock: a bank's calendar, how far its books are closed, and where an entry lands.

A closed date takes no entry. What comes too late for its date lands in the one that is open, linked to the one that it
belongs to; or two people reopen the date.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection

from tallystick import participants
from tallystick.business_dates import store
from tallystick.business_dates.calendar import (
    BusinessCalendar,
    BusinessCalendarMalformedError,
    calendar_terms,
    wall_time,
)
from tallystick.business_dates.records import (
    FIRST_DAY,
    Action,
    BusinessCalendarMissingError,
    BusinessDateClosedError,
    BusinessDateConflictError,
    BusinessDateNotFoundError,
    BusinessDays,
    DateAction,
    LateItem,
    Period,
)

__all__ = [
    "FIRST_DAY",
    "Action",
    "BusinessCalendar",
    "BusinessCalendarMalformedError",
    "BusinessCalendarMissingError",
    "BusinessDateClosedError",
    "BusinessDateConflictError",
    "BusinessDateNotFoundError",
    "BusinessDays",
    "DateAction",
    "LateItem",
    "Period",
    "actions",
    "calendar_terms",
    "days",
    "late_items",
    "period_of",
    "record_close",
    "record_late",
    "record_reopening",
    "set_calendar",
    "wall_time",
]


def days(connection: Connection, issuer_id: str) -> BusinessDays:
    """Return the issuer's calendar and how far its books are closed."""
    return store.read_days(connection, issuer_id)


def set_calendar(
    connection: Connection,
    issuer_id: str,
    terms: Mapping[str, Any],
    *,
    set_by: str,
    set_at: datetime,
    event_index: int,
) -> None:
    """Put a calendar into force, for what is booked from now on; dates that are closed stay as they are.

    The first one opens the date that is current by it. Raises BusinessCalendarMalformedError.
    """
    known = days(connection, issuer_id)
    kept = calendar_terms(terms)
    if known.calendar is not None:
        opened_on = known.calendar.opened_on
    else:
        first = store.calendar_of(kept, set_at.date(), set_at, set_by, event_index)
        opened_on = first.date_of(set_at)
    store.add_calendar(
        connection,
        issuer_id=issuer_id,
        event_index=event_index,
        terms=kept,
        opened_on=opened_on,
        set_by=set_by,
        set_at=set_at,
    )
    participants.raise_facts_version(connection, issuer_id)


def period_of(connection: Connection, known: BusinessDays, issuer_id: str, day: date, at: datetime) -> Period:
    """Return the days that a business date takes in, whether it is closed or not.

    Raises BusinessDateNotFoundError for a day that is no business date or has not begun by `at`, and
    BusinessCalendarMissingError.
    """
    calendar = known.required_calendar()
    if known.closed_until is not None and day <= known.closed_until:
        done = actions(connection, issuer_id, day, day)
        if not done:
            raise BusinessDateNotFoundError
        return done[-1].period
    if not calendar.is_business_day(day) or day > known.current(at):
        raise BusinessDateNotFoundError
    period = known.next_to_close()
    while period.last < day:
        period = replace(known, closed_until=period.last).next_to_close()
    if period.last != day:
        raise BusinessDateNotFoundError
    return period


def record_close(connection: Connection, action: DateAction) -> None:
    """Keep that a date is closed, first or again; to be called under the issuer's log head."""
    known = days(connection, action.issuer_id)
    reopened = [one for one in known.reopened if one != action.period]
    closed_until = max(action.business_date, known.closed_until or FIRST_DAY)
    _record(connection, action, closed_until, reopened)


def record_reopening(connection: Connection, action: DateAction) -> None:
    """Keep that a closed date takes entries again; to be called under the issuer's log head."""
    known = days(connection, action.issuer_id)
    _record(connection, action, known.closed_until or action.business_date, [*known.reopened, action.period])


def _record(
    connection: Connection, action: DateAction, closed_until: date, reopened: Sequence[Period]
) -> None:
    told = [[one.first.isoformat(), one.last.isoformat()] for one in sorted(reopened)]
    store.add_action(connection, replace(action, closed_until=closed_until, reopened=told))
    # So that every process that settles looks again before its next entry.
    participants.raise_facts_version(connection, action.issuer_id)


def actions(connection: Connection, issuer_id: str, first: date, last: date) -> list[DateAction]:
    """Return what was done to the dates from one day to another, both included, by date and then in order."""
    return store.read_actions(connection, issuer_id, first, last)


def record_late(connection: Connection, issuer_id: str, items: Sequence[LateItem]) -> None:
    """Keep which entries landed later than they belong."""
    if items:
        store.add_late(connection, issuer_id, items)


def late_items(
    connection: Connection, issuer_id: str, period: Period, *, landed: bool, limit: int = 100
) -> list[LateItem]:
    """Return entries that landed in a period and belong to an earlier one, or else those that belong to it."""
    column = "value_date" if landed else "original_value_date"
    return store.read_late(connection, issuer_id, column, period, limit)
