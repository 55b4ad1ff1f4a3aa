"""Several statements in one trip: results in order, the first failure raised, and never half a transaction."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime

import psycopg
import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from tallystick.core.database import SERVICE_ROLE, Database, DatabaseUnavailableError
from tallystick.core.pipeline import Pipeline, RowValues, pipelined
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


def first_value(rows: list[RowValues]) -> object:
    return rows[0][0]


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


@pytest.mark.parametrize(
    "value",
    [
        None,
        0,
        -1,
        2**15,
        2**31,
        2**62,
        "",
        "ä %s",
        b"",
        b"\x00\xff",
        date(2026, 2, 28),
        datetime.max.replace(tzinfo=UTC),
    ],
)
def test_every_kind_of_value_comes_back_as_it_went(database: Database, value: object) -> None:
    kinds = {
        type(None): "text",
        int: "bigint",
        str: "text",
        bytes: "bytea",
        date: "date",
        datetime: "timestamptz",
    }

    def work(connection: Connection) -> object:
        with pipelined(connection) as pipeline:
            asked = pipeline.ask(f"SELECT %s::{kinds[type(value)]}", (value,), first_value)
        return asked.result()

    assert database.run(work) == value


def test_one_statement_may_be_asked_with_values_of_several_types(database: Database) -> None:
    def work(connection: Connection) -> list[object]:
        with pipelined(connection) as pipeline:
            asked = [
                pipeline.ask("SELECT pg_typeof(%s)::text", (value,), first_value) for value in (1, 2**40, 2)
            ]
        return [each.result() for each in asked]

    assert database.run(work) == ["smallint", "bigint", "smallint"]


def test_more_may_be_on_its_way_in_both_directions_than_sockets_take(database: Database) -> None:
    text = "x" * 1_000_000

    def work(connection: Connection) -> list[object]:
        with pipelined(connection) as pipeline:
            asked = [
                pipeline.ask("SELECT %s::text", (f"{number}{text}",), first_value) for number in range(40)
            ]
        return [each.result() for each in asked]

    assert database.run(work) == [f"{number}{text}" for number in range(40)]


def test_a_statement_is_prepared_once_for_a_connection(database: Database) -> None:
    def work(connection: Connection) -> list[int]:
        for number in range(3):
            with pipelined(connection) as pipeline:
                insert(pipeline, number)
                insert(pipeline, number + 10)
        prepared = "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE 'INSERT INTO note%'"
        return list(connection.exec_driver_sql(prepared.replace("%", "%%")).scalars())

    assert database.run(work) == [1]


def test_what_a_failure_kept_from_being_prepared_is_prepared_the_next_time(database: Database) -> None:
    def work(connection: Connection) -> None:
        with pipelined(connection) as pipeline:
            pipeline.tell("SELECT 1 / %s", (0,))
            insert(pipeline, 1)

    def again(connection: Connection) -> None:
        with pipelined(connection) as pipeline:
            insert(pipeline, 2)

    with database.engine.connect() as connection:
        for _ in range(2):
            transaction = connection.begin()
            with pytest.raises(DBAPIError):
                work(connection)
            transaction.rollback()
        with connection.begin():
            again(connection)
    assert numbers(database) == [2]


def test_a_statement_that_can_not_be_prepared_fails_as_any_other(database: Database) -> None:
    def work(connection: Connection) -> None:
        with pipelined(connection) as pipeline:
            insert(pipeline, 1)
            pipeline.tell("SELECT no_such_column", ())

    for _ in range(2):
        with pytest.raises(DBAPIError) as failed:
            database.run(work)
        assert getattr(failed.value.orig, "sqlstate", None) == "42703"
    assert numbers(database) == []


def test_the_transaction_that_a_pipeline_begins_is_as_the_connection_says(database: Database) -> None:
    def shown(connection: Connection) -> list[object]:
        with pipelined(connection) as pipeline:
            asked = [
                pipeline.ask(f"SHOW {name}", (), first_value)
                for name in ("transaction_isolation", "transaction_read_only")
            ]
        return [each.result() for each in asked]

    with database.read() as connection:
        assert shown(connection) == ["repeatable read", "on"]
    assert database.run(shown) == ["read committed", "off"]


def test_other_statements_of_the_transaction_see_what_a_pipeline_did(database: Database) -> None:
    def work(connection: Connection) -> list[int]:
        connection.exec_driver_sql("INSERT INTO note VALUES (1)")
        with pipelined(connection) as pipeline:
            insert(pipeline, 2)
        connection.exec_driver_sql("INSERT INTO note VALUES (3)")
        with pipelined(connection) as pipeline:
            seen = pipeline.ask("SELECT array_agg(number ORDER BY number) FROM note", (), first_value)
        found = seen.result()
        assert isinstance(found, list)
        return found

    assert database.run(work) == [1, 2, 3]


def test_a_percent_sign_that_is_no_parameter_is_refused_at_once(database: Database) -> None:
    def work(connection: Connection) -> None:
        with pipelined(connection) as pipeline:
            pipeline.tell("SELECT 'a' LIKE '%'", ())

    with pytest.raises(AssertionError):
        database.run(work)
    assert numbers(database) == []


def test_a_result_may_be_asked_for_before_the_pipeline_ends(database: Database) -> None:
    def work(connection: Connection) -> list[object]:
        with pipelined(connection) as pipeline:
            insert(pipeline, 1)
            counted = pipeline.ask("SELECT count(*) FROM note", (), first_value)
            inserted = pipeline.tell("INSERT INTO note SELECT generate_series(2, %s)", (4,))
            found = [counted.result(), inserted.result()]
            behind = pipeline.ask("SELECT count(*) FROM note", (), first_value)
        return [*found, behind.result(), counted.result()]

    assert database.run(work) == [1, 3, 4, 1]
    assert numbers(database) == [1, 2, 3, 4]


def test_whoever_asks_behind_a_failure_is_told_of_it(database: Database) -> None:
    def work(connection: Connection) -> None:
        with pipelined(connection) as pipeline:
            insert(pipeline, 1)
            insert(pipeline, 1)
            counted = pipeline.ask("SELECT count(*) FROM note", (), first_value)
            counted.result()
            raise LookupError("never reached")

    with pytest.raises(IntegrityError):
        database.run(work)
    assert numbers(database) == []


def test_whoever_asks_on_a_broken_connection_is_told_of_it(
    database: Database, database_urls: DatabaseUrls
) -> None:
    attempts: list[int] = []

    def work(connection: Connection) -> object:
        attempts.append(1)
        backend = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
        with pipelined(connection) as pipeline:
            insert(pipeline, len(attempts))
            if len(attempts) == 1:
                with connect(database_urls.superuser_url) as superuser:
                    superuser.execute("SELECT pg_terminate_backend(%s, 10000)", [backend])
            return pipeline.ask("SELECT count(*) FROM note", (), first_value).result()

    assert database.run(work) == 1
    assert numbers(database) == [2]


@pytest.mark.parametrize("savepoint", [False, True])
def test_statements_that_the_driver_let_go_are_prepared_again(database: Database, savepoint: bool) -> None:
    # The driver makes the server forget all that is prepared with a rollback, once it has prepared something itself.
    with database.engine.connect() as connection:
        for number in range(3):
            with connection.begin():
                with pipelined(connection) as pipeline:
                    insert(pipeline, number)
                for _ in range(6):
                    connection.exec_driver_sql("SELECT number FROM note")
                if savepoint:
                    connection.begin_nested().rollback()
            if not savepoint:
                with connection.begin() as transaction:
                    connection.exec_driver_sql("SELECT number FROM note")
                    transaction.rollback()
        own = "SELECT count(*) FROM pg_prepared_statements WHERE name LIKE 'tallystick%%'"
        assert connection.exec_driver_sql(own).scalar_one() == 0
    assert numbers(database) == [0, 1, 2]


def test_statements_that_the_driver_kept_are_not_prepared_again(database: Database) -> None:
    with database.engine.connect() as connection:
        for number in range(3):
            with connection.begin(), pipelined(connection) as pipeline:
                insert(pipeline, number)
            with connection.begin() as transaction:
                with pipelined(connection) as pipeline:
                    insert(pipeline, 10)
                transaction.rollback()
        own = "SELECT count(*) FROM pg_prepared_statements WHERE name LIKE 'tallystick%%'"
        assert connection.exec_driver_sql(own).scalar_one() == 1


def test_a_row_that_can_not_be_read_is_a_failure_like_another(database: Database) -> None:
    def work(connection: Connection) -> None:
        with pipelined(connection) as pipeline:
            pipeline.ask("SELECT 'infinity'::timestamptz", (), first_value)
            insert(pipeline, 1)
            insert(pipeline, 2)

    for _ in range(3):
        with pytest.raises(DBAPIError) as failed:
            database.run(work)
        assert isinstance(failed.value.orig, psycopg.DataError)
    assert numbers(database) == []


def test_a_connection_that_was_left_in_the_middle_of_a_pipeline_is_not_used_again(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_off(_pipeline: Pipeline) -> None:
        raise MemoryError

    def work(connection: Connection) -> None:
        with pipelined(connection) as pipeline:
            insert(pipeline, 1)

    with monkeypatch.context() as patched:
        patched.setattr(Pipeline, "end", break_off)
        with pytest.raises(MemoryError):
            database.run(work)
    database.run(work)
    assert numbers(database) == [1]


def test_an_interrupt_that_closed_the_connection_is_raised_and_nothing_is_run_again(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts: list[int] = []

    def interrupted(driver: "psycopg.Connection[object]", *_: object) -> None:
        # As the driver does where a second interrupt comes while it cancels.
        driver.pgconn.finish()
        raise KeyboardInterrupt

    def work(connection: Connection) -> None:
        attempts.append(1)
        with pipelined(connection) as pipeline:
            insert(pipeline, 1)
            counted = pipeline.ask("SELECT count(*) FROM note", (), first_value)
            with monkeypatch.context() as patched:
                patched.setattr(psycopg.Connection, "wait", interrupted)
                counted.result()

    with pytest.raises(KeyboardInterrupt):
        database.run(work)
    assert len(attempts) == 1
    assert numbers(database) == []


def test_a_fault_in_reading_rows_is_raised_as_it_is(database: Database) -> None:
    attempts: list[int] = []

    def work(connection: Connection) -> None:
        attempts.append(1)
        with pipelined(connection) as pipeline:
            insert(pipeline, 1)
            # More digits than Python reads into a number.
            pipeline.ask("SELECT to_jsonb(repeat('9', 5000)::numeric)", (), first_value)
            insert(pipeline, 2)

    with pytest.raises(ValueError, match="digits"):
        database.run(work)
    assert len(attempts) == 1
    assert numbers(database) == []


def test_a_statement_whose_table_was_altered_is_prepared_anew(
    database: Database, database_urls: DatabaseUrls
) -> None:
    def work(connection: Connection) -> object:
        with pipelined(connection) as pipeline:
            found = pipeline.ask("SELECT max(number) FROM note", (), first_value)
        return found.result()

    # The pool has one connection in use: the one that comes back first.
    assert database.run(work) is None
    with connect(database_urls.superuser_url) as superuser:
        superuser.execute("ALTER TABLE note ALTER number TYPE bigint")
        superuser.execute(f"INSERT INTO note VALUES ({2**40})")
    with pytest.raises(DBAPIError) as failed:
        database.run(work)
    assert getattr(failed.value.orig, "sqlstate", None) == "0A000"
    assert database.run(work) == 2**40


def test_what_went_wrong_first_is_raised_where_rolling_back_fails_too(
    database: Database, database_urls: DatabaseUrls
) -> None:
    attempts: list[int] = []

    def work(connection: Connection) -> None:
        attempts.append(1)
        backend = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
        with connect(database_urls.superuser_url) as superuser:
            superuser.execute("SELECT pg_terminate_backend(%s, 10000)", [backend])
        raise LookupError("in the middle")

    with pytest.raises(LookupError):
        database.run(work)
    assert len(attempts) == 1
    assert numbers(database) == []
