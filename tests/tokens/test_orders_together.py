"""Orders beside payments, other orders and themselves: in one batch, and by many at once."""

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from functools import partial

from tallystick import policy, tokens
from tallystick.core.ids import with_prefix
from tallystick.core.money import format_amount
from tallystick.orders import Order
from tallystick.tokens import Kind, Request, Submission
from tests.bank import Bank, oracle
from tests.tokens.ordering import (
    HARBOUR,
    LANTERN,
    code_of,
    figures,
    new_account,
    order_request,
    refusal_of,
    request_of,
    transfer_request,
)
from tests.tokens.together import at_once


class TestOneBatch:
    """What is decided behind an order in one transaction sees what it took and what it blocks."""

    def codes(self, bank: Bank, *requests: Request) -> list[str]:
        return [code_of(one.outcomes[0]) for one in bank.settle(*[Submission((one,)) for one in requests])]

    def test_an_order_and_payments_of_the_same_money(self, shared_bank: Bank) -> None:
        bank = shared_bank
        account = new_account(bank, "10.00")
        pay = partial(transfer_request, bank, account, HARBOUR)
        assert self.codes(
            bank,
            pay("2.00"),
            order_request(bank, account, "6.00"),
            pay("2.01"),
            pay("2.00"),
            order_request(bank, account, "1.00"),
            pay("0.01"),
        ) == ["settled", "settled", "insufficient_funds", "settled", "settled", "account_debit_blocked"]
        assert figures(bank, account) == (0, 600)

    def test_two_orders_a_credit_and_what_it_serves(self, shared_bank: Bank) -> None:
        bank = shared_bank
        bank.mint(HARBOUR, "9.00")
        account = new_account(bank, "5.00")
        first = bank.place_order(account, "6.00")
        second = order_request(bank, account, "3.00")
        top_up = [request_of(bank, Kind.ORDER_TOP_UP, related_id=first) for _ in range(2)]
        pay = partial(transfer_request, bank, account, HARBOUR)
        assert self.codes(
            bank,
            second,
            pay("0.01"),
            transfer_request(bank, HARBOUR, account, "9.00"),
            top_up[0],
            top_up[1],
            pay("5.00"),
        ) == [
            "settled",
            "account_debit_blocked",
            "settled",
            "settled",
            "order_nothing_to_take",
            "settled",
        ]
        assert figures(bank, account) == (0, 900)
        assert [bank.order(one).held_minor for one in (first, second.id)] == [600, 300]

    def test_a_lift_frees_and_a_seizure_sees_what_is_left(self, shared_bank: Bank) -> None:
        bank = shared_bank
        account = new_account(bank, "10.00")
        first, second = bank.place_order(account, "6.00"), bank.place_order(account, "6.00")
        asked = [
            bank.ask(Kind.ORDER_LIFT, bank.maker, related_id=first, reason="x").resource_id,
            *[
                bank.ask(
                    Kind.ORDER_SEIZURE,
                    bank.maker,
                    related_id=second,
                    amount="4.00",
                    currency="USD",
                    reason="x",
                ).resource_id
                for _ in range(2)
            ],
        ]
        approve = [
            bank.request(
                Kind.APPROVE,
                bank.checker,
                related_id=with_prefix("approval", one),
                amount="4.00",
                currency="USD",
            )
            for one in asked
        ]
        pay = transfer_request(bank, account, HARBOUR, "4.00")
        assert self.codes(bank, approve[1], approve[0], approve[2], pay) == [
            "settled",
            "settled",
            "seizure_exceeds_restricted",
            "settled",
        ]
        assert (figures(bank, account), bank.order(second).held_minor) == ((0, 200), 200)

    def test_a_mint_behind_a_seizure_has_the_room_that_it_made(self, bank: Bank) -> None:
        bank.mint(LANTERN, "10.00")
        bank.deposit(HARBOUR, "5.00")
        self.cap_supply(bank, "10.00")
        order_id = bank.place_order(LANTERN)
        asked = bank.ask(
            Kind.ORDER_SEIZURE, bank.maker, related_id=order_id, amount="2.00", currency="USD", reason="x"
        )
        approve = bank.request(
            Kind.APPROVE,
            bank.checker,
            related_id=with_prefix("approval", asked.resource_id),
            amount="2.00",
            currency="USD",
        )
        mints = [
            bank.request(
                Kind.MINT,
                bank.maker,
                amount=amount,
                currency="USD",
                payee_account_id=bank.account_id(HARBOUR),
            )
            for amount in ("0.01", "2.01", "2.00")
        ]
        assert self.codes(bank, mints[0], approve, *mints[1:]) == [
            "supply_cap_exceeded",
            "settled",
            "supply_cap_exceeded",
            "settled",
        ]

    def cap_supply(self, bank: Bank, amount: str) -> None:
        document = policy.read_document({"format": "tallystick-policy/1", "issuance": {"supply": amount}})
        with bank.database.engine.begin() as connection:
            drafted = policy.draft(
                connection,
                bank.clock,
                bank.operator,
                token_class_id=bank.classes["USD"].id,
                document=document,
            )
            policy.activate(connection, bank.clock, bank.issuer_id, drafted.id, [bytes(32)])

    def test_a_closure_behind_an_order_sees_it(self, shared_bank: Bank) -> None:
        bank = shared_bank
        account = new_account(bank)
        closure = request_of(bank, Kind.ACCOUNT_CLOSURE, payer_account_id=bank.account_id(account))
        assert self.codes(bank, order_request(bank, account), closure) == ["settled", "account_has_orders"]


class TestAtOnce:
    """On real connections with real commits."""

    def test_an_order_and_fifty_payments_of_the_same_balance(self, busy_bank: Bank) -> None:
        bank = busy_bank
        bank.mint(LANTERN, "10.00")
        pays = [transfer_request(bank, LANTERN, HARBOUR, "1.00") for _ in range(49)]
        placing = order_request(bank, LANTERN, "8.00")
        in_order = [*pays[:10], placing, *pays[10:]]
        outcomes = at_once([partial(bank.outcome, one) for one in in_order])

        assert code_of(outcomes[10]) == "settled"
        codes = Counter(code_of(one) for one in outcomes)
        paid_minor = 100 * (codes["settled"] - 1)
        restricted_minor = bank.order(placing.id).held_minor
        assert set(codes) <= {"settled", "insufficient_funds", "account_debit_blocked"}
        assert figures(bank, LANTERN) == (1_000 - paid_minor - restricted_minor, restricted_minor)
        # It took all that it could: nothing is left to be spent before it has its amount.
        assert restricted_minor == 800 or bank.balance_minor("2110", LANTERN) == 0
        oracle(bank)

    def test_orders_placed_by_many_hold_nothing_twice(self, busy_bank: Bank) -> None:
        bank = busy_bank
        bank.mint(LANTERN, "10.00")
        requests = [order_request(bank, LANTERN, "3.00") for _ in range(12)]
        outcomes = at_once([partial(bank.outcome, one) for one in requests])
        assert {code_of(one) for one in outcomes} == {"settled"}
        placed = sorted((bank.order(one.id) for one in requests), key=lambda one: one.created_at)
        assert [one.held_minor for one in placed] == [300, 300, 300, 100] + [0] * 8
        assert len({one.created_at for one in placed}) == 12
        oracle(bank)

    def test_seizures_of_many_take_no_more_than_is_held(self, busy_bank: Bank) -> None:
        bank = busy_bank
        bank.mint(LANTERN, "10.00")
        order_id = bank.place_order(LANTERN)
        asked = [
            bank.ask(
                Kind.ORDER_SEIZURE,
                bank.maker,
                related_id=order_id,
                amount="3.00",
                currency="USD",
                reason="x",
            ).resource_id
            for _ in range(8)
        ]
        codes = Counter(
            at_once([partial(refusal_of, partial(bank.approve, one, "3.00", "USD")) for one in asked])
        )
        assert codes == {"settled": 3, "seizure_exceeds_restricted": 5}
        assert (figures(bank, LANTERN), bank.balance_minor("2310", "USD")) == ((0, 100), 900)
        oracle(bank)

    def test_everything_on_one_account(self, busy_bank: Bank) -> None:
        bank = busy_bank
        until = bank.clock.now() + timedelta(hours=1)
        for account in (HARBOUR, LANTERN):
            bank.mint(account, "50.00")
        over = [bank.place_order(LANTERN, "1.00", expires_at=until) for _ in range(3)]
        held = [bank.place_order(LANTERN, "2.00") for _ in range(6)]
        bank.clock.at = until
        with bank.database.read() as connection:
            due = tokens.due(connection, bank.issuer_id, bank.clock.now(), 10)
        assert {one.related_id for one in due} == {*over}
        ways: list[Callable[[], object]] = [
            *[partial(bank.outcome, one) for one in due * 2],
            *[partial(bank.lift_order, one) for one in held[:3]],
            *[partial(bank.seize, one, "1.00") for one in held[3:]],
            *[partial(bank.place_order, LANTERN, "5.00") for _ in range(3)],
            *[partial(bank.transfer, HARBOUR, LANTERN, "1.00") for _ in range(6)],
            *[partial(bank.transfer, LANTERN, HARBOUR, "1.00") for _ in range(6)],
            *[partial(bank.redeem, LANTERN, "1.00") for _ in range(3)],
        ]
        codes = Counter(at_once([partial(refusal_of, one) for one in ways]))
        # A lift that was asked for before another one passed something on is to be asked for again.
        assert set(codes) <= {"settled", "account_debit_blocked", "insufficient_funds", "order_changed"}
        found: list[Order] = [bank.order(one) for one in (*over, *held)]
        assert {one.state for one in found[:3]} == {"expired"}
        assert sum(one.seized_minor for one in found) == bank.balance_minor("2310", "USD") == 300
        assert format_amount(bank.balance_minor("1100", "USD"), 2) == "100.00"
        oracle(bank)
