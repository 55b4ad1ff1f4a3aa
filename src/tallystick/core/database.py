"""The one way to PostgreSQL, and the one place that commits.

`Database.run` gives a function a connection inside one transaction and commits when it returns. What a crash leaves
is therefore always the state before or after. Nothing is told to anyone before `run` has returned.

A COMMIT is never cancelled: it runs in a thread that no request can interrupt. When its outcome can't be known (the
connection is lost meanwhile, or the server warns that it stopped waiting for a synchronous standby) the caller gets
`OutcomeUnknownError` and learns the outcome by sending the same key again.
"""

import os
import random
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import psycopg
import sqlalchemy
from sqlalchemy import Connection, Executable, event
from sqlalchemy.exc import DBAPIError, OperationalError

from tallystick.core.errors import InvariantError, UnavailableError
from tallystick.core.pipeline import doubt_prepared

__all__ = [
    "JOB_QUEUE_SCHEMA",
    "SERVICE_ROLE",
    "SESSION_OPTIONS",
    "Database",
    "DatabaseUnavailableError",
    "OutcomeUnknownError",
    "RunAgainError",
    "confirm_durable",
    "metadata",
    "streamed",
]

SERVICE_ROLE: Final = "tallystick_service"
#: Where the job queue's own tables are; its library calls them by their bare names.
JOB_QUEUE_SCHEMA: Final = "job_queue"

metadata = sqlalchemy.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Result = TypeVar("Result")

#: What every session of the service is opened with.
# Every statement is led to its rows by an index that starts with the issuer. A plan that was made while a table was
# small must not go on reading all of it when it has grown, so whole-table scans are not on offer.
SESSION_OPTIONS: Final = (
    f"-c search_path=public,{JOB_QUEUE_SCHEMA} -c timezone=UTC -c idle_in_transaction_session_timeout=60000 "
    "-c enable_seqscan=off -c random_page_cost=1.1"
)
_SEND_BUFFER_SIZE_BYTES: Final = 4_194_304
_ATTEMPTS_MAX: Final = 5
_RETRY_PAUSE_SECONDS: Final = 0.02
# A transaction that fails for these reasons has left nothing behind and may win when it is run again.
_RETRIED_STATES: Final = ("40001", "40P01")
# A COMMIT that fails for these classes was refused by the server: the transaction is known to be gone.
_KNOWN_FAILURE_CLASSES: Final = ("40", "23", "25", "P0")
# Of class 40, and yet a server's way to say that it doesn't know either.
_STATEMENT_COMPLETION_UNKNOWN: Final = "40003"


class DatabaseUnavailableError(UnavailableError):
    """No connection, or none that lasted: nothing was written."""

    code = "database_unavailable"
    title = "The database can't be reached"


class OutcomeUnknownError(UnavailableError):
    """The commit may or may not stand; the same request with the same key gives the one answer."""

    code = "outcome_unknown"
    title = "The outcome is not known: send the same request with the same Idempotency-Key again"


class RunAgainError(Exception):
    """What the work presumed does not hold: it is to be run again from the start, and will presume less."""


class Database:
    """A pool of connections to one PostgreSQL, acting as the service's role.

    `url` is a SQLAlchemy URL (`postgresql+psycopg://…`; `postgresql://` is understood alike).
    """

    def __init__(self, url: str, *, pool_size: int = 12, application_name: str = "tallystick") -> None:
        parsed = sqlalchemy.make_url(url)
        if parsed.drivername in {"postgresql", "postgres"}:
            parsed = parsed.set(drivername="postgresql+psycopg")
        self.engine = sqlalchemy.create_engine(
            parsed,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=5,
            pool_use_lifo=True,
            # What is asked of the database holds names and account numbers, and errors are logged.
            hide_parameters=True,
            connect_args={
                "application_name": application_name,
                "connect_timeout": 5,
                "options": SESSION_OPTIONS,
            },
        )
        event.listen(self.engine, "connect", _assume_service_role)
        event.listen(self.engine, "connect", _let_batches_flow)
        event.listen(self.engine, "rollback", doubt_prepared)
        event.listen(self.engine, "rollback_savepoint", doubt_prepared)

    def close(self) -> None:
        """Close every idle connection."""
        self.engine.dispose()

    def run(self, work: Callable[[Connection], Result], *, attempts_max: int = _ATTEMPTS_MAX) -> Result:
        """Run `work` in one transaction, commit, and return what it returned.

        A transaction that the server gave up (serialization failure, deadlock), whose connection broke before COMMIT
        or whose work asks for it (RunAgainError) is run again, `attempts_max` times in all, so `work` must have no
        effect outside its connection.
        Raises DatabaseUnavailableError when nothing was written, OutcomeUnknownError when that can't be known.
        """
        for attempt in range(1, attempts_max + 1):
            try:
                return self._run_once(work)
            except RunAgainError as error:
                if attempt == attempts_max:
                    raise DatabaseUnavailableError from error
                continue
            except (OperationalError, sqlalchemy.exc.TimeoutError) as error:
                if attempt == attempts_max or not _may_retry(error):
                    raise DatabaseUnavailableError from error
            time.sleep(_RETRY_PAUSE_SECONDS * attempt * (0.5 + random.random()))
        raise DatabaseUnavailableError

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Yield a connection in a read-only transaction with one snapshot for all its statements."""
        try:
            with self.engine.connect() as connection:
                connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
                with connection.begin():
                    yield connection
        except (OperationalError, sqlalchemy.exc.TimeoutError) as error:
            raise DatabaseUnavailableError from error

    def _run_once(self, work: Callable[[Connection], Result]) -> Result:
        with self.engine.connect() as connection:
            transaction = connection.begin()
            try:
                result = work(connection)
            except BaseException:
                if transaction.is_active:
                    _roll_back(connection, transaction)
                raise
            _commit(connection, transaction)
            return result


def streamed(
    connection: Connection, query: Executable, parameters: Mapping[str, object] | None = None
) -> sqlalchemy.CursorResult[*tuple[Any, ...]]:
    """Return a query's rows from a cursor on the server, so that memory does not grow with them; to be closed."""
    found = connection.execute(query, parameters, execution_options={"stream_results": True})
    assert isinstance(found, sqlalchemy.CursorResult)
    return found


def confirm_durable(connection: Connection) -> None:
    """Make this transaction write, so that its COMMIT waits for disk and standby like the one it answers for.

    A replayed answer tells of a row that may be visible here and not yet on the standby; PostgreSQL only waits for
    a transaction that wrote something of its own. The message goes to the write-ahead log and to no table.
    """
    connection.exec_driver_sql("SELECT pg_logical_emit_message(true, 'tallystick', '')")


def _commit(connection: Connection, transaction: sqlalchemy.RootTransaction) -> None:
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    # The server answers the COMMIT of a failed transaction with ROLLBACK and no error.
    if driver.info.transaction_status == psycopg.pq.TransactionStatus.INERROR:
        raise InvariantError("an error was swallowed inside the transaction")
    warnings: list[str] = []

    def note(diagnostic: psycopg.errors.Diagnostic) -> None:
        if diagnostic.severity_nonlocalized == "WARNING":
            warnings.append(diagnostic.message_primary or "")

    driver.add_notice_handler(note)
    try:
        transaction.commit()
    except DBAPIError as error:
        state = getattr(error.orig, "sqlstate", None) or ""
        if state[:2] in _KNOWN_FAILURE_CLASSES and state != _STATEMENT_COMPLETION_UNKNOWN:
            raise
        connection.invalidate()
        raise OutcomeUnknownError from error
    finally:
        driver.remove_notice_handler(note)
    if warnings:
        connection.invalidate()
        raise OutcomeUnknownError


def _roll_back(connection: Connection, transaction: sqlalchemy.RootTransaction) -> None:
    # What went wrong first is what the caller is told; a connection that can't even do this has nothing to roll back.
    try:
        transaction.rollback()
    except DBAPIError:
        connection.invalidate()


def _may_retry(error: Exception) -> bool:
    if not isinstance(error, OperationalError):
        return False
    state = getattr(error.orig, "sqlstate", None)
    return (
        error.connection_invalidated or state is None or state in _RETRIED_STATES or state.startswith("57P0")
    )


def _let_batches_flow(driver: psycopg.Connection[object], _record: object) -> None:
    # A batch's rows fill a local socket's own buffer several times over, and whoever waits there decides nothing.
    with socket.socket(fileno=os.dup(driver.fileno())) as channel:
        if channel.family == socket.AF_UNIX:
            channel.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_SIZE_BYTES)


def _assume_service_role(driver: psycopg.Connection[object], _record: object) -> None:
    # One URL is enough for a trial: whoever logs in, the service acts with the rights of its own role only.
    with driver.cursor() as cursor:
        cursor.execute(f"SET ROLE {SERVICE_ROLE}")
    driver.commit()
