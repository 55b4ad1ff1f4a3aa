"""Orders in the database: kept, locked, noted, and asked for as the write path does."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
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
    OrderScope,
    OrderState,
    SeizureExceedsRestrictedError,
    rules,
)
from tests.bank import Bank
from tests.database import connect

Result = TypeVar("Result")
VOTES = {"reason": "Ordered so.", "done_by": "principal_maker", "approvals": ["vote"]}


def new_order(bank: Bank, account: str = "LANTERN-USD", **changed: Any) -> Order:
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


def run(bank: Bank, verb: Callable[..., Result], *given: Any, **asked: Any) -> Result:
    return bank.database.run(
        lambda connection: verb(
            connection,
            bank.clock,
            *([] if isinstance(given[0], Order) else [bank.issuer_id]),
            *given,
            **asked,
        )
    )


def place(bank: Bank, available_minor: int, **changed: Any) -> Order:
    return run(bank, orders.place, new_order(bank, **changed), available_minor=available_minor)[0]


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
    placed = place(bank, 400)
    assert (placed.restricted_minor, blocks(bank)) == (400, {"LANTERN-USD": Blocks(True, False)})

    [taken] = run(bank, orders.top_up, placed.account_id, available_minor=900, done_by="principal")
    assert (taken.taken_minor, blocks(bank)) == (600, {"LANTERN-USD": Blocks(False, False)})
    assert run(bank, orders.top_up, placed.account_id, available_minor=300, done_by="principal") == ()
    with pytest.raises(SeizureExceedsRestrictedError):
        run(bank, orders.seize, placed.id, 1_001, **VOTES)
    assert run(bank, orders.check_seizure, placed.id, 250).held_minor == 750
    assert run(bank, orders.seize, placed.id, 250, **VOTES).held_minor == 750
    executed = run(bank, orders.seize, placed.id, 750, **VOTES)
    assert (executed.state, executed) == (OrderState.EXECUTED, read(bank, orders.order, placed.id))
    assert noted(bank, placed.id) == [("placed", 400), ("topped_up", 600), ("seized", 250), ("seized", 750)]
    assert blocks(bank) == {}


def test_a_lift_passes_on_before_it_gives_back(bank: Bank) -> None:
    first, second = place(bank, 1_000), place(bank, 0, amount_minor=300)
    shown = run(bank, orders.check_lift, first.id)
    ending = run(bank, orders.lift, first.id, **VOTES)

    assert shown == ending
    assert (ending.returned_minor, [one.order.id for one in ending.passed_on]) == (700, [second.id])
    assert read(bank, orders.order, second.id).restricted_minor == 300
    assert (noted(bank, first.id)[-1], noted(bank, second.id)[-1]) == (("lifted", 700), ("received", 300))
    assert [one.id for one in read(bank, orders.orders, state="active")] == [second.id]
    assert [one.id for one in read(bank, orders.orders, account_id=first.account_id)] == [first.id, second.id]


def test_placing_serves_those_before_first(bank: Bank) -> None:
    first = place(bank, 400)
    second, taken = run(bank, orders.place, new_order(bank, amount_minor=500), available_minor=700)

    assert [(one.order.id, one.taken_minor) for one in taken] == [(first.id, 600), (second.id, 100)]
    assert second.restricted_minor == 100
    assert noted(bank, first.id)[-1] == ("topped_up", 600)


def test_an_expired_order_blocks_nothing_and_is_ended_by_hand(bank: Bank) -> None:
    placed = place(bank, 400, expires_at=bank.clock.now() + timedelta(hours=1))
    with bank.database.read() as connection:
        assert orders.expired_orders(connection, bank.issuer_id, bank.clock.now()) == []
    bank.clock.at += timedelta(hours=1)

    assert blocks(bank) == {}
    with bank.database.read() as connection:
        assert orders.expired_orders(connection, bank.issuer_id, bank.clock.now()) == [placed]
    ending = run(bank, orders.expire, placed.id, done_by="principal")
    assert (ending.returned_minor, ending.order.state) == (400, OrderState.EXPIRED)
    assert read(bank, orders.order, placed.id) == ending.order


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
    assert blocks(bank) == {"LANTERN-USD": expected}


def test_nobody_lifts_or_seizes_alone(bank: Bank) -> None:
    placed = place(bank, 1_000)
    alone = VOTES | {"approvals": []}
    with pytest.raises(InvariantError):
        run(bank, orders.lift, placed.id, **alone)
    with pytest.raises(InvariantError):
        run(bank, orders.seize, placed.id, 1, **alone)
    with (
        connect(bank.urls.superuser_url) as connection,
        pytest.raises(psycopg.errors.CheckViolation, match="ck_restriction_action_approvals"),
    ):
        connection.execute(
            "INSERT INTO restriction_action SELECT issuer_id, id, 9, 'lifted', 0, '', 'x', '[]', now() FROM restriction"
        )


def test_the_database_holds_the_bounds_too(bank: Bank) -> None:
    placed = place(bank, 600)
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
    with pytest.raises(OrderNotFoundError):
        run(bank, orders.lift, "order_absent", **VOTES)
    with pytest.raises(OrderMalformedError):
        place(bank, 0, amount_minor=0)
    placed = place(bank, 0)
    with bank.database.read() as connection, pytest.raises(OrderNotFoundError):
        orders.order(connection, "issuer_other", placed.id)


def test_seizures_at_once_take_no_more_than_is_held(bank: Bank) -> None:
    placed = place(bank, 1_000)

    def attempt(_: int) -> int:
        try:
            run(bank, orders.seize, placed.id, 300, **VOTES)
        except SeizureExceedsRestrictedError:
            return 0
        return 300

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempt, range(8))) == 900
    assert read(bank, orders.order, placed.id).held_minor == 100
    assert [one.number for one in read(bank, orders.actions, placed.id)] == [1, 2, 3, 4]


def test_lifts_and_top_ups_at_once_hold_nothing_twice(bank: Bank) -> None:
    placed = [place(bank, 0, amount_minor=500) for _ in range(4)]

    def credit(connection: Connection) -> None:
        orders.top_up(
            connection, bank.clock, bank.issuer_id, placed[0].account_id, available_minor=100, done_by="p"
        )

    def lift_one(one: Order) -> int:
        return run(bank, orders.lift, one.id, **VOTES).returned_minor

    with ThreadPoolExecutor(8) as pool:
        topped_up = [pool.submit(bank.database.run, credit) for _ in range(10)]
        returned_minor = sum(pool.map(lift_one, placed[:2]))
        for one in topped_up:
            one.result()
    held = read(bank, orders.orders)
    assert returned_minor + sum(one.held_minor for one in held) == 1_000
