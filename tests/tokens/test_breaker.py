"""The breaker of issuance: it trips before the mint that is one too many, and two people let issuance go on."""

from collections import Counter
from datetime import timedelta
from functools import partial
from typing import Any, Final

import pytest

from tallystick import tokens
from tallystick.core.errors import DomainError
from tallystick.core.ids import with_prefix
from tallystick.tokens import Kind, Request, Submission
from tests.bank import Bank, oracle
from tests.tokens.changing import code_of, log_of, rows
from tests.tokens.together import at_once

HARBOUR: Final = "HARBOUR-USD"
LANTERN: Final = "LANTERN-USD"


def asked_mint(bank: Bank, amount: str = "1.00") -> Request:
    """Ask for a mint; return the approval that would let it through, under a key of its own."""
    bank.deposit(HARBOUR, amount)
    mint = bank.ask(
        Kind.MINT, bank.maker, amount=amount, currency="USD", payee_account_id=bank.account_id(HARBOUR)
    )
    return bank.request(
        Kind.APPROVE,
        bank.checker,
        related_id=with_prefix("approval", mint.resource_id),
        amount=amount,
        currency="USD",
    )


def mint(bank: Bank, amount: str = "1.00") -> str:
    return code_of(bank.outcome(asked_mint(bank, amount)))


def state_of(bank: Bank, currency: str = "USD") -> str:
    with bank.database.read() as connection:
        found = tokens.breakers(connection, bank.issuer_id).get(bank.classes[currency].id)
    return "closed" if found is None else found.state


def trips(bank: Bank) -> list[dict[str, Any]]:
    return [one for one in log_of(bank) if one["type"] == "breaker.tripped"]


def reset(bank: Bank) -> None:
    bank.run_clean()
    bank.approve(bank.change("breaker_reset", bank.classes["USD"].id).resource_id)


def test_one_mint_too_many_trips_it(bank: Bank) -> None:
    bank.enact(breaker={"window_seconds": 60, "mints": 2})
    assert [mint(bank), mint(bank), state_of(bank)] == ["settled", "settled", "closed"]
    third = asked_mint(bank)
    assert code_of(bank.outcome(third)) == "breaker_tripped"

    assert (state_of(bank), bank.balance_minor("2110", HARBOUR)) == ("tripped", 200)
    [trip] = trips(bank)
    assert log_of(bank)[-1] == trip
    assert trip["token_class_id"] == bank.classes["USD"].id
    assert trip["reason"] == "More than 2 mints within 60 seconds."
    assert {"lines", "amount", "principal_id"}.isdisjoint(trip)
    # The refused approval left nothing else: no vote, no answer, and its key is free.
    assert rows(bank, "SELECT count(*) FROM approval WHERE state = 'pending'") == [(1,)]
    assert rows(bank, f"SELECT count(*) FROM answer WHERE key_digest = '\\x{third.key_digest.hex()}'") == [
        (0,)
    ]
    assert code_of(bank.outcome(third)) == "issuance_suspended"
    assert len(trips(bank)) == 1
    oracle(bank)


@pytest.mark.parametrize(
    ("amounts", "ends"),
    [
        (("6.00", "4.00", "0.01"), ("settled", "settled", "breaker_tripped")),
        (("10.01", "1.00"), ("breaker_tripped", "issuance_suspended")),
        (("9.99", "0.02"), ("settled", "breaker_tripped")),
    ],
)
def test_more_than_its_amount_trips_it(bank: Bank, amounts: tuple[str, ...], ends: tuple[str, ...]) -> None:
    bank.enact(breaker={"window_seconds": 60, "amount": "10.00"})
    approvals = [asked_mint(bank, amount) for amount in amounts]
    assert tuple(code_of(bank.outcome(one)) for one in approvals) == ends
    assert state_of(bank) == "tripped"
    oracle(bank)


def test_a_window_ends(bank: Bank) -> None:
    bank.enact(breaker={"window_seconds": 60, "mints": 1})
    assert mint(bank) == "settled"
    bank.clock.at += timedelta(seconds=60)
    assert mint(bank) == "settled"
    bank.clock.at += timedelta(seconds=60, microseconds=-1)
    assert mint(bank) == "breaker_tripped"


def test_it_trips_within_a_batch_and_nothing_behind_it_is_minted(bank: Bank) -> None:
    bank.enact(breaker={"window_seconds": 60, "mints": 2})
    bank.mint(HARBOUR, "1.00")
    approvals = [asked_mint(bank) for _ in range(4)]
    payment = bank.request(
        Kind.TRANSFER,
        bank.platform,
        amount="0.50",
        currency="USD",
        payer_account_id=bank.account_id(HARBOUR),
        payee_account_id=bank.account_id(LANTERN),
    )
    batch = [*approvals[:3], payment, approvals[3]]
    settled = bank.settle(*[Submission((one,)) for one in batch])

    assert [code_of(one.outcomes[0]) for one in settled] == [
        "settled",
        "breaker_tripped",
        "issuance_suspended",
        "settled",
        "issuance_suspended",
    ]
    assert [one["type"] for one in log_of(bank)[-4:]] == [
        "approval.approved",
        "token.minted",
        "breaker.tripped",
        "token.transferred",
    ]
    assert bank.balance_minor("2110", HARBOUR) == 150
    oracle(bank)


def test_it_holds_whoever_approves_at_once(bank: Bank) -> None:
    bank.enact(breaker={"window_seconds": 60, "mints": 3})
    approvals = [asked_mint(bank) for _ in range(10)]
    outcomes = at_once([partial(bank.outcome, one) for one in approvals])
    assert Counter(code_of(one) for one in outcomes) == {
        "settled": 3,
        "breaker_tripped": 1,
        "issuance_suspended": 6,
    }
    assert (bank.balance_minor("2110", HARBOUR), len(trips(bank))) == (300, 1)
    oracle(bank)


def test_only_issuance_stops(bank: Bank) -> None:
    bank.mint(HARBOUR, "5.00")
    bank.mint("HARBOUR-EUR", "1.00")
    bank.change("breaker_trip", bank.classes["USD"].id)

    bank.redeem(HARBOUR, "1.00")
    bank.transfer(HARBOUR, LANTERN, "1.00")
    hold = bank.hold(HARBOUR, LANTERN, "1.00")
    bank.execute_hold(hold, "1.00")
    bank.deposit(HARBOUR, "1.00")
    bank.release_deposit(HARBOUR, "1.00")
    bank.mint("HARBOUR-EUR", "1.00")
    with pytest.raises(DomainError) as refused:
        bank.mint(HARBOUR, "1.00")
    assert refused.value.code == "issuance_suspended"
    assert (state_of(bank), state_of(bank, "EUR")) == ("tripped", "closed")
    oracle(bank)


def test_one_person_stops_it_and_two_let_it_go_on(bank: Bank) -> None:
    waiting = asked_mint(bank)
    tripped = bank.change("breaker_trip", bank.classes["USD"].id)
    assert (tripped.status, state_of(bank)) == (201, "tripped")
    with pytest.raises(DomainError) as unproven:
        bank.change("breaker_reset", bank.classes["USD"].id)
    assert unproven.value.code == "clean_run_needed"
    bank.run_clean()
    asked_again = bank.change("breaker_reset", bank.classes["USD"].id)
    assert (asked_again.status, state_of(bank)) == (202, "tripped")
    assert code_of(bank.outcome(waiting)) == "issuance_suspended"
    bank.approve(asked_again.resource_id)
    assert state_of(bank) == "closed"
    assert code_of(bank.outcome(waiting)) == "settled"

    by_hand, voted, closed = [one for one in log_of(bank) if one.get("operation", "mint") != "mint"][:3]
    assert (by_hand["type"], by_hand["subject_id"]) == ("breaker.tripped", bank.classes["USD"].id)
    assert by_hand["principal_id"] == bank.operator.id
    assert (closed["type"], closed["approvals"]) == ("breaker.reset", [voted["vote_hash"]])
    oracle(bank)


def test_a_breaker_that_was_reset_trips_again(bank: Bank) -> None:
    """A reset forgives nothing: what was minted within the window counts on."""
    bank.enact(breaker={"window_seconds": 60, "mints": 1})
    assert [mint(bank), mint(bank)] == ["settled", "breaker_tripped"]
    reset(bank)
    assert mint(bank) == "breaker_tripped"
    reset(bank)
    bank.clock.at += timedelta(seconds=60)
    assert mint(bank) == "settled"
    assert len(trips(bank)) == 2
    oracle(bank)
