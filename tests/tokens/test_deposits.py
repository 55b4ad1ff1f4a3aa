"""Deposits: on a statement, by hand with two people, or found later; and never twice."""

import json
import threading
from typing import Any, Final

import orjson
import pytest
from jwt.utils import base64url_decode

from tallystick import tokens
from tallystick.core.errors import DomainError
from tallystick.tokens import Kind, Outcome
from tests.bank import Bank, oracle

HARBOUR: Final = "HARBOUR-USD"


def unassigned(bank: Bank, **asked: Any) -> str:
    outcome = bank.ask(
        Kind.DEPOSIT,
        bank.maker,
        **{
            "amount": "5.00",
            "currency": "USD",
            "token_class_id": bank.classes["USD"].id,
            "evidence": True,
            "related_id": "statement_0.1",
            **asked,
        },
    )
    assert outcome.status == 202
    return outcome.resource_id


def assign(bank: Bank, deposit_id: str, account: str) -> Outcome:
    return bank.outcome(
        bank.request(
            Kind.DEPOSIT_ASSIGNMENT,
            bank.maker,
            related_id=deposit_id,
            payee_account_id=bank.account_id(account),
        )
    )


def state_of(bank: Bank, deposit_id: str) -> str:
    with bank.database.read() as connection:
        return tokens.instruction(connection, bank.maker, Kind.DEPOSIT, deposit_id).state


def test_a_deposit_by_hand_waits_for_another_person(bank: Bank) -> None:
    asked = bank.ask(
        Kind.DEPOSIT, bank.maker, amount="5.00", currency="USD", payee_account_id=bank.account_id(HARBOUR)
    )
    assert asked.status == 202
    assert (state_of(bank, asked.resource_id), bank.balance_minor("2010", HARBOUR)) == ("pending_approval", 0)
    with pytest.raises(DomainError) as refused:
        bank.ask(
            Kind.MINT, bank.maker, amount="5.00", currency="USD", payee_account_id=bank.account_id(HARBOUR)
        )
    assert refused.value.code == "insufficient_funds"
    bank.approve(asked.resource_id, "5.00", "USD")
    assert (state_of(bank, asked.resource_id), bank.balance_minor("2010", HARBOUR)) == ("settled", 500)
    oracle(bank)


def test_a_deposit_on_a_statement_needs_nobody(bank: Bank) -> None:
    deposit_id = bank.deposit(HARBOUR, "5.00")
    assert (state_of(bank, deposit_id), bank.balance_minor("2010", HARBOUR)) == ("settled", 500)


def test_a_deposit_of_nobody_waits_and_counts_for_nothing(bank: Bank) -> None:
    deposit_id = unassigned(bank)
    assert state_of(bank, deposit_id) == "unassigned"
    assert bank.balance_minor("1100", "USD") == 0
    outcome = assign(bank, deposit_id, HARBOUR)
    assert (outcome.status, outcome.resource_id) == (201, deposit_id)
    assert (state_of(bank, deposit_id), bank.balance_minor("2010", HARBOUR)) == ("settled", 500)
    oracle(bank)


def test_an_assignment_tells_who_made_it_and_why(bank: Bank) -> None:
    deposit_id = unassigned(bank, reason="Found on statement 0.")
    outcome = bank.ask(
        Kind.DEPOSIT_ASSIGNMENT,
        bank.checker,
        related_id=deposit_id,
        payee_account_id=bank.account_id(HARBOUR),
        reason="Called the customer.",
    )
    answer = orjson.loads(outcome.body)
    payload = json.loads(base64url_decode(answer["signed_event"].split(".")[1]))
    assert payload["principal_id"] == bank.checker.id
    with bank.database.read() as connection:
        kept = tokens.instruction(connection, bank.maker, Kind.DEPOSIT, deposit_id)
    assert kept.reason == answer["reason"] == "Called the customer."


def test_a_deposit_without_a_statement_is_never_assigned_by_one_person(bank: Bank) -> None:
    with pytest.raises(DomainError) as refused:
        unassigned(bank, evidence=False)
    assert refused.value.code == "account_not_found"


def test_a_deposit_is_assigned_once_in_sequence_and_at_once(bank: Bank) -> None:
    first, second = unassigned(bank), unassigned(bank)
    assert assign(bank, first, HARBOUR).refusal is None
    again = assign(bank, first, "LANTERN-USD").refusal
    assert again is not None
    assert again.code == "deposit_not_assignable"

    accounts = ["HARBOUR-USD", "LANTERN-USD", "SILKROAD-USD", "NORTHWIND-USD"]
    start = threading.Barrier(len(accounts), timeout=30)
    refusals: list[DomainError | None] = []

    def try_to(account: str) -> None:
        start.wait()
        refusals.append(assign(bank, second, account).refusal)

    threads = [threading.Thread(target=try_to, args=(account,)) for account in accounts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert refusals.count(None) == 1
    assert {one.code for one in refusals if one} == {"deposit_not_assignable"}
    assert bank.balance_minor("1100", "USD") == 1000
    oracle(bank)


@pytest.mark.parametrize("account", ["HARBOUR-EUR"])
def test_a_deposit_goes_to_an_account_of_its_class(bank: Bank, account: str) -> None:
    refusal = assign(bank, unassigned(bank), account).refusal
    assert refusal is not None
    assert refusal.code == "token_class_mismatch"


def test_only_what_is_not_tokenised_is_released(bank: Bank) -> None:
    bank.mint(HARBOUR, "5.00")
    bank.deposit(HARBOUR, "1.00")
    with pytest.raises(DomainError) as refused:
        bank.release_deposit(HARBOUR, "1.01")
    assert refused.value.code == "insufficient_funds"
    bank.release_deposit(HARBOUR, "1.00")
    assert bank.balance_minor("1100", "USD") == 500
    oracle(bank)
