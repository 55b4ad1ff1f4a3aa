"""Holds: what is held is spent by nobody, paid out at most once, and given back to the last cent."""

from collections.abc import Callable
from datetime import timedelta
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick import tokens
from tallystick.core.errors import DomainError
from tallystick.core.money import format_amount
from tallystick.tokens import Instruction, Kind, Submission
from tests.bank import OPENED_AT, Bank, oracle

HARBOUR: Final = "HARBOUR-USD"
LANTERN: Final = "LANTERN-USD"


def read(bank: Bank, hold_id: str) -> Instruction:
    with bank.database.read() as connection:
        return tokens.instruction(connection, bank.maker, Kind.HOLD, hold_id)


def balances(bank: Bank) -> tuple[int, int, int]:
    """Return HARBOUR's available and held tokens, and LANTERN's available ones."""
    return (
        bank.balance_minor("2110", HARBOUR),
        bank.balance_minor("2120", HARBOUR),
        bank.balance_minor("2110", LANTERN),
    )


def test_a_hold_is_paid_out_in_parts(bank: Bank) -> None:
    bank.mint(HARBOUR, "10.00")
    hold_id = bank.hold(HARBOUR, LANTERN, "6.00")
    assert balances(bank) == (400, 600, 0)
    bank.execute_hold(hold_id, "2.00")
    assert balances(bank) == (400, 400, 200)
    assert (read(bank, hold_id).state, read(bank, hold_id).remaining_minor) == ("held", 400)
    bank.execute_hold(hold_id, "4.00")
    assert balances(bank) == (400, 0, 600)
    assert (read(bank, hold_id).state, read(bank, hold_id).remaining_minor) == ("executed", 0)
    ways: list[Callable[[], str]] = [
        lambda: bank.execute_hold(hold_id, "0.01"),
        lambda: bank.void_hold(hold_id),
    ]
    for act in ways:
        with pytest.raises(DomainError) as refused:
            act()
        assert refused.value.code == "hold_closed"
    oracle(bank)


def test_what_remains_is_given_back(bank: Bank) -> None:
    bank.mint(HARBOUR, "10.00")
    hold_id = bank.hold(HARBOUR, LANTERN, "6.00")
    bank.execute_hold(hold_id, "1.00")
    bank.void_hold(hold_id)
    assert balances(bank) == (900, 0, 100)
    assert (read(bank, hold_id).state, read(bank, hold_id).remaining_minor) == ("voided", 0)
    oracle(bank)


def test_held_tokens_are_spent_by_nobody(bank: Bank) -> None:
    bank.mint(HARBOUR, "10.00")
    bank.hold(HARBOUR, LANTERN, "6.00")
    ways: list[Callable[[], str]] = [
        lambda: bank.transfer(HARBOUR, LANTERN, "4.01"),
        lambda: bank.redeem(HARBOUR, "4.01"),
        lambda: bank.hold(HARBOUR, LANTERN, "4.01"),
        lambda: bank.close_account(HARBOUR),
    ]
    for act in ways:
        with pytest.raises(DomainError):
            act()
    assert balances(bank) == (400, 600, 0)


def test_one_hold_does_not_pay_for_another(bank: Bank) -> None:
    bank.mint(HARBOUR, "10.00")
    small, _ = bank.hold(HARBOUR, LANTERN, "1.00"), bank.hold(HARBOUR, LANTERN, "9.00")
    with pytest.raises(DomainError) as refused:
        bank.execute_hold(small, "1.01")
    assert refused.value.code == "remaining_exceeded"


def test_an_expired_hold_can_only_be_given_back(bank: Bank) -> None:
    bank.mint(HARBOUR, "10.00")
    hold_id = bank.hold(HARBOUR, LANTERN, "6.00", expires_at=OPENED_AT + timedelta(hours=1))
    bank.clock.at = OPENED_AT + timedelta(hours=1, microseconds=-1)
    bank.execute_hold(hold_id, "1.00")
    bank.clock.at = OPENED_AT + timedelta(hours=1)
    with pytest.raises(DomainError) as refused:
        bank.execute_hold(hold_id, "1.00")
    assert refused.value.code == "hold_expired"
    bank.void_hold(hold_id)
    assert balances(bank) == (900, 0, 100)
    oracle(bank)


def test_executions_and_voids_in_one_transaction_see_each_other(bank: Bank) -> None:
    bank.mint(HARBOUR, "10.00")
    hold_id = bank.hold(HARBOUR, LANTERN, "6.00")

    def execution(amount: str) -> Submission:
        return Submission(
            (
                bank.request(
                    Kind.HOLD_EXECUTION, bank.maker, related_id=hold_id, amount=amount, currency="USD"
                ),
            )
        )

    void = [Submission((bank.request(Kind.HOLD_VOID, bank.maker, related_id=hold_id),)) for _ in range(2)]
    settled = bank.settle(execution("4.00"), execution("4.00"), execution("1.00"), *void, execution("0.01"))

    refusals = [one.outcomes[0].refusal for one in settled]
    assert [None if refusal is None else refusal.code for refusal in refusals] == [
        None,
        "remaining_exceeded",
        None,
        None,
        "hold_closed",
        "hold_closed",
    ]
    assert balances(bank) == (500, 0, 500)
    oracle(bank)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["execute", "void"]), st.integers(1, 40)), min_size=1, max_size=8))
def test_released_and_refunded_are_what_was_held(shared_bank: Bank, steps: list[tuple[str, int]]) -> None:
    shared_bank.mint(HARBOUR, "1.00")
    available, held, paid = balances(shared_bank)
    hold_id = shared_bank.hold(HARBOUR, LANTERN, "1.00")
    remaining, is_open = 100, True
    for step, minor in steps:
        exceeds = step == "execute" and minor > remaining
        expected = "" if is_open and not exceeds else "remaining_exceeded" if is_open else "hold_closed"
        assert refused(shared_bank, hold_id, step, minor) == expected
        if not expected and step == "execute":
            remaining, paid, available = remaining - minor, paid + minor, available - minor
            is_open = remaining > 0
        elif not expected:
            remaining, is_open = 0, False
        assert balances(shared_bank) == (available - remaining, held + remaining, paid)


def refused(bank: Bank, hold_id: str, step: str, minor: int) -> str:
    try:
        bank.void_hold(hold_id) if step == "void" else bank.execute_hold(hold_id, format_amount(minor, 2))
    except DomainError as refusal:
        return refusal.code
    return ""
