"""Closing a business date: the end-of-day checklist, the hand-off to the general ledger, and two people's signature."""

from datetime import date, timedelta
from typing import Final, NamedTuple

from sqlalchemy import Connection

from tallystick import business_dates, participants
from tallystick.business_dates import FIRST_DAY, DateAction, LateItem, Period
from tallystick.closing import store
from tallystick.closing.changes import day_of
from tallystick.closing.checking import check
from tallystick.closing.handing_off import export_arguments
from tallystick.closing.handing_off import hand_off as _hand_off
from tallystick.closing.records import (
    BreakNotOpenError,
    Checklist,
    ChecklistIncompleteError,
    ClassTotals,
    HandOff,
    HandOffNotFoundError,
    Item,
)
from tallystick.core.clock import Clock
from tallystick.participants import Principal

__all__ = [
    "BreakNotOpenError",
    "BusinessDate",
    "Checklist",
    "ChecklistIncompleteError",
    "ClassTotals",
    "HandOff",
    "HandOffNotFoundError",
    "Item",
    "LookedAt",
    "business_date",
    "business_dates_page",
    "current_date",
    "day_of",
    "export_arguments",
    "hand_off",
]

_CLASSES_MAX: Final = 1_000
_LATE_SHOWN_MAX: Final = 100
_ONE_DAY: Final = timedelta(days=1)


class BusinessDate(NamedTuple):
    """A date and how it stands: `open`, `closed` or `reopened`; `actions` are its closes and reopenings, in order."""

    day: date
    state: str
    is_current: bool
    actions: list[DateAction]


class LookedAt(NamedTuple):
    """A date with everything about it. `landed` are entries that were late for an earlier one, `late` those for it."""

    date: BusinessDate
    period: Period
    checklist: Checklist
    landed: list[LateItem]
    late: list[LateItem]


def current_date(connection: Connection, clock: Clock, issuer_id: str) -> date:
    """Return the date that is booked to now; raises BusinessCalendarMissingError."""
    known = business_dates.days(connection, issuer_id)
    known.required_calendar()
    return known.current(clock.now())


def business_date(connection: Connection, clock: Clock, issuer_id: str, day: date) -> LookedAt:
    """Return a date with its checklist as things stand. Raises BusinessDateNotFoundError."""
    now = clock.now()
    known = business_dates.days(connection, issuer_id)
    period = business_dates.period_of(connection, known, issuer_id, day, now)
    classes = participants.token_classes(connection, issuer_id, limit=_CLASSES_MAX)
    handed_off = store.read_latest_hand_off(connection, issuer_id, day)
    done = business_dates.actions(connection, issuer_id, day, day)
    return LookedAt(
        BusinessDate(day, _state(done), day == known.current(now), done),
        period,
        check(connection, issuer_id, period, classes, handed_off),
        business_dates.late_items(connection, issuer_id, period, landed=True, limit=_LATE_SHOWN_MAX),
        business_dates.late_items(connection, issuer_id, period, landed=False, limit=_LATE_SHOWN_MAX),
    )


def business_dates_page(
    connection: Connection, clock: Clock, issuer_id: str, *, behind: date | None, limit: int
) -> list[BusinessDate]:
    """Return a page of the issuer's dates behind one of them, oldest first, up to the current one.

    Raises BusinessCalendarMissingError.
    """
    known = business_dates.days(connection, issuer_id)
    calendar = known.required_calendar()
    current = known.current(clock.now())
    first = max(behind + _ONE_DAY if behind else FIRST_DAY, FIRST_DAY)
    by_day: dict[date, list[DateAction]] = {}
    for one in business_dates.actions(connection, issuer_id, first, current):
        by_day.setdefault(one.business_date, []).append(one)
    open_from = max(first, known.next_to_close().last)
    days = sorted({*by_day, *calendar.business_days(open_from, current)})[:limit]
    return [
        BusinessDate(day, _state(by_day.get(day, [])), day == current, by_day.get(day, [])) for day in days
    ]


def hand_off(
    connection: Connection, clock: Clock, actor: Principal, day: date, *, reason: str | None = None
) -> HandOff:
    """Hand a date's entries off to the general ledger as they stand, and keep their control totals.

    Made again, it is another one; a close names the one that it was made with. Raises BusinessDateNotFoundError.
    """
    now = clock.now()
    known = business_dates.days(connection, actor.issuer_id)
    period = business_dates.period_of(connection, known, actor.issuer_id, day, now)
    classes = participants.token_classes(connection, actor.issuer_id, limit=_CLASSES_MAX)
    return _hand_off(connection, actor, period, classes, now, reason)


def _state(done: list[DateAction]) -> str:
    return done[-1].action if done else "open"
