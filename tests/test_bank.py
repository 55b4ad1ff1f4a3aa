"""The test bank itself: a whole life of tokens satisfies the oracle, and the oracle notices what is not right."""

import pytest

from tallystick.ledger import Code
from tests.bank import Bank, oracle
from tests.database import connect


def live(bank: Bank) -> None:
    bank.mint("HARBOUR-USD", "1000.00")
    transfer = bank.transfer("HARBOUR-USD", "LANTERN-USD", "400.00")
    bank.reverse(transfer, "100.00")
    hold = bank.hold("LANTERN-USD", "SILKROAD-USD", "50.00")
    bank.execute_hold(hold, "20.00")
    bank.void_hold(hold)
    bank.redeem("HARBOUR-USD", "5.00")
    bank.release_deposit("HARBOUR-USD", "5.00")
    bank.freeze("NORTHWIND-EUR")
    bank.unfreeze("NORTHWIND-EUR")
    bank.close_account("NORTHWIND-EUR")


def test_a_whole_life_satisfies_the_oracle(bank: Bank) -> None:
    live(bank)

    oracle(bank)
    assert bank.balance_minor(Code.TOKENS_AVAILABLE, "HARBOUR-USD") == 69_500
    assert bank.balance_minor(Code.TOKENS_AVAILABLE, "LANTERN-USD") == 28_000
    assert bank.balance_minor(Code.TOKENS_AVAILABLE, "SILKROAD-USD") == 2_000
    assert bank.balance_minor(Code.DEPOSITS_AT_CORE, "USD") == 99_500


@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("ledger_account", "UPDATE ledger_account SET balance_minor = balance_minor + 1 WHERE code = '2110'"),
        ("ledger_account", "UPDATE ledger_account SET version = version + 1 WHERE code = '1100'"),
        ("journal_line", "DELETE FROM journal_line WHERE event_index = 3"),
        ("journal_line", "UPDATE journal_line SET ledger_account_id = '2110.x' WHERE event_index = 3"),
        ("event", "DELETE FROM event WHERE event_index = 3"),
        (
            "event",
            "UPDATE event SET jws = (SELECT jws FROM event WHERE event_index = 0) WHERE event_index = 3",
        ),
        ("event", "UPDATE event SET jws = overlay(jws placing 'AAAA' from length(jws) - 9 for 4)"),
        ("approval_vote", "UPDATE approval_vote SET hash = sha256(hash)"),
        ("instruction", "UPDATE instruction SET key_digest = NULL WHERE event_index = 3"),
        ("instruction", "UPDATE instruction SET event_index = NULL, settled_at = NULL WHERE event_index = 3"),
    ],
)
def test_the_oracle_notices(bank: Bank, table: str, change: str) -> None:
    live(bank)
    with connect(bank.urls.superuser_url) as connection:
        connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER".encode())
        connection.execute(change.encode())

    with pytest.raises(AssertionError):
        oracle(bank)
