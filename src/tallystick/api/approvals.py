"""`/v1/approvals`: what waits for another person, shown with its effect, and that person's decision."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from sqlalchemy import Connection

from tallystick import approvals, participants, tokens
from tallystick.api.access import StaffCaller
from tallystick.api.bodies import Amount, Currency, Reason, Schema
from tallystick.api.effects import effect_of, headroom_of, request_of
from tallystick.api.instructions import shown_instructions
from tallystick.api.money import money_route
from tallystick.api.pages import Cursor, Limit, PathId, page
from tallystick.api.views import ApprovalDecisionView, ListView, View
from tallystick.approvals import Approval, Vote
from tallystick.core.clock import format_time
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


class EffectView(View):
    """What approving would do to one ledger account."""

    ledger_account_id: str
    before: str
    after: str


class HeadroomView(View):
    """What a mint would leave: below zero it would be refused, null is no limit."""

    deposits_available_after: str
    supply_cap_after: str | None
    issuance_day_after: str | None
    minter_allowance_after: str | None
    policy_version: str


class ChangeRequestView(View):
    """What a change asks for; a policy's activation with what it changes of the rules in force (RFC 6901 pointers)."""

    operation: str
    subject_id: str
    reason: str | None
    payload: dict[str, Any]
    entry: dict[str, Any] | None = None
    compared_with: str | None = None
    differences: list[dict[str, Any]] | None = None
    differences_omitted_count: int | None = None


class ApprovalView(View):
    """A request that waits, or waited, for other people.

    Effect, headroom, request and the time left are told of one at a time.
    """

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
    expires_in_seconds: int | None = None
    votes: list[VoteView]
    waits_for: list[str]
    instruction: dict[str, Any]
    details: dict[str, Any] | None
    effect: list[EffectView] | None = None
    headroom: HeadroomView | None = None
    request: ChangeRequestView | None = None


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
    state: Annotated[str | None, Query(pattern="^(pending|approved|rejected|expired)$")] = None,
    operation: Annotated[str | None, Query(pattern="^[a-z_]{1,40}$")] = None,
    mine: Annotated[bool, Query(description="Only what waits for the caller's own decision.")] = False,
    cursor: Cursor = "",
    limit: Limit = 100,
) -> Any:
    """Return requests in the order they were made; `state=pending` is what waits, and `waits_for` names for whom."""
    person = caller.principal.person
    with caller.read() as connection:
        checkers = _checkers(connection, caller.issuer_id)
        # Nothing waits for a machine, nor for people who may not decide.
        nothing = mine and person not in checkers
        found = (
            []
            if nothing
            else approvals.approvals(
                connection,
                caller.issuer_id,
                state=state,
                operation=operation,
                waits_for=person if mine else None,
                after=cursor,
                limit=limit + 1,
            )
        )
        votes = approvals.votes(connection, caller.issuer_id, [one.id for one in found])
        asked = _instructions(connection, caller.issuer_id, [one.subject_id for one in found])
    return page(
        found,
        limit,
        lambda one: _show(one, votes.get(one.id, []), checkers) | {"instruction": asked[one.subject_id]},
        lambda one: one.id,
    )


@router.get(
    "/v1/approvals/{approval_id}", tags=["Approvals"], summary="Get an approval", response_model=ApprovalView
)
def get_approval(caller: StaffCaller, approval_id: PathId) -> Any:
    """Return one request with its votes, what it asks for, and the effect that approving it would have now."""
    at, issuer_id = caller.service.clock.now(), caller.issuer_id
    with caller.read() as connection:
        found = approvals.approval(connection, issuer_id, approval_id)
        votes = approvals.votes(connection, issuer_id, [found.id]).get(found.id, [])
        subject = tokens.instructions_by_id(connection, issuer_id, [found.subject_id])[found.subject_id]
        shown = _show(found, votes, _checkers(connection, issuer_id))
        shown["expires_in_seconds"] = _seconds_left(found, at)
        [shown["instruction"]] = shown_instructions(connection, issuer_id, [subject])
        if found.state == "pending":
            if found.scale is not None:
                shown["effect"] = effect_of(
                    connection, issuer_id, tokens.postings_of(subject, found), found.scale
                )
            if subject.kind == Kind.MINT:
                shown["headroom"] = headroom_of(connection, subject, at, issuer_id)
            shown["request"] = request_of(connection, found, subject, at)
    return shown


def _instructions(connection: Connection, issuer_id: str, ids: list[str]) -> dict[str, dict[str, Any]]:
    found = tokens.instructions_by_id(connection, issuer_id, ids)
    return {one["id"]: one for one in shown_instructions(connection, issuer_id, list(found.values()))}


def _checkers(connection: Connection, issuer_id: str) -> list[str]:
    """Return everybody who may decide, by name."""
    return sorted(
        {
            one.person
            for one in participants.principals(connection, issuer_id)
            if one.person is not None and one.status == "active" and Role.TREASURY_CHECKER in one.roles
        }
    )


def _show(found: Approval, votes: list[Vote], checkers: list[str]) -> dict[str, Any]:
    voted = {vote.person for vote in votes}
    waits_for = [one for one in checkers if one not in voted and one != found.maker_person]
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
        "waits_for": waits_for if found.state == "pending" else [],
        "details": _details(found),
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


def _seconds_left(found: Approval, at: datetime) -> int | None:
    """Return how long it can still be decided, in whole seconds; None where it is decided."""
    if found.state != "pending":
        return None
    return max(int((found.expires_at - at).total_seconds()), 0)


def _details(found: Approval) -> dict[str, Any] | None:
    """Return what is kept of the request beside its hash; a batch's items as they were sent, without its own keys."""
    if found.details is None:
        return None
    return {name: value for name, value in found.details.items() if name != "key_digests"}
