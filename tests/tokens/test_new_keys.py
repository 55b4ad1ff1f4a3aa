"""A large batch presumes that its keys are new: each is answered as if it had been looked up first."""

from collections.abc import Sequence
from typing import Final

import pytest
import sqlalchemy

from tallystick import approvals, tokens
from tallystick.core.database import DatabaseUnavailableError, RunAgainError
from tallystick.core.ids import with_prefix
from tallystick.core.pipeline import Asked, Pipeline
from tallystick.tokens import GroupCommit, Kind, Outcome, Request, Submission, SubmissionOutcome, store
from tallystick.tokens.store import Answer
from tests.bank import Bank, oracle
from tests.database import connect
from tests.policies import let_into_force
from tests.tokens.queueing import PATIENCE_SECONDS, answer_of, code_of, held_back, submit, transfer
from tests.tokens.waiting_batches import batch_of, item

# More than the first piece of a batch, whose keys are always looked up.
FIRST: Final = 450


@pytest.fixture
def funded(bank: Bank) -> Bank:
    bank.mint("HARBOUR-USD", "1000.00")
    return bank


@pytest.fixture
def commits(funded: Bank) -> list[str]:
    """How the transactions of this bank's settling ended, from here on."""
    ended: list[str] = []
    engine = funded.database.engine
    sqlalchemy.event.listen(engine, "commit", lambda _: ended.append("commit"))
    sqlalchemy.event.listen(engine, "rollback", lambda _: ended.append("rollback"))
    return ended


def keyed(bank: Bank, key: str, amount: str = "0.01") -> Request:
    return transfer(bank, amount, key=key)


def new(bank: Bank, name: str, count: int = FIRST) -> list[Request]:
    return [keyed(bank, f"{name}-{number}") for number in range(count)]


def settle(bank: Bank, requests: list[Request]) -> list[Outcome]:
    return [one.outcomes[0] for one in bank.settle(*[Submission((request,)) for request in requests])]


def refusal_of(outcome: Outcome) -> str | None:
    return None if outcome.refusal is None else outcome.refusal.code


def test_of_new_keys_only_the_first_are_looked_up(
    funded: Bank, commits: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_up: list[int] = []
    read = store.read_transfers_by_key

    def counted(pipeline: Pipeline, issuer_id: str, digests: Sequence[bytes]) -> Asked[dict[bytes, Answer]]:
        looked_up.append(len(digests))
        return read(pipeline, issuer_id, digests)

    monkeypatch.setattr(store, "read_transfers_by_key", counted)
    outcomes = settle(funded, new(funded, "new", 1_000))
    assert {(one.status, one.replayed) for one in outcomes} == {(201, False)}
    assert commits == ["commit"]
    assert looked_up == [400]
    oracle(funded)


def test_a_key_behind_the_first_ones_that_was_settled_before(funded: Bank, commits: list[str]) -> None:
    [first] = settle(funded, [keyed(funded, "before")])
    commits.clear()
    *others, again = settle(funded, [*new(funded, "new"), keyed(funded, "before")])
    assert (again.replayed, answer_of(again)) == (True, answer_of(first))
    assert {(one.status, one.replayed) for one in others} == {(201, False)}
    assert commits == ["rollback", "commit"]
    oracle(funded)


def test_a_key_behind_the_first_ones_that_was_used_for_another_request(funded: Bank) -> None:
    settle(funded, [keyed(funded, "before")])
    *others, reused = settle(funded, [*new(funded, "new"), keyed(funded, "before", "0.02")])
    assert refusal_of(reused) == "idempotency_key_reused"
    assert {one.status for one in others} == {201}
    oracle(funded)


def test_what_was_settled_before_is_not_refused_now(funded: Bank, commits: list[str]) -> None:
    """Nothing is written for what is refused, so nothing of the database's own would tell that its key stands."""
    [first] = settle(funded, [keyed(funded, "before", "900.00")])
    commits.clear()
    *_, again = settle(funded, [*new(funded, "new"), keyed(funded, "before", "900.00")])
    assert (again.replayed, answer_of(again)) == (True, answer_of(first))
    assert commits == ["rollback", "commit"]
    oracle(funded)


def test_what_is_refused_and_new_takes_one_transaction(funded: Bank, commits: list[str]) -> None:
    *others, refused = settle(funded, [*new(funded, "new"), keyed(funded, "poor", "5000.00")])
    assert refusal_of(refused) == "insufficient_funds"
    assert {one.status for one in others} == {201}
    assert commits == ["commit"]
    oracle(funded)


def test_keys_are_looked_up_for_a_while_once_one_was_not_new(funded: Bank, commits: list[str]) -> None:
    settle(funded, [keyed(funded, "before")])
    for number in range(3):
        commits.clear()
        outcomes = settle(funded, [*new(funded, f"new-{number}"), keyed(funded, "before")])
        assert outcomes[-1].replayed
        assert commits == (["rollback", "commit"] if number == 0 else ["commit"])
    oracle(funded)


def test_a_file_that_is_sent_again_is_noticed_by_its_first_keys(funded: Bank, commits: list[str]) -> None:
    first = settle(funded, new(funded, "file", 1_000))
    commits.clear()
    again = settle(funded, new(funded, "file", 1_200))
    assert [one.replayed for one in again] == [True] * 1_000 + [False] * 200
    assert [answer_of(one) for one in again[:1_000]] == [answer_of(one) for one in first]
    assert commits == ["commit"]
    oracle(funded)


def mixed(bank: Bank, name: str) -> list[tuple[int | None, str | None, bool]]:
    """Settle all that can be behind new keys, and return how each was answered."""

    def one(key: str, amount: str = "0.01") -> Submission:
        return Submission((keyed(bank, f"{name}-{key}", amount),))

    def batch(key: str, *requests: Request, atomic: bool = False) -> Submission:
        asked = bank.request(Kind.TRANSFER_BATCH, bank.maker, key=f"{name}-{key}")
        return Submission(requests, asked, atomic)

    bank.mint("HARBOUR-USD", "50000.00")
    bank.settle(one("large", "50000.00"))
    bank.settle(one("small"))
    before = batch("batch", keyed(bank, f"{name}-item"), keyed(bank, f"{name}-item-2"))
    bank.settle(before)
    settled = bank.settle(
        *[Submission((request,)) for request in new(bank, name)],
        one("small"),
        one("small", "0.02"),
        one("large", "50000.00"),
        one("poor", "60000.00"),
        one("twice"),
        one("twice"),
        one("twice", "0.02"),
        batch("batch", keyed(bank, f"{name}-item"), keyed(bank, f"{name}-item-2")),
        batch("some", keyed(bank, f"{name}-item"), keyed(bank, f"{name}-item-3")),
        batch("all", keyed(bank, f"{name}-small"), keyed(bank, f"{name}-item-4"), atomic=True),
        batch(
            "none",
            keyed(bank, f"{name}-large", "50000.00"),
            keyed(bank, f"{name}-item-5", "70000.00"),
            atomic=True,
        ),
        one("item-4"),
        one("item-5"),
    )
    return [shape for outcome in settled for shape in shapes_of(outcome)]


def shapes_of(outcome: SubmissionOutcome) -> list[tuple[int | None, str | None, bool]]:
    found = [*outcome.outcomes, *([outcome.batch] if outcome.batch else [])]
    return [(one.status, refusal_of(one), one.replayed) for one in found]


def test_what_is_presumed_changes_no_answer(funded: Bank, commits: list[str]) -> None:
    presumed = mixed(funded, "presumed")
    assert "rollback" in commits
    # Now that it was wrong, they are looked up.
    commits.clear()
    assert mixed(funded, "looked-up") == presumed
    assert "rollback" not in commits
    assert {code for _, code, _ in presumed} >= {"insufficient_funds", "idempotency_key_reused"}
    assert {replayed for _, _, replayed in presumed} == {True, False}
    oracle(funded)


def test_a_batch_that_waits_tells_which_of_its_items_were_settled_before(funded: Bank) -> None:
    """Nothing is written for the items of a batch that waits, either."""
    let_into_force(funded, approvals={"transfer_batch": [{"above": "10.00", "checkers": 1}]})
    before, after = item(funded, "LANTERN-USD", "20.00", key="item"), item(funded, "LANTERN-USD", "30.00")
    funded.settle(Submission(batch_of(funded, before).requests))
    singles = [Submission((one,)) for one in new(funded, "new")]
    waiting = funded.settle(*singles, batch_of(funded, before, after))[-1].batch
    assert waiting is not None and waiting.status == 202  # noqa: PT018
    with funded.database.read() as connection:
        asked_for = approvals.approval(
            connection, funded.issuer_id, with_prefix("approval", waiting.resource_id)
        )
    assert asked_for.amount == "30.00"
    assert asked_for.details is not None
    assert asked_for.details["answered_before"] == [0]
    oracle(funded)


def test_another_row_that_stands_already_fails_alone(funded: Bank) -> None:
    """The database refuses it in the same words as a key that is not new, so the batch is run again, and then split."""
    with connect(funded.urls.superuser_url) as owner:
        owner.execute(
            "CREATE FUNCTION poison() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF EXISTS (SELECT 1 FROM added"
            " WHERE debit_minor = 666) THEN RAISE EXCEPTION 'no' USING ERRCODE = '23505'; END IF; RETURN NULL; END $$"
        )
        owner.execute(
            "CREATE TRIGGER poison AFTER INSERT ON journal_line REFERENCING NEW TABLE AS added"
            " FOR EACH STATEMENT EXECUTE FUNCTION poison()"
        )
    queue = GroupCommit(funded.database, funded.settler, batch_size_max=1_000, queue_length_max=1_000)
    try:
        with held_back(funded, queue):
            requests = [*new(funded, "new"), keyed(funded, "poison", "6.66"), *new(funded, "more", 50)]
            told = [submit(queue, funded, one) for one in requests]
        codes = [code_of(one) for one in told]
    finally:
        queue.close(PATIENCE_SECONDS)
    assert codes == ["settled"] * FIRST + ["internal_error"] + ["settled"] * 50
    oracle(funded)


def test_a_presumption_that_fails_needs_another_attempt_and_leaves_nothing(funded: Bank) -> None:
    settle(funded, [keyed(funded, "before")])
    requests = [*new(funded, "new"), keyed(funded, "before")]
    with pytest.raises(DatabaseUnavailableError) as stopped:
        settle_once(funded, requests)
    assert isinstance(stopped.value.__cause__, RunAgainError)
    oracle(funded)
    assert settle_once(funded, requests)[-1].outcomes[0].replayed


def settle_once(bank: Bank, requests: list[Request]) -> list[SubmissionOutcome]:
    return bank.database.run(
        lambda connection: tokens.settle(
            connection, bank.settler, bank.issuer_id, [Submission((request,)) for request in requests]
        ),
        attempts_max=1,
    )
