"""`as_of` and `effective_on`: a moment and a day in a query, and the standpoint in the books that they stand for."""

from datetime import date, datetime
from typing import Annotated

from fastapi import Query
from sqlalchemy import Connection

from tallystick import events, ledger
from tallystick.api.bodies import Day, Moment
from tallystick.ledger import Standpoint

__all__ = ["AsOf", "EffectiveOn", "index_as_of", "standpoint_of"]

AsOf = Annotated[
    Moment | None,
    Query(
        description="What was known then: a moment with an offset from UTC (RFC 3339); now if left out.",
    ),
]
EffectiveOn = Annotated[
    Day | None,
    Query(
        description="Only what counts by the end of this day: its value date; all that is known if left out."
    ),
]


def index_as_of(connection: Connection, issuer_id: str, as_of: datetime | None) -> int:
    """Return the index of the last event at or before `as_of`, or of the newest event."""
    if as_of is None:
        return events.last_index(connection, issuer_id)
    return events.index_as_of(connection, issuer_id, as_of)


def standpoint_of(
    connection: Connection, issuer_id: str, as_of: datetime | None, effective_on: date | None
) -> Standpoint:
    """Return where the books are looked at from: known by `as_of`, and counting by `effective_on`."""
    return ledger.standpoint(connection, issuer_id, index_as_of(connection, issuer_id, as_of), effective_on)
