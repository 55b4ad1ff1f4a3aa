"""Sealing on schedule: once a day, no more, and an alert where it could not be done."""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Event

from tallystick import integrity, seals
from tallystick.integrity import Sealer, SealStanding
from tallystick.seals import store
from tests.bank import Bank
from tests.database import connect
from tests.integrity.lived import TILES

DAY = timedelta(days=1)
GRACE = timedelta(minutes=15)


def sealer(bank: Bank, every: timedelta = DAY) -> Sealer:
    return Sealer(
        bank.database,
        bank.clock,
        lambda issuer_id: integrity.seal_records(bank.database, TILES, bank.settler, issuer_id),
        every=every,
        grace=GRACE,
    )


def standing(bank: Bank, every: timedelta = DAY) -> SealStanding:
    with bank.database.read() as connection:
        return integrity.seal_standing(connection, bank.issuer_id, bank.clock.at, every, GRACE)


def test_a_seal_is_set_once_it_is_due_and_then_not_again(bank: Bank) -> None:
    bank.mint("HARBOUR-USD", "10.00")
    begun = standing(bank)
    assert begun.due_at is not None
    assert (begun.sealed_at, begun.missed) == (None, False)
    assert begun.unsealed_events > 2
    assert sealer(bank).look() == []

    bank.clock.at = begun.due_at
    [made] = sealer(bank).look()
    assert (made.number, made.sealed_at) == (0, bank.clock.at)
    after = standing(bank)
    assert (after.due_at, after.unsealed_events, after.missed) == (made.sealed_at + DAY, 0, False)
    assert sealer(bank).look() == []
    bank.transfer("HARBOUR-USD", "LANTERN-USD", "1.00")
    assert standing(bank).unsealed_events == 1


def test_without_a_schedule_nothing_is_due_and_nothing_missed(bank: Bank) -> None:
    bank.mint("HARBOUR-USD", "10.00")
    bank.clock.at += timedelta(days=40)
    assert standing(bank, timedelta(0)).due_at is None
    assert not standing(bank, timedelta(0)).missed
    assert sealer(bank, timedelta(0)).look() == []


def test_a_finding_keeps_it_from_being_sealed_and_is_an_alert(bank: Bank) -> None:
    bank.mint("HARBOUR-USD", "10.00")
    bank.clock.at += DAY
    with connect(bank.urls.superuser_url) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute(
            "UPDATE ledger_account SET balance_minor = balance_minor + 1 WHERE id = %s",
            [f"2110.{bank.account_id('LANTERN-USD')}"],
        )
    bank.clock.at += GRACE

    looking = sealer(bank)
    assert looking.look() == []
    assert standing(bank).missed
    with bank.database.read() as connection:
        assert seals.newest(connection, bank.issuer_id) is None

    # It is mended; who found it looks again a while later, and anybody else at once.
    with connect(bank.urls.superuser_url) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute(
            "UPDATE ledger_account SET balance_minor = balance_minor - 1 WHERE id = %s",
            [f"2110.{bank.account_id('LANTERN-USD')}"],
        )
    assert looking.look() == []
    bank.clock.at += timedelta(minutes=15)
    assert [one.number for one in looking.look()] == [0]


def test_one_worker_checks_and_the_others_leave_it_to_that_one(bank: Bank) -> None:
    bank.mint("HARBOUR-USD", "10.00")
    bank.clock.at += DAY
    checking, go_on = Event(), Event()
    asked: list[str] = []

    def seal_slowly(issuer_id: str) -> seals.Seal:
        asked.append(issuer_id)
        checking.set()
        assert go_on.wait(30)
        return integrity.seal_records(bank.database, TILES, bank.settler, issuer_id)

    first = Sealer(bank.database, bank.clock, seal_slowly, every=DAY, grace=GRACE)
    with ThreadPoolExecutor(1) as pool:
        under_way = pool.submit(first.look)
        assert checking.wait(30)
        assert sealer(bank).look() == []
        go_on.set()
        [made] = under_way.result()
    assert made.number == 0
    assert asked == [bank.issuer_id]
    # It lets go of its turn: the next seal is anybody's.
    bank.clock.at += DAY
    assert [one.number for one in sealer(bank).look()] == [1]


def test_who_waited_for_nothing_and_comes_behind_a_seal_sets_none(bank: Bank) -> None:
    """What was due when it was looked at first is looked at once more behind the turn."""
    bank.mint("HARBOUR-USD", "10.00")
    bank.clock.at += DAY
    asked: list[str] = []

    class Late(Sealer):
        def _due(self, issuer_id: str) -> SealStanding | None:
            found = super()._due(issuer_id)
            if not asked:
                asked.append(issuer_id)
                assert len(sealer(bank).look()) == 1
            return found

    def never(_issuer_id: str) -> seals.Seal:
        raise AssertionError("it was sealed meanwhile")

    assert Late(bank.database, bank.clock, never, every=DAY, grace=GRACE).look() == []
    assert asked == [bank.issuer_id]


HOLDING = """
import sys, time
from tallystick import seals
from tallystick.core.database import Database

with seals.turn(Database(sys.argv[1]), sys.argv[2]) as has_turn:
    print(has_turn, flush=True)
    time.sleep(600)
"""


def test_what_a_worker_began_that_was_killed_another_takes_up(bank: Bank) -> None:
    bank.mint("HARBOUR-USD", "10.00")
    bank.clock.at += DAY
    command = [sys.executable, "-c", HOLDING, bank.urls.service_url, bank.issuer_id]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as worker:
        try:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "True\n"
            assert sealer(bank).look() == []
        finally:
            worker.kill()
        worker.wait()
    until = time.monotonic() + 30
    while not (made := sealer(bank).look()) and time.monotonic() < until:
        time.sleep(0.05)
    assert [one.number for one in made] == [0]


def test_a_turn_outlasts_what_idle_transactions_are_given(bank: Bank) -> None:
    with bank.database.engine.connect() as other, seals.turn(bank.database, bank.issuer_id) as has_turn:
        assert has_turn
        told = other.exec_driver_sql("SHOW idle_in_transaction_session_timeout").scalar()
        with seals.turn(bank.database, bank.issuer_id) as has_turn_too:
            assert not has_turn_too
    assert told == "1min"
    with bank.database.read() as connection:
        assert store.take_turn(connection, bank.issuer_id)
        assert connection.exec_driver_sql("SHOW idle_in_transaction_session_timeout").scalar() == "0", (
            "a check may take longer than a minute"
        )
