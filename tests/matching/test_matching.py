"""The bank's entries and the books' instructions, matched in a bank of the tests."""

from typing import Any

import pytest

from tallystick import matching
from tallystick.core.ids import suffix_of
from tallystick.matching import Expected, ItemKind, Side
from tallystick.tokens import Kind
from tests.bank import Bank, oracle
from tests.camt_writer import Entry, replace
from tests.matching.helpers import accepted, debit, matches, open_ids, open_now, run, shown, told
from tests.statements.imports import confirm_by_hand

CREDIT = Entry("100.00", remittance="HARBOUR-USD", bank_reference="B-1")


def release(bank: Bank, amount: str, reference: str | None = None, account: str = "HARBOUR-USD") -> str:
    return bank.ask(
        Kind.DEPOSIT_RELEASE,
        bank.maker,
        payer_account_id=bank.account_id(account),
        amount=amount,
        currency="USD",
        reference=reference,
    ).resource_id


def redeem(bank: Bank, amount: str, reference: str | None = None) -> str:
    return bank.ask(
        Kind.REDEMPTION,
        bank.maker,
        payer_account_id=bank.account_id("HARBOUR-USD"),
        amount=amount,
        currency="USD",
        reference=reference,
    ).resource_id


def test_credits_are_tied_to_the_deposits_that_they_became(bank: Bank) -> None:
    statement_id = told(bank, CREDIT, replace(CREDIT, remittance="Who knows", bank_reference="B-2"))

    first = run(bank)

    [tie] = accepted(bank, statement_id=statement_id)
    assert (tie.rule, tie.confidence, tie.kind, tie.difference_minor) == ("evidence", "exact", "deposit", 0)
    assert (tie.bank_item_ids, tie.bank_minor) == ([f"{statement_id}.1"], 10_000)
    assert suffix_of(tie.id) == suffix_of(tie.book_item_ids[0])
    assert open_ids(bank, Side.BANK) == [f"{statement_id}.2"]
    assert (first.matched_count, first.open_bank_count, first.open_books_count) == (0, 1, 0)
    assert matches(bank) == [tie]

    assert run(bank)[1:] == first[1:]
    assert matches(bank) == [tie]


def test_a_deposit_that_waited_is_tied_once_it_is_assigned(bank: Bank) -> None:
    statement_id = told(bank, replace(CREDIT, remittance="Who knows"))
    run(bank)
    [deposit] = bank.database.run(
        lambda connection: [
            one.deposit_id
            for one in __import__("tallystick.statements", fromlist=["entries"]).entries(
                connection, bank.issuer_id, statement_id
            )
        ]
    )
    bank.ask(
        Kind.DEPOSIT_ASSIGNMENT,
        bank.maker,
        related_id=deposit,
        payee_account_id=bank.account_id("LANTERN-USD"),
        reason="Lantern's.",
    )

    run(bank)

    [tie] = accepted(bank)
    assert (tie.rule, tie.book_item_ids) == ("evidence", [deposit])
    assert open_ids(bank, Side.BANK) == open_ids(bank, Side.BOOKS) == []


@pytest.mark.parametrize("how", ["id", "bare_id", "text", "reference"])
def test_a_debit_is_tied_to_the_release_that_it_refers_to(bank: Bank, how: str) -> None:
    bank.deposit("HARBOUR-USD", "500.00")
    released = release(bank, "40.00", "OUT-1")
    release(bank, "40.00", "OUT-2")
    text: dict[str, Any] = {
        "id": {"end_to_end_id": released},
        "bare_id": {"end_to_end_id": suffix_of(released).upper()},
        "text": {"remittance": f"Your order {released}, thank you"},
        "reference": {"end_to_end_id": "OUT-1"},
    }[how]

    told(bank, debit("40.00", **text), opening="500.00")
    run(bank)

    [tie] = accepted(bank)
    rule = "end_to_end_id" if how == "reference" else "our_reference"
    assert (tie.rule, tie.confidence, tie.kind, tie.book_item_ids) == (
        rule,
        "exact",
        "deposit_release",
        [released],
    )
    assert tie.bank_minor == -4_000
    oracle(bank)


def test_a_debit_of_another_amount_is_suggested_with_its_difference(bank: Bank) -> None:
    bank.deposit("HARBOUR-USD", "500.00")
    released = release(bank, "40.00", "OUT-1")

    told(bank, debit("40.05", end_to_end_id="OUT-1"), opening="500.00")
    run(bank)

    [one] = matches(bank, state="proposed")
    assert (one.rule, one.confidence, one.book_item_ids, one.difference_minor) == (
        "end_to_end_id",
        "fair",
        [released],
        -5,
    )


def test_several_releases_that_one_debit_refers_to_are_tied_together(bank: Bank) -> None:
    bank.deposit("HARBOUR-USD", "500.00")
    first, second = release(bank, "40.00"), release(bank, "2.00")

    told(bank, debit("42.00", remittance=f"{first} and {second}"), opening="500.00")
    run(bank)

    [tie] = accepted(bank)
    assert (tie.rule, sorted(tie.book_item_ids)) == ("our_reference", sorted([first, second]))


def test_one_release_that_the_bank_paid_in_parts(bank: Bank) -> None:
    bank.deposit("HARBOUR-USD", "500.00")
    released = release(bank, "42.00", "OUT-1")

    told(
        bank,
        debit("40.00", end_to_end_id="OUT-1"),
        debit("2.00", end_to_end_id="OUT-1"),
        opening="500.00",
    )
    run(bank)

    [tie] = accepted(bank)
    assert (tie.rule, len(tie.bank_item_ids), tie.book_item_ids) == ("end_to_end_id", 2, [released])


def test_of_two_debits_for_one_release_the_second_stays_open(bank: Bank) -> None:
    bank.deposit("HARBOUR-USD", "500.00")
    release(bank, "40.00", "OUT-1")

    statement_id = told(bank, *[debit("40.00", end_to_end_id="OUT-1")] * 2, opening="500.00")
    run(bank)

    [tie] = accepted(bank)
    assert tie.bank_item_ids == [f"{statement_id}.1"]
    assert open_ids(bank, Side.BANK) == [f"{statement_id}.2"]


def test_amount_and_counterparty_stand_by_themselves_and_amount_alone_is_suggested(bank: Bank) -> None:
    iban = bank.accounts["HARBOUR-EUR"].deposit_iban
    bank.deposit("HARBOUR-EUR", "500.00")
    for amount in ("40.00", "7.00"):
        bank.release_deposit("HARBOUR-EUR", amount)
    from tests.camt_writer import EUR_CONTROL, Stated, message

    content = message(
        Stated((debit("40.00"), debit("7.00")), account=EUR_CONTROL, currency="EUR", opening="500.00")
    ).replace(
        b"</TxDtls>",
        f"<RltdPties><CdtrAcct><Id><IBAN>{iban}</IBAN></Id></CdtrAcct></RltdPties></TxDtls>".encode(),
        1,
    )
    bank.import_statement(content)
    run(bank, "EUR")

    assert shown(accepted(bank)) == [("amount_and_counterparty", "strong", "deposit_release", -4_000)]
    assert shown(matches(bank, state="proposed")) == [("amount_and_day", "fair", "deposit_release", -700)]


def test_what_is_strong_is_given_up_for_what_is_exact(bank: Bank) -> None:
    """The second statement shows that the first debit's release was meant for another."""
    bank.deposit("HARBOUR-USD", "500.00")
    number = bank.accounts["HARBOUR-USD"].deposit_account_number
    released = release(bank, "40.00", "OUT-1")
    first = statement_with_creditor(bank, [debit("40.00")], number, opening="500.00")
    run(bank)
    assert [(one.rule, one.bank_item_ids) for one in accepted(bank)] == [
        ("amount_and_counterparty", [f"{first}.1"])
    ]

    second = told(bank, debit("40.00", end_to_end_id="OUT-1"), day="2026-11-21", opening="460.00")
    run(bank)

    assert [(one.rule, one.bank_item_ids, one.book_item_ids) for one in accepted(bank)] == [
        ("end_to_end_id", [f"{second}.1"], [released])
    ]
    assert [one.rule for one in matches(bank, state="superseded")] == ["amount_and_counterparty"]
    assert open_ids(bank, Side.BANK) == [f"{first}.1"]


def statement_with_creditor(bank: Bank, entries: list[Entry], number: str | None, **stated: Any) -> str:
    from tests.camt_writer import statement

    account = f"<RltdPties><CdtrAcct><Id><Othr><Id>{number}</Id></Othr></Id></CdtrAcct></RltdPties></TxDtls>"
    content = statement(*entries, **stated).replace(b"</TxDtls>", account.encode())
    [one] = bank.import_statement(content).statements
    return one.statement.id


def test_sums_are_suggested_if_there_is_one_way_only(bank: Bank) -> None:
    bank.deposit("HARBOUR-USD", "500.00")
    parts = [release(bank, amount) for amount in ("10.00", "20.00", "45.00")]

    told(bank, debit("30.00"), debit("45.01"), opening="500.00")
    run(bank)

    [one] = matches(bank, state="proposed")
    assert (one.rule, one.confidence, sorted(one.book_item_ids)) == ("sum_and_day", "weak", sorted(parts[:2]))


def test_the_bank_takes_back_its_own_entry(bank: Bank) -> None:
    twice = replace(debit("40.00", end_to_end_id="E-1"), bank_reference="B-7")

    statement_id = told(bank, twice, replace(twice, credit=True, reversal=True), opening="500.00")
    run(bank)

    [one] = accepted(bank)
    assert (one.rule, one.kind, one.bank_minor, one.book_item_ids) == ("reversal", "reversal", 0, [])
    assert sorted(one.bank_item_ids) == [f"{statement_id}.1", f"{statement_id}.2"]


def test_a_debit_for_a_redemption_that_was_not_released_yet(bank: Bank) -> None:
    bank.mint("HARBOUR-USD", "100.00")
    redeemed = redeem(bank, "60.00", "PAYOUT-9")
    statement_id = told(bank, debit("60.00", end_to_end_id="PAYOUT-9"), opening="100.00")

    run(bank)

    [tie] = accepted(bank)
    assert (tie.rule, tie.kind, tie.book_item_ids) == ("end_to_end_id", "redemption", [redeemed])
    [waiting] = open_now(bank).bank
    assert (waiting.item.id, waiting.anticipated_by) == (f"{statement_id}.1", redeemed)

    released = release(bank, "60.00", "PAYOUT-9")
    run(bank)

    assert [(one.kind, one.book_item_ids) for one in accepted(bank)] == [("deposit_release", [released])]
    assert [one.item.id for one in open_now(bank).bank] == []


def test_a_payout_is_expected_before_it_is_booked(bank: Bank) -> None:
    bank.deposit("HARBOUR-USD", "500.00")
    uetr = "255ae394-9965-4438-ac86-f406feada396"
    payout = f"payout_{'0' * 26}"
    expected = Expected(
        payout, ItemKind.PAYOUT, -2_500, bank.clock.now().date(), uetr=uetr, references=("P-1",)
    )
    for _ in range(2):
        bank.database.run(
            lambda connection: matching.expect(
                connection, bank.clock, bank.issuer_id, bank.classes["USD"].id, [expected]
            )
        )
    statement_id = told(bank, debit("25.00", uetr=uetr.upper().lower()), opening="500.00")

    run(bank)

    [tie] = accepted(bank)
    assert (tie.rule, tie.kind, tie.book_item_ids) == ("uetr", "payout", [payout])
    with bank.database.read() as connection:
        found = matching.match_of_item(connection, bank.issuer_id, payout)
    assert found == tie
    assert [one.anticipated_by for one in open_now(bank).bank] == [payout]
    assert open_ids(bank, Side.BANK) == []
    assert statement_id == tie.statement_id


def test_what_lies_beyond_either_time_is_open(bank: Bank) -> None:
    by_hand = confirm_by_hand(bank, "HARBOUR-USD", "100.00")
    run(bank)
    assert [one.item.id for one in open_now(bank).books] == [by_hand]

    later = told(bank, CREDIT)
    run(bank)

    assert open_now(bank).books == open_now(bank).bank == ()
    # As of the log before the deposit the bank's credit is ahead.
    [ahead] = open_now(bank, event_index=-1).bank
    assert (ahead.item.id, ahead.waits_for) == (f"{later}.1", (by_hand,))


def test_holds_on_a_customers_own_account(bank: Bank) -> None:
    push(bank, "100.00", "H-1", hour=1)
    push(bank, "250.00", "H-2", hour=3)
    first = confirm_by_hand(bank, "HARBOUR-USD", "100.00")
    others = [confirm_by_hand(bank, "HARBOUR-USD", amount) for amount in ("90.00", "60.00")]

    run(bank)

    assert shown(accepted(bank)) == [("amount_and_counterparty", "strong", "deposit", 10_000)]
    [parts] = matches(bank, state="proposed")
    assert (parts.rule, sorted(parts.book_item_ids)) == ("sum_and_counterparty", sorted(others))

    # A figure that comes late parts the change behind it in two.
    push(bank, "190.00", "H-1a", hour=2)
    run(bank)
    assert sorted((one.rule, one.bank_minor) for one in accepted(bank)) == [
        ("amount_and_counterparty", 6_000),
        ("amount_and_counterparty", 9_000),
        ("amount_and_counterparty", 10_000),
    ]
    assert [one.state for one in matches(bank) if one.rule == "sum_and_counterparty"] == ["superseded"]
    assert first in {one.book_item_ids[0] for one in accepted(bank)}
    assert open_ids(bank, Side.BANK) == open_ids(bank, Side.BOOKS) == []


def test_a_hold_that_was_released(bank: Bank) -> None:
    confirm_by_hand(bank, "HARBOUR-USD", "100.00")
    push(bank, "100.00", "H-1", hour=1)
    run(bank)
    release(bank, "30.00")
    push(bank, "70.00", "H-2", hour=2)
    push(bank, "70.00", "H-3", hour=3)

    run(bank)

    assert sorted((one.kind, one.bank_minor) for one in accepted(bank)) == [
        ("deposit", 10_000),
        ("deposit_release", -3_000),
    ]
    assert open_ids(bank, Side.BANK) == []


def push(bank: Bank, figure: str, reference: str, *, hour: int) -> None:
    from tallystick import statements

    new = statements.NewDepositBalance(
        token_class_id=bank.classes["USD"].id,
        account_id=bank.account_id("HARBOUR-USD"),
        kind=statements.DepositBalanceKind.HOLD,
        figure=figure,
        currency="USD",
        overdrawn=False,
        as_of=bank.clock.now().replace(hour=hour),
        source="core",
        source_reference=reference,
    )
    bank.database.run(
        lambda connection: statements.record_deposit_balance(connection, bank.clock, bank.maker, new)
    )
