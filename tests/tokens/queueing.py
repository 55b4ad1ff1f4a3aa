"""Handing submissions to a group commit in tests, and holding its thread back so that they pile up."""

import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Final

from tallystick.tokens import GroupCommit, Kind, Outcome, Request, Submission, SubmissionOutcome
from tests.bank import Bank
from tests.database import connect

PATIENCE_SECONDS: Final = 60


def transfer(
    bank: Bank, amount: str = "0.01", *, key: str | None = None, reference: str | None = None
) -> Request:
    return bank.request(
        Kind.TRANSFER,
        bank.maker,
        key=key,
        amount=amount,
        currency="USD",
        payer_account_id=bank.account_id("HARBOUR-USD"),
        payee_account_id=bank.account_id("LANTERN-USD"),
        reference=reference,
    )


def submit(
    queue: GroupCommit, bank: Bank, one: Request | Submission, *, in_seconds: float = PATIENCE_SECONDS
) -> "Future[SubmissionOutcome]":
    """Queue a request or a submission; its outcome comes through the future."""
    told: Future[SubmissionOutcome] = Future()
    submission = one if isinstance(one, Submission) else Submission((one,))
    queue.submit(bank.issuer_id, submission, time.monotonic() + in_seconds, told.set_result)
    return told


def outcome_of(told: "Future[SubmissionOutcome]") -> Outcome:
    return told.result(PATIENCE_SECONDS).outcomes[0]


def answer_of(outcome: Outcome) -> tuple[int, bytes, str, int | None]:
    """Return what a caller is told of an outcome, byte for byte."""
    return outcome.status, outcome.body, outcome.resource_id, outcome.event_index


def code_of(told: "Future[SubmissionOutcome]") -> str:
    refusal = outcome_of(told).refusal
    return "settled" if refusal is None else refusal.code


@contextmanager
def held_back(bank: Bank, queue: GroupCommit) -> "Iterator[Future[SubmissionOutcome]]":
    """Keep the settling thread busy with one transfer that waits for the issuer's log until the block ends.

    What is queued meanwhile is taken together. Yields the future of that transfer.
    """
    with connect(bank.urls.superuser_url) as blocker, blocker.transaction():
        blocker.execute("SELECT 1 FROM log_head WHERE issuer_id = %s FOR UPDATE", [bank.issuer_id])
        first = submit(queue, bank, transfer(bank))
        give_up_at = time.monotonic() + PATIENCE_SECONDS
        with connect(bank.urls.superuser_url) as watcher:
            while not watcher.execute(
                "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            ).fetchone():
                assert time.monotonic() < give_up_at
                time.sleep(0.01)
        yield first
