"""What orders take, block and give back: never more than there is, never the same money twice."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tallystick.core.errors import InvariantError
from tallystick.orders import Blocks, Order, OrderKind, OrderScope, OrderState, rules
from tests.bank import OPENED_AT

NOW = OPENED_AT


def order(number: int = 1, **changed: Any) -> Order:
    made = Order(
        issuer_id="issuer",
        id=f"order_{number}",
        account_id="account",
        kind=OrderKind.COURT_ORDER,
        scope=OrderScope.DEBIT,
        amount_minor=1_000,
        restricted_minor=0,
        seized_minor=0,
        authority="Local court of Nowhere",
        authority_reference="7 M 11/26",
        reason="Attachment",
        expires_at=None,
        state=OrderState.ACTIVE,
        created_by="principal",
        created_at=NOW + timedelta(seconds=number),
    )
    return replace(made, **changed)


WHOLE: dict[str, Any] = {"amount_minor": None}
FREEZE: dict[str, Any] = {"kind": OrderKind.FREEZE, "authority_reference": None}


@pytest.mark.parametrize(
    "changed",
    [
        {"amount_minor": 0},
        {"amount_minor": -1},
        {"scope": OrderScope.BOTH},
        {"scope": OrderScope.CREDIT},
        {"authority_reference": None},
        {"authority_reference": ""},
        {"authority": " "},
        {"reason": ""},
        {"expires_at": NOW},
    ],
)
def test_an_order_that_contradicts_itself_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(rules.OrderMalformedError):
        rules.check_order(order(**changed), NOW)


@pytest.mark.parametrize(
    "changed",
    [
        {},
        FREEZE,
        WHOLE,
        WHOLE | {"scope": "both"},
        WHOLE | {"scope": "credit"},
        {"expires_at": NOW + timedelta(1)},
    ],
)
def test_an_order_that_fits_together_is_taken(changed: dict[str, Any]) -> None:
    rules.check_order(order(**changed), NOW)


@pytest.mark.parametrize(
    ("changed", "available_minor", "taken_minor", "blocks"),
    [
        ({}, 1_500, 1_000, (False, False)),
        ({}, 1_000, 1_000, (False, False)),
        ({}, 400, 400, (True, False)),
        ({}, 0, 0, (True, False)),
        (WHOLE, 400, 400, (True, False)),
        (WHOLE | {"scope": "both"}, 400, 400, (True, True)),
        (WHOLE | {"scope": "credit"}, 400, 0, (False, True)),
        ({"expires_at": NOW}, 400, 0, (False, False)),
        ({"state": OrderState.LIFTED}, 400, 0, (False, False)),
    ],
)
def test_what_an_order_takes_and_blocks(
    changed: dict[str, Any], available_minor: int, taken_minor: int, blocks: tuple[bool, bool]
) -> None:
    placed = order(**changed)
    taken = rules.distribute([placed], available_minor, NOW)

    assert sum(one.taken_minor for one in taken) == taken_minor
    [after] = [one.order for one in taken] or [placed]
    assert after.restricted_minor == taken_minor
    assert rules.blocks_of([after], NOW) == Blocks(*blocks)


def test_orders_are_served_as_they_were_placed() -> None:
    first, second = order(1, restricted_minor=700), order(2)
    taken = rules.distribute([second, first], 500, NOW)
    assert [(one.order.id, one.taken_minor) for one in taken] == [("order_1", 300), ("order_2", 200)]


def test_what_is_given_back_goes_first_to_those_that_lack_it() -> None:
    ending_one = order(1, restricted_minor=1_000, seized_minor=100)
    lacking = order(2, restricted_minor=400)
    ending = rules.end(ending_one, [ending_one, lacking], OrderState.LIFTED, NOW)

    assert (ending.returned_minor, [one.taken_minor for one in ending.passed_on]) == (300, [600])
    assert (ending.order.state, ending.order.ended_at, ending.order.held_minor) == (OrderState.LIFTED, NOW, 0)
    assert rules.end(ending_one, [order(2, **WHOLE)], OrderState.LIFTED, NOW).returned_minor == 0
    assert rules.end(ending_one, [], OrderState.LIFTED, NOW).returned_minor == 900


def test_an_order_ends_once_and_expires_in_its_time() -> None:
    timed = order(expires_at=NOW + timedelta(hours=1), restricted_minor=1_000)
    with pytest.raises(rules.OrderNotExpiredError):
        rules.end(timed, [], OrderState.EXPIRED, NOW)
    with pytest.raises(rules.OrderNotExpiredError):
        rules.end(order(), [], OrderState.EXPIRED, NOW)
    later = NOW + timedelta(hours=1)
    expired = rules.end(timed, [], OrderState.EXPIRED, later)
    assert (expired.order.state, expired.returned_minor) == (OrderState.EXPIRED, 1_000)
    for state in (OrderState.LIFTED, OrderState.EXPIRED):
        with pytest.raises(rules.OrderStateConflictError):
            rules.end(expired.order, [], state, later)


class TestSeizure:
    def test_it_takes_what_is_held_and_no_more(self) -> None:
        placed = order(restricted_minor=600)
        part = rules.seize(placed, 400, NOW)
        assert (part.seized_minor, part.held_minor, part.state) == (400, 200, OrderState.ACTIVE)
        with pytest.raises(rules.SeizureExceedsRestrictedError):
            rules.seize(part, 201, NOW)

    def test_all_of_the_amount_executes_the_order(self) -> None:
        done = rules.seize(order(restricted_minor=1_000, seized_minor=400), 600, NOW)
        assert (done.state, done.ended_at, done.held_minor) == (OrderState.EXECUTED, NOW, 0)
        whole = rules.seize(order(restricted_minor=1_000, **WHOLE), 1_000, NOW)
        assert whole.state == OrderState.ACTIVE, "an order for everything is never served in full"

    @pytest.mark.parametrize(
        ("changed", "amount_minor", "refusal"),
        [
            (FREEZE, 1, rules.SeizureWithoutCourtOrderError),
            ({}, 0, rules.OrderMalformedError),
            ({}, -1, rules.OrderMalformedError),
            ({"expires_at": NOW}, 1, rules.OrderStateConflictError),
            ({"state": OrderState.LIFTED}, 1, rules.OrderStateConflictError),
            ({"state": OrderState.EXECUTED}, 1, rules.OrderStateConflictError),
        ],
    )
    def test_it_is_refused(
        self, changed: dict[str, Any], amount_minor: int, refusal: type[Exception]
    ) -> None:
        with pytest.raises(refusal):
            rules.seize(order(restricted_minor=1_000, **changed), amount_minor, NOW)


@given(
    st.lists(st.tuples(st.one_of(st.none(), st.integers(1, 50)), st.integers(0, 50)), max_size=5),
    st.integers(0, 100),
)
def test_distributing_makes_no_money(asked: list[tuple[int | None, int]], available_minor: int) -> None:
    placed = [
        order(number, amount_minor=amount, restricted_minor=had if amount is None else min(had, amount))
        for number, (amount, had) in enumerate(asked)
    ]
    taken = rules.distribute(placed, available_minor, NOW)
    after = {one.id: one for one in placed} | {one.order.id: one.order for one in taken}

    assert 0 <= sum(one.taken_minor for one in taken) <= available_minor
    assert all(one.taken_minor > 0 for one in taken)
    assert all((rules.shortfall_minor(one, NOW) or 0) >= 0 for one in after.values())
    if rules.blocks_of(after.values(), NOW).debit_blocked:
        assert sum(one.taken_minor for one in taken) == available_minor, "nothing is left to spend"


def test_the_restricted_balance_is_what_orders_hold() -> None:
    rules.check_held(
        [order(restricted_minor=600, seized_minor=100), order(2, state="lifted", restricted_minor=9)], 500
    )
    with pytest.raises(InvariantError):
        rules.check_held([order(restricted_minor=600)], 599)


class Life(RuleBasedStateMachine):
    """An account's books beside its orders: whatever happens, 2130 is what the orders hold."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.available_minor = self.restricted_minor = self.seized_minor = self.credited_minor = 0
        self.orders: dict[str, Order] = {}

    def keep(self, taken: list[rules.Taken] | tuple[rules.Taken, ...]) -> int:
        self.orders |= {one.order.id: one.order for one in taken}
        return sum(one.taken_minor for one in taken)

    def move(self, minor: int) -> None:
        self.available_minor -= minor
        self.restricted_minor += minor

    @rule(minor=st.integers(1, 100))
    def credit(self, minor: int) -> None:
        if not rules.blocks_of(self.orders.values(), self.now).credit_blocked:
            self.available_minor += minor
            self.credited_minor += minor

    @rule(minor=st.integers(1, 100))
    def debit(self, minor: int) -> None:
        if not rules.blocks_of(self.orders.values(), self.now).debit_blocked:
            spent = min(minor, self.available_minor)
            self.available_minor -= spent
            self.credited_minor -= spent

    @rule(
        amount=st.one_of(st.none(), st.integers(1, 120)),
        scope=st.sampled_from(OrderScope),
        hours=st.one_of(st.none(), st.integers(1, 3)),
    )
    def place(self, amount: int | None, scope: OrderScope, hours: int | None) -> None:
        number = len(self.orders) + 1
        new = order(
            number,
            amount_minor=amount,
            scope=scope if amount is None else OrderScope.DEBIT,
            expires_at=None if hours is None else self.now + timedelta(hours=hours),
        )
        rules.check_order(new, self.now)
        self.orders[new.id] = new
        self.top_up()

    @rule()
    def top_up(self) -> None:
        self.move(self.keep(rules.distribute(self.orders.values(), self.available_minor, self.now)))

    @rule()
    def wait(self) -> None:
        self.now += timedelta(hours=1)

    @rule(place=st.integers(0, 20), lifted=st.booleans())
    def end(self, place: int, lifted: bool) -> None:
        open_ones = [one for one in self.orders.values() if one.state == OrderState.ACTIVE]
        if not open_ones:
            return
        chosen = open_ones[place % len(open_ones)]
        state = OrderState.LIFTED if lifted else OrderState.EXPIRED
        if lifted or rules.has_expired(chosen, self.now):
            ending = rules.end(chosen, self.orders.values(), state, self.now)
            self.orders[chosen.id] = ending.order
            self.keep(ending.passed_on)
            self.move(-ending.returned_minor)

    @rule(place=st.integers(0, 20), minor=st.integers(1, 120))
    def seize(self, place: int, minor: int) -> None:
        held = [
            one for one in self.orders.values() if one.held_minor and not rules.has_expired(one, self.now)
        ]
        if held:
            chosen = held[place % len(held)]
            taken = min(minor, chosen.held_minor)
            self.orders[chosen.id] = rules.seize(chosen, taken, self.now)
            self.restricted_minor -= taken
            self.seized_minor += taken

    @invariant()
    def books_and_orders_agree(self) -> None:
        rules.check_held(list(self.orders.values()), self.restricted_minor)
        assert min(self.available_minor, self.restricted_minor) >= 0
        assert self.available_minor + self.restricted_minor + self.seized_minor == self.credited_minor
        assert self.seized_minor == sum(one.seized_minor for one in self.orders.values())


TestLife = Life.TestCase
