"""Deciding a change: its room has checked it under the lock, and people are asked where it makes the bank laxer."""

import hashlib
from collections.abc import Sequence
from typing import Any

from tallystick.core.canonical_json import canonical_json
from tallystick.core.errors import DomainError
from tallystick.tokens.changing import CheckedChange
from tallystick.tokens.expiring import SYSTEM_PRINCIPAL_ID
from tallystick.tokens.instructions import Instruction, Request, State
from tallystick.tokens.outlines import new_instruction, settled_now
from tallystick.tokens.plans import Facts, Plan
from tallystick.tokens.refusals import MakerNotAPersonError

__all__ = ["change", "change_members", "settle_change"]


def change(facts: Facts, request: Request) -> Plan:
    """Return the plan of a change that is asked for."""
    checked = _checked(facts, request.id)
    if request.principal.person is None and (checked.checkers or request.principal.id != SYSTEM_PRINCIPAL_ID):
        raise MakerNotAPersonError
    waiting = new_instruction(facts, request, None, 0, State.PENDING_APPROVAL)
    if checked.checkers == 0:
        settled = settled_now(facts, waiting)
        return Plan(settled, None, 0, settled=settled, added=settled, change=checked)
    details = {"operation": checked.operation, "payload": dict(checked.payload)}
    return Plan(waiting, None, 0, added=waiting, quorum=checked.checkers, details=details)


def settle_change(facts: Facts, subject: Instruction, approval_id: str) -> Plan:
    """Return the plan of a change that was approved: what held when it was asked for must still hold."""
    checked = _checked(facts, approval_id)
    settled = settled_now(facts, subject)
    return Plan(settled, None, 0, settled=settled, changed=(settled,), change=checked)


def change_members(
    settled: Instruction, checked: CheckedChange, approval_hashes: Sequence[bytes]
) -> dict[str, Any]:
    """Return what the event of a change says beside what every event does."""
    return {
        "approvals": [one.hex() for one in approval_hashes],
        "instruction_id": settled.id,
        "operation": checked.operation,
        "payload_hash": hashlib.sha256(canonical_json(checked.payload)).hexdigest(),
        "principal_id": settled.principal_id,
        "request_hash": settled.request_hash.hex(),
        "subject_id": checked.subject_id,
        **checked.members,
    }


def _checked(facts: Facts, asked_by: str) -> CheckedChange:
    checked = facts.changes[asked_by]
    if isinstance(checked, DomainError):
        raise checked
    return checked
