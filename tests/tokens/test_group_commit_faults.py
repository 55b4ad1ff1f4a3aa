"""Group commit when the database fails: nothing is acknowledged that is not there, and it recovers by itself."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tallystick.tokens import GroupCommit
from tests.bank import Bank, oracle
from tests.database import connect
from tests.older_keys import begin_older_key, end_older_key
from tests.tokens.queueing import PATIENCE_SECONDS, code_of, held_back, outcome_of, submit, transfer


@pytest.fixture
def queue(bank: Bank) -> Iterator[GroupCommit]:
    bank.mint("HARBOUR-USD", "10.00")
    opened = GroupCommit(bank.database, bank.settler, batch_size_max=100, queue_length_max=100)
    yield opened
    opened.close(PATIENCE_SECONDS)


def terminate_service(bank: Bank, condition: str = "true") -> int:
    """Cut the service's connections to the database that match; return how many there were."""
    with connect(bank.urls.superuser_url) as connection:
        return connection.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = current_database()"
            f" AND application_name = 'tallystick' AND {condition}".encode()
        ).rowcount


@contextmanager
def unreachable(bank: Bank) -> Iterator[None]:
    """Refuse new connections to the database and cut those there are."""
    postgres = bank.urls.superuser_url.replace(bank.urls.name, "postgres")
    with connect(postgres) as connection:
        connection.execute(f"ALTER DATABASE {bank.urls.name} ALLOW_CONNECTIONS false".encode())
        connection.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = %s",
            [bank.urls.name],
        )
        yield
        connection.execute(f"ALTER DATABASE {bank.urls.name} ALLOW_CONNECTIONS true".encode())


def test_an_unreachable_database_is_said_to_be_and_found_again(bank: Bank, queue: GroupCommit) -> None:
    assert code_of(submit(queue, bank, transfer(bank))) == "settled"
    with unreachable(bank):
        told = [submit(queue, bank, transfer(bank, key=f"key-{number}")) for number in range(3)]
        assert [code_of(one) for one in told] == ["database_unavailable"] * 3
        assert [outcome_of(one).refusal.status for one in told] == [503] * 3  # type: ignore[union-attr]
    retried = [submit(queue, bank, transfer(bank, key=f"key-{number}")) for number in range(3)]
    assert [code_of(one) for one in retried] == ["settled"] * 3
    assert bank.balance_minor("2110", "LANTERN-USD") == 4
    oracle(bank)


def test_connections_that_are_cut_while_idle_are_not_noticed_by_callers(
    bank: Bank, queue: GroupCommit
) -> None:
    assert code_of(submit(queue, bank, transfer(bank))) == "settled"
    assert terminate_service(bank) >= 1
    assert code_of(submit(queue, bank, transfer(bank))) == "settled"
    oracle(bank)


def test_a_connection_that_is_cut_in_the_middle_of_a_batch_is_not_noticed_by_callers(
    bank: Bank, queue: GroupCommit
) -> None:
    with held_back(bank, queue) as first:
        told = [first, *[submit(queue, bank, transfer(bank)) for _ in range(5)]]
        assert terminate_service(bank, "wait_event_type = 'Lock'") == 1
    assert [code_of(one) for one in told] == ["settled"] * 6
    assert bank.balance_minor("2110", "LANTERN-USD") == 6
    oracle(bank)


def test_a_commit_whose_answer_was_lost_is_resolved_by_sending_the_key_again(
    bank: Bank, queue: GroupCommit
) -> None:
    with at_commit(bank, "PERFORM pg_sleep(30);"):
        told = submit(queue, bank, transfer(bank, key="key"))
        give_up_at = time.monotonic() + PATIENCE_SECONDS
        while not terminate_service(bank, "wait_event = 'PgSleep'"):
            assert time.monotonic() < give_up_at
            time.sleep(0.01)
        assert code_of(told) == "outcome_unknown"
    again = outcome_of(submit(queue, bank, transfer(bank, key="key")))
    assert (again.refusal, again.replayed) == (None, False)
    assert bank.balance_minor("2110", "LANTERN-USD") == 1
    oracle(bank)


def test_a_commit_that_a_standby_may_not_have_is_in_doubt_until_it_is_confirmed(
    bank: Bank, queue: GroupCommit
) -> None:
    with at_commit(bank, "RAISE WARNING 'canceling wait for synchronous replication due to user request';"):
        with held_back(bank, queue) as first:
            told = [first, *[submit(queue, bank, transfer(bank, key=f"key-{number}")) for number in range(3)]]
        assert [code_of(one) for one in told] == ["outcome_unknown"] * 4
        # It is there all the same, and asking again is answered only behind a durable write of its own.
        before = transaction_count(bank)
        again = outcome_of(submit(queue, bank, transfer(bank, key="key-1")))
        assert (again.refusal, again.replayed) == (None, True)
        assert transaction_count(bank) > before
    assert bank.balance_minor("2110", "LANTERN-USD") == 4
    oracle(bank)


def test_commits_that_often_fail_are_run_again_a_few_times_and_never_misreported(bank: Bank) -> None:
    bank.mint("HARBOUR-USD", "10.00")
    queue = GroupCommit(bank.database, bank.settler, batch_size_max=1, queue_length_max=100)
    with at_commit(bank, "IF random() < 0.4 THEN RAISE EXCEPTION 'no' USING ERRCODE = '40001'; END IF;"):
        told = [submit(queue, bank, transfer(bank, key=f"key-{number}")) for number in range(60)]
        codes = [code_of(one) for one in told]
    assert set(codes) <= {"settled", "database_unavailable"}
    assert bank.balance_minor("2110", "LANTERN-USD") == codes.count("settled")
    again = [outcome_of(submit(queue, bank, transfer(bank, key=f"key-{number}"))) for number in range(60)]
    queue.close(PATIENCE_SECONDS)
    assert [one.replayed for one in again] == [code == "settled" for code in codes]
    assert bank.balance_minor("2110", "LANTERN-USD") == 60
    oracle(bank)


def transaction_count(bank: Bank) -> int:
    with connect(bank.urls.superuser_url) as connection:
        row = connection.execute("SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint").fetchone()
    assert row is not None
    return int(str(row[0]))


@contextmanager
def at_commit(bank: Bank, statements: str) -> Iterator[None]:
    """Run PL/pgSQL at the end of each transaction that transfers, while it commits."""
    with connect(bank.urls.superuser_url) as connection:
        connection.execute(
            "CREATE FUNCTION at_commit() RETURNS trigger LANGUAGE plpgsql AS"
            f" $$ BEGIN {statements} RETURN NULL; END $$".encode()
        )
        connection.execute(
            "CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON event DEFERRABLE INITIALLY DEFERRED"
            " FOR EACH ROW WHEN (NEW.type = 'token.transferred') EXECUTE FUNCTION at_commit()"
        )
        yield
        connection.execute("DROP TRIGGER at_commit ON event")


def test_without_a_signing_key_nothing_settles_and_nobody_signs_instead(
    bank: Bank, queue: GroupCommit
) -> None:
    bank.database.run(lambda on: end_older_key(on, bank.clock, bank.issuer_id))
    assert code_of(submit(queue, bank, transfer(bank, key="key"))) == "signing_key_unavailable"
    bank.database.run(lambda on: begin_older_key(on, bank.clock, bank.issuer_id, bank.key_directory))
    assert code_of(submit(queue, bank, transfer(bank, key="key"))) == "settled"
    assert bank.balance_minor("2110", "LANTERN-USD") == 1
    oracle(bank)
