"""`/v1/redemptions`: tokens back into the deposit they stand for, at par."""

from typing import Any

from fastapi import APIRouter, Response

from tallystick.api.access import AnyCaller
from tallystick.api.bodies import Amount, Currency, ObjectId, Reference, Schema
from tallystick.api.instructions import show_instruction, show_instructions
from tallystick.api.money import money_route
from tallystick.api.pages import Cursor, IdQuery, Limit, PathId
from tallystick.api.views import ListView, RedemptionView
from tallystick.participants import Role
from tallystick.tokens import Kind

__all__ = ["router"]

router = APIRouter()


class RedemptionRequest(Schema):
    """Give tokens back; the same amount becomes the holder's deposit again."""

    account_id: ObjectId
    amount: Amount
    currency: Currency
    reference: Reference | None = None


money_route(
    router,
    "/v1/redemptions",
    kind=Kind.REDEMPTION,
    schema=RedemptionRequest,
    view=RedemptionView,
    roles=frozenset({Role.PLATFORM, Role.HOLDER, Role.TREASURY_MAKER}),
    fields=lambda body, _path: {
        "payer_account_id": body.account_id,
        "amount": body.amount,
        "currency": body.currency,
        "reference": body.reference,
    },
    summary="Redeem tokens",
    tag="Redemptions",
)


@router.get(
    "/v1/redemptions",
    tags=["Redemptions"],
    summary="List redemptions",
    response_model=ListView[RedemptionView],
    response_model_exclude_unset=True,
)
def get_redemptions(
    caller: AnyCaller,
    account_id: IdQuery = None,
    cursor: Cursor = "",
    limit: Limit = 100,
) -> Any:
    """Return redemptions, oldest first."""
    return show_instructions(
        caller, Kind.REDEMPTION, state=None, account_id=account_id, cursor=cursor, limit=limit
    )


@router.get(
    "/v1/redemptions/{redemption_id}",
    tags=["Redemptions"],
    summary="Get a redemption",
    response_model=RedemptionView,
)
def get_redemption(caller: AnyCaller, redemption_id: PathId) -> Response:
    """Return one redemption with its signed event."""
    return show_instruction(caller, Kind.REDEMPTION, redemption_id)
