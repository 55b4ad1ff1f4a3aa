"""The outcome of a COMMIT: known, or said to be unknown; never guessed.

The faults are real ones: deferred triggers that fail, warn or take their time while the server commits.
"""

import threading
import time
from collections.abc import Iterator

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError, ProgrammingError

from tallystick.core.database import (
    SERVICE_ROLE,
    Database,
    DatabaseUnavailableError,
    OutcomeUnknownError,
    confirm_durable,
)
from tests.database import DatabaseUrls, connect


@pytest.fixture
def database(database_urls: DatabaseUrls) -> Iterator[Database]:
    opened = Database(database_urls.service_url, pool_size=2)
    yield opened
    opened.close()


def at_commit(urls: DatabaseUrls, statements: str) -> None:
    """Make the server run PL/pgSQL while it commits a row of `note`, deferred to the very end."""
    with connect(urls.superuser_url) as connection:
        connection.execute("CREATE TABLE note (number int PRIMARY KEY)")
        # Counts across transactions: what a sequence gave out, no rollback takes back.
        connection.execute("CREATE SEQUENCE commits")
        connection.execute(f"GRANT SELECT, INSERT ON note TO {SERVICE_ROLE}")
        connection.execute(f"GRANT USAGE ON commits TO {SERVICE_ROLE}")
        connection.execute(
            "CREATE FUNCTION at_commit() RETURNS trigger LANGUAGE plpgsql AS"
            f" $$ BEGIN {statements} RETURN NULL; END $$".encode()
        )
        connection.execute(
            "CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON note"
            " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION at_commit()"
        )


def insert(connection: Connection) -> str:
    connection.exec_driver_sql("INSERT INTO note VALUES (1)")
    return "inserted"


def kept(urls: DatabaseUrls) -> bool:
    with connect(urls.superuser_url) as connection:
        return connection.execute("SELECT 1 FROM note").fetchone() is not None


@pytest.mark.parametrize("state", ["40001", "40P01"])
def test_a_commit_that_the_server_gave_up_is_run_again(
    database: Database, database_urls: DatabaseUrls, state: str
) -> None:
    at_commit(
        database_urls,
        f"IF nextval('commits') < 3 THEN RAISE EXCEPTION 'no' USING ERRCODE = '{state}'; END IF;",
    )
    assert database.run(insert) == "inserted"
    assert kept(database_urls)


def test_a_commit_that_the_server_always_gives_up_is_unavailable(
    database: Database, database_urls: DatabaseUrls
) -> None:
    at_commit(database_urls, "RAISE EXCEPTION 'no' USING ERRCODE = '40001';")
    with pytest.raises(DatabaseUnavailableError):
        database.run(insert)
    assert not kept(database_urls)


@pytest.mark.parametrize(("state", "error"), [("23514", IntegrityError), ("P0001", ProgrammingError)])
def test_a_commit_that_a_constraint_refuses_is_known_to_have_failed(
    database: Database, database_urls: DatabaseUrls, state: str, error: type[Exception]
) -> None:
    at_commit(database_urls, f"RAISE EXCEPTION 'no' USING ERRCODE = '{state}';")
    with pytest.raises(error):
        database.run(insert)
    assert not kept(database_urls)


@pytest.mark.parametrize("state", ["40003", "08007", "57014", "58030"])
def test_a_commit_that_fails_in_any_other_way_is_not_known(
    database: Database, database_urls: DatabaseUrls, state: str
) -> None:
    at_commit(database_urls, f"RAISE EXCEPTION 'no' USING ERRCODE = '{state}';")
    with pytest.raises(OutcomeUnknownError):
        database.run(insert)


def test_a_commit_with_a_warning_is_not_known_although_the_row_is_there(
    database: Database, database_urls: DatabaseUrls
) -> None:
    # This is how the server tells that it stopped waiting for a synchronous standby.
    at_commit(
        database_urls, "RAISE WARNING 'canceling wait for synchronous replication due to user request';"
    )
    with pytest.raises(OutcomeUnknownError):
        database.run(insert)
    assert kept(database_urls)


def test_the_connection_of_an_unknown_outcome_is_not_used_again(
    database: Database, database_urls: DatabaseUrls
) -> None:
    at_commit(database_urls, "RAISE WARNING 'stopped waiting';")
    backends = []

    def work(connection: Connection) -> None:
        backends.append(connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one())
        if len(backends) == 1:
            insert(connection)

    with pytest.raises(OutcomeUnknownError):
        database.run(work)
    database.run(work)
    assert len(set(backends)) == 2


def test_a_notice_while_committing_is_no_warning(database: Database, database_urls: DatabaseUrls) -> None:
    at_commit(database_urls, "RAISE NOTICE 'by the way';")
    assert database.run(insert) == "inserted"


def test_a_warning_before_committing_is_no_doubt_about_the_commit(
    database: Database, database_urls: DatabaseUrls
) -> None:
    at_commit(database_urls, "NULL;")

    def work(connection: Connection) -> str:
        connection.exec_driver_sql("DO $$ BEGIN RAISE WARNING 'early'; END $$")
        return insert(connection)

    assert database.run(work) == "inserted"


def test_a_connection_that_is_lost_while_committing_leaves_the_outcome_unknown(
    database: Database, database_urls: DatabaseUrls
) -> None:
    at_commit(database_urls, "PERFORM pg_sleep(30);")
    attempts: list[int] = []

    def work(connection: Connection) -> None:
        attempts.append(1)
        insert(connection)

    killer = threading.Thread(target=terminate_whoever_commits, args=(database_urls,))
    killer.start()
    with pytest.raises(OutcomeUnknownError):
        database.run(work)
    killer.join(30)
    assert not killer.is_alive()
    assert len(attempts) == 1


def terminate_whoever_commits(urls: DatabaseUrls) -> None:
    give_up_at = time.monotonic() + 20
    with connect(urls.superuser_url) as connection:
        while time.monotonic() < give_up_at:
            found = connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND query = 'COMMIT' AND wait_event = 'PgSleep'"
            ).fetchone()
            if found is not None:
                return
            time.sleep(0.01)


def test_confirming_makes_a_reading_transaction_write(
    database: Database, database_urls: DatabaseUrls
) -> None:
    def transaction_id(connection: Connection) -> object:
        return connection.exec_driver_sql("SELECT pg_current_xact_id_if_assigned()").scalar_one()

    def work(connection: Connection) -> tuple[object, object]:
        before = transaction_id(connection)
        confirm_durable(connection)
        return before, transaction_id(connection)

    before, after = database.run(work)
    assert before is None
    assert after is not None
