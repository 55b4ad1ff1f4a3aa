"""The process that settles beside the one that serves: the same outcomes, and nobody left waiting when it dies."""

import asyncio
import os
import pickle
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from tallystick.core.clock import SystemClock
from tallystick.core.errors import domain_errors
from tallystick.tokens import (
    Kind,
    Outcome,
    QueueFullError,
    Request,
    SettlingProcess,
    SettlingTerms,
    ShuttingDownError,
    Submission,
    SubmissionOutcome,
    settling_child,
    settling_process,
)
from tests.bank import Bank, oracle
from tests.database import connect
from tests.tokens.queueing import answer_of, transfer

pytestmark = pytest.mark.anyio

PATIENCE_SECONDS: Final = 60


@pytest.fixture
def funded(bank: Bank) -> Bank:
    # The child has the machine's clock.
    bank.clock.at = SystemClock().now()
    bank.mint("HARBOUR-USD", "1000.00")
    return bank


@asynccontextmanager
async def settling(bank: Bank, **terms: Any) -> AsyncIterator[SettlingProcess]:
    process = SettlingProcess(terms_of(bank, **terms))
    await process.start()
    try:
        yield process
    finally:
        await process.close()
    assert process.process_id is None


def terms_of(bank: Bank, **terms: Any) -> SettlingTerms:
    usual = SettlingTerms(
        bank.urls.service_url, bank.key_directory._path, None, timedelta(hours=72), 100, 1_000
    )
    return usual._replace(**terms)


def submit(
    process: SettlingProcess, bank: Bank, one: Request | Submission, *, in_seconds: float = PATIENCE_SECONDS
) -> "asyncio.Future[SubmissionOutcome]":
    told: asyncio.Future[SubmissionOutcome] = asyncio.get_running_loop().create_future()
    submission = one if isinstance(one, Submission) else Submission((one,))
    process.submit(bank.issuer_id, submission, time.monotonic() + in_seconds, told.set_result)
    return told


async def outcome_of(told: "asyncio.Future[SubmissionOutcome]") -> Outcome:
    async with asyncio.timeout(PATIENCE_SECONDS):
        return (await told).outcomes[0]


async def code_of(told: "asyncio.Future[SubmissionOutcome]") -> str:
    refusal = (await outcome_of(told)).refusal
    return "settled" if refusal is None else refusal.code


@contextmanager
def head_locked(bank: Bank) -> Iterator[None]:
    """Keep every instruction of the bank from settling until the end of the block."""
    with connect(bank.urls.superuser_url) as connection, connection.transaction():
        connection.execute("SELECT 1 FROM log_head WHERE issuer_id = %s FOR UPDATE", [bank.issuer_id])
        yield


async def somebody_waits(bank: Bank) -> None:
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    with connect(bank.urls.superuser_url) as watcher:
        while not watcher.execute(
            "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        ).fetchone():
            assert time.monotonic() < give_up_at
            await asyncio.sleep(0.01)


def has_ended(process_id: int) -> bool:
    return not Path(f"/proc/{process_id}").exists()


async def test_outcomes_are_those_of_the_write_path_in_the_order_of_arrival(funded: Bank) -> None:
    requests = [transfer(funded) for _ in range(250)]
    async with settling(funded) as process:
        told = [submit(process, funded, one) for one in requests]
        assert process.queued_requests == 250
        outcomes = [await outcome_of(one) for one in told]
        assert process.queued_requests == 0

    assert [one.event_index for one in outcomes] == list(range(3, 253))
    again = [one.outcomes[0] for one in funded.settle(*[Submission((one,)) for one in requests])]
    assert [answer_of(one) for one in again] == [answer_of(one) for one in outcomes]
    assert all(one.replayed for one in again)
    oracle(funded)


async def test_refusals_come_back_as_they_were(funded: Bank) -> None:
    dear = transfer(funded, "5000.00")
    here = funded.outcome(dear).refusal
    async with settling(funded) as process:
        there = (await outcome_of(submit(process, funded, dear))).refusal
        late = await code_of(submit(process, funded, transfer(funded), in_seconds=-1.0))
    assert here is not None
    assert there is not None
    assert (type(there), there.detail, there.members) == (type(here), here.detail, here.members)
    assert late == "deadline_exceeded"
    oracle(funded)


async def test_a_batch_is_answered_as_one_and_tells_of_its_items(funded: Bank) -> None:
    def batch() -> Submission:
        items = (transfer(funded, "1.00"), transfer(funded, "5000.00"), transfer(funded, "2.00"))
        return Submission(items, funded.request(Kind.TRANSFER_BATCH, funded.maker))

    asked, refused = batch(), batch()._replace(atomic=True)
    async with settling(funded) as process:
        told = [submit(process, funded, one) for one in (asked, refused)]
        async with asyncio.timeout(PATIENCE_SECONDS):
            settled, whole = [await one for one in told]
    assert settled.batch is not None
    [again] = funded.settle(asked)
    assert again.batch is not None
    assert settled.batch.body == again.batch.body
    assert [one.refusal and one.refusal.code for one in settled.outcomes] == [
        None,
        "insufficient_funds",
        None,
    ]
    assert whole.batch is not None
    assert whole.batch.refusal is not None
    assert whole.batch.refusal.code == "atomic_batch_refused"
    assert whole.batch.refusal.members["items"][0]["code"] == "insufficient_funds"
    oracle(funded)


def test_every_refusal_can_be_told_through_the_socket() -> None:
    kinds = list(domain_errors())
    assert len(kinds) > 100
    for kind in kinds:
        refusal = kind.__new__(kind)
        Exception.__init__(refusal, "why")
        refusal.detail, refusal.members = "why", {"existing_id": "transfer_x", "retry_after": 1}
        told = pickle.loads(pickle.dumps(refusal))  # noqa: S301 Our own.
        assert (type(told), told.detail, told.members) == (kind, refusal.detail, refusal.members)


async def test_a_process_that_dies_leaves_nobody_waiting_and_another_one_begins(funded: Bank) -> None:
    requests = [transfer(funded) for _ in range(5)]
    async with settling(funded) as process:
        first = process.process_id
        assert first is not None
        with head_locked(funded):
            told = [submit(process, funded, one) for one in requests]
            await somebody_waits(funded)
            os.kill(first, signal.SIGKILL)
            assert [await code_of(one) for one in told] == ["outcome_unknown"] * 5
        assert process.queued_requests == 0

        outcomes = [await outcome_of(submit(process, funded, one)) for one in requests]
        assert [one.event_index for one in outcomes] == [3, 4, 5, 6, 7]
        assert process.process_id not in {first, None}
    assert has_ended(first)
    oracle(funded)


async def test_what_was_settled_before_it_died_is_found_by_its_key(funded: Bank) -> None:
    request = transfer(funded)
    async with settling(funded) as process:
        assert process.process_id is not None
        told = submit(process, funded, request)
        # It goes over, and no answer is read meanwhile: the loop stands still until the commit is there.
        process._hand_over()
        _await_event(funded, 3)
        os.kill(process.process_id, signal.SIGKILL)
        # Whether it still wrote the answer is a race; what is in the books is not.
        assert await code_of(told) in {"settled", "outcome_unknown"}
        answer = await outcome_of(submit(process, funded, request))
        if answer.refusal is not None:
            # It went to the one that was dying.
            assert answer.refusal.code == "outcome_unknown"
            answer = await outcome_of(submit(process, funded, request))
    assert (answer.replayed, answer.event_index) == (True, 3)
    oracle(funded)


def _await_event(bank: Bank, event_index: int) -> None:
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    with connect(bank.urls.superuser_url) as watcher:
        while not watcher.execute("SELECT 1 FROM event WHERE event_index = %s", [event_index]).fetchone():
            assert time.monotonic() < give_up_at
            time.sleep(0.01)


async def test_closing_settles_what_is_queued_and_takes_no_more(funded: Bank) -> None:
    process = SettlingProcess(terms_of(funded))
    await process.start()
    first = process.process_id
    assert first is not None
    with head_locked(funded):
        told = [submit(process, funded, transfer(funded)) for _ in range(5)]
        await somebody_waits(funded)
        told += [submit(process, funded, transfer(funded)) for _ in range(5)]
        closing = asyncio.create_task(process.close())
        await asyncio.sleep(0)
        with pytest.raises(ShuttingDownError):
            submit(process, funded, transfer(funded))
    await closing
    assert [await code_of(one) for one in told] == ["settled"] * 10
    assert has_ended(first)
    oracle(funded)


async def test_signals_for_the_whole_group_do_not_end_it(funded: Bank) -> None:
    async with settling(funded) as process:
        assert process.process_id is not None
        for number in (signal.SIGINT, signal.SIGTERM):
            os.kill(process.process_id, number)
        assert await code_of(submit(process, funded, transfer(funded))) == "settled"


async def test_what_waits_is_bounded_on_both_sides(funded: Bank) -> None:
    async with settling(funded, batch_size_max=1, queue_length_max=2) as process:
        with head_locked(funded):
            told = [submit(process, funded, transfer(funded))]
            await somebody_waits(funded)
            told += [submit(process, funded, transfer(funded)) for _ in range(2)]
            with pytest.raises(QueueFullError):
                submit(process, funded, transfer(funded))
        assert [await code_of(one) for one in told] == ["settled"] * 3
        # One that can't ever be taken by the child's queue is refused there.
        batch = Submission(
            tuple(transfer(funded) for _ in range(3)), funded.request(Kind.TRANSFER_BATCH, funded.maker)
        )
        async with asyncio.timeout(PATIENCE_SECONDS):
            refused = await submit(process, funded, batch)
        assert refused.batch is not None
        assert isinstance(refused.batch.refusal, QueueFullError)
        assert await code_of(submit(process, funded, transfer(funded))) == "settled"
    oracle(funded)


async def test_what_cannot_be_handed_over_harms_no_neighbour(funded: Bank) -> None:
    async with settling(funded) as process:
        poisonous = transfer(funded)._replace(payload={"whom": lambda: None})
        told = [submit(process, funded, one) for one in (transfer(funded), poisonous, transfer(funded))]
        assert [await code_of(one) for one in told] == ["settled", "internal_error", "settled"]
    oracle(funded)


@pytest.mark.parametrize(
    "code", ["raise SystemExit(1)", "import os; os.close(int(__import__('sys').argv[1]))"]
)
async def test_a_process_that_cannot_begin_is_no_start(
    funded: Bank, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    monkeypatch.setattr(settling_process, "_CHILD", ("-c", code))
    process = SettlingProcess(terms_of(funded))
    with pytest.raises(OSError, match="ended before"):
        await process.start()
    for _ in range(2):
        assert await code_of(submit(process, funded, transfer(funded))) == "outcome_unknown"

    monkeypatch.undo()
    assert await code_of(submit(process, funded, transfer(funded))) == "settled"
    await process.close()


async def test_a_program_that_is_missing_is_told_to_whoever_waits(
    funded: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = SettlingProcess(terms_of(funded))
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    assert await code_of(submit(process, funded, transfer(funded))) == "outcome_unknown"
    assert process.queued_requests == 0
    await process.close()


async def test_a_socket_that_fails_begins_no_endless_row_of_processes(
    funded: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = []
    begin = SettlingProcess._begin

    def counted(process: SettlingProcess) -> None:
        begun.append(process)
        # Enough: it must not hang where it must fail.
        if len(begun) < 5:
            begin(process)

    async def broken(**_: Any) -> None:
        raise OSError("no socket")

    monkeypatch.setattr(SettlingProcess, "_begin", counted)
    monkeypatch.setattr(asyncio, "open_unix_connection", broken)
    process = SettlingProcess(terms_of(funded))
    told = [submit(process, funded, transfer(funded)) for _ in range(3)]
    assert [await code_of(one) for one in told] == ["outcome_unknown"] * 3
    assert len(begun) == 1
    assert process.queued_requests == 0
    last = submit(process, funded, transfer(funded))
    await process.close()
    assert await code_of(last) == "outcome_unknown"
    assert len(begun) == 2


def test_an_outcome_that_cannot_be_told_is_told_as_unknown_and_harms_no_neighbour() -> None:
    def broken() -> str:
        raise ValueError("no text")

    settled = SubmissionOutcome([Outcome(201, b"{}", "transfer_x")])
    faulty = SubmissionOutcome([Outcome(201, broken, "transfer_y")])
    ours, theirs = socket.socketpair()
    with ours, theirs:
        # What is never told must fail, not hang.
        ours.settimeout(PATIENCE_SECONDS)
        parent = settling_child._Parent(theirs)
        for number, one in enumerate((settled, faulty, settled)):
            parent.tell(number, one)
        parent.announce()
        told = _read(ours, 3)
    assert [number for number, _ in told] == [0, 1, 2]
    refusals = [one.outcomes[0].refusal for _, one in told]
    assert [one and one.code for one in refusals] == [None, "outcome_unknown", None]


def _read(channel: socket.socket, messages: int) -> list[tuple[int, SubmissionOutcome]]:
    other_end = settling_child._Parent(channel)
    return [one for _ in range(messages) for one in other_end.read()]


async def test_the_terms_are_for_nobody_else_to_read(funded: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    # Where the service itself is told so.
    monkeypatch.setenv("TALLYSTICK_KEY_PASSPHRASE", "correct horse battery staple")
    terms = terms_of(funded, key_passphrase="correct horse battery staple")
    process = SettlingProcess(terms)
    await process.start()
    shown = shown_of(process.process_id)
    await process.close()
    assert b"settling_child" in shown
    assert b"correct horse" not in shown
    assert funded.urls.service_url.encode() not in shown


def shown_of(process_id: int | None) -> bytes:
    """Return what a machine tells its users of a process: arguments and environment."""
    return b"".join(Path(f"/proc/{process_id}/{name}").read_bytes() for name in ("cmdline", "environ"))
