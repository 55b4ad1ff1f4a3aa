"""A deposit that people confirmed before the statement came is linked to its credit, once, and never made again."""

from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta

import psycopg
import pytest

from tallystick import statements, tokens
from tallystick.statements import StatementEntry
from tallystick.tokens import Kind
from tests.bank import OPENED_AT, Bank, oracle
from tests.camt_writer import EUR_CONTROL, Entry, Stated, message, statement
from tests.database import connect
from tests.statements.imports import (
    codes,
    confirm_by_hand,
    counts,
    deposit,
    deposits_minor,
    entries,
    only,
    read,
)

CREDIT = Entry("100.00", remittance="HARBOUR-USD")


def kept(bank: Bank, content: bytes) -> list[StatementEntry]:
    return entries(bank, only(bank.import_statement(content)))


def links(of: list[StatementEntry]) -> list[tuple[str | None, str | None]]:
    return [(one.deposit_id, one.matched_by) for one in of]


def test_a_credit_is_linked_to_the_deposit_that_was_confirmed_for_it(bank: Bank) -> None:
    by_hand = confirm_by_hand(bank, "HARBOUR-USD", "100.00")
    before = counts(bank)

    stored = only(bank.import_statement(statement(CREDIT)))

    [entry] = entries(bank, stored)
    assert links([entry]) == [(by_hand, "confirmed_by_hand")]
    assert counts(bank)[3:] == before[3:], "an instruction, an event or an answer was added"
    assert deposits_minor(bank, "HARBOUR-USD") == 10_000
    assert deposit(bank, entry).related_id is None
    with bank.database.read() as connection:
        found = statements.findings(connection, bank.issuer_id, stored.id)
        assert statements.entries_confirmed_by_hand(connection, bank.issuer_id, [by_hand, "deposit_x"]) == {
            by_hand: entry
        }
        assert statements.entries_confirmed_by_hand(connection, "issuer_other", [by_hand]) == {}
    [told] = [one for one in found if one.code == "deposit_confirmed_by_hand"]
    assert (told.severity, told.location) == ("info", "Ntry[1]")
    assert by_hand in told.message
    oracle(bank)


def test_the_statement_again_changes_nothing(bank: Bank) -> None:
    confirm_by_hand(bank, "HARBOUR-USD", "100.00")
    bank.import_statement(statement(CREDIT))
    before = counts(bank)

    assert not bank.import_statement(statement(CREDIT)).imported
    assert counts(bank) == before


def test_a_deposit_confirmed_after_the_import_stands_for_the_next_credit(bank: Bank) -> None:
    [first] = kept(bank, statement(CREDIT))
    by_hand = confirm_by_hand(bank, "HARBOUR-USD", "100.00")

    [second] = kept(bank, statement(CREDIT, day="2026-11-21", opening="100.00"))

    assert first.matched_by == "reference"
    assert links([second]) == [(by_hand, "confirmed_by_hand")]
    assert deposits_minor(bank, "HARBOUR-USD") == 20_000


@pytest.mark.parametrize("apart", [False, True], ids=["one statement", "two statements"])
def test_of_equal_credits_the_first_is_linked(bank: Bank, apart: bool) -> None:
    by_hand = confirm_by_hand(bank, "HARBOUR-USD", "100.00")

    if apart:
        of = kept(bank, statement(CREDIT))
        of += kept(bank, statement(CREDIT, day="2026-11-21", opening="100.00"))
    else:
        of = kept(bank, statement(CREDIT, CREDIT))

    assert links(of[:1]) == [(by_hand, "confirmed_by_hand")]
    assert of[1].matched_by == "reference"
    assert deposit(bank, of[1]).related_id == of[1].id
    assert deposits_minor(bank, "HARBOUR-USD") == 20_000
    oracle(bank)


def test_the_oldest_deposit_is_linked_first(bank: Bank) -> None:
    by_hand = [
        confirm_by_hand(bank, "HARBOUR-USD", "100.00", value_date=date(2026, 11, day)) for day in (20, 19, 18)
    ]

    # Within one message too, each statement sees what the one before it was linked to.
    two = bank.import_statement(
        message(Stated((CREDIT,)), Stated((CREDIT,), day="2026-11-21", opening="100.00"))
    )

    of = [entries(bank, one.statement)[0].deposit_id for one in two.statements]
    assert of == by_hand[:2]
    assert kept(bank, statement(CREDIT, day="2026-11-22", opening="200.00"))[0].deposit_id == by_hand[2]


@pytest.mark.parametrize(
    "credit",
    [
        Entry("100.01", remittance="HARBOUR-USD"),
        Entry("99.99", remittance="HARBOUR-USD"),
        Entry("100.00", remittance="LANTERN-USD"),
        Entry("100.00", remittance="Who knows"),
        Entry("100.00", remittance="HARBOUR-USD or LANTERN-USD"),
        Entry("100.00", credit=False, remittance="HARBOUR-USD"),
        Entry("100.00", status="PDNG", remittance="HARBOUR-USD"),
        Entry("100.00", reversal=True, remittance="HARBOUR-USD"),
    ],
)
def test_another_amount_another_account_or_no_credit_is_not_linked(bank: Bank, credit: Entry) -> None:
    by_hand = confirm_by_hand(bank, "HARBOUR-USD", "100.00")

    [entry] = kept(bank, statement(credit, opening="500.00"))

    assert entry.deposit_id != by_hand
    assert entry.matched_by != "confirmed_by_hand"
    oracle(bank)


def test_the_same_holder_in_another_class_is_another_account(bank: Bank) -> None:
    by_hand = confirm_by_hand(bank, "HARBOUR-EUR", "100.00")

    assert kept(bank, statement(CREDIT))[0].matched_by == "reference"
    euro = Entry("100.00", remittance="HARBOUR-EUR")
    of = kept(bank, statement(euro, account=EUR_CONTROL, currency="EUR"))
    assert links(of) == [(by_hand, "confirmed_by_hand")]


@pytest.mark.parametrize(("day", "linked"), [(9, False), (10, True), (20, True), (30, True)])
def test_the_days_have_to_be_near(bank: Bank, day: int, linked: bool) -> None:
    confirm_by_hand(bank, "HARBOUR-USD", "100.00")

    [entry] = kept(bank, statement(CREDIT, day=f"2026-11-{day:02}"))

    assert entry.matched_by == ("confirmed_by_hand" if linked else "reference")


@pytest.mark.parametrize(("value_date", "linked"), [(date(2026, 11, 10), True), (date(2026, 11, 9), False)])
def test_a_value_date_that_was_asked_for_counts(bank: Bank, value_date: date, linked: bool) -> None:
    confirm_by_hand(bank, "HARBOUR-USD", "100.00", value_date=value_date)

    assert kept(bank, statement(CREDIT))[0].matched_by == ("confirmed_by_hand" if linked else "reference")


@pytest.mark.parametrize("day", ["0001-01-01", "9999-12-31"])
def test_the_ends_of_the_calendar_are_days_too(bank: Bank, day: str) -> None:
    by_hand = confirm_by_hand(bank, "HARBOUR-USD", "100.00", value_date=date.fromisoformat(day))
    far = Entry("100.00", remittance="HARBOUR-USD", bank_reference="B1", day=day)

    assert links(kept(bank, statement(far))) == [(by_hand, "confirmed_by_hand")]


def test_a_day_in_the_middle_of_a_file_of_many_counts_for_itself(bank: Bank) -> None:
    confirm_by_hand(bank, "HARBOUR-USD", "100.00")
    credits_ = [Entry("100.00", remittance="HARBOUR-USD", day=day) for day in ("2026-11-01", "2026-11-20")]

    of = kept(bank, statement(*credits_))

    assert [one.matched_by for one in of] == ["reference", "confirmed_by_hand"]


def test_what_is_not_confirmed_yet_is_not_linked(bank: Bank) -> None:
    asked = {"amount": "100.00", "currency": "USD", "payee_account_id": bank.account_id("HARBOUR-USD")}
    rejected = bank.ask(Kind.DEPOSIT, bank.maker, **asked).resource_id
    bank.reject(rejected)
    bank.ask(Kind.DEPOSIT, bank.maker, **asked)

    assert kept(bank, statement(CREDIT))[0].matched_by == "reference"


def test_a_deposit_of_a_statement_is_never_linked(bank: Bank) -> None:
    bank.deposit("HARBOUR-USD", "100.00")
    [waiting] = kept(bank, statement(Entry("100.00", remittance="Who knows")))
    bank.ask(
        Kind.DEPOSIT_ASSIGNMENT,
        bank.maker,
        related_id=waiting.deposit_id,
        payee_account_id=bank.account_id("HARBOUR-USD"),
    )

    [entry] = kept(bank, statement(CREDIT, day="2026-11-21", opening="100.00"))

    assert entry.matched_by == "reference"
    assert deposits_minor(bank, "HARBOUR-USD") == 30_000


def test_an_account_that_was_frozen_since_has_its_money_already(bank: Bank) -> None:
    by_hand = confirm_by_hand(bank, "HARBOUR-USD", "100.00")
    bank.freeze("HARBOUR-USD")

    of = kept(bank, statement(CREDIT, CREDIT))

    assert links(of[:1]) == [(by_hand, "confirmed_by_hand")]
    assert deposit(bank, of[1]).state == "unassigned"


@pytest.mark.parametrize("doubtful", ["contradiction", "seen before"])
def test_a_credit_that_waits_is_not_linked(bank: Bank, doubtful: str) -> None:
    told = Entry("100.00", remittance="HARBOUR-USD", bank_reference="B1")
    if doubtful == "seen before":
        kept(bank, statement(told, statement_id="S-1"))
    confirm_by_hand(bank, "HARBOUR-USD", "100.00")

    closing = "100.01" if doubtful == "contradiction" else None
    [entry] = kept(bank, statement(told, closing=closing, statement_id="S-2"))

    assert (entry.matched_by, deposit(bank, entry).state) == (None, "unassigned")


def test_many_credits_are_linked_in_bounded_steps(bank: Bank) -> None:
    by_hand = [confirm_by_hand(bank, "HARBOUR-USD", "1.00") for _ in range(2)]
    credits_ = [Entry("1.00", remittance="LANTERN-USD")] * 999 + [Entry("1.00", remittance="HARBOUR-USD")] * 3

    of = kept(bank, statement(*credits_))

    assert links(of[999:1_001]) == [(one, "confirmed_by_hand") for one in by_hand]
    assert {one.matched_by for one in of[:999] + of[1_001:]} == {"reference"}
    assert deposits_minor(bank, "HARBOUR-USD") == 300
    oracle(bank)


def test_imports_at_once_link_a_deposit_once(bank: Bank) -> None:
    by_hand = {confirm_by_hand(bank, "HARBOUR-USD", "100.00") for _ in range(2)}
    days = [statement(CREDIT, day=f"2026-11-{day}", opening=f"{day}.00") for day in range(14, 22)]

    with ThreadPoolExecutor(8) as pool:
        of = [entry for one in pool.map(bank.import_statement, days) for entry in entries(bank, only(one))]

    linked = [one.deposit_id for one in of if one.matched_by == "confirmed_by_hand"]
    assert (set(linked), len(linked)) == (by_hand, 2)
    assert [one.matched_by for one in of].count("reference") == 6
    assert deposits_minor(bank, "HARBOUR-USD") == 80_000
    oracle(bank)


def test_confirming_and_importing_at_once_double_nothing_unseen(bank: Bank) -> None:
    """Whichever comes first, a link is to a deposit that is settled, and each credit has its own."""
    days = [statement(CREDIT, day=f"2026-11-{day}", opening=f"{day}.00") for day in range(16, 20)]
    with ThreadPoolExecutor(8) as pool:
        confirmed = [pool.submit(confirm_by_hand, bank, "HARBOUR-USD", "100.00") for _ in range(4)]
        imported = [pool.submit(bank.import_statement, day) for day in days]
        by_hand = {one.result() for one in confirmed}
        of = [entry for one in imported for entry in entries(bank, only(one.result()))]

    assert len({one.deposit_id for one in of}) == 4
    linked = {one.deposit_id for one in of if one.matched_by == "confirmed_by_hand"}
    assert linked <= by_hand
    assert deposits_minor(bank, "HARBOUR-USD") == 10_000 * (4 + 4 - len(linked))
    oracle(bank)


def test_the_database_refuses_a_second_link(bank: Bank) -> None:
    confirm_by_hand(bank, "HARBOUR-USD", "100.00")
    kept(bank, statement(CREDIT))
    with connect(bank.urls.superuser_url) as connection, pytest.raises(psycopg.errors.UniqueViolation):
        connection.execute(
            b"""INSERT INTO statement_entry (issuer_id, statement_id, entry_number, amount_minor, credit, booked,
                                             reversal, deposit_id, matched_by)
                SELECT issuer_id, statement_id, 2, amount_minor, credit, booked, reversal, deposit_id, matched_by
                FROM statement_entry"""
        )


def test_a_crash_before_the_commit_leaves_the_deposit_unlinked(bank: Bank) -> None:
    by_hand = confirm_by_hand(bank, "HARBOUR-USD", "100.00")

    class CrashError(Exception):
        pass

    def import_and_crash(connection: object) -> None:
        statements.import_statement(
            connection,  # type: ignore[arg-type]
            bank.settler,
            bank.maker,
            read(statement(CREDIT)),
        )
        raise CrashError

    with pytest.raises(CrashError):
        bank.database.run(import_and_crash)
    [entry] = kept(bank, statement(CREDIT))
    assert links([entry]) == [(by_hand, "confirmed_by_hand")]


def test_deposits_confirmed_by_hand_are_told_by_their_signed_day(bank: Bank) -> None:
    today = OPENED_AT.date()
    first = confirm_by_hand(bank, "HARBOUR-USD", "1.00", value_date=today - timedelta(days=3))
    second = confirm_by_hand(bank, "LANTERN-USD", "2.00")
    accounts = [bank.account_id(name) for name in ("HARBOUR-USD", "LANTERN-USD")]

    def told(account_ids: list[str], since: date, until: date) -> list[tuple[str, int, date]]:
        with bank.database.read() as connection:
            return [
                (one.deposit_id, one.amount_minor, one.value_date)
                for one in tokens.deposits_confirmed_by_hand(
                    connection, bank.issuer_id, account_ids, since=since, until=until
                )
            ]

    both = [(first, 100, today - timedelta(days=3)), (second, 200, today)]
    assert told(accounts, today - timedelta(days=3), today) == both
    assert told(accounts, today - timedelta(days=2), today) == both[1:]
    assert told(accounts, today - timedelta(days=3), today - timedelta(days=1)) == both[:1]
    assert told(accounts[:1], today - timedelta(days=9), today) == both[:1]


def test_a_plain_import_tells_of_no_deposit_by_hand(bank: Bank) -> None:
    assert "deposit_confirmed_by_hand" not in codes(bank, only(bank.import_statement(statement(CREDIT))))
