"""Importing MT940 and MT942: the same deposits, the same links, whatever the format."""

import pytest

from tallystick import statements
from tests.bank import Bank, oracle
from tests.statements.imports import codes, counts, deposit, deposits_minor, entries, only
from tests.swift_writer import Line, mt940, mt942, replace

CREDIT = Line("100.00", "Funding HARBOUR-USD", servicer_reference="B-1")


def test_a_statements_credits_become_deposits(bank: Bank) -> None:
    stored = only(
        bank.import_statement(
            mt940(CREDIT, Line("7.00", "Who knows"), Line("2.00", mark="D"), number="324", opening="10.00")
        )
    )

    assert (stored.message_type, stored.bank_statement_id, stored.sequence_number) == (
        "MT940",
        "2026-11-20-324",
        324,
    )
    assert (stored.opening_minor, stored.closing_minor, stored.entry_count) == (1_000, 11_500, 3)
    kept = entries(bank, stored)
    assert [(one.signed_minor, one.matched_by) for one in kept] == [
        (10_000, "reference"),
        (700, None),
        (-200, None),
    ]
    assert deposit(bank, kept[1]).state == "unassigned"
    assert (kept[0].bank_reference, kept[0].remittance) == ("B-1", "Funding HARBOUR-USD")
    assert deposits_minor(bank, "HARBOUR-USD") == 10_000
    with bank.database.read() as connection:
        latest = statements.latest_statement(connection, bank.issuer_id, bank.classes["USD"].id)
    assert latest == stored
    oracle(bank)


def test_the_same_again_changes_nothing_and_another_is_refused(bank: Bank) -> None:
    content = mt940(CREDIT)
    bank.import_statement(content)
    before = counts(bank)

    assert not bank.import_statement(content.replace(b"\n", b"\r\n")).imported
    with pytest.raises(statements.StatementConflictError):
        bank.import_statement(mt940(replace(CREDIT, amount="100.01")))
    assert counts(bank) == before


def test_days_follow_each_other(bank: Bank) -> None:
    plain = replace(CREDIT, servicer_reference=None)
    first = only(bank.import_statement(mt940(plain, number="324")))
    next_day = mt940(
        replace(plain, day="261121", entry_day="1121"), day="261121", number="326", opening="100.00"
    )
    second = only(bank.import_statement(next_day))

    assert codes(bank, first) == ["previous_statement_unknown"]
    assert codes(bank, second) == ["sequence_gap"]


def test_an_interim_report_confirms_and_the_statement_is_linked(bank: Bank) -> None:
    [early] = entries(bank, only(bank.import_statement(mt942(CREDIT))))
    assert early.matched_by == "reference"

    [late] = entries(bank, only(bank.import_statement(mt940(CREDIT))))

    assert (late.deposit_id, late.matched_by) == (early.deposit_id, "notified")
    assert deposits_minor(bank, "HARBOUR-USD") == 10_000
    oracle(bank)
