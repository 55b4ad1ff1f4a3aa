"""Freezes and court orders on the write path: what each takes, blocks, gives back and seizes."""

import json
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any, Final, NamedTuple

import pytest

from tallystick import events, orders, tokens
from tallystick.core.errors import InvariantError
from tallystick.core.ids import with_prefix
from tallystick.tokens import Kind, Request, Submission
from tests.bank import Bank, oracle
from tests.database import connect
from tests.reconciliation.runs import reconcile
from tests.tokens.ordering import (
    HARBOUR,
    LANTERN,
    code_of,
    figures,
    new_account,
    noted,
    order_request,
    refusal_of,
    request_of,
)
from tests.tokens.test_journals import payload_of


class Case(NamedTuple):
    """What is there, what the order is for, and what it takes and leaves to be spent (None: nothing leaves)."""

    available: str | None
    amount: str | None
    scope: str
    restricted_minor: int
    spendable: str | None


PLACED: Final = {
    "the whole account": Case("10.00", None, "debit", 1_000, None),
    "the whole of an empty account": Case(None, None, "debit", 0, None),
    "both ways": Case("10.00", None, "both", 1_000, None),
    "credits": Case("10.00", None, "credit", 0, "10.00"),
    "less than there is": Case("10.00", "4.00", "debit", 400, "6.00"),
    "exactly what there is": Case("10.00", "10.00", "debit", 1_000, ""),
    "more than there is": Case("10.00", "10.01", "debit", 1_000, None),
    "an amount that is not there at all": Case(None, "10.00", "debit", 0, None),
}


@pytest.mark.parametrize("name", PLACED)
def test_an_order_takes_what_it_may_and_the_remainder_stays_usable(shared_bank: Bank, name: str) -> None:
    bank, case = shared_bank, PLACED[name]
    account = new_account(bank, case.available)
    before_minor = bank.balance_minor("2110", account)
    order_id = bank.place_order(account, case.amount, scope=case.scope)

    assert figures(bank, account) == (before_minor - case.restricted_minor, case.restricted_minor)
    assert bank.order(order_id).held_minor == case.restricted_minor
    assert noted(bank, order_id) == [("placed", case.restricted_minor)]
    if case.spendable:
        assert refusal_of(partial(bank.transfer, account, HARBOUR, case.spendable)) == "settled"
    blocked = "account_debit_blocked" if case.spendable is None else "insufficient_funds"
    assert refusal_of(partial(bank.transfer, account, HARBOUR, "0.01")) == blocked
    bank.mint(HARBOUR, "0.01")
    blocked = "account_credit_blocked" if case.scope in {"credit", "both"} else "settled"
    assert refusal_of(partial(bank.transfer, HARBOUR, account, "0.01")) == blocked


def test_what_is_answered_is_the_order_with_its_signed_event(shared_bank: Bank) -> None:
    bank = shared_bank
    account = new_account(bank, "10.00")
    answered = json.loads(bank.outcome(order_request(bank, account, "4.00")).body)
    order = bank.order(answered["id"])

    shown = {
        name: answered[name] for name in ("object", "state", "kind", "scope", "amount", "restricted", "held")
    }
    assert shown == {
        "object": "order",
        "state": "active",
        "kind": "court_order",
        "scope": "debit",
        "amount": "4.00",
        "restricted": "4.00",
        "held": "4.00",
    }
    assert (answered["authority"], answered["authority_reference"]) == (order.authority, "7 M 11/26")
    payload = payload_of(answered["signed_event"])
    assert (payload["type"], payload["instruction_id"]) == ("order.placed", order.id)
    assert payload["lines"] == [
        {"account": f"2110.{order.account_id}", "debit": "4.00"},
        {"account": f"2130.{order.account_id}", "credit": "4.00"},
    ]
    assert "Local court" not in json.dumps(payload)


def test_an_order_that_takes_nothing_is_an_event_without_lines(shared_bank: Bank) -> None:
    answered = json.loads(shared_bank.outcome(order_request(shared_bank, new_account(shared_bank))).body)
    payload = payload_of(answered["signed_event"])
    assert (answered["restricted"], payload["amount"], payload["lines"]) == ("0.00", "0.00", [])


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"payload": {"scope": "credit"}, "amount": "1.00"}, "order_malformed"),
        ({"payload": {"scope": "both"}, "amount": "1.00"}, "order_malformed"),
        ({"payload": {"authority": " "}}, "order_malformed"),
        ({"reason": " "}, "order_malformed"),
        ({"reference": None}, "order_malformed"),
        ({"expires_at": "now"}, "order_malformed"),
        ({"amount": "0.00"}, "amount_malformed"),
        ({"amount": "1.0"}, "amount_malformed"),
        ({"amount": "1.00", "currency": "EUR"}, "currency_mismatch"),
        ({"payer_account_id": "account_absent"}, "account_not_found"),
    ],
)
def test_what_does_not_fit_together_is_refused(shared_bank: Bank, changed: dict[str, Any], code: str) -> None:
    bank = shared_bank
    request = order_request(bank, LANTERN)
    payload = dict(request.payload or {}) | changed.pop("payload", {})
    asked = {"currency": "USD" if "amount" in changed else None} | changed
    if "expires_at" in asked:
        asked["expires_at"] = bank.clock.now()
    outcome = bank.outcome(request._replace(payload=payload, **asked))
    assert code_of(outcome) == code
    with bank.database.read() as connection:
        assert orders.orders(connection, bank.issuer_id, account_id=bank.account_id(LANTERN)) == []


def test_an_order_is_placed_on_a_frozen_account_and_not_on_a_closed_one(shared_bank: Bank) -> None:
    bank = shared_bank
    frozen, closed = new_account(bank, "5.00"), new_account(bank)
    bank.freeze(frozen)
    bank.close_account(closed)
    bank.place_order(frozen)
    assert figures(bank, frozen) == (0, 500)
    assert refusal_of(partial(bank.place_order, closed)) == "account_status_conflict"


def test_an_account_with_an_order_in_force_is_not_closed(shared_bank: Bank) -> None:
    bank = shared_bank
    account = new_account(bank)
    order_id = bank.place_order(account, scope="credit")
    assert refusal_of(partial(bank.close_account, account)) == "account_has_orders"
    bank.lift_order(order_id)
    bank.close_account(account)


OUT: Final = (
    "transfer out",
    "hold",
    "hold execution out",
    "redemption",
    "deposit release",
    "reversal out",
    "reversal out, asked for before",
)
INTO: Final = (
    "transfer in",
    "hold execution in",
    "deposit",
    "mint",
    "reversal in",
    "reversal in, asked for before",
)


def ask_for_reversal(bank: Bank, transfer_id: str) -> str:
    return bank.ask(
        Kind.REVERSAL, bank.maker, related_id=transfer_id, amount="0.01", currency="USD", reason="Sent twice."
    ).resource_id


def ways_of(bank: Bank, account: str) -> dict[str, Callable[[], object]]:
    """Prepare everything that can leave or reach an account, by any path; each may be asked for more than once."""
    bank.mint(account, "100.00")
    bank.deposit(account, "10.00")
    bank.mint(HARBOUR, "100.00")
    paid_out = bank.transfer(account, HARBOUR, "10.00")
    paid_in = bank.transfer(HARBOUR, account, "10.00")
    hold_out = bank.hold(account, HARBOUR, "10.00")
    hold_in = bank.hold(HARBOUR, account, "10.00")
    voided = [bank.hold(account, HARBOUR, "0.01") for _ in range(2)]
    reversal_out, reversal_in = ask_for_reversal(bank, paid_in), ask_for_reversal(bank, paid_out)
    return {
        "transfer out": lambda: bank.transfer(account, HARBOUR, "0.01"),
        "hold": lambda: bank.hold(account, HARBOUR, "0.01"),
        "hold execution out": lambda: bank.execute_hold(hold_out, "0.01"),
        "redemption": lambda: bank.redeem(account, "0.01"),
        "deposit release": lambda: bank.release_deposit(account, "0.01"),
        "reversal out": lambda: ask_for_reversal(bank, paid_in),
        "reversal out, asked for before": lambda: bank.approve(reversal_out, "0.01", "USD"),
        "transfer in": lambda: bank.transfer(HARBOUR, account, "0.01"),
        "hold execution in": lambda: bank.execute_hold(hold_in, "0.01"),
        "deposit": lambda: bank.deposit(account, "0.01"),
        "mint": lambda: bank.mint(account, "0.01", deposited=False),
        "reversal in": lambda: ask_for_reversal(bank, paid_out),
        "reversal in, asked for before": lambda: bank.approve(reversal_in, "0.01", "USD"),
        # It gives the payer's own tokens back to the payer's own account, where a top-up takes them.
        "hold void": lambda: bank.void_hold(voided.pop()),
    }


def test_no_way_leads_past_an_order(shared_bank: Bank) -> None:
    bank, account = shared_bank, new_account(shared_bank)
    ways = ways_of(bank, account)
    credit = bank.place_order(account, scope="credit")
    found = {way: refusal_of(ways[way]) for way in (*INTO, "hold void")}
    assert found == dict.fromkeys(INTO, "account_credit_blocked") | {"hold void": "settled"}
    bank.lift_order(credit)

    debit = bank.place_order(account, "1000.00")
    found = {way: refusal_of(act) for way, act in ways.items()}
    assert found == dict.fromkeys(OUT, "account_debit_blocked") | dict.fromkeys(
        (*INTO, "hold void"), "settled"
    )
    bank.lift_order(debit)
    assert {refusal_of(ways[way]) for way in OUT} == {"settled"}


def test_a_reversal_leaves_alone_what_an_order_holds(shared_bank: Bank) -> None:
    bank = shared_bank
    bank.mint(HARBOUR, "10.00")
    account = new_account(bank)
    transfer = bank.transfer(HARBOUR, account, "10.00")
    bank.place_order(account, "7.00")
    assert refusal_of(partial(bank.reverse, transfer, "3.01")) == "insufficient_funds"
    bank.reverse(transfer, "3.00")
    assert figures(bank, account) == (0, 700)


def test_credits_that_come_later_are_taken_by_a_top_up(shared_bank: Bank) -> None:
    bank = shared_bank
    account = new_account(bank, "4.00")
    order_id = bank.place_order(account, "10.00")
    assert refusal_of(partial(bank.top_up_order, order_id)) == "order_nothing_to_take"
    bank.mint(account, "8.00")
    assert figures(bank, account) == (800, 400)
    assert refusal_of(partial(bank.transfer, account, HARBOUR, "0.01")) == "account_debit_blocked"

    told = json.loads(bank.top_up_order(order_id).body)
    assert (told["object"], told["amount"], told["order_id"]) == ("order_top_up", "6.00", order_id)
    assert figures(bank, account) == (200, 1_000)
    bank.transfer(account, HARBOUR, "2.00")
    assert refusal_of(partial(bank.top_up_order, order_id)) == "order_nothing_to_take"


def test_several_orders_are_served_in_the_order_in_which_they_were_placed(shared_bank: Bank) -> None:
    bank = shared_bank
    account = new_account(bank, "10.00")
    first, second, third = (bank.place_order(account, amount) for amount in ("6.00", "6.00", "1.00"))
    assert [bank.order(one).held_minor for one in (first, second, third)] == [600, 400, 0]
    bank.mint(account, "3.00")
    bank.top_up_order(third)
    assert [bank.order(one).held_minor for one in (first, second, third)] == [600, 600, 100]

    lift = bank.lift_order(first)
    with bank.database.read() as connection:
        moved = tokens.instructions_by_id(connection, bank.issuer_id, [lift])[lift]
    assert (moved.amount_minor, figures(bank, account)) == (600, (600, 700))


class TestLift:
    def test_it_takes_another_person_who_types_what_is_given_back(self, shared_bank: Bank) -> None:
        bank = shared_bank
        account = new_account(bank, "10.00")
        order_id = bank.place_order(account, "4.00")
        asked = bank.ask(Kind.ORDER_LIFT, bank.checker, related_id=order_id, reason="Set aside.")
        told = json.loads(asked.body)
        assert (asked.status, told["state"], told["amount"]) == (202, "pending_approval", "4.00")
        assert (told["order_id"], told["approval_id"]) == (order_id, with_prefix("approval", told["id"]))
        assert refusal_of(partial(bank.approve, told["id"], "4.00", "USD")) == "checker_is_maker"
        other = bank.ask(Kind.ORDER_LIFT, bank.maker, related_id=order_id, reason="Set aside.").resource_id
        assert refusal_of(partial(bank.approve, other)) == "approval_mismatch"
        assert refusal_of(partial(bank.approve, other, "4.01", "USD")) == "approval_mismatch"
        assert figures(bank, account) == (600, 400)

        bank.approve(other, "4.00", "USD")
        assert (figures(bank, account), bank.order(order_id).state) == ((1_000, 0), "lifted")
        with bank.database.read() as connection:
            last = orders.actions(connection, bank.issuer_id, order_id)[-1]
            event = events.event(connection, bank.issuer_id, with_prefix("event", other))
        assert (last.action, last.amount_minor, last.done_by) == ("lifted", 400, bank.maker.id)
        assert list(last.approvals) == payload_of(event.jws)["approvals"]
        assert len(last.approvals) == 1

    def test_one_that_was_rejected_leaves_the_order_in_force(self, shared_bank: Bank) -> None:
        bank = shared_bank
        order_id = bank.place_order(new_account(bank, "1.00"))
        asked = bank.ask(Kind.ORDER_LIFT, bank.maker, related_id=order_id, reason="Set aside.")
        bank.reject(asked.resource_id)
        assert (bank.order(order_id).state, bank.order(order_id).held_minor) == ("active", 100)

    def test_it_passes_on_what_others_lack(self, shared_bank: Bank) -> None:
        bank = shared_bank
        account = new_account(bank, "10.00")
        first = bank.place_order(account, kind="freeze", reference=None)
        second = bank.place_order(account, "3.00")
        lift = bank.lift_order(first)
        assert figures(bank, account) == (700, 300)
        assert (noted(bank, first)[-1], noted(bank, second)[-1]) == (("lifted", 700), ("received", 300))
        with bank.database.read() as connection:
            event = events.event(connection, bank.issuer_id, with_prefix("event", lift))
        assert payload_of(event.jws)["amount"] == "7.00"
        bank.transfer(account, HARBOUR, "7.00")

    def test_nothing_else_is_given_back_than_what_was_approved(self, shared_bank: Bank) -> None:
        bank = shared_bank
        account = new_account(bank, "4.00")
        order_id = bank.place_order(account, "10.00")
        asked = bank.ask(Kind.ORDER_LIFT, bank.maker, related_id=order_id, reason="Set aside.").resource_id
        bank.mint(account, "1.00")
        bank.top_up_order(order_id)
        assert refusal_of(partial(bank.approve, asked, "4.00", "USD")) == "order_changed"
        assert figures(bank, account) == (0, 500)
        bank.lift_order(order_id)
        assert figures(bank, account) == (500, 0)
        assert refusal_of(partial(bank.approve, asked, "4.00", "USD")) == "order_state_conflict"

    def test_an_order_that_holds_nothing_is_lifted_without_an_amount(self, shared_bank: Bank) -> None:
        bank = shared_bank
        account = new_account(bank)
        order_id = bank.place_order(account, scope="both")
        bank.lift_order(order_id)
        assert bank.order(order_id).state == "lifted"
        bank.mint(account, "1.00")


class TestSeizure:
    @pytest.mark.parametrize(
        ("changed", "amount", "code"),
        [
            ({}, "5.01", "seizure_exceeds_restricted"),
            ({}, "0.00", "amount_malformed"),
            ({"kind": "freeze"}, "1.00", "seizure_without_court_order"),
            ({"lifted": "yes"}, "1.00", "order_state_conflict"),
        ],
    )
    def test_what_it_may_not(
        self, shared_bank: Bank, changed: dict[str, str], amount: str, code: str
    ) -> None:
        bank = shared_bank
        account = new_account(bank, "9.00")
        changed = dict(changed)
        lifted = changed.pop("lifted", None)
        order_id = bank.place_order(account, "5.00", **changed)
        if lifted:
            bank.lift_order(order_id)
        before = figures(bank, account)
        assert refusal_of(partial(bank.seize, order_id, amount)) == code
        assert figures(bank, account) == before

    def test_it_is_executed_in_parts_and_leaves_supply(self, bank: Bank) -> None:
        bank.mint(LANTERN, "10.00")
        order_id = bank.place_order(LANTERN, "6.00")
        first = bank.seize(order_id, "2.00")
        assert (bank.order(order_id).state, bank.order(order_id).held_minor) == ("active", 400)
        assert refusal_of(partial(bank.seize, order_id, "4.01")) == "seizure_exceeds_restricted"
        bank.seize(order_id, "4.00")
        assert (bank.order(order_id).state, bank.order(order_id).held_minor) == ("executed", 0)
        assert refusal_of(partial(bank.seize, order_id, "0.01")) == "order_state_conflict"

        assert figures(bank, LANTERN) == (400, 0)
        assert bank.balance_minor("2310", "USD") == 600
        with bank.database.read() as connection:
            event = events.event(connection, bank.issuer_id, with_prefix("event", first))
        payload = payload_of(event.jws)
        assert payload["lines"] == [
            {"account": f"2130.{bank.account_id(LANTERN)}", "debit": "2.00"},
            {"account": f"2310.{bank.classes['USD'].id}", "credit": "2.00"},
        ]
        assert payload["related_id"] == order_id
        run, _ = reconcile(bank)
        assert run.figures["supply"] == {
            "minted": "10.00",
            "redeemed": "0.00",
            "seized": "6.00",
            "paid_out": "0.00",
            "signed_events": "4.00",
            "holder_balances": "4.00",
            "trial_balance": "4.00",
            "liability_register": "4.00",
            "events_verified": "5",
        }
        assert run.figures["control_account"]["ledger"] == "10.00"
        assert run.figures["control_account"]["payments_in_transit"] == "6.00"
        oracle(bank)

    def test_what_was_approved_is_refused_if_it_is_held_no_more(self, shared_bank: Bank) -> None:
        bank = shared_bank
        order_id = bank.place_order(new_account(bank, "5.00"))
        asked = bank.ask(
            Kind.ORDER_SEIZURE, bank.maker, related_id=order_id, amount="3.00", currency="USD", reason="x"
        ).resource_id
        bank.seize(order_id, "2.01")
        assert refusal_of(partial(bank.approve, asked, "3.00", "USD")) == "seizure_exceeds_restricted"


class TestExpiry:
    def test_what_is_over_blocks_nothing_and_is_ended_by_the_service(self, bank: Bank) -> None:
        bank.mint(LANTERN, "10.00")
        bank.mint("SILKROAD-USD", "10.00")
        until = bank.clock.now() + timedelta(hours=1)
        order_id = bank.place_order(LANTERN, "4.00", expires_at=until)
        bank.place_order(LANTERN, "1.00")
        bank.place_order("SILKROAD-USD", expires_at=until)
        assert self.due(bank) == []
        early = request_of(bank, Kind.ORDER_EXPIRY, related_id=order_id)
        assert code_of(bank.outcome(early)) == "order_not_expired"

        bank.clock.at = until
        assert refusal_of(partial(bank.seize, order_id, "1.00")) == "order_state_conflict"
        assert refusal_of(partial(bank.top_up_order, order_id)) == "order_state_conflict"
        assert refusal_of(partial(bank.close_account, LANTERN)) == "account_not_empty"
        due = self.due(bank)
        assert len(due) == 2
        settled = bank.settle(*[Submission((one,)) for one in [*due, *due]])
        assert [one.outcomes[0].replayed for one in settled] == [False, False, True, True]
        assert (figures(bank, LANTERN), bank.order(order_id).state) == ((900, 100), "expired")
        assert figures(bank, "SILKROAD-USD") == (1_000, 0)
        assert noted(bank, order_id)[-1] == ("expired", 400)
        assert self.due(bank) == []
        bank.transfer("SILKROAD-USD", HARBOUR, "10.00")
        oracle(bank)

    def due(self, bank: Bank) -> list[Request]:
        with bank.database.read() as connection:
            return tokens.due(connection, bank.issuer_id, bank.clock.now(), 10)

    def test_one_that_is_over_can_still_be_lifted(self, bank: Bank) -> None:
        bank.mint(LANTERN, "10.00")
        order_id = bank.place_order(LANTERN, expires_at=bank.clock.now() + timedelta(hours=1))
        bank.clock.at += timedelta(hours=1)
        bank.lift_order(order_id)
        assert (figures(bank, LANTERN), self.due(bank)) == ((1_000, 0), [])


def test_what_is_no_order_is_not_found(shared_bank: Bank) -> None:
    bank = shared_bank
    bank.mint(HARBOUR, "1.00")
    account = new_account(bank)
    for named in ("order_absent", bank.transfer(HARBOUR, account, "1.00"), bank.account_id(account)):
        for kind in (Kind.ORDER_TOP_UP, Kind.ORDER_LIFT, Kind.ORDER_EXPIRY):
            assert code_of(bank.outcome(request_of(bank, kind, related_id=named))) == "order_not_found"
        seizure = request_of(bank, Kind.ORDER_SEIZURE, related_id=named, amount="1.00", currency="USD")
        assert code_of(bank.outcome(seizure)) == "order_not_found"


@pytest.mark.parametrize(
    "change", ["restricted_minor = 600, amount_minor = 600", "state = 'lifted', ended_at = now()"]
)
def test_beside_an_order_that_was_changed_by_hand_nothing_is_decided(bank: Bank, change: str) -> None:
    bank.mint(LANTERN, "10.00")
    order_id = bank.place_order(LANTERN, "5.00")
    asked = [
        order_request(bank, LANTERN),
        request_of(bank, Kind.ORDER_TOP_UP, related_id=order_id),
        request_of(bank, Kind.ORDER_LIFT, related_id=order_id),
        request_of(bank, Kind.ORDER_SEIZURE, related_id=order_id, amount="1.00", currency="USD"),
    ]
    with connect(bank.urls.superuser_url) as connection:
        connection.execute(f"UPDATE restriction SET {change} WHERE id = %s".encode(), [order_id])
    for one in asked:
        with pytest.raises(InvariantError):
            bank.outcome(one)
    assert figures(bank, LANTERN) == (500, 500)
