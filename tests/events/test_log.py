"""The log: gap-free in the order of commit, whatever fails in between, and read as of any moment."""

from datetime import timedelta

import pytest
from sqlalchemy import Connection

from tallystick import events, tokens
from tallystick.core.errors import InvariantError
from tallystick.core.pipeline import pipelined
from tallystick.events import EventNotFoundError
from tallystick.tokens import Kind, Submission
from tests.bank import OPENED_AT, Bank, oracle


def deposit(bank: Bank) -> Submission:
    return Submission(
        (
            bank.request(
                Kind.DEPOSIT,
                bank.maker,
                amount="1.00",
                currency="USD",
                payee_account_id=bank.account_id("HARBOUR-USD"),
                evidence=True,
                related_id="statement_0.1",
            ),
        )
    )


def test_an_empty_log(bank: Bank) -> None:
    with bank.database.read() as connection:
        assert events.last_index(connection, bank.issuer_id) == -1
        assert events.events(connection, bank.issuer_id) == []
        assert list(events.stream(connection, bank.issuer_id, 0, -1)) == []
        assert events.index_as_of(connection, bank.issuer_id, OPENED_AT) == -1
        with pytest.raises(EventNotFoundError):
            events.event_by_index(connection, bank.issuer_id, 0)


def test_what_was_rolled_back_leaves_no_gap(bank: Bank) -> None:
    def fail(connection: Connection) -> None:
        tokens.settle(connection, bank.settler, bank.issuer_id, [deposit(bank)] * 3)
        raise LookupError

    bank.settle(deposit(bank))
    for _ in range(2):
        with pytest.raises(LookupError):
            bank.database.run(fail)
    bank.settle(deposit(bank), deposit(bank))
    with bank.database.read() as connection:
        assert [one.event_index for one in events.events(connection, bank.issuer_id)] == [0, 1, 2]
    oracle(bank)


def test_events_are_read_by_id_by_index_in_pages_and_as_a_stream(bank: Bank) -> None:
    for _ in range(7):
        bank.settle(deposit(bank))
        bank.clock.at += timedelta(minutes=1)
    issuer_id = bank.issuer_id
    with bank.database.read() as connection:
        whole = events.events(connection, issuer_id)
        assert [one.event_index for one in whole] == list(range(7))
        assert events.last_index(connection, issuer_id) == 6
        assert events.events(connection, issuer_id, after_index=2, limit=2) == whole[3:5]
        assert events.events_at(connection, issuer_id, [5, 1, 99]) == [whole[1], whole[5]]
        assert list(events.stream(connection, issuer_id, 2, 4)) == whole[2:5]
        assert list(events.stream(connection, issuer_id, 5, 99)) == whole[5:]
        assert events.event(connection, issuer_id, whole[3].id) == whole[3]
        assert events.event_by_index(connection, issuer_id, 3) == whole[3]
        for moment, index in ((-1, -1), (0, 0), (59, 0), (60, 1), (10_000, 6)):
            assert events.index_as_of(connection, issuer_id, OPENED_AT + timedelta(seconds=moment)) == index
        assert events.events(connection, "issuer_of_others") == []
        with pytest.raises(EventNotFoundError):
            events.event(connection, "issuer_of_others", whole[3].id)


def test_a_head_that_moved_under_its_lock_stops_everything(bank: Bank) -> None:
    # The lock makes this impossible; if it happened all the same, nothing may be written.
    bank.settle(deposit(bank))

    def work(connection: Connection) -> None:
        with pipelined(connection) as pipeline:
            check = events.move_head(pipeline, bank.issuer_id, events.Head(0, OPENED_AT), 5, OPENED_AT)
        check()

    with pytest.raises(InvariantError):
        bank.database.run(work)
    with bank.database.read() as connection:
        assert events.last_index(connection, bank.issuer_id) == 0
