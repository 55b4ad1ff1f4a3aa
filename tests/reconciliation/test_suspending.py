"""The breaker and the bank: what a run can't account for suspends issuance in the run's own transaction."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import psycopg
import pytest

from tallystick import reconciliation, tokens
from tallystick.core.errors import DomainError
from tallystick.reconciliation import store
from tests.bank import Bank, oracle
from tests.camt_writer import Entry, statement
from tests.database import connect
from tests.reconciliation.runs import reconcile
from tests.statements.imports import confirm_by_hand
from tests.tokens.changing import code_of, log_of, rows
from tests.tokens.test_breaker import asked_mint, state_of, trips
from tests.tokens.together import at_once

FIVE = Entry("5.00", remittance="LANTERN-USD")
HUNDRED = Entry("100.00", remittance="HARBOUR-USD")


def shown(bank: Bank, *entries: Entry, day: str = "2026-11-19", opening: str = "0.00", **of: Any) -> None:
    bank.import_statement(statement(*entries, day=day, opening=opening, **of))


def reset(bank: Bank) -> str:
    """Ask for the reset, let another person approve it; return what became of it."""
    try:
        asked = bank.change("breaker_reset", bank.classes["USD"].id)
    except DomainError as refused:
        return refused.code
    bank.approve(asked.resource_id)
    return "settled"


def test_a_shortfall_of_a_cent_suspends_and_a_clean_run_lets_two_people_go_on(bank: Bank) -> None:
    shown(bank, HUNDRED)
    assert reconcile(bank)[0].suspended_because is None
    waiting = asked_mint(bank, "0.01")  # Its deposit no statement shows.
    bank.clock.at += timedelta(minutes=1)
    shown(bank, FIVE, day="2026-11-20", opening="100.00")

    run, found = reconcile(bank)

    assert [(one.type, one.difference_minor) for one in found] == [("missing_bank_entry", 1)]
    assert run.suspended_because == (
        "The tokens could exceed what is confirmed by USD 0.01, which is more than the tolerance of USD 0.00."
    )
    [trip] = trips(bank)
    assert (trip["reason"], trip["token_class_id"]) == (run.suspended_because, run.token_class_id)
    assert (state_of(bank), code_of(bank.outcome(waiting))) == ("tripped", "issuance_suspended")
    bank.release_deposit("LANTERN-USD", "1.00")
    assert reset(bank) == "clean_run_needed"
    # A second run that finds the same trips nothing again.
    assert (reconcile(bank)[0].suspended_because is not None, len(trips(bank))) == (True, 1)

    bank.clock.at += timedelta(days=1)
    late = Entry("0.01", remittance="HARBOUR-USD"), Entry("1.00", credit=False)
    shown(bank, *late, day="2026-11-21", opening="105.00")
    # The statement's cent became a deposit of its own, so the one that nobody saw is given back.
    bank.release_deposit("HARBOUR-USD", "0.01")
    shown(bank, Entry("0.01", credit=False), day="2026-11-22", opening="104.01")
    assert reset(bank) == "clean_run_needed"
    run, found = reconcile(bank)
    while run.verdict == "broken":
        [left] = [one for one in found if one.type != "timing"]
        payload = {"difference": "0.01", "currency": "USD", "reason": "Confirmed twice, given back."}
        asked_for = bank.change("break_write_off", left.break_id or "", payload).resource_id
        bank.approve(asked_for, "0.01", "USD")
        run, found = reconcile(bank)
    assert (run.suspended_because, reset(bank), state_of(bank)) == (None, "settled", "closed")
    assert code_of(bank.outcome(waiting)) == "settled"
    oracle(bank)


def test_what_is_explained_suspends_nothing_until_it_is_overdue(bank: Bank) -> None:
    shown(bank, FIVE, day="2026-11-18")
    confirm_by_hand(bank, "HARBOUR-USD", "100.00")
    assert reconcile(bank)[0].suspended_because is None
    bank.clock.at += timedelta(hours=73)

    run, _ = reconcile(bank)

    # Nothing but time has passed, and the statement that was to show it did not come.
    assert (run.verdict, state_of(bank)) == ("tied", "tripped")
    assert "exceed what is confirmed by USD 100.00" in (run.suspended_because or "")
    assert reset(bank) == "clean_run_needed"


@pytest.mark.parametrize(
    ("policy", "suspended"), [({}, True), ({"tolerance": "99.99"}, True), ({"tolerance": "100.00"}, False)]
)
def test_the_tolerance_is_the_policys(bank: Bank, policy: dict[str, Any], suspended: bool) -> None:
    bank.enact(reconciliation=policy)
    confirm_by_hand(bank, "HARBOUR-USD", "100.00")
    shown(bank, FIVE, day="2026-11-20")
    run, _ = reconcile(bank)
    assert (run.verdict, run.suspended_because is not None) == ("broken", suspended)
    assert state_of(bank) == ("tripped" if suspended else "closed")


def test_more_at_the_bank_is_no_reason_and_one_difference_does_not_make_up_for_another(bank: Bank) -> None:
    shown(bank, FIVE, Entry("3.00", credit=False), day="2026-11-20", opening="7.00")
    run, _ = reconcile(bank)
    # The debit that the books don't show is what they have too much; the opening is what they have too little.
    assert "by USD 3.00" in (run.suspended_because or "")


def test_missing_data(bank: Bank) -> None:
    assert (reconcile(bank)[0].suspended_because, state_of(bank)) == (None, "closed")
    bank.mint("HARBOUR-USD", "2.00")
    run, _ = reconcile(bank)
    assert run.suspended_because == "Nothing of the bank's confirms the USD 2.00 in the books."
    assert state_of(bank) == "tripped"
    bank.redeem("HARBOUR-USD", "1.00")


@pytest.mark.parametrize("accepted", [False, True])
def test_a_gap_in_the_banks_numbers(bank: Bank, accepted: bool) -> None:
    bank.enact(reconciliation={"sequence_gaps_accepted": accepted})
    shown(bank, FIVE, day="2026-11-17", sequence=1)
    shown(bank, FIVE, day="2026-11-19", opening="5.00", sequence=3)
    run, _ = reconcile(bank)
    assert (run.suspended_because is None) == accepted
    if not accepted:
        assert "number 1 and 3" in (run.suspended_because or "")
        # The one between was late; it holds nothing, and the order of arrival does not matter.
        shown(bank, day="2026-11-18", opening="5.00", sequence=2)
        assert (reconcile(bank)[0].suspended_because, reset(bank)) == (None, "settled")


def test_a_balance_that_does_not_follow(bank: Bank) -> None:
    shown(bank, FIVE, day="2026-11-18")
    shown(bank, FIVE, day="2026-11-19", opening="6.00")
    assert "does not begin with the balance" in (reconcile(bank)[0].suspended_because or "")


def test_an_event_that_is_gone(bank: Bank) -> None:
    shown(bank, FIVE)
    bank.mint("LANTERN-USD", "1.00", deposited=False)
    with connect(bank.urls.superuser_url) as connection:
        connection.execute(b"ALTER TABLE event DISABLE TRIGGER USER")
        connection.execute(b"DELETE FROM event WHERE type = 'token.minted'")
    run, _ = reconcile(bank)
    assert (run.suspended_because, state_of(bank)) == (
        "The log lacks valid events: 1 breaks say where.",
        "tripped",
    )


def test_old_data_trip_at_the_mint_itself(bank: Bank) -> None:
    """No run is needed: whoever mints on data that are too old trips the breaker instead."""
    bank.enact(reconciliation={"bank_data_age_max_hours": 48})
    deposit = bank.request(
        tokens.Kind.MINT,
        bank.maker,
        amount="1.00",
        currency="USD",
        payee_account_id=bank.account_id("HARBOUR-USD"),
    )
    shown(bank, HUNDRED)
    assert code_of(bank.outcome(deposit)) == "settled"
    waiting = asked_mint(bank)
    bank.clock.at += timedelta(hours=40)
    assert code_of(bank.outcome(asked_mint(bank))) == "settled"
    bank.clock.at += timedelta(seconds=1)

    assert code_of(bank.outcome(waiting)) == "breaker_tripped"

    [trip] = trips(bank)
    assert trip["reason"] == "The bank's data reach up to 2026-11-20 00:00 UTC and are older than 48 hours."
    assert code_of(bank.outcome(waiting)) == "issuance_suspended"
    bank.redeem("HARBOUR-USD", "0.50")
    oracle(bank)


def test_without_any_data_a_mint_trips(bank: Bank) -> None:
    bank.enact(reconciliation={"bank_data_age_max_hours": 48})
    bank.deposit("HARBOUR-USD", "1.00")
    with pytest.raises(DomainError) as refused:
        bank.mint("HARBOUR-USD", "1.00", deposited=False)
    assert (refused.value.code, state_of(bank)) == ("breaker_tripped", "tripped")


def test_a_run_sees_old_data_too(bank: Bank) -> None:
    bank.enact(reconciliation={"bank_data_age_max_hours": 48})
    shown(bank, FIVE)
    assert reconcile(bank)[0].suspended_because is None
    bank.clock.at += timedelta(hours=41)
    assert "older than 48 hours" in (reconcile(bank)[0].suspended_because or "")


def test_it_is_suspended_with_the_run_or_there_is_no_run(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash anywhere leaves neither, and the next run comes to the same result."""
    shown(bank, FIVE, day="2026-11-20")
    confirm_by_hand(bank, "HARBOUR-USD", "100.00")
    before = len(log_of(bank))
    for name in ("add", "read_known", "add_breaks", "read_last_numbers", "add_actions", "add_findings"):
        with monkeypatch.context() as broken:
            for when in ("before", "after"):
                true = getattr(store, name)

                def fails(*args: Any, _true: Any = true, _when: str = when, **kwargs: Any) -> Any:
                    if _when == "after":
                        _true(*args, **kwargs)
                    raise ConnectionAbortedError

                broken.setattr(store, name, fails)
                with pytest.raises(ConnectionAbortedError):
                    reconcile(bank)
                broken.setattr(store, name, true)
        assert (len(log_of(bank)), state_of(bank)) == (before, "closed")
        assert rows(
            bank,
            "SELECT (SELECT count(*) FROM reconciliation), (SELECT count(*) FROM reconciliation_break),"
            " (SELECT count(*) FROM reconciliation_finding), (SELECT count(*) FROM break_action)",
        ) == [(0, 0, 0, 0)]
    run, found = reconcile(bank)
    assert (run.suspended_because is not None, len(found), state_of(bank)) == (True, 1, "tripped")


def test_mints_and_a_trip_at_the_same_moment(bank: Bank) -> None:
    """On real commits: in the log no mint stands behind the trip, and every mint that was answered stands before it."""
    shown(bank, FIVE, day="2026-11-20")
    approvals = [asked_mint(bank) for _ in range(8)]
    outcomes: list[tokens.Outcome] = []

    def run() -> None:
        reconcile(bank)

    def approve(one: tokens.Request) -> None:
        outcomes.append(bank.outcome(one))

    calls: list[Callable[[], None]] = [*[partial(approve, one) for one in approvals], run]
    at_once(calls)
    codes = [code_of(one) for one in outcomes]
    assert set(codes) <= {"settled", "issuance_suspended"}
    kinds = [one["type"] for one in log_of(bank) if one["type"] in {"token.minted", "breaker.tripped"}]
    assert kinds == ["token.minted"] * codes.count("settled") + ["breaker.tripped"]
    assert bank.balance_minor("2110", "HARBOUR-USD") == 100 * codes.count("settled")
    oracle(bank)


@pytest.mark.parametrize(
    "statement_text",
    [
        "UPDATE breaker SET state = 'closed', event_index = event_index + 1",
        "UPDATE breaker SET state = 'closed'",
        "UPDATE breaker SET reason = 'Never mind.'",
        "UPDATE breaker SET clean_run_id = (SELECT id FROM reconciliation LIMIT 1)",
        "UPDATE breaker SET clean_run_id = 'reconciliation_x'",
        "DELETE FROM breaker",
        "ALTER TABLE breaker DISABLE TRIGGER USER",
        """INSERT INTO event (issuer_id, event_index, id, type, subject_id, token_class_id, booked_at, key_id, jws)
           SELECT issuer_id, 1000, 'event_x', type, subject_id, token_class_id, booked_at, key_id, jws
           FROM event WHERE type = 'token.minted' LIMIT 1""",
        """INSERT INTO breaker SELECT issuer_id, token_class_id, 'closed', reason, changed_at, event_index + 1
           FROM breaker ON CONFLICT (issuer_id, token_class_id) DO UPDATE SET state = 'closed'""",
    ],
)
def test_the_services_own_role_cannot_go_round_it(bank: Bank, statement_text: str) -> None:
    shown(bank, FIVE, day="2026-11-20")
    bank.mint("HARBOUR-USD", "1.00")
    reconcile(bank)
    assert state_of(bank) == "tripped"
    with connect(bank.urls.superuser_url) as connection:
        connection.execute(b"SET ROLE tallystick_service")
        with pytest.raises((psycopg.errors.CheckViolation, psycopg.errors.InsufficientPrivilege)):
            connection.execute(statement_text.encode())


def test_an_earlier_view_moves_nothing_behind_a_later_one(bank: Bank) -> None:
    """A run that began before another one and ends behind it is kept beside: it knows less."""
    shown(bank, FIVE, day="2026-11-20")
    confirm_by_hand(bank, "HARBOUR-USD", "100.00")
    bank.clock.at += timedelta(hours=1)
    assert reconcile(bank)[0].current
    bank.clock.at -= timedelta(minutes=30)
    late, found = reconcile(bank)
    assert (late.current, len(found)) == (False, 1)
    with bank.database.read() as connection:
        [only] = reconciliation.breaks(connection, bank.issuer_id)
    assert only.last_reconciliation_id != late.id
