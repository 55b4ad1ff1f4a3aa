"""Deposits that people confirmed before the statement came: a break until it shows them, and then none."""

from datetime import timedelta

import pytest

from tests.bank import Bank
from tests.camt_writer import Entry, Stated, message, statement
from tests.database import connect
from tests.reconciliation.runs import compared, reconcile, told
from tests.statements.imports import confirm_by_hand

CREDIT = Entry("100.00", remittance="HARBOUR-USD")
FIVE = Entry("5.00", remittance="LANTERN-USD")


def test_the_statement_explains_a_deposit_that_was_confirmed_by_hand(bank: Bank) -> None:
    bank.import_statement(statement(FIVE, day="2026-11-19"))
    confirm_by_hand(bank, "HARBOUR-USD", "100.00")
    run, found = reconcile(bank)
    assert (run.verdict, told(found)) == ("tied", [("timing", 10_000)])

    bank.import_statement(statement(CREDIT, day="2026-11-20", opening="5.00"))
    run, found = reconcile(bank)

    assert (run.verdict, found) == ("tied", [])
    assert run.figures["control_account"]["difference"] == "0.00"


def test_what_the_bank_does_not_show_stays_a_break(bank: Bank) -> None:
    confirm_by_hand(bank, "HARBOUR-USD", "100.00")
    confirm_by_hand(bank, "HARBOUR-USD", "100.00")
    confirm_by_hand(bank, "HARBOUR-USD", "30.00")
    bank.import_statement(statement(CREDIT, FIVE))

    run, found = reconcile(bank)

    assert run.verdict == "broken"
    assert told(found) == [("duplicate", 10_000), ("missing_bank_entry", 3_000)]
    assert run.figures["control_account"]["difference"] == "130.00"

    bank.import_statement(
        statement(CREDIT, Entry("30.00", remittance="HARBOUR-USD"), day="2026-11-21", opening="105.00")
    )
    run, found = reconcile(bank)
    assert (run.verdict, found) == ("tied", [])


def test_an_entry_whose_statement_has_no_closing_balance_yet_is_timing(bank: Bank) -> None:
    bank.import_statement(statement(FIVE, day="2026-11-20"))
    confirm_by_hand(bank, "HARBOUR-USD", "100.00")
    bank.import_statement(
        message(Stated((CREDIT,), day="2026-11-21", opening="5.00", page=(1, False), statement_id="P"))
    )

    run, found = reconcile(bank)

    assert (run.verdict, told(found)) == ("tied", [("timing", 10_000)])


def test_a_past_moment_does_not_know_of_the_link(bank: Bank) -> None:
    bank.import_statement(statement(FIVE))
    confirm_by_hand(bank, "HARBOUR-USD", "100.00")
    before, before_breaks = reconcile(bank)
    moment = bank.clock.at
    bank.clock.at += timedelta(days=1)
    bank.import_statement(statement(CREDIT, day="2026-11-21", opening="5.00"))

    again, again_breaks = reconcile(bank, as_of=moment)

    assert told(before_breaks) == told(again_breaks) == [("missing_bank_entry", 10_000)]
    assert (before.verdict, compared(before)) == (again.verdict, compared(again))
    assert reconcile(bank)[0].verdict == "tied"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        # The linked entry: to a deposit that isn't, to none, to the one of another entry, and to an unlinked one.
        (
            "UPDATE statement_entry SET deposit_id = 'deposit_x' WHERE entry_number = 1",
            [
                ("unexpected_bank_entry", -10_000),
                ("timing", -3_000),
                ("missing_bank_entry", 10_000),
                ("missing_bank_entry", 3_000),
            ],
        ),
        (
            "UPDATE statement_entry SET deposit_id = NULL WHERE entry_number = 1",
            [
                ("timing", -3_000),
                ("unexpected_bank_entry", -10_000),
                ("missing_bank_entry", 10_000),
                ("missing_bank_entry", 3_000),
            ],
        ),
        (
            """UPDATE statement_entry SET deposit_id = (SELECT deposit_id FROM statement_entry
               WHERE entry_number = 2) WHERE entry_number = 1""",
            [
                ("unexpected_bank_entry", -10_000),
                ("timing", -3_000),
                ("missing_bank_entry", 10_000),
                ("missing_bank_entry", 3_000),
            ],
        ),
        (
            "UPDATE statement_entry SET deposit_id = {other} WHERE entry_number = 1",
            [("amount", -7_000), ("timing", -3_000), ("missing_bank_entry", 10_000)],
        ),
        (
            "UPDATE statement_entry SET matched_by = 'iban' WHERE entry_number = 1",
            [
                ("unexpected_bank_entry", -10_000),
                ("timing", -3_000),
                ("missing_bank_entry", 10_000),
                ("missing_bank_entry", 3_000),
            ],
        ),
        (
            "UPDATE statement_entry SET amount_minor = 9999 WHERE entry_number = 1",
            [("amount", 1), ("timing", -3_000), ("amount", -1), ("missing_bank_entry", 3_000)],
        ),
        # The others: the credit that was confirmed, the one that waits, and the debit, to the unlinked deposit.
        (
            "UPDATE statement_entry SET deposit_id = {other} WHERE entry_number = 2",
            [
                ("duplicate", 3_000),
                ("unexpected_bank_entry", -3_000),
                ("timing", -3_000),
                ("missing_bank_entry", 3_000),
            ],
        ),
        (
            "UPDATE statement_entry SET deposit_id = {other} WHERE entry_number = 3",
            [("unexpected_bank_entry", -3_000), ("missing_bank_entry", 3_000)],
        ),
        (
            """UPDATE statement_entry SET deposit_id = {other}, matched_by = 'confirmed_by_hand'
               WHERE entry_number = 4""",
            [("amount", 6_000), ("timing", -3_000), ("missing_bank_entry", -3_000)],
        ),
    ],
)
def test_an_altered_link_is_found(bank: Bank, change: str, expected: list[tuple[str, int]]) -> None:
    confirm_by_hand(bank, "HARBOUR-USD", "100.00")
    bank.import_statement(
        statement(
            CREDIT,
            Entry("30.00", remittance="LANTERN-USD"),
            Entry("30.00", remittance="Who knows"),
            Entry("30.00", credit=False),
        )
    )
    bank.release_deposit("LANTERN-USD", "30.00")
    run, found = reconcile(bank)
    assert (run.verdict, told(found)) == ("tied", [("timing", -3_000)])
    other = confirm_by_hand(bank, "HARBOUR-USD", "30.00")
    run, found = reconcile(bank)
    assert (run.verdict, told(found)) == ("broken", [("timing", -3_000), ("missing_bank_entry", 3_000)])
    with connect(bank.urls.superuser_url) as connection:
        connection.execute(b"ALTER TABLE statement_entry DISABLE TRIGGER USER")
        connection.execute(change.format(other=f"'{other}'").encode())

    run, found = reconcile(bank)

    assert run.verdict == "broken"
    assert sorted(told(found)) == sorted(expected)
