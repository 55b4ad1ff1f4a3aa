"""Breaks from run to run: the same cause is the same break, and people work on it until a run no longer finds it."""

import hashlib
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from tallystick import reconciliation
from tallystick.core.errors import DomainError
from tallystick.participants import Principal
from tallystick.reconciliation import FILE_SIZE_MAX_BYTES, Break, BreakAction
from tests.bank import Bank, oracle
from tests.camt_writer import Entry, statement
from tests.database import connect
from tests.reconciliation.runs import carried, reconcile, told
from tests.statements.imports import confirm_by_hand
from tests.tokens.changing import asked, code_of, log_of, rows, vote
from tests.tokens.together import at_once

FIVE = Entry("5.00", remittance="LANTERN-USD")
HUNDRED = Entry("100.00", remittance="HARBOUR-USD")


def broken(bank: Bank) -> Break:
    """A deposit of 100.00 that people confirmed, and that the bank's statement does not show."""
    confirm_by_hand(bank, "HARBOUR-USD", "100.00")
    bank.import_statement(statement(FIVE))
    bank.clock.at += timedelta(minutes=1)
    [found] = carried(bank, reconcile(bank)[1])
    assert (found.type, found.state, found.difference_minor) == ("missing_bank_entry", "open", 10_000)
    return found


def again(bank: Bank, found: Break) -> Break:
    with bank.database.read() as connection:
        return reconciliation.break_(connection, bank.issuer_id, found.id)


def actions(bank: Bank, found: Break) -> list[BreakAction]:
    with bank.database.read() as connection:
        return reconciliation.actions(connection, bank.issuer_id, found.id)


def work(
    bank: Bank, verb: Any, found: Break, *args: Any, actor: Principal | None = None, **kwargs: Any
) -> Any:
    return bank.database.run(
        lambda connection: verb(connection, bank.clock, actor or bank.maker, found.id, *args, **kwargs)
    )


def write_off(bank: Bank, found: Break, difference: str, reason: str = "Too old.") -> str:
    payload = {"difference": difference, "currency": "USD", "reason": reason}
    return bank.change("break_write_off", found.id, payload).resource_id


def test_the_same_cause_is_the_same_break_until_it_is_gone(bank: Bank) -> None:
    found = broken(bank)
    bank.clock.at += timedelta(hours=30)
    run, second = reconcile(bank)
    [carried_on] = carried(bank, second)
    assert carried_on.id == found.id
    assert (carried_on.reconciliation_id, carried_on.last_reconciliation_id) == (
        found.reconciliation_id,
        run.id,
    )
    # It was due after a day, whatever was found since.
    assert carried_on.due_at == found.due_at == found.created_at + timedelta(hours=24)
    with bank.database.read() as connection:
        late = reconciliation.breaks(connection, bank.issuer_id, overdue_at=bank.clock.at)
        assert late == [carried_on]
        assert reconciliation.breaks(connection, bank.issuer_id, overdue_at=found.due_at) == []

    bank.import_statement(statement(HUNDRED, day="2026-11-21", opening="5.00"))
    assert reconcile(bank)[0].verdict == "tied"
    gone = again(bank, found)
    assert (gone.state, gone.ended_at) == ("cleared", bank.clock.at)
    assert [one.kind for one in actions(bank, found)] == ["found", "cleared"]
    assert reconcile(bank)[1] == []
    assert [one.kind for one in actions(bank, found)] == ["found", "cleared"]


def test_timing_that_turns_into_a_difference_is_open(bank: Bank) -> None:
    """Explained while the statement could still come; when it came without the deposit, somebody must look."""
    bank.import_statement(statement(FIVE, day="2026-11-19"))
    confirm_by_hand(bank, "HARBOUR-USD", "100.00")
    [timing] = carried(bank, reconcile(bank)[1])
    assert (timing.type, timing.state, timing.due_at - timing.created_at) == (
        "timing",
        "explained",
        timedelta(hours=72),
    )
    bank.clock.at += timedelta(days=1)
    bank.import_statement(statement(FIVE, day="2026-11-20", opening="5.00"))
    [now] = carried(bank, reconcile(bank)[1])

    assert (now.id, now.type, now.state) == (timing.id, "missing_bank_entry", "open")
    assert now.due_at == bank.clock.at + timedelta(hours=24)
    assert [one.kind for one in actions(bank, now)] == ["found", "changed"]


def test_a_past_moment_moves_nothing(bank: Bank) -> None:
    found = broken(bank)
    moment = bank.clock.at
    bank.clock.at += timedelta(days=1)
    bank.import_statement(statement(HUNDRED, day="2026-11-21", opening="5.00"))
    assert reconcile(bank)[0].verdict == "tied"
    ended = again(bank, found)

    run, findings = reconcile(bank, as_of=moment)

    assert (run.current, run.verdict, [one.break_id for one in findings]) == (False, "broken", [found.id])
    assert again(bank, found) == ended


def test_two_times(bank: Bank) -> None:
    """The books of now against the bank of a day before."""
    bank.import_statement(statement(FIVE, day="2026-11-18"))
    bank.import_statement(statement(HUNDRED, day="2026-11-19", opening="5.00"))
    run, _ = reconcile(bank)
    assert (run.verdict, run.ledger_as_of, f"{run.bank_as_of:%d %H}") == ("tied", bank.clock.at, "20 00")

    before, findings = reconcile(bank, bank_as_of=bank.clock.at.replace(day=19, hour=12))

    assert (before.ledger_as_of, f"{before.bank_as_of:%d %H}") == (bank.clock.at, "19 00")
    # The deposit of the later day has no entry as far as the bank's data of that moment tell.
    assert (before.current, told(findings)) == (False, [("timing", 10_000)])
    none, findings = reconcile(bank, bank_as_of=bank.clock.at.replace(day=1))
    assert (none.bank_as_of, told(findings)) == (None, [("missing_bank_entry", 10_500)])


def test_assigned_explained_and_resolved_by_an_instruction(bank: Bank) -> None:
    found = broken(bank)
    work(bank, reconciliation.assign, found, bank.checker.id, note="Yours.")
    assert (again(bank, found).state, again(bank, found).owner_id) == ("assigned", bank.checker.id)
    work(bank, reconciliation.explain, found, "Confirmed before the money was there.")
    work(bank, reconciliation.add_note, found, "Asked the branch.", actor=bank.checker)
    assert reconcile(bank)[0].verdict == "broken"
    assert again(bank, found).state == "explained"

    early = bank.acknowledged[0].resource_id
    bank.clock.at += timedelta(minutes=1)
    correction = bank.release_deposit("HARBOUR-USD", "100.00")
    for unfit in ("release_00000000000000000000000000", early, bank.deposit("HARBOUR-EUR", "1.00")):
        with pytest.raises(DomainError) as refused:
            work(bank, reconciliation.resolve, found, unfit, note=None)
        assert refused.value.code == "correction_unfit"
    done = work(bank, reconciliation.resolve, found, correction, note="Given back.")
    assert (done.state, done.instruction_id, done.ended_at) == ("resolved", correction, bank.clock.at)
    with pytest.raises(DomainError) as ended:
        work(bank, reconciliation.assign, found, bank.maker.id, note=None)
    assert ended.value.code == "break_ended"
    assert [one.kind for one in actions(bank, found)] == [
        "found",
        "assigned",
        "explained",
        "noted",
        "resolved",
    ]
    # The bank shows neither the deposit nor what gave it back: a run finds both, and they come to nothing.
    run, findings = reconcile(bank)
    assert (run.verdict, told(findings)) == (
        "tied",
        [("missing_bank_entry", 10_000), ("missing_bank_entry", -10_000)],
    )
    assert {one.break_id for one in findings} == {found.id}
    assert again(bank, found).state == "resolved"
    oracle(bank)


def test_what_is_not_made_up_for_is_open_again(bank: Bank) -> None:
    found = broken(bank)
    work(bank, reconciliation.assign, found, bank.checker.id, note=None)
    work(bank, reconciliation.resolve, found, bank.release_deposit("HARBOUR-USD", "99.99"), note=None)

    run, findings = reconcile(bank)

    assert (run.verdict, told(findings)) == (
        "broken",
        [("missing_bank_entry", 10_000), ("missing_bank_entry", -9_999)],
    )
    reopened = again(bank, found)
    assert (reopened.state, reopened.instruction_id, reopened.owner_id) == ("open", None, bank.checker.id)
    assert actions(bank, found)[-1].kind == "reopened"


def test_two_people_write_off_exactly_this(bank: Bank) -> None:
    found = broken(bank)
    for typed, code in (
        ("100.01", "break_changed"),
        ("-100.00", "break_changed"),
        ("100.0", "amount_malformed"),
        ("-0.00", "amount_malformed"),
    ):
        with pytest.raises(DomainError) as refused:
            write_off(bank, found, typed)
        assert refused.value.code == code
    asked_for = write_off(bank, found, "100.00")
    assert again(bank, found).state == "open"
    with pytest.raises(DomainError) as alone:
        raise vote(bank, asked_for, bank.operator).refusal or AssertionError
    assert alone.value.code == "checker_is_maker"

    bank.approve(asked_for, "100.00", "USD")

    accepted = again(bank, found)
    assert (accepted.state, accepted.accepted_minor, accepted.type) == (
        "written_off",
        10_000,
        "missing_bank_entry",
    )
    assert log_of(bank)[-1]["type"] == "break.written_off"
    run, findings = reconcile(bank)
    assert (run.verdict, findings, run.figures["breaks"]) == ("tied", [], {})
    assert again(bank, found).state == "written_off"
    other = write_off_refused(bank, found)
    assert code_of(vote(bank, other, bank.checker, amount="7.00", currency="USD")) == "settled"
    oracle(bank)


def write_off_refused(bank: Bank, found: Break) -> str:
    """Another break of the class can still be written off; this one can't again."""
    with pytest.raises(DomainError) as refused:
        write_off(bank, found, "100.00")
    assert refused.value.code == "break_ended"
    confirm_by_hand(bank, "LANTERN-USD", "7.00")
    other = next(one for one in carried(bank, reconcile(bank)[1]) if one.id != found.id)
    return write_off(bank, other, "7.00")


def test_a_write_off_holds_for_this_difference_only(bank: Bank) -> None:
    """Asked for one difference and approved for another: refused; written off and changed: open again."""
    bank.import_statement(statement(FIVE, closing="6.00"))
    [found] = [one for one in carried(bank, reconcile(bank)[1]) if one.type == "amount"]
    first = write_off(bank, found, "-1.00")
    bank.approve(first, "1.00", "USD")
    assert again(bank, found).state == "written_off"
    with connect(bank.urls.superuser_url) as connection:
        connection.execute(b"ALTER TABLE statement DISABLE TRIGGER USER")
        connection.execute(b"UPDATE statement SET closing_minor = closing_minor + 1")
    run, _ = reconcile(bank)
    assert run.verdict == "broken"
    reopened = again(bank, found)
    assert (reopened.id, reopened.state, reopened.difference_minor) == (found.id, "open", -1)
    assert reopened.accepted_minor is None


def test_files_are_known_by_their_hash(bank: Bank) -> None:
    found = broken(bank)
    add = partial(
        work, bank, reconciliation.add_evidence, found, name="mail.eml", media_type="message/rfc822"
    )
    _, file = add(content=b"Dear bank")
    assert file.content_hash == hashlib.sha256(b"Dear bank").digest()
    assert add(content=b"Dear bank")[1] == file
    with bank.database.read() as connection:
        assert reconciliation.evidence(connection, bank.issuer_id, found.id) == [file]
        _, content = reconciliation.evidence_content(
            connection, bank.issuer_id, found.id, file.content_hash.hex()
        )
        assert content == b"Dear bank"
        for absent in ("00" * 32, "zz"):
            with pytest.raises(DomainError):
                reconciliation.evidence_content(connection, bank.issuer_id, found.id, absent)
    for size in (0, FILE_SIZE_MAX_BYTES + 1):
        with pytest.raises(DomainError) as refused:
            add(content=b"x" * size)
        assert refused.value.code == "break_evidence_too_large"
    for number in range(19):
        add(content=b"%d" % number)
    with pytest.raises(DomainError) as full:
        add(content=b"one more")
    assert full.value.code == "break_evidence_full"


def test_only_staff_works_on_breaks(bank: Bank) -> None:
    found = broken(bank)
    for stranger in (bank.auditor, bank.platform):
        with pytest.raises(DomainError) as refused:
            work(bank, reconciliation.add_note, found, "Mine.", actor=stranger)
        assert refused.value.code == "break_work_not_allowed"
    for unfit in (bank.auditor.id, bank.platform.id, "principal_00000000000000000000000000"):
        with pytest.raises(DomainError) as owner:
            work(bank, reconciliation.assign, found, unfit, note=None)
        assert owner.value.code == "break_owner_unfit"
    assert [one.kind for one in actions(bank, found)] == ["found"]


def test_several_at_once_leave_numbered_actions(bank: Bank) -> None:
    """Notes and runs at the same moment, on connections of their own: none is lost, none has another's number."""
    found = broken(bank)
    calls = [partial(work, bank, reconciliation.add_note, found, f"{number}") for number in range(6)]
    runs = [partial(reconcile, bank) for _ in range(3)]
    at_once([*calls, *runs])
    numbers = [one.action_number for one in actions(bank, found)]
    assert numbers == list(range(1, 8))
    assert rows(bank, "SELECT count(*) FROM reconciliation_break") == [(1,)]


def test_what_was_asked_twice_is_one_answer(bank: Bank) -> None:
    found = broken(bank)
    first = bank.change(
        "break_write_off", found.id, {"difference": "100.00", "currency": "USD", "reason": "x"}, key="once"
    )
    second = bank.change(
        "break_write_off", found.id, {"difference": "100.00", "currency": "USD", "reason": "x"}, key="once"
    )
    assert asked(first)["id"] == asked(second)["id"]
