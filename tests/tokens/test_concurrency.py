"""Many at once, on real connections with real commits: nothing is spent twice and no deadlock is seen by anybody."""

import random
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Final

import pytest

from tallystick.core.money import format_amount
from tallystick.tokens import Kind, Outcome, Request, Submission, settle
from tests.bank import Bank, oracle
from tests.tokens.together import at_once

HARBOUR: Final = "HARBOUR-USD"
LANTERN: Final = "LANTERN-USD"
RING: Final = ("HARBOUR-USD", "LANTERN-USD", "SILKROAD-USD", "NORTHWIND-USD")


def transfer(bank: Bank, payer: str, payee: str, amount: str, key: str | None = None) -> Request:
    return bank.request(
        Kind.TRANSFER,
        bank.maker,
        key=key,
        amount=amount,
        currency="USD",
        payer_account_id=bank.account_id(payer),
        payee_account_id=bank.account_id(payee),
    )


def code_of(outcome: Outcome) -> str:
    return "settled" if outcome.refusal is None else outcome.refusal.code


@pytest.mark.parametrize("rivals", [2, 10, 100])
def test_of_many_who_spend_the_whole_balance_one_succeeds(busy_bank: Bank, rivals: int) -> None:
    busy_bank.mint(HARBOUR, "10.00")
    requests = [transfer(busy_bank, HARBOUR, RING[1 + number % 3], "10.00") for number in range(rivals)]
    outcomes = at_once([partial(busy_bank.outcome, one) for one in requests])

    assert Counter(code_of(one) for one in outcomes) == {"settled": 1, "insufficient_funds": rivals - 1}
    assert sum(busy_bank.balance_minor("2110", account) for account in RING) == 1000
    oracle(busy_bank)


@pytest.mark.parametrize("kind", [Kind.REDEMPTION, Kind.HOLD, Kind.DEPOSIT_RELEASE])
def test_one_balance_pays_for_one_of_any_kind(busy_bank: Bank, kind: Kind) -> None:
    busy_bank.mint(HARBOUR, "10.00")
    busy_bank.deposit(HARBOUR, "10.00")
    asked = {
        "amount": "10.00",
        "currency": "USD",
        "payer_account_id": busy_bank.account_id(HARBOUR),
        **({"payee_account_id": busy_bank.account_id(LANTERN)} if kind == Kind.HOLD else {}),
    }
    requests = [busy_bank.request(kind, busy_bank.maker, **asked) for _ in range(8)]
    outcomes = at_once([partial(busy_bank.outcome, one) for one in requests])
    assert Counter(code_of(one) for one in outcomes) == {"settled": 1, "insufficient_funds": 7}
    oracle(busy_bank)


def test_one_hold_is_paid_out_or_given_back_once(busy_bank: Bank) -> None:
    busy_bank.mint(HARBOUR, "10.00")
    hold_id = busy_bank.hold(HARBOUR, LANTERN, "10.00")
    requests = [
        busy_bank.request(
            Kind.HOLD_EXECUTION, busy_bank.maker, related_id=hold_id, amount="10.00", currency="USD"
        )
        if number % 2
        else busy_bank.request(Kind.HOLD_VOID, busy_bank.maker, related_id=hold_id)
        for number in range(10)
    ]
    outcomes = at_once([partial(busy_bank.outcome, one) for one in requests])
    assert Counter(code_of(one) for one in outcomes) == {"settled": 1, "hold_closed": 9}
    assert busy_bank.balance_minor("2120", HARBOUR) == 0
    oracle(busy_bank)


def test_rings_and_opposite_transfers_wait_for_each_other_without_deadlock(busy_bank: Bank) -> None:
    for account in RING:
        busy_bank.mint(account, "5.00")
    picked = random.Random(7)

    def batch(worker: int) -> list[Submission]:
        """Return transfers that touch the accounts in an order of this worker's own: round, back, or any."""
        steps = []
        for step in range(4):
            here = (worker + step) % 4 if worker % 3 else (worker - step) % 4
            there = (here + (1 if worker % 2 else 3)) % 4
            amount = format_amount(picked.randrange(1, 200), 2)
            steps.append(Submission((transfer(busy_bank, RING[here], RING[there], amount),)))
        return steps

    def work(batches: list[list[Submission]]) -> list[str]:
        # One attempt only: a deadlock that running again would hide is one too many.
        return [
            code_of(one.outcomes[0])
            for batch in batches
            for one in busy_bank.database.run(
                lambda connection, batch=batch: settle(  # type: ignore[misc]
                    connection, busy_bank.settler, busy_bank.issuer_id, batch
                ),
                attempts_max=1,
            )
        ]

    workers = [[batch(worker) for _ in range(5)] for worker in range(24)]
    codes = Counter(code for found in at_once([partial(work, one) for one in workers]) for code in found)

    assert set(codes) <= {"settled", "insufficient_funds"}
    assert codes.total() == 24 * 5 * 4
    assert sum(busy_bank.balance_minor("2110", account) for account in RING) == 2000
    oracle(busy_bank)


def test_fifty_with_one_key_have_one_effect_and_one_answer(busy_bank: Bank) -> None:
    busy_bank.mint(HARBOUR, "10.00")
    requests = [transfer(busy_bank, HARBOUR, LANTERN, "1.00", key="the same") for _ in range(50)]
    outcomes = at_once([partial(busy_bank.outcome, one) for one in requests])

    assert {one.refusal for one in outcomes} == {None}
    assert len({one.body for one in outcomes}) == 1
    assert Counter(one.replayed for one in outcomes) == {True: 49, False: 1}
    assert busy_bank.balance_minor("2110", LANTERN) == 100
    oracle(busy_bank)


def test_every_kind_at_once(busy_bank: Bank) -> None:
    bank = busy_bank
    for account in RING:
        bank.mint(account, "50.00")
        bank.deposit(account, "50.00")
    transfers = [bank.transfer(HARBOUR, LANTERN, "1.00") for _ in range(8)]
    holds = [bank.hold(LANTERN, HARBOUR, "1.00") for _ in range(8)]
    waiting = [
        bank.ask(
            Kind.MINT, bank.maker, amount="1.00", currency="USD", payee_account_id=bank.account_id(account)
        ).resource_id
        for account in RING * 2
    ]
    ways: list[Callable[[], object]] = [
        *[partial(bank.reverse, one, "1.00") for one in transfers],
        *[partial(bank.execute_hold, one, "0.50") for one in holds],
        *[partial(bank.approve, one, "1.00", "USD") for one in waiting],
        *[partial(bank.transfer, one, HARBOUR, "2.00") for one in RING[1:] * 2],
        *[partial(bank.redeem, one, "2.00") for one in RING],
        *[partial(bank.release_deposit, one, "2.00") for one in RING],
        *[partial(bank.deposit, one, "2.00") for one in RING],
        *[partial(bank.mint, one, "2.00") for one in RING],
        lambda: (bank.freeze("NORTHWIND-EUR"), bank.unfreeze("NORTHWIND-EUR")),
        lambda: bank.close_account("HARBOUR-EUR"),
    ]
    random.Random(11).shuffle(ways)
    at_once(ways)
    # What was transferred came back; 50 on each of four, 8 that waited and 2 on each of four, less 2 of each redeemed.
    supply = sum(bank.balance_minor(code, account) for account in RING for code in ("2110", "2120"))
    assert supply == 20_800
    oracle(bank)
