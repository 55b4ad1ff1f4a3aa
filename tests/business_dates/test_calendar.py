"""Calendars: which date a moment belongs to, and where an entry lands when its date is closed. Pure."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.business_dates import (
    FIRST_DAY,
    BusinessCalendar,
    BusinessCalendarMalformedError,
    BusinessCalendarMissingError,
    BusinessDays,
    Period,
    calendar_terms,
)

TERMS: dict[str, Any] = {
    "time_zone": "Europe/Berlin",
    "cut_off": "17:30",
    "weekend": [6, 7],
    "holidays": ["2026-12-25"],
    "reconcile_at": ["18:00"],
}
ZONES = st.sampled_from(["Europe/Berlin", "Asia/Shanghai", "America/New_York", "Pacific/Kiritimati", "UTC"])
DAYS = st.dates(date(2024, 1, 1), date(2030, 12, 31))
MOMENTS = st.builds(
    lambda day, seconds: datetime.combine(day, time(), UTC) + timedelta(seconds=seconds),
    DAYS,
    st.integers(0, 86_399),
)


def calendar(**changed: Any) -> BusinessCalendar:
    terms: dict[str, Any] = {
        "time_zone": "Europe/Berlin",
        "cut_off_minutes": 17 * 60 + 30,
        "weekend": frozenset({6, 7}),
        "holidays": frozenset({date(2026, 12, 25)}),
        "reconcile_minutes": (18 * 60,),
        "opened_on": date(2026, 11, 20),
        "set_at": datetime(2026, 11, 20, 8, tzinfo=UTC),
        "set_by": "principal_1",
        "event_index": 0,
    }
    return BusinessCalendar(**terms | changed)


CALENDARS = st.builds(
    calendar,
    time_zone=ZONES,
    cut_off_minutes=st.integers(1, 1440),
    weekend=st.frozensets(st.integers(1, 7), max_size=6),
    holidays=st.frozensets(DAYS, max_size=20),
)


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ("2026-11-20T16:29:59+00:00", "2026-11-20"),  # Friday, 17:29:59 on the wall.
        ("2026-11-20T16:30:00+00:00", "2026-11-23"),  # The cut-off itself is behind it: Monday.
        ("2026-11-21T12:00:00+00:00", "2026-11-23"),
        ("2026-11-22T23:30:00+00:00", "2026-11-23"),
        ("2026-12-24T18:00:00+00:00", "2026-12-28"),  # Christmas, and a weekend.
        ("2026-07-10T15:29:00+00:00", "2026-07-10"),  # Summer time: 17:29 on the wall.
        ("2026-07-10T15:30:00+00:00", "2026-07-13"),
    ],
)
def test_a_moment_belongs_to_a_business_date(at: str, expected: str) -> None:
    assert calendar().date_of(datetime.fromisoformat(at)) == date.fromisoformat(expected)


@given(CALENDARS, MOMENTS, st.timedeltas(timedelta(0), timedelta(days=30)))
def test_dates_never_go_back_and_are_business_days(
    kept: BusinessCalendar, at: datetime, later: timedelta
) -> None:
    day = kept.date_of(at)
    assert kept.is_business_day(day)
    assert day >= at.astimezone(ZoneInfo(kept.time_zone)).date()
    assert kept.date_of(at + later) >= day


@given(CALENDARS, DAYS, MOMENTS)
def test_nothing_lands_on_a_closed_date(kept: BusinessCalendar, closed_until: date, at: datetime) -> None:
    known = BusinessDays(kept, closed_until)
    landed = known.current(at)
    assert landed > closed_until
    assert not known.is_closed(landed)
    assert landed == max(kept.date_of(at), kept.business_day_from(closed_until + timedelta(days=1)))


@given(CALENDARS, st.integers(1, 40))
def test_periods_follow_each_other_without_a_gap(kept: BusinessCalendar, count: int) -> None:
    known, behind = BusinessDays(kept), FIRST_DAY
    for _ in range(count):
        period = known.next_to_close()
        assert period.first == behind
        assert kept.is_business_day(period.last)
        behind = period.last + timedelta(days=1)
        known = BusinessDays(kept, period.last)


def test_a_reopened_period_takes_entries_and_its_neighbours_do_not() -> None:
    monday = Period(date(2026, 11, 21), date(2026, 11, 23))
    known = BusinessDays(calendar(), date(2026, 11, 24), (monday,))
    closed = [day for day in range(19, 26) if known.is_closed(date(2026, 11, day))]
    assert closed == [19, 20, 24]
    assert known.current(datetime(2026, 11, 23, 9, tzinfo=UTC)) == date(2026, 11, 25)


def test_without_a_calendar_days_are_as_they_were() -> None:
    at = datetime.combine(date(2026, 11, 21), time(23, 59), UTC)
    assert BusinessDays().current(at) == date(2026, 11, 21)
    assert not BusinessDays().is_closed(date(1999, 1, 1))
    with pytest.raises(BusinessCalendarMissingError):
        BusinessDays().next_to_close()


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"time_zone": "Europe/Nowhere"}, "time_zone"),
        ({"time_zone": "../../etc/passwd"}, "time_zone"),
        ({"time_zone": "Europe"}, "time_zone"),
        ({"time_zone": ""}, "time_zone"),
        ({"weekend": [1, 2, 3, 4, 5, 6, 7]}, "weekend"),
        ({"weekend": [0]}, "weekend"),
        ({"weekend": [True]}, "weekend"),
        ({"cut_off": "00:00"}, "cut_off"),
        ({"cut_off": "24:01"}, "cut_off"),
        ({"cut_off": "9:30"}, "cut_off"),
        ({"cut_off": "17:3\u0660"}, "cut_off"),
        ({"holidays": ["2026-02-30"]}, "holidays"),
        ({"reconcile_at": ["24:00"]}, "reconcile_at"),
        (
            {"reconcile_at": [f"{hour:02d}:{minute}" for hour in range(13) for minute in (15, 45)]},
            "reconcile_at",
        ),
    ],
)
def test_what_is_no_calendar_is_refused(changed: dict[str, Any], field: str) -> None:
    with pytest.raises(BusinessCalendarMalformedError) as refused:
        calendar_terms(TERMS | changed)
    assert refused.value.members == {"field": field}


def test_a_calendar_has_one_form() -> None:
    messy = TERMS | {"weekend": [7, 6, 7], "reconcile_at": ["18:00", "06:30", "18:00"], "cut_off": "24:00"}
    assert calendar_terms(messy) == TERMS | {"reconcile_at": ["06:30", "18:00"], "cut_off": "24:00"}


def test_a_time_of_day_follows_the_clocks() -> None:
    kept = calendar()
    assert kept.moment(date(2026, 10, 24), 150) == datetime(2026, 10, 24, 0, 30, tzinfo=UTC)
    # That night the wall shows half past two twice: the first of them, in summer time.
    assert kept.moment(date(2026, 10, 25), 150) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    # And half past two never comes on this one.
    assert kept.moment(date(2027, 3, 28), 150) == datetime(2027, 3, 28, 1, 30, tzinfo=UTC)
