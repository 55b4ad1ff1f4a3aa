"""What one act does to an account's orders, decided before it is posted and written. Pure; amounts are minor units.

The write path posts a step's `moved_minor` and has it recorded in the same transaction. `of_account` are the account's
orders as they stand under its lock, those before it in the same batch included; ended ones may be left out.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from tallystick.core.errors import ConflictError
from tallystick.orders.records import ActionKind, Order, OrderState
from tallystick.orders.rules import Taken, check_active, check_order, distribute, end, seize

__all__ = ["Noted", "OrderNothingToTakeError", "Step", "ending", "placing", "seizing", "topping_up"]

_ONE_MOMENT: Final = timedelta(microseconds=1)


class OrderNothingToTakeError(ConflictError):
    """The account's orders have what they ask for, or nothing has come in since."""

    code = "order_nothing_to_take"
    title = "There is nothing to take for the account's orders"


class Noted(NamedTuple):
    """One action to be recorded under an order."""

    order: Order
    action: ActionKind
    amount_minor: int


class Step(NamedTuple):
    """What one act does: to the `order` that it names, and to others of the same account.

    `changed` are all of them as they stand afterwards; `is_new` says that `order` was not there before.
    """

    order: Order
    changed: tuple[Order, ...]
    noted: tuple[Noted, ...]
    moved_minor: int
    is_new: bool = False


def placing(new: Order, of_account: Sequence[Order], available_minor: int, now: datetime) -> Step:
    """Return what putting an order into force takes of the available balance, after those before it: 2110 to 2130.

    Raises OrderMalformedError.
    """
    check_order(new, now)
    # Orders are served in the order in which they were placed, and this is what tells it: no two of an account, in one
    # batch or under a clock that was set back, may have the same moment.
    latest = max((one.created_at for one in of_account), default=None)
    if latest is not None and new.created_at <= latest:
        new = replace(new, created_at=latest + _ONE_MOMENT)
    taken = distribute([*of_account, new], available_minor, now)
    own = next((one for one in taken if one.order.id == new.id), Taken(new, 0))
    others = [one for one in taken if one.order.id != new.id]
    return Step(
        own.order,
        (own.order, *(one.order for one in others)),
        (
            Noted(own.order, ActionKind.PLACED, own.taken_minor),
            *(Noted(one.order, ActionKind.TOPPED_UP, one.taken_minor) for one in others),
        ),
        sum(one.taken_minor for one in taken),
        is_new=True,
    )


def topping_up(order: Order, of_account: Iterable[Order], available_minor: int, now: datetime) -> Step:
    """Return what the account's orders that have less than they ask for take of what has come in: 2110 to 2130.

    `order` is the one that it was asked for; those placed before it are served before it.
    Raises OrderStateConflictError, OrderNothingToTakeError.
    """
    check_active(order, now)
    taken = distribute(of_account, available_minor, now)
    if not taken:
        raise OrderNothingToTakeError
    return Step(
        next((one.order for one in taken if one.order.id == order.id), order),
        tuple(one.order for one in taken),
        tuple(Noted(one.order, ActionKind.TOPPED_UP, one.taken_minor) for one in taken),
        sum(one.taken_minor for one in taken),
    )


def ending(order: Order, of_account: Iterable[Order], state: OrderState, now: datetime) -> Step:
    """Return what an order that is `lifted` or `expired` gives back, after it passed on what others lack: 2130 to 2110.

    Raises OrderStateConflictError, and OrderNotExpiredError for an expiry before its time.
    """
    ended, returned_minor, passed_on = end(order, of_account, state, now)
    action = ActionKind.LIFTED if state == OrderState.LIFTED else ActionKind.EXPIRED
    return Step(
        ended,
        (ended, *(one.order for one in passed_on)),
        (
            Noted(ended, action, returned_minor),
            *(Noted(one.order, ActionKind.RECEIVED, one.taken_minor) for one in passed_on),
        ),
        returned_minor,
    )


def seizing(order: Order, amount_minor: int, now: datetime) -> Step:
    """Return what executing a court order by this amount leaves of it: 2130 to 2310.

    Raises OrderStateConflictError, SeizureWithoutCourtOrderError, OrderMalformedError, SeizureExceedsRestrictedError.
    """
    seized = seize(order, amount_minor, now)
    return Step(seized, (seized,), (Noted(seized, ActionKind.SEIZED, amount_minor),), amount_minor)
