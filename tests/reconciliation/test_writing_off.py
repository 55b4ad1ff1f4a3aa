"""A write-off of what the control account and the bank's statement differ by is an entry: then they are the same."""

import json
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from tallystick import ledger, reconciliation, tokens
from tallystick.core.errors import DomainError
from tallystick.core.ids import with_prefix
from tallystick.ledger import Code, ledger_account_id
from tallystick.reconciliation import Break
from tallystick.tokens import Kind
from tests.bank import Bank, oracle
from tests.camt_writer import Entry, statement
from tests.closing.days import FRIDAY, MONDAY, attest, bring_statement, close, set_calendar
from tests.database import connect
from tests.faults import CrashError, Faults, crashing
from tests.integrity.lived import check
from tests.matching.helpers import open_now, run
from tests.reconciliation.runs import (
    ask_to_write_off,
    carried,
    open_breaks,
    reconcile,
    told,
    words,
    write_off,
)
from tests.reconciliation.test_carrying import again, work
from tests.statements.imports import confirm_by_hand
from tests.tokens.changing import code_of, log_of, rows, vote
from tests.tokens.together import at_once
from tests.verify.packs import Evidence, export_evidence, verified

FIVE = Entry("5.00", remittance="LANTERN-USD", bank_reference="B-1")
FEE = Entry("3.00", credit=False, bank_reference="F-1")
NOBODYS = Entry("1.00", reversal=True, bank_reference="R-1")


def books(bank: Bank, code: Code) -> int:
    ledger_id = ledger_account_id(code, bank.classes["USD"].id)
    with bank.database.read() as connection:
        return ledger.balances(connection, bank.issuer_id, [ledger_id])[ledger_id]


def full_of_breaks(bank: Bank) -> list[Break]:
    """Let there be one of each that the control account can have with a statement."""
    confirm_by_hand(bank, "HARBOUR-USD", "100.00")
    bank.import_statement(statement(FIVE, FIVE, FEE, NOBODYS, opening="7.00", closing="15.01"))
    bank.import_statement(statement(day="2026-11-21", opening="15.00"))
    bank.clock.at += timedelta(days=2)
    return open_breaks(bank)


def test_each_break_of_the_control_account_is_mended_by_its_own_entry(bank: Bank, tmp_path: Path) -> None:
    found = full_of_breaks(bank)
    assert {one.type for one in found} >= {
        "missing_bank_entry",
        "unexpected_bank_entry",
        "amount",
        "duplicate",
    }
    lost_minor = sum(one.difference_minor for one in found)
    for one in found:
        before = books(bank, Code.DEPOSITS_AT_CORE)
        done = write_off(bank, one)
        assert books(bank, Code.DEPOSITS_AT_CORE) == before - one.difference_minor
        after = again(bank, one)
        instruction_id = json.loads(done.body)["instruction"]["id"]
        assert (after.state, after.accepted_minor, after.instruction_id) == (
            "written_off",
            one.difference_minor,
            instruction_id,
        )

    made, left = reconcile(bank)

    timing = [one for one in left if one.type == "timing"]
    assert (made.verdict, left) == ("tied", timing)
    assert "written_off" not in made.figures["breaks"]
    assert made.figures["control_account"]["difference_after_timing"] == "0.00"
    assert books(bank, Code.OPERATIONAL_LOSS) == lost_minor != 0
    assert [again(bank, one).state for one in found] == ["written_off"] * len(found)
    # All of it holds for whoever looks: the books, the database against the log, and an auditor offline.
    oracle(bank)
    run(bank)
    assert check(bank).findings == []
    evidence = Evidence.of(bank, export_evidence(bank, tmp_path / "packs"))
    report = verified(evidence.files, tmp_path / "pack", evidence.policy)
    assert report.exit_code == 0, report.text()


@pytest.mark.parametrize(
    ("made_by", "debited", "credited"),
    [("books", "5020", "1100"), ("bank", "1100", "5020")],
)
def test_the_event_is_the_entry(bank: Bank, made_by: str, debited: str, credited: str) -> None:
    if made_by == "books":
        confirm_by_hand(bank, "HARBOUR-USD", "100.00")
        bank.import_statement(statement(FIVE))
    else:
        bank.import_statement(statement(FIVE, Entry("100.00", reversal=True, remittance="nobody")))
    bank.clock.at += timedelta(minutes=1)
    [found] = open_breaks(bank)
    class_id = bank.classes["USD"].id
    entry = {
        "amount": "100.00",
        "currency": "USD",
        "lines": [
            {"account": f"{debited}.{class_id}", "debit": "100.00"},
            {"account": f"{credited}.{class_id}", "credit": "100.00"},
        ],
        "scale": 2,
        "token_class_id": class_id,
    }
    asked_for = ask_to_write_off(bank, found)
    assert json.loads(bank.acknowledged[-1].body)["entry"] == entry

    # Nobody approves an amount that they did not type.
    for amount, currency in ((None, None), ("100.01", "USD"), ("100.00", "EUR")):
        refused = vote(bank, asked_for, bank.checker, amount=amount, currency=currency)
        assert code_of(refused) == "approval_mismatch"
    assert log_of(bank)[-1]["type"] != "break.written_off"
    bank.approve(asked_for, "100.00", "USD")

    event = log_of(bank)[-1]
    assert event | entry == event
    assert (event["type"], event["cause"], event["subject_id"], event["value_date"]) == (
        "break.written_off",
        found.cause,
        found.id,
        bank.clock.at.date().isoformat(),
    )
    with bank.database.read() as connection:
        lines = ledger.entry_lines(connection, bank.issuer_id, event["index"], event["index"])
    assert [(one.ledger_account_id[:4], one.debit_minor, one.credit_minor) for one in lines] == [
        (debited, 10_000, 0),
        (credited, 0, 10_000),
    ]
    assert reconcile(bank)[0].verdict == "tied"
    oracle(bank)


@pytest.mark.parametrize("odd", ["99.99", "100.01"])
def test_what_the_bank_does_later_is_found_as_that(bank: Bank, odd: str) -> None:
    """The fee that was written off is given back, a cent more or less than it was, and then the rest."""
    bank.import_statement(statement(FIVE, Entry("100.00", credit=False, bank_reference="F-1")))
    [found] = open_breaks(bank)
    write_off(bank, found)
    assert open_breaks(bank) == []
    bank.clock.at += timedelta(days=1)
    bank.import_statement(
        statement(Entry(odd, reversal=True, remittance="?"), day="2026-11-21", opening="-95.00")
    )
    [back] = open_breaks(bank)
    assert (back.type, back.difference_minor) == ("unexpected_bank_entry", -int(odd.replace(".", "")))
    assert again(bank, found).state == "written_off"
    write_off(bank, back)
    assert books(bank, Code.OPERATIONAL_LOSS) == 10_000 - int(odd.replace(".", ""))
    assert reconcile(bank)[0].verdict == "tied"


def test_another_of_its_amount_is_not_taken_for_what_was_written_off(bank: Bank) -> None:
    """A release that the bank never paid was written off; the next one of that amount it pays."""
    bank.import_statement(statement(Entry("100.00", remittance="Funding HARBOUR-USD")))
    lost = bank.release_deposit("HARBOUR-USD", "10.00")
    [found] = open_breaks(bank)
    assert (found.cause, found.difference_minor) == (f"movement:{lost}", -1_000)
    write_off(bank, found)
    assert books(bank, Code.OPERATIONAL_LOSS) == -1_000
    bank.clock.at += timedelta(days=1)
    paid = bank.release_deposit("HARBOUR-USD", "10.00")
    bank.import_statement(statement(day="2026-11-21", opening="100.00"))
    [waiting] = open_breaks(bank)
    assert waiting.cause == f"movement:{paid}"
    bank.import_statement(
        statement(Entry("10.00", credit=False, remittance="?"), day="2026-11-22", opening="100.00")
    )
    assert reconcile(bank)[0].verdict == "tied"
    assert (again(bank, found).state, again(bank, waiting).state) == ("written_off", "cleared")
    # The first one is paid after all: what the bank shows now, the books don't.
    bank.import_statement(
        statement(Entry("10.00", credit=False, remittance="!"), day="2026-11-23", opening="90.00")
    )
    [late] = open_breaks(bank)
    assert (late.type, late.difference_minor) == ("unexpected_bank_entry", 1_000)
    write_off(bank, late)
    assert (books(bank, Code.OPERATIONAL_LOSS), reconcile(bank)[0].verdict) == (0, "tied")


def test_what_is_mended_besides_is_open_again(bank: Bank) -> None:
    """Money that came in vain was written off; then somebody gives it back in the books as well."""
    confirm_by_hand(bank, "HARBOUR-USD", "100.00")
    bank.import_statement(statement(FIVE))
    bank.clock.at += timedelta(minutes=1)
    [found] = open_breaks(bank)
    write_off(bank, found)
    released = bank.release_deposit("HARBOUR-USD", "100.00")
    [open_again] = open_breaks(bank)
    # The release is what the bank does not show; the write-off makes up for the deposit still.
    assert (open_again.cause, open_again.difference_minor) == (f"movement:{released}", -10_000)
    write_off(bank, open_again)
    assert (books(bank, Code.OPERATIONAL_LOSS), reconcile(bank)[0].verdict) == (0, "tied")


def test_a_difference_that_changes_behind_its_write_off_opens_it_by_what_changed(bank: Bank) -> None:
    bank.import_statement(statement(closing="1.00"))
    [found] = open_breaks(bank)
    write_off(bank, found)
    assert reconcile(bank)[0].verdict == "tied"
    with connect(bank.urls.superuser_url) as connection:
        connection.execute(b"ALTER TABLE statement DISABLE TRIGGER USER")
        connection.execute(b"UPDATE statement SET closing_minor = closing_minor + 100")
    made, left = reconcile(bank)
    # What is left is the very amount that was written off, and it is another hundred.
    assert (made.verdict, told(left)) == ("broken", [("amount", -100)])
    opened = again(bank, found)
    assert (opened.state, opened.difference_minor, opened.instruction_id, opened.accepted_minor) == (
        "open",
        -100,
        None,
        None,
    )
    write_off(bank, opened)
    assert reconcile(bank)[0].verdict == "tied"
    with connect(bank.urls.superuser_url) as connection:
        connection.execute(b"UPDATE statement SET closing_minor = closing_minor - 100")
    assert told(reconcile(bank)[1]) == [("amount", 100)]


def test_a_run_of_before_is_as_it_was(bank: Bank) -> None:
    confirm_by_hand(bank, "HARBOUR-USD", "100.00")
    bank.import_statement(statement(FIVE))
    bank.clock.at += timedelta(minutes=1)
    then = bank.clock.at
    [found] = open_breaks(bank)
    first, of_first = reconcile(bank, as_of=then)
    bank.clock.at += timedelta(minutes=1)
    write_off(bank, found)
    second, of_second = reconcile(bank, as_of=then)
    assert (second.verdict, told(of_second)) == (first.verdict, told(of_first)) == ("broken", told(of_first))
    assert {**second.figures, "log": {}} == {**first.figures, "log": {}}
    assert reconcile(bank)[0].verdict == "tied"
    # Before the bank's statement, the write-off is only ahead of it.
    made, left = reconcile(bank, bank_as_of=then - timedelta(days=1))
    assert [one.type for one in left] == ["missing_bank_entry"]
    assert made.figures["control_account"]["statement_closing"] is None


def test_matching_knows_it_as_what_the_books_moved(bank: Bank) -> None:
    """The open items of both sides still come to what the two balances differ by: nothing."""
    confirm_by_hand(bank, "HARBOUR-USD", "100.00")
    bank.import_statement(statement(FIVE, FEE))
    bank.clock.at += timedelta(minutes=1)
    run(bank)
    for found in open_breaks(bank):
        write_off(bank, found)
        run(bank)
    items = open_now(bank)
    by_side = [sum(one.item.amount_minor for one in side) for side in (items.bank, items.books)]
    assert by_side[0] - by_side[1] == 200 - books(bank, Code.DEPOSITS_AT_CORE) == 0
    assert check(bank).findings == []


def test_what_no_entry_can_mend_is_only_accepted(bank: Bank) -> None:
    bank.mint("HARBOUR-USD", "5.00", deposited=True)
    bank.import_statement(statement(Entry("5.00", remittance="LANTERN-USD"), opening="5.00"))
    [opening, *others] = [one for one in open_breaks(bank) if one.cause.startswith("first_opening:")]
    assert others == []
    for one in open_breaks(bank):
        write_off(bank, one)
    assert opening.difference_minor == -500
    before = books(bank, Code.OPERATIONAL_LOSS)
    with connect(bank.urls.superuser_url) as connection:
        connection.execute(b"ALTER TABLE liability DISABLE TRIGGER USER")
        connection.execute(b"DELETE FROM liability")
    left = open_breaks(bank)
    [register] = [one for one in left if one.cause.startswith("register:")]
    assert register.type == "amount"
    done = bank.approve(ask_to_write_off(bank, register))
    assert "entry" not in json.loads(done.body)["instruction"]
    made, findings = reconcile(bank)
    assert (made.verdict, told(findings)) == ("tied", [("amount", register.difference_minor)])
    assert made.figures["breaks"]["written_off"] == words(register.difference_minor)
    assert (again(bank, register).instruction_id, books(bank, Code.OPERATIONAL_LOSS)) == (None, before)


def test_timing_is_only_accepted_and_what_it_became_meanwhile_is_asked_anew(bank: Bank) -> None:
    bank.import_statement(statement(FIVE, day="2026-11-18"))
    confirm_by_hand(bank, "HARBOUR-USD", "100.00")
    [found] = carried(bank, reconcile(bank)[1])
    assert found.type == "timing"
    asked_for = ask_to_write_off(bank, found)
    bank.clock.at += timedelta(days=1)
    bank.import_statement(statement(day="2026-11-21", opening="5.00"))
    [became] = open_breaks(bank)
    assert (became.id, became.type) == (found.id, "missing_bank_entry")

    # It would post an entry by now, which nobody was told of when it was asked for.
    assert code_of(vote(bank, asked_for, bank.checker)) == "entry_changed"

    assert again(bank, found).state == "open"
    write_off(bank, became)
    assert reconcile(bank)[0].verdict == "tied"


def test_what_was_accepted_before_entries_were_posted_stays_accepted(bank: Bank) -> None:
    """A row of an older release: written off, and no entry behind it."""
    confirm_by_hand(bank, "HARBOUR-USD", "100.00")
    bank.import_statement(statement(FIVE))
    bank.clock.at += timedelta(minutes=1)
    [found] = open_breaks(bank)
    with connect(bank.urls.superuser_url) as connection:
        connection.execute(
            b"UPDATE reconciliation_break SET state = 'written_off', accepted_minor = 10000, ended_at = now()"
        )
    made, left = reconcile(bank)
    assert (made.verdict, told(left)) == ("tied", [("missing_bank_entry", 10_000)])
    assert made.figures["breaks"]["written_off"] == "100.00"
    assert again(bank, found).state == "written_off"


def test_a_bundle_is_not_written_off_as_one(bank: Bank) -> None:
    fees = [Entry(f"{number}.17", credit=False, bank_reference=f"F-{number}") for number in range(1, 104)]
    bank.import_statement(statement(FIVE, *fees))
    found = open_breaks(bank)
    assert (len(found), found[-1].cause) == (101, "more:entry_not_in_books")
    with pytest.raises(DomainError) as refused:
        ask_to_write_off(bank, found[-1])
    assert refused.value.code == "break_bundled"
    write_off(bank, found[0])
    left = open_breaks(bank)
    assert (len(left), left[0].cause) == (101, found[1].cause)
    assert sum(one.difference_minor for one in left) == sum(one.difference_minor for one in found[1:])


def test_it_counts_from_the_open_business_date(bank: Bank, tmp_path: Path) -> None:
    """A date was closed with the break; its write-off is the next one's, whose close and totals hold offline."""
    set_calendar(bank)
    bank.import_statement(statement(Entry("100.00", remittance="Funding HARBOUR-USD"), FEE))
    attest(bank)
    with bank.database.read() as connection:
        [found] = reconciliation.breaks(connection, bank.issuer_id, state="open")
    close(bank, FRIDAY, found.id)
    write_off(bank, found)
    event = log_of(bank)[-1]
    assert (event["value_date"], event["booked_at"][:10]) == (MONDAY.isoformat(), FRIDAY.isoformat())
    with bank.database.read() as connection:
        lines = ledger.entry_lines(connection, bank.issuer_id, event["index"], event["index"])
        [instruction] = tokens.instructions_by_id(
            connection, bank.issuer_id, [again(bank, found).instruction_id or ""]
        ).values()
    assert {one.value_date for one in lines} == {instruction.value_date} == {MONDAY}
    bank.clock.at += timedelta(days=3)
    bring_statement(bank, MONDAY, opening="97.00")
    assert attest(bank).verdict == "tied"
    close(bank, MONDAY)
    assert check(bank).findings == []
    evidence = Evidence.of(bank, export_evidence(bank, tmp_path / "packs"))
    report = verified(evidence.files, tmp_path / "pack", evidence.policy)
    assert report.exit_code == 0, report.text()


def test_two_write_offs_of_one_break_post_once(bank: Bank) -> None:
    confirm_by_hand(bank, "HARBOUR-USD", "100.00")
    bank.import_statement(statement(FIVE))
    bank.clock.at += timedelta(minutes=1)
    [found] = open_breaks(bank)
    asked_for = [ask_to_write_off(bank, found) for _ in range(4)]

    outcomes = at_once(
        [partial(vote, bank, one, bank.checker, amount="100.00", currency="USD") for one in asked_for]
    )

    assert sorted(code_of(one) for one in outcomes) == ["break_ended"] * 3 + ["settled"]
    assert books(bank, Code.OPERATIONAL_LOSS) == 10_000
    assert reconcile(bank)[0].verdict == "tied"
    assert [one["type"] for one in log_of(bank)].count("break.written_off") == 1
    oracle(bank)


@pytest.mark.parametrize("number", range(4))
def test_it_is_resolved_or_written_off_and_never_both(bank: Bank, number: int) -> None:
    confirm_by_hand(bank, "HARBOUR-USD", f"10{number}.00")
    bank.import_statement(statement(FIVE))
    bank.clock.at += timedelta(minutes=1)
    [found] = open_breaks(bank)
    release = bank.release_deposit("HARBOUR-USD", f"10{number}.00")
    asked_for = ask_to_write_off(bank, found)

    def resolve() -> str:
        try:
            return str(work(bank, reconciliation.resolve, found, release, note=None).state)
        except DomainError as refused:
            return refused.code

    def settle() -> str:
        return code_of(vote(bank, asked_for, bank.checker, amount=f"10{number}.00", currency="USD"))

    outcome = at_once([resolve, settle])

    written_off = outcome == ["break_ended", "settled"]
    assert written_off or outcome == ["resolved", "break_ended"]
    assert books(bank, Code.OPERATIONAL_LOSS) == (found.difference_minor if written_off else 0)
    assert again(bank, found).state == ("written_off" if written_off else "resolved")
    # Resolved, deposit and release make up for each other; written off, the release is one too many.
    assert [one.difference_minor for one in open_breaks(bank) if one.ended_at is None] == (
        [-found.difference_minor] if written_off else []
    )
    # What nobody may approve any more waits, with the amount that it would have had.
    assert check(bank).findings == []
    oracle(bank)


@pytest.mark.parametrize("persisted", [False, True], ids=["not persisted", "persisted"])
def test_a_crash_leaves_both_or_none(bank: Bank, persisted: bool) -> None:
    """The entry, its event and the break's new state stand or fall together, wherever the process dies."""
    confirm_by_hand(bank, "HARBOUR-USD", "100.00")
    bank.import_statement(statement(FIVE))
    bank.clock.at += timedelta(minutes=1)
    [found] = open_breaks(bank)
    asked_for = ask_to_write_off(bank, found)
    request = bank.request(
        Kind.APPROVE,
        bank.checker,
        related_id=with_prefix("approval", asked_for),
        amount="100.00",
        currency="USD",
    )

    def dies(at: int) -> bool:
        try:
            with crashing(bank.database, Faults(at, persisted=persisted)):
                bank.outcome(request)
        except CrashError:
            return True
        finally:
            # The dead process's connections die with it.
            bank.database.engine.dispose()
        return False

    crash_count, was = 0, False
    while dies(crash_count + 1):
        crash_count += 1
        assert crash_count < 200
        stands = books(bank, Code.OPERATIONAL_LOSS) == 10_000
        assert books(bank, Code.OPERATIONAL_LOSS) in (0, 10_000)
        assert (again(bank, found).state == "written_off") is stands
        assert ("break.written_off" in [one["type"] for one in log_of(bank)]) is stands
        # What stood once stands for ever.
        assert stands or not was
        was = stands
    assert crash_count > 5
    assert books(bank, Code.OPERATIONAL_LOSS) == 10_000
    assert rows(bank, "SELECT count(*) FROM event WHERE type = 'break.written_off'") == [(1,)]
    assert reconcile(bank)[0].verdict == "tied"
    assert check(bank).findings == []
