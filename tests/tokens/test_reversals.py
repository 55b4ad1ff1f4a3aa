"""Reversals: an error is put right by a new entry that names it, never beyond what was sent or what is left."""

from typing import Final

import pytest

from tallystick import tokens
from tallystick.core.errors import DomainError
from tallystick.core.ids import with_prefix
from tallystick.tokens import Instruction, Kind
from tests.bank import Bank, oracle

HARBOUR: Final = "HARBOUR-USD"
LANTERN: Final = "LANTERN-USD"


@pytest.fixture
def transfer_id(bank: Bank) -> str:
    bank.mint(HARBOUR, "10.00")
    return bank.transfer(HARBOUR, LANTERN, "6.00")


def asked(bank: Bank, transfer_id: str, amount: str) -> str:
    return bank.ask(
        Kind.REVERSAL, bank.maker, related_id=transfer_id, amount=amount, currency="USD", reason="Sent twice."
    ).resource_id


def read(bank: Bank, kind: Kind, instruction_id: str) -> Instruction:
    with bank.database.read() as connection:
        return tokens.instruction(connection, bank.maker, kind, instruction_id)


def refused_approval(bank: Bank, reversal_id: str, amount: str) -> str:
    with pytest.raises(DomainError) as refused:
        bank.approve(reversal_id, amount, "USD")
    return refused.value.code


def refused_request(bank: Bank, transfer_id: str, amount: str) -> str:
    with pytest.raises(DomainError) as refused:
        asked(bank, transfer_id, amount)
    return refused.value.code


def test_a_reversal_goes_the_other_way_and_names_what_it_reverses(bank: Bank, transfer_id: str) -> None:
    reversal_id = bank.reverse(transfer_id, "2.50")
    reversal = read(bank, Kind.REVERSAL, reversal_id)
    assert (reversal.payer_account_id, reversal.payee_account_id) == (
        bank.account_id(LANTERN),
        bank.account_id(HARBOUR),
    )
    assert (reversal.related_id, reversal.reason) == (transfer_id, "Sent twice.")
    assert read(bank, Kind.TRANSFER, transfer_id).remaining_minor == 350
    assert read(bank, Kind.TRANSFER, transfer_id).state == "settled"
    assert bank.balance_minor("2110", HARBOUR) == 650
    oracle(bank)


def test_no_more_is_reversed_than_was_sent(bank: Bank, transfer_id: str) -> None:
    bank.mint(LANTERN, "50.00")
    assert refused_request(bank, transfer_id, "6.01") == "remaining_exceeded"
    bank.reverse(transfer_id, "4.00")
    assert refused_request(bank, transfer_id, "2.01") == "remaining_exceeded"
    bank.reverse(transfer_id, "2.00")
    assert refused_request(bank, transfer_id, "0.01") == "remaining_exceeded"
    assert bank.balance_minor("2110", HARBOUR) == 1000
    oracle(bank)


def test_reversals_that_wait_side_by_side_do_not_exceed_it_either(bank: Bank, transfer_id: str) -> None:
    bank.mint(LANTERN, "50.00")
    first, second = asked(bank, transfer_id, "4.00"), asked(bank, transfer_id, "4.00")
    bank.approve(first, "4.00", "USD")
    assert refused_approval(bank, second, "4.00") == "remaining_exceeded"
    assert bank.balance_minor("2110", HARBOUR) == 800
    oracle(bank)


def test_approvals_of_two_reversals_in_one_transaction_see_each_other(bank: Bank, transfer_id: str) -> None:
    bank.mint(LANTERN, "50.00")
    waiting = [asked(bank, transfer_id, "4.00") for _ in range(2)]
    settled = bank.settle(
        *[
            tokens.Submission(
                (
                    bank.request(
                        Kind.APPROVE,
                        bank.checker,
                        related_id=with_prefix("approval", reversal_id),
                        amount="4.00",
                        currency="USD",
                    ),
                )
            )
            for reversal_id in waiting
        ]
    )
    refusals = [one.outcomes[0].refusal for one in settled]
    assert refusals[0] is None
    assert refusals[1] is not None
    assert refusals[1].code == "remaining_exceeded"
    assert read(bank, Kind.TRANSFER, transfer_id).remaining_minor == 200
    oracle(bank)


def test_no_more_is_taken_than_the_wrong_payee_still_has(bank: Bank, transfer_id: str) -> None:
    waiting = asked(bank, transfer_id, "6.00")
    bank.transfer(LANTERN, "SILKROAD-USD", "1.00")
    assert refused_request(bank, transfer_id, "5.01") == "insufficient_funds"
    assert refused_approval(bank, waiting, "6.00") == "insufficient_funds"
    bank.reverse(transfer_id, "5.00")
    assert bank.balance_minor("2110", LANTERN) == 0
    oracle(bank)


def test_a_frozen_payee_is_no_way_to_keep_what_was_sent_in_error(bank: Bank, transfer_id: str) -> None:
    bank.freeze(LANTERN)
    bank.reverse(transfer_id, "6.00")
    assert bank.balance_minor("2110", LANTERN) == 0


def test_nothing_comes_back_to_a_closed_account(bank: Bank, transfer_id: str) -> None:
    waiting = asked(bank, transfer_id, "1.00")
    bank.transfer(HARBOUR, "SILKROAD-USD", "4.00")
    bank.close_account(HARBOUR)
    assert refused_request(bank, transfer_id, "1.00") == "account_status_conflict"
    assert refused_approval(bank, waiting, "1.00") == "account_status_conflict"
    assert bank.balance_minor("2110", HARBOUR) == 0
    oracle(bank)


def test_only_transfers_are_reversed(bank: Bank, transfer_id: str) -> None:
    reversal_id = bank.reverse(transfer_id, "1.00")
    hold_id = bank.hold(HARBOUR, LANTERN, "1.00")
    execution_id = bank.execute_hold(hold_id, "1.00")
    for other in (
        reversal_id,
        hold_id,
        execution_id,
        bank.mint(HARBOUR, "1.00"),
        bank.redeem(HARBOUR, "1.00"),
    ):
        assert refused_request(bank, other, "1.00") == "not_reversible"


def test_a_rejected_reversal_changes_nothing(bank: Bank, transfer_id: str) -> None:
    bank.reject(asked(bank, transfer_id, "6.00"))
    assert read(bank, Kind.TRANSFER, transfer_id).remaining_minor is None
    assert bank.balance_minor("2110", LANTERN) == 600
