"""Looking at what attempts left in the audit trail."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import psycopg

from tests.api.edge import Edge
from tests.database import connect

__all__ = ["Left", "Watch", "watching"]

_COLUMNS = (
    "operation, method, decision, status, code, principal_id, person, key_id, subject_id, source, request_id,"
    " request_hash, event_index, reasons"
)


class Left(NamedTuple):
    """One row of the trail."""

    operation: str
    method: str
    decision: str
    status: int
    code: str | None
    principal_id: str | None
    person: str | None
    key_id: str | None
    subject_id: str | None
    source: str | None
    request_id: str | None
    request_hash: bytes | None
    event_index: int | None
    reasons: dict[str, int] | None


class Watch:
    """Tells what has come to the trail of a bank since it was asked last."""

    def __init__(self, connection: "psycopg.Connection[Any]", issuer_id: str) -> None:
        self._connection = connection
        self._issuer_id = issuer_id
        self._last_number = -1
        self.left()

    def left(self) -> list[Left]:
        rows = self._connection.execute(
            f"SELECT entry_number, {_COLUMNS} FROM audit_entry"
            " WHERE issuer_id = %s AND entry_number > %s ORDER BY 1".encode(),
            [self._issuer_id, self._last_number],
        ).fetchall()
        if rows:
            self._last_number = rows[-1][0]
        return [Left(*row[1:]) for row in rows]

    def one(self) -> Left:
        """Return the one row that has come."""
        found = self.left()
        assert len(found) == 1, found
        return found[0]


@contextmanager
def watching(edge: Edge) -> Iterator[Watch]:
    with connect(edge.urls.superuser_url) as connection:
        yield Watch(connection, edge.bank.issuer_id)
