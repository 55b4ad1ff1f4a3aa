"""Batches under a key of their own: all or none, or each for itself; and each the order it came in."""

from typing import Any, Final

import orjson
import pytest

from tallystick.tokens import Kind, Outcome, Request, Submission
from tallystick.tokens.instructions import Instruction
from tallystick.tokens.render import settled_transfer
from tests.bank import Bank, oracle

HARBOUR: Final = "HARBOUR-USD"
LANTERN: Final = "LANTERN-USD"
SILKROAD: Final = "SILKROAD-USD"


def item(bank: Bank, payer: str, payee: str, amount: str, key: str | None = None) -> Request:
    return bank.request(
        Kind.TRANSFER,
        bank.platform,
        key=key,
        amount=amount,
        currency="USD",
        payer_account_id=bank.account_id(payer),
        payee_account_id=bank.account_id(payee),
    )


def batch_of(bank: Bank, *items: Request, atomic: bool, key: str | None = None) -> Submission:
    of_items = [(one.amount, one.payer_account_id, one.payee_account_id) for one in items]
    request = bank.request(Kind.TRANSFER_BATCH, bank.platform, key=key)
    return Submission(
        items, request._replace(request_hash=bytes(28) + len(str(of_items)).to_bytes(4)), atomic=atomic
    )


def settle(bank: Bank, submission: Submission) -> Outcome:
    outcome = bank.settle(submission)[0].batch
    assert outcome is not None
    return outcome


def shown(outcome: Outcome) -> dict[str, Any]:
    body: dict[str, Any] = orjson.loads(outcome.body)
    return body


def balances(bank: Bank) -> tuple[int, int, int]:
    return (
        bank.balance_minor("2110", HARBOUR),
        bank.balance_minor("2110", LANTERN),
        bank.balance_minor("2110", SILKROAD),
    )


@pytest.fixture
def funded(bank: Bank) -> Bank:
    bank.mint(HARBOUR, "10.00")
    return bank


def test_each_item_is_settled_or_refused_for_itself(funded: Bank) -> None:
    items = [
        item(funded, HARBOUR, LANTERN, "6.00"),
        item(funded, HARBOUR, SILKROAD, "6.00"),
        item(funded, LANTERN, SILKROAD, "1.00"),
        item(funded, "NORTHWIND-USD", SILKROAD, "1.00"),
    ]
    outcome = settle(funded, batch_of(funded, *items, atomic=False))
    body = shown(outcome)

    assert outcome.status == 200
    assert (body["object"], body["atomic"]) == ("transfer_batch", False)
    assert (body["settled_count"], body["refused_count"]) == (2, 2)
    assert [one["status"] for one in body["items"]] == ["settled", "refused", "settled", "refused"]
    assert [one.get("code") for one in body["items"]] == [
        None,
        "insufficient_funds",
        None,
        "account_not_found",
    ]
    assert body["items"][0] == {"item": 0, "status": "settled", "id": items[0].id, "event_index": 3}
    assert body["items"][2]["event_index"] == 4
    assert body["items"][3]["field"] == "payer_account_id"
    assert balances(funded) == (400, 500, 100)
    oracle(funded)


def test_all_settle(funded: Bank) -> None:
    items = [item(funded, HARBOUR, LANTERN, "10.00"), item(funded, LANTERN, SILKROAD, "10.00")]
    body = shown(settle(funded, batch_of(funded, *items, atomic=True)))
    assert (body["settled_count"], body["refused_count"], body["atomic"]) == (2, 0, True)
    assert balances(funded) == (0, 0, 1000)
    oracle(funded)


def test_none_settles_when_one_is_refused(funded: Bank) -> None:
    items = [
        item(funded, HARBOUR, LANTERN, "6.00"),
        item(funded, LANTERN, SILKROAD, "2.00"),
        item(funded, HARBOUR, SILKROAD, "4.01"),
        item(funded, HARBOUR, SILKROAD, "4.00"),
        item(funded, HARBOUR, SILKROAD, "x"),
    ]
    outcome = settle(funded, batch_of(funded, *items, atomic=True))

    assert outcome.refusal is not None
    assert (outcome.refusal.code, outcome.refusal.status) == ("atomic_batch_refused", 409)
    assert [(one["item"], one["code"]) for one in outcome.refusal.members["items"]] == [
        (2, "insufficient_funds"),
        (4, "amount_malformed"),
    ]
    assert balances(funded) == (1000, 0, 0)
    oracle(funded)


def test_what_was_undone_leaves_its_neighbours_and_its_keys_alone(funded: Bank) -> None:
    before = item(funded, HARBOUR, LANTERN, "1.00", key="before")
    undone = [item(funded, HARBOUR, LANTERN, "9.00", key="undone"), item(funded, HARBOUR, LANTERN, "9.00")]
    again = item(funded, HARBOUR, LANTERN, "9.00", key="undone")
    replayed = item(funded, HARBOUR, LANTERN, "1.00", key="before")

    first, batch, second, third = funded.settle(
        Submission((before,)),
        batch_of(funded, *undone, atomic=True, key="batch"),
        Submission((again,)),
        Submission((replayed,)),
    )

    assert batch.batch is not None
    assert batch.batch.refusal is not None
    assert (first.outcomes[0].event_index, second.outcomes[0].event_index) == (3, 4)
    assert second.outcomes[0].resource_id == again.id
    assert third.outcomes[0].body == first.outcomes[0].body
    assert balances(funded) == (0, 1000, 0)
    # The refused batch's key is free, with another body too.
    freed = batch_of(funded, item(funded, LANTERN, HARBOUR, "10.00"), atomic=True, key="batch")
    assert settle(funded, freed).status == 200
    oracle(funded)


def test_undoing_a_replay_does_not_undo_what_is_replayed(funded: Bank) -> None:
    funded.outcome(item(funded, HARBOUR, LANTERN, "1.00", key="old"))
    items = [
        item(funded, HARBOUR, LANTERN, "1.00", key="old"),
        item(funded, HARBOUR, LANTERN, "2.00", key="twice"),
        item(funded, HARBOUR, LANTERN, "2.00", key="twice"),
        item(funded, HARBOUR, LANTERN, "99.00"),
    ]
    refused = settle(funded, batch_of(funded, *items, atomic=True))
    assert refused.refusal is not None
    assert balances(funded) == (900, 100, 0)
    assert settle(funded, batch_of(funded, *items[:3], atomic=True)).status == 200
    assert balances(funded) == (700, 300, 0)
    oracle(funded)


@pytest.mark.parametrize("atomic", [True, False])
def test_the_same_batch_again_gets_the_same_answer(funded: Bank, atomic: bool) -> None:
    def submission() -> Submission:
        return batch_of(funded, item(funded, HARBOUR, LANTERN, "1.00"), atomic=atomic, key="batch")

    first = settle(funded, submission())
    assert settle(funded, submission()).body == first.body
    both = funded.settle(submission(), submission())
    assert [one.batch.body for one in both if one.batch] == [first.body] * 2
    assert balances(funded) == (900, 100, 0)
    other = settle(
        funded, batch_of(funded, item(funded, HARBOUR, LANTERN, "10.00"), atomic=atomic, key="batch")
    )
    assert other.refusal is not None
    assert other.refusal.members == {"existing_id": first.resource_id}
    oracle(funded)


def test_a_batch_of_which_nothing_settled_is_answered_for_ever_too(funded: Bank) -> None:
    first = settle(funded, batch_of(funded, item(funded, LANTERN, HARBOUR, "1.00"), atomic=False, key="none"))
    assert (shown(first)["settled_count"], shown(first)["refused_count"]) == (0, 1)
    funded.transfer(HARBOUR, LANTERN, "5.00")
    again = settle(funded, batch_of(funded, item(funded, LANTERN, HARBOUR, "1.00"), atomic=False, key="none"))
    assert again.body == first.body
    oracle(funded)


def test_a_batch_larger_than_what_is_written_at_once(funded: Bank) -> None:
    """Rows go to the server in parts while later items are decided; a refused batch must leave none of them."""
    singles = [Submission((item(funded, HARBOUR, LANTERN, "0.01"),)) for _ in range(260)]
    atomic = [item(funded, HARBOUR, SILKROAD, "0.01") for _ in range(300)]
    refused = batch_of(funded, *atomic, item(funded, HARBOUR, SILKROAD, "99.00"), atomic=True)
    partial = [item(funded, HARBOUR, SILKROAD, "0.01" if number % 2 else "99.00") for number in range(300)]

    settled = funded.settle(
        *singles, refused, batch_of(funded, *atomic, atomic=True), batch_of(funded, *partial, atomic=False)
    )

    assert settled[260].batch is not None
    assert settled[260].batch.refusal is not None
    assert [one.outcomes[0].event_index for one in settled[:260]] == list(range(3, 263))
    assert [one.event_index for one in settled[261].outcomes] == list(range(263, 563))
    assert sum(one.refusal is None for one in settled[262].outcomes) == 150
    assert balances(funded) == (1000 - 260 - 300 - 150, 260, 450)
    oracle(funded)


def test_a_refusal_names_a_bounded_number_of_items(funded: Bank) -> None:
    items = [item(funded, LANTERN, HARBOUR, "1.00") for _ in range(150)]
    outcome = settle(funded, batch_of(funded, *items, atomic=True))
    assert outcome.refusal is not None
    assert len(outcome.refusal.members["items"]) == 100


def test_nobodys_answer_is_put_into_words(funded: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch tells an index of each item; only who asks for the item's own answer has it made."""
    made: list[str] = []

    def counted(issuer_id: str, row: Instruction, currency: str, amount: str) -> str:
        made.append(row.id)
        return settled_transfer(issuer_id, row, currency, amount)

    monkeypatch.setattr("tallystick.tokens.batch.settled_transfer", counted)
    items = [item(funded, HARBOUR, LANTERN, "0.01") for _ in range(3)]
    [settled] = funded.settle(batch_of(funded, *items, atomic=False))
    assert [one.status for one in settled.outcomes] == [201] * 3
    assert made == []
    answer = orjson.loads(settled.outcomes[1].body)
    assert made == [items[1].id]
    assert (answer["id"], "signed_event" in answer) == (items[1].id, True)
