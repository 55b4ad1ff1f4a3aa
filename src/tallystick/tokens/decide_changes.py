"""Deciding a change: its room has checked it under the lock, and people are asked where it makes the bank laxer.

One that posts an entry is bound to it: whoever approves types its amount, and where another entry would be posted by
then, or none, nothing is.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

from tallystick.approvals import Approval
from tallystick.core.canonical_json import canonical_json
from tallystick.core.clock import Clock
from tallystick.core.errors import DomainError
from tallystick.core.money import parse_amount
from tallystick.ledger import Posting
from tallystick.tokens.changing import Applied, CheckedChange
from tallystick.tokens.expiring import SYSTEM_PRINCIPAL_ID
from tallystick.tokens.instructions import Instruction, Request, State
from tallystick.tokens.outlines import new_instruction, settled_now
from tallystick.tokens.plans import Facts, Plan
from tallystick.tokens.refusals import EntryChangedError, MakerNotAPersonError

__all__ = ["applied_change", "change", "change_members", "postings_of_change", "settle_change"]


def change(facts: Facts, request: Request) -> Plan:
    """Return the plan of a change that is asked for."""
    checked = _checked(facts, request.id)
    if request.principal.person is None and (checked.checkers or request.principal.id != SYSTEM_PRINCIPAL_ID):
        raise MakerNotAPersonError
    entry = checked.entry
    postings = _postings(facts, checked)
    amount_minor = 0 if entry is None else entry.amount_minor
    waiting = new_instruction(facts, request, None, amount_minor, State.PENDING_APPROVAL)
    plan = Plan(
        waiting, None if entry is None else entry.currency, 0 if entry is None else entry.scale, postings
    )
    if checked.checkers == 0:
        settled = settled_now(facts, waiting)
        return plan._replace(answers_with=settled, settled=settled, added=settled, change=checked)
    details = {"operation": checked.operation, "payload": dict(checked.payload)}
    if entry is not None:
        details["entry"] = entry.told
    return plan._replace(added=waiting, quorum=checked.checkers, details=details)


def settle_change(facts: Facts, subject: Instruction, approval: Approval) -> Plan:
    """Return the plan of a change that was approved: what held when it was asked for must still hold."""
    checked = _checked(facts, approval.id)
    entry = None if checked.entry is None else checked.entry.told
    if entry != (approval.details or {}).get("entry"):
        raise EntryChangedError
    settled = settled_now(facts, subject)
    return Plan(
        settled,
        approval.currency,
        approval.scale or 0,
        _postings(facts, checked),
        settled=settled,
        changed=(settled,),
        change=checked,
    )


def postings_of_change(approval: Approval) -> tuple[Posting, ...]:
    """Return what a change that waits would post."""
    entry = (approval.details or {}).get("entry")
    return (
        ()
        if entry is None
        else tuple(
            Posting(
                line["account"],
                parse_amount(line["debit"], entry["scale"]) if "debit" in line else 0,
                parse_amount(line["credit"], entry["scale"]) if "credit" in line else 0,
            )
            for line in entry["lines"]
        )
    )


def change_members(
    settled: Instruction, checked: CheckedChange, approval_hashes: Sequence[bytes]
) -> dict[str, Any]:
    """Return what the event of a change says beside what every event does, its entry included."""
    entry = checked.entry
    posted = {}
    if entry is not None:
        assert settled.value_date is not None, "it comes with settling"
        posted = {**entry.told, "value_date": settled.value_date.isoformat()}
    return {
        "approvals": [one.hex() for one in approval_hashes],
        "instruction_id": settled.id,
        "operation": checked.operation,
        "payload_hash": hashlib.sha256(canonical_json(checked.payload)).hexdigest(),
        "principal_id": settled.principal_id,
        "request_hash": settled.request_hash.hex(),
        "subject_id": checked.subject_id,
        **checked.members,
        **posted,
    }


def applied_change(
    clock: Clock,
    issuer_id: str,
    plan: Plan,
    settled: Instruction,
    checked: CheckedChange,
    event_index: int,
) -> Applied:
    """Return a change whose event is drafted, as its room carries it out."""
    assert settled.settled_at is not None, "what is not settled is not carried out"
    return Applied(
        clock,
        issuer_id,
        checked.subject_id,
        checked.payload,
        settled.principal_id,
        plan.approval_hashes,
        event_index,
        settled.settled_at,
        settled.id,
        checked.members,
        checked.entry,
    )


def _postings(facts: Facts, checked: CheckedChange) -> tuple[Posting, ...]:
    if checked.entry is None:
        return ()
    facts.book.check(checked.entry.postings)
    return checked.entry.postings


def _checked(facts: Facts, asked_by: str) -> CheckedChange:
    checked = facts.changes[asked_by]
    if isinstance(checked, DomainError):
        raise checked
    return checked
