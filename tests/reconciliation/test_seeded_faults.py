"""Every seeded cent is found and called by its name: what an insider with SQL changed, and keys that failed."""

from datetime import timedelta

import pytest

from tallystick import signing
from tests.bank import Bank
from tests.database import connect
from tests.older_keys import replace_older_key, revoke_older_key
from tests.reconciliation.runs import live, reconcile, told


@pytest.mark.parametrize(
    ("table", "change", "expected"),
    [
        (
            "ledger_account",
            "UPDATE ledger_account SET balance_minor = balance_minor + 1 WHERE code = '2110' AND account_id = {a}",
            [("amount", 1)],
        ),
        (
            "ledger_account",
            "UPDATE ledger_account SET balance_minor = balance_minor - 1 WHERE code = '1100' AND currency = 'USD'",
            [("amount", -1)],
        ),
        (
            "journal_line",
            """UPDATE journal_line SET balance_minor = balance_minor + 1,
               previous_balance_minor = previous_balance_minor + 1
               WHERE (ledger_account_id, event_index) IN (SELECT ledger_account_id, max(event_index)
               FROM journal_line WHERE ledger_account_id = '2110.' || {a} GROUP BY 1)""",
            [("amount", 1), ("amount", -1)],
        ),
        (
            "journal_line",
            """UPDATE journal_line SET credit_minor = credit_minor + 1,
               previous_balance_minor = previous_balance_minor - 1
               WHERE event_index = 4 AND credit_minor > 0""",
            [("amount", 1), ("amount", -1)],
        ),
        (
            "journal_line",
            "DELETE FROM journal_line WHERE event_index = 5",
            [("amount", 40_000), ("amount", -40_000), ("amount", 40_000)],
        ),
        ("event", "DELETE FROM event WHERE event_index = 4", [("missing_event", 100_000)]),
        ("event", "DELETE FROM event WHERE event_index = 5", [("missing_event", 40_000)]),
        # The checker's vote, which moves nothing.
        ("event", "DELETE FROM event WHERE event_index = 3", [("missing_event", 0)]),
        ("event", "DELETE FROM event WHERE event_index = 0", [("missing_event", 25_000_000)]),
        ("event", "DELETE FROM event WHERE event_index = 10", [("missing_event", 0)]),
        ("event", "DELETE FROM event WHERE event_index = 11", [("missing_event", -525)]),
        (
            "event",
            "UPDATE event SET jws = (SELECT jws FROM event WHERE event_index = 5) WHERE event_index = 4",
            [("missing_event", 100_000)],
        ),
        (
            "event",
            "UPDATE event SET jws = replace(jws, '.', '.A') WHERE event_index = 4",
            [("missing_event", 100_000)],
        ),
        ("event", "UPDATE event SET token_class_id = 'class_x' WHERE event_index = 4", []),
        ("event", "UPDATE event SET booked_at = booked_at - interval '1 second'", None),
        ("statement", "UPDATE statement SET closing_minor = closing_minor + 1", [("amount", -1)]),
        (
            "statement",
            "UPDATE statement SET opening_minor = 1",
            [("unexpected_bank_entry", -1), ("amount", 1)],
        ),
        (
            "statement_entry",
            "UPDATE statement_entry SET amount_minor = amount_minor + 1 WHERE entry_number = 1",
            [("amount", -1), ("amount", 1)],
        ),
        (
            "statement_entry",
            "DELETE FROM statement_entry WHERE entry_number = 2",
            [("amount", -1_250_050), ("missing_bank_entry", 1_250_050)],
        ),
        (
            "statement_entry",
            "UPDATE statement_entry SET deposit_id = 'deposit_x' WHERE entry_number = 1",
            [("duplicate", 25_000_000), ("unexpected_bank_entry", -25_000_000)],
        ),
        (
            "instruction",
            """UPDATE instruction SET event_index = NULL, settled_at = NULL, state = 'unassigned'
               WHERE event_index = 0""",
            [],
        ),
        (
            "liability",
            "DELETE FROM liability WHERE holder_id = (SELECT holder_id FROM account WHERE id = {a})",
            [("amount", 69_475)],
        ),
    ],
)
def test_a_seeded_fault_is_found_and_typed(
    bank: Bank, table: str, change: str, expected: list[tuple[str, int]] | None
) -> None:
    live(bank)
    assert reconcile(bank)[0].verdict == "tied"
    with connect(bank.urls.superuser_url) as connection:
        connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER".encode())
        connection.execute(change.format(a=f"'{bank.account_id('HARBOUR-USD')}'").encode())

    run, found = reconcile(bank)

    if expected == []:
        # What was signed decides, not what a row says beside it.
        assert run.verdict == "tied"
        return
    assert run.verdict == "broken"
    if expected is None:
        assert {one.type for one in found} == {"missing_event", "timing"}
        return
    others = list(told(found))
    others.remove(("timing", -77_777))
    assert others == expected
    assert all(one.explanation for one in found)


def test_a_ledger_account_that_is_gone_is_noticed(bank: Bank) -> None:
    live(bank)
    with connect(bank.urls.superuser_url) as connection:
        connection.execute(b"DELETE FROM ledger_account WHERE code = '2120' AND balance_minor > 0")

    run, found = reconcile(bank)

    assert run.verdict == "broken"
    assert told(found)[:2] == [("amount", -5_000), ("amount", 2_000)]
    assert told(found)[2:] == [("amount", -3_000), ("timing", -77_777)]
    assert "liability register" in found[2].explanation


def test_an_entry_that_another_class_signed_proves_nothing(bank: Bank) -> None:
    live(bank)
    bank.mint("HARBOUR-EUR", "2.00")
    with connect(bank.urls.superuser_url) as connection:
        connection.execute(b"ALTER TABLE journal_line DISABLE TRIGGER USER")
        connection.execute(
            b"UPDATE journal_line SET ledger_account_id = %s WHERE event_index = 14 AND credit_minor > 0",
            [f"2110.{bank.account_id('HARBOUR-USD')}"],
        )

    _, found = reconcile(bank)

    assert found[0].type == "amount"
    assert (found[0].difference_minor, found[0].evidence["event_index"]) == (200, 14)


def test_a_key_that_is_trusted_no_more_proves_nothing(bank: Bank) -> None:
    live(bank)
    with bank.database.engine.begin() as connection:
        [key] = [
            one for one in signing.list_keys(connection, bank.issuer_id) if one.use == signing.KeyUse.EVENT
        ]
        replace_older_key(connection, bank.clock, bank.issuer_id, bank.key_directory)
    assert reconcile(bank)[0].verdict == "tied"

    with bank.database.engine.begin() as connection:
        revoke_older_key(connection, bank.clock, bank.issuer_id, key.id)
    run, found = reconcile(bank)

    assert run.verdict == "broken"
    assert [one.type for one in found].count("missing_event") == 12
    assert all("jws_key_unknown" in one.explanation for one in found if one.type == "missing_event")
    assert run.figures["supply"]["signed_events"] == "0.00"


def test_a_key_compromised_later_still_proves_what_came_before(bank: Bank) -> None:
    live(bank)
    bank.clock.at += timedelta(hours=1)
    with bank.database.engine.begin() as connection:
        [key] = [
            one for one in signing.list_keys(connection, bank.issuer_id) if one.use == signing.KeyUse.EVENT
        ]
        revoke_older_key(connection, bank.clock, bank.issuer_id, key.id, compromised_at=bank.clock.at)

    assert reconcile(bank)[0].verdict == "tied"
