"""The write path against a model in plain Python: any sequence of instructions has the same outcomes and balances.

Each example lives in a database of its own. After every step the balances are compared, and at the end the oracle
looks at log and books.
"""

from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, Final

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from tallystick import ledger
from tallystick.core.embedded_postgres import EmbeddedPostgres
from tallystick.core.ids import with_prefix
from tallystick.core.money import format_amount
from tallystick.tokens import Kind, Request
from tests.bank import APPROVAL_LIFETIME, Bank, open_bank, oracle
from tests.database import cloned_database

FUNDED: Final = ("HARBOUR-USD", "LANTERN-USD", "NORTHWIND-USD")
ACCOUNTS: Final = (*FUNDED, "SILKROAD-USD")
ACCOUNT = st.sampled_from(ACCOUNTS)
# Rules are picked evenly, and most accounts should be open most of the time.
SELDOM = st.sampled_from([False, False, False, True])
# Small enough to meet often, large enough to differ.
MINOR = st.integers(1, 12).map(lambda number: number * 25)
HOURS = st.integers(1, 30)


@dataclass(slots=True)
class ModelOrder:
    """A court's order: `asked` is None for the whole account; one that binds credits takes nothing."""

    id: str
    name: str
    asked: int | None
    binds_credits: bool = False
    taken: int = 0
    seized: int = 0
    is_open: bool = True

    @property
    def kept(self) -> int:
        return self.taken - self.seized if self.is_open else 0

    @property
    def is_short(self) -> bool:
        return self.is_open and not self.binds_credits and (self.asked is None or self.taken < self.asked)


@dataclass(slots=True)
class ModelAccount:
    """An account as a teller would keep it on a slip of paper."""

    deposits: int = 0
    available: int = 0
    held: int = 0
    seized: int = 0
    status: str = "open"
    orders: list[ModelOrder] = field(default_factory=list)

    @property
    def restricted(self) -> int:
        return sum(one.kept for one in self.orders)

    @property
    def empty(self) -> bool:
        return self.deposits == self.available == self.held == self.restricted == 0

    def serve(self, available: int) -> int:
        """Let orders that have less than they ask for take what is available, first come first served; the rest."""
        for one in self.orders:
            if one.is_short:
                taken = available if one.asked is None else min(available, one.asked - one.taken)
                one.taken += taken
                available -= taken
        return available


@dataclass(slots=True)
class Sent:
    """A transfer, a hold or something that waits for approval."""

    id: str
    payer: str
    payee: str
    remaining: int
    expires_at: datetime | None
    is_open: bool = True
    kind: Kind = Kind.TRANSFER
    of: "Sent | None" = None


@dataclass(slots=True)
class Model:
    """What should come out, in whole."""

    accounts: dict[str, ModelAccount] = field(
        default_factory=lambda: {name: ModelAccount() for name in ACCOUNTS}
    )

    def blocked(self, payer: str | None = None, payee: str | None = None) -> str:
        for name, side in ((payer, "debit"), (payee, "credit")):
            if name is None:
                continue
            account = self.accounts[name]
            if account.status != "open":
                return f"account_{account.status}"
            if self.stopped(name, side):
                return f"account_{side}_blocked"
        return ""

    def stopped(self, name: str, side: str) -> bool:
        """Tell whether an order blocks this side of an account."""
        found = self.accounts[name].orders
        if side == "debit":
            return any(one.is_short for one in found)
        return any(one.is_open and one.binds_credits for one in found)


class WritePath(RuleBasedStateMachine):
    """Asks the model and the product for the same and compares."""

    transfers: "Bundle[Sent]" = Bundle("transfers")
    holds: "Bundle[Sent]" = Bundle("holds")
    waiting: "Bundle[Sent]" = Bundle("waiting")
    orders: "Bundle[ModelOrder]" = Bundle("orders")

    server: ClassVar[EmbeddedPostgres]
    template: ClassVar[str]

    def __init__(self) -> None:
        super().__init__()
        self._opened = ExitStack()
        urls = self._opened.enter_context(cloned_database(self.server, self.template))
        keys = self._opened.enter_context(TemporaryDirectory())
        self.bank: Bank = self._opened.enter_context(open_bank(urls, Path(keys) / "keys", pool_size=2))
        self.model = Model()
        self.answered: list[tuple[Request, bytes]] = []

    def teardown(self) -> None:
        try:
            oracle(self.bank)
        finally:
            self._opened.close()

    def ask(self, expected: str, kind: Kind, principal: str = "maker", **asked: Any) -> str:
        """Ask for it, check that the outcome is the expected one, and return the id of what was made."""
        request = self.bank.request(kind, getattr(self.bank, principal), **asked)
        outcome = self.bank.outcome(request)
        assert (outcome.refusal.code if outcome.refusal else "") == expected, (kind, asked)
        if outcome.refusal is None:
            self.answered.append((request, outcome.body))
        return outcome.resource_id

    def move(self, minor: int, payer: str | None = None, payee: str | None = None) -> dict[str, Any]:
        sides = {"payer_account_id": payer, "payee_account_id": payee}
        named = {side: self.bank.account_id(name) for side, name in sides.items() if name is not None}
        return {"amount": format_amount(minor, 2), "currency": "USD", **named}

    @initialize()
    def fund(self) -> None:
        for name in FUNDED:
            self.mint_from_a_deposit(name, 1000)
            self.deposit(name, 500)

    @property
    def approvable_until(self) -> datetime:
        return self.bank.clock.at + APPROVAL_LIFETIME

    def is_over(self, one: Sent) -> bool:
        return one.expires_at is not None and one.expires_at <= self.bank.clock.at

    @rule(hours=HOURS)
    def pass_time(self, hours: int) -> None:
        self.bank.clock.at += timedelta(hours=hours)

    @rule(name=ACCOUNT, minor=MINOR)
    def deposit(self, name: str, minor: int) -> None:
        expected = self.model.blocked(payee=name)
        self.ask(
            expected, Kind.DEPOSIT, evidence=True, related_id="statement_0.1", **self.move(minor, payee=name)
        )
        if not expected:
            self.model.accounts[name].deposits += minor

    @rule(name=ACCOUNT, minor=MINOR)
    def release(self, name: str, minor: int) -> None:
        account = self.model.accounts[name]
        expected = self.model.blocked(name) or ("insufficient_funds" if minor > account.deposits else "")
        self.ask(expected, Kind.DEPOSIT_RELEASE, **self.move(minor, payer=name))
        if not expected:
            account.deposits -= minor

    @rule(target=waiting, name=ACCOUNT, minor=MINOR)
    def mint(self, name: str, minor: int) -> Any:
        account = self.model.accounts[name]
        expected = self.model.blocked(payee=name) or (
            "insufficient_funds" if minor > account.deposits else ""
        )
        made = self.ask(expected, Kind.MINT, **self.move(minor, payee=name))
        return (
            multiple() if expected else Sent(made, name, name, minor, self.approvable_until, kind=Kind.MINT)
        )

    @rule(name=ACCOUNT, minor=MINOR)
    def mint_from_a_deposit(self, name: str, minor: int) -> None:
        if not self.model.blocked(payee=name):
            self.bank.mint(name, format_amount(minor, 2))
            self.model.accounts[name].available += minor

    @rule(target=transfers, payer=ACCOUNT, payee=ACCOUNT, minor=MINOR)
    def transfer(self, payer: str, payee: str, minor: int) -> Any:
        expected = self.expected_of_a_move(payer, payee, minor)
        made = self.ask(expected, Kind.TRANSFER, **self.move(minor, payer, payee))
        if expected:
            return multiple()
        self.model.accounts[payer].available -= minor
        self.model.accounts[payee].available += minor
        return Sent(made, payer, payee, minor, None)

    @rule(target=holds, payer=ACCOUNT, payee=ACCOUNT, minor=MINOR, hours=st.none() | HOURS)
    def hold(self, payer: str, payee: str, minor: int, hours: int | None) -> Any:
        expected = self.expected_of_a_move(payer, payee, minor)
        expires_at = None if hours is None else self.bank.clock.at + timedelta(hours=hours)
        made = self.ask(expected, Kind.HOLD, expires_at=expires_at, **self.move(minor, payer, payee))
        if expected:
            return multiple()
        self.model.accounts[payer].available -= minor
        self.model.accounts[payer].held += minor
        return Sent(made, payer, payee, minor, expires_at)

    def expected_of_a_move(self, payer: str, payee: str, minor: int) -> str:
        if payer == payee:
            return "same_account"
        short = minor > self.model.accounts[payer].available
        return self.model.blocked(payer, payee) or ("insufficient_funds" if short else "")

    @rule(hold=holds, minor=MINOR)
    def execute(self, hold: Sent, minor: int) -> None:
        expected = (
            "hold_closed"
            if not hold.is_open
            else "hold_expired"
            if self.is_over(hold)
            else "remaining_exceeded"
            if minor > hold.remaining
            else self.model.blocked(hold.payer, hold.payee)
        )
        self.ask(expected, Kind.HOLD_EXECUTION, related_id=hold.id, **self.move(minor))
        if not expected:
            self.model.accounts[hold.payer].held -= minor
            self.model.accounts[hold.payee].available += minor
            hold.remaining -= minor
            hold.is_open = hold.remaining > 0

    @rule(hold=holds)
    def void(self, hold: Sent) -> None:
        self.ask("" if hold.is_open else "hold_closed", Kind.HOLD_VOID, related_id=hold.id)
        if hold.is_open:
            self.model.accounts[hold.payer].held -= hold.remaining
            self.model.accounts[hold.payer].available += hold.remaining
            hold.is_open = False

    @rule(name=ACCOUNT, minor=MINOR)
    def redeem(self, name: str, minor: int) -> None:
        account = self.model.accounts[name]
        expected = self.model.blocked(name) or ("insufficient_funds" if minor > account.available else "")
        self.ask(expected, Kind.REDEMPTION, **self.move(minor, payer=name))
        if not expected:
            account.available -= minor
            account.deposits += minor

    @rule(target=waiting, transfer=transfers, minor=MINOR)
    def reverse(self, transfer: Sent, minor: int) -> Any:
        expected = self.expected_of_a_reversal(transfer, minor)
        made = self.ask(expected, Kind.REVERSAL, related_id=transfer.id, **self.move(minor))
        return (
            multiple()
            if expected
            else Sent(
                made,
                transfer.payee,
                transfer.payer,
                minor,
                self.approvable_until,
                kind=Kind.REVERSAL,
                of=transfer,
            )
        )

    def expected_of_a_reversal(self, transfer: Sent, minor: int) -> str:
        if minor > transfer.remaining:
            return "remaining_exceeded"
        if self.model.accounts[transfer.payer].status == "closed":
            return "account_status_conflict"
        if self.model.stopped(transfer.payee, "debit"):
            return "account_debit_blocked"
        if self.model.stopped(transfer.payer, "credit"):
            return "account_credit_blocked"
        return "insufficient_funds" if minor > self.model.accounts[transfer.payee].available else ""

    @rule(one=waiting)
    def approve(self, one: Sent) -> None:
        payee = self.model.accounts[one.payee]
        if not one.is_open:
            expected = "approval_closed"
        elif self.is_over(one):
            expected = "approval_expired"
        elif one.kind == Kind.REVERSAL:
            assert one.of is not None
            expected = self.expected_of_a_reversal(one.of, one.remaining)
        else:
            short = one.remaining > payee.deposits
            expected = self.model.blocked(payee=one.payee) or ("insufficient_funds" if short else "")
        approval_id = with_prefix("approval", one.id)
        self.ask(expected, Kind.APPROVE, "checker", related_id=approval_id, **self.move(one.remaining))
        if expected:
            return
        one.is_open = False
        payee.available += one.remaining
        if one.of is None:
            payee.deposits -= one.remaining
        else:
            self.model.accounts[one.payer].available -= one.remaining
            one.of.remaining -= one.remaining

    @rule(one=consumes(waiting))
    def reject(self, one: Sent) -> None:
        expected = "approval_closed" if not one.is_open else "approval_expired" if self.is_over(one) else ""
        self.ask(expected, Kind.REJECT, "checker", related_id=with_prefix("approval", one.id))

    @rule(name=ACCOUNT, seldom=SELDOM)
    def freeze(self, name: str, seldom: bool) -> None:
        account = self.model.accounts[name]
        if not seldom:
            return
        expected = "" if account.status == "open" else "account_status_conflict"
        self.ask(expected, Kind.ACCOUNT_FREEZE, payer_account_id=self.bank.account_id(name), reason="Court.")
        if not expected:
            account.status = "frozen"

    @rule(name=ACCOUNT)
    def unfreeze(self, name: str) -> None:
        account = self.model.accounts[name]
        if account.status == "frozen":
            self.bank.unfreeze(name)
            account.status = "open"
        else:
            asked = {"payer_account_id": self.bank.account_id(name), "reason": "Court."}
            self.ask("account_status_conflict", Kind.ACCOUNT_UNFREEZE, **asked)

    @rule(name=st.sampled_from(ACCOUNTS[2:]), seldom=SELDOM)
    def close(self, name: str, seldom: bool) -> None:
        if not seldom:
            return
        account = self.model.accounts[name]
        expected = (
            "account_status_conflict"
            if account.status != "open"
            else "account_not_empty"
            if not account.empty
            else "account_has_orders"
            if any(one.is_open for one in account.orders)
            else ""
        )
        self.ask(expected, Kind.ACCOUNT_CLOSURE, payer_account_id=self.bank.account_id(name), reason="Moved.")
        if not expected:
            account.status = "closed"

    @rule(target=orders, name=ACCOUNT, minor=MINOR, whole=SELDOM, of_credits=SELDOM)
    def place_order(self, name: str, minor: int, whole: bool, of_credits: bool) -> Any:
        account = self.model.accounts[name]
        if account.status == "closed":
            return multiple()
        asked = None if whole or of_credits else minor
        amount = None if asked is None else format_amount(asked, 2)
        placed = self.bank.place_order(name, amount, scope="credit" if of_credits else "debit")
        order = ModelOrder(placed, name, asked, binds_credits=of_credits)
        account.orders.append(order)
        account.available = account.serve(account.available)
        return order

    @rule(order=orders)
    def top_up(self, order: ModelOrder) -> None:
        account = self.model.accounts[order.name]
        takes = account.available and any(one.is_short for one in account.orders)
        expected = "order_state_conflict" if not order.is_open else "" if takes else "order_nothing_to_take"
        self.ask(expected, Kind.ORDER_TOP_UP, "operator", related_id=order.id, reason="Credits came in.")
        if not expected:
            account.available = account.serve(account.available)

    @rule(order=consumes(orders))
    def lift(self, order: ModelOrder) -> None:
        if not order.is_open:
            self.ask("order_state_conflict", Kind.ORDER_LIFT, related_id=order.id, reason="Set aside.")
            return
        self.bank.lift_order(order.id)
        kept, order.is_open = order.kept, False
        account = self.model.accounts[order.name]
        account.available += account.serve(kept)

    @rule(order=orders, minor=MINOR)
    def seize(self, order: ModelOrder, minor: int) -> None:
        expected = (
            "order_state_conflict"
            if not order.is_open
            else "seizure_exceeds_restricted"
            if minor > order.kept
            else ""
        )
        asked = {"related_id": order.id, "reason": "Transfer order."} | self.move(minor)
        made = self.ask(expected, Kind.ORDER_SEIZURE, **asked)
        if expected:
            return
        self.bank.approve(made, format_amount(minor, 2), "USD")
        order.seized += minor
        order.is_open = order.seized != order.asked
        self.model.accounts[order.name].seized += minor

    @rule(data=st.data())
    def send_again(self, data: st.DataObject) -> None:
        if self.answered:
            request, body = data.draw(st.sampled_from(self.answered))
            again = self.bank.outcome(request)
            assert (again.replayed, again.body) == (True, body)

    @invariant()
    def balances_are_the_models(self) -> None:
        ids = {
            ledger.ledger_account_id(code, self.bank.account_id(name)): getattr(account, member)
            for name, account in self.model.accounts.items()
            for code, member in (
                ("2010", "deposits"),
                ("2110", "available"),
                ("2120", "held"),
                ("2130", "restricted"),
            )
        }
        class_id = self.bank.classes["USD"].id
        ids[ledger.ledger_account_id("2310", class_id)] = sum(
            account.seized for account in self.model.accounts.values()
        )
        expected = ids | {ledger.ledger_account_id("1100", class_id): sum(ids.values())}
        with self.bank.database.read() as connection:
            assert ledger.balances(connection, self.bank.issuer_id, list(expected)) == expected


def test_any_sequence_of_instructions(postgres_server: EmbeddedPostgres, migrated_template: str) -> None:
    class OnThisServer(WritePath):
        server = postgres_server
        template = migrated_template

    run_state_machine_as_test(
        OnThisServer,
        settings=settings(
            max_examples=20,
            stateful_step_count=50,
            deadline=None,
            phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        ),
    )
