r"""PostgreSQL's COPY in text format, written a block at a time: the fastest way in from Python that was measured.

A row is one line, columns are parted by tabs, and `\\N` is NULL. Only free text needs `escape`: ids, numbers, times and
base64url never hold a character that COPY reads specially.
"""

from collections.abc import Iterable
from typing import Final

import psycopg
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

__all__ = ["NULL", "copy_rows", "escape"]

NULL: Final = "\\N"
_ESCAPES: Final = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def escape(text: str | None) -> str:
    """Return free text as a COPY column; None becomes NULL."""
    return NULL if text is None else text.translate(_ESCAPES)


def copy_rows(connection: Connection, table_and_columns: str, rows: Iterable[str]) -> None:
    """Append rows, each a finished line without its newline, to `table (column, …)`.

    Raises what any other statement would: sqlalchemy.exc.IntegrityError, OperationalError, …
    """
    block = "\n".join(rows)
    if not block:
        return
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    statement = f"COPY {table_and_columns} FROM STDIN"
    try:
        with driver.cursor() as cursor, cursor.copy(statement) as copy:
            copy.write(block.encode())
            copy.write(b"\n")
    except psycopg.Error as error:
        # SQLAlchemy knows nothing of COPY, so it can't wrap this failure, nor see that the connection is lost.
        if driver.closed:
            connection.invalidate(error)
        raise DBAPIError.instance(
            statement,
            None,
            error,
            psycopg.Error,
            hide_parameters=True,
            connection_invalidated=bool(driver.closed),
            dialect=connection.dialect,
        ) from error
