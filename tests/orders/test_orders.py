"""Orders in the database: kept, locked, noted, and asked for as the write path does."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

import psycopg
import pytest
from sqlalchemy import Connection

from tallystick import orders
from tallystick.core.errors import InvariantError
from tallystick.core.ids import new_id
from tallystick.core.pipeline import pipelined
from tallystick.orders import (
    Blocks,
    Order,
    OrderKind,
    OrderMalformedError,
    OrderNotFoundError,
    OrderNothingToTakeError,
    OrderScope,
    OrderState,
    SeizureExceedsRestrictedError,
    Step,
    rules,
)
from tests.bank import Bank
from tests.database import connect

Result = TypeVar("Result")
OF_ACCOUNT = "LANTERN-USD"


def new_order(bank: Bank, account: str = OF_ACCOUNT, **changed: Any) -> Order:
    asked: dict[str, Any] = {
        "issuer_id": bank.issuer_id,
        "id": new_id("order"),
        "account_id": bank.account_id(account),
        "kind": OrderKind.COURT_ORDER,
        "scope": OrderScope.DEBIT,
        "amount_minor": 1_000,
        "restricted_minor": 0,
        "seized_minor": 0,
        "authority": "Local court of Nowhere",
        "authority_reference": "7 M 11/26",
        "reason": "Attachment",
        "expires_at": None,
        "state": OrderState.ACTIVE,
        "created_by": bank.operator.id,
        "created_at": bank.clock.now(),
    }
    return Order(**{**asked, **changed})


def act(
    bank: Bank,
    decide: Callable[[list[Order]], Step],
    *,
    order_id: str = "",
    approvals: tuple[str, ...] = ("vote",),
) -> Step:
    """Lock the account's orders, decide a step on them and record it, as the write path does."""

    def work(connection: Connection) -> Step:
        account_id = bank.account_id(OF_ACCOUNT)
        with pipelined(connection) as pipeline:
            locked = orders.lock(pipeline, bank.issuer_id, [account_id], [order_id])
        step = decide(list(locked.result().get(account_id, {}).values()))
        orders.record(
            connection,
            step,
            reason="Ordered so.",
            done_by="principal_maker",
            approvals=approvals,
            done_at=bank.clock.now(),
        )
        return step

    return bank.database.run(work)


def place(bank: Bank, available_minor: int, **changed: Any) -> Step:
    new = new_order(bank, **changed)
    return act(bank, lambda found: orders.placing(new, found, available_minor, bank.clock.now()))


def top_up(bank: Bank, order_id: str, available_minor: int) -> Step:
    return act(
        bank,
        lambda found: orders.topping_up(named(found, order_id), found, available_minor, bank.clock.now()),
        order_id=order_id,
    )


def end(bank: Bank, order_id: str, state: OrderState = OrderState.LIFTED, **asked: Any) -> Step:
    return act(
        bank,
        lambda found: orders.ending(named(found, order_id), found, state, bank.clock.now()),
        order_id=order_id,
        **asked,
    )


def seize(bank: Bank, order_id: str, amount_minor: int, **asked: Any) -> Step:
    return act(
        bank,
        lambda found: orders.seizing(named(found, order_id), amount_minor, bank.clock.now()),
        order_id=order_id,
        **asked,
    )


def named(found: list[Order], order_id: str) -> Order:
    return next(one for one in found if one.id == order_id)


def read(bank: Bank, verb: Callable[..., Result], *given: Any, **asked: Any) -> Result:
    with bank.database.read() as connection:
        return verb(connection, bank.issuer_id, *given, **asked)


def blocks(bank: Bank) -> dict[str, Blocks]:
    names = {account.id: name for name, account in bank.accounts.items()}
    with bank.database.read() as connection:
        with pipelined(connection) as pipeline:
            asked = orders.blocks(pipeline, bank.issuer_id, list(names), bank.clock.now())
        return {names[account_id]: found for account_id, found in asked.result().items()}


def noted(bank: Bank, order_id: str) -> list[tuple[str, int]]:
    return [(one.action, one.amount_minor) for one in read(bank, orders.actions, order_id)]


def test_an_order_is_placed_topped_up_executed(bank: Bank) -> None:
    placed = place(bank, 400).order
    assert (placed.restricted_minor, blocks(bank)) == (400, {OF_ACCOUNT: Blocks(True, False)})

    step = top_up(bank, placed.id, 900)
    assert (step.moved_minor, blocks(bank)) == (600, {OF_ACCOUNT: Blocks(False, False)})
    with pytest.raises(OrderNothingToTakeError):
        top_up(bank, placed.id, 300)
    with pytest.raises(SeizureExceedsRestrictedError):
        seize(bank, placed.id, 1_001)
    assert seize(bank, placed.id, 250).order.held_minor == 750
    executed = seize(bank, placed.id, 750).order
    assert (executed.state, executed) == (OrderState.EXECUTED, read(bank, orders.order, placed.id))
    assert noted(bank, placed.id) == [("placed", 400), ("topped_up", 600), ("seized", 250), ("seized", 750)]
    assert blocks(bank) == {}


def test_a_lift_passes_on_before_it_gives_back(bank: Bank) -> None:
    first, second = place(bank, 1_000).order, place(bank, 0, amount_minor=300).order
    step = end(bank, first.id)

    assert (step.moved_minor, [one.id for one in step.changed]) == (700, [first.id, second.id])
    assert read(bank, orders.order, second.id).restricted_minor == 300
    assert (noted(bank, first.id)[-1], noted(bank, second.id)[-1]) == (("lifted", 700), ("received", 300))
    assert [one.id for one in read(bank, orders.orders, state="active")] == [second.id]
    assert [one.id for one in read(bank, orders.orders, account_id=first.account_id)] == [first.id, second.id]


def test_placing_serves_those_before_first(bank: Bank) -> None:
    first = place(bank, 400).order
    step = place(bank, 700, amount_minor=500)

    assert step.moved_minor == 700
    assert (step.order.restricted_minor, read(bank, orders.order, first.id).restricted_minor) == (100, 1_000)
    assert noted(bank, first.id)[-1] == ("topped_up", 600)
    assert read(bank, orders.order, step.order.id) == step.order


def test_no_two_orders_of_an_account_are_placed_at_one_moment(bank: Bank) -> None:
    first = place(bank, 0).order
    bank.clock.at -= timedelta(hours=1)
    second, third = place(bank, 0, id="order_0").order, place(bank, 0).order

    assert first.created_at < second.created_at < third.created_at
    assert [one.id for one in top_up(bank, second.id, 1_500).changed] == [first.id, second.id]


def test_an_expired_order_blocks_nothing_and_is_ended(bank: Bank) -> None:
    placed = place(bank, 400, expires_at=bank.clock.now() + timedelta(hours=1)).order
    with bank.database.read() as connection:
        assert orders.expired_orders(connection, bank.issuer_id, bank.clock.now()) == []
    bank.clock.at += timedelta(hours=1)

    assert blocks(bank) == {}
    with bank.database.read() as connection:
        assert orders.expired_orders(connection, bank.issuer_id, bank.clock.now()) == [placed]
    step = end(bank, placed.id, OrderState.EXPIRED, approvals=())
    assert (step.moved_minor, step.order.state) == (400, OrderState.EXPIRED)
    assert read(bank, orders.order, placed.id) == step.order
    with bank.database.read() as connection:
        assert orders.expired_orders(connection, bank.issuer_id, bank.clock.now()) == []


def test_what_is_locked_is_active_or_named(bank: Bank) -> None:
    lifted, active, other = (
        place(bank, 0).order,
        place(bank, 0).order,
        new_order(bank, "SILKROAD-USD"),
    )
    end(bank, lifted.id)
    bank.database.run(lambda connection: orders.store.insert_order(connection, other))

    def locked(account: str, *order_ids: str) -> set[str]:
        def work(connection: Connection) -> set[str]:
            with pipelined(connection) as pipeline:
                asked = orders.lock(pipeline, bank.issuer_id, [bank.account_id(account)], order_ids)
            return {order_id for of_account in asked.result().values() for order_id in of_account}

        return bank.database.run(work)

    assert locked(OF_ACCOUNT) == {active.id}
    assert locked(OF_ACCOUNT, lifted.id) == {active.id, lifted.id}
    assert locked("SILKROAD-USD") == {other.id}
    assert locked("HARBOUR-USD") == set()


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"amount_minor": None},
        {"amount_minor": None, "scope": "both"},
        {"amount_minor": None, "scope": "credit"},
        {"restricted_minor": 1_000},
        {"restricted_minor": 1_000, "seized_minor": 1_000},
    ],
)
def test_the_database_answers_as_the_rule_does(bank: Bank, changed: dict[str, Any]) -> None:
    for hours in (None, 1, -1):
        expires_at = None if hours is None else bank.clock.now() + timedelta(hours=hours)
        written = new_order(bank, **changed, expires_at=expires_at)
        bank.database.run(lambda connection, one=written: orders.store.insert_order(connection, one))  # type: ignore[misc]
    found = read(bank, orders.orders)
    expected = rules.blocks_of(found, bank.clock.now())
    assert blocks(bank) == {OF_ACCOUNT: expected}


def test_nobody_lifts_or_seizes_alone(bank: Bank) -> None:
    placed = place(bank, 1_000).order
    with pytest.raises(InvariantError):
        end(bank, placed.id, approvals=())
    with pytest.raises(InvariantError):
        seize(bank, placed.id, 1, approvals=())
    assert read(bank, orders.order, placed.id) == placed
    with (
        connect(bank.urls.superuser_url) as connection,
        pytest.raises(psycopg.errors.CheckViolation, match="ck_restriction_action_approvals"),
    ):
        connection.execute(
            "INSERT INTO restriction_action SELECT issuer_id, id, 9, 'lifted', 0, '', 'x', '[]', now() FROM restriction"
        )


def test_the_database_holds_the_bounds_too(bank: Bank) -> None:
    placed = place(bank, 600).order
    for change in (
        "restricted_minor = 1001",
        "seized_minor = 601",
        "state = 'lifted'",
        "restricted_minor = -1",
    ):
        with (
            connect(bank.urls.superuser_url) as connection,
            pytest.raises(psycopg.errors.CheckViolation, match="ck_restriction_"),
        ):
            connection.execute(f"UPDATE restriction SET {change} WHERE id = %s".encode(), [placed.id])


def test_what_is_not_there_or_not_right_is_refused(bank: Bank) -> None:
    for verb in (orders.order, orders.actions):
        with pytest.raises(OrderNotFoundError):
            read(bank, verb, "order_absent")
    with pytest.raises(OrderMalformedError):
        place(bank, 0, amount_minor=0)
    placed = place(bank, 0).order
    with bank.database.read() as connection, pytest.raises(OrderNotFoundError):
        orders.order(connection, "issuer_other", placed.id)
