"""Limits on calls: what is let through in any stretch of time, by however many processes, stays below the bound."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick import identity
from tallystick.core.clock import FixedClock
from tallystick.identity import Lease, capacity_of, lease_size
from tests.bank import OPENED_AT, Bank
from tests.database import connect


def take(bank: Bank, at: datetime, per_minute: int, principal_id: str | None = None) -> Lease:
    return bank.database.run(
        lambda connection: identity.take_lease(
            connection, FixedClock(at), bank.issuer_id, principal_id or bank.platform.id, per_minute
        )
    )


def empty(bank: Bank) -> None:
    with connect(bank.urls.superuser_url) as connection:
        connection.execute("DELETE FROM rate_bucket")


def test_a_bucket_holds_its_capacity_and_not_one_more(shared_bank: Bank) -> None:
    empty(shared_bank)
    leases = [take(shared_bank, OPENED_AT, 600) for _ in range(25)]
    assert sum(one.calls for one in leases) == capacity_of(600) == 100
    assert [one.calls for one in leases[:3]] == [lease_size(600)] * 3 == [5] * 3
    assert leases[-1] == Lease(0, 0.1), "ten a second: the next one in a tenth"


def test_it_fills_at_its_rate(shared_bank: Bank) -> None:
    empty(shared_bank)
    while take(shared_bank, OPENED_AT, 600).calls:
        pass
    assert take(shared_bank, OPENED_AT + timedelta(milliseconds=99), 600).calls == 0
    assert take(shared_bank, OPENED_AT + timedelta(milliseconds=100), 600).calls == 1
    assert take(shared_bank, OPENED_AT + timedelta(milliseconds=100), 600).calls == 0
    assert take(shared_bank, OPENED_AT + timedelta(milliseconds=350), 600).calls == 2
    day_later = OPENED_AT + timedelta(days=1)
    assert sum(take(shared_bank, day_later, 600).calls for _ in range(25)) == 100, "never more than full"


def test_principals_have_buckets_of_their_own(shared_bank: Bank) -> None:
    empty(shared_bank)
    while take(shared_bank, OPENED_AT, 60).calls:
        pass
    assert take(shared_bank, OPENED_AT, 60, shared_bank.holder.id).calls == 1


def test_a_clock_that_runs_back_refills_nothing(shared_bank: Bank) -> None:
    empty(shared_bank)
    while take(shared_bank, OPENED_AT, 60).calls:
        pass
    for _ in range(3):
        assert take(shared_bank, OPENED_AT - timedelta(seconds=30), 60).calls == 0
    assert take(shared_bank, OPENED_AT, 60).calls == 0


def test_a_clock_that_was_wrong_locks_nobody_out(shared_bank: Bank) -> None:
    empty(shared_bank)
    while take(shared_bank, OPENED_AT + timedelta(days=365), 60).calls:
        pass
    assert take(shared_bank, OPENED_AT, 60).calls == 1


def test_processes_at_once_get_the_capacity_together(shared_bank: Bank) -> None:
    empty(shared_bank)

    def work(_number: int) -> int:
        return sum(take(shared_bank, OPENED_AT, 600).calls for _ in range(10))

    with ThreadPoolExecutor(6) as threads:
        assert sum(threads.map(work, range(6))) == capacity_of(600)


@given(
    per_minute=st.integers(1, 6_000),
    pauses=st.lists(st.integers(0, 5_000), min_size=1, max_size=30),
)
@settings(max_examples=12)
def test_no_stretch_of_time_gets_more_than_the_bound(
    shared_bank: Bank, per_minute: int, pauses: list[int]
) -> None:
    empty(shared_bank)
    taken: list[tuple[datetime, int]] = []
    at = OPENED_AT
    for pause in pauses:
        at += timedelta(milliseconds=pause)
        taken.append((at, take(shared_bank, at, per_minute).calls))
    for first, (began, _) in enumerate(taken):
        calls = 0
        for ended, count in taken[first:]:
            calls += count
            allowed = capacity_of(per_minute) + per_minute / 60 * (ended - began).total_seconds()
            assert calls <= allowed + 1e-6


@pytest.mark.parametrize("per_minute", [1, 7, 600_000, 60_000_000])
def test_every_limit_works(shared_bank: Bank, per_minute: int) -> None:
    empty(shared_bank)
    assert take(shared_bank, OPENED_AT, per_minute).calls == lease_size(per_minute)
    assert lease_size(per_minute) <= capacity_of(per_minute)
