"""Asking for orders in tests, and looking at what came of them."""

from collections.abc import Callable
from typing import Any, Final

from tallystick import orders, tokens
from tallystick.core.errors import DomainError
from tallystick.core.ids import new_suffix
from tallystick.tokens import Kind, Outcome, Request
from tests.bank import Bank

HARBOUR: Final = "HARBOUR-USD"
LANTERN: Final = "LANTERN-USD"


def new_account(bank: Bank, available: str | None = None, holder: str = "LANTERN") -> str:
    """Open an account with so many tokens on it; return the name under which the bank has it."""
    with bank.database.engine.begin() as connection:
        opened = tokens.open_account(
            connection,
            bank.clock,
            bank.issuer_id,
            holder_id=bank.holders[holder].id,
            token_class_id=bank.classes["USD"].id,
            deposit_account_number=new_suffix(),
        )
    bank.accounts[opened.id] = opened
    if available is not None:
        bank.mint(opened.id, available)
    return opened.id


def code_of(outcome: Outcome) -> str:
    return "settled" if outcome.refusal is None else outcome.refusal.code


def refusal_of(act: Callable[[], object]) -> str:
    """Return the code that an act is refused with, or `settled`."""
    try:
        act()
    except DomainError as refusal:
        return refusal.code
    return "settled"


def noted(bank: Bank, order_id: str) -> list[tuple[str, int]]:
    with bank.database.read() as connection:
        return [
            (one.action, one.amount_minor) for one in orders.actions(connection, bank.issuer_id, order_id)
        ]


def figures(bank: Bank, account: str) -> tuple[int, int]:
    """Return what is available and what is restricted."""
    return bank.balance_minor("2110", account), bank.balance_minor("2130", account)


def request_of(bank: Bank, kind: Kind, **asked: Any) -> Request:
    return bank.request(kind, bank.operator, **{"reason": "Ordered so.", **asked})


def order_request(bank: Bank, account: str, amount: str | None = None, **payload: str) -> Request:
    named = {"kind": "court_order", "scope": "debit", "authority": "Local court of Nowhere"}
    return request_of(
        bank,
        Kind.ORDER,
        payer_account_id=bank.account_id(account),
        amount=amount,
        currency=None if amount is None else "USD",
        reference="7 M 11/26",
        payload=named | payload,
    )


def transfer_request(bank: Bank, payer: str, payee: str, amount: str) -> Request:
    return bank.request(
        Kind.TRANSFER,
        bank.maker,
        amount=amount,
        currency="USD",
        payer_account_id=bank.account_id(payer),
        payee_account_id=bank.account_id(payee),
    )
