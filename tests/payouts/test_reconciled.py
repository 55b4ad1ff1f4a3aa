"""Payouts and the tie-out: what is in transit explains itself, and what the bank paid or returned has its entry."""

from datetime import datetime, timedelta

import pytest

from tests.bank import Bank
from tests.camt_writer import Entry, statement
from tests.payouts.replying import debit, follow, returned
from tests.reconciliation.runs import reconcile
from tests.tokens.paying import LANTERN, make_file, pay_out


def open_on_statement(bank: Bank) -> None:
    """Let 100.00 come in on a statement, and become tokens."""
    bank.import_statement(statement(Entry("100.00", remittance=LANTERN), statement_id="S-0"))
    bank.mint(LANTERN, "100.00", deposited=False)


def told(bank: Bank, *entries: Entry, day: int, opening: str) -> None:
    content = statement(*entries, day=f"2026-11-{20 + day}", opening=opening, statement_id=f"S-{day}")
    bank.import_statement(content)
    follow(bank)


def assert_tied(bank: Bank, in_transit: str, paid_out: str, as_of: datetime | None = None) -> None:
    run, found = reconcile(bank, as_of=as_of)
    assert run.verdict == "tied", [one.explanation for one in found]
    assert run.figures["control_account"]["payments_in_transit"] == in_transit
    assert run.figures["supply"]["paid_out"] == paid_out


def test_at_every_step_books_and_bank_tie(bank: Bank) -> None:
    open_on_statement(bank)
    one = pay_out(bank)
    make_file(bank)
    assert_tied(bank, "40.00", "40.00")
    told(bank, debit(bank, one), day=1, opening="100.00")
    assert_tied(bank, "0.00", "40.00")
    told(bank, returned(bank, one), day=2, opening="60.00")
    assert_tied(bank, "0.00", "0.00")


@pytest.mark.parametrize("amounts", [("10.00", "20.00", "30.00"), ("20.00", "20.00", "20.00")])
def test_a_file_that_is_booked_as_one_ties(bank: Bank, amounts: tuple[str, ...]) -> None:
    open_on_statement(bank)
    for one in amounts:
        pay_out(bank, one)
    message_id = make_file(bank).message_id
    told(bank, Entry("60.00", credit=False, end_to_end_id=f"{message_id}-1"), day=1, opening="100.00")

    assert_tied(bank, "0.00", "60.00")
    # A past moment is told without today's matches: what the entry settled pairs it.
    then = bank.clock.at
    bank.clock.at += timedelta(minutes=5)
    assert_tied(bank, "0.00", "60.00", as_of=then)


def test_equal_amounts_of_payouts_and_releases_tie_whichever_pairs_first(bank: Bank) -> None:
    open_on_statement(bank)
    bank.redeem(LANTERN, "40.00")
    one = pay_out(bank)
    make_file(bank)
    bank.release_deposit(LANTERN, "40.00")
    told(bank, Entry("40.00", credit=False), debit(bank, one), day=1, opening="100.00")

    assert_tied(bank, "0.00", "40.00")


def test_a_debit_nobody_asked_for_is_a_break(bank: Bank) -> None:
    open_on_statement(bank)
    one = pay_out(bank)
    make_file(bank)
    told(bank, debit(bank, one, "41.00"), day=1, opening="100.00")

    run, _ = reconcile(bank)
    assert run.verdict == "broken"
