"""What belongs to others answers exactly as what does not exist: same refusal, same words, same members."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from tallystick import tokens
from tallystick.core.errors import DomainError
from tallystick.core.ids import new_id, with_prefix
from tallystick.participants import Principal
from tallystick.tokens import InstructionNotFoundError, Kind
from tests.bank import Bank, open_bank, oracle
from tests.database import DatabaseUrls

MONEY: Final = {"amount": "1.00", "currency": "USD"}


class Others(NamedTuple):
    """Ids that another issuer has in the same database; each kind of id once."""

    bank: Bank
    account: str
    hold: str
    transfer: str
    approval: str
    deposit: str
    token_class: str


@pytest.fixture(scope="module")
def others(shared_bank: Bank, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Others]:
    with open_bank(shared_bank.urls, tmp_path_factory.mktemp("others"), pool_size=2) as bank:
        bank.mint("HARBOUR-USD", "9.00")
        bank.deposit("HARBOUR-USD", "1.00")
        usd = bank.classes["USD"].id
        mint = bank.ask(Kind.MINT, bank.maker, payee_account_id=bank.account_id("HARBOUR-USD"), **MONEY)
        deposit = bank.ask(
            Kind.DEPOSIT, bank.maker, token_class_id=usd, evidence=True, related_id="statement_0.1", **MONEY
        )
        yield Others(
            bank=bank,
            account=bank.account_id("LANTERN-USD"),
            hold=bank.hold("HARBOUR-USD", "LANTERN-USD", "1.00"),
            transfer=bank.transfer("HARBOUR-USD", "LANTERN-USD", "1.00"),
            approval=with_prefix("approval", mint.resource_id),
            deposit=deposit.resource_id,
            token_class=usd,
        )
        oracle(bank)


@pytest.fixture(scope="module")
def own(shared_bank: Bank) -> str:
    shared_bank.mint("HARBOUR-USD", "9.00")
    return shared_bank.account_id("HARBOUR-USD")


def refused(bank: Bank, kind: Kind, principal: Principal, **asked: Any) -> tuple[object, ...]:
    refusal = bank.outcome(bank.request(kind, principal, **asked)).refusal
    assert isinstance(refusal, DomainError)
    return type(refusal), refusal.code, refusal.status, refusal.detail, refusal.members


ASKED_OF: Final[list[tuple[Kind, str, str, dict[str, Any]]]] = [
    (Kind.TRANSFER, "payer_account_id", "account", {"payee_account_id": "$own", **MONEY}),
    (Kind.TRANSFER, "payee_account_id", "account", {"payer_account_id": "$own", **MONEY}),
    (Kind.HOLD, "payer_account_id", "account", {"payee_account_id": "$own", **MONEY}),
    (Kind.HOLD, "payee_account_id", "account", {"payer_account_id": "$own", **MONEY}),
    (Kind.REDEMPTION, "payer_account_id", "account", MONEY),
    (Kind.DEPOSIT_RELEASE, "payer_account_id", "account", MONEY),
    (Kind.DEPOSIT, "payee_account_id", "account", MONEY),
    (Kind.DEPOSIT, "token_class_id", "token_class", {"evidence": True, **MONEY}),
    (Kind.DEPOSIT_ASSIGNMENT, "related_id", "deposit", {"payee_account_id": "$own"}),
    (Kind.MINT, "payee_account_id", "account", MONEY),
    (Kind.HOLD_EXECUTION, "related_id", "hold", MONEY),
    (Kind.HOLD_VOID, "related_id", "hold", {}),
    (Kind.REVERSAL, "related_id", "transfer", MONEY),
    (Kind.ACCOUNT_FREEZE, "payer_account_id", "account", {"reason": "x"}),
    (Kind.ACCOUNT_UNFREEZE, "payer_account_id", "account", {"reason": "x"}),
    (Kind.ACCOUNT_CLOSURE, "payer_account_id", "account", {"reason": "x"}),
    (Kind.APPROVE, "related_id", "approval", MONEY),
    (Kind.REJECT, "related_id", "approval", {}),
]


@pytest.mark.parametrize(("kind", "name", "what", "asked"), ASKED_OF, ids=lambda value: str(value)[:24])
def test_another_issuers_object_answers_as_an_absent_one(
    shared_bank: Bank, others: Others, own: str, kind: Kind, name: str, what: str, asked: dict[str, Any]
) -> None:
    principal = shared_bank.checker if kind in {Kind.APPROVE, Kind.REJECT} else shared_bank.maker
    asked = {key: own if value == "$own" else value for key, value in asked.items()}
    theirs = getattr(others, what)
    absent = new_id(theirs.rpartition("_")[0])
    answer = refused(shared_bank, kind, principal, **{name: absent}, **asked)
    assert refused(shared_bank, kind, principal, **{name: theirs}, **asked) == answer
    assert answer[2] == 404


@pytest.mark.parametrize("whose", ["platform", "holder"])
def test_another_holders_account_answers_as_an_absent_one(shared_bank: Bank, whose: str) -> None:
    principal: Principal = getattr(shared_bank, whose)
    theirs = {"platform": "NORTHWIND-USD", "holder": "LANTERN-USD"}[whose]
    own = {"platform": "LANTERN-USD", "holder": "NORTHWIND-USD"}[whose]
    for kind in (Kind.TRANSFER, Kind.HOLD):
        asked = {"payee_account_id": shared_bank.account_id(own), **MONEY}
        absent = refused(shared_bank, kind, principal, payer_account_id=new_id("account"), **asked)
        assert absent == refused(
            shared_bank, kind, principal, payer_account_id=shared_bank.account_id(theirs), **asked
        )
    absent = refused(shared_bank, Kind.REDEMPTION, principal, payer_account_id=new_id("account"), **MONEY)
    assert absent == refused(
        shared_bank, Kind.REDEMPTION, principal, payer_account_id=shared_bank.account_id(theirs), **MONEY
    )


def test_a_hold_is_its_payers_to_execute_and_void(shared_bank: Bank, own: str) -> None:
    hold_id = shared_bank.hold("HARBOUR-USD", "NORTHWIND-USD", "1.00")
    for kind, asked in ((Kind.HOLD_EXECUTION, MONEY), (Kind.HOLD_VOID, {})):
        absent = refused(shared_bank, kind, shared_bank.holder, related_id=new_id("hold"), **asked)
        assert refused(shared_bank, kind, shared_bank.holder, related_id=hold_id, **asked) == absent
    shared_bank.ask(Kind.HOLD_VOID, shared_bank.platform, related_id=hold_id)


def test_a_platform_acts_for_its_merchants_and_a_holder_for_itself(shared_bank: Bank, own: str) -> None:
    def send(principal: Principal, payer: str, payee: str) -> None:
        shared_bank.ask(
            Kind.TRANSFER,
            principal,
            payer_account_id=shared_bank.account_id(payer),
            payee_account_id=shared_bank.account_id(payee),
            **MONEY,
        )

    send(shared_bank.platform, "HARBOUR-USD", "LANTERN-USD")
    send(shared_bank.platform, "LANTERN-USD", "NORTHWIND-USD")
    send(shared_bank.holder, "NORTHWIND-USD", "LANTERN-USD")


def test_an_instruction_of_another_issuer_is_not_to_be_read(shared_bank: Bank, others: Others) -> None:
    with shared_bank.database.read() as connection:
        for viewer in (shared_bank.maker, shared_bank.auditor):
            with pytest.raises(InstructionNotFoundError):
                tokens.instruction(connection, viewer, Kind.TRANSFER, others.transfer)
        assert tokens.instructions_by_id(connection, shared_bank.issuer_id, [others.transfer]) == {}


def test_two_issuers_in_one_database_have_logs_of_their_own(
    database_urls: DatabaseUrls, tmp_path: Path
) -> None:
    with open_bank(database_urls, tmp_path / "one") as one, open_bank(database_urls, tmp_path / "two") as two:
        one.mint("HARBOUR-USD", "2.00")
        two.mint("HARBOUR-USD", "3.00")
        one.transfer("HARBOUR-USD", "LANTERN-USD", "1.00")
        oracle(one)
        oracle(two)
        assert one.acknowledged[-1].event_index == 3
