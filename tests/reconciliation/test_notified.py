"""Deposits that a notification confirmed, held against the statement that comes later."""

from tests.bank import Bank
from tests.camt_writer import Entry, notification, statement
from tests.reconciliation.runs import reconcile, told

FIVE = Entry("5.00", remittance="LANTERN-USD", bank_reference="A-1")
CREDIT = Entry("100.00", remittance="HARBOUR-USD", bank_reference="B-1")


def test_until_the_statement_comes_it_is_timing_and_then_it_is_tied(bank: Bank) -> None:
    bank.import_statement(statement(FIVE, day="2026-11-19"))
    bank.import_statement(notification(CREDIT))

    run, found = reconcile(bank)
    assert (run.verdict, told(found)) == ("tied", [("timing", 10_000)])

    bank.import_statement(statement(CREDIT, opening="5.00"))
    run, found = reconcile(bank)
    assert (run.verdict, found) == ("tied", [])


def test_what_the_statement_does_not_bear_out_is_missing_at_the_bank(bank: Bank) -> None:
    bank.import_statement(notification(CREDIT))
    bank.import_statement(statement(FIVE))

    run, found = reconcile(bank)

    assert (run.verdict, told(found)) == ("broken", [("missing_bank_entry", 10_000)])


def test_a_notification_proves_no_balance(bank: Bank) -> None:
    bank.import_statement(notification(CREDIT, opening="0.00", kind="camt.052.001.08"))

    run, found = reconcile(bank)

    assert (run.verdict, run.statement_id) == ("broken", None)
    assert told(found) == [("missing_bank_entry", 10_000)]
