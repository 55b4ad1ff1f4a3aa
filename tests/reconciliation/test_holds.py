"""Backing by holds on the customers' own accounts: what the core tells of each is held against the books."""

from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from tallystick.core.clock import format_time
from tallystick.reconciliation.breaks import Money
from tallystick.reconciliation.holds import Held, compare_holds
from tallystick.statements import DepositBalanceKind, NewDepositBalance, record_deposit_balance
from tests.bank import OPENED_AT, Bank, oracle
from tests.reconciliation.runs import reconcile, told
from tests.statements.imports import confirm_by_hand
from tests.tokens.test_breaker import state_of

USD = Money("USD", 2)
amounts = st.integers(0, 6)


def held(bank: Bank, account: str, figure: str, *, at: datetime | None = None) -> None:
    moment = at or bank.clock.at
    new = NewDepositBalance(
        token_class_id=bank.classes["USD"].id,
        account_id=bank.account_id(account),
        kind=DepositBalanceKind.HOLD,
        figure=figure,
        currency="USD",
        overdrawn=False,
        as_of=moment,
        source="core",
        source_reference=f"{account} {format_time(moment)} {figure}",
    )
    bank.database.run(lambda connection: record_deposit_balance(connection, bank.clock, bank.maker, new))


@given(
    st.dictionaries(st.sampled_from("abcd"), amounts),
    st.dictionaries(st.sampled_from("abcd"), st.tuples(amounts, amounts), min_size=1),
    amounts,
)
def test_the_difference_is_explained_account_by_account(
    books: dict[str, int], core: dict[str, tuple[int, int]], in_transit: int
) -> None:
    figures = {name: Held(minor, OPENED_AT, then, "x") for name, (minor, then) in core.items()}
    found = compare_holds(USD, books, figures, in_transit)
    assert found.closing_minor == sum(minor for minor, _ in core.values())
    whole = sum(books.values()) + in_transit - found.closing_minor
    assert found.difference_minor == whole == sum(one.difference_minor for one in found.breaks)
    assert found.timing_minor == sum(one.difference_minor for one in found.breaks if one.type == "timing")
    # Nothing is told of an account whose figure agrees and that has not moved since.
    quiet = {name for name in {*books, *core} if core.get(name, (0, 0)) == (books.get(name, 0),) * 2}
    assert all(one.evidence.get("account_id") not in quiet for one in found.breaks)
    assert all(one.difference_minor for one in found.breaks)


def test_holds_tie_and_what_moved_since_is_in_transit(bank: Bank) -> None:
    bank.enact(reconciliation={"backing": "customer_holds", "bank_data_age_max_hours": 24})
    confirm_by_hand(bank, "HARBOUR-USD", "100.00")
    confirm_by_hand(bank, "LANTERN-USD", "40.00")
    run, found = reconcile(bank)
    assert (run.verdict, run.bank_as_of, told(found)) == ("broken", None, [("missing_bank_entry", 14_000)])
    assert state_of(bank) == "tripped"

    held(bank, "HARBOUR-USD", "100.00")
    held(bank, "LANTERN-USD", "40.00")
    run, found = reconcile(bank)
    assert (run.verdict, found, run.suspended_because) == ("tied", [], None)
    assert (run.backing, run.bank_as_of, run.statement_id) == ("customer_holds", bank.clock.at, None)
    assert run.figures["control_account"]["statement_closing"] == "140.00"
    bank.approve(bank.change("breaker_reset", bank.classes["USD"].id).resource_id)

    bank.clock.at += timedelta(hours=1)
    bank.mint("HARBOUR-USD", "60.00", deposited=False)
    assert reconcile(bank)[1] == []
    bank.transfer("HARBOUR-USD", "SILKROAD-USD", "15.00")
    run, found = reconcile(bank)
    assert (run.verdict, sorted(told(found))) == (
        "broken",
        [("missing_bank_entry", 1_500), ("timing", -1_500)],
    )
    held(bank, "SILKROAD-USD", "0.00", at=bank.clock.at - timedelta(minutes=1))
    run, found = reconcile(bank)
    assert (run.verdict, sorted(told(found))) == ("tied", [("timing", -1_500), ("timing", 1_500)])
    held(bank, "SILKROAD-USD", "15.01")
    held(bank, "HARBOUR-USD", "84.99")
    held(bank, "NORTHWIND-USD", "0.01")
    run, found = reconcile(bank)
    assert sorted(told(found)) == [("amount", -1), ("amount", 1), ("unexpected_bank_entry", -1)]
    # A cent too little on one account is not made up for by one too much on another.
    assert "by USD 0.01" in (run.suspended_because or "")
    oracle(bank)


def test_the_oldest_hold_makes_the_age(bank: Bank) -> None:
    bank.enact(reconciliation={"backing": "customer_holds", "bank_data_age_max_hours": 24})
    confirm_by_hand(bank, "HARBOUR-USD", "100.00")
    confirm_by_hand(bank, "LANTERN-USD", "40.00")
    held(bank, "HARBOUR-USD", "100.00")
    bank.clock.at += timedelta(hours=25)
    held(bank, "LANTERN-USD", "40.00")
    run, _ = reconcile(bank)
    assert (run.verdict, state_of(bank)) == ("tied", "tripped")
    assert "older than 24 hours" in (run.suspended_because or "")
