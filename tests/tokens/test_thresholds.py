"""How many people it takes: by amount, by the rules of the moment, and never fewer than were asked for."""

from typing import Any, Final

import pytest

from tallystick.participants import Principal
from tallystick.tokens import Kind, Outcome
from tests.bank import Bank, oracle
from tests.tokens.changing import another_checker, asked, code_of, log_of, vote

HARBOUR: Final = "HARBOUR-USD"
LANTERN: Final = "LANTERN-USD"
TWO_ABOVE: Final = [{"checkers": 1}, {"above": "100.00", "checkers": 2}]


@pytest.fixture
def checkers(bank: Bank) -> list[Principal]:
    """Three people who may check."""
    return [bank.checker, another_checker(bank), another_checker(bank, "Dora Checker")]


def asked_mint(bank: Bank, amount: str) -> str:
    bank.deposit(HARBOUR, amount)
    return bank.ask(
        Kind.MINT, bank.maker, amount=amount, currency="USD", payee_account_id=bank.account_id(HARBOUR)
    ).resource_id


def approve(bank: Bank, instruction_id: str, checker: Principal, amount: str) -> Outcome:
    return vote(bank, instruction_id, checker, amount=amount, currency="USD")


def minted(bank: Bank) -> int:
    return bank.balance_minor("2110", HARBOUR)


def decision(outcome: Outcome) -> tuple[str, str]:
    """Return what became of the approval and of what waited for it."""
    told: dict[str, Any] = asked(outcome)
    return told["state"], told["instruction"]["state"]


@pytest.mark.parametrize(("amount", "people"), [("0.01", 1), ("100.00", 1), ("100.01", 2), ("5000.00", 2)])
def test_an_amount_says_how_many_people_it_takes(
    bank: Bank, checkers: list[Principal], amount: str, people: int
) -> None:
    bank.enact(approvals={"mint": TWO_ABOVE})
    mint = asked_mint(bank, amount)
    for checker in checkers[: people - 1]:
        assert decision(approve(bank, mint, checker, amount)) == ("pending", "pending_approval")
        assert code_of(approve(bank, mint, checker, amount)) == "checker_has_voted"
        assert minted(bank) == 0
    last = approve(bank, mint, checkers[people - 1], amount)

    assert decision(last) == ("approved", "settled")
    assert minted(bank) == int(amount.replace(".", ""))
    *voted, event = log_of(bank)[-people - 1 :]
    assert [one["type"] for one in voted] == ["approval.approved"] * people
    assert event["approvals"] == [one["vote_hash"] for one in voted]
    assert code_of(approve(bank, mint, checkers[2], amount)) == "approval_closed"
    oracle(bank)


def test_one_no_is_enough(bank: Bank, checkers: list[Principal]) -> None:
    bank.enact(approvals={"mint": TWO_ABOVE})
    mint = asked_mint(bank, "200.00")
    approve(bank, mint, checkers[0], "200.00")
    assert code_of(vote(bank, mint, checkers[1], Kind.REJECT, reason="Twice.")) == "settled"
    assert code_of(approve(bank, mint, checkers[2], "200.00")) == "approval_closed"
    assert minted(bank) == 0
    oracle(bank)


def test_a_stricter_rule_counts_between_asking_and_approving(bank: Bank, checkers: list[Principal]) -> None:
    mint = asked_mint(bank, "200.00")
    bank.enact(approvals={"mint": [{"above": "100.00", "checkers": 3}]})
    assert decision(approve(bank, mint, checkers[0], "200.00")) == ("pending", "pending_approval")
    assert decision(approve(bank, mint, checkers[1], "200.00")) == ("pending", "pending_approval")
    assert minted(bank) == 0
    assert decision(approve(bank, mint, checkers[2], "200.00")) == ("approved", "settled")
    oracle(bank)


def test_a_laxer_rule_does_not(bank: Bank, checkers: list[Principal]) -> None:
    bank.enact(approvals={"mint": TWO_ABOVE})
    mint = asked_mint(bank, "200.00")
    bank.enact()
    assert decision(approve(bank, mint, checkers[0], "200.00")) == ("pending", "pending_approval")
    assert minted(bank) == 0
    assert decision(approve(bank, mint, checkers[1], "200.00")) == ("approved", "settled")
    # What is asked from now on is asked by the new rule.
    mint = asked_mint(bank, "200.00")
    assert decision(approve(bank, mint, checkers[0], "200.00")) == ("approved", "settled")
    oracle(bank)


def test_payments_wait_above_an_amount_and_settle_below_it(bank: Bank, checkers: list[Principal]) -> None:
    bank.mint(HARBOUR, "50.00")
    bank.enact(approvals={"transfer": [{"above": "5.00", "checkers": 1}], "redemption": [{"checkers": 2}]})
    bank.transfer(HARBOUR, LANTERN, "5.00", principal=bank.platform)
    assert bank.balance_minor("2110", LANTERN) == 500
    payment = bank.transfer(HARBOUR, LANTERN, "5.01", principal=bank.platform)
    assert bank.balance_minor("2110", LANTERN) == 500
    assert decision(approve(bank, payment, checkers[0], "5.01")) == ("approved", "settled")
    assert bank.balance_minor("2110", LANTERN) == 1001

    redemption = bank.redeem(HARBOUR, "0.01")
    assert decision(approve(bank, redemption, checkers[0], "0.01"))[0] == "pending"
    assert bank.balance_minor("2010", HARBOUR) == 0
    assert decision(approve(bank, redemption, checkers[1], "0.01"))[0] == "approved"
    assert bank.balance_minor("2010", HARBOUR) == 1
    oracle(bank)


def test_no_rule_makes_a_mint_take_nobody(bank: Bank) -> None:
    bank.enact(approvals={"mint": [{"above": "1000.00", "checkers": 2}]})
    mint = asked_mint(bank, "1.00")
    assert minted(bank) == 0
    assert decision(approve(bank, mint, bank.checker, "1.00")) == ("approved", "settled")
