"""Balances of the control account that the core pushes between its statements, against what they should be."""

from datetime import UTC, date, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from tallystick import reconciliation
from tallystick.core.clock import format_time
from tallystick.reconciliation.breaks import Money
from tallystick.reconciliation.pairing import ControlMovement, Cutoff
from tallystick.reconciliation.pushed import PushedBalance, compare_pushed
from tallystick.statements import DepositBalanceKind, NewDepositBalance, record_deposit_balance
from tests.bank import Bank, oracle
from tests.camt_writer import Entry
from tests.reconciliation.runs import carried, reconcile, told
from tests.reconciliation.test_suspending import FIVE, HUNDRED, reset, shown
from tests.statements.imports import confirm_by_hand
from tests.tokens.test_breaker import state_of

USD = Money("USD", 2)
NONE = dict.fromkeys(("deposit_balance_id", "as_of", "balance", "expected", "difference"))


def push(bank: Bank, figure: str, *, at: datetime | None = None) -> str:
    """Push what the core has on the class's backing account; return the figure's id."""
    moment = at or bank.clock.at
    new = NewDepositBalance(
        token_class_id=bank.classes["USD"].id,
        account_id=None,
        kind=DepositBalanceKind.BALANCE,
        figure=figure,
        currency="USD",
        overdrawn=False,
        as_of=moment,
        source="core",
        source_reference=f"{format_time(moment)} {figure}",
    )
    return bank.database.run(
        lambda connection: record_deposit_balance(connection, bank.clock, bank.maker, new)
    ).id


def test_what_the_books_moved_since_the_statement_is_expected(bank: Bank) -> None:
    shown(bank, HUNDRED, FIVE)
    assert reconcile(bank)[0].figures["pushed_balance"] == NONE
    bank.release_deposit("HARBOUR-USD", "10.00")
    confirm_by_hand(bank, "LANTERN-USD", "2.00")
    pushed = push(bank, "97.00")
    bank.clock.at += timedelta(hours=1)
    # The core can't know of this one yet.
    bank.release_deposit("HARBOUR-USD", "1.00")

    run, found = reconcile(bank)

    assert run.figures["pushed_balance"] == {
        "deposit_balance_id": pushed,
        "as_of": format_time(bank.clock.at - timedelta(hours=1)),
        "balance": "97.00",
        "expected": "97.00",
        "difference": "0.00",
    }
    assert (run.verdict, sorted(told(found))) == (
        "tied",
        [("timing", -1000), ("timing", -100), ("timing", 200)],
    )
    oracle(bank)


def test_a_cent_less_suspends_and_the_next_balance_clears_it(bank: Bank) -> None:
    shown(bank, HUNDRED)
    bank.clock.at += timedelta(hours=1)
    pushed = push(bank, "99.99")

    run, found = reconcile(bank)

    assert (run.verdict, told(found)) == ("broken", [("missing_bank_entry", 1)])
    assert found[0].evidence["deposit_balance_id"] == pushed
    assert "exceed what is confirmed by USD 0.01" in (run.suspended_because or "")
    assert state_of(bank) == "tripped"
    # Of the statement nothing is left open: its own figures tie.
    assert run.figures["control_account"]["difference"] == "0.00"
    [first] = carried(bank, found)
    bank.clock.at += timedelta(hours=1)
    push(bank, "99.98")
    [second] = carried(bank, reconcile(bank)[1])
    assert (second.id, second.difference_minor) == (first.id, 2)

    bank.clock.at += timedelta(hours=1)
    push(bank, "100.00")
    assert told(reconcile(bank)[1]) == []
    assert (carried(bank, found)[0].state, reset(bank), state_of(bank)) == ("cleared", "settled", "closed")


def test_what_was_accepted_once_is_not_accepted_when_it_returns(bank: Bank) -> None:
    shown(bank, HUNDRED)
    bank.clock.at += timedelta(hours=1)
    push(bank, "90.00")
    [found] = carried(bank, reconcile(bank)[1])
    payload = {
        "difference": "10.00",
        "currency": "USD",
        "reason": "The core says that it was a mistake of its own.",
    }
    bank.approve(bank.change("break_write_off", found.id, payload).resource_id)
    assert reconcile(bank)[0].verdict == "tied"
    bank.clock.at += timedelta(hours=1)
    push(bank, "100.00")
    reconcile(bank)
    with bank.database.read() as connection:
        assert reconciliation.break_(connection, bank.issuer_id, found.id).state == "cleared"
    bank.clock.at += timedelta(hours=1)
    push(bank, "90.00")

    run, again = reconcile(bank)

    assert (run.verdict, told(again)) == ("broken", [("missing_bank_entry", 1000)])
    [returned] = carried(bank, again)
    assert (returned.id, returned.state) == (found.id, "open")


def test_more_is_timing_until_a_statement_reaches_further(bank: Bank) -> None:
    shown(bank, HUNDRED)
    bank.clock.at += timedelta(hours=1)
    push(bank, "105.00")

    run, found = reconcile(bank)

    assert (run.verdict, told(found), run.suspended_because) == ("tied", [("timing", -500)], None)
    bank.clock.at += timedelta(days=1)
    shown(bank, FIVE, day="2026-11-20", opening="100.00")
    run, found = reconcile(bank)
    assert (run.verdict, told(found), run.figures["pushed_balance"]) == ("tied", [], NONE)


def test_an_older_balance_and_one_without_a_statement_tell_nothing(bank: Bank) -> None:
    push(bank, "7.00", at=datetime(2026, 11, 19, 23, 0, tzinfo=UTC))
    assert reconcile(bank)[0].figures["pushed_balance"] == NONE
    shown(bank, HUNDRED)
    assert reconcile(bank)[0].figures["pushed_balance"] == NONE


def test_each_of_two_times_hides_it(bank: Bank) -> None:
    shown(bank, HUNDRED)
    bank.clock.at += timedelta(hours=1)
    before = bank.clock.at
    bank.clock.at += timedelta(hours=1)
    push(bank, "90.00", at=before)
    known = bank.clock.at
    bank.clock.at += timedelta(hours=1)

    assert reconcile(bank, as_of=known - timedelta(minutes=1))[0].figures["pushed_balance"] == NONE
    earlier = reconcile(bank, bank_as_of=before - timedelta(minutes=1))[0]
    assert earlier.figures["pushed_balance"] == NONE
    assert told(reconcile(bank, as_of=known)[1]) == [("missing_bank_entry", 1000)]
    # Views of a past moment move nothing.
    assert state_of(bank) == "closed"


def test_what_a_later_entry_explains_is_no_difference(bank: Bank) -> None:
    shown(bank, HUNDRED, Entry("3.00", credit=False))
    bank.clock.at += timedelta(hours=1)
    push(bank, "97.00")
    # The bank's fee is in its own closing balance: the pushed one adds nothing to that break.
    assert told(reconcile(bank)[1]) == [("unexpected_bank_entry", 300)]


@given(
    st.integers(-50, 50),
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 4), st.integers(-9, 9)), max_size=12),
    st.integers(0, 9),
    st.integers(0, 4),
    st.integers(-60, 60),
)
def test_by_the_minor_unit(
    closing: int, moved: list[tuple[int, int, int]], index: int, day: int, figure: int
) -> None:
    days = [date(2026, 11, 20 + number) for number in range(5)]
    cutoff = Cutoff(index, days[day])
    since = sum(
        minor
        for at, valued, minor in moved
        if cutoff.takes_in(ControlMovement(at, "deposit_x", minor, days[valued], None, None))
    )
    assert since == sum(minor for at, valued, minor in moved if at <= index and valued <= day)
    pushed = PushedBalance(
        "deposit_balance_x", "statement_x", datetime(2026, 11, 25, tzinfo=UTC), figure, cutoff
    )
    facts, breaks = compare_pushed(USD, pushed, closing, since)
    short = closing + since - figure
    assert facts.expected_minor == closing + since
    assert [(one.type, one.difference_minor, one.excess_minor) for one in breaks] == (
        [("missing_bank_entry" if short > 0 else "timing", short, max(short, 0))] if short else []
    )
    assert not any(one.control_effect_minor or one.supply_effect_minor for one in breaks)
