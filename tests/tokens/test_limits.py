"""Limits on real commits: however many ask at once and through whichever process, none is ever exceeded."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from tallystick import signing
from tallystick.core.database import Database
from tallystick.core.errors import DomainError
from tallystick.core.ids import with_prefix
from tallystick.tokens import GroupCommit, Kind, Request, Settler, Submission, SubmissionOutcome
from tests.bank import Bank, oracle
from tests.tokens.changing import code_of, rows
from tests.tokens.queueing import PATIENCE_SECONDS, outcome_of, submit

HARBOUR: Final = "HARBOUR-USD"
LANTERN: Final = "LANTERN-USD"
SILKROAD: Final = "SILKROAD-USD"
NORTHWIND: Final = "NORTHWIND-USD"


@contextmanager
def two_processes(bank: Bank, tmp_path: Path, *, batch_size_max: int) -> Iterator[list[GroupCommit]]:
    """Yield two queues to the bank, each with connections, keys and remembered facts of its own."""
    databases = [Database(bank.urls.service_url, pool_size=2) for _ in range(2)]

    def queue(database: Database) -> GroupCommit:
        directory = signing.KeyDirectory(tmp_path / "keys")
        settler = Settler.of(bank.clock, directory, bank.settler.approval_lifetime)
        return GroupCommit(database, settler, batch_size_max=batch_size_max, queue_length_max=1_000)

    queues = [queue(one) for one in databases]
    yield queues
    for one in queues:
        one.close(PATIENCE_SECONDS)
    for database in databases:
        database.close()


def payment(bank: Bank, payer: str, payee: str, amount: str, **asked: Any) -> Request:
    return bank.request(
        Kind.TRANSFER,
        bank.maker,
        amount=amount,
        currency="USD",
        payer_account_id=bank.account_id(payer),
        payee_account_id=bank.account_id(payee),
        **asked,
    )


def pay(bank: Bank, payer: str, payee: str, amount: str, **asked: Any) -> str:
    return code_of(bank.outcome(payment(bank, payer, payee, amount, **asked)))


def sent(bank: Bank, queues: list[GroupCommit], requests: list[Request]) -> list[str]:
    """Send requests through the queues in turn, wait, and return how each ended."""
    told: list[Future[SubmissionOutcome]] = [
        submit(queues[number % len(queues)], bank, one) for number, one in enumerate(requests)
    ]
    outcomes = [outcome_of(one) for one in told]
    bank.acknowledged += [one for one in outcomes if one.refusal is None]
    return [code_of(one) for one in outcomes]


def used_minor(bank: Bank, key: str) -> int:
    [(found,)] = rows(bank, f"SELECT total_minor FROM limit_usage WHERE key LIKE '{key}%'")
    return int(found)


@pytest.mark.parametrize("batch_size_max", [1, 7, 100])
def test_two_hundred_payments_at_once_stay_within_the_payer_s_day(
    bank: Bank, tmp_path: Path, batch_size_max: int
) -> None:
    bank.mint(HARBOUR, "100.00")
    bank.enact(limits={"payer_day": "10.00"})
    payees = (LANTERN, SILKROAD, NORTHWIND)
    requests = [payment(bank, HARBOUR, payees[number % 3], "0.11") for number in range(200)]
    with two_processes(bank, tmp_path, batch_size_max=batch_size_max) as queues:
        ends = Counter(sent(bank, queues, requests))

    # 90 of 0.11 are 9.90, and one more would be 10.01.
    assert ends == {"settled": 90, "payer_day_limit_exceeded": 110}
    assert bank.balance_minor("2110", HARBOUR) == 10_000 - 990
    assert used_minor(bank, "payer_day") == 990
    assert pay(bank, HARBOUR, LANTERN, "0.10") == "settled"
    assert pay(bank, HARBOUR, LANTERN, "0.01") == "payer_day_limit_exceeded"
    oracle(bank)


def test_room_comes_back_when_the_day_is_over(bank: Bank) -> None:
    bank.mint(HARBOUR, "100.00")
    bank.enact(limits={"payer_day": "1.00"})
    assert pay(bank, HARBOUR, LANTERN, "1.00") == "settled"
    bank.clock.at += timedelta(hours=24)
    assert pay(bank, HARBOUR, LANTERN, "0.01") == "payer_day_limit_exceeded"
    bank.clock.at += timedelta(hours=1)
    assert pay(bank, HARBOUR, LANTERN, "1.00") == "settled"


@pytest.mark.parametrize(
    ("limit", "free", "code"),
    [
        ("payer_day", (LANTERN, SILKROAD), "payer_day_limit_exceeded"),
        ("holder_day", (LANTERN, SILKROAD), "holder_day_limit_exceeded"),
        ("pair_day", (HARBOUR, LANTERN), "pair_day_limit_exceeded"),
    ],
)
def test_each_day_limit_counts_its_own(bank: Bank, limit: str, free: tuple[str, str], code: str) -> None:
    bank.mint(HARBOUR, "10.00")
    bank.mint(LANTERN, "10.00")
    bank.enact(limits={limit: "1.00"})
    assert pay(bank, HARBOUR, SILKROAD, "0.60") == "settled"
    assert code_of(bank.outcome(hold(bank, HARBOUR, SILKROAD, "0.40"))) == "settled"
    assert pay(bank, HARBOUR, SILKROAD, "0.01") == code
    assert pay(bank, *free, "1.00") == "settled"
    oracle(bank)


def hold(bank: Bank, payer: str, payee: str, amount: str) -> Request:
    return payment(bank, payer, payee, amount)._replace(
        id=bank.request(Kind.HOLD, bank.maker).id, kind=Kind.HOLD
    )


def test_what_an_atomic_batch_takes_back_is_not_counted(bank: Bank) -> None:
    bank.mint(HARBOUR, "10.00")
    bank.enact(limits={"payer_day": "1.00"})

    def batch(*amounts: str) -> Submission:
        items = tuple(payment(bank, HARBOUR, LANTERN, one) for one in amounts)
        return Submission(items, bank.request(Kind.TRANSFER_BATCH, bank.maker), atomic=True)

    refused, settled, more = bank.settle(batch("0.60", "0.60"), batch("0.60", "0.40"), batch("0.01"))
    assert refused.batch is not None
    assert refused.batch.refusal is not None
    assert [one["code"] for one in refused.batch.refusal.members["items"]] == ["payer_day_limit_exceeded"]
    assert settled.batch is not None
    assert settled.batch.refusal is None
    assert more.batch is not None
    assert more.batch.refusal is not None
    assert (bank.balance_minor("2110", LANTERN), used_minor(bank, "payer_day")) == (100, 100)
    oracle(bank)


def test_a_refusal_or_a_replay_counts_nothing(bank: Bank) -> None:
    bank.mint(HARBOUR, "1.00")
    bank.enact(limits={"payer_day": "1.50"})
    assert pay(bank, HARBOUR, LANTERN, "1.20") == "insufficient_funds"
    for _ in range(3):
        again = bank.outcome(payment(bank, HARBOUR, LANTERN, "1.00")._replace(key_digest=bytes(32)))
        assert code_of(again) in {"settled", "idempotency_key_reused"}
    assert used_minor(bank, "payer_day") == 100
    oracle(bank)


def test_a_corridor_s_quota_holds_at_once(bank: Bank, tmp_path: Path) -> None:
    """HARBOUR is in Germany, LANTERN and SILKROAD are in China, NORTHWIND is in France."""
    bank.mint(HARBOUR, "100.00")
    bank.mint(NORTHWIND, "100.00")
    row = {"id": "to_china", "payee_country": "CN", "action": "allow", "quota_day": "2.00"}
    bank.enact(corridors={"enabled": True, "rows": [row], "otherwise": "allow"})
    requests = [
        payment(bank, (HARBOUR, NORTHWIND)[number % 2], (LANTERN, SILKROAD)[number // 2 % 2], "0.15")
        for number in range(40)
    ]
    with two_processes(bank, tmp_path, batch_size_max=5) as queues:
        assert Counter(sent(bank, queues, requests)) == {"settled": 13, "corridor_quota_exceeded": 27}
    assert pay(bank, HARBOUR, NORTHWIND, "5.00") == "settled"
    oracle(bank)


def mint_approvals(bank: Bank, amount: str, count: int) -> list[Request]:
    """Ask for mints, each of a deposit; return the approvals that would let them through."""
    found = []
    for number in range(count):
        account = (HARBOUR, LANTERN)[number % 2]
        bank.deposit(account, amount)
        asked = bank.ask(
            Kind.MINT, bank.maker, amount=amount, currency="USD", payee_account_id=bank.account_id(account)
        )
        approval_id = with_prefix("approval", asked.resource_id)
        found.append(
            bank.request(Kind.APPROVE, bank.checker, related_id=approval_id, amount=amount, currency="USD")
        )
    return found


@pytest.mark.parametrize(
    ("issuance", "code"),
    [
        ({"supply": "10.00"}, "supply_cap_exceeded"),
        ({"day": "10.00"}, "issuance_day_limit_exceeded"),
        ({"minter_allowances": "10.00"}, "minter_allowance_exceeded"),
    ],
)
def test_approvals_at_once_stay_within_what_may_be_issued(
    bank: Bank, tmp_path: Path, issuance: dict[str, Any], code: str
) -> None:
    approvals = mint_approvals(bank, "1.10", 20)
    if "minter_allowances" in issuance:
        issuance = {"minter_allowances": {bank.maker.id: "10.00"}}
    bank.enact(issuance=issuance)
    with two_processes(bank, tmp_path, batch_size_max=3) as queues:
        ends = sent(bank, queues, approvals)
    assert Counter(ends) == {"settled": 9, code: 11}
    assert bank.balance_minor("2110", HARBOUR) + bank.balance_minor("2110", LANTERN) == 990

    # Either process may have been the faster one, with the approvals of one account.
    bank.redeem(HARBOUR if bank.balance_minor("2110", HARBOUR) else LANTERN, "1.10")
    # Only the supply has room again: what was issued in a day, or by somebody, stays issued.
    again = "settled" if code == "supply_cap_exceeded" else code
    assert code_of(bank.outcome(approvals[ends.index(code)])) == again
    oracle(bank)


def test_who_has_no_allowance_mints_nothing(bank: Bank) -> None:
    bank.enact(issuance={"minter_allowances": {bank.operator.id: "10.00"}})
    bank.deposit(HARBOUR, "1.00")
    with pytest.raises(DomainError) as refused:
        bank.mint(HARBOUR, "1.00", deposited=False)
    assert refused.value.code == "minter_allowance_exceeded"
