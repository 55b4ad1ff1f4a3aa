"""What matching ties is not a break: payments in parts, and several in one; what differs stays one, with its match."""

from tests.bank import Bank
from tests.matching.helpers import accepted, debit, run, told
from tests.matching.test_matching import release
from tests.reconciliation.runs import reconcile
from tests.reconciliation.runs import told as told_of


def with_deposit(bank: Bank) -> None:
    bank.deposit("HARBOUR-USD", "500.00")


def test_a_release_that_the_bank_paid_in_parts_is_no_break(bank: Bank) -> None:
    with_deposit(bank)
    release(bank, "42.00", "OUT-1")
    told(
        bank,
        debit("40.00", end_to_end_id="OUT-1"),
        debit("2.00", end_to_end_id="OUT-1"),
        opening="500.00",
    )
    before, found = reconcile(bank)
    outgoing = [
        ("missing_bank_entry", -4_200),
        ("unexpected_bank_entry", 200),
        ("unexpected_bank_entry", 4_000),
    ]
    assert [one for one in sorted(told_of(found)) if one in outgoing] == outgoing

    run(bank)
    assert len(accepted(bank)) == 1

    after, found_after = reconcile(bank)
    assert [one for one in told_of(found_after) if one in outgoing] == []
    # Everything else is as it was, and so is the difference that it explains.
    assert sorted(told_of(found_after)) == sorted(one for one in told_of(found) if one not in outgoing)
    assert after.figures["control_account"] == before.figures["control_account"]


def test_a_past_moment_is_told_as_pairing_sees_it(bank: Bank) -> None:
    with_deposit(bank)
    release(bank, "42.00", "OUT-1")
    told(
        bank,
        debit("40.00", end_to_end_id="OUT-1"),
        debit("2.00", end_to_end_id="OUT-1"),
        opening="500.00",
    )
    now = bank.clock.now()
    before = told_of(reconcile(bank, as_of=now)[1])
    run(bank)
    assert told_of(reconcile(bank, as_of=now)[1]) == before
