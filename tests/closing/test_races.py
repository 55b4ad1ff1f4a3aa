"""Closing beside everything else, on real commits; and what a crash on any step leaves behind."""

import json
from collections.abc import Callable
from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import Connection

from tallystick import attestations, closing, tokens
from tallystick.core.database import Database
from tallystick.core.errors import DomainError
from tallystick.core.ids import with_prefix
from tallystick.tokens import Kind, Outcome, Request, Submission
from tests.bank import Bank, oracle
from tests.closing.days import (
    FRIDAY,
    ask_close,
    attest,
    bring_statement,
    close,
    end_day,
    hand_off,
    look,
    set_calendar,
)
from tests.tokens.changing import code_of, log_of, rows
from tests.tokens.together import at_once


def settled(bank: Bank, request: Request) -> Outcome:
    """Settle one request on a connection of its own."""
    [submitted] = bank.database.run(
        lambda connection: tokens.settle(connection, bank.settler, bank.issuer_id, [Submission((request,))])
    )
    return submitted.outcomes[0]


def transfer(bank: Bank) -> Request:
    return bank.request(
        Kind.TRANSFER,
        bank.maker,
        amount="0.01",
        currency="USD",
        payer_account_id=bank.account_id("HARBOUR-USD"),
        payee_account_id=bank.account_id("LANTERN-USD"),
    )


def ready(bank: Bank) -> Request:
    """Make a bank whose Friday waits for the checker alone; return the approval that closes it."""
    set_calendar(bank)
    bring_statement(bank, FRIDAY, ("HARBOUR-USD", "100.00"))
    bank.mint("HARBOUR-USD", "60.00", deposited=False)
    attest(bank)
    asked = ask_close(bank, FRIDAY, hand_off(bank, FRIDAY).id)
    return bank.request(Kind.APPROVE, bank.checker, related_id=with_prefix("approval", asked.resource_id))


def test_an_entry_that_races_with_the_close_is_before_it_or_of_the_next_date(bank: Bank) -> None:
    """Either the entry is in the books first, and the close is refused for it, or it lands on Monday."""
    approval = ready(bank)
    calls: list[Callable[[], Outcome]] = [partial(settled, bank, transfer(bank)) for _ in range(7)]
    calls.insert(3, partial(settled, bank, approval))

    outcomes = at_once(calls)

    closed = outcomes.pop(3)
    assert all(code_of(one) == "settled" for one in outcomes)
    log = log_of(bank)
    dates = [one["value_date"] for one in log if one["type"] == "token.transferred"]
    if code_of(closed) == "settled":
        place = next(number for number, one in enumerate(log) if one["type"] == "business_date.closed")
        behind = [one["value_date"] for one in log[place:] if one["type"] == "token.transferred"]
        assert set(behind) == {"2026-11-23"}
        assert len(behind) == len(dates)
    else:
        assert code_of(closed) == "checklist_incomplete"
        assert "2026-11-20" in dates
        assert look(bank, FRIDAY).date.state == "open"
    oracle(bank)


def test_a_close_that_another_process_made_counts_at_once(bank: Bank) -> None:
    """What this process remembers of the dates is outdated by the close's own commit, and not a moment later."""
    approval = ready(bank)
    other = tokens.Settler(
        bank.clock, bank.settler.ask_signer, bank.settler.approval_lifetime, bank.settler.signer_of
    )
    pay = transfer(bank)
    database = Database(bank.urls.service_url, pool_size=2)
    try:
        # The other process has decided on the open date, and still remembers it.
        with database.engine.connect() as connection, connection.begin() as under_way:
            tokens.settle(connection, other, bank.issuer_id, [Submission((transfer(bank),))])
            under_way.rollback()
        assert code_of(settled(bank, approval)) == "settled"
        database.run(
            lambda connection: tokens.settle(connection, other, bank.issuer_id, [Submission((pay,))])
        )
    finally:
        database.close()
    assert log_of(bank)[-1]["value_date"] == "2026-11-23"
    oracle(bank)


def test_one_date_is_closed_once_by_however_many(bank: Bank) -> None:
    set_calendar(bank)
    bring_statement(bank, FRIDAY, ("HARBOUR-USD", "100.00"))
    attest(bank)
    made = hand_off(bank, FRIDAY)
    asked = [ask_close(bank, FRIDAY, made.id).resource_id for _ in range(4)]
    approvals = [
        bank.request(Kind.APPROVE, bank.checker, related_id=with_prefix("approval", one)) for one in asked
    ]
    codes = [code_of(one) for one in at_once([partial(settled, bank, one) for one in approvals])]
    assert sorted(codes) == ["business_date_conflict"] * 3 + ["settled"]
    assert rows(bank, "SELECT count(*) FROM business_date_action") == [(1,)]
    oracle(bank)


def test_transfers_ask_nothing_more_while_dates_stand(bank: Bank) -> None:
    """The dates are read once, and again only when an issuer's facts have changed."""
    set_calendar(bank)
    end_day(bank)
    asked: list[str] = []
    read = closing.business_dates.store.read_days  # type: ignore[attr-defined]

    def counted(connection: Connection, issuer_id: str) -> object:
        asked.append(issuer_id)
        return read(connection, issuer_id)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("tallystick.business_dates.store.read_days", counted)
        for _ in range(20):
            bank.transfer("HARBOUR-USD", "LANTERN-USD", "0.01")
    # Facts remembered for two seconds at most: a slow machine may have looked again.
    assert len(asked) <= 3
    assert log_of(bank)[-1]["value_date"] == "2026-11-23"


class _CrashError(Exception):
    """The process is gone."""


class TestCrash:
    """A run with its attestation and a close are one commit each: a crash leaves nothing, and again gives the same."""

    @pytest.mark.parametrize(
        "at",
        [
            "tallystick.reconciliation.store.add",
            "tallystick.attestations.store.add",
            "tallystick.tokens.batch.Batch.write_people",
            "tallystick.tokens.batch.Batch.write_rest",
        ],
    )
    def test_of_a_run(self, bank: Bank, at: str) -> None:
        set_calendar(bank)
        bring_statement(bank, FRIDAY, ("HARBOUR-USD", "100.00"))
        length = len(log_of(bank))
        self.crash(at, lambda: attest(bank))
        assert len(log_of(bank)) == length
        for table in ("reconciliation", "attestation", "reconciliation_break"):
            assert rows(bank, f"SELECT count(*) FROM {table}") == [(0,)]
        found = attest(bank)
        assert (found.verdict, found.event_index) == ("tied", length)
        oracle(bank)

    @pytest.mark.parametrize(
        "at",
        [
            "tallystick.business_dates.store.add_action",
            "tallystick.tokens.batch.Batch.write_people",
            "tallystick.participants.raise_facts_version",
        ],
    )
    def test_of_a_close(self, bank: Bank, at: str) -> None:
        approval = ready(bank)
        before = log_of(bank)
        self.crash(at, lambda: settled(bank, approval))
        assert log_of(bank) == before
        assert look(bank, FRIDAY).date.state == "open"
        again = settled(bank, approval)
        assert (code_of(again), look(bank, FRIDAY).date.state) == ("settled", "closed")
        # And whoever was not told the answer asks with the same key.
        assert settled(bank, approval).body == again.body
        assert json.loads(again.body)["instruction"]["state"] == "settled"
        oracle(bank)

    def crash(self, at: str, work: Callable[[], object]) -> None:
        def gone(*_: object, **__: object) -> None:
            raise _CrashError

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(at, gone)
            with pytest.raises(_CrashError):
                work()


def test_a_run_beside_payments_attests_what_was_there(bank: Bank) -> None:
    """Payments go on while a run looks at the log; what it attests is the supply at its own index."""
    set_calendar(bank)
    bring_statement(bank, FRIDAY, ("HARBOUR-USD", "100.00"))
    bank.mint("HARBOUR-USD", "60.00", deposited=False)
    calls: list[Callable[[], object]] = [partial(settled, bank, transfer(bank)) for _ in range(4)]
    calls += [partial(attest, bank) for _ in range(3)]
    at_once(calls)
    with bank.database.read() as connection:
        made = attestations.attestations(connection, bank.issuer_id)
    assert [(one.verdict, one.supply_minor) for one in made] == [("tied", 6000)] * 3
    assert all(one.ledger_index < one.event_index for one in made)
    bank.clock.at += timedelta(minutes=1)
    assert attest(bank).verdict == "tied"
    close(bank, FRIDAY)
    oracle(bank)


def test_a_close_waits_for_nobody_who_was_refused(bank: Bank) -> None:
    """A rejected close leaves the date open, and another may be asked for."""
    set_calendar(bank)
    bring_statement(bank, FRIDAY, ("HARBOUR-USD", "100.00"))
    attest(bank)
    made = hand_off(bank, FRIDAY)
    bank.reject(ask_close(bank, FRIDAY, made.id).resource_id)
    with pytest.raises(DomainError):
        ask_close(bank, FRIDAY, "hand_off_of_nobody")
    bank.approve(ask_close(bank, FRIDAY, made.id).resource_id)
    assert look(bank, FRIDAY).date.state == "closed"
