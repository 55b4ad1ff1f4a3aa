"""`/v1/mints`: tokens from confirmed deposits, asked for by one person and approved by another."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from tallystick.api.access import AnyCaller
from tallystick.api.bodies import Amount, Currency, ObjectId, Reference, Schema
from tallystick.api.instructions import show_instruction, show_instructions
from tallystick.api.money import money_route
from tallystick.api.pages import Cursor, IdQuery, Limit, PathId
from tallystick.api.views import ListView, MintView
from tallystick.participants import Role
from tallystick.tokens import Kind

__all__ = ["router"]

router = APIRouter()


class MintRequest(Schema):
    """Make tokens of an account's confirmed deposits. No amount is ever filled in for you."""

    account_id: ObjectId
    amount: Amount
    currency: Currency
    reference: Reference | None = None


money_route(
    router,
    "/v1/mints",
    kind=Kind.MINT,
    schema=MintRequest,
    view=MintView,
    roles=frozenset({Role.TREASURY_MAKER}),
    fields=lambda body, _path: {
        "payee_account_id": body.account_id,
        "amount": body.amount,
        "currency": body.currency,
        "reference": body.reference,
    },
    summary="Ask for a mint",
    tag="Mints",
    status=202,
)


@router.get(
    "/v1/mints",
    tags=["Mints"],
    summary="List mints",
    response_model=ListView[MintView],
    response_model_exclude_unset=True,
)
def get_mints(
    caller: AnyCaller,
    state: Annotated[str | None, Query(pattern="^(pending_approval|settled|rejected)$")] = None,
    account_id: IdQuery = None,
    cursor: Cursor = "",
    limit: Limit = 100,
) -> Any:
    """Return mints, oldest first."""
    return show_instructions(
        caller, Kind.MINT, state=state, account_id=account_id, cursor=cursor, limit=limit
    )


@router.get("/v1/mints/{mint_id}", tags=["Mints"], summary="Get a mint", response_model=MintView)
def get_mint(caller: AnyCaller, mint_id: PathId) -> Response:
    """Return one mint with its signed event once it is settled."""
    return show_instruction(caller, Kind.MINT, mint_id)
