"""Who may decide an approval, on what exactly, and what a vote binds: pure rules."""

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest

from tallystick.approvals import Approval, Vote, check_amount, check_vote, make_vote
from tallystick.core.errors import DomainError

ASKED_AT: Final = datetime(2026, 11, 22, 8, tzinfo=UTC)
APPROVAL: Final = Approval(
    issuer_id="issuer_1",
    id="approval_1",
    operation="mint",
    subject_id="mint_1",
    request_hash=bytes(32),
    amount_minor=123_456,
    currency="USD",
    scale=2,
    maker_principal_id="principal_1",
    maker_person="Mara Maker",
    quorum=1,
    state="pending",
    created_at=ASKED_AT,
    expires_at=ASKED_AT + timedelta(hours=72),
)
WITHOUT_AMOUNT: Final = replace(
    APPROVAL, operation="account_unfreeze", amount_minor=None, currency=None, scale=None
)


def cast(person: str, approval: Approval = APPROVAL, **other: Any) -> Vote:
    values: dict[str, Any] = {
        "principal_id": "principal_2",
        "decision": "approve",
        "reason": None,
        "decided_at": ASKED_AT,
        **other,
    }
    return make_vote(approval, person=person, **values)


def code(approval: Approval, votes: list[Vote], person: str | None, now: datetime) -> str:
    try:
        check_vote(approval, votes, person, now)
    except DomainError as refusal:
        return refusal.code
    return "may decide"


@pytest.mark.parametrize(
    ("approval", "votes", "person", "after_hours", "expected"),
    [
        (APPROVAL, [], "Chen Checker", 0, "may decide"),
        (APPROVAL, [cast("Carla Checker")], "Chen Checker", 71, "may decide"),
        (APPROVAL, [cast("Chen Checker")], "Chen Checker", 0, "checker_has_voted"),
        (APPROVAL, [cast("Mara Maker")], "Mara Maker", 0, "checker_is_maker"),
        (APPROVAL, [], None, 0, "checker_not_a_person"),
        (APPROVAL, [], None, 72, "approval_expired"),
        (APPROVAL, [], "Chen Checker", 72, "approval_expired"),
        (replace(APPROVAL, state="approved"), [], None, 72, "approval_closed"),
        (replace(APPROVAL, state="rejected"), [], "Chen Checker", 0, "approval_closed"),
    ],
)
def test_who_may_decide(
    approval: Approval, votes: list[Vote], person: str | None, after_hours: int, expected: str
) -> None:
    assert code(approval, votes, person, ASKED_AT + timedelta(hours=after_hours)) == expected


@pytest.mark.parametrize(
    ("approval", "amount", "currency", "expected"),
    [
        (APPROVAL, "1234.56", "USD", None),
        (APPROVAL, "1234.56", "EUR", "approval_mismatch"),
        (APPROVAL, "1234.56", None, "approval_mismatch"),
        (APPROVAL, "123456.00", "USD", "approval_mismatch"),
        (APPROVAL, "0.00", "USD", "approval_mismatch"),
        (APPROVAL, None, "USD", "approval_mismatch"),
        (APPROVAL, "1234.5", "USD", "amount_malformed"),
        (APPROVAL, "", "USD", "amount_malformed"),
        (WITHOUT_AMOUNT, None, None, None),
        (WITHOUT_AMOUNT, "1.00", "USD", None),
    ],
)
def test_what_was_typed_must_be_what_was_asked_for(
    approval: Approval, amount: str | None, currency: str | None, expected: str | None
) -> None:
    try:
        check_amount(approval, amount, currency)
    except DomainError as refusal:
        told: str | None = refusal.code
    else:
        told = None
    assert told == expected


def test_a_votes_hash_can_be_computed_by_anybody() -> None:
    vote = cast("Chen Checker", decided_at=ASKED_AT + timedelta(hours=1))
    statement = {
        "amount": "1234.56",
        "approval_id": "approval_1",
        "checker": "Chen Checker",
        "currency": "USD",
        "decided_at": "2026-11-22T09:00:00.000000Z",
        "decision": "approve",
        "issuer_id": "issuer_1",
        "maker": "Mara Maker",
        "operation": "mint",
        "principal_id": "principal_2",
        "request_hash": "00" * 32,
        "subject_id": "mint_1",
    }
    canonical = json.dumps(statement, sort_keys=True, separators=(",", ":"))
    assert vote.hash == hashlib.sha256(canonical.encode()).digest()


@pytest.mark.parametrize(
    "changed",
    [
        {"request_hash": b"\1" * 32},
        {"amount_minor": 123_457},
        {"currency": "EUR"},
        {"scale": 3},
        {"maker_person": "Somebody Else"},
        {"subject_id": "mint_2"},
        {"operation": "reversal"},
        {"issuer_id": "issuer_2"},
        {"id": "approval_2"},
    ],
)
def test_a_vote_binds_everything_that_it_was_about(changed: dict[str, Any]) -> None:
    assert cast("Chen Checker", replace(APPROVAL, **changed)).hash != cast("Chen Checker").hash


@pytest.mark.parametrize(
    "changed",
    [
        {"decision": "reject"},
        {"principal_id": "principal_3"},
        {"decided_at": ASKED_AT + timedelta(microseconds=1)},
    ],
)
def test_a_vote_binds_who_cast_it_how_and_when(changed: dict[str, Any]) -> None:
    assert cast("Chen Checker", **changed).hash != cast("Chen Checker").hash
    assert cast("Carla Checker").hash != cast("Chen Checker").hash


def test_an_approval_shows_its_amount() -> None:
    assert APPROVAL.amount == "1234.56"
    assert WITHOUT_AMOUNT.amount is None
