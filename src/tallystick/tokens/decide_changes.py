"""Deciding a change: its room has checked it under the lock, and people are asked where it makes the bank laxer."""

from tallystick.core.errors import DomainError
from tallystick.tokens.changing import CheckedChange
from tallystick.tokens.instructions import Instruction, Request, State
from tallystick.tokens.outlines import new_instruction, settled_now
from tallystick.tokens.plans import Facts, Plan
from tallystick.tokens.refusals import MakerNotAPersonError

__all__ = ["change", "settle_change"]


def change(facts: Facts, request: Request) -> Plan:
    """Return the plan of a change that is asked for."""
    checked = _checked(facts, request.id)
    if request.principal.person is None and not checked.change.machines_may_ask:
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


def _checked(facts: Facts, asked_by: str) -> CheckedChange:
    checked = facts.changes[asked_by]
    if isinstance(checked, DomainError):
        raise checked
    return checked
