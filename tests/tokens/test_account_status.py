"""Freezing, unfreezing, closing: one person may stop an account, two may let it go on; only an empty one is closed."""

import threading
from typing import Final

import pytest
from sqlalchemy import Connection

from tallystick import participants
from tallystick.core.errors import DomainError
from tallystick.participants import Account, AccountStatus
from tallystick.tokens import Kind, Submission
from tests.bank import OPENED_AT, Bank, oracle

HARBOUR: Final = "HARBOUR-USD"
LANTERN: Final = "LANTERN-USD"


def read(bank: Bank, account: str) -> Account:
    with bank.database.read() as connection:
        return participants.account(connection, bank.maker, bank.account_id(account))


def test_a_freeze_works_at_once_and_is_lifted_by_two(bank: Bank) -> None:
    bank.mint(HARBOUR, "5.00")
    bank.freeze(HARBOUR, reason="Court order 7.")
    assert (read(bank, HARBOUR).status, read(bank, HARBOUR).status_reason) == ("frozen", "Court order 7.")
    asked = bank.ask(
        Kind.ACCOUNT_UNFREEZE, bank.maker, payer_account_id=bank.account_id(HARBOUR), reason="Lifted."
    )
    assert read(bank, HARBOUR).status == "frozen"
    bank.approve(asked.resource_id)
    assert (read(bank, HARBOUR).status, read(bank, HARBOUR).status_reason) == ("open", "Lifted.")
    bank.transfer(HARBOUR, LANTERN, "5.00")
    oracle(bank)


def test_a_rejected_unfreeze_leaves_the_account_frozen(bank: Bank) -> None:
    bank.freeze(HARBOUR)
    asked = bank.ask(
        Kind.ACCOUNT_UNFREEZE, bank.maker, payer_account_id=bank.account_id(HARBOUR), reason="Lifted."
    )
    bank.reject(asked.resource_id)
    assert read(bank, HARBOUR).status == "frozen"


def test_an_unfreeze_that_was_overtaken_is_refused(bank: Bank) -> None:
    bank.freeze(HARBOUR)
    asked = bank.ask(
        Kind.ACCOUNT_UNFREEZE, bank.maker, payer_account_id=bank.account_id(HARBOUR), reason="Lifted."
    )
    bank.unfreeze(HARBOUR)
    with pytest.raises(DomainError) as refused:
        bank.approve(asked.resource_id)
    assert refused.value.code == "account_status_conflict"


@pytest.mark.parametrize("code", ["2010", "2110", "2120"])
def test_an_account_with_anything_on_it_is_not_closed(bank: Bank, code: str) -> None:
    if code == "2010":
        bank.deposit(HARBOUR, "0.01")
    else:
        bank.mint(HARBOUR, "0.01")
    if code == "2120":
        bank.hold(HARBOUR, LANTERN, "0.01")
    assert bank.balance_minor(code, HARBOUR) == 1
    with pytest.raises(DomainError) as refused:
        bank.close_account(HARBOUR)
    assert refused.value.code == "account_not_empty"


def test_a_closed_account_stays_closed(bank: Bank) -> None:
    bank.close_account(HARBOUR, reason="Moved away.")
    closed = read(bank, HARBOUR)
    assert (closed.status, closed.status_reason, closed.closed_at) == ("closed", "Moved away.", OPENED_AT)
    for kind in (Kind.ACCOUNT_FREEZE, Kind.ACCOUNT_UNFREEZE, Kind.ACCOUNT_CLOSURE):
        with pytest.raises(DomainError) as refused:
            bank.ask(kind, bank.maker, payer_account_id=bank.account_id(HARBOUR), reason="x")
        assert refused.value.code == "account_status_conflict"
    oracle(bank)


def test_what_is_decided_behind_a_freeze_in_one_transaction_sees_it(bank: Bank) -> None:
    bank.mint(HARBOUR, "5.00")
    account_id, payee_id = bank.account_id(HARBOUR), bank.account_id(LANTERN)
    asked = [
        bank.request(
            Kind.TRANSFER,
            bank.maker,
            amount="1.00",
            currency="USD",
            payer_account_id=account_id,
            payee_account_id=payee_id,
        )
        for _ in range(2)
    ]
    freeze = bank.request(Kind.ACCOUNT_FREEZE, bank.maker, payer_account_id=account_id, reason="x")
    again = bank.request(Kind.ACCOUNT_FREEZE, bank.maker, payer_account_id=account_id, reason="x")
    settled = bank.settle(*[Submission((one,)) for one in (asked[0], freeze, asked[1], again)])
    refusals = [one.outcomes[0].refusal for one in settled]
    assert [None if one is None else one.code for one in refusals] == [
        None,
        None,
        "account_frozen",
        "account_status_conflict",
    ]
    oracle(bank)


def test_a_deposit_and_a_closure_at_once_do_not_both_happen(bank: Bank) -> None:
    for round_number in range(4):
        account = ("HARBOUR-USD", "LANTERN-USD", "SILKROAD-USD", "NORTHWIND-USD")[round_number]
        start = threading.Barrier(2, timeout=30)
        codes: list[str] = []

        def act(
            deed: str, account: str = account, start: threading.Barrier = start, codes: list[str] = codes
        ) -> None:
            start.wait()
            try:
                bank.close_account(account) if deed == "close" else bank.deposit(account, "1.00")
            except DomainError as refusal:
                codes.append(refusal.code)

        threads = [threading.Thread(target=act, args=(deed,)) for deed in ("close", "deposit")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        closed = read(bank, account).status == "closed"
        assert codes == ["account_closed" if closed else "account_not_empty"]
        assert bank.balance_minor("2010", account) == (0 if closed else 100)
    oracle(bank)


@pytest.mark.parametrize(
    ("path", "refused"),
    [
        (["frozen", "open"], False),
        (["closed"], False),
        (["open"], True),
        (["frozen", "frozen"], True),
        (["frozen", "closed"], True),
        (["closed", "open"], True),
        (["closed", "frozen"], True),
        (["closed", "closed"], True),
    ],
)
def test_the_way_of_an_accounts_status(shared_bank: Bank, path: list[str], refused: bool) -> None:
    class TakenBackError(Exception):
        pass

    def work(connection: Connection) -> None:
        *first, last = [AccountStatus(status) for status in path]
        account_id = shared_bank.account_id("SILKROAD-EUR")

        def become(status: AccountStatus) -> None:
            participants.set_account_status(
                connection, shared_bank.clock, shared_bank.issuer_id, account_id, status, "x"
            )

        for status in first:
            become(status)
        if refused:
            with pytest.raises(participants.AccountStatusConflictError):
                become(last)
        else:
            become(last)
        raise TakenBackError

    with pytest.raises(TakenBackError):
        shared_bank.database.run(work)
