"""A bank's calendar: which days are business days, when each ends, and when it is reconciled. Pure.

A business day ends at its cut-off, a wall-clock time in the bank's own zone (IANA's names). What is booked behind it,
or on a day that is none, belongs to the next business day.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from tallystick.core.errors import MalformedError

__all__ = ["BusinessCalendar", "BusinessCalendarMalformedError", "calendar_terms", "minutes_of", "wall_time"]

_HOLIDAYS_MAX: Final = 1_000
_RECONCILE_TIMES_MAX: Final = 24
_DAY_MINUTES: Final = 24 * 60
_ONE_DAY: Final = timedelta(days=1)
_TIME: Final = re.compile(r"(?:[01][0-9]|2[0-4]):[0-5][0-9]", re.ASCII)
_ZONE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_+\-]*(?:/[A-Za-z0-9_+\-]+){0,2}", re.ASCII)


class BusinessCalendarMalformedError(MalformedError):
    """A calendar needs a known time zone, a weekend of fewer than seven days, and times of day as `HH:MM`."""

    code = "business_calendar_malformed"
    title = "The business calendar can't be understood"


@dataclass(frozen=True, slots=True)
class BusinessCalendar:
    """One version of a bank's calendar, in force from the event that set it.

    `weekend` are ISO 8601 weekdays (Monday 1 … Sunday 7); `cut_off_minutes` and `reconcile_minutes` are minutes behind
    local midnight. `opened_on` is the first business date that was ever kept.
    """

    time_zone: str
    cut_off_minutes: int
    weekend: frozenset[int]
    holidays: frozenset[date]
    reconcile_minutes: tuple[int, ...]
    opened_on: date
    set_at: datetime
    set_by: str
    event_index: int

    def is_business_day(self, day: date) -> bool:
        """Tell whether the bank works on a day."""
        return day.isoweekday() not in self.weekend and day not in self.holidays

    def business_day_from(self, day: date) -> date:
        """Return the first business day on or after a day."""
        while not self.is_business_day(day):
            day += _ONE_DAY
        return day

    def date_of(self, at: datetime) -> date:
        """Return the business date that a moment belongs to."""
        local = at.astimezone(ZoneInfo(self.time_zone))
        day = local.date()
        if local.hour * 60 + local.minute >= self.cut_off_minutes:
            day += _ONE_DAY
        return self.business_day_from(day)

    def business_days(self, first: date, last: date) -> Iterator[date]:
        """Yield the business days from one day to another, both included."""
        day = first
        while day <= last:
            if self.is_business_day(day):
                yield day
            day += _ONE_DAY

    def moment(self, day: date, minutes: int) -> datetime:
        """Return a wall-clock time of a day in UTC; one that clocks skip is read with the offset before."""
        local = datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(self.time_zone))
        return (local + timedelta(minutes=minutes)).astimezone(UTC)


def calendar_terms(wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Return a calendar's terms in their one form: sorted, each once. Raises BusinessCalendarMalformedError.

    `time_zone`, `cut_off` (`HH:MM`, `24:00` for midnight), `weekend`, `holidays` (ISO dates), `reconcile_at`.
    """
    zone = wanted["time_zone"]
    if not _ZONE.fullmatch(zone) or not _is_zone(zone):
        raise BusinessCalendarMalformedError("The time zone is none of IANA's names.", field="time_zone")
    weekend = sorted(set(wanted["weekend"]))
    if not all(type(day) is int and 1 <= day <= 7 for day in weekend) or len(weekend) == 7:
        raise BusinessCalendarMalformedError(
            "The weekend is of ISO weekdays 1 to 7, and not all of them.", field="weekend"
        )
    if not 0 < minutes_of(wanted["cut_off"], "cut_off") <= _DAY_MINUTES:
        raise BusinessCalendarMalformedError("The cut-off lies behind 00:00.", field="cut_off")
    times = sorted({minutes_of(one, "reconcile_at") for one in wanted["reconcile_at"]})
    if len(times) > _RECONCILE_TIMES_MAX or any(one >= _DAY_MINUTES for one in times):
        raise BusinessCalendarMalformedError(
            f"Reconciliations are at most {_RECONCILE_TIMES_MAX} times of a day, before 24:00.",
            field="reconcile_at",
        )
    if len(wanted["holidays"]) > _HOLIDAYS_MAX:
        raise BusinessCalendarMalformedError(f"At most {_HOLIDAYS_MAX} holidays.", field="holidays")
    try:
        holidays = sorted({date.fromisoformat(one) for one in wanted["holidays"]})
    except ValueError:
        raise BusinessCalendarMalformedError(
            "A holiday is a day such as 2026-12-25.", field="holidays"
        ) from None
    return {
        "time_zone": zone,
        "cut_off": wanted["cut_off"],
        "weekend": weekend,
        "holidays": [one.isoformat() for one in holidays],
        "reconcile_at": [wall_time(one) for one in times],
    }


def minutes_of(text: str, field: str = "cut_off") -> int:
    """Return `HH:MM` as minutes behind midnight, up to 24:00; raises BusinessCalendarMalformedError."""
    if not _TIME.fullmatch(text) or (minutes := int(text[:2]) * 60 + int(text[3:])) > _DAY_MINUTES:
        raise BusinessCalendarMalformedError("A time of day is HH:MM, such as 17:30.", field=field)
    return minutes


def wall_time(minutes: int) -> str:
    """Return minutes behind midnight as `HH:MM`."""
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (OSError, ValueError, KeyError):
        return False
    return True
