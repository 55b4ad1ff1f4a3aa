"""`/v1/deposits` and `/v1/deposit-releases`: what the bank holds for a customer before it becomes tokens, and after."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from tallystick.api.access import AnyCaller, StaffCaller
from tallystick.api.bodies import Amount, Currency, Day, ObjectId, Reason, Reference, Schema
from tallystick.api.instructions import show_instruction, show_instructions
from tallystick.api.money import money_route
from tallystick.api.pages import Cursor, IdQuery, Limit, PathId
from tallystick.api.views import DepositView, ListView, ReleaseView
from tallystick.participants import Role
from tallystick.tokens import Kind

__all__ = ["router"]

router = APIRouter()

_MAKER = frozenset({Role.TREASURY_MAKER})


class DepositRequest(Schema):
    """Confirm a deposit that no statement shows yet. It waits for another person's approval."""

    account_id: ObjectId
    amount: Amount
    currency: Currency
    reason: Reason
    reference: Reference | None = None
    value_date: Day | None = None


class DepositAssignmentRequest(Schema):
    """Say whose an unassigned deposit is."""

    account_id: ObjectId
    reason: Reason


class DepositReleaseRequest(Schema):
    """Give a confirmed deposit that is not tokenised back to the core bank's books."""

    account_id: ObjectId
    amount: Amount
    currency: Currency
    reference: Reference | None = None


money_route(
    router,
    "/v1/deposits",
    kind=Kind.DEPOSIT,
    schema=DepositRequest,
    view=DepositView,
    roles=_MAKER,
    fields=lambda body, _path: {
        "payee_account_id": body.account_id,
        "amount": body.amount,
        "currency": body.currency,
        "reason": body.reason,
        "reference": body.reference,
        "value_date": body.value_date,
    },
    summary="Ask to confirm a deposit by hand",
    tag="Deposits",
    status=202,
)
money_route(
    router,
    "/v1/deposits/{deposit_id}/assign",
    kind=Kind.DEPOSIT_ASSIGNMENT,
    schema=DepositAssignmentRequest,
    view=DepositView,
    roles=_MAKER,
    fields=lambda body, path: {
        "related_id": path["deposit_id"],
        "payee_account_id": body.account_id,
        "reason": body.reason,
    },
    summary="Assign an unmatched deposit to an account",
    tag="Deposits",
)
money_route(
    router,
    "/v1/deposit-releases",
    kind=Kind.DEPOSIT_RELEASE,
    schema=DepositReleaseRequest,
    view=ReleaseView,
    roles=_MAKER,
    fields=lambda body, _path: {
        "payer_account_id": body.account_id,
        "amount": body.amount,
        "currency": body.currency,
        "reference": body.reference,
    },
    summary="Release a deposit to the core bank",
    tag="Deposits",
)


@router.get(
    "/v1/deposits",
    tags=["Deposits"],
    summary="List deposits",
    response_model=ListView[DepositView],
    response_model_exclude_unset=True,
)
def get_deposits(
    caller: AnyCaller,
    state: Annotated[str | None, Query(pattern="^(unassigned|pending_approval|settled|rejected)$")] = None,
    account_id: IdQuery = None,
    cursor: Cursor = "",
    limit: Limit = 100,
) -> Any:
    """Return deposits, oldest first; `state=unassigned` is the list that staff work off."""
    return show_instructions(
        caller, Kind.DEPOSIT, state=state, account_id=account_id, cursor=cursor, limit=limit
    )


@router.get(
    "/v1/deposits/{deposit_id}", tags=["Deposits"], summary="Get a deposit", response_model=DepositView
)
def get_deposit(caller: AnyCaller, deposit_id: PathId) -> Response:
    """Return one deposit with its signed event."""
    return show_instruction(caller, Kind.DEPOSIT, deposit_id)


@router.get(
    "/v1/deposit-releases",
    tags=["Deposits"],
    summary="List releases",
    response_model=ListView[ReleaseView],
    response_model_exclude_unset=True,
)
def get_deposit_releases(caller: StaffCaller, cursor: Cursor = "", limit: Limit = 100) -> Any:
    """Return releases, oldest first."""
    return show_instructions(
        caller, Kind.DEPOSIT_RELEASE, state=None, account_id=None, cursor=cursor, limit=limit
    )
