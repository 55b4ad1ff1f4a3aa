"""Several statements in one trip to the server (PostgreSQL's pipeline mode), inside the connection's transaction.

The server works on the first while the rest are still being made. A failure in one skips those behind it and is
raised when the pipeline ends; the transaction is then lost as a whole, as always.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, Generic, TypeVar

import psycopg
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

__all__ = ["Asked", "Pipeline", "pipelined"]

Result = TypeVar("Result")

# The driver is used past SQLAlchemy here, and everybody above still catches one family of errors.
_WRAPPERS: Final = (
    (psycopg.OperationalError, OperationalError),
    (psycopg.IntegrityError, IntegrityError),
    (psycopg.Error, DBAPIError),
)


class Asked(Generic[Result]):
    """What a statement will have returned once its pipeline has ended."""

    __slots__ = ("_cursor", "_read")

    def __init__(self, cursor: psycopg.Cursor[Any], read: Callable[[psycopg.Cursor[Any]], Result]) -> None:
        self._cursor = cursor
        self._read = read

    def result(self) -> Result:
        """Return what was read from the rows; to be called once, after the pipeline."""
        return self._read(self._cursor)


class Pipeline:
    """Takes statements in order. Parameters are psycopg's: `%s`, a sequence."""

    __slots__ = ("_driver",)

    def __init__(self, driver: psycopg.Connection[Any]) -> None:
        self._driver = driver

    def ask(
        self, statement: str, parameters: Sequence[object], read: Callable[[psycopg.Cursor[Any]], Result]
    ) -> Asked[Result]:
        """Send a statement; `read` turns its cursor into a result afterwards."""
        return Asked(self._send(statement, parameters), read)

    def tell(self, statement: str, parameters: Sequence[object]) -> Asked[int]:
        """Send a statement whose result is how many rows it touched."""
        return Asked(self._send(statement, parameters), _row_count)

    def _send(self, statement: str, parameters: Sequence[object]) -> psycopg.Cursor[Any]:
        cursor = self._driver.cursor()
        cursor.execute(statement.encode(), parameters, prepare=True)
        return cursor


@contextmanager
def pipelined(connection: Connection) -> Iterator[Pipeline]:
    """Yield a pipeline on a connection; when the block ends, every statement has been done.

    Raises the sqlalchemy.exc.DBAPIError of the first statement that failed.
    """
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    try:
        with driver.pipeline():
            yield Pipeline(driver)
    except psycopg.Error as error:
        lost = driver.closed or driver.broken
        if lost:
            connection.invalidate()
        for kind, wrapper in _WRAPPERS:
            if isinstance(error, kind):
                raise wrapper(None, None, error, connection_invalidated=lost) from error
        raise


def _row_count(cursor: psycopg.Cursor[Any]) -> int:
    return cursor.rowcount
