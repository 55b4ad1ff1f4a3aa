"""`/v1/reversals`: undoing a transfer by a new entry that names it, asked for by one person, approved by another."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from tallystick.api.access import AnyCaller
from tallystick.api.bodies import Amount, Currency, ObjectId, Reason, Schema
from tallystick.api.instructions import show_instruction, show_instructions
from tallystick.api.money import money_route
from tallystick.api.pages import Cursor, Limit, PathId
from tallystick.api.views import ListView, ReversalView
from tallystick.participants import Role
from tallystick.tokens import Kind

__all__ = ["router"]

router = APIRouter()


class ReversalRequest(Schema):
    """Give part or all of a settled transfer back, as far as the payee still has it."""

    transfer_id: ObjectId
    amount: Amount
    currency: Currency
    reason: Reason


money_route(
    router,
    "/v1/reversals",
    kind=Kind.REVERSAL,
    schema=ReversalRequest,
    view=ReversalView,
    roles=frozenset({Role.TREASURY_MAKER}),
    fields=lambda body, _path: {
        "related_id": body.transfer_id,
        "amount": body.amount,
        "currency": body.currency,
        "reason": body.reason,
    },
    summary="Ask for a reversal",
    tag="Reversals",
    status=202,
)


@router.get(
    "/v1/reversals",
    tags=["Reversals"],
    summary="List reversals",
    response_model=ListView[ReversalView],
    response_model_exclude_unset=True,
)
def get_reversals(
    caller: AnyCaller,
    state: Annotated[str | None, Query(pattern="^(pending_approval|settled|rejected)$")] = None,
    cursor: Cursor = "",
    limit: Limit = 100,
) -> Any:
    """Return reversals, oldest first."""
    return show_instructions(caller, Kind.REVERSAL, state=state, account_id=None, cursor=cursor, limit=limit)


@router.get(
    "/v1/reversals/{reversal_id}", tags=["Reversals"], summary="Get a reversal", response_model=ReversalView
)
def get_reversal(caller: AnyCaller, reversal_id: PathId) -> Response:
    """Return one reversal with its signed event once it is settled."""
    return show_instruction(caller, Kind.REVERSAL, reversal_id)
