"""`/v1/holds`: tokens set aside for a payee, then paid out in parts or in full, or given back."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from tallystick.api.access import AnyCaller
from tallystick.api.bodies import Amount, Currency, Moment, ObjectId, Purpose, Reason, Reference, Schema
from tallystick.api.instructions import show_instruction, show_instructions
from tallystick.api.money import money_route
from tallystick.api.pages import Cursor, IdQuery, Limit, PathId
from tallystick.api.views import HoldMoveView, HoldView, ListView
from tallystick.participants import Role
from tallystick.tokens import Kind

__all__ = ["router"]

router = APIRouter()

_ROLES = frozenset({Role.PLATFORM, Role.HOLDER})


class HoldRequest(Schema):
    """Set tokens aside. After `expires_at` the hold can only be voided."""

    payer_account_id: ObjectId
    payee_account_id: ObjectId
    amount: Amount
    currency: Currency
    reference: Reference | None = None
    purpose: Purpose | None = None
    expires_at: Moment | None = None


class HoldExecutionRequest(Schema):
    """Pay part or all of what remains on hold to the payee."""

    amount: Amount
    currency: Currency
    reference: Reference | None = None


class HoldVoidRequest(Schema):
    """Give what remains on hold back to the payer."""

    reason: Reason


money_route(
    router,
    "/v1/holds",
    kind=Kind.HOLD,
    schema=HoldRequest,
    view=HoldView,
    roles=_ROLES,
    fields=lambda body, _path: {
        "payer_account_id": body.payer_account_id,
        "payee_account_id": body.payee_account_id,
        "amount": body.amount,
        "currency": body.currency,
        "reference": body.reference,
        "purpose": body.purpose,
        "expires_at": body.expires_at,
    },
    summary="Place a hold",
    tag="Holds",
)
money_route(
    router,
    "/v1/holds/{hold_id}/execute",
    kind=Kind.HOLD_EXECUTION,
    schema=HoldExecutionRequest,
    view=HoldMoveView,
    roles=_ROLES,
    fields=lambda body, path: {
        "related_id": path["hold_id"],
        "amount": body.amount,
        "currency": body.currency,
        "reference": body.reference,
    },
    summary="Execute a hold",
    tag="Holds",
)
money_route(
    router,
    "/v1/holds/{hold_id}/void",
    kind=Kind.HOLD_VOID,
    schema=HoldVoidRequest,
    view=HoldMoveView,
    roles=_ROLES,
    fields=lambda body, path: {"related_id": path["hold_id"], "reason": body.reason},
    summary="Void a hold",
    tag="Holds",
)


@router.get(
    "/v1/holds",
    tags=["Holds"],
    summary="List holds",
    response_model=ListView[HoldView],
    response_model_exclude_unset=True,
)
def get_holds(
    caller: AnyCaller,
    state: Annotated[str | None, Query(pattern="^(held|executed|voided)$")] = None,
    account_id: IdQuery = None,
    cursor: Cursor = "",
    limit: Limit = 100,
) -> Any:
    """Return holds, oldest first."""
    return show_instructions(
        caller, Kind.HOLD, state=state, account_id=account_id, cursor=cursor, limit=limit
    )


@router.get("/v1/holds/{hold_id}", tags=["Holds"], summary="Get a hold", response_model=HoldView)
def get_hold(caller: AnyCaller, hold_id: PathId) -> Response:
    """Return one hold with the signed event that placed it."""
    return show_instruction(caller, Kind.HOLD, hold_id)
