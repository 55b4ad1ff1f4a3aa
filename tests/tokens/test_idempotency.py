"""One key, one effect, one answer for ever; and a key that was refused is free to be used again."""

import threading
from collections.abc import Callable, Sequence
from typing import Any, Final

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from tallystick import tokens
from tallystick.core.errors import DomainError
from tallystick.core.ids import with_prefix
from tallystick.core.pipeline import Asked, Pipeline, pipelined
from tallystick.participants import Principal
from tallystick.tokens import Kind, Made, Outcome, Request, Submission, store
from tallystick.tokens.store import Answer
from tests.bank import Bank
from tests.tokens.queueing import answer_of

HARBOUR: Final = "HARBOUR-USD"
LANTERN: Final = "LANTERN-USD"


def send(
    bank: Bank, key: str, amount: str = "1.00", principal: Principal | None = None, kind: Kind = Kind.TRANSFER
) -> Outcome:
    return bank.outcome(
        bank.request(
            kind,
            principal or bank.maker,
            key=key,
            amount=amount,
            currency="USD",
            payer_account_id=bank.account_id(HARBOUR),
            payee_account_id=bank.account_id(LANTERN),
        )
    )


def event_count(bank: Bank) -> int:
    with bank.database.read() as connection:
        return int(connection.exec_driver_sql("SELECT count(*) FROM event").scalar_one())


def code_of(outcome: Outcome) -> str:
    assert outcome.refusal is not None
    return outcome.refusal.code


@pytest.fixture(scope="module", autouse=True)
def funded(shared_bank: Bank) -> None:
    shared_bank.mint(HARBOUR, "1000.00")


def test_the_same_request_again_gets_the_same_answer_byte_for_byte(shared_bank: Bank) -> None:
    first = send(shared_bank, "again")
    events_before = event_count(shared_bank)
    second = send(shared_bank, "again")

    assert answer_of(second) == answer_of(first)
    assert b'"signed_event":"' in first.body
    assert (first.replayed, second.replayed) == (False, True)
    assert event_count(shared_bank) == events_before


def test_another_request_under_the_key_is_refused_and_told_what_the_key_made(shared_bank: Bank) -> None:
    first = send(shared_bank, "other body")
    second = send(shared_bank, "other body", "1.01")

    assert code_of(second) == "idempotency_key_reused"
    assert second.refusal is not None
    assert second.refusal.status == 409
    assert second.refusal.members == {"existing_id": first.resource_id}
    assert send(shared_bank, "other body").body == first.body


def test_a_refusal_does_not_trap_the_key(shared_bank: Bank) -> None:
    assert code_of(send(shared_bank, "trap", "999999.00")) == "insufficient_funds"
    assert code_of(send(shared_bank, "trap", "malformed")) == "amount_malformed"
    assert send(shared_bank, "trap", "1.00").status == 201


def test_a_key_belongs_to_one_principal_and_one_operation(shared_bank: Bank) -> None:
    made = {
        send(shared_bank, "shared key").resource_id,
        send(shared_bank, "shared key", principal=shared_bank.platform).resource_id,
        send(shared_bank, "shared key", kind=Kind.HOLD).resource_id,
    }
    assert len(made) == 3


def test_the_same_key_twice_in_one_transaction(shared_bank: Bank) -> None:
    asked: dict[str, Any] = {
        "key": "in one transaction",
        "amount": "1.00",
        "currency": "USD",
        "payer_account_id": shared_bank.account_id(HARBOUR),
        "payee_account_id": shared_bank.account_id(LANTERN),
    }
    same = [shared_bank.request(Kind.TRANSFER, shared_bank.maker, **asked) for _ in range(3)]
    other = shared_bank.request(Kind.TRANSFER, shared_bank.maker, **asked | {"amount": "2.00"})
    events_before = event_count(shared_bank)

    settled = shared_bank.settle(*[Submission((request,)) for request in [*same, other]])

    first, *further = [one.outcomes[0] for one in settled]
    assert [one.body for one in further[:2]] == [first.body] * 2
    assert first.resource_id == same[0].id
    assert code_of(further[2]) == "idempotency_key_reused"
    assert event_count(shared_bank) == events_before + 1


def test_a_refusal_and_its_mended_request_in_one_transaction(shared_bank: Bank) -> None:
    def asking(amount: str) -> Submission:
        request = shared_bank.request(
            Kind.TRANSFER,
            shared_bank.maker,
            key="mended",
            amount=amount,
            currency="USD",
            payer_account_id=shared_bank.account_id(HARBOUR),
            payee_account_id=shared_bank.account_id(LANTERN),
        )
        return Submission((request,))

    refused, settled = shared_bank.settle(asking("999999.00"), asking("1.00"))
    assert code_of(refused.outcomes[0]) == "insufficient_funds"
    assert settled.outcomes[0].status == 201


def test_the_answer_stays_what_it_was_whatever_happens_later(bank: Bank) -> None:
    bank.deposit(HARBOUR, "5.00")
    asked = {"amount": "5.00", "currency": "USD", "payee_account_id": bank.account_id(HARBOUR)}
    first = bank.ask(Kind.MINT, bank.maker, key="mint", **asked)
    voted = {"related_id": with_prefix("approval", first.resource_id), "amount": "5.00", "currency": "USD"}
    vote = bank.ask(Kind.APPROVE, bank.checker, key="vote", **voted)
    bank.transfer(HARBOUR, LANTERN, "5.00")
    bank.close_account(HARBOUR)

    assert bank.ask(Kind.MINT, bank.maker, key="mint", **asked).body == first.body
    assert bank.ask(Kind.APPROVE, bank.checker, key="vote", **voted).body == vote.body
    assert b'"state":"pending_approval"' in first.body


def test_the_same_request_has_one_hash_however_it_is_spelled() -> None:
    one = tokens.request_hash(Kind.TRANSFER, {"amount": "1.00", "currency": "USD"})
    assert one == tokens.request_hash("transfer", {"currency": "USD", "amount": "1.00"})
    assert one != tokens.request_hash(Kind.HOLD, {"amount": "1.00", "currency": "USD"})
    assert one != tokens.request_hash(Kind.TRANSFER, {"amount": "1.00", "currency": "EUR"})


def test_keys_can_not_be_confused_by_what_they_are_made_of() -> None:
    digests = {
        tokens.key_digest("principal_a", "transfer", "k"),
        tokens.key_digest("principal_a", "transferk", ""),
        tokens.key_digest("principal_", "atransfer", "k"),
        tokens.key_digest("principal_a", "hold", "k"),
    }
    assert len(digests) == 4
    assert {len(one) for one in digests} == {32}


class TestOtherWrites:
    """`answer_once`: what is no instruction, and is answered once all the same."""

    @staticmethod
    def once(bank: Bank, key: str, body: bytes = b'{"made":1}', asked: str = "a") -> Outcome:
        def make(connection: Connection) -> Made:
            connection.exec_driver_sql("SELECT 1")
            if body == b"refuse":
                raise DomainError("not like this")
            return Made("resource_1", body)

        return bank.database.run(
            lambda connection: tokens.answer_once(
                connection,
                bank.clock,
                bank.issuer_id,
                key_digest=tokens.key_digest(bank.operator.id, "register", key),
                request_hash=tokens.request_hash("register", {"name": asked}),
                make=make,
            )
        )

    def test_it_is_made_once_and_answered_alike(self, shared_bank: Bank) -> None:
        first = self.once(shared_bank, "once")
        second = self.once(shared_bank, "once", b'{"made":2}')
        assert (first.status, first.body, first.replayed) == (201, b'{"made":1}', False)
        assert (second.status, second.body, second.replayed) == (201, b'{"made":1}', True)

    def test_another_request_under_the_key_is_refused(self, shared_bank: Bank) -> None:
        self.once(shared_bank, "reused")
        with pytest.raises(DomainError) as refused:
            self.once(shared_bank, "reused", asked="b")
        assert refused.value.code == "idempotency_key_reused"
        assert refused.value.members == {"existing_id": "resource_1"}

    def test_a_refusal_does_not_trap_the_key(self, shared_bank: Bank) -> None:
        with pytest.raises(DomainError, match="not like this"):
            self.once(shared_bank, "free", b"refuse")
        assert not self.once(shared_bank, "free").replayed

    def test_of_two_at_once_one_breaks_on_the_key_and_finds_the_answer_when_run_again(
        self, shared_bank: Bank
    ) -> None:
        both_made = threading.Barrier(2, timeout=30)
        broken: list[type[Exception]] = []
        answered: list[Outcome] = []

        def work(connection: Connection) -> Outcome:
            def make(_: Connection) -> Made:
                both_made.wait()
                return Made("resource_1", b'{"made":1}')

            return tokens.answer_once(
                connection,
                shared_bank.clock,
                shared_bank.issuer_id,
                key_digest=tokens.key_digest(shared_bank.operator.id, "register", "at once"),
                request_hash=tokens.request_hash("register", {}),
                make=make,
            )

        def ask() -> None:
            try:
                answered.append(shared_bank.database.run(work))
            except IntegrityError:
                broken.append(IntegrityError)
                answered.append(shared_bank.database.run(work))

        threads = [threading.Thread(target=ask) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert broken == [IntegrityError]
        assert [one.body for one in answered] == [b'{"made":1}'] * 2
        assert sorted(one.replayed for one in answered) == [False, True]


@pytest.mark.parametrize("read_by_key", [store.read_transfers_by_key, store.read_answers])
def test_new_keys_are_looked_up_without_reading_what_other_keys_did(
    bank: Bank, read_by_key: Callable[[Pipeline, str, Sequence[bytes]], Asked[dict[bytes, Answer]]]
) -> None:
    """A day's first batches are planned while the tables are small: none of the plans may read a table that grows."""
    bank.mint(HARBOUR, "300.00")
    bank.settle(
        *[Submission((transfer,)) for transfer in [transfer_of_one(bank, number) for number in range(300)]]
    )
    new = [number.to_bytes(32) for number in range(1_000)]
    with bank.database.read() as connection:
        for _ in range(7):
            before = rows_read(connection)
            with pipelined(connection) as pipeline:
                asked = read_by_key(pipeline, bank.issuer_id, new)
            assert asked.result() == {}
            assert rows_read(connection) == before


def test_keys_of_a_batch_in_several_pieces(bank: Bank) -> None:
    """Answered before, twice in the batch, and used for another request: in every piece it is told."""
    bank.mint(HARBOUR, "2000.00")
    events_before = event_count(bank)
    before = [transfer_of_one(bank, number) for number in range(0, 1_600, 100)]
    settled = bank.settle(*[Submission((one,)) for one in before])
    again = {request.key_digest: one.outcomes[0] for request, one in zip(before, settled, strict=True)}
    asked = [transfer_of_one(bank, number) for number in range(1_600)]
    others = [transfer_of_one(bank, number, amount="2.00") for number in range(50, 1_650, 100)]
    outcomes = [
        one.outcomes[0] for one in bank.settle(*[Submission((one,)) for one in (*asked, *others, *asked)])
    ]

    of_asked, of_others, of_asked_again = outcomes[:1_600], outcomes[1_600:-1_600], outcomes[-1_600:]
    for request, outcome in zip(asked, of_asked, strict=True):
        first = again.get(request.key_digest)
        assert outcome.replayed == (first is not None)
        assert first is None or answer_of(outcome) == answer_of(first)
    assert [code_of(outcome) for outcome in of_others] == ["idempotency_key_reused"] * len(others)
    assert [answer_of(one) for one in of_asked_again] == [answer_of(one) for one in of_asked]
    assert event_count(bank) == events_before + 1_600


def transfer_of_one(bank: Bank, number: int, amount: str = "1.00") -> Request:
    return bank.request(
        Kind.TRANSFER,
        bank.maker,
        key=f"grown-{number}",
        amount=amount,
        currency="USD",
        payer_account_id=bank.account_id(HARBOUR),
        payee_account_id=bank.account_id(LANTERN),
    )


def rows_read(connection: Connection) -> int:
    """Return how many rows of the two tables with keys this transaction has read so far."""
    read = connection.exec_driver_sql(
        """SELECT sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0)) FROM pg_stat_xact_user_tables
           WHERE relname IN ('instruction', 'answer')"""
    )
    return int(read.scalar_one())
