"""What time ends: approvals that nobody decided and holds that nobody executed, each closed once and in the log."""

import json
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import pytest

from tallystick import approvals, signing, tokens
from tallystick.api.housekeeping import Housekeeping
from tallystick.core.database import Database
from tallystick.core.ids import with_prefix
from tallystick.tokens import GroupCommit, Kind, Request, Settler, Submission
from tests.bank import APPROVAL_LIFETIME, OPENED_AT, Bank, open_bank, oracle
from tests.database import DatabaseUrls
from tests.tokens.changing import code_of, log_of, rows, vote
from tests.tokens.queueing import PATIENCE_SECONDS, outcome_of, submit

HARBOUR: Final = "HARBOUR-USD"
LANTERN: Final = "LANTERN-USD"
IN_AN_HOUR: Final = OPENED_AT + timedelta(hours=1)
OVER: Final = OPENED_AT + APPROVAL_LIFETIME


@pytest.fixture
def living(bank: Bank) -> Bank:
    bank.mint(HARBOUR, "10.00")
    return bank


def due(bank: Bank, at: datetime | None = None, limit: int = 100) -> list[Request]:
    with bank.database.read() as connection:
        return tokens.due(connection, bank.issuer_id, at or bank.clock.at, limit)


def asked_mint(bank: Bank) -> str:
    bank.deposit(HARBOUR, "1.00")
    return bank.ask(
        Kind.MINT, bank.maker, amount="1.00", currency="USD", payee_account_id=bank.account_id(HARBOUR)
    ).resource_id


def state_of(bank: Bank, kind: Kind, instruction_id: str) -> str:
    with bank.database.read() as connection:
        return tokens.instruction(connection, bank.auditor, kind, instruction_id).state


def test_nothing_is_due_before_its_time(living: Bank) -> None:
    mint = asked_mint(living)
    hold = living.hold(HARBOUR, LANTERN, "1.00", expires_at=IN_AN_HOUR)
    living.hold(HARBOUR, LANTERN, "1.00")

    just = timedelta(microseconds=1)
    assert due(living, IN_AN_HOUR - just) == []
    assert [(one.kind, one.related_id) for one in due(living, IN_AN_HOUR)] == [(Kind.HOLD_VOID, hold)]
    assert [one.kind for one in due(living, OVER - just)] == [Kind.HOLD_VOID]
    assert [(one.kind, one.related_id) for one in due(living, OVER)] == [
        (Kind.APPROVAL_EXPIRY, with_prefix("approval", mint)),
        (Kind.HOLD_VOID, hold),
    ]


def test_what_is_due_is_bounded_and_comes_oldest_first(living: Bank) -> None:
    holds = [
        living.hold(HARBOUR, LANTERN, "0.01", expires_at=IN_AN_HOUR + timedelta(minutes=5 - number))
        for number in range(5)
    ]
    assert [one.related_id for one in due(living, OVER, 3)] == holds[:1:-1]


def test_an_issuer_s_own_is_due_and_no_other_s(database_urls: DatabaseUrls, tmp_path: Path) -> None:
    with open_bank(database_urls, tmp_path / "one") as one, open_bank(database_urls, tmp_path / "two") as two:
        asked_mint(one)
        assert (len(due(one, OVER)), due(two, OVER)) == (1, [])


def test_an_approval_that_nobody_decided_ends_in_the_log(living: Bank) -> None:
    mint = asked_mint(living)
    living.clock.at = OVER
    [request] = due(living)
    outcome = living.outcome(request)
    assert (outcome.status, json.loads(outcome.body)["state"]) == (201, "expired")

    event = log_of(living)[-1]
    approval_id = with_prefix("approval", mint)
    assert (event["type"], event["approval_id"], event["instruction_id"]) == (
        "approval.expired",
        approval_id,
        mint,
    )
    assert (event["principal_id"], event["operation"]) == ("system", "mint")
    assert "lines" not in event
    with living.database.read() as connection:
        assert approvals.approval(connection, living.issuer_id, approval_id).state == "expired"
    assert state_of(living, Kind.MINT, mint) == "expired"
    late = vote(living, mint, living.checker, amount="1.00", currency="USD")
    assert code_of(late) == "approval_closed"
    assert due(living) == []
    assert living.balance_minor("2010", HARBOUR) == 100
    oracle(living)


def test_a_hold_that_is_over_is_given_back_by_the_service_itself(living: Bank) -> None:
    hold = living.hold(HARBOUR, LANTERN, "4.00", expires_at=IN_AN_HOUR)
    living.execute_hold(hold, "1.00")
    living.freeze(HARBOUR)
    living.clock.at = IN_AN_HOUR
    [request] = due(living)
    assert code_of(living.outcome(request)) == "settled"

    event = log_of(living)[-1]
    assert (event["type"], event["related_id"], event["principal_id"]) == ("hold.voided", hold, "system")
    assert event["amount"] == "3.00"
    assert state_of(living, Kind.HOLD, hold) == "voided"
    assert (living.balance_minor("2110", HARBOUR), living.balance_minor("2120", HARBOUR)) == (900, 0)
    oracle(living)


def test_what_was_done_meanwhile_is_not_undone(living: Bank) -> None:
    mint = asked_mint(living)
    hold = living.hold(HARBOUR, LANTERN, "1.00", expires_at=OVER)
    found = due(living, OVER)
    living.approve(mint, "1.00", "USD")
    living.execute_hold(hold, "1.00")
    living.clock.at = OVER
    before = rows(living, "SELECT count(*) FROM event")
    assert [code_of(living.outcome(one)) for one in found] == ["approval_not_expired", "hold_closed"]
    assert rows(living, "SELECT count(*) FROM event") == before
    assert (state_of(living, Kind.MINT, mint), state_of(living, Kind.HOLD, hold)) == ("settled", "executed")


def test_a_clock_that_was_ahead_closes_nothing(living: Bank) -> None:
    mint = asked_mint(living)
    [request] = due(living, OVER)
    assert code_of(living.outcome(request)) == "approval_not_expired"
    assert state_of(living, Kind.MINT, mint) == "pending_approval"


def test_two_processes_close_each_of_them_once(living: Bank, tmp_path: Path) -> None:
    """Each finds the same as the other and asks for it, with a database, a settler and a queue of its own."""
    mints = [asked_mint(living) for _ in range(10)]
    for _ in range(10):
        living.hold(HARBOUR, LANTERN, "0.10", expires_at=IN_AN_HOUR)
    living.clock.at = OVER
    databases = [Database(living.urls.service_url, pool_size=2) for _ in range(2)]
    directory = signing.KeyDirectory(tmp_path / "keys")
    settler = Settler.of(living.clock, directory, living.settler.approval_lifetime)
    queues = [
        GroupCommit(database, settler, batch_size_max=7, queue_length_max=100) for database in databases
    ]
    asked = [due(living) for _ in queues]
    assert [len(one) for one in asked] == [20, 20]
    told = [
        submit(queue, living, request)
        for requests in zip(*asked, strict=True)
        for queue, request in zip(queues, requests, strict=True)
    ]
    outcomes = [outcome_of(one) for one in told]
    for queue in queues:
        queue.close(PATIENCE_SECONDS)
    for database in databases:
        database.close()

    assert {code_of(one) for one in outcomes} == {"settled"}
    assert sum(one.replayed for one in outcomes) == 20
    types = Counter(one["type"] for one in log_of(living))
    assert (types["approval.expired"], types["hold.voided"]) == (10, 10)
    assert {state_of(living, Kind.MINT, one) for one in mints} == {"expired"}
    assert living.balance_minor("2110", HARBOUR) == 1000
    oracle(living)


def test_housekeeping_asks_for_what_is_due(living: Bank) -> None:
    mint = asked_mint(living)

    def close(issuer_id: str, request: Request) -> None:
        assert issuer_id == living.issuer_id
        living.settle(Submission((request,)))

    housekeeping = Housekeeping(living.database, living.clock, 3600, close)
    assert housekeeping.look() == 0
    living.clock.at = OVER
    assert [housekeeping.look(), housekeeping.look()] == [1, 0]
    assert state_of(living, Kind.MINT, mint) == "expired"
    oracle(living)
