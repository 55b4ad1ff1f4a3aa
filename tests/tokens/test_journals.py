"""What each kind of instruction debits and credits, its event, and the answer that tells of it."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final, NamedTuple

import pytest
from jwt.utils import base64url_decode

from tallystick import events, ledger
from tallystick.core.clock import format_time
from tallystick.core.ids import suffix_of
from tallystick.tokens import EVENT_TYPES, Kind
from tests.bank import Bank
from tests.tokens.paying import make_file, pay_out, step

PAYER: Final = "HARBOUR-USD"
PAYEE: Final = "LANTERN-USD"


class Case(NamedTuple):
    """A kind, how to ask for it, and its journal: (code, whose account, minor units), first debited, then credited."""

    kind: Kind
    settle: Callable[[Bank], str]
    debited: tuple[str, str, int] | None
    credited: tuple[str, str, int] | None
    approved: bool = False


def confirmed_by_hand(bank: Bank) -> str:
    asked = bank.ask(
        Kind.DEPOSIT, bank.maker, amount="5.00", currency="USD", payee_account_id=bank.account_id(PAYER)
    )
    bank.approve(asked.resource_id, "5.00", "USD")
    return asked.resource_id


def assigned(bank: Bank) -> str:
    waiting = bank.ask(
        Kind.DEPOSIT,
        bank.maker,
        amount="5.00",
        currency="USD",
        token_class_id=bank.classes["USD"].id,
        evidence=True,
        related_id="statement_0.1",
    )
    bank.ask(
        Kind.DEPOSIT_ASSIGNMENT,
        bank.maker,
        related_id=waiting.resource_id,
        payee_account_id=bank.account_id(PAYER),
    )
    return waiting.resource_id


def paid_out(bank: Bank) -> str:
    bank.mint(PAYER, "5.00")
    return pay_out(bank, "5.00", account=PAYER)


def stepped(kind: Kind) -> Callable[[Bank], str]:
    """Return how to have a payout of 5.00 take this step, behind those that come before it."""

    def settle(bank: Bank) -> str:
        payout_id = paid_out(bank)
        if kind != Kind.PAYOUT_CANCELLATION:
            make_file(bank)
        before = {
            Kind.PAYOUT_RETURN: [Kind.PAYOUT_SETTLEMENT],
            Kind.PAYOUT_GIVE_BACK: [Kind.PAYOUT_SETTLEMENT, Kind.PAYOUT_RETURN],
        }
        for one in before.get(kind, []):
            step(bank, one, payout_id)
        return step(bank, kind, payout_id).resource_id

    return settle


def released(bank: Bank) -> str:
    bank.deposit(PAYER, "5.00")
    return bank.release_deposit(PAYER, "5.00")


def transferred(bank: Bank) -> str:
    bank.mint(PAYER, "5.00")
    return bank.transfer(PAYER, PAYEE, "5.00")


def held(bank: Bank) -> str:
    bank.mint(PAYER, "5.00")
    return bank.hold(PAYER, PAYEE, "5.00")


def redeemed(bank: Bank) -> str:
    bank.mint(PAYER, "5.00")
    return bank.redeem(PAYER, "5.00")


def placed(bank: Bank) -> str:
    bank.mint("SILKROAD-USD", "5.00")
    return bank.place_order("SILKROAD-USD", "5.00", expires_at=bank.clock.now() + timedelta(hours=1))


def topped_up(bank: Bank) -> str:
    # On an account of its own: until it is served, nothing leaves.
    order_id = bank.place_order("NORTHWIND-USD", "5.00")
    bank.mint("NORTHWIND-USD", "5.00")
    top_up = bank.top_up_order(order_id).resource_id
    bank.lift_order(order_id)
    return top_up


def expired(bank: Bank) -> str:
    order_id = placed(bank)
    bank.clock.at += timedelta(hours=1)
    reason = "Its time was over."
    return bank.ask(Kind.ORDER_EXPIRY, bank.operator, related_id=order_id, reason=reason).resource_id


def unfrozen(bank: Bank) -> str:
    bank.freeze("NORTHWIND-USD")
    return bank.unfreeze("NORTHWIND-USD")


CASES: Final = {
    "deposit on a statement": Case(
        Kind.DEPOSIT, lambda bank: bank.deposit(PAYER, "5.00"), ("1100", "class", 500), ("2010", PAYER, 500)
    ),
    "deposit by hand": Case(
        Kind.DEPOSIT, confirmed_by_hand, ("1100", "class", 500), ("2010", PAYER, 500), approved=True
    ),
    "deposit assigned": Case(Kind.DEPOSIT, assigned, ("1100", "class", 500), ("2010", PAYER, 500)),
    "deposit released": Case(Kind.DEPOSIT_RELEASE, released, ("2010", PAYER, 500), ("1100", "class", 500)),
    "mint": Case(
        Kind.MINT,
        lambda bank: bank.mint(PAYER, "5.00"),
        ("2010", PAYER, 500),
        ("2110", PAYER, 500),
        approved=True,
    ),
    "transfer": Case(Kind.TRANSFER, transferred, ("2110", PAYER, 500), ("2110", PAYEE, 500)),
    "redemption": Case(Kind.REDEMPTION, redeemed, ("2110", PAYER, 500), ("2010", PAYER, 500)),
    "hold": Case(Kind.HOLD, held, ("2110", PAYER, 500), ("2120", PAYER, 500)),
    "hold executed": Case(
        Kind.HOLD_EXECUTION,
        lambda bank: bank.execute_hold(held(bank), "2.00"),
        ("2120", PAYER, 200),
        ("2110", PAYEE, 200),
    ),
    "hold voided": Case(
        Kind.HOLD_VOID, lambda bank: bank.void_hold(held(bank)), ("2120", PAYER, 500), ("2110", PAYER, 500)
    ),
    "transfer reversed": Case(
        Kind.REVERSAL,
        lambda bank: bank.reverse(transferred(bank), "3.00"),
        ("2110", PAYEE, 300),
        ("2110", PAYER, 300),
        approved=True,
    ),
    "order placed": Case(Kind.ORDER, placed, ("2110", "SILKROAD-USD", 500), ("2130", "SILKROAD-USD", 500)),
    "order topped up": Case(
        Kind.ORDER_TOP_UP, topped_up, ("2110", "NORTHWIND-USD", 500), ("2130", "NORTHWIND-USD", 500)
    ),
    "order lifted": Case(
        Kind.ORDER_LIFT,
        lambda bank: bank.lift_order(placed(bank)),
        ("2130", "SILKROAD-USD", 500),
        ("2110", "SILKROAD-USD", 500),
        approved=True,
    ),
    "order seized": Case(
        Kind.ORDER_SEIZURE,
        lambda bank: bank.seize(placed(bank), "3.00"),
        ("2130", "SILKROAD-USD", 300),
        ("2310", "class", 300),
        approved=True,
    ),
    "order expired": Case(
        Kind.ORDER_EXPIRY, expired, ("2130", "SILKROAD-USD", 500), ("2110", "SILKROAD-USD", 500)
    ),
    "payout accepted": Case(Kind.PAYOUT, paid_out, ("2110", PAYER, 500), ("2310", "class", 500)),
    "payout cancelled": Case(
        Kind.PAYOUT_CANCELLATION,
        stepped(Kind.PAYOUT_CANCELLATION),
        ("2310", "class", 500),
        ("2110", PAYER, 500),
    ),
    "payout rejected": Case(
        Kind.PAYOUT_REJECTION, stepped(Kind.PAYOUT_REJECTION), ("2310", "class", 500), ("2110", PAYER, 500)
    ),
    "payout settled": Case(
        Kind.PAYOUT_SETTLEMENT,
        stepped(Kind.PAYOUT_SETTLEMENT),
        ("2310", "class", 500),
        ("1100", "class", 500),
    ),
    "payout returned": Case(
        Kind.PAYOUT_RETURN, stepped(Kind.PAYOUT_RETURN), ("1100", "class", 500), ("2310", "class", 500)
    ),
    "payout given back": Case(
        Kind.PAYOUT_GIVE_BACK, stepped(Kind.PAYOUT_GIVE_BACK), ("2310", "class", 500), ("2110", PAYER, 500)
    ),
    "account frozen": Case(Kind.ACCOUNT_FREEZE, lambda bank: bank.freeze("SILKROAD-EUR"), None, None),
    "account unfrozen": Case(Kind.ACCOUNT_UNFREEZE, unfrozen, None, None, approved=True),
    "account closed": Case(
        Kind.ACCOUNT_CLOSURE, lambda bank: bank.close_account("NORTHWIND-EUR"), None, None
    ),
}


def ledger_id(bank: Bank, code: str, owner: str) -> str:
    return f"{code}.{bank.classes['USD'].id if owner == 'class' else bank.account_id(owner)}"


@pytest.mark.parametrize("name", CASES)
def test_every_kind_posts_its_journal_and_signs_its_event(shared_bank: Bank, name: str) -> None:
    bank, case = shared_bank, CASES[name]
    instruction_id = case.settle(bank)

    with bank.database.read() as connection:
        event = events.event(connection, bank.issuer_id, f"event_{suffix_of(instruction_id)}")
        lines = ledger.entry_lines(connection, bank.issuer_id, event.event_index, event.event_index)
    expected = [
        (ledger_id(bank, code, owner), *sides, "USD")
        for code, owner, *sides in [
            *([(*case.debited, 0)] if case.debited else []),
            *([(*case.credited[:2], 0, case.credited[2])] if case.credited else []),
        ]
    ]
    assert [
        (line.ledger_account_id, line.debit_minor, line.credit_minor, line.currency) for line in lines
    ] == expected
    assert [line.line_number for line in lines] == list(range(len(expected)))
    assert (event.type, event.subject_id) == (EVENT_TYPES[case.kind], instruction_id)
    payload = payload_of(event.jws)
    assert len(payload["approvals"]) == case.approved
    assert payload["booked_at"] == format_time(event.booked_at)
    assert payload["scale"] == 2
    amount = "0.00" if case.debited is None else f"{case.debited[2] / 100:.2f}"
    assert payload["amount"] == amount
    assert [line["account"] for line in payload["lines"]] == [line[0] for line in expected]


def payload_of(jws: str) -> dict[str, Any]:
    payload: dict[str, Any] = json.loads(base64url_decode(jws.split(".")[1]))
    return payload


def test_supply_and_claims_change_only_by_mints_redemptions_and_seizures(bank: Bank) -> None:
    def supply() -> int:
        claims = [
            (code, name) for code in ledger.CLAIM_CODES for name in bank.accounts if name.endswith("USD")
        ]
        return sum(bank.balance_minor(code, name) for code, name in claims)

    bank.deposit(PAYER, "9.00")
    assert supply() == 0
    bank.mint(PAYER, "5.00", deposited=False)
    assert supply() == 500
    hold = bank.hold(PAYER, PAYEE, "2.00")
    bank.execute_hold(hold, "1.00")
    bank.void_hold(hold)
    bank.transfer(PAYER, PAYEE, "1.00")
    bank.freeze("SILKROAD-USD")
    assert supply() == 500
    bank.redeem(PAYER, "2.00")
    assert supply() == 300
    bank.release_deposit(PAYER, "3.00")
    assert supply() == 300
    order = bank.place_order(PAYER)
    assert supply() == 300
    bank.seize(order, "0.50")
    bank.lift_order(order)
    assert supply() == 250
    assert (bank.balance_minor("1100", "USD"), bank.balance_minor("2310", "USD")) == (600, 50)


def test_every_posted_kind_has_a_case() -> None:
    assert {case.kind for case in CASES.values()} == set(EVENT_TYPES)
