"""A batch whose total is for people to approve: nothing moves until they have, and then each item as it stands then."""

import base64
import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

import orjson
import pytest

from tallystick import approvals, participants, tokens
from tallystick.core.errors import DomainError
from tallystick.core.ids import with_prefix
from tallystick.participants import HolderKind, KycStatus, Principal, Role
from tallystick.tokens import InstructionNotFoundError, Kind, Outcome, Submission
from tests.bank import APPROVAL_LIFETIME, Bank, oracle
from tests.database import connect
from tests.policies import let_into_force
from tests.tokens.waiting_batches import batch_of, item, read, settle, vote, waits

HARBOUR: Final = "HARBOUR-USD"
LANTERN: Final = "LANTERN-USD"
SILKROAD: Final = "SILKROAD-USD"
# Above 10.00 in all one other person approves, above 100.00 two.
ROWS: Final = [{"above": "10.00", "checkers": 1}, {"above": "100.00", "checkers": 2}]


@pytest.fixture
def watched(bank: Bank) -> Bank:
    """A bank that looks at batches, with 300.00 of Harbour's."""
    bank.mint(HARBOUR, "300.00")
    let_into_force(bank, approvals={"transfer_batch": ROWS})
    return bank


def balances(bank: Bank) -> tuple[int, int, int]:
    return tuple(bank.balance_minor("2110", name) for name in (HARBOUR, LANTERN, SILKROAD))  # type: ignore[return-value]


def second_checker(bank: Bank, role: Role = Role.TREASURY_CHECKER) -> Principal:
    return bank.database.run(
        lambda connection: participants.register_principal(
            connection,
            bank.clock,
            bank.issuer_id,
            name="Cleo Checker",
            roles=frozenset({role}),
            person="Cleo Checker",
        )
    )


def events_of(bank: Bank, *types: str) -> list[dict[str, Any]]:
    with connect(bank.urls.superuser_url) as connection:
        rows = connection.execute(
            "SELECT jws FROM event WHERE type = ANY(%s) ORDER BY event_index", [list(types)]
        ).fetchall()
    found = []
    for (jws,) in rows:
        payload = str(jws).split(".")[1]
        found.append(orjson.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))))
    return found


def test_a_total_of_exactly_the_limit_settles_and_a_cent_more_waits(watched: Bank) -> None:
    at = settle(
        watched, batch_of(watched, item(watched, LANTERN, "4.00"), item(watched, SILKROAD, "6.00"), key="at")
    )
    assert (at.status, orjson.loads(at.body)["settled_count"]) == (200, 2)
    assert balances(watched) == (29_000, 400, 600)
    above = settle(
        watched,
        batch_of(watched, item(watched, LANTERN, "4.00"), item(watched, SILKROAD, "6.01"), key="above"),
    )
    shown = orjson.loads(above.body)
    assert above.status == 202
    assert (shown["object"], shown["state"], shown["amount"], shown["currency"]) == (
        "transfer_batch",
        "pending_approval",
        "10.01",
        "USD",
    )
    assert shown["approval_id"] == with_prefix("approval", above.resource_id)
    assert balances(watched) == (29_000, 400, 600)
    assert read(watched, above.resource_id)["items_count"] == 2
    # One payment of as much is no batch.
    watched.transfer(HARBOUR, LANTERN, "10.01")
    oracle(watched)


def test_people_let_it_through_and_each_item_is_settled_or_refused(watched: Bank) -> None:
    items = [
        item(watched, LANTERN, "150.00", reference="A"),
        item(watched, SILKROAD, "200.00"),
        item(watched, SILKROAD, "50.00", purpose="GOD"),
    ]
    let_into_force(watched, approvals={"transfer_batch": [ROWS[0]]})
    batch_id = waits(watched, *items)
    assert vote(watched, batch_id, "399.00").refusal is not None
    approved = vote(watched, batch_id, "400.00")
    assert approved.refusal is None
    decision = orjson.loads(approved.body)
    assert (decision["state"], decision["instruction"]["id"], decision["instruction"]["state"]) == (
        "approved",
        batch_id,
        "settled",
    )
    # The second is more than is left, and is refused on its own.
    assert balances(watched) == (10_000, 15_000, 5_000)
    found = read(watched, batch_id)
    assert (found["state"], found["settled_count"], found["refused_count"], found["pending_count"]) == (
        "settled",
        2,
        1,
        0,
    )
    assert [(one["status"], one.get("code")) for one in found["items"]] == [
        ("settled", None),
        ("refused", "insufficient_funds"),
        ("settled", None),
    ]
    with watched.database.read() as connection:
        first = tokens.instruction(connection, watched.platform, Kind.TRANSFER, found["items"][0]["id"])
    assert (first.principal_id, first.reference, first.related_id) == (watched.platform.id, "A", batch_id)
    oracle(watched)


def test_the_log_tells_who_let_each_item_through(watched: Bank) -> None:
    let_into_force(watched, approvals={"transfer_batch": [ROWS[0]]})
    batch_id = waits(watched, item(watched, LANTERN, "150.00"), item(watched, SILKROAD, "25.00"))
    index = vote(watched, batch_id, "175.00").event_index
    [cast] = [one for one in events_of(watched, "approval.approved") if one["instruction_id"] == batch_id]
    paid = [one for one in events_of(watched, "token.transferred") if one.get("related_id") == batch_id]
    [closed] = events_of(watched, "transfer_batch.settled")
    assert [one["index"] for one in (cast, *paid, closed)] == list(range(cast["index"], cast["index"] + 4))
    assert {tuple(one["approvals"]) for one in (*paid, closed)} == {(cast["vote_hash"],)}
    assert closed["index"] == index
    assert (closed["amount"], closed["booked_amount"], closed["booked_count"]) == ("175.00", "175.00", 2)
    assert closed["request_hash"] == cast["request_hash"]
    with connect(watched.urls.superuser_url) as connection:
        [body] = connection.execute(
            "SELECT body FROM answer WHERE resource_id = %s AND status = 200", [batch_id]
        ).fetchall()
    assert closed["outcome_hash"] == hashlib.sha256(str(body[0]).encode()).hexdigest()
    oracle(watched)


def test_all_or_none_settles_as_one_or_waits_on(watched: Bank) -> None:
    let_into_force(watched, approvals={"transfer_batch": [ROWS[0]]})
    batch_id = waits(
        watched, item(watched, LANTERN, "150.00"), item(watched, SILKROAD, "100.00"), atomic=True
    )
    spent = watched.transfer(HARBOUR, SILKROAD, "100.00")
    refused = vote(watched, batch_id, "250.00")
    assert refused.refusal is not None
    assert refused.refusal.code == "atomic_batch_refused"
    assert [(one["item"], one["code"]) for one in refused.refusal.members["items"]] == [
        (1, "insufficient_funds")
    ]
    assert balances(watched) == (20_000, 0, 10_000)
    assert read(watched, batch_id)["state"] == "pending_approval"
    oracle(watched)
    watched.reverse(spent, "100.00")
    assert vote(watched, batch_id, "250.00").refusal is None
    assert balances(watched) == (5_000, 15_000, 10_000)
    oracle(watched)


def test_what_an_atomic_refusal_takes_back_leaves_its_neighbours_alone(watched: Bank) -> None:
    """In one commit with other requests: the vote, its event and what was counted go with the refused batch."""
    let_into_force(watched, limits={"payer_day": "250.00"}, approvals={"transfer_batch": [ROWS[0]]})
    batch_id = waits(
        watched, item(watched, LANTERN, "150.00"), item(watched, SILKROAD, "101.00"), atomic=True
    )
    approve = watched.request(
        Kind.APPROVE,
        watched.checker,
        related_id=with_prefix("approval", batch_id),
        amount="251.00",
        currency="USD",
    )
    single = batch_of(watched, item(watched, LANTERN, "5.00"), key="small")
    again = batch_of(watched, item(watched, SILKROAD, "4.00"), key="small too")
    # As if it had never been tried: the same person may still say no, in the same commit.
    reject = watched.request(
        Kind.REJECT, watched.checker, related_id=with_prefix("approval", batch_id), reason="Too much."
    )
    first, refused, rejected, last = watched.settle(
        single, Submission((approve,)), Submission((reject,)), again
    )
    assert rejected.outcomes[0].refusal is None
    assert first.batch is not None
    assert last.batch is not None
    assert refused.outcomes[0].refusal is not None
    assert [one["code"] for one in refused.outcomes[0].refusal.members["items"]] == [
        "payer_day_limit_exceeded"
    ]
    assert (first.batch.status, last.batch.status) == (200, 200)
    assert balances(watched) == (29_100, 500, 400)
    with connect(watched.urls.superuser_url) as connection:
        [used] = connection.execute(
            "SELECT total_minor FROM limit_usage WHERE key LIKE 'payer_day%'"
        ).fetchall()
        votes = connection.execute(
            "SELECT decision FROM approval_vote WHERE approval_id = %s", [with_prefix("approval", batch_id)]
        ).fetchall()
    assert (used[0], votes) == (900, [("reject",)])
    oracle(watched)


def test_more_people_for_more_money(watched: Bank) -> None:
    batch_id = waits(watched, item(watched, LANTERN, "100.01"))
    first = vote(watched, batch_id, "100.01")
    assert orjson.loads(first.body)["state"] == "pending"
    assert balances(watched)[1] == 0
    assert vote(watched, batch_id, "100.01").refusal is not None, "one person is one person"
    assert vote(watched, batch_id, "100.01", second_checker(watched)).refusal is None
    assert balances(watched)[1] == 10_001
    oracle(watched)


def test_the_policy_is_asked_again_for_each_item(watched: Bank) -> None:
    """Approved as a batch, an item needs nobody for its own amount; what a rule denies or refers stays so."""
    lantern_only = {
        "id": "not_to_silkroad",
        "on": ["transfer"],
        "when": f"payee.account_id == '{watched.account_id(SILKROAD)}'",
        "effect": "refer",
        "code": "looked_at",
        "message": "Somebody looks at it.",
    }
    batch_id = waits(
        watched,
        item(watched, LANTERN, "20.00"),
        item(watched, SILKROAD, "30.00"),
        item(watched, LANTERN, "41.00"),
    )
    let_into_force(
        watched,
        limits={"transaction": "40.00"},
        approvals={"transfer": [{"above": "10.00", "checkers": 1}], "transfer_batch": [ROWS[0]]},
        rules=[lantern_only],
    )
    assert vote(watched, batch_id, "91.00").refusal is None
    found = read(watched, batch_id)
    assert [(one["status"], one.get("code")) for one in found["items"]] == [
        ("settled", None),
        ("pending_approval", None),
        ("refused", "transaction_limit_exceeded"),
    ]
    assert (found["settled_count"], found["pending_count"], found["refused_count"]) == (1, 1, 1)
    assert found["items"][1]["approval_id"] == with_prefix("approval", found["items"][1]["id"])
    assert balances(watched) == (28_000, 2_000, 0)
    watched.approve(found["items"][1]["id"], "30.00", "USD")
    assert balances(watched) == (25_000, 2_000, 3_000)
    oracle(watched)


def test_the_key_gets_its_first_answer_for_ever(watched: Bank) -> None:
    items = [item(watched, LANTERN, "20.00")]
    first = settle(watched, batch_of(watched, *items))
    assert settle(watched, batch_of(watched, *items)).body == first.body
    other = settle(watched, batch_of(watched, item(watched, LANTERN, "21.00")))
    assert other.refusal is not None
    assert (other.refusal.code, other.refusal.members) == (
        "idempotency_key_reused",
        {"existing_id": first.resource_id},
    )
    request = watched.request(
        Kind.APPROVE,
        watched.checker,
        key="yes",
        related_id=with_prefix("approval", first.resource_id),
        amount="20.00",
        currency="USD",
    )
    approved = watched.outcome(request)
    assert watched.outcome(request).body == approved.body
    again = settle(watched, batch_of(watched, *items))
    assert (again.body, again.replayed) == (first.body, True)
    assert balances(watched) == (28_000, 2_000, 0)
    # Two of the same in one commit wait once.
    both = watched.settle(
        *[batch_of(watched, item(watched, SILKROAD, "30.00"), key="both") for _ in range(2)]
    )
    assert len({one.batch.body for one in both if one.batch}) == 1
    oracle(watched)


def test_items_that_were_paid_meanwhile_are_found_and_not_paid_twice(watched: Bank) -> None:
    items = [item(watched, LANTERN, "8.00", "a"), item(watched, SILKROAD, "9.00", "b")]
    first, second = waits(watched, *items, key="one"), waits(watched, *items, key="two")
    alone = Submission((batch_of(watched, items[0], key="x").requests[0],))
    [paid] = watched.settle(alone)
    assert paid.outcomes[0].refusal is None
    for batch_id in (first, second):
        assert vote(watched, batch_id, "17.00").refusal is None
    assert balances(watched) == (28_300, 800, 900)
    found = [read(watched, one)["items"] for one in (first, second)]
    assert [one["id"] for one in found[0]] == [one["id"] for one in found[1]]
    assert found[0][0]["id"] == paid.outcomes[0].resource_id
    closed = events_of(watched, "transfer_batch.settled")
    assert [(one["booked_count"], one["booked_amount"]) for one in closed] == [(1, "9.00"), (0, "0.00")]
    # What was paid before counts for nothing: sent again to collect what became of it, nobody has to look.
    again = settle(watched, batch_of(watched, *items, item(watched, LANTERN, "10.00", "c"), key="three"))
    assert (again.status, orjson.loads(again.body)["settled_count"]) == (200, 3)
    more = settle(watched, batch_of(watched, *items, item(watched, LANTERN, "10.01", "d"), key="four"))
    assert orjson.loads(more.body)["amount"] == "10.01"
    oracle(watched)


@pytest.mark.parametrize("ends", ["reject", "expire"])
def test_what_is_rejected_or_expires_moves_nothing(watched: Bank, ends: str) -> None:
    batch_id = waits(watched, item(watched, LANTERN, "20.00"))
    if ends == "reject":
        watched.reject(batch_id, "Not ours.")
    else:
        watched.clock.at += APPROVAL_LIFETIME
        with watched.database.read() as connection:
            due = tokens.due(connection, watched.issuer_id, watched.clock.at, 10)
        [outcome] = watched.settle(*[Submission((one,)) for one in due])
        assert orjson.loads(outcome.outcomes[0].body)["amount"] == "20.00"
    found = read(watched, batch_id)
    assert (found["state"], found["amount"], found["currency"]) == (
        "rejected" if ends == "reject" else "expired",
        "20.00",
        "USD",
    )
    assert "items" not in found
    assert vote(watched, batch_id, "20.00").refusal is not None
    assert balances(watched) == (30_000, 0, 0)
    oracle(watched)


def test_the_last_moment_is_too_late(watched: Bank) -> None:
    in_time, late = (waits(watched, item(watched, LANTERN, "20.00"), key=key) for key in "ab")
    watched.clock.at += APPROVAL_LIFETIME - timedelta(microseconds=1)
    assert vote(watched, in_time, "20.00").refusal is None
    watched.clock.at += timedelta(microseconds=1)
    refused = vote(watched, late, "20.00").refusal
    assert refused is not None
    assert refused.code == "approval_expired"


def test_one_sum_of_one_class_and_free_of_faults(watched: Bank) -> None:
    watched.mint("HARBOUR-EUR", "50.00")
    euros = {
        **item(watched, LANTERN, "6.00"),
        "payer_account_id": watched.account_id("HARBOUR-EUR"),
        "payee_account_id": watched.account_id("LANTERN-EUR"),
        "currency": "EUR",
    }
    mixed = settle(watched, batch_of(watched, item(watched, LANTERN, "10.01"), euros)).refusal
    assert mixed is not None
    assert (mixed.code, mixed.status) == ("batch_classes_mixed", 422)
    # Two classes, each under its own limit, are nobody's business.
    assert settle(watched, batch_of(watched, item(watched, LANTERN, "10.00"), euros)).status == 200
    bad = [
        item(watched, LANTERN, "11.00"),
        item(watched, LANTERN, "1"),
        item(watched, LANTERN, "1.00", currency="EUR"),
        item(watched, LANTERN, "1.00", payee_account_id="account_absent"),
        item(watched, LANTERN, "1.00", payer_account_id=watched.account_id("NORTHWIND-USD")),
        item(watched, HARBOUR, "1.00"),
    ]
    refused = settle(watched, batch_of(watched, *bad, key="bad")).refusal
    assert refused is not None
    assert (refused.code, refused.status) == ("batch_items_malformed", 422)
    assert [(one["item"], one["code"]) for one in refused.members["items"]] == [
        (1, "amount_malformed"),
        (2, "currency_mismatch"),
        (3, "account_not_found"),
        (4, "account_not_found"),
        (5, "same_account"),
    ]
    # Below the limit each is refused on its own, as ever; and a refused batch leaves its key free.
    assert (
        settle(watched, batch_of(watched, *bad[1:], item(watched, LANTERN, "1.00"), key="bad")).status == 200
    )
    oracle(watched)


def test_only_its_maker_and_the_bank_know_of_it(watched: Bank) -> None:
    batch_id = waits(watched, item(watched, LANTERN, "20.00"), key="waits")
    at_once = settle(watched, batch_of(watched, item(watched, LANTERN, "2.00"), key="now")).resource_id

    def register(connection: Any) -> tuple[Principal, Principal]:
        stranger = participants.register_holder(
            connection,
            watched.clock,
            watched.issuer_id,
            kind=HolderKind.PLATFORM,
            legal_name="Island Marketplace",
            country="IE",
            residency="IE",
            kyc_status=KycStatus.VERIFIED,
        )
        return tuple(  # type: ignore[return-value]
            participants.register_principal(
                connection,
                watched.clock,
                watched.issuer_id,
                name=name,
                roles=frozenset({Role.PLATFORM}),
                holder_id=holder_id,
            )
            for name, holder_id in (
                ("Island's", stranger.id),
                ("Harbour's other", watched.holders["HARBOUR"].id),
            )
        )

    island, harbours_other = watched.database.run(register)
    for one in (batch_id, at_once):
        for viewer in (watched.maker, watched.auditor, watched.platform, harbours_other):
            assert read(watched, one, viewer)["id"] == one
        for viewer in (island, watched.holder):
            with pytest.raises(InstructionNotFoundError):
                read(watched, one, viewer)
    with pytest.raises(InstructionNotFoundError):
        read(watched, "batch_00000000000000000000000000")
    with watched.database.read() as connection, pytest.raises(InstructionNotFoundError):
        tokens.read_batch(connection, replace(watched.maker, issuer_id="issuer_of_others"), batch_id)


def test_a_batch_that_was_changed_while_it_waited_settles_nothing(watched: Bank) -> None:
    batch_id = waits(watched, item(watched, LANTERN, "20.00"))
    with connect(watched.urls.superuser_url) as connection:
        connection.execute(
            "UPDATE approval SET details = jsonb_set(details, '{body,items,0,amount}', '\"29.00\"')"
            " WHERE subject_id = %s",
            [batch_id],
        )
    with pytest.raises(Exception, match="is not what was asked for") as stopped:
        vote(watched, batch_id, "20.00")
    assert not isinstance(stopped.value, DomainError)
    assert balances(watched) == (30_000, 0, 0)


def test_lists_of_approvals_are_told_without_items(watched: Bank) -> None:
    batch_id = waits(watched, item(watched, LANTERN, "20.00"))
    approval_id = with_prefix("approval", batch_id)
    with watched.database.read() as connection:
        [listed] = approvals.approvals(connection, watched.issuer_id, operation="transfer_batch")
        [by_id] = approvals.approvals_by_id(connection, watched.issuer_id, [approval_id])
        whole = approvals.approval(connection, watched.issuer_id, approval_id)
    assert listed.details == by_id.details == {"items_count": 1, "atomic": False, "answered_before": []}
    assert whole.details is not None
    assert whole.details["body"]["items"][0]["amount"] == "20.00"
    assert (whole.amount, whole.currency, whole.quorum) == ("20.00", "USD", 1)


def test_a_thousand_items_settle_in_one_commit(watched: Bank) -> None:
    items = [item(watched, LANTERN if number % 2 else SILKROAD, "0.10") for number in range(1_000)]
    let_into_force(watched, limits={"payer_day": "90.00"}, approvals={"transfer_batch": [ROWS[0]]})
    batch_id = waits(watched, *items)
    assert vote(watched, batch_id, "100.00").refusal is None
    found = read(watched, batch_id)
    assert (found["settled_count"], found["refused_count"]) == (900, 100)
    assert {one["code"] for one in found["items"] if one["status"] == "refused"} == {
        "payer_day_limit_exceeded"
    }
    assert balances(watched) == (21_000, 4_500, 4_500)
    with connect(watched.urls.superuser_url) as connection:
        [commits] = connection.execute(
            """SELECT count(DISTINCT xmin::text) FROM event
               WHERE type IN ('transfer_batch.settled') OR jws IS NOT NULL AND event_index >= %s""",
            [min(one["event_index"] for one in found["items"] if one["status"] == "settled") - 1],
        ).fetchall()
    assert commits == (1,)
    oracle(watched)


def test_many_who_approve_at_once_pay_once(watched: Bank) -> None:
    """Each over a connection of its own, while the payer spends what the batch needs."""
    let_into_force(watched, approvals={"transfer_batch": [ROWS[0]]})
    batch_id = waits(watched, *[item(watched, SILKROAD, "1.00") for _ in range(200)])
    barrier = threading.Barrier(16)

    def act(number: int) -> Outcome:
        barrier.wait(timeout=60)
        if number % 2:
            return settle(watched, batch_of(watched, item(watched, LANTERN, "10.00"), key=f"spend {number}"))
        return vote(watched, batch_id, "200.00")

    with ThreadPoolExecutor(16) as pool:
        outcomes = list(pool.map(act, range(16)))
    approved = [one for one in outcomes[::2] if one.refusal is None]
    assert len(approved) == 1
    assert {one.refusal.code for one in outcomes[::2] if one.refusal} == {"approval_closed"}
    found = read(watched, batch_id)
    assert found["settled_count"] == 200
    assert balances(watched) == (2_000, 8_000, 20_000)
    oracle(watched)


def test_batches_at_once_stay_within_a_limit(watched: Bank) -> None:
    """Approved together in one commit and apart, their items never exceed the payer's day."""
    let_into_force(watched, limits={"payer_day": "100.00"}, approvals={"transfer_batch": [ROWS[0]]})
    ids = [
        waits(watched, *[item(watched, LANTERN, "4.00")] * 10, key=f"many {number}") for number in range(4)
    ]
    requests = [
        watched.request(
            Kind.APPROVE,
            watched.checker,
            related_id=with_prefix("approval", one),
            amount="40.00",
            currency="USD",
        )
        for one in ids
    ]
    settled = watched.settle(*[Submission((one,)) for one in requests[:2]])
    assert all(one.outcomes[0].refusal is None for one in settled)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(watched.outcome, requests[2:]))
    counts = [read(watched, one)["settled_count"] for one in ids]
    assert sum(counts) == 25
    assert balances(watched) == (20_000, 10_000, 0)
    oracle(watched)
