"""Two times at once: what had been booked, and from which day it counts; held against a replay of every line."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from tallystick import ledger
from tallystick.core.embedded_postgres import EmbeddedPostgres
from tallystick.core.pipeline import pipelined
from tallystick.ledger import (
    CLAIM_CODES,
    Code,
    Posting,
    Standpoint,
    ledger_account_id,
    standpoint,
    store,
)
from tests.bank import Bank, open_bank, oracle
from tests.database import cloned_database, connect

MONDAY = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def module_bank(
    postgres_server: EmbeddedPostgres, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bank]:
    with (
        cloned_database(postgres_server, migrated_template) as urls,
        open_bank(urls, tmp_path_factory.mktemp("keys"), pool_size=2) as bank,
    ):
        yield bank


class Entry(NamedTuple):
    """An entry to post: so long after the one before, counting so many days earlier (below zero: later)."""

    pause: timedelta
    days_late: int
    payer: int
    payee: int
    amount_minor: int


class Moved(NamedTuple):
    """What one line did, as the naive replay remembers it."""

    account_id: str
    event_index: int
    value_date: date
    movement_minor: int


ENTRIES = st.lists(
    st.builds(
        Entry,
        st.sampled_from([timedelta(0), timedelta(hours=5), timedelta(hours=14), DAY, 3 * DAY]),
        st.sampled_from([0, 0, 0, 1, 1, 2, 5, -1, -3]),
        st.integers(0, 2),
        st.integers(0, 2),
        st.integers(1, 9),
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=10)
@given(entries=ENTRIES)
def test_every_standpoint_is_a_replay_of_every_line(module_bank: Bank, entries: list[Entry]) -> None:
    bank = module_bank
    with bank.database.engine.connect() as connection, connection.begin() as transaction:
        moved, booked = _post(connection, bank, entries)
        days = {at.date() + offset * DAY for at in booked for offset in (-3, -1, 0, 1)}
        for day in [*sorted(days), None]:
            for index in range(-1, len(booked)):
                at = standpoint(connection, bank.issuer_id, index, day)
                _check(connection, bank, at, moved)
        transaction.rollback()


def _post(connection: Connection, bank: Bank, entries: list[Entry]) -> tuple[list[Moved], list[datetime]]:
    """Post entries at their times, as a batch does each; return what moved, and when each was booked."""
    at, class_id = MONDAY, bank.classes["USD"].id
    reserves = ledger_account_id("1010", class_id)
    tokens = [ledger_account_id("2110", bank.account_id(f"{name}-USD")) for name in ("HARBOUR", "LANTERN")]
    tokens.append(ledger_account_id("2120", bank.account_id("LANTERN-USD")))
    moved: list[Moved] = []
    booked: list[datetime] = []
    for index, entry in enumerate(entries):
        at += entry.pause
        value_date = at.date() - entry.days_late * DAY
        payer, payee, amount = tokens[entry.payer], tokens[entry.payee], entry.amount_minor
        with pipelined(connection) as pipeline:
            asked = ledger.lock(pipeline, bank.issuer_id, [reserves, *tokens])
        book = asked.result()
        if payer == payee or book.available_minor(payer) < amount:
            payer = reserves
        postings = (Posting(payer, amount, 0), Posting(payee, 0, amount))
        book.check(postings)
        for line in book.post(index, value_date, postings):
            movement_minor = line.balance_minor - line.previous_balance_minor
            moved.append(Moved(line.ledger_account_id, index, value_date, movement_minor))
        with pipelined(connection) as pipeline:
            ledger.write_lines(pipeline, bank.issuer_id, book, at)
            check = ledger.write_balances(pipeline, bank.issuer_id, book)
        check()
        connection.exec_driver_sql(
            """INSERT INTO event (issuer_id, event_index, id, type, subject_id, booked_at, key_id, jws)
               VALUES (%s, %s, %s, 'test', 'test', %s, 'test', 'test')""",
            (bank.issuer_id, index, f"event_{index}", at),
        )
        connection.exec_driver_sql(
            "UPDATE log_head SET next_index = %s, last_booked_at = %s WHERE issuer_id = %s",
            (index + 1, at, bank.issuer_id),
        )
        booked.append(at)
    return moved, booked


def _check(connection: Connection, bank: Bank, at: Standpoint, moved: list[Moved]) -> None:
    expected: dict[str, int] = {}
    for one in moved:
        counts = at.effective_on is None or one.value_date <= at.effective_on
        if one.event_index <= at.event_index and counts:
            expected[one.account_id] = expected.get(one.account_id, 0) + one.movement_minor
    touched = {one.account_id for one in moved}
    found = ledger.balances_at(connection, bank.issuer_id, sorted(touched), at)
    assert {one: found.get(one, 0) for one in touched} == {one: expected.get(one, 0) for one in touched}, at
    rows = list(ledger.stream_trial_balance(connection, bank.issuer_id, bank.classes["USD"].id, at))
    assert {row.id: row.balance_minor for row in rows if row.balance_minor} == {
        one: minor for one, minor in expected.items() if minor
    }, at
    assert [row.id for row in rows] == sorted(row.id for row in rows)
    supply_minor = sum(minor for one, minor in expected.items() if one[:4] in CLAIM_CODES)
    assert ledger.supply_at_minor(connection, bank.issuer_id, bank.classes["USD"].id, at) == supply_minor, at


def test_a_late_entry_is_in_monday_as_known_on_wednesday_and_not_as_known_on_tuesday(bank: Bank) -> None:
    tuesday, wednesday = MONDAY + DAY, MONDAY + 2 * DAY
    bank.clock.at = MONDAY
    bank.deposit("HARBOUR-USD", "10.00")
    bank.clock.at = wednesday
    bank.deposit("HARBOUR-USD", "5.00", value_date=MONDAY.date())

    def known(by: datetime, on: date | None) -> int:
        with bank.database.read() as connection:
            index = ledger_index(connection, bank, by)
            at = standpoint(connection, bank.issuer_id, index, on)
            one = ledger_account_id(Code.DEPOSITS_AVAILABLE, bank.account_id("HARBOUR-USD"))
            return ledger.balances_at(connection, bank.issuer_id, [one], at).get(one, 0)

    assert known(tuesday, MONDAY.date()) == 1000
    assert known(wednesday, MONDAY.date()) == 1500
    assert known(tuesday, None) == 1000
    assert known(wednesday, None) == 1500
    assert known(wednesday, (MONDAY - DAY).date()) == 0
    oracle(bank)


def ledger_index(connection: Connection, bank: Bank, by: datetime) -> int:
    return int(
        connection.exec_driver_sql(
            "SELECT coalesce(max(event_index), -1) FROM event WHERE issuer_id = %s AND booked_at <= %s",
            (bank.issuer_id, by),
        ).scalar_one()
    )


def test_by_value_date_a_balance_can_lie_below_zero(bank: Bank) -> None:
    bank.clock.at = MONDAY
    bank.deposit("HARBOUR-USD", "10.00", value_date=(MONDAY + DAY).date())
    bank.release_deposit("HARBOUR-USD", "4.00")
    with bank.database.read() as connection:
        one = ledger_account_id(Code.DEPOSITS_AVAILABLE, bank.account_id("HARBOUR-USD"))
        at = standpoint(connection, bank.issuer_id, 1, MONDAY.date())
        assert ledger.balances_at(connection, bank.issuer_id, [one], at) == {one: -400}


DEPOSITS = """
INSERT INTO journal_line (issuer_id, event_index, line_number, ledger_account_id, currency, debit_minor, credit_minor,
                          previous_balance_minor, balance_minor, account_version, booked_at, value_date)
SELECT %(issuer_id)s, i, side, CASE side WHEN 0 THEN %(control)s ELSE %(deposits)s END, 'USD', 1 - side, side,
       i, i + 1, i + 1, %(since)s::timestamptz + interval '1 day' * (i / 10), %(since)s::date + i / 10 - late
FROM generate_series(0, 9999) AS i, (VALUES (0), (1)) AS sides(side), LATERAL (SELECT 1 + i %% 2) AS days(late)
"""


def test_of_a_long_history_only_what_is_under_way_is_looked_at(bank: Bank) -> None:
    """Ten deposits a day for a thousand days, each a day or two late: a question about a day reads its own."""
    control = ledger_account_id(Code.DEPOSITS_AT_CORE, bank.classes["USD"].id)
    deposits = ledger_account_id(Code.DEPOSITS_AVAILABLE, bank.account_id("HARBOUR-USD"))
    asked = {"issuer_id": bank.issuer_id, "control": control, "deposits": deposits, "since": MONDAY}
    with connect(bank.urls.superuser_url) as connection:
        connection.execute(DEPOSITS, asked)
        connection.execute("UPDATE ledger_account SET version = 10000 WHERE id = %s", [control])
        connection.execute("ANALYZE journal_line")
        connection.execute("SET enable_seqscan = off")
        day = (MONDAY + 500 * DAY).date()
        asked |= {"ids": [control], **Standpoint(9_999, day, 5_009)._asdict()}
        query = store._UNDER_WAY + store._BALANCES_AT
        found = connection.execute(query.encode(), asked).fetchone()
        plan = connection.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {query}".encode(), asked).fetchone()

    # Up to that day's evening 5,010 were booked; five of the next day's are one day late, and ten are two days late.
    assert found == (control, 5_010 + 5 + 10)
    assert plan is not None
    read = [one for one in _nodes(plan[0][0]["Plan"]) if one.get("Relation Name") == "journal_line"]  # type: ignore[index]
    assert {one["Node Type"] for one in read} <= {"Index Scan", "Index Only Scan"}
    touched = sum(
        (one["Actual Rows"] + one.get("Rows Removed by Filter", 0)) * one["Actual Loops"] for one in read
    )
    # Both lines of each deposit that is under way, one line of the account, and a look for each number of days.
    assert touched <= 2 * 15 + 10


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for one in plan.get("Plans", ()):
        yield from _nodes(one)
