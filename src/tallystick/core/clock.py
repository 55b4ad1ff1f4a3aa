"""The only place that time comes from, so that tests and audits can set it."""

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Protocol

__all__ = ["Clock", "FixedClock", "SystemClock", "day_end", "format_time", "parse_time"]


class Clock(Protocol):
    """Tells the time in UTC."""

    def now(self) -> datetime:
        """Return the present moment, timezone-aware, UTC, to the microsecond."""


class SystemClock:
    """The machine's clock. Order never depends on it: the issuer's log index does that."""

    def now(self) -> datetime:
        return datetime.now(UTC)


class FixedClock:
    """A clock that stands still until it is moved."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at


@lru_cache(maxsize=1024)
def format_time(at: datetime) -> str:
    """Return `at` (UTC) as RFC 3339 with six fractional digits and `Z`: always 27 characters, so that it sorts."""
    return at.isoformat(timespec="microseconds")[:26] + "Z"


def day_end(day: date) -> datetime:
    """Return the moment at which a day is over, in UTC; of the calendar's last day its last microsecond."""
    if day == date.max:
        return datetime.combine(day, time.max, UTC)
    return datetime.combine(day + timedelta(days=1), time.min, UTC)


def parse_time(text: str) -> datetime:
    """Read an RFC 3339 moment with an offset; raise ValueError without one."""
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError("a moment needs an offset from UTC")
    return at.astimezone(UTC)
