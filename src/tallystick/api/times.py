"""`as_of`: a moment in a query, and the place in the log that it stands for."""

from datetime import datetime
from typing import Annotated

from fastapi import Query
from sqlalchemy import Connection

from tallystick import events
from tallystick.api.bodies import Moment

__all__ = ["AsOf", "index_as_of"]

AsOf = Annotated[
    Moment | None, Query(description="A moment with an offset from UTC (RFC 3339); now if left out.")
]


def index_as_of(connection: Connection, issuer_id: str, as_of: datetime | None) -> int:
    """Return the index of the last event at or before `as_of`, or of the newest event."""
    if as_of is None:
        return events.last_index(connection, issuer_id)
    return events.index_as_of(connection, issuer_id, as_of)
