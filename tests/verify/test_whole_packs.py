"""Packs that the service makes are verified, whatever it signs; and they say what they leave unproven."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

from tallystick.core.ids import with_prefix
from tallystick.participants import Principal
from tallystick.tokens import Kind
from tallystick_verify import ExitCode
from tests.bank import APPROVAL_LIFETIME, Bank
from tests.policies import approve_policy
from tests.tokens.waiting_batches import item, waits
from tests.verify.forging import approve
from tests.verify.packs import Evidence, export_evidence, verified


def test_a_pack_is_verified(evidence: Evidence, tmp_path: Path) -> None:
    report = verified(evidence.files, tmp_path / "pack", evidence.policy)

    assert report.findings == []
    assert report.exit_code == 0
    assert {one.state for name, one in report.checks.items() if name != "checkpoint"} == {"passed"}
    assert [one["supply"] for one in report.figures] == ["250.50", "980.00"]


def _mint_asked(bank: Bank) -> str:
    return bank.ask(
        Kind.MINT,
        bank.maker,
        amount="1.00",
        currency="USD",
        payee_account_id=bank.account_id("HARBOUR-USD"),
    ).resource_id


def _change(bank: Bank, principal: Principal, operation: str, subject_id: str, **payload: Any) -> str:
    return bank.ask(
        Kind.CHANGE, principal, operation=operation, related_id=subject_id, payload=payload
    ).resource_id


def test_what_moves_no_money_is_known_too(bank: Bank, tmp_path: Path) -> None:
    bank.deposit("HARBOUR-USD", "10.00")
    bank.reject(_mint_asked(bank))
    class_id = bank.classes["EUR"].id
    _change(bank, bank.maker, "token_class_mode", class_id, mode="paused")
    bank.approve(_change(bank, bank.maker, "token_class_mode", class_id, mode="normal"))
    _change(bank, bank.maker, "breaker_trip", class_id, reason="A drill.")
    bank.run_clean(class_id)
    bank.approve(_change(bank, bank.maker, "breaker_reset", class_id, reason="The drill is over."))
    waiting = _mint_asked(bank)
    bank.clock.at += APPROVAL_LIFETIME + timedelta(hours=1)
    bank.ask(Kind.APPROVAL_EXPIRY, bank.operator, related_id=with_prefix("approval", waiting))
    evidence = Evidence.of(bank, export_evidence(bank, tmp_path / "packs"))

    report = verified(evidence.files, tmp_path / "pack", evidence.policy)

    assert report.exit_code == ExitCode.OK, report.text()
    insider = evidence.insider()
    types = [payload["type"] for payload in insider.payloads()]
    assert types == [
        "deposit.confirmed",
        "approval.rejected",
        "token_class.mode_changed",
        "approval.approved",
        "token_class.mode_changed",
        "breaker.tripped",
        "approval.approved",
        "breaker.reset",
        "approval.expired",
    ]
    # What makes the bank laxer needs people; who leaves them out is seen.
    insider.resign(7, lambda payload: payload.update(approvals=[]))
    assert verified(insider.files, tmp_path / "alone", evidence.policy).exit_code == ExitCode.APPROVAL


def _approved_batch(bank: Bank) -> None:
    bank.mint("HARBOUR-USD", "100.00")
    approve_policy(bank, approvals={"transfer_batch": [{"above": "10.00", "checkers": 1}]})
    batch_id = waits(bank, item(bank, "LANTERN-USD", "30.00"), item(bank, "SILKROAD-USD", "20.00"))
    bank.approve(batch_id, "50.00", "USD")


def test_a_batch_that_people_let_through_is_bound_to_what_was_booked_of_it(
    bank: Bank, tmp_path: Path
) -> None:
    _approved_batch(bank)
    evidence = Evidence.of(bank, export_evidence(bank, tmp_path / "packs"))
    report = verified(evidence.files, tmp_path / "pack", evidence.policy)
    assert report.exit_code == ExitCode.OK, report.text()
    types = [payload["type"] for payload in evidence.insider().payloads()]
    assert types[-4:] == [
        "approval.approved",
        "token.transferred",
        "token.transferred",
        "transfer_batch.settled",
    ]
    first, last = len(types) - 3, len(types) - 1
    other_batch = with_prefix("batch", evidence.insider().payloads()[0]["instruction_id"])
    # Each by who has the bank's key and makes everything anew: what people approved can't be stretched.
    faults: dict[str, tuple[int, dict[str, Any]]] = {
        "no votes": (last, {"approvals": []}),
        "an item without its votes": (first, {"approvals": []}),
        "an item of another batch": (first, {"related_id": other_batch}),
        "an item in another's name": (first, {"principal_id": bank.maker.id}),
        "another count": (last, {"booked_count": 3}),
        "another sum": (last, {"booked_amount": "49.00"}),
        "less than was booked": (last, {"amount": "49.00"}),
        "another request": (last, {"request_hash": "0" * 64}),
    }
    for name, (index, members) in faults.items():
        insider = evidence.insider()
        insider.resign(index, lambda payload, members=members: payload.update(members))  # type: ignore[misc]
        found = verified(insider.files, tmp_path / name, evidence.policy)
        assert found.exit_code == ExitCode.APPROVAL, (name, found.text())
    # Even with votes made anew for a smaller sum, everywhere: more was booked than they let through.
    insider = evidence.insider()
    approve(insider, last, lambda row: row.update(amount="49.00"))
    hashes = insider.payloads()[last]["approvals"]
    insider.resign(last, lambda payload: payload.update(amount="49.00"))
    for index in (first, first + 1):
        insider.resign(index, lambda payload: payload.update(approvals=hashes))
    found = verified(insider.files, tmp_path / "a smaller sum", evidence.policy)
    assert found.exit_code == ExitCode.APPROVAL
    assert "More was booked of the batch than people approved." in found.text()


def test_what_is_not_proven_is_told(evidence: Evidence, tmp_path: Path) -> None:
    report = verified(evidence.files, tmp_path / "pack", evidence.policy)

    document = json.loads(json.dumps(report.document()))
    assert len(document["unproven"]) == 5
    assert all(one in report.text() for one in document["unproven"])
