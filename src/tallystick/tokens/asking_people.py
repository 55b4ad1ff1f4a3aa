"""What waits for other people, as it is put before them, and what one of them is answered."""

from typing import Any

from sqlalchemy import Connection

from tallystick import approvals
from tallystick.approvals import Approval, Vote
from tallystick.core.clock import format_time
from tallystick.tokens.instructions import Instruction, Request
from tallystick.tokens.plans import Plan
from tallystick.tokens.render import order_resource, resource
from tallystick.tokens.settler import Settler

__all__ = ["ask_for_approval", "decided", "told"]


def decided(issuer_id: str, approval: Approval, vote: Vote, state: str, plan: Plan) -> dict[str, Any]:
    """Return one person's decision, and the instruction as it brought it about, as JSON."""
    return {
        "id": approval.id,
        "object": "approval",
        "state": state,
        "operation": approval.operation,
        "decision": vote.decision,
        "person": vote.person,
        "decided_at": format_time(vote.decided_at),
        "hash": vote.hash.hex(),
        "instruction": resource(issuer_id, plan.answers_with, plan.currency, plan.scale) | _entry_of(plan),
    }


def ask_for_approval(
    connection: Connection, settler: Settler, issuer_id: str, request: Request, plan: Plan
) -> None:
    """Write the approval that a new instruction waits for."""
    asked = plan.answers_with
    approvals.request(
        connection,
        issuer_id=issuer_id,
        operation=asked.kind,
        subject_id=asked.id,
        request_hash=asked.request_hash,
        amount_minor=asked.amount_minor or None,
        currency=plan.currency if asked.amount_minor else None,
        scale=plan.scale if asked.amount_minor else None,
        maker_principal_id=request.principal.id,
        maker_person=request.principal.person or "",
        created_at=asked.created_at,
        lifetime=settler.approval_lifetime,
        quorum=plan.quorum,
        details=plan.details,
    )


def told(issuer_id: str, plan: Plan, shown: Instruction) -> dict[str, Any]:
    """Return what a request is answered with."""
    if plan.step is not None and plan.step.is_new:
        # What people ask about an order later is what its own record says, so that is what is answered.
        return order_resource(plan.step.order, shown, plan.currency, plan.scale)
    said = resource(issuer_id, shown, plan.currency, plan.scale) | _entry_of(plan)
    if plan.payout is not None:
        # Whom it pays stays out of what is kept for ever; these two name nobody.
        said |= {"uetr": plan.payout.uetr, "end_to_end_id": plan.payout.end_to_end_id}
    return said


def _entry_of(plan: Plan) -> dict[str, Any]:
    """Return the journal entry that a change posts, or will once people have approved it."""
    if plan.change is not None and plan.change.entry is not None:
        return {"entry": plan.change.entry.told}
    return {"entry": plan.details["entry"]} if plan.details and "entry" in plan.details else {}
