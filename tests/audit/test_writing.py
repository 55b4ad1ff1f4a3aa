"""Writing the trail: gap-free under concurrency, durable before anybody is told, bounded, never silent on failure."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection

from tallystick import audit
from tallystick.audit import AuditTrail, AuditUnavailableError, Decision, Draft
from tests.bank import Bank, open_bank
from tests.database import connect

REFUSED = Draft("transfer", Decision.REFUSED, "POST", 409, code="insufficient_funds")
PATIENCE_SECONDS = 60


@contextmanager
def opened_trail(
    bank: Bank, *, queue_length_max: int = 10_000, strays_per_minute_max: int = 3
) -> Iterator[AuditTrail]:
    trail = AuditTrail(
        bank.database,
        bank.clock,
        queue_length_max=queue_length_max,
        strays_per_minute_max=strays_per_minute_max,
    )
    try:
        yield trail
    finally:
        trail.close(PATIENCE_SECONDS)


def entries(bank: Bank, issuer_id: str | None = None) -> list[audit.Entry]:
    of = issuer_id or bank.issuer_id
    with bank.database.read() as connection:
        found = audit.page(connection, of, audit.begin(connection, of), limit=1_000)
    assert found.next is None
    return [entry for entry in found.entries if entry.number is not None]


def append(bank: Bank, *drafts: Draft) -> None:
    bank.database.run(lambda connection: audit.append(connection, bank.clock, bank.issuer_id, drafts))


def record(trail: AuditTrail, bank: Bank, draft: Draft = REFUSED) -> "Future[AuditUnavailableError | None]":
    told: Future[AuditUnavailableError | None] = Future()
    trail.record(bank.issuer_id, draft, told.set_result)
    return told


@contextmanager
def end_locked(bank: Bank) -> Iterator[None]:
    """Keep whoever writes the bank's trail waiting until the block ends."""
    append(bank, REFUSED)
    with connect(bank.urls.superuser_url) as blocker, blocker.transaction():
        blocker.execute("SELECT 1 FROM audit_head WHERE issuer_id = %s FOR UPDATE", [bank.issuer_id])
        yield


def wait_for_a_waiting_writer(bank: Bank) -> None:
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    with connect(bank.urls.superuser_url) as watcher:
        while not watcher.execute(
            "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        ).fetchone():
            assert time.monotonic() < give_up_at
            time.sleep(0.01)


def test_numbers_have_no_gaps_and_times_never_fall_however_many_write(bank: Bank) -> None:
    told: list[AuditUnavailableError | None] = []
    with opened_trail(bank) as one, opened_trail(bank) as other, ThreadPoolExecutor(8) as threads:
        for number in range(40):
            for trail in (one, other):
                draft = REFUSED._replace(request_id=f"{number}")
                threads.submit(trail.record, bank.issuer_id, draft, told.append)
            threads.submit(append, bank, REFUSED)
        threads.shutdown()

    found = entries(bank)
    assert told == [None] * 80
    assert [entry.number for entry in found] == list(range(120))
    assert sorted(entry.recorded_at for entry in found) == [entry.recorded_at for entry in found]
    with bank.database.read() as connection:
        assert audit.first_broken_number(connection, bank.issuer_id) is None


def test_everything_of_an_entry_comes_back(bank: Bank) -> None:
    full = Draft(
        operation="/v1/holds/{hold_id}/void",
        decision=Decision.REFUSED,
        method="POST",
        status=409,
        principal_id=bank.maker.id,
        person='Mára, \\ {"Maker"}',
        key_id="key_1",
        subject_id="hold_1",
        source="2001:db8::1",
        request_id="a.b-c",
        request_hash=b"\xff" * 32,
        code="hold_closed",
        event_index=2**53 - 1,
        reasons={"b": 1, "a": 2},
    )
    bare = Draft("x", Decision.READ, "GET", 200)
    append(bank, full, bare)

    assert [entry.draft for entry in entries(bank)] == [full, bare]


def test_time_does_not_run_backwards_with_the_clock(bank: Bank) -> None:
    append(bank, REFUSED)
    bank.clock.at -= timedelta(hours=1)
    append(bank, REFUSED)

    first, second = entries(bank)
    assert second.recorded_at == first.recorded_at


def test_a_transaction_that_fails_leaves_neither_entry_nor_gap(bank: Bank) -> None:
    append(bank, REFUSED)

    def failing(connection: Connection) -> None:
        audit.append(connection, bank.clock, bank.issuer_id, [REFUSED])
        raise ValueError("after the entry")

    with pytest.raises(ValueError, match="after the entry"):
        bank.database.run(failing)
    append(bank, REFUSED)

    assert [entry.number for entry in entries(bank)] == [0, 1]


def test_each_issuer_has_a_trail_of_its_own(bank: Bank, tmp_path: Path) -> None:
    told: list[AuditUnavailableError | None] = []
    with open_bank(bank.urls, tmp_path / "keys", pool_size=2) as other:
        with opened_trail(bank) as trail:
            for number in range(10):
                of = (bank, other)[number % 2]
                trail.record(of.issuer_id, REFUSED._replace(request_id=f"{number}"), told.append)
        for of, ids in ((bank, "02468"), (other, "13579")):
            found = entries(bank, of.issuer_id)
            assert [entry.draft.request_id for entry in found] == list(ids)
            assert [entry.number for entry in found] == list(range(5))
    assert told == [None] * 10


def test_nobody_is_told_before_it_is_durable_and_what_waits_is_written_together(bank: Bank) -> None:
    announced: list[int] = []
    trail = AuditTrail(
        bank.database,
        bank.clock,
        queue_length_max=100,
        strays_per_minute_max=3,
        announce=lambda: announced.append(threading.get_ident()),
    )
    with end_locked(bank):
        first = record(trail, bank)
        wait_for_a_waiting_writer(bank)
        crowd = [record(trail, bank) for _ in range(20)]
        assert not first.done()
        assert not any(one.done() for one in crowd)
    assert [one.result(PATIENCE_SECONDS) for one in (first, *crowd)] == [None] * 21
    trail.close(PATIENCE_SECONDS)
    assert len(announced) == 2
    assert len(entries(bank)) == 22


def test_a_full_queue_and_a_closed_one_say_so(bank: Bank) -> None:
    with opened_trail(bank, queue_length_max=2) as trail:
        with end_locked(bank):
            begun = record(trail, bank)
            wait_for_a_waiting_writer(bank)
            waiting = [record(trail, bank), record(trail, bank)]
            with pytest.raises(AuditUnavailableError):
                record(trail, bank)
        assert [one.result(PATIENCE_SECONDS) for one in (begun, *waiting)] == [None] * 3
    with pytest.raises(AuditUnavailableError):
        record(trail, bank)
    assert len(entries(bank)) == 4


def test_what_is_queued_is_written_before_it_closes(bank: Bank) -> None:
    trail = AuditTrail(bank.database, bank.clock, queue_length_max=100, strays_per_minute_max=1)
    told = [record(trail, bank) for _ in range(50)]

    trail.close(PATIENCE_SECONDS)

    assert [one.result(0) for one in told] == [None] * 50
    assert len(entries(bank)) == 50


def test_an_entry_that_can_not_be_written_harms_no_neighbour(
    bank: Bank, caplog: pytest.LogCaptureFixture
) -> None:
    with opened_trail(bank) as trail:
        with end_locked(bank):
            first = record(trail, bank)
            wait_for_a_waiting_writer(bank)
            good = [record(trail, bank) for _ in range(3)]
            # No column holds a NUL.
            poison = record(trail, bank, REFUSED._replace(request_id="canary\0"))
            good += [record(trail, bank) for _ in range(3)]
        assert [one.result(PATIENCE_SECONDS) for one in (first, *good)] == [None] * 7
        assert isinstance(poison.result(PATIENCE_SECONDS), AuditUnavailableError)
    assert [entry.number for entry in entries(bank)] == list(range(8))
    assert "could not be written" in caplog.text
    assert "canary" not in caplog.text


def test_whoever_waits_learns_that_the_database_refuses_and_the_next_is_written(bank: Bank) -> None:
    with opened_trail(bank) as trail, connect(bank.urls.superuser_url) as superuser:
        superuser.execute("REVOKE INSERT ON audit_entry FROM tallystick_service")
        assert isinstance(record(trail, bank).result(PATIENCE_SECONDS), AuditUnavailableError)
        superuser.execute("GRANT INSERT ON audit_entry TO tallystick_service")
        assert record(trail, bank).result(PATIENCE_SECONDS) is None
    assert [entry.number for entry in entries(bank)] == [0]


def test_connections_that_are_cut_are_not_noticed(bank: Bank) -> None:
    with opened_trail(bank) as trail, connect(bank.urls.superuser_url) as superuser:
        assert record(trail, bank).result(PATIENCE_SECONDS) is None
        superuser.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = 'tallystick'"
        )
        assert record(trail, bank).result(PATIENCE_SECONDS) is None
    assert [entry.number for entry in entries(bank)] == [0, 1]


def test_a_flood_of_strays_is_bounded_and_counted(bank: Bank) -> None:
    stray = Draft("/v1/accounts", Decision.REFUSED, "GET", 401, code="api_key_invalid", key_id="key_1")
    with opened_trail(bank, strays_per_minute_max=3) as trail:
        written = [trail.record_stray(bank.issuer_id, stray, lambda _: None) for _ in range(500)]

    found = entries(bank)
    assert written == [True] * 3 + [False] * 497
    assert [entry.draft for entry in found[:3]] == [stray] * 3
    [summary] = found[3:]
    assert summary.draft.reasons == {"api_key_invalid": 497}
    assert (summary.draft.code, summary.draft.principal_id) == ("api_key_invalid", None)
