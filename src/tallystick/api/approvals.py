"""`/v1/approvals`: what waits for another person, shown with its effect, and that person's decision."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from tallystick import approvals, ledger, tokens
from tallystick.api.access import StaffCaller
from tallystick.api.bodies import Amount, Currency, Reason, Schema
from tallystick.api.money import money_route
from tallystick.api.pages import Cursor, Limit, PathId, page
from tallystick.api.views import ApprovalDecisionView, ListView, View
from tallystick.approvals import Approval, Vote
from tallystick.core.clock import format_time
from tallystick.core.money import format_amount
from tallystick.ledger import Code, ledger_account_id
from tallystick.participants import Role
from tallystick.tokens import Kind

__all__ = ["router"]

router = APIRouter()

_CHECKER = frozenset({Role.TREASURY_CHECKER})


class ApproveRequest(Schema):
    """Approve, typing amount and currency again; both are left out where there is no amount."""

    amount: Amount | None = None
    currency: Currency | None = None
    reason: Reason | None = None


class RejectRequest(Schema):
    """Reject, with the reason."""

    reason: Reason


class VoteView(View):
    """One person's decision."""

    person: str
    principal_id: str
    decision: str
    reason: str | None
    decided_at: str
    hash: str


class ApprovalView(View):
    """A request that waits, or waited, for other people."""

    id: str
    object: str
    created_at: str
    issuer_id: str
    operation: str
    subject_id: str
    request_hash: str
    amount: str | None
    currency: str | None
    maker: str
    maker_principal_id: str
    quorum: int
    state: str
    expires_at: str
    votes: list[VoteView]
    effect: dict[str, Any] | None = None


money_route(
    router,
    "/v1/approvals/{approval_id}/approve",
    kind=Kind.APPROVE,
    schema=ApproveRequest,
    view=ApprovalDecisionView,
    roles=_CHECKER,
    fields=lambda body, path: {
        "related_id": path["approval_id"],
        "amount": body.amount,
        "currency": body.currency,
        "reason": body.reason,
    },
    summary="Approve a request",
    tag="Approvals",
    status=200,
)
money_route(
    router,
    "/v1/approvals/{approval_id}/reject",
    kind=Kind.REJECT,
    schema=RejectRequest,
    view=ApprovalDecisionView,
    roles=_CHECKER,
    fields=lambda body, path: {"related_id": path["approval_id"], "reason": body.reason},
    summary="Reject a request",
    tag="Approvals",
    status=200,
)


@router.get(
    "/v1/approvals",
    tags=["Approvals"],
    summary="List approvals",
    response_model=ListView[ApprovalView],
    response_model_exclude_unset=True,
)
def get_approvals(
    caller: StaffCaller,
    state: Annotated[str | None, Query(pattern="^(pending|approved|rejected)$")] = None,
    cursor: Cursor = "",
    limit: Limit = 100,
) -> Any:
    """Return requests in the order they were made; `state=pending` is what waits."""
    with caller.read() as connection:
        found = approvals.approvals(connection, caller.issuer_id, state=state, after=cursor, limit=limit + 1)
        votes = approvals.votes(connection, caller.issuer_id, [one.id for one in found])
    return page(found, limit, lambda one: _show(one, votes.get(one.id, [])), lambda one: one.id)


@router.get(
    "/v1/approvals/{approval_id}", tags=["Approvals"], summary="Get an approval", response_model=ApprovalView
)
def get_approval(caller: StaffCaller, approval_id: PathId) -> Any:
    """Return one request with its votes and the effect that approving it would have now."""
    with caller.read() as connection:
        found = approvals.approval(connection, caller.issuer_id, approval_id)
        votes = approvals.votes(connection, caller.issuer_id, [found.id]).get(found.id, [])
        subject = tokens.instructions_by_id(connection, caller.issuer_id, [found.subject_id])[
            found.subject_id
        ]
        account_id = subject.payee_account_id or subject.payer_account_id or ""
        ids = {
            "deposits_available": ledger_account_id(Code.DEPOSITS_AVAILABLE, account_id),
            "tokens_available": ledger_account_id(Code.TOKENS_AVAILABLE, account_id),
        }
        balances = ledger.balances(connection, caller.issuer_id, list(ids.values()))
    shown = _show(found, votes)
    if found.scale is not None:
        before = {name: format_amount(balances[one], found.scale) for name, one in ids.items()}
        shown["effect"] = {"account_id": account_id, "before": before}
        if found.operation == Kind.MINT and found.amount_minor is not None:
            after = {
                "deposits_available": balances[ids["deposits_available"]] - found.amount_minor,
                "tokens_available": balances[ids["tokens_available"]] + found.amount_minor,
            }
            shown["effect"]["after"] = {name: format_amount(one, found.scale) for name, one in after.items()}
    return shown


def _show(found: Approval, votes: list[Vote]) -> dict[str, Any]:
    return {
        "id": found.id,
        "object": "approval",
        "created_at": format_time(found.created_at),
        "issuer_id": found.issuer_id,
        "operation": found.operation,
        "subject_id": found.subject_id,
        "request_hash": found.request_hash.hex(),
        "amount": found.amount,
        "currency": found.currency,
        "maker": found.maker_person,
        "maker_principal_id": found.maker_principal_id,
        "quorum": found.quorum,
        "state": found.state,
        "expires_at": format_time(found.expires_at),
        "votes": [
            {
                "person": vote.person,
                "principal_id": vote.principal_id,
                "decision": vote.decision,
                "reason": vote.reason,
                "decided_at": format_time(vote.decided_at),
                "hash": vote.hash.hex(),
            }
            for vote in votes
        ],
    }
