"""Changes: what makes the bank stricter counts at once, what makes it laxer takes two people; all of it is signed."""

import hashlib
import itertools
from concurrent.futures import Future
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

import pytest
import rfc8785

from tallystick import participants, policy, tokens
from tallystick.core.clock import FixedClock
from tallystick.core.errors import DomainError
from tallystick.core.ids import with_prefix
from tallystick.tokens import GroupCommit, Kind, Request, Submission, SubmissionOutcome
from tallystick.tokens.settle import FactsOutdatedError
from tests.bank import Bank, oracle
from tests.tokens.changing import asked, code_of, log_of, rows, vote
from tests.tokens.queueing import PATIENCE_SECONDS, held_back, outcome_of, submit, transfer

HARBOUR: Final = "HARBOUR-USD"
LANTERN: Final = "LANTERN-USD"
STRICTNESS: Final = ("normal", "redeem_only", "paused")
WRITTEN: Final = """SELECT (SELECT count(*) FROM event), (SELECT count(*) FROM answer),
    (SELECT count(*) FROM instruction), (SELECT count(*) FROM approval_vote), (SELECT count(*) FROM breaker),
    (SELECT string_agg(id || state, ',' ORDER BY id) FROM approval),
    (SELECT string_agg(id || mode, ',' ORDER BY id) FROM token_class),
    (SELECT string_agg(id || coalesce(active_from::text, ''), ',' ORDER BY id) FROM policy_document)"""


def mode_of(bank: Bank) -> str:
    with bank.database.read() as connection:
        return str(participants.token_class(connection, bank.issuer_id, bank.classes["USD"].id).mode)


def state_of(bank: Bank, policy_id: str) -> str:
    with bank.database.read() as connection:
        return policy.policy(connection, bank.issuer_id, policy_id).state_at(bank.clock.at)


def set_mode(bank: Bank, mode: str) -> tokens.Outcome:
    """Ask for a mode, and let the checker approve it where it waits."""
    outcome = bank.change("token_class_mode", bank.classes["USD"].id, {"mode": mode})
    if outcome.status == 202:
        bank.approve(outcome.resource_id)
    return outcome


@pytest.mark.parametrize(("present", "mode"), list(itertools.permutations(STRICTNESS, 2)))
def test_a_stricter_mode_counts_at_once_and_a_laxer_one_waits(
    shared_bank: Bank, present: str, mode: str
) -> None:
    if mode_of(shared_bank) != present:
        set_mode(shared_bank, present)
    asked_for = shared_bank.change("token_class_mode", shared_bank.classes["USD"].id, {"mode": mode})

    if STRICTNESS.index(mode) > STRICTNESS.index(present):
        assert (asked_for.status, mode_of(shared_bank)) == (201, mode)
        return
    assert (asked_for.status, asked_for.event_index, mode_of(shared_bank)) == (202, None, present)
    assert code_of(vote(shared_bank, asked_for.resource_id, shared_bank.operator)) == "checker_is_maker"
    assert code_of(vote(shared_bank, asked_for.resource_id, shared_bank.platform)) == "checker_not_a_person"
    assert mode_of(shared_bank) == present
    shared_bank.approve(asked_for.resource_id)
    assert mode_of(shared_bank) == mode


def test_a_pause_stands_before_the_next_payment(bank: Bank) -> None:
    bank.mint(HARBOUR, "5.00")
    bank.transfer(HARBOUR, LANTERN, "1.00")
    set_mode(bank, "paused")
    with pytest.raises(DomainError) as refused:
        bank.transfer(HARBOUR, LANTERN, "1.00")
    assert refused.value.code == "token_class_paused"
    set_mode(bank, "normal")
    bank.transfer(HARBOUR, LANTERN, "1.00")
    oracle(bank)


def test_a_change_is_signed_with_the_hash_of_what_it_does(bank: Bank) -> None:
    at_once = set_mode(bank, "paused")
    waited = set_mode(bank, "normal")
    stricter, voted, laxer = log_of(bank)

    for payload, outcome, mode in ((stricter, at_once, "paused"), (laxer, waited, "normal")):
        assert {"lines", "amount", "currency"}.isdisjoint(payload)
        assert (payload["type"], payload["operation"]) == ("token_class.mode_changed", "token_class_mode")
        assert payload["subject_id"] == bank.classes["USD"].id
        assert payload["instruction_id"] == outcome.resource_id
        assert payload["id"] == with_prefix("event", outcome.resource_id)
        assert payload["principal_id"] == bank.operator.id
        assert payload["payload_hash"] == hashlib.sha256(rfc8785.dumps({"mode": mode})).hexdigest()
    assert (stricter["approvals"], laxer["approvals"]) == ([], [voted["vote_hash"]])
    assert (voted["type"], voted["instruction_id"]) == ("approval.approved", waited.resource_id)
    assert voted["request_hash"] == laxer["request_hash"]
    [(kept,)] = rows(bank, "SELECT jws FROM event WHERE event_index = 0")
    assert asked(at_once)["signed_event"] == kept
    assert (asked(waited)["state"], "signed_event" in asked(waited)) == ("pending_approval", False)
    oracle(bank)


def test_a_policy_s_version_is_in_the_next_event(bank: Bank) -> None:
    bank.mint(HARBOUR, "5.00")
    drafted = bank.draft(limits={"transaction": "1.00"})
    bank.transfer(HARBOUR, LANTERN, "2.00")
    waiting = bank.change("policy_activation", drafted.id)
    assert (waiting.status, state_of(bank, drafted.id)) == (202, "draft")
    bank.transfer(HARBOUR, LANTERN, "1.50")
    decided = bank.approve(waiting.resource_id)
    assert state_of(bank, drafted.id) == "active"
    with pytest.raises(DomainError) as refused:
        bank.transfer(HARBOUR, LANTERN, "1.01")
    assert refused.value.code == "transaction_limit_exceeded"
    assert refused.value.members["policy_version"] == f"{drafted.id}/1"
    bank.transfer(HARBOUR, LANTERN, "1.00")

    before, also_before, voted, activated, behind = log_of(bank)[-5:]
    assert [one.get("policy") for one in (before, also_before, behind)] == [
        "shipped/1",
        "shipped/1",
        f"{drafted.id}/1",
    ]
    assert (activated["type"], activated["subject_id"]) == ("policy.activated", drafted.id)
    assert activated["approvals"] == [voted["vote_hash"]] == [asked(decided)["hash"]]
    assert activated["index"] == decided.event_index
    with bank.database.read() as connection:
        [approved_by] = policy.policy(connection, bank.issuer_id, drafted.id).approval_hashes
    assert approved_by.hex() == voted["vote_hash"]
    oracle(bank)


def test_a_policy_ends_with_two_people_too(bank: Bank) -> None:
    bank.mint(HARBOUR, "5.00")
    drafted = bank.enact(limits={"transaction": "1.00"})
    waiting = bank.change("policy_retirement", drafted.id)
    with pytest.raises(DomainError, match="limit"):
        bank.transfer(HARBOUR, LANTERN, "2.00")
    bank.approve(waiting.resource_id)
    bank.transfer(HARBOUR, LANTERN, "2.00")

    assert state_of(bank, drafted.id) == "retired"
    *_, retired, behind = log_of(bank)
    assert (retired["type"], behind["policy"]) == ("policy.retired", "shipped/1")
    oracle(bank)


@pytest.mark.parametrize(
    "operation",
    ["policy_activation", "policy_retirement", "token_class_mode", "breaker_trip", "breaker_reset"],
)
def test_a_machine_asks_for_no_change_not_even_a_stricter_one(shared_bank: Bank, operation: str) -> None:
    if mode_of(shared_bank) == "paused":
        set_mode(shared_bank, "normal")
    subject_id = shared_bank.classes["USD"].id
    if operation.startswith("policy"):
        subject_id = shared_bank.draft().id
    elif operation == "breaker_reset":
        shared_bank.change("breaker_trip", subject_id)
        shared_bank.run_clean()
    before = rows(shared_bank, WRITTEN)
    with pytest.raises(DomainError) as refused:
        shared_bank.change(operation, subject_id, {"mode": "paused"}, principal=shared_bank.platform)
    assert refused.value.code == "maker_not_a_person"
    assert rows(shared_bank, WRITTEN) == before
    if operation == "breaker_reset":
        shared_bank.run_clean()
        shared_bank.approve(shared_bank.change(operation, subject_id).resource_id)


def test_what_is_approved_must_still_hold(bank: Bank) -> None:
    """Asked twice, approved once: the second approval finds another subject than was asked about."""
    drafted = bank.draft()
    set_mode(bank, "paused")
    bank.change("breaker_trip", bank.classes["USD"].id)
    bank.run_clean()
    asks: list[tuple[str, str, dict[str, Any], str]] = [
        ("policy_activation", drafted.id, {}, "policy_state_conflict"),
        ("token_class_mode", bank.classes["USD"].id, {"mode": "normal"}, "class_mode_conflict"),
        ("breaker_reset", bank.classes["USD"].id, {}, "breaker_conflict"),
    ]
    for operation, subject_id, payload, code in asks:
        first, second = (bank.change(operation, subject_id, payload).resource_id for _ in range(2))
        bank.approve(first)
        before = rows(bank, WRITTEN)
        assert code_of(vote(bank, second, bank.checker)) == code
        assert rows(bank, WRITTEN) == before
        bank.reject(second)
    oracle(bank)


def test_a_draft_that_was_retired_meanwhile_is_not_activated(bank: Bank) -> None:
    drafted = bank.draft()
    activation = bank.change("policy_activation", drafted.id).resource_id
    bank.approve(bank.change("policy_retirement", drafted.id).resource_id)
    assert code_of(vote(bank, activation, bank.checker)) == "policy_state_conflict"
    assert state_of(bank, drafted.id) == "retired"


def test_a_rejected_change_changes_nothing(bank: Bank) -> None:
    set_mode(bank, "paused")
    waiting = bank.change("token_class_mode", bank.classes["USD"].id, {"mode": "normal"})
    bank.reject(waiting.resource_id)
    assert mode_of(bank) == "paused"
    assert [one["type"] for one in log_of(bank)] == ["token_class.mode_changed", "approval.rejected"]
    assert code_of(vote(bank, waiting.resource_id, bank.checker)) == "approval_closed"
    with bank.database.read() as connection:
        kept = tokens.instruction(connection, bank.auditor, Kind.CHANGE, waiting.resource_id)
    assert (kept.state, kept.event_index, kept.operation) == ("rejected", None, "token_class_mode")
    oracle(bank)


def test_a_change_asked_for_again_has_one_effect(bank: Bank) -> None:
    usd = bank.classes["USD"].id
    first, again = (bank.change("token_class_mode", usd, {"mode": "paused"}, key="at once") for _ in range(2))
    assert (again.body, again.replayed, len(log_of(bank))) == (first.body, True, 1)
    with pytest.raises(DomainError) as refused:
        bank.change("token_class_mode", usd, {"mode": "redeem_only"}, key="at once")
    assert refused.value.code == "idempotency_key_reused"


def told_together(bank: Bank, *requests: Request) -> list[str]:
    """Hand requests to one queue while it is held back, so that they are taken together; return how each ended."""
    queue = GroupCommit(bank.database, bank.settler, batch_size_max=100, queue_length_max=100)
    told: list[Future[SubmissionOutcome]] = []
    with held_back(bank, queue):
        told += [submit(queue, bank, one) for one in requests]
    ends = [code_of(outcome_of(one)) for one in told]
    queue.close(PATIENCE_SECONDS)
    return ends


def change_request(bank: Bank, operation: str, **payload: Any) -> Request:
    return bank.request(
        Kind.CHANGE,
        bank.operator,
        operation=operation,
        related_id=bank.classes["USD"].id,
        reason="As decided.",
        payload=payload,
    )


def test_what_is_taken_together_is_decided_by_the_change_before_it(bank: Bank) -> None:
    """The log's order is the order of decisions: behind a pause, nothing of its own batch passes either."""
    bank.mint(HARBOUR, "1.00")
    ends = told_together(
        bank,
        transfer(bank),
        change_request(bank, "token_class_mode", mode="paused"),
        transfer(bank),
        change_request(bank, "token_class_mode", mode="paused"),
        transfer(bank),
    )
    assert ends == ["settled", "settled", "token_class_paused", "class_mode_conflict", "token_class_paused"]
    oracle(bank)


def test_rules_that_are_taken_together_with_payments_decide_those_behind_them(bank: Bank) -> None:
    bank.mint(HARBOUR, "1.00")
    drafted = bank.draft(limits={"transaction": "0.02"})
    waiting = bank.change("policy_activation", drafted.id).resource_id
    approving = bank.request(Kind.APPROVE, bank.checker, related_id=with_prefix("approval", waiting))
    ends = told_together(
        bank, transfer(bank, "0.03"), approving, transfer(bank, "0.03"), transfer(bank, "0.02")
    )
    assert ends == ["settled", "settled", "transaction_limit_exceeded", "settled"]
    payments = [one for one in log_of(bank) if one["type"] == "token.transferred"]
    assert [one["policy"] for one in payments] == ["shipped/1", "shipped/1", f"{drafted.id}/1"]
    oracle(bank)


def test_a_breaker_tripped_by_hand_stops_what_is_approved_in_its_batch(bank: Bank) -> None:
    bank.mint(HARBOUR, "1.00")
    bank.deposit(HARBOUR, "1.00")
    mint = bank.ask(
        Kind.MINT, bank.maker, amount="1.00", currency="USD", payee_account_id=bank.account_id(HARBOUR)
    ).resource_id
    approving = bank.request(
        Kind.APPROVE,
        bank.checker,
        related_id=with_prefix("approval", mint),
        amount="1.00",
        currency="USD",
    )
    ends = told_together(bank, change_request(bank, "breaker_trip", reason="As decided."), approving)
    assert ends == ["settled", "issuance_suspended"]
    assert bank.balance_minor("2110", HARBOUR) == 99
    oracle(bank)


def test_whoever_settles_several_at_once_is_told_that_the_facts_are_old(bank: Bank) -> None:
    bank.mint(HARBOUR, "1.00")
    before = rows(bank, WRITTEN)
    pause = change_request(bank, "token_class_mode", mode="paused")
    with pytest.raises(FactsOutdatedError):
        bank.settle(Submission((pause,)), Submission((transfer(bank),)))
    assert rows(bank, WRITTEN) == before
    bank.settle(Submission((transfer(bank),)), Submission((pause,)))
    oracle(bank)


def test_the_log_s_order_and_no_clock_says_which_rules_decide(bank: Bank) -> None:
    """Another process's clock is behind, or was looked at before the lock was had: the new rules decide."""
    bank.mint(HARBOUR, "5.00")
    behind = replace(bank.settler, clock=FixedClock(bank.clock.at - timedelta(seconds=1)))
    drafted = bank.enact(limits={"transaction": "1.00"})

    def settle_behind(amount: str) -> tokens.Outcome:
        request = transfer(bank, amount)
        [settled] = bank.database.run(
            lambda connection: tokens.settle(connection, behind, bank.issuer_id, [Submission((request,))])
        )
        return settled.outcomes[0]

    assert code_of(settle_behind("1.01")) == "transaction_limit_exceeded"
    assert code_of(settle_behind("1.00")) == "settled"
    assert log_of(bank)[-1]["policy"] == f"{drafted.id}/1"
    bank.approve(bank.change("policy_retirement", drafted.id).resource_id)
    assert code_of(settle_behind("1.01")) == "settled"
    assert log_of(bank)[-1]["policy"] == "shipped/1"
    oracle(bank)
