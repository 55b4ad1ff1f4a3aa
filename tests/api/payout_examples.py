"""Examples of payouts and their files, each with tokens of its own."""

import uuid
from collections.abc import Callable
from typing import Any

from tallystick.participants import Role
from tests.bank import Bank
from tests.tokens.paying import BENEFICIARY, HARBOUR, pay_out

__all__ = ["PAYOUT_EXAMPLES"]

Made = tuple[Role, str, dict[str, Any], dict[str, Any]]


def _payout(bank: Bank, path: str) -> Made:
    bank.mint(HARBOUR, "5.00")
    body = {
        "account_id": bank.account_id(HARBOUR),
        "amount": "5.00",
        "currency": "USD",
        "beneficiary": BENEFICIARY,
        "remittance": "Invoice 4711",
        "uetr": str(uuid.uuid4()),
    }
    return Role.PLATFORM, path, body, {**body, "amount": "4.00"}


def _cancellation(bank: Bank, path: str) -> Made:
    bank.mint(HARBOUR, "5.00")
    payout_id = pay_out(bank, "5.00", account=HARBOUR)
    body = {"reason": "Ordered twice."}
    return Role.PLATFORM, path.replace("{payout_id}", payout_id), body, {"reason": "Otherwise."}


def _file(bank: Bank, path: str) -> Made:
    bank.mint(HARBOUR, "5.00")
    pay_out(bank, "5.00", account=HARBOUR)
    body = {"token_class_id": bank.classes["USD"].id, "execution_date": "2031-01-02"}
    return Role.TREASURY_MAKER, path, body, {**body, "execution_date": "2031-01-03"}


PAYOUT_EXAMPLES: dict[str, Callable[[Bank, str], Made]] = {
    "/v1/payouts": _payout,
    "/v1/payouts/{payout_id}/cancel": _cancellation,
    "/v1/payout-files": _file,
}
