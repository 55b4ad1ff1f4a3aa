"""Which runs are due by a calendar. Pure."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from tallystick.business_dates import BusinessCalendar
from tallystick.participants import TokenClass
from tallystick.schedules.records import ScheduledRun

__all__ = ["due_runs", "next_due"]

# A calendar's days may begin before or behind UTC's, and a year's longest row of holidays is shorter than this.
_MARGIN = timedelta(days=1)
_AHEAD_DAYS_MAX = 40


def due_runs(
    calendar: BusinessCalendar, classes: Iterable[TokenClass], since: datetime, now: datetime
) -> list[ScheduledRun]:
    """Return the runs of every class that came due behind `since`, up to `now`, oldest first.

    Nothing is due from before the calendar was set, nor for a class from before it was opened.
    """
    opened = list(classes)
    found = []
    for day in calendar.business_days((since - _MARGIN).date(), (now + _MARGIN).date()):
        for minutes in calendar.reconcile_minutes:
            due_at = calendar.moment(day, minutes)
            if max(since, calendar.set_at) < due_at <= now:
                found += [ScheduledRun(due_at, one.id, day) for one in opened if one.created_at <= due_at]
    return sorted(found, key=lambda one: (one.due_at, one.token_class_id))


def next_due(calendar: BusinessCalendar, now: datetime) -> datetime | None:
    """Return the next moment at which runs come due, or None where none are asked for."""
    last = (now + timedelta(days=_AHEAD_DAYS_MAX)).date()
    for day in calendar.business_days((now - _MARGIN).date(), last):
        for minutes in calendar.reconcile_minutes:
            due_at = calendar.moment(day, minutes)
            if due_at > max(now, calendar.set_at):
                return due_at
    return None
