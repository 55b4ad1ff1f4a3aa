"""Two times of the books: what had been booked (knowledge), and from which day it counts (effect).

A standpoint asks both at once: "the balances of Monday, as they were known on Tuesday". A line counts if its event is
at or before `event_index` *and* its value date is on or before `effective_on`. Almost every line is booked on its value
date, so the answer is one row per ledger account, the last line booked by the end of that day, and the few lines that
were under way across it: booked later and counting earlier, or the other way round.
"""

from datetime import UTC, date, datetime, time
from typing import NamedTuple

from sqlalchemy import Connection

from tallystick import events

__all__ = ["Standpoint", "standpoint"]


class Standpoint(NamedTuple):
    """Where the books are looked at from.

    `event_index` is the last event that is known. `effective_on` is the last value date that counts; None: all of
    them. `base_index` is the last known event that had been booked by the end of that day.
    """

    event_index: int
    effective_on: date | None
    base_index: int


def standpoint(
    connection: Connection, issuer_id: str, event_index: int, effective_on: date | None = None
) -> Standpoint:
    """Return the standpoint that knows the log up to an index and counts value dates up to a day (UTC)."""
    if effective_on is None:
        return Standpoint(event_index, None, event_index)
    booked_index = events.index_as_of(connection, issuer_id, _end_of(effective_on))
    return Standpoint(event_index, effective_on, min(event_index, booked_index))


def _end_of(day: date) -> datetime:
    # Moments are kept to the microsecond, so this is the last one of the day.
    return datetime.combine(day, time.max, UTC)
