"""Freezes and court orders: what is held fast on an account, for whom, until when, and what people did with it.

This room decides the amounts and keeps the orders; the write path posts them in the same transaction: 2110 to 2130
when an order takes, 2130 to 2110 when one gives back, 2130 to 2310 when a court's is executed. It decides `Step`s in
memory, under the lock of the account's balances, and has them recorded once they are posted.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import Connection

from tallystick.core.errors import InvariantError
from tallystick.core.pipeline import Asked, Pipeline
from tallystick.orders import store
from tallystick.orders.records import (
    Action,
    ActionKind,
    Blocks,
    Order,
    OrderKind,
    OrderScope,
    OrderState,
)
from tallystick.orders.rules import (
    OrderMalformedError,
    OrderNotExpiredError,
    OrderNotFoundError,
    OrderStateConflictError,
    SeizureExceedsRestrictedError,
    SeizureWithoutCourtOrderError,
    blocks_of,
    check_held,
)
from tallystick.orders.steps import (
    OrderNothingToTakeError,
    Step,
    ending,
    placing,
    seizing,
    topping_up,
)

__all__ = [
    "Action",
    "ActionKind",
    "Blocks",
    "Order",
    "OrderKind",
    "OrderMalformedError",
    "OrderNotExpiredError",
    "OrderNotFoundError",
    "OrderNothingToTakeError",
    "OrderScope",
    "OrderState",
    "OrderStateConflictError",
    "SeizureExceedsRestrictedError",
    "SeizureWithoutCourtOrderError",
    "Step",
    "actions",
    "blocks",
    "blocks_of",
    "check_held",
    "ending",
    "expired_orders",
    "lock",
    "order",
    "orders",
    "placing",
    "record",
    "seizing",
    "topping_up",
]


def lock(
    pipeline: Pipeline, issuer_id: str, account_ids: Iterable[str], order_ids: Iterable[str]
) -> Asked[dict[str, dict[str, Order]]]:
    """Lock the active orders of these accounts, and those named, until the transaction ends; by account and by id.

    The caller has locked the accounts' balances before: whoever placed an order meanwhile held those.
    """
    return store.lock_orders(pipeline, issuer_id, account_ids, order_ids)


def record(
    connection: Connection,
    step: Step,
    *,
    reason: str,
    done_by: str,
    approvals: Sequence[str],
    done_at: datetime,
) -> None:
    """Write a step that was decided under the lock, in the transaction that posts it.

    `approvals` are the hashes of other people's votes. Without one, to lift or to seize is an InvariantError.
    """
    if not approvals and any(one.action in _NEEDS_OTHERS for one in step.noted):
        raise InvariantError("an order was to be lifted or executed by one person alone")
    if step.is_new:
        store.insert_order(connection, step.order)
    for changed in step.changed:
        if not (step.is_new and changed.id == step.order.id):
            store.update_order(connection, changed)
    for of, action, amount_minor in step.noted:
        store.insert_action(
            connection,
            of,
            action,
            amount_minor,
            reason=reason,
            done_by=done_by,
            approvals=approvals,
            done_at=done_at,
        )


def blocks(
    pipeline: Pipeline, issuer_id: str, account_ids: Iterable[str], now: datetime
) -> Asked[dict[str, Blocks]]:
    """Ask what orders in force block on these accounts, by id; accounts without any are left out."""
    return store.ask_blocks(pipeline, issuer_id, account_ids, now)


def order(connection: Connection, issuer_id: str, order_id: str) -> Order:
    """Return one order or raise OrderNotFoundError."""
    found = store.read_order(connection, issuer_id, order_id)
    if found is None:
        raise OrderNotFoundError
    return found


def orders(
    connection: Connection,
    issuer_id: str,
    *,
    account_id: str | None = None,
    state: str | None = None,
    after: str = "",
    limit: int = 100,
) -> list[Order]:
    """Return a page of orders in the order of their ids, which is about that in which they were placed."""
    return store.read_orders(
        connection, issuer_id, account_id=account_id, state=state, after=after, limit=limit
    )


def expired_orders(connection: Connection, issuer_id: str, now: datetime, *, limit: int = 100) -> list[Order]:
    """Return active orders whose time is over, the oldest first.

    They block nothing, and what they hold is to be given back.
    """
    return store.read_expired_orders(connection, issuer_id, now, limit)


def actions(connection: Connection, issuer_id: str, order_id: str) -> list[Action]:
    """Return what was done under an order, oldest first; raises OrderNotFoundError."""
    order(connection, issuer_id, order_id)
    return store.read_actions(connection, issuer_id, order_id)


_NEEDS_OTHERS = frozenset({ActionKind.LIFTED, ActionKind.SEIZED})
