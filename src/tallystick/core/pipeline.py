"""Several statements in one trip to the server (PostgreSQL's pipeline mode), inside the connection's transaction.

The server works on the first while the rest are still being made. A failure in one skips those behind it and is
raised when the pipeline ends; the transaction is then lost as a whole, as always.

The driver's cursors would do the same. But a batch is a dozen statements, and a cursor's bookkeeping for each took more
of a small batch's time than deciding it. So what is used of the driver lies below them: its connection to libpq, its
ways of writing and reading values, and its errors.
"""

import itertools
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache, partial
from typing import Any, Final, Generic, NamedTuple, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.adapt import PyFormat, Transformer
from psycopg.errors import error_from_result
from psycopg.generators import fetch_many, send
from psycopg.pq import ExecStatus, PipelineStatus, TransactionStatus
from psycopg.pq.abc import PGresult
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

__all__ = ["Asked", "Pipeline", "RowValues", "doubt_prepared", "pipelined"]

Result = TypeVar("Result")
RowValues = tuple[Any, ...]

# Everybody above catches SQLAlchemy's family of errors.
_WRAPPERS: Final = (
    (psycopg.OperationalError, OperationalError),
    (psycopg.IntegrityError, IntegrityError),
    (psycopg.Error, DBAPIError),
)
# A table that somebody altered, or a statement that is gone: to be prepared anew.
_OUTDATED: Final = (psycopg.errors.FeatureNotSupported, psycopg.errors.InvalidSqlStatementName)
_SESSION: Final = "tallystick.pipeline"


class Asked(Generic[Result]):
    """What a statement returns: known when its pipeline has ended or, for whoever asks before, when the server has come
    to it.
    """

    __slots__ = ("_answer", "_pipeline", "_read")

    def __init__(self, pipeline: "Pipeline", read: Callable[["_Answer"], Result]) -> None:
        self._pipeline = pipeline
        self._read = read
        self._answer: _Answer | None = None

    def result(self) -> Result:
        """Return what was read from the rows. Raises the psycopg.Error of the first statement that failed."""
        if self._answer is None:
            self._pipeline.wait_for(self)
        assert self._answer is not None
        return self._read(self._answer)

    @property
    def answered(self) -> bool:
        """Tell whether the server's answer is here."""
        return self._answer is not None

    def take(self, answer: "_Answer") -> None:
        """Keep what the server answered."""
        self._answer = answer


class Pipeline:
    """Takes statements in order. Parameters are psycopg's: `%s`, a sequence."""

    __slots__ = ("_awaited", "_driver", "_failed", "_preparing", "_session")

    def __init__(self, driver: psycopg.Connection[Any], session: "_Session") -> None:
        self._driver = driver
        self._session = session
        self._preparing: dict[_Key, bytes] = {}
        # Who takes each of the server's results, in their order; and the first failure.
        self._awaited: deque[Callable[[PGresult], None]] = deque()
        self._failed: psycopg.Error | None = None

    def ask(
        self, statement: str, parameters: Sequence[object], read: Callable[[list[RowValues]], Result]
    ) -> Asked[Result]:
        """Send a statement; `read` turns its rows into a result afterwards."""
        return self._send(statement, parameters, Asked(self, lambda answer: read(answer.rows)))

    def tell(self, statement: str, parameters: Sequence[object]) -> Asked[int]:
        """Send a statement whose result is how many rows it touched."""
        return self._send(statement, parameters, Asked(self, _row_count))

    def begin(self) -> None:
        """Enter pipeline mode, and begin the transaction if none has begun."""
        server = self._driver.pgconn
        idle = server.transaction_status == TransactionStatus.IDLE
        server.enter_pipeline_mode()
        if idle and not self._driver.autocommit:
            server.send_query_params(_begin_statement(self._driver), None)
            self._awaited.append(_take_nothing)

    def wait_for(self, asked: Asked[Any]) -> None:
        """Wait until the server has come to a statement; raises the psycopg.Error of the first that failed."""
        self._driver.pgconn.send_flush_request()
        self._driver.wait(self._take_results(asked))
        self._raise_failure()

    def end(self) -> None:
        """Wait until every statement was done and leave pipeline mode; raises like `wait_for`."""
        server = self._driver.pgconn
        self._awaited.append(_take_nothing)
        server.pipeline_sync()
        self._driver.wait(self._take_results(None))
        server.exit_pipeline_mode()
        self._raise_failure()

    def _send(self, statement: str, parameters: Sequence[object], asked: Asked[Result]) -> Asked[Result]:
        server, session = self._driver.pgconn, self._session
        values, types, formats = session.write(parameters)
        key = (statement, types)
        name = session.prepared.get(key) or self._preparing.get(key)
        if name is None:
            name = self._preparing[key] = session.next_name()
            server.send_prepare(name, _numbered(statement), param_types=types)
            self._awaited.append(partial(session.take_prepared, key, name))
        server.send_query_prepared(name, values, param_formats=formats)
        self._awaited.append(partial(session.take_answer, asked))
        # Nothing piles up here that the server could work on; what it answers is taken in meanwhile.
        if server.flush():
            self._driver.wait(send(server))
        return asked

    def _take_results(self, until: Asked[Any] | None) -> PQGen[None]:
        server, awaited = self._driver.pgconn, self._awaited
        yield from send(server)
        while awaited and not (until is not None and until.answered):
            results = yield from fetch_many(server)
            if not results:
                raise psycopg.OperationalError("the connection was lost")
            take, result = awaited.popleft(), results[0]
            try:
                if result.status not in _DONE:
                    raise error_from_result(result, encoding="utf-8")
                take(result)
            except psycopg.Error as error:
                # Those behind it are taken in all the same.
                self._failed = self._failed or error

    def _raise_failure(self) -> None:
        if self._failed is not None:
            raise self._failed


_Key = tuple[str, tuple[int, ...]]
_DONE: Final = (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK, ExecStatus.PIPELINE_SYNC)


class _Answer(NamedTuple):
    """The rows that a statement returned, and how many it touched."""

    rows: list[RowValues]
    row_count: int


class _Session:
    """What one connection keeps between its pipelines: the statements that its server has prepared, each by its types,
    and the driver's ways of writing and reading values.
    """

    def __init__(self, driver: psycopg.Connection[Any]) -> None:
        self.prepared: dict[_Key, bytes] = {}
        self.in_doubt = False
        self._driver = driver
        self._transformer = Transformer(driver)
        self._numbers = itertools.count()

    def make_sure(self) -> None:
        """Forget the statements that the server no longer has."""
        if self.in_doubt:
            rows = self._driver.execute("SELECT name FROM pg_prepared_statements").fetchall()
            kept = {row[0].encode() for row in rows}
            self.prepared = {key: name for key, name in self.prepared.items() if name in kept}
            self.in_doubt = False

    def next_name(self) -> bytes:
        return b"tallystick_%d" % next(self._numbers)

    def write(
        self, parameters: Sequence[object]
    ) -> tuple[Sequence[Any], tuple[int, ...], Sequence[Any] | None]:
        """Return the parameters as they are sent, their types and their formats."""
        transformer = self._transformer
        values = transformer.dump_sequence(parameters, [PyFormat.AUTO] * len(parameters))
        return values, transformer.types or (), transformer.formats

    def take_prepared(self, key: _Key, name: bytes, _result: PGresult) -> None:
        self.prepared[key] = name

    def take_answer(self, asked: Asked[Any], result: PGresult) -> None:
        rows: list[RowValues] = []
        if result.ntuples:
            self._transformer.set_pgresult(result)
            rows = self._transformer.load_rows(0, result.ntuples, tuple)
            self._transformer.set_pgresult(None)
        asked.take(_Answer(rows, result.command_tuples or 0))


@contextmanager
def pipelined(connection: Connection) -> Iterator[Pipeline]:
    """Yield a pipeline on a connection; when the block ends, every statement has been done.

    Until then the connection is the pipeline's alone. Raises the sqlalchemy.exc.DBAPIError of the first statement that
    failed.
    """
    # Else the pool would roll back by itself, and nobody would doubt what is prepared.
    assert connection.in_transaction()
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    session = connection.info.get(_SESSION)
    if session is None:
        session = connection.info[_SESSION] = _Session(driver)
    pipeline = Pipeline(driver, session)
    try:
        session.make_sure()
        pipeline.begin()
        try:
            yield pipeline
        except BaseException:
            with suppress(psycopg.Error):
                pipeline.end()
            raise
        pipeline.end()
    except psycopg.Error as error:
        if isinstance(error, _OUTDATED):
            session.prepared.clear()
        lost = driver.closed or driver.broken
        if lost:
            connection.invalidate()
        for kind, wrapper in _WRAPPERS:
            if isinstance(error, kind):
                raise wrapper(None, None, error, connection_invalidated=lost) from error
        raise
    finally:
        # Where an interrupt or a fault left it in the middle, or the driver closed it for that reason.
        if driver.closed or driver.pgconn.pipeline_status != PipelineStatus.OFF:
            connection.invalidate()


def doubt_prepared(connection: Connection, *_: object) -> None:
    """Take note that a connection is rolled back: the driver may then make the server forget what it has prepared.

    It does so for what it prepared itself, lest a table be another one the next time, and can't except what is ours.
    """
    if connection.invalidated:
        return
    session = connection.info.get(_SESSION)
    if session is not None:
        session.in_doubt = True


def _begin_statement(driver: psycopg.Connection[Any]) -> bytes:
    words = ["BEGIN"]
    if driver.isolation_level is not None:
        words.append(f"ISOLATION LEVEL {driver.isolation_level.name.replace('_', ' ')}")
    if driver.read_only is not None:
        words.append("READ ONLY" if driver.read_only else "READ WRITE")
    return " ".join(words).encode()


@lru_cache(maxsize=1_000)
def _numbered(statement: str) -> bytes:
    """Return a statement with `$1`, `$2`, … for its parameters, as the server numbers them."""
    first, *others = statement.split("%s")
    assert "%" not in "".join([first, *others]), "a percent sign that is no parameter"
    return (first + "".join(f"${number}{text}" for number, text in enumerate(others, 1))).encode()


def _take_nothing(_result: PGresult) -> None:
    """Of BEGIN, and of the end, nothing but a failure is of interest."""


def _row_count(answer: _Answer) -> int:
    return answer.row_count
