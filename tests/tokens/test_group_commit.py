"""One queue, one thread, one transaction for whoever arrives together; and everybody gets an own outcome, in order."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest

from tallystick import signing
from tallystick.core.database import Database
from tallystick.core.pipeline import Asked, Pipeline
from tallystick.signing import Signer
from tallystick.tokens import (
    GroupCommit,
    Kind,
    QueueFullError,
    Settler,
    ShuttingDownError,
    Submission,
    SubmissionOutcome,
)
from tests.bank import Bank, open_bank, oracle
from tests.database import connect
from tests.tokens.queueing import PATIENCE_SECONDS, code_of, held_back, outcome_of, submit, transfer

Queues = Callable[..., GroupCommit]


@pytest.fixture
def funded(bank: Bank) -> Bank:
    bank.mint("HARBOUR-USD", "1000.00")
    return bank


@pytest.fixture
def queue_of(funded: Bank) -> Iterator[Queues]:
    """Makes queues to the bank's write path that are closed at the end."""
    opened: list[GroupCommit] = []

    def open_queue(
        *,
        batch_size_max: int = 100,
        queue_length_max: int = 1_000,
        announce: Callable[[], None] = lambda: None,
    ) -> GroupCommit:
        queue = GroupCommit(
            funded.database,
            funded.settler,
            batch_size_max=batch_size_max,
            queue_length_max=queue_length_max,
            announce=announce,
        )
        opened.append(queue)
        return queue

    yield open_queue
    for queue in opened:
        queue.close(PATIENCE_SECONDS)


def sizes_of_commits(bank: Bank) -> list[int]:
    """Return how many transfers each transaction wrote, in the order of the log."""
    with connect(bank.urls.superuser_url) as connection:
        rows = connection.execute(
            "SELECT count(*) FROM event WHERE issuer_id = %s AND type = 'token.transferred'"
            " GROUP BY xmin::text ORDER BY min(event_index)",
            [bank.issuer_id],
        ).fetchall()
    return [int(str(row[0])) for row in rows]


def test_a_single_request_settles_without_waiting_for_company(funded: Bank, queue_of: Queues) -> None:
    outcome = outcome_of(submit(queue_of(), funded, transfer(funded)))
    assert (outcome.status, outcome.event_index) == (201, 3)
    assert sizes_of_commits(funded) == [1]
    oracle(funded)


def test_what_arrives_together_settles_together_in_the_order_of_arrival(
    funded: Bank, queue_of: Queues
) -> None:
    queue = queue_of(batch_size_max=10)
    with held_back(funded, queue) as first:
        told = [first, *[submit(queue, funded, transfer(funded)) for _ in range(25)]]
    assert [outcome_of(one).event_index for one in told] == list(range(3, 29))
    assert sizes_of_commits(funded) == [1, 10, 10, 5]
    oracle(funded)


def test_a_submission_larger_than_a_batch_goes_alone(funded: Bank, queue_of: Queues) -> None:
    queue = queue_of(batch_size_max=5)
    many = Submission(
        tuple(transfer(funded) for _ in range(12)), funded.request(Kind.TRANSFER_BATCH, funded.maker)
    )
    with held_back(funded, queue):
        told = [submit(queue, funded, one) for one in (transfer(funded), many, transfer(funded))]
    assert [len(one.result(PATIENCE_SECONDS).outcomes) for one in told] == [1, 12, 1]
    assert sizes_of_commits(funded) == [1, 1, 12, 1]


def test_a_refusal_harms_no_neighbour(funded: Bank, queue_of: Queues) -> None:
    queue = queue_of()
    with held_back(funded, queue):
        told = [
            submit(queue, funded, transfer(funded, amount))
            for amount in ("400.00", "700.00", "x", "599.99", "0.01")
        ]
    assert [code_of(one) for one in told] == [
        "settled",
        "insufficient_funds",
        "amount_malformed",
        "settled",
        "insufficient_funds",
    ]
    assert sizes_of_commits(funded) == [1, 2]
    oracle(funded)


def test_a_key_that_is_still_on_its_way_gets_the_same_answer(funded: Bank, queue_of: Queues) -> None:
    queue = queue_of()
    with held_back(funded, queue):
        told = [submit(queue, funded, transfer(funded, key="same")) for _ in range(20)]
        other = submit(queue, funded, transfer(funded, "0.02", key="same"))
    assert len({outcome_of(one).body for one in told}) == 1
    assert code_of(other) == "idempotency_key_reused"
    assert sizes_of_commits(funded) == [1, 1]


@pytest.mark.parametrize("poisoned", [{0}, {13}, {3, 4, 29}, set(range(30))], ids=len)
def test_a_poisonous_instruction_fails_alone(
    funded: Bank, queue_of: Queues, poisoned: set[int], caplog: pytest.LogCaptureFixture
) -> None:
    with connect(funded.urls.owner_url) as owner:
        owner.execute("ALTER TABLE journal_line ADD CONSTRAINT poison CHECK (debit_minor <> 666)")
    queue = queue_of()
    with held_back(funded, queue):
        told = [
            submit(queue, funded, transfer(funded, "6.66" if number in poisoned else "0.01"))
            for number in range(30)
        ]
    assert [number for number, one in enumerate(told) if code_of(one) == "internal_error"] == sorted(poisoned)
    settled = [outcome_of(one).event_index for number, one in enumerate(told) if number not in poisoned]
    assert settled == list(range(4, 34 - len(poisoned)))
    assert len([record for record in caplog.records if record.levelname == "ERROR"]) == len(poisoned)
    assert code_of(submit(queue, funded, transfer(funded))) == "settled"
    oracle(funded)


def test_a_fault_is_reported_without_what_customers_wrote(
    funded: Bank, queue_of: Queues, caplog: pytest.LogCaptureFixture
) -> None:
    with connect(funded.urls.owner_url) as owner:
        owner.execute("ALTER TABLE instruction ADD CONSTRAINT poison CHECK (reference <> 'canary')")
    assert code_of(submit(queue_of(), funded, transfer(funded, reference="canary"))) == "internal_error"
    # The driver may tell, in words of its own, that the pipeline was aborted.
    [record] = [one for one in caplog.records if one.name.startswith("tallystick")]
    assert record.getMessage() == (
        "an instruction could not be settled: SQLSTATE 23514, table instruction, constraint poison"
    )
    assert "canary" not in caplog.text


def test_a_fault_of_the_programs_own_is_reported_with_where_it_happened(
    funded: Bank, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_: Pipeline, issuer_id: str) -> Asked[Signer]:
        raise LookupError(issuer_id)

    settler = Settler(funded.clock, broken, funded.settler.approval_lifetime, funded.key_directory.signer)
    queue = GroupCommit(funded.database, settler, batch_size_max=10, queue_length_max=10)
    assert code_of(submit(queue, funded, transfer(funded))) == "internal_error"
    queue.close(PATIENCE_SECONDS)
    assert "in broken" in caplog.text


def test_poison_in_a_batch_that_is_written_in_parts_fails_alone_too(funded: Bank, queue_of: Queues) -> None:
    """The first part's failure arrives while later ones are being decided."""
    with connect(funded.urls.owner_url) as owner:
        owner.execute("ALTER TABLE journal_line ADD CONSTRAINT poison CHECK (debit_minor <> 666)")
    queue = queue_of(batch_size_max=1_000)
    with held_back(funded, queue):
        told = [
            submit(queue, funded, transfer(funded, "6.66" if number == 20 else "0.01"))
            for number in range(700)
        ]
    codes = [code_of(one) for one in told]
    assert codes.count("settled") == 699
    assert codes[20] == "internal_error"
    oracle(funded)


def test_a_poisonous_item_fails_its_whole_batch_and_nobody_else(funded: Bank, queue_of: Queues) -> None:
    with connect(funded.urls.owner_url) as owner:
        owner.execute("ALTER TABLE journal_line ADD CONSTRAINT poison CHECK (debit_minor <> 666)")
    queue = queue_of()

    def batch(*amounts: str) -> Submission:
        return Submission(
            tuple(transfer(funded, amount) for amount in amounts),
            funded.request(Kind.TRANSFER_BATCH, funded.maker),
        )

    with held_back(funded, queue):
        told = [submit(queue, funded, one) for one in (batch("1.00"), batch("1.00", "6.66"), batch("2.00"))]
    outcomes = [one.result(PATIENCE_SECONDS).batch for one in told]
    refusals = [None if one is None or one.refusal is None else one.refusal.code for one in outcomes]
    assert refusals == [None, "internal_error", None]
    assert funded.balance_minor("2110", "LANTERN-USD") == 301
    oracle(funded)


def test_a_full_queue_refuses_and_takes_again_when_there_is_room(funded: Bank, queue_of: Queues) -> None:
    queue = queue_of(queue_length_max=5)
    with held_back(funded, queue):
        told = [submit(queue, funded, transfer(funded)) for _ in range(5)]
        with pytest.raises(QueueFullError):
            submit(queue, funded, transfer(funded))
    assert [code_of(one) for one in told] == ["settled"] * 5
    with pytest.raises(QueueFullError):
        submit(queue, funded, Submission(tuple(transfer(funded) for _ in range(6))))
    assert code_of(submit(queue, funded, transfer(funded))) == "settled"
    assert funded.balance_minor("2110", "LANTERN-USD") == 7


def test_what_waited_too_long_is_never_begun(funded: Bank, queue_of: Queues) -> None:
    queue = queue_of()
    with held_back(funded, queue):
        overdue = submit(queue, funded, transfer(funded, key="late"), in_seconds=0)
        in_time = submit(queue, funded, transfer(funded))
    assert (code_of(overdue), code_of(in_time)) == ("deadline_exceeded", "settled")
    assert funded.balance_minor("2110", "LANTERN-USD") == 2
    assert not outcome_of(submit(queue, funded, transfer(funded, key="late"))).replayed


def test_closing_takes_no_more_and_settles_what_is_queued(funded: Bank, queue_of: Queues) -> None:
    queue = queue_of(batch_size_max=4)
    with held_back(funded, queue) as first:
        told = [first, *[submit(queue, funded, transfer(funded)) for _ in range(10)]]
        closing = threading.Thread(target=queue.close, args=(PATIENCE_SECONDS,))
        closing.start()
        while True:
            try:
                told.append(submit(queue, funded, transfer(funded)))
            except ShuttingDownError:
                break
            except QueueFullError:
                continue
    closing.join(PATIENCE_SECONDS)
    assert not closing.is_alive()
    assert all(one.done() for one in told)
    assert {code_of(one) for one in told} == {"settled"}
    queue.close()
    oracle(funded)


def test_a_caller_that_can_not_be_told_harms_nobody(
    funded: Bank, queue_of: Queues, caplog: pytest.LogCaptureFixture
) -> None:
    announced: list[int] = []

    def announce() -> None:
        announced.append(1)
        raise RuntimeError("nobody is listening")

    def gone(_: SubmissionOutcome) -> None:
        raise RuntimeError("the event loop is closed")

    queue = queue_of(announce=announce)
    with held_back(funded, queue):
        queue.submit(funded.issuer_id, Submission((transfer(funded, key="gone"),)), float("inf"), gone)
        told = submit(queue, funded, transfer(funded))
    assert code_of(told) == "settled"
    assert outcome_of(submit(queue, funded, transfer(funded, key="gone"))).replayed
    queue.close(PATIENCE_SECONDS)
    assert len(announced) == 3
    assert {record.getMessage() for record in caplog.records} == {"a caller could not be told an outcome"}


def test_an_announcement_follows_the_outcomes_of_its_batch(funded: Bank, queue_of: Queues) -> None:
    told: list[Future[SubmissionOutcome]] = []
    told_at_announcement: list[int] = []
    queue = queue_of(announce=lambda: told_at_announcement.append(sum(one.done() for one in told)))
    with held_back(funded, queue):
        told += [submit(queue, funded, transfer(funded)) for _ in range(3)]
    queue.close(PATIENCE_SECONDS)
    assert told_at_announcement == [0, 3]


def test_issuers_settle_apart_and_in_their_own_order(funded: Bank, queue_of: Queues, tmp_path: Path) -> None:
    with open_bank(funded.urls, tmp_path / "other keys", pool_size=2) as other:
        other.mint("HARBOUR-USD", "1.00")
        keys = {funded.issuer_id: funded.key_directory, other.issuer_id: other.key_directory}
        settler = Settler(
            funded.clock,
            lambda on, issuer_id: signing.ask_signer(on, issuer_id, keys[issuer_id]),
            funded.settler.approval_lifetime,
            lambda issuer_id, key_id: keys[issuer_id].signer(issuer_id, key_id),
        )
        queue = GroupCommit(funded.database, settler, batch_size_max=100, queue_length_max=100)
        with held_back(funded, queue) as first:
            told = [(bank, submit(queue, bank, transfer(bank))) for _ in range(5) for bank in (other, funded)]
        assert outcome_of(first).event_index == 3
        assert [outcome_of(one).event_index for bank, one in told if bank is funded] == [4, 5, 6, 7, 8]
        assert [outcome_of(one).event_index for bank, one in told if bank is other] == [3, 4, 5, 6, 7]
        queue.close(PATIENCE_SECONDS)
        oracle(funded)
        oracle(other)


def test_two_processes_on_one_database_write_one_log(funded: Bank, tmp_path: Path) -> None:
    """Each with a pool of connections, a cache of keys, a settler and a queue of its own."""
    databases = [Database(funded.urls.service_url, pool_size=2) for _ in range(2)]
    directories = [signing.KeyDirectory(tmp_path / "keys") for _ in range(2)]

    def queue(number: int) -> GroupCommit:
        settler = Settler.of(funded.clock, directories[number], funded.settler.approval_lifetime)
        return GroupCommit(databases[number], settler, batch_size_max=20, queue_length_max=1_000)

    queues = [queue(number) for number in range(2)]
    # Every key is sent to both, as by a caller whose first try ended in doubt.
    told = [
        submit(one, funded, transfer(funded, key=f"key-{number}")) for number in range(200) for one in queues
    ]
    outcomes = [outcome_of(one) for one in told]
    for one in queues:
        one.close(PATIENCE_SECONDS)
    for database in databases:
        database.close()

    assert {one.refusal for one in outcomes} == {None}
    assert [first.body for first in outcomes[::2]] == [second.body for second in outcomes[1::2]]
    assert {one.event_index for one in outcomes} == set(range(3, 203))
    assert funded.balance_minor("2110", "LANTERN-USD") == 200
    funded.acknowledged += outcomes
    oracle(funded)
