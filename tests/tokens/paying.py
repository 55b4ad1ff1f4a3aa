"""Asking for payouts in tests, and looking at what came of them."""

import uuid
from collections.abc import Callable
from typing import Any, Final

from tallystick import payouts, screening, tokens
from tallystick.core.errors import DomainError
from tallystick.payouts import FileFormat, PayoutFile
from tallystick.tokens import Instruction, Kind, Outcome, Request
from tests.bank import Bank

LANTERN: Final = "LANTERN-USD"
HARBOUR: Final = "HARBOUR-USD"
BENEFICIARY: Final[dict[str, str]] = {
    "name": "Acme Tooling GmbH",
    "iban": "DE89370400440532013000",
    "bic": "COBADEFFXXX",
    "street_name": "Hafenstr.",
    "building_number": "7a",
    "post_code": "20457",
    "town_name": "Hamburg",
    "country": "DE",
}


def payload(**changed: Any) -> dict[str, Any]:
    """Return what a payout says; members of the beneficiary by name, None to leave one out."""
    members = {name: changed.pop(name, value) for name, value in BENEFICIARY.items()}
    members |= {name: changed.pop(name) for name in ("account_number",) if name in changed}
    return {
        "beneficiary": {name: value for name, value in members.items() if value is not None},
        "remittance": "Invoice 4711",
        "uetr": str(uuid.uuid4()),
        **changed,
    }


def payout_request(
    bank: Bank, amount: str = "40.00", *, account: str = LANTERN, key: str | None = None, **said: Any
) -> Request:
    principal = said.pop("principal", bank.maker)
    asked = {name: said.pop(name) for name in ("purpose", "reference", "currency") if name in said}
    asked = {"currency": "USD", **asked}
    return bank.request(
        Kind.PAYOUT,
        principal,
        key=key,
        payer_account_id=bank.account_id(account),
        amount=amount,
        payload=payload(**said),
        **asked,
    )


def pay_out(bank: Bank, amount: str = "40.00", **asked: Any) -> str:
    """Have a payout accepted, or wait; return its id."""
    outcome = bank.outcome(payout_request(bank, amount, **asked))
    if outcome.refusal is not None:
        raise outcome.refusal
    return outcome.resource_id


def step(bank: Bank, kind: Kind, payout_id: str, **asked: Any) -> Outcome:
    """Take a step of a payout as the service does by itself."""
    said = {"source_id": "statement_00000000000000000000000000.1", **asked.pop("payload", {})}
    principal = asked.pop("principal", tokens.system_principal(bank.issuer_id, bank.clock.at))
    return bank.ask(kind, principal, related_id=payout_id, payload=said, **asked)


def make_file(bank: Bank, currency: str = "USD", file_format: FileFormat = FileFormat.PAIN_001) -> PayoutFile:
    """Have a file made of all that waits, by two people."""
    asked = ask_for_file(bank, currency, file_format)
    bank.approve(asked.resource_id)
    return files(bank)[-1]


def ask_for_file(
    bank: Bank,
    currency: str = "USD",
    file_format: FileFormat = FileFormat.PAIN_001,
    *,
    key: str | None = None,
) -> Outcome:
    class_id = bank.classes[currency].id
    wanted = bank.database.run(
        lambda connection: tokens.ask_for_payout_file(
            connection,
            bank.clock,
            bank.issuer_id,
            class_id,
            file_format=file_format,
            execution_date=bank.clock.at.date(),
            threshold=screening.THRESHOLD,
        )
    )
    return bank.change("payout_file", class_id, wanted, key=key)


def files(bank: Bank) -> list[PayoutFile]:
    with bank.database.read() as connection:
        return payouts.files(connection, bank.issuer_id)


def content(bank: Bank, file_id: str) -> bytes:
    with bank.database.read() as connection:
        return payouts.content_of_file(connection, bank.issuer_id, file_id)


def standing(bank: Bank, payout_id: str) -> Instruction:
    with bank.database.read() as connection:
        return tokens.instructions_by_id(connection, bank.issuer_id, [payout_id])[payout_id]


def state(bank: Bank, payout_id: str) -> str:
    return standing(bank, payout_id).state


def figures(bank: Bank, account: str = LANTERN) -> tuple[int, int, int]:
    """Return what the holder has available, what is in transit, and what the control account has."""
    return (
        bank.balance_minor("2110", account),
        bank.balance_minor("2310", "USD"),
        bank.balance_minor("1100", "USD"),
    )


def code_of(act: Callable[[], object]) -> str:
    """Return the code that an act is refused with, or `done`."""
    try:
        act()
    except DomainError as refusal:
        return refusal.code
    return "done"
