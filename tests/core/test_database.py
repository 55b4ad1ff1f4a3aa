"""The one way to PostgreSQL: what is run again, what is given up, and as whom it acts."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy
from sqlalchemy import Connection
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, InternalError, ProgrammingError

from tallystick.core.copy_text import copy_rows
from tallystick.core.database import SERVICE_ROLE, Database, DatabaseUnavailableError, RunAgainError
from tallystick.core.errors import InvariantError
from tests.database import DatabaseUrls, connect


@pytest.fixture
def urls(database_urls: DatabaseUrls) -> DatabaseUrls:
    with connect(database_urls.superuser_url) as connection:
        connection.execute("CREATE TABLE note (number int PRIMARY KEY, words text)")
        connection.execute(f"GRANT SELECT, INSERT, UPDATE ON note TO {SERVICE_ROLE}")
    return database_urls


@pytest.fixture
def database(urls: DatabaseUrls) -> Iterator[Database]:
    opened = Database(urls.service_url, pool_size=3)
    yield opened
    opened.close()


def insert(connection: Connection, number: int) -> int:
    connection.exec_driver_sql("INSERT INTO note (number) VALUES (%s)", (number,))
    return number


def numbers(database: Database) -> list[int]:
    with database.read() as connection:
        return list(connection.exec_driver_sql("SELECT number FROM note ORDER BY number").scalars())


def fail(connection: Connection, state: str) -> None:
    connection.exec_driver_sql(f"DO $$ BEGIN RAISE EXCEPTION 'made up' USING ERRCODE = '{state}'; END $$")


def terminate(urls: DatabaseUrls, connection: Connection) -> None:
    """Cut a connection from the server's side and wait until its backend is gone."""
    backend = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
    with connect(urls.superuser_url) as superuser:
        assert superuser.execute("SELECT pg_terminate_backend(%s, 10000)", [backend]).fetchone() == (True,)


def test_what_the_work_wrote_is_committed_and_what_it_returned_returned(database: Database) -> None:
    assert database.run(lambda connection: insert(connection, 1)) == 1
    assert numbers(database) == [1]


def test_work_that_raises_leaves_nothing(database: Database) -> None:
    def work(connection: Connection) -> None:
        insert(connection, 1)
        raise LookupError("after the insert")

    with pytest.raises(LookupError):
        database.run(work)
    assert numbers(database) == []


@pytest.mark.parametrize("state", ["40001", "40P01", "57P01"])
def test_a_transaction_that_the_server_gave_up_is_run_again(database: Database, state: str) -> None:
    attempts: list[int] = []

    def work(connection: Connection) -> None:
        attempts.append(len(attempts))
        insert(connection, len(attempts))
        if len(attempts) < 3:
            fail(connection, state)

    database.run(work)

    assert len(attempts) == 3
    assert numbers(database) == [3]


def test_work_that_asks_for_it_is_run_again_and_not_for_ever(database: Database) -> None:
    attempts: list[int] = []

    def work(connection: Connection) -> None:
        attempts.append(len(attempts))
        insert(connection, len(attempts))
        if len(attempts) != 3:
            raise RunAgainError

    with pytest.raises(DatabaseUnavailableError):
        database.run(work, attempts_max=2)
    assert numbers(database) == []
    database.run(work)
    assert numbers(database) == [3]
    with pytest.raises(DatabaseUnavailableError):
        database.run(work)
    assert len(attempts) == 8
    assert numbers(database) == [3]


@pytest.mark.parametrize("state", ["40001", "40P01"])
def test_attempts_are_bounded(database: Database, state: str) -> None:
    attempts: list[int] = []

    def work(connection: Connection) -> None:
        attempts.append(1)
        insert(connection, 1)
        fail(connection, state)

    with pytest.raises(DatabaseUnavailableError):
        database.run(work)
    assert len(attempts) == 5
    with pytest.raises(DatabaseUnavailableError):
        database.run(work, attempts_max=2)
    assert len(attempts) == 7
    assert numbers(database) == []


@pytest.mark.parametrize(
    ("state", "error"), [("23505", IntegrityError), ("22012", DataError), ("42501", ProgrammingError)]
)
def test_an_error_of_the_works_own_is_not_run_again(
    database: Database, state: str, error: type[DBAPIError]
) -> None:
    attempts: list[int] = []

    def work(connection: Connection) -> None:
        attempts.append(1)
        fail(connection, state)

    with pytest.raises(error):
        database.run(work)
    assert len(attempts) == 1


def test_two_that_lock_crosswise_both_succeed(database: Database) -> None:
    database.run(lambda connection: [insert(connection, number) for number in (1, 2)])
    both_hold_one = threading.Barrier(2, timeout=30)
    attempts: list[int] = []

    def cross(first: int, second: int) -> None:
        def work(connection: Connection) -> None:
            attempts.append(first)
            connection.exec_driver_sql("UPDATE note SET words = 'x' WHERE number = %s", (first,))
            if attempts.count(first) == 1:
                both_hold_one.wait()
            connection.exec_driver_sql("UPDATE note SET words = 'x' WHERE number = %s", (second,))

        database.run(work)

    other = threading.Thread(target=cross, args=(2, 1))
    other.start()
    cross(1, 2)
    other.join(30)

    assert not other.is_alive()
    assert len(attempts) == 3


@pytest.mark.parametrize("with_copy", [False, True], ids=["statement", "copy"])
def test_a_connection_that_breaks_is_replaced_and_the_work_run_again(
    database: Database, urls: DatabaseUrls, with_copy: bool
) -> None:
    attempts: list[int] = []

    def work(connection: Connection) -> None:
        attempts.append(1)
        insert(connection, 1)
        if len(attempts) == 1:
            terminate(urls, connection)
        if with_copy:
            copy_rows(connection, "note (number)", ["2"])
        else:
            insert(connection, 2)

    database.run(work)

    assert len(attempts) == 2
    assert numbers(database) == [1, 2]


def test_connections_that_broke_while_idle_harm_nobody(database: Database, urls: DatabaseUrls) -> None:
    with database.engine.connect() as one, database.engine.connect() as another:
        assert (
            one.exec_driver_sql("SELECT 1").scalar_one() == another.exec_driver_sql("SELECT 1").scalar_one()
        )
    with connect(urls.superuser_url) as superuser:
        superuser.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )

    database.run(lambda connection: insert(connection, 1))

    assert numbers(database) == [1]


def test_an_error_that_the_work_swallowed_is_not_taken_for_a_commit(database: Database) -> None:
    # COMMIT of a failed transaction is answered by ROLLBACK, without an error.
    def work(connection: Connection) -> str:
        insert(connection, 1)
        with pytest.raises(IntegrityError):
            insert(connection, 1)
        return "as if nothing had been"

    with pytest.raises(InvariantError):
        database.run(work)
    assert numbers(database) == []


def test_no_server_means_unavailable(tmp_path: Path) -> None:
    nowhere = Database(f"postgresql:///tallystick?host={tmp_path}", pool_size=1)
    with pytest.raises(DatabaseUnavailableError):
        nowhere.run(lambda _: None)
    with pytest.raises(DatabaseUnavailableError), nowhere.read():
        pass
    nowhere.close()


def test_no_free_connection_means_unavailable(urls: DatabaseUrls, monkeypatch: pytest.MonkeyPatch) -> None:
    database = Database(urls.service_url, pool_size=1)
    monkeypatch.setattr(database.engine.pool, "_timeout", 0.05)
    with database.read(), pytest.raises(DatabaseUnavailableError):
        database.run(lambda _: None)
    database.run(lambda connection: insert(connection, 1))
    assert numbers(database) == [1]
    database.close()


def test_reading_sees_one_snapshot_and_writes_nothing(database: Database) -> None:
    database.run(lambda connection: insert(connection, 1))
    with database.read() as connection:
        count = sqlalchemy.text("SELECT count(*) FROM note")
        assert connection.scalar(count) == 1
        database.run(lambda other: insert(other, 2))
        assert connection.scalar(count) == 1
        with pytest.raises(InternalError, match="read-only transaction"):
            insert(connection, 3)
    assert numbers(database) == [1, 2]
    database.run(lambda connection: insert(connection, 4))


def test_a_connection_that_breaks_while_reading_means_unavailable(
    database: Database, urls: DatabaseUrls
) -> None:
    def read() -> None:
        with database.read() as connection:
            terminate(urls, connection)
            connection.exec_driver_sql("SELECT 1")

    with pytest.raises(DatabaseUnavailableError):
        read()
    assert numbers(database) == []


@pytest.mark.parametrize("login", ["service_url", "owner_url", "superuser_url"])
def test_whoever_logs_in_the_service_acts_with_its_own_rights_only(urls: DatabaseUrls, login: str) -> None:
    database = Database(getattr(urls, login).replace("postgresql+psycopg://", "postgresql://"), pool_size=1)
    with database.read() as connection:
        assert connection.exec_driver_sql("SELECT current_user").scalar_one() == SERVICE_ROLE
        assert connection.exec_driver_sql("SHOW timezone").scalar_one() == "UTC"
    for _ in range(2):
        with pytest.raises(ProgrammingError, match="permission denied"):
            database.run(lambda connection: connection.exec_driver_sql("DELETE FROM note"))
    database.close()
