"""What an order restricts, blocks, gives back and may take. Pure; amounts are minor units.

* An order for the **whole account** that binds debits takes all that is available into 2130 and blocks every further
  debit; one that binds credits blocks every credit.
* An order for an **amount** binds debits. It takes what is available, up to the amount; the remainder stays usable. As
  long as it has less than its amount, it blocks every debit, so that no later credit can leave past it; what came in
  meanwhile is taken by a *top-up*. No credit is redirected on its way: that would be a second entry in its event.
* **Several orders** on one account are served in the order in which they were placed. Nothing is held for two of them.
  Whatever is there to take, what one of them gives back included, goes first to those that have less than they ask for.
* **Expiry** ends what an order blocks at once, and moves nothing by itself: what it holds is given back by an
  instruction, as in a lift.
* **Seizure** takes what 2130 holds for a court order, and no more.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from tallystick.core.errors import ConflictError, InvariantError, MalformedError, NotFoundError
from tallystick.orders.records import Blocks, Order, OrderKind, OrderScope, OrderState

__all__ = [
    "Ending",
    "OrderMalformedError",
    "OrderNotExpiredError",
    "OrderNotFoundError",
    "OrderStateConflictError",
    "SeizureExceedsRestrictedError",
    "SeizureWithoutCourtOrderError",
    "Taken",
    "blocks_of",
    "check_active",
    "check_held",
    "check_order",
    "distribute",
    "end",
    "has_expired",
    "seize",
    "shortfall_minor",
]


class OrderNotFoundError(NotFoundError):
    """No such order of this issuer."""

    code = "order_not_found"
    title = "No such order"


class OrderMalformedError(MalformedError):
    """An amount, scope, authority or expiry of the order doesn't fit together with the rest."""

    code = "order_malformed"
    title = "The order's parts do not fit together"


class OrderStateConflictError(ConflictError):
    """The order was lifted, executed or has expired."""

    code = "order_state_conflict"
    title = "The order's state does not allow this"


class OrderNotExpiredError(ConflictError):
    """The order's time has not come: only two people can end it before."""

    code = "order_not_expired"
    title = "The order has not expired"


class SeizureWithoutCourtOrderError(ConflictError):
    """A freeze keeps; only a court order takes."""

    code = "seizure_without_court_order"
    title = "Only a court order can be executed by seizure"


class SeizureExceedsRestrictedError(ConflictError):
    """More was to be seized than is held for the order."""

    code = "seizure_exceeds_restricted"
    title = "A seizure can't exceed the restricted amount"


class Taken(NamedTuple):
    """An order with what it has now, and how much of that it took just now."""

    order: Order
    taken_minor: int


class Ending(NamedTuple):
    """What becomes of an order's money when it ends: given back to 2110, or passed on to other orders within 2130."""

    order: Order
    returned_minor: int
    passed_on: tuple[Taken, ...]


def check_order(order: Order, now: datetime) -> None:
    """Refuse an order that contradicts itself: OrderMalformedError."""
    if order.amount_minor is not None:
        if order.amount_minor <= 0:
            raise OrderMalformedError("An amount is more than nothing.")
        if order.scope != OrderScope.DEBIT:
            raise OrderMalformedError("An order for an amount binds debits; credits are blocked as a whole.")
    if order.kind == OrderKind.COURT_ORDER and not order.authority_reference:
        raise OrderMalformedError("A court order has the court's reference.")
    if not order.authority.strip() or not order.reason.strip():
        raise OrderMalformedError("An order names who ordered it, and why.")
    if order.expires_at is not None and order.expires_at <= now:
        raise OrderMalformedError("An order ends after it begins.")


def has_expired(order: Order, now: datetime) -> bool:
    """Tell whether an order's time is over; it then blocks nothing, whether or not it was ended in the books."""
    return order.expires_at is not None and order.expires_at <= now


def check_active(order: Order, now: datetime) -> None:
    """Refuse what only an order in force allows: OrderStateConflictError."""
    if order.state != OrderState.ACTIVE:
        raise OrderStateConflictError(f"It is {order.state}.")
    if has_expired(order, now):
        raise OrderStateConflictError("It has expired.")


def shortfall_minor(order: Order, now: datetime) -> int | None:
    """Return how much less an order has than it asks for: 0 if it asks for no more, None if it asks for everything."""
    if order.state != OrderState.ACTIVE or has_expired(order, now) or not order.binds_debits:
        return 0
    return None if order.amount_minor is None else order.amount_minor - order.restricted_minor


def distribute(orders: Iterable[Order], available_minor: int, now: datetime) -> list[Taken]:
    """Return the orders that take something of what is available, the one placed first before all, with how much.

    The same when one is placed, when they are topped up, and when another one ends.
    """
    found = []
    for order in sorted(orders, key=lambda one: (one.created_at, one.id)):
        short = shortfall_minor(order, now)
        taken_minor = available_minor if short is None else min(available_minor, short)
        if taken_minor:
            grown = replace(order, restricted_minor=order.restricted_minor + taken_minor)
            found.append(Taken(grown, taken_minor))
            available_minor -= taken_minor
    return found


def seize(order: Order, amount_minor: int, now: datetime) -> Order:
    """Return an order after a seizure of so much: 2130 to 2310.

    Raises OrderStateConflictError, SeizureWithoutCourtOrderError, OrderMalformedError, SeizureExceedsRestrictedError.
    """
    check_active(order, now)
    if order.kind != OrderKind.COURT_ORDER:
        raise SeizureWithoutCourtOrderError
    if amount_minor <= 0:
        raise OrderMalformedError("A seizure takes more than nothing.")
    if amount_minor > order.held_minor:
        raise SeizureExceedsRestrictedError
    seized_minor = order.seized_minor + amount_minor
    if seized_minor == order.amount_minor:
        return replace(order, seized_minor=seized_minor, state=OrderState.EXECUTED, ended_at=now)
    return replace(order, seized_minor=seized_minor)


def end(order: Order, others: Iterable[Order], state: OrderState, now: datetime) -> Ending:
    """Return an order that ends as `lifted` or `expired`, with where the money goes that is held for it.

    `others` are the account's orders. Those in force that have less than they ask for receive first; the rest is given
    back to the holder: 2130 to 2110.
    Raises OrderStateConflictError, and OrderNotExpiredError for an expiry before its time.
    """
    if order.state != OrderState.ACTIVE:
        raise OrderStateConflictError(f"It is {order.state}.")
    if state == OrderState.EXPIRED and not has_expired(order, now):
        raise OrderNotExpiredError
    ended = replace(order, state=state, ended_at=now)
    passed_on = distribute([one for one in others if one.id != order.id], order.held_minor, now)
    returned_minor = order.held_minor - sum(one.taken_minor for one in passed_on)
    return Ending(ended, returned_minor, tuple(passed_on))


def blocks_of(orders: Iterable[Order], now: datetime) -> Blocks:
    """Return what an account's orders block: the same as the database's own answer, `blocks`."""
    in_force = [one for one in orders if one.state == OrderState.ACTIVE and not has_expired(one, now)]
    return Blocks(
        debit_blocked=any(shortfall_minor(one, now) != 0 for one in in_force),
        credit_blocked=any(one.scope != OrderScope.DEBIT for one in in_force),
    )


def check_held(orders: Sequence[Order], restricted_balance_minor: int) -> None:
    """Raise InvariantError unless 2130 of the account is exactly what its orders hold."""
    if sum(one.held_minor for one in orders) != restricted_balance_minor:
        raise InvariantError("an account's restricted balance is not what its orders hold")
