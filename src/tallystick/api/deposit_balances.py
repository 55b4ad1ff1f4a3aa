"""`/v1/deposit-balances`: what a core bank pushes between its statements, kept to be compared with the books."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import StringConstraints
from sqlalchemy import Connection

from tallystick import participants, statements
from tallystick.api.access import Caller, StaffCaller
from tallystick.api.bodies import Amount, Currency, Moment, ObjectId, Schema
from tallystick.api.pages import Cursor, IdQuery, Limit, PathId, page
from tallystick.api.views import ListView, View
from tallystick.api.writes import write_route
from tallystick.core.clock import format_time
from tallystick.core.money import format_amount
from tallystick.participants import Role
from tallystick.statements import DepositBalance, DepositBalanceKind, NewDepositBalance

__all__ = ["router"]

router = APIRouter()

Source = Annotated[str, StringConstraints(min_length=1, max_length=140)]


class DepositBalanceRequest(Schema):
    """A balance of the core bank as of a moment, or an amount that it holds. Nothing is confirmed by it.

    Of the token class's backing account, or of the deposit account behind `account_id`. `source_reference` is the
    core's own name for the figure: under one name there is one figure, whatever the Idempotency-Key.
    """

    token_class_id: ObjectId
    account_id: ObjectId | None = None
    kind: Literal["balance", "hold"]
    figure: Amount
    currency: Currency
    overdrawn: bool = False
    as_of: Moment
    source: Source
    source_reference: Source


class DepositBalanceView(View):
    """A figure as the core told it."""

    id: str
    object: str
    created_at: str
    issuer_id: str
    token_class_id: str
    account_id: str | None
    kind: Literal["balance", "hold"]
    figure: str
    currency: str
    overdrawn: bool
    as_of: str
    source: str
    source_reference: str
    recorded_by: str


def _record(
    caller: Caller, connection: Connection, body: DepositBalanceRequest, _scope: Mapping[str, str]
) -> dict[str, Any]:
    told = statements.record_deposit_balance(
        connection,
        caller.service.clock,
        caller.principal,
        NewDepositBalance(
            token_class_id=body.token_class_id,
            account_id=body.account_id,
            kind=DepositBalanceKind(body.kind),
            figure=body.figure,
            currency=body.currency,
            overdrawn=body.overdrawn,
            as_of=body.as_of,
            source=body.source,
            source_reference=body.source_reference,
        ),
    )
    return _show(connection, told)


write_route(
    router,
    "/v1/deposit-balances",
    operation="deposit_balance",
    schema=DepositBalanceRequest,
    view=DepositBalanceView,
    roles=frozenset({Role.TREASURY_MAKER}),
    make=_record,
    summary="Push a balance or a hold of the core bank",
    tag="Deposits",
)


@router.get(
    "/v1/deposit-balances",
    tags=["Deposits"],
    summary="List pushed balances and holds",
    response_model=ListView[DepositBalanceView],
)
def get_deposit_balances(
    caller: StaffCaller,
    token_class_id: IdQuery = None,
    account_id: IdQuery = None,
    cursor: Cursor = "",
    limit: Limit = 100,
) -> Any:
    """Return what the core pushed, in the order in which it came."""
    with caller.read() as connection:
        found = statements.deposit_balances(
            connection,
            caller.issuer_id,
            token_class_id=token_class_id,
            account_id=account_id,
            after=cursor,
            limit=limit + 1,
        )
        shown = {one.id: _show(connection, one) for one in found}
    return page(found, limit, lambda one: shown[one.id], lambda one: one.id)


@router.get(
    "/v1/deposit-balances/{deposit_balance_id}",
    tags=["Deposits"],
    summary="Get a pushed balance or hold",
    response_model=DepositBalanceView,
)
def get_deposit_balance(caller: StaffCaller, deposit_balance_id: PathId) -> Any:
    """Return one figure."""
    with caller.read() as connection:
        return _show(connection, statements.deposit_balance(connection, caller.issuer_id, deposit_balance_id))


def _show(connection: Connection, one: DepositBalance) -> dict[str, Any]:
    of_class = participants.token_class(connection, one.issuer_id, one.token_class_id)
    return {
        "id": one.id,
        "object": "deposit_balance",
        "created_at": format_time(one.recorded_at),
        "issuer_id": one.issuer_id,
        "token_class_id": one.token_class_id,
        "account_id": one.account_id,
        "kind": one.kind,
        "figure": format_amount(abs(one.amount_minor), of_class.scale),
        "currency": of_class.currency,
        "overdrawn": one.amount_minor < 0,
        "as_of": format_time(one.as_of),
        "source": one.source,
        "source_reference": one.source_reference,
        "recorded_by": one.recorded_by,
    }
