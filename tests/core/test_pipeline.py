"""Several statements in one trip: results in order, the first failure raised, and never half a transaction."""

from collections.abc import Callable, Iterator

import psycopg
import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from tallystick.core.database import SERVICE_ROLE, Database, DatabaseUnavailableError
from tallystick.core.pipeline import Pipeline, pipelined
from tests.database import DatabaseUrls, connect


@pytest.fixture
def database(database_urls: DatabaseUrls) -> Iterator[Database]:
    with connect(database_urls.superuser_url) as connection:
        connection.execute("CREATE TABLE note (number int PRIMARY KEY)")
        connection.execute(f"GRANT SELECT, INSERT, UPDATE ON note TO {SERVICE_ROLE}")
    opened = Database(database_urls.service_url, pool_size=2)
    yield opened
    opened.close()


def insert(pipeline: Pipeline, number: int) -> None:
    pipeline.tell("INSERT INTO note VALUES (%s)", (number,))


def first_value(cursor: "psycopg.Cursor[object]") -> object:
    row = cursor.fetchone()
    assert isinstance(row, tuple)
    return row[0]


def numbers(database: Database) -> list[int]:
    with database.read() as connection:
        return list(connection.exec_driver_sql("SELECT number FROM note ORDER BY number").scalars())


def test_each_statement_has_its_own_result_and_sees_those_before_it(database: Database) -> None:
    def work(connection: Connection) -> list[object]:
        count = "SELECT count(*) FROM note WHERE number > %s"
        with pipelined(connection) as pipeline:
            before = pipeline.ask(count, (0,), first_value)
            inserted = pipeline.tell("INSERT INTO note SELECT generate_series(1, %s)", (3,))
            between = pipeline.ask(count, (1,), first_value)
            updated = pipeline.tell("UPDATE note SET number = number + 10 WHERE number > %s", (1,))
            after = pipeline.ask(count, (10,), first_value)
        return [before.result(), inserted.result(), between.result(), updated.result(), after.result()]

    assert database.run(work) == [0, 3, 2, 2, 2]
    assert numbers(database) == [1, 12, 13]


def test_the_first_failure_is_raised_and_nothing_stands(database: Database) -> None:
    def work(connection: Connection) -> None:
        with pipelined(connection) as pipeline:
            insert(pipeline, 1)
            insert(pipeline, 1)
            pipeline.tell("SELECT 1 / %s", (0,))
            for number in range(2, 500):
                insert(pipeline, number)

    with pytest.raises(IntegrityError):
        database.run(work)
    assert numbers(database) == []
    database.run(lambda connection: connection.exec_driver_sql("INSERT INTO note VALUES (1)"))
    assert numbers(database) == [1]


@pytest.mark.parametrize("further", [0, 1, 1_000])
def test_a_failure_is_known_by_its_own_state_however_much_follows(database: Database, further: int) -> None:
    def work(connection: Connection) -> None:
        with pipelined(connection) as pipeline:
            pipeline.tell("DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '22012'; END $$", ())
            for number in range(further):
                insert(pipeline, number)

    with pytest.raises(DBAPIError) as failed:
        database.run(work)
    assert not isinstance(failed.value, OperationalError)
    assert getattr(failed.value.orig, "sqlstate", None) == "22012"


def test_an_exception_of_ones_own_is_raised_as_it_is(database: Database) -> None:
    def work(connection: Connection) -> None:
        with pipelined(connection) as pipeline:
            insert(pipeline, 1)
            raise LookupError("in the middle")

    with pytest.raises(LookupError):
        database.run(work)
    assert numbers(database) == []


@pytest.mark.parametrize("state", ["40001", "40P01"])
def test_what_the_server_gave_up_is_run_again(database: Database, state: str) -> None:
    attempts: list[int] = []

    def work(connection: Connection) -> None:
        attempts.append(1)
        with pipelined(connection) as pipeline:
            insert(pipeline, len(attempts))
            if len(attempts) < 3:
                pipeline.tell(f"DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{state}'; END $$", ())
            insert(pipeline, 10)

    database.run(work)
    assert numbers(database) == [3, 10]


def fail_always(pipeline: Pipeline) -> None:
    pipeline.tell("DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '40001'; END $$", ())


def test_what_the_server_always_gives_up_is_unavailable(database: Database) -> None:
    def work(connection: Connection) -> None:
        with pipelined(connection) as pipeline:
            fail_always(pipeline)

    with pytest.raises(DatabaseUnavailableError):
        database.run(work)


@pytest.mark.parametrize("before", [0, 2])
def test_a_connection_that_breaks_is_replaced_and_the_work_run_again(
    database: Database, database_urls: DatabaseUrls, before: int
) -> None:
    attempts: list[int] = []

    def work(connection: Connection) -> None:
        attempts.append(1)
        backend = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
        with pipelined(connection) as pipeline:
            for number in range(before):
                insert(pipeline, number)
            if len(attempts) == 1:
                with connect(database_urls.superuser_url) as superuser:
                    superuser.execute("SELECT pg_terminate_backend(%s, 10000)", [backend])
            insert(pipeline, 10)

    database.run(work)
    assert len(attempts) == 2
    assert numbers(database) == [*range(before), 10]


def test_an_error_that_was_swallowed_is_not_taken_for_a_commit(database: Database) -> None:
    def swallow(act: Callable[[], None]) -> None:
        with pytest.raises(IntegrityError):
            act()

    def work(connection: Connection) -> str:
        def act() -> None:
            with pipelined(connection) as pipeline:
                insert(pipeline, 1)
                insert(pipeline, 1)

        swallow(act)
        return "as if nothing had been"

    with pytest.raises(RuntimeError):
        database.run(work)
    assert numbers(database) == []
