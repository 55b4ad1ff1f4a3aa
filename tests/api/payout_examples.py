"""Examples of payouts and their files, each with tokens of its own."""

import uuid
from collections.abc import Callable
from typing import Any

from tallystick import payouts
from tallystick.core.ids import new_suffix
from tallystick.participants import Role
from tests.bank import Bank
from tests.payouts.replying import report, take_in, transaction
from tests.tokens.paying import BENEFICIARY, HARBOUR, pay_out

__all__ = ["PAYOUT_EXAMPLES", "new_finding"]

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


def new_finding(bank: Bank) -> str:
    """Have the bank report on a payment of nobody's; return the finding that this is."""
    take_in(
        bank, report("NOBODYS", transaction(f"payout_{new_suffix()}", "RJCT"), message_id=new_suffix()[:20])
    )
    with bank.database.read() as connection:
        return payouts.findings(connection, bank.issuer_id, limit=1_000)[-1].id


def _finding_assignment(bank: Bank, path: str) -> Made:
    body = {"owner_id": bank.maker.id, "note": "Yours, I think."}
    path = path.replace("{finding_id}", new_finding(bank))
    return Role.TREASURY_MAKER, path, body, {**body, "note": "Or not."}


def _finding_note(bank: Bank, path: str) -> Made:
    path = path.replace("{finding_id}", new_finding(bank))
    return Role.TREASURY_CHECKER, path, {"note": "Called them."}, {"note": "Wrote to them."}


def _finding_resolution(bank: Bank, path: str) -> Made:
    path = path.replace("{finding_id}", new_finding(bank))
    return Role.OPERATOR, path, {"note": "Theirs."}, {"note": "Ours."}


PAYOUT_EXAMPLES: dict[str, Callable[[Bank, str], Made]] = {
    "/v1/payouts": _payout,
    "/v1/payouts/{payout_id}/cancel": _cancellation,
    "/v1/payout-files": _file,
    "/v1/payout-findings/{finding_id}/assign": _finding_assignment,
    "/v1/payout-findings/{finding_id}/notes": _finding_note,
    "/v1/payout-findings/{finding_id}/resolve": _finding_resolution,
}
