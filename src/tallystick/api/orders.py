"""`/v1/orders`: freezes and court orders on accounts, for the bank's own people and its auditors."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Self

from fastapi import APIRouter, Query
from pydantic import StringConstraints, model_validator
from sqlalchemy import Connection

from tallystick import events, orders, participants, tokens
from tallystick.api.access import StaffCaller
from tallystick.api.bodies import Amount, Currency, Moment, ObjectId, Reason, Reference, Schema
from tallystick.api.money import Fields, money_route
from tallystick.api.pages import Cursor, IdQuery, Limit, PathId, page
from tallystick.api.views import ListView, OrderMoveView, OrderView, RecordedOrderView
from tallystick.core.clock import format_time
from tallystick.core.money import format_amount
from tallystick.core.pipeline import pipelined
from tallystick.orders import Action, Order
from tallystick.participants import AccountFacts, Role
from tallystick.tokens import Kind

__all__ = ["router"]

router = APIRouter()

_STAFF: Final = frozenset({Role.TREASURY_MAKER, Role.OPERATOR})
Authority = Annotated[str, StringConstraints(min_length=1, max_length=140)]


class OrderRequest(Schema):
    """Restrict an account for an authority: for an amount, or as a whole where `amount` and `currency` are left out."""

    account_id: ObjectId
    kind: Annotated[str, StringConstraints(pattern="^(freeze|court_order)$")]
    scope: Annotated[str, StringConstraints(pattern="^(debit|credit|both)$")]
    amount: Amount | None = None
    currency: Currency | None = None
    authority: Authority
    authority_reference: Reference | None = None
    reason: Reason
    expires_at: Moment | None = None

    @model_validator(mode="after")
    def _whole_or_amount(self) -> Self:
        # So that an amount whose currency was forgotten freezes no whole account, nor the other way round.
        if (self.amount is None) != (self.currency is None):
            raise ValueError("give amount and currency, or neither")
        return self


class OrderActRequest(Schema):
    """Why an order is topped up or lifted."""

    reason: Reason


class SeizureRequest(Schema):
    """How much of what is held for a court's order is taken for it, and why."""

    amount: Amount
    currency: Currency
    reason: Reason


def _placed(body: OrderRequest, _path: Mapping[str, str]) -> Fields:
    return {
        "payer_account_id": body.account_id,
        "amount": body.amount,
        "currency": body.currency,
        "reference": body.authority_reference,
        "reason": body.reason,
        "expires_at": body.expires_at,
        "payload": {"kind": body.kind, "scope": body.scope, "authority": body.authority},
    }


money_route(
    router,
    "/v1/orders",
    kind=Kind.ORDER,
    schema=OrderRequest,
    view=OrderView,
    roles=_STAFF,
    fields=_placed,
    summary="Place a freeze or court order",
    tag="Orders",
)
for _action, _kind, _summary, _status in (
    ("top-up", Kind.ORDER_TOP_UP, "Let an account's orders take what has come in", 201),
    ("lift", Kind.ORDER_LIFT, "Ask to lift an order", 202),
):
    money_route(
        router,
        f"/v1/orders/{{order_id}}/{_action}",
        kind=_kind,
        schema=OrderActRequest,
        view=OrderMoveView,
        roles=_STAFF,
        fields=lambda body, path: {"related_id": path["order_id"], "reason": body.reason},
        summary=_summary,
        tag="Orders",
        status=_status,
    )
money_route(
    router,
    "/v1/orders/{order_id}/seize",
    kind=Kind.ORDER_SEIZURE,
    schema=SeizureRequest,
    view=OrderMoveView,
    roles=_STAFF,
    fields=lambda body, path: {
        "related_id": path["order_id"],
        "amount": body.amount,
        "currency": body.currency,
        "reason": body.reason,
    },
    summary="Ask to execute a court order",
    tag="Orders",
    status=202,
)


@router.get(
    "/v1/orders",
    tags=["Orders"],
    summary="List orders",
    response_model=ListView[OrderView],
    response_model_exclude_unset=True,
)
def get_orders(
    caller: StaffCaller,
    account_id: IdQuery = None,
    state: Annotated[str | None, Query(pattern="^(active|lifted|expired|executed)$")] = None,
    cursor: Cursor = "",
    limit: Limit = 100,
) -> Any:
    """Return orders as they stand, oldest first."""
    with caller.read() as connection:
        if account_id is not None:
            participants.account(connection, caller.principal, account_id)
        found = orders.orders(
            connection, caller.issuer_id, account_id=account_id, state=state, after=cursor, limit=limit + 1
        )
        shown = {one["id"]: one for one in _shown(connection, caller.issuer_id, found)}
    return page(found, limit, lambda one: shown[one.id], lambda one: one.id)


@router.get(
    "/v1/orders/{order_id}", tags=["Orders"], summary="Get an order", response_model=RecordedOrderView
)
def get_order(caller: StaffCaller, order_id: PathId) -> Any:
    """Return one order as it stands, all that was done under it, and the signed event that placed it."""
    with caller.read() as connection:
        found = orders.order(connection, caller.issuer_id, order_id)
        of_account = _accounts(connection, caller.issuer_id, [found])[found.account_id]
        [shown] = _shown(connection, caller.issuer_id, [found])
        done = orders.actions(connection, caller.issuer_id, order_id)
        placed = events.event_by_index(connection, caller.issuer_id, shown["event_index"])
    return shown | {
        "actions": [_show_action(one, of_account.scale) for one in done],
        "signed_event": placed.jws,
    }


def _shown(connection: Connection, issuer_id: str, found: list[Order]) -> list[dict[str, Any]]:
    accounts = _accounts(connection, issuer_id, found)
    placed = tokens.instructions_by_id(connection, issuer_id, [one.id for one in found])
    return [
        tokens.order_resource(
            one, placed[one.id], accounts[one.account_id].currency, accounts[one.account_id].scale
        )
        for one in found
    ]


def _accounts(connection: Connection, issuer_id: str, found: list[Order]) -> dict[str, AccountFacts]:
    with pipelined(connection) as pipeline:
        asked = participants.account_facts(pipeline, issuer_id, {one.account_id for one in found})
    return asked.result()


def _show_action(one: Action, scale: int) -> dict[str, Any]:
    return {
        "number": one.number,
        "action": one.action,
        "amount": format_amount(one.amount_minor, scale),
        "reason": one.reason,
        "done_by": one.done_by,
        "approvals": list(one.approvals),
        "done_at": format_time(one.done_at),
    }
