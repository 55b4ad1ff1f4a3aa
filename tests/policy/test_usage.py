"""What limits count: in memory for every sequence of moments and amounts, and in the database by many at once."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick import events, policy
from tallystick.core.errors import InvariantError
from tallystick.core.money import AMOUNT_MINOR_MAX
from tallystick.core.pipeline import pipelined
from tallystick.policy import Facts, UsageBook
from tallystick.policy.usage import HOURS, Usage, hour_of
from tests.bank import Bank, open_bank
from tests.database import DatabaseUrls, cloned_database, connect
from tests.policy.cases import NOW, book_for, codes, facts, mint, policy_of


def kept(usage: Usage, at: datetime) -> Usage:
    """Return usage as it comes back from the database at a later moment."""
    return Usage.as_of(hour_of(at), usage.hour, list(usage.buckets), usage.total_minor)


@settings(max_examples=100)
@given(st.lists(st.tuples(st.integers(0, 30 * 3600), st.integers(1, 600)), max_size=40), st.booleans())
def test_no_24_hours_ever_hold_more_than_the_limit(
    steps: list[tuple[int, int]], clock_runs_backwards: bool
) -> None:
    limited = policy_of(limits={"payer_day": "10.00"})
    asked = facts()
    [key] = limited.usage_keys(asked)
    at, usage = NOW, Usage.none(hour_of(NOW))
    latest = NOW
    passed: list[tuple[datetime, int]] = []
    for number, (seconds, amount_minor) in enumerate(steps):
        at += timedelta(seconds=seconds)
        told = at - timedelta(hours=3) if clock_runs_backwards and number % 3 == 1 else at
        # A clock that runs backwards turns nothing back: the latest moment that was told counts on.
        latest = max(latest, told)
        usage = kept(usage, told)
        book = UsageBook(hour_of(told), {key: usage})
        if limited.decide(asked._replace(amount_minor=amount_minor), book).allowed:
            limited.count(asked._replace(amount_minor=amount_minor), book)
            passed.append((latest, amount_minor))
    for begins_at, _ in passed:
        within = [minor for then, minor in passed if begins_at <= then < begins_at + timedelta(hours=24)]
        assert sum(within) <= 1_000
    assert usage.total_minor == sum(minor for _, minor in passed)


def test_room_comes_back_after_a_day_and_at_most_an_hour() -> None:
    limited = policy_of(limits={"payer_day": "10.00"})
    [key] = limited.usage_keys(facts())
    counted_at = datetime(2026, 11, 22, 12, 0, 1, tzinfo=UTC)
    book = UsageBook(hour_of(counted_at), {key: Usage.none(hour_of(counted_at))})
    limited.count(facts(), book)
    for later, expected in (
        (timedelta(hours=24), ["payer_day_limit_exceeded"]),
        (timedelta(hours=24, minutes=59, seconds=58), ["payer_day_limit_exceeded"]),
        (timedelta(hours=24, minutes=59, seconds=59), []),
        (timedelta(days=400), []),
    ):
        at = counted_at + later
        assert codes(limited, facts(), UsageBook(hour_of(at), {key: kept(book.usages[key], at)})) == expected


def test_a_clock_that_runs_backwards_gives_no_room_early() -> None:
    limited = policy_of(limits={"payer_day": "10.00"})
    [key] = limited.usage_keys(facts())
    book = UsageBook(hour_of(NOW), {key: Usage.none(hour_of(NOW))})
    limited.count(facts(), book)
    back = kept(book.usages[key], NOW - timedelta(hours=3))
    for hours, used_minor in ((0, 1_000), (23, 1_000), (24, 1_000), (25, 0)):
        assert kept(back, NOW + timedelta(hours=hours)).day_minor == used_minor


@given(st.lists(st.integers(1, 500), max_size=12), st.integers(0, 12))
def test_what_is_undone_was_never_counted(amounts: list[int], kept_count: int) -> None:
    limited = policy_of(limits={"payer_day": "1000.00", "pair_day": "1000.00"}, issuance={"supply": "9.00"})
    asked = [
        mint(minor) if number % 3 == 2 else facts(amount_minor=minor) for number, minor in enumerate(amounts)
    ]
    books = []
    for stops in (False, True):
        book = book_for(limited, facts(), mint())
        book.set_supply("class_usd", 0)
        mark = book.mark()
        for number, one in enumerate(asked):
            if number == kept_count:
                mark = book.mark()
                if stops:
                    break
            limited.count(one, book)
        if not stops and kept_count < len(asked):
            book.undo_to(mark)
        books.append(book)
    assert books[0].usages == books[1].usages
    assert books[0].supplies == books[1].supplies
    assert books[0].changed() == books[1].changed()


def test_what_was_not_read_cannot_be_counted() -> None:
    with pytest.raises(InvariantError):
        UsageBook(1, {}).add("payer_day:x", 1)


@settings(max_examples=25)
@given(st.lists(st.tuples(st.integers(1, 400_000), st.integers(0, 10_000)), min_size=200, max_size=400))
def test_random_mints_never_breach_a_cap(asked: list[tuple[int, int]]) -> None:
    """Each example is hundreds of mints, some a thousand times too large, over many days."""
    capped = policy_of(issuance={"mint": "3000.00", "day": "10000.00", "supply": "50000.00"})
    keys = capped.usage_keys(mint())
    at, supply_minor = NOW, 0
    usages = {key: Usage.none(hour_of(at)) for key in keys}
    minted: list[tuple[datetime, int]] = []
    for number, (amount_minor, seconds) in enumerate(asked):
        at += timedelta(seconds=seconds)
        fat_fingered = amount_minor * 1_000 if number % 10 == 0 else amount_minor
        usages = {key: kept(usage, at) for key, usage in usages.items()}
        book = UsageBook(hour_of(at), usages)
        book.set_supply("class_usd", supply_minor)
        if capped.decide(mint(fat_fingered), book).allowed:
            assert fat_fingered <= 300_000
            capped.count(mint(fat_fingered), book)
            supply_minor = book.supplies["class_usd"]
            minted.append((at, fat_fingered))
    assert supply_minor == sum(minor for _, minor in minted) <= 5_000_000
    for begins_at, _ in minted:
        day = [minor for at, minor in minted if begins_at <= at < begins_at + timedelta(hours=24)]
        assert sum(day) <= 1_000_000


@pytest.fixture(scope="module")
def urls(postgres_server: Any, migrated_template: str) -> Iterator[DatabaseUrls]:
    with cloned_database(postgres_server, migrated_template) as cloned:
        yield cloned


@pytest.fixture(scope="module")
def bank(urls: DatabaseUrls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bank]:
    with open_bank(urls, tmp_path_factory.mktemp("usage"), pool_size=16) as opened:
        yield opened


def settle(bank: Bank, limited: policy.CompiledPolicy, asked: list[Facts], at: datetime) -> list[bool]:
    """Decide and count instructions in one transaction, as the write path does: under the issuer's log head."""

    def work(connection: Any) -> list[bool]:
        keys = {key for one in asked for key in limited.usage_keys(one)}
        with pipelined(connection) as pipeline:
            events.lock_head(pipeline, bank.issuer_id)
            read = policy.read_usage(pipeline, bank.issuer_id, keys, at)
        book = read.result()
        passed = []
        for one in asked:
            passed.append(limited.decide(one, book).allowed)
            if passed[-1]:
                limited.count(one, book)
        with pipelined(connection) as pipeline:
            policy.write_usage(pipeline, bank.issuer_id, book)
        return passed

    return bank.database.run(work)


def test_two_hundred_at_once_cannot_exceed_a_limit(bank: Bank) -> None:
    limited = policy_of(limits={"payer_day": "1000.00", "pair_day": "500.00", "holder_day": "900.00"})
    barrier = threading.Barrier(16)

    def ask(number: int) -> bool:
        if number < 16:
            barrier.wait(timeout=60)
        payee = facts().payee
        assert payee is not None
        other = payee._replace(holder_id=f"holder_{number % 3}")
        return settle(bank, limited, [facts(payee=other)], NOW)[0]

    with ThreadPoolExecutor(16) as pool:
        passed = list(pool.map(ask, range(200)))
    assert sum(passed) == 90, "the holder's limit, to the cent"
    for number in range(3):
        assert sum(passed[number::3]) <= 50
    with connect(bank.urls.superuser_url) as connection:
        rows: dict[str, int] = dict(connection.execute("SELECT key, total_minor FROM limit_usage").fetchall())  # type: ignore[arg-type]
    assert rows["payer_day:account_a"] == rows["holder_day:class_usd:holder_a"] == 90_000
    assert sum(minor for key, minor in rows.items() if key.startswith("pair_day")) == 90_000


def test_a_batch_reads_and_writes_one_row_per_subject_and_days_pass(bank: Bank) -> None:
    limited = policy_of(
        limits={"payer_day": "50.00"}, issuance={"minter_allowances": {"principal_maker": "25.00"}}
    )
    payer = facts().payer
    assert payer is not None
    asked = [facts(payer=payer._replace(account_id="account_days")), mint()]
    one, many = asked[0], asked * 3
    assert settle(bank, limited, many, NOW) == [True, True, True, True, True, False]
    later = NOW + timedelta(hours=20)
    assert settle(bank, limited, [one] * 3, later) == [True, True, False]
    assert settle(bank, limited, [*asked, *[one] * 3], NOW + timedelta(hours=26)) == [
        True,
        False,
        True,
        True,
        False,
    ]
    with connect(bank.urls.superuser_url) as connection:
        rows = connection.execute(
            "SELECT key, hour, buckets, total_minor FROM limit_usage WHERE key ~ 'days|minter' ORDER BY key"
        ).fetchall()
    assert [(key, total_minor) for key, _, _, total_minor in rows] == [
        ("minter:class_usd:principal_maker", 2_000),
        ("payer_day:account_days", 8_000),
    ]
    [_, (_, hour, buckets, _)] = rows
    assert isinstance(buckets, list)
    assert (hour, len(buckets), buckets[-7], buckets[-1]) == (hour_of(NOW) + 26, HOURS, 2_000, 3_000)


def test_what_is_rolled_back_or_not_counted_leaves_nothing(bank: Bank) -> None:
    limited = policy_of(limits={"payer_day": "50.00"})
    payer = facts().payer
    assert payer is not None
    asked = facts(payer=payer._replace(account_id="account_never"))

    def work(connection: Any) -> None:
        with pipelined(connection) as pipeline:
            read = policy.read_usage(pipeline, bank.issuer_id, limited.usage_keys(asked), NOW)
        book = read.result()
        with pipelined(connection) as pipeline:
            policy.write_usage(pipeline, bank.issuer_id, book)
        limited.count(asked, book)
        with pipelined(connection) as pipeline:
            policy.write_usage(pipeline, bank.issuer_id, book)
        raise RuntimeError("lost")

    with pytest.raises(RuntimeError, match="lost"):
        bank.database.run(work)
    assert settle(bank, limited, [asked._replace(amount_minor=5_001)], NOW) == [False]
    with connect(bank.urls.superuser_url) as connection:
        assert connection.execute("SELECT * FROM limit_usage WHERE key ~ 'never'").fetchall() == []


def test_full_is_full(bank: Bank) -> None:
    watched = policy_of(limits={"payer_day": "92233720368547758.07"})
    payer = facts().payer
    assert payer is not None
    asked = facts(payer=payer._replace(account_id="account_full"), amount_minor=AMOUNT_MINOR_MAX)
    assert settle(bank, watched, [asked], NOW) == [True]
    assert settle(bank, watched, [asked._replace(amount_minor=1)], NOW) == [False]
    assert settle(bank, watched, [asked], NOW + timedelta(days=2)) == [True]
    with connect(bank.urls.superuser_url) as connection:
        [row] = connection.execute("SELECT total_minor FROM limit_usage WHERE key ~ 'full'").fetchall()
    assert row == (AMOUNT_MINOR_MAX,)


def test_other_issuers_usage_is_not_seen(bank: Bank) -> None:
    with bank.database.read() as connection:
        with pipelined(connection) as pipeline:
            read = policy.read_usage(pipeline, "issuer_other", ["payer_day:account_a"], NOW)
        assert read.result().used_minor("payer_day:account_a") == 0
