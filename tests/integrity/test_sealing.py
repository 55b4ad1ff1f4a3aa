"""Sealing on schedule: once a day, no more, and an alert where it could not be done."""

from datetime import timedelta

from tallystick import integrity, seals
from tallystick.integrity import Sealer, SealStanding
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

    assert sealer(bank).look() == []
    assert standing(bank).missed
    with bank.database.read() as connection:
        assert seals.newest(connection, bank.issuer_id) is None
