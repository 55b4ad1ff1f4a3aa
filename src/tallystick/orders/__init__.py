"""Freezes and court orders: what is held fast on an account, for whom, until when, and what people did with it.

This room keeps the orders and decides the amounts; the write path posts them in the same transaction: 2110 to 2130
when an order takes, 2130 to 2110 when one gives back, 2130 to 2310 when a court's is executed. The caller holds the
account's ledger rows, so that the balances it passes are the ones that it posts to.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection

from tallystick.core.clock import Clock
from tallystick.core.errors import InvariantError
from tallystick.core.pipeline import Asked, Pipeline
from tallystick.orders import rules, store
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
    Ending,
    OrderMalformedError,
    OrderNotExpiredError,
    OrderNotFoundError,
    OrderStateConflictError,
    SeizureExceedsRestrictedError,
    SeizureWithoutCourtOrderError,
    Taken,
    check_held,
)

__all__ = [
    "Action",
    "ActionKind",
    "Blocks",
    "Ending",
    "Order",
    "OrderKind",
    "OrderMalformedError",
    "OrderNotExpiredError",
    "OrderNotFoundError",
    "OrderScope",
    "OrderState",
    "OrderStateConflictError",
    "SeizureExceedsRestrictedError",
    "SeizureWithoutCourtOrderError",
    "Taken",
    "actions",
    "blocks",
    "check_held",
    "check_lift",
    "check_seizure",
    "expire",
    "expired_orders",
    "lift",
    "order",
    "orders",
    "orders_under_lock",
    "place",
    "seize",
    "top_up",
]


def place(
    connection: Connection, clock: Clock, new: Order, *, available_minor: int
) -> tuple[Order, tuple[Taken, ...]]:
    """Put an order into force; it takes what it may of the account's available balance, after those before it.

    `new` is active and has taken nothing yet. Returns it as it stands then, and every order that took something: the
    sum is to be posted from 2110 to 2130. Raises OrderMalformedError.
    """
    at = clock.now()
    rules.check_order(new, at)
    before = store.lock_orders_of(connection, new.issuer_id, new.account_id)
    store.insert_order(connection, new)
    taken = tuple(rules.distribute([*before, new], available_minor, at))
    own = next((one for one in taken if one.order.id == new.id), Taken(new, 0))
    placed = _Done(new.reason, new.created_by, (), at)
    _note(connection, new, ActionKind.PLACED, own.taken_minor, placed)
    for one in taken:
        store.update_order(connection, one.order)
        if one.order.id != new.id:
            _note(connection, one.order, ActionKind.TOPPED_UP, one.taken_minor, placed)
    return own.order, taken


def top_up(
    connection: Connection,
    clock: Clock,
    issuer_id: str,
    account_id: str,
    *,
    available_minor: int,
    done_by: str,
) -> tuple[Taken, ...]:
    """Let an account's orders that have less than they ask for take what has come in since.

    The sum is to be posted from 2110 to 2130; nothing is to be done where it is empty.
    """
    at = clock.now()
    of_account = store.lock_orders_of(connection, issuer_id, account_id)
    taken = tuple(rules.distribute(of_account, available_minor, at))
    for one in taken:
        store.update_order(connection, one.order)
        done = _Done("Credits came in.", done_by, (), at)
        _note(connection, one.order, ActionKind.TOPPED_UP, one.taken_minor, done)
    return taken


def check_lift(connection: Connection, clock: Clock, issuer_id: str, order_id: str) -> Ending:
    """Return what a lift would do now, to be shown to whoever is asked to consent; raises as `lift`, writes nothing."""
    found = order(connection, issuer_id, order_id)
    others = store.read_orders(
        connection,
        issuer_id,
        account_id=found.account_id,
        state=OrderState.ACTIVE,
        expired_at=None,
        after="",
        limit=_ORDERS_OF_ACCOUNT_MAX,
    )
    return rules.end(found, others, OrderState.LIFTED, clock.now())


def lift(
    connection: Connection,
    clock: Clock,
    issuer_id: str,
    order_id: str,
    *,
    reason: str,
    done_by: str,
    approvals: Sequence[str],
) -> Ending:
    """End an order before its time, and return what is to be posted from 2130 to 2110.

    `approvals` are the ids or hashes of other people's votes, which the caller has checked: without one this is an
    InvariantError. Raises OrderNotFoundError, OrderStateConflictError.
    """
    if not approvals:
        raise InvariantError("an order was to be lifted by one person alone")
    done = _Done(reason, done_by, tuple(approvals), clock.now())
    return _end(connection, issuer_id, order_id, OrderState.LIFTED, ActionKind.LIFTED, done)


def expire(connection: Connection, clock: Clock, issuer_id: str, order_id: str, *, done_by: str) -> Ending:
    """End an order whose time is over, and return what is to be posted from 2130 to 2110.

    Raises OrderNotFoundError, OrderStateConflictError, OrderNotExpiredError.
    """
    done = _Done("Its time is over.", done_by, (), clock.now())
    return _end(connection, issuer_id, order_id, OrderState.EXPIRED, ActionKind.EXPIRED, done)


def check_seizure(
    connection: Connection, clock: Clock, issuer_id: str, order_id: str, amount_minor: int
) -> Order:
    """Return an order as a seizure would leave it now; raises as `seize`, writes nothing."""
    return rules.seize(order(connection, issuer_id, order_id), amount_minor, clock.now())


def seize(
    connection: Connection,
    clock: Clock,
    issuer_id: str,
    order_id: str,
    amount_minor: int,
    *,
    reason: str,
    done_by: str,
    approvals: Sequence[str],
) -> Order:
    """Execute a court order, in part or in full; so much is to be posted from 2130 to 2310.

    `approvals` as for `lift`. Raises OrderNotFoundError, OrderStateConflictError, SeizureWithoutCourtOrderError,
    OrderMalformedError, SeizureExceedsRestrictedError.
    """
    if not approvals:
        raise InvariantError("an order was to be executed by one person alone")
    at = clock.now()
    found, _ = _locked(connection, issuer_id, order_id)
    seized = rules.seize(found, amount_minor, at)
    store.update_order(connection, seized)
    _note(connection, seized, ActionKind.SEIZED, amount_minor, _Done(reason, done_by, tuple(approvals), at))
    return seized


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
    """Return a page of orders in the order in which they were placed."""
    return store.read_orders(
        connection, issuer_id, account_id=account_id, state=state, expired_at=None, after=after, limit=limit
    )


def expired_orders(
    connection: Connection, issuer_id: str, now: datetime, *, after: str = "", limit: int = 100
) -> list[Order]:
    """Return a page of active orders whose time is over: they block nothing, and what they hold is to be given back."""
    return store.read_orders(
        connection,
        issuer_id,
        account_id=None,
        state=OrderState.ACTIVE,
        expired_at=now,
        after=after,
        limit=limit,
    )


def orders_under_lock(connection: Connection, issuer_id: str, account_id: str) -> list[Order]:
    """Lock all orders of an account until the transaction ends, in the order of their ids, and return them."""
    return store.lock_orders_of(connection, issuer_id, account_id)


def actions(connection: Connection, issuer_id: str, order_id: str) -> list[Action]:
    """Return what was done under an order, oldest first; raises OrderNotFoundError."""
    order(connection, issuer_id, order_id)
    return store.read_actions(connection, issuer_id, order_id)


_ORDERS_OF_ACCOUNT_MAX = 1_000


class _Done(NamedTuple):
    reason: str
    done_by: str
    approvals: tuple[str, ...]
    at: datetime


def _locked(connection: Connection, issuer_id: str, order_id: str) -> tuple[Order, list[Order]]:
    """Lock all orders of the account that an order is on; return it as it stands under the lock, and all of them."""
    account_id = order(connection, issuer_id, order_id).account_id
    of_account = store.lock_orders_of(connection, issuer_id, account_id)
    return next(one for one in of_account if one.id == order_id), of_account


def _end(
    connection: Connection,
    issuer_id: str,
    order_id: str,
    state: OrderState,
    kind: ActionKind,
    done: _Done,
) -> Ending:
    found, of_account = _locked(connection, issuer_id, order_id)
    ending = rules.end(found, of_account, state, done.at)
    # From here it must succeed.
    store.update_order(connection, ending.order)
    _note(connection, found, kind, ending.returned_minor, done)
    for one in ending.passed_on:
        store.update_order(connection, one.order)
        _note(connection, one.order, ActionKind.RECEIVED, one.taken_minor, done)
    return ending


def _note(connection: Connection, of: Order, kind: ActionKind, amount_minor: int, done: _Done) -> None:
    store.insert_action(
        connection,
        of,
        kind,
        amount_minor,
        reason=done.reason,
        done_by=done.done_by,
        approvals=done.approvals,
        done_at=done.at,
    )
