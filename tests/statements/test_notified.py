"""Credits that a report or notification tells of before the statement does: confirmed once, and linked."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick import statements
from tallystick.ledger import Code
from tallystick.statements import Statement, StatementEntry
from tallystick.statements.camt import parse_camt
from tallystick.statements.notified import references_of
from tests.bank import Bank, oracle
from tests.camt_writer import EUR_CONTROL, Entry, Stated, message, notification, replace, statement
from tests.statements.imports import codes, confirm_by_hand, counts, deposit, deposits_minor, entries, only

UETR = "255ae394-9965-4438-ac86-f406feada396"
OTHER_UETR = "0f1a2b3c-9965-4438-ac86-f406feada396"
CREDIT = Entry("100.00", remittance="HARBOUR-USD", bank_reference="B-1", uetr=UETR)
REPORT = "camt.052.001.08"


def kept(bank: Bank, content: bytes) -> list[StatementEntry]:
    return entries(bank, only(bank.import_statement(content)))


@pytest.mark.parametrize("kind", ["camt.054.001.08", "camt.054.001.02", REPORT, "camt.052.001.12"])
def test_a_notified_credit_is_confirmed_and_the_statement_is_linked_to_it(bank: Bank, kind: str) -> None:
    told = only(bank.import_statement(notification(CREDIT, kind=kind)))
    [early] = entries(bank, told)
    assert (told.intraday, told.message_type, early.matched_by) == (True, kind[:8], "reference")
    assert deposits_minor(bank, "HARBOUR-USD") == 10_000
    before = counts(bank)

    [late] = kept(bank, statement(CREDIT))

    assert (late.deposit_id, late.matched_by) == (early.deposit_id, "notified")
    assert counts(bank)[3:] == before[3:], "an instruction, an event or an answer was added"
    assert deposit(bank, late).related_id == early.id
    assert deposits_minor(bank, "HARBOUR-USD") == 10_000
    oracle(bank)


@pytest.mark.parametrize(
    ("early", "late"),
    [
        ({"bank_reference": "B-1"}, {"bank_reference": "B-1"}),
        ({"uetr": UETR}, {"uetr": UETR, "bank_reference": "B-9"}),
        ({"entry_reference": "1"}, {"entry_reference": "1"}),
        ({"bank_reference": "B-1", "day": "2026-11-19"}, {"bank_reference": "B-1"}),
        # References that the bank changed: account, amount and day are left.
        ({"bank_reference": "B-1"}, {"bank_reference": "B-9"}),
        ({"uetr": UETR}, {"bank_reference": "B-9"}),
        ({"bank_reference": "B-1", "day": "2026-11-18"}, {}),
    ],
)
def test_by_what_a_credit_is_known_again(bank: Bank, early: dict[str, Any], late: dict[str, Any]) -> None:
    plain = Entry("100.00", remittance="HARBOUR-USD")
    [told] = kept(bank, notification(replace(plain, **early)))

    [again] = kept(bank, statement(replace(plain, **late)))

    assert (again.deposit_id, again.matched_by) == (told.deposit_id, "notified")
    assert deposits_minor(bank, "HARBOUR-USD") == 10_000


@pytest.mark.parametrize(
    "late",
    [
        {"uetr": OTHER_UETR, "bank_reference": "B-9"},
        {"amount": "100.01", "uetr": None, "bank_reference": "B-9"},
        {"remittance": "LANTERN-USD", "uetr": None, "bank_reference": "B-9"},
        {"day": "2026-11-24", "uetr": None, "bank_reference": "B-9"},
    ],
)
def test_another_credit_is_confirmed_too(bank: Bank, late: dict[str, Any]) -> None:
    kept(bank, notification(CREDIT))

    [other] = kept(bank, statement(replace(CREDIT, **late), day="2026-11-24"))

    assert other.matched_by == "reference"
    assert bank.balance_minor(Code.DEPOSITS_AT_CORE, "USD") == 10_000 + other.amount_minor
    oracle(bank)


def test_a_reference_goes_before_an_equal_amount(bank: Bank) -> None:
    [told] = kept(bank, notification(CREDIT))

    one, other = kept(bank, statement(replace(CREDIT, uetr=None, bank_reference="B-9"), CREDIT))

    assert (other.deposit_id, other.matched_by) == (told.deposit_id, "notified")
    assert one.matched_by == "reference"
    assert deposits_minor(bank, "HARBOUR-USD") == 20_000


def test_each_notification_stands_for_one_credit(bank: Bank) -> None:
    plain = Entry("100.00", remittance="HARBOUR-USD")
    told = kept(bank, notification(*[replace(plain, bank_reference=f"B-{n}") for n in range(3)]))

    again = kept(bank, statement(*[plain] * 5))

    assert [one.matched_by for one in again] == ["notified"] * 3 + ["reference"] * 2
    assert {one.deposit_id for one in again[:3]} == {one.deposit_id for one in told}
    assert deposits_minor(bank, "HARBOUR-USD") == 50_000
    oracle(bank)


def test_a_report_that_repeats_what_was_told_confirms_nothing(bank: Bank) -> None:
    [first] = kept(bank, notification(CREDIT, kind=REPORT))

    fresh = replace(CREDIT, bank_reference="B-2", uetr=OTHER_UETR)
    again = kept(bank, notification(CREDIT, fresh, kind=REPORT, number=2))
    [third] = kept(bank, notification(CREDIT))

    assert [one.matched_by for one in (*again, third)] == ["told_before", "reference", "told_before"]
    assert first.deposit_id == again[0].deposit_id == third.deposit_id
    assert deposits_minor(bank, "HARBOUR-USD") == 20_000
    assert [one.matched_by for one in kept(bank, statement(CREDIT, fresh))] == ["notified"] * 2
    assert deposits_minor(bank, "HARBOUR-USD") == 20_000


@pytest.mark.parametrize(
    ("entry", "code"),
    [
        (Entry("100.00", remittance="HARBOUR-USD"), "credit_not_identified"),
        (Entry("100.00", remittance="HARBOUR-USD", bank_reference="NONREF"), "credit_not_identified"),
        (replace(CREDIT, remittance="HARBOUR-USD or LANTERN-USD"), "account_ambiguous"),
        (replace(CREDIT, remittance="Who knows"), None),
        (replace(CREDIT, status="PDNG"), "entries_not_booked"),
        (replace(CREDIT, reversal=True), None),
        (replace(CREDIT, credit=False), None),
    ],
)
def test_what_can_be_doubted_waits_for_the_statement(bank: Bank, entry: Entry, code: str | None) -> None:
    told = only(bank.import_statement(notification(entry)))

    [early] = entries(bank, told)
    assert (early.deposit_id, early.matched_by) == (None, None)
    assert [one for one in codes(bank, told) if one != "details_sum_mismatch"] == ([code] if code else [])
    assert counts(bank)[3] == [(0,)]
    if entry.status == "BOOK" and entry.credit and not entry.reversal:
        [late] = kept(bank, statement(entry))
        assert deposit(bank, late).related_id == late.id


def test_an_account_that_cannot_be_credited_waits_for_the_statement(bank: Bank) -> None:
    bank.freeze("HARBOUR-USD")
    told = only(bank.import_statement(notification(CREDIT)))
    assert entries(bank, told)[0].deposit_id is None
    assert codes(bank, told) == ["deposit_refused"]
    bank.unfreeze("HARBOUR-USD")

    [late] = kept(bank, statement(CREDIT))

    assert late.matched_by == "reference"
    assert deposits_minor(bank, "HARBOUR-USD") == 10_000


def test_a_notification_behind_the_statement_confirms_nothing(bank: Bank) -> None:
    [confirmed] = kept(bank, statement(replace(CREDIT, transactions=(CREDIT,), bank_reference="S-1")))

    told = only(bank.import_statement(notification(CREDIT)))

    assert entries(bank, told)[0].deposit_id is None
    assert codes(bank, told) == ["credit_behind_statement"]
    assert confirmed.matched_by == "reference"
    assert deposits_minor(bank, "HARBOUR-USD") == 10_000
    # The next day's is not behind it.
    [next_day] = kept(
        bank, notification(replace(CREDIT, bank_reference="B-2", uetr=None), number=2, day="2026-11-21")
    )
    assert next_day.matched_by == "reference"


PARTS = tuple(
    Entry("50.00", remittance="HARBOUR-USD", uetr=uetr, bank_reference=f"B-{uetr[:2]}")
    for uetr in (UETR, OTHER_UETR)
)


def parts_of(bank: Bank, of: Statement) -> list[tuple[str, str]]:
    with bank.database.read() as connection:
        found = statements.links_of_parts(connection, bank.issuer_id, of.id)
    return [(one.statement_entry_id, one.deposit_id) for one in found]


def test_a_batch_that_was_notified_in_parts_is_linked_to_all_of_them(bank: Bank) -> None:
    told = kept(bank, notification(*PARTS))
    before = counts(bank)

    stored = only(bank.import_statement(statement(Entry("100.00", transactions=PARTS))))

    [batch] = entries(bank, stored)
    assert (batch.deposit_id, batch.matched_by) == (None, "notified_in_parts")
    assert parts_of(bank, stored) == sorted((batch.id, one.deposit_id or "") for one in told)
    assert counts(bank)[3:] == before[3:], "something was confirmed"
    # The parts are taken: another batch of them is none.
    again = only(
        bank.import_statement(
            statement(Entry("100.00", transactions=PARTS), day="2026-11-21", opening="100.00")
        )
    )
    assert [deposit(bank, one).state for one in entries(bank, again)] == ["unassigned"]
    assert deposits_minor(bank, "HARBOUR-USD") == 10_000
    oracle(bank)


def test_a_batch_that_was_notified_as_one_and_booked_in_parts(bank: Bank) -> None:
    whole = Entry("100.00", transactions=PARTS, bank_reference="B-1")
    [told] = kept(bank, notification(whole))
    assert told.matched_by == "reference"

    stored = only(bank.import_statement(statement(*PARTS)))

    booked = entries(bank, stored)
    assert [one.matched_by for one in booked] == ["notified_in_parts"] * 2
    assert parts_of(bank, stored) == [(one.id, told.deposit_id or "") for one in booked]
    assert deposits_minor(bank, "HARBOUR-USD") == 10_000
    oracle(bank)


@pytest.mark.parametrize(
    "booked",
    [
        (Entry("100.01", transactions=PARTS),),
        (replace(PARTS[0], amount="49.99"), PARTS[1]),
        (Entry("50.00", transactions=PARTS), PARTS[0]),
    ],
)
def test_parts_that_come_to_another_sum_are_left_to_a_person(bank: Bank, booked: tuple[Entry, ...]) -> None:
    of_one = len(booked[0].transactions) == 0
    kept(
        bank, notification(Entry("100.00", transactions=PARTS, bank_reference="B-1") if of_one else PARTS[0])
    )
    if not of_one:
        kept(bank, notification(PARTS[1], number=2))

    stored = only(bank.import_statement(statement(*booked)))

    assert deposit(bank, entries(bank, stored)[0]).state == "unassigned"
    assert "credit_told_otherwise" in codes(bank, stored)
    assert deposits_minor(bank, "HARBOUR-USD") == 10_000


def test_a_repeat_of_the_statements_own_waits(bank: Bank) -> None:
    kept(bank, notification(CREDIT))
    kept(bank, statement(CREDIT))

    [again] = kept(bank, statement(CREDIT, day="2026-11-21", opening="100.00"))

    assert deposit(bank, again).state == "unassigned"
    assert deposits_minor(bank, "HARBOUR-USD") == 10_000


def test_a_statement_that_contradicts_itself_is_linked_all_the_same(bank: Bank) -> None:
    [told] = kept(bank, notification(CREDIT))

    linked, other = kept(bank, statement(CREDIT, Entry("1.00", remittance="HARBOUR-USD"), closing="9.00"))

    assert (linked.deposit_id, linked.matched_by) == (told.deposit_id, "notified")
    assert deposit(bank, other).state == "unassigned"


def test_a_deposit_confirmed_by_hand_before_the_notification_stands_for_the_statement(bank: Bank) -> None:
    by_hand = confirm_by_hand(bank, "HARBOUR-USD", "100.00")
    told = only(bank.import_statement(notification(CREDIT)))
    assert entries(bank, told)[0].deposit_id is None
    assert codes(bank, told) == ["deposit_confirmed_by_hand"]

    [late] = kept(bank, statement(CREDIT))

    assert (late.deposit_id, late.matched_by) == (by_hand, "confirmed_by_hand")
    assert deposits_minor(bank, "HARBOUR-USD") == 10_000
    oracle(bank)


def test_the_same_notification_again_changes_nothing(bank: Bank) -> None:
    content = notification(CREDIT)
    first = bank.import_statement(content)
    before = counts(bank)

    again = bank.import_statement(content)

    assert (first.imported, again.imported) == (True, False)
    assert only(again) == only(first)
    assert counts(bank) == before


def test_reports_are_numbered_by_themselves(bank: Bank) -> None:
    def told(number: int, sequence: int) -> list[str]:
        return codes(
            bank, only(bank.import_statement(notification(CREDIT, number=number, sequence=sequence)))
        )

    assert told(1, 1) == []
    assert told(2, 2) == []
    assert told(3, 5) == ["sequence_gap"]
    assert told(4, 3) == ["sequence_not_ascending"]


def test_several_accounts_in_one_notification(bank: Bank) -> None:
    euro = Stated(
        (replace(CREDIT, remittance="HARBOUR-EUR"),), account=EUR_CONTROL, currency="EUR", opening=None
    )
    both = bank.import_statement(message(Stated((CREDIT,), opening=None), euro, kind="camt.054.001.08"))

    assert [one.imported for one in both.statements] == [True, True]
    assert deposits_minor(bank, "HARBOUR-USD") == deposits_minor(bank, "HARBOUR-EUR") == 10_000
    [late] = kept(
        bank, statement(replace(CREDIT, remittance="HARBOUR-EUR"), account=EUR_CONTROL, currency="EUR")
    )
    assert late.deposit_id == entries(bank, both.statements[1].statement)[0].deposit_id


def test_a_statement_and_its_notifications_at_once(bank: Bank) -> None:
    """In whichever order they get their turn, each of twenty credits is confirmed once."""
    credits_ = [
        Entry("10.00", remittance="HARBOUR-USD", bank_reference=f"B-{number}") for number in range(20)
    ]
    files = [notification(*credits_[n : n + 5], number=n) for n in range(0, 20, 5)]
    files += [statement(*credits_), notification(*credits_, kind=REPORT)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(bank.import_statement, files))

    assert deposits_minor(bank, "HARBOUR-USD") == 20_000
    oracle(bank)


TEXT = st.text(alphabet="AB12", min_size=1, max_size=200)


@given(uetr=st.none() | st.just(UETR), servicer=st.none() | TEXT, entry_reference=st.none() | TEXT)
def test_references_are_short_and_equal_for_equal_entries(
    uetr: str | None, servicer: str | None, entry_reference: str | None
) -> None:
    told = Entry("1.00", uetr=uetr, bank_reference=servicer, entry_reference=entry_reference)
    read = [
        parse_camt(content, size_max_bytes=10_000).statements[0].entries[0]
        for content in (statement(told), notification(told))
    ]
    first, second = map(references_of, read)

    assert first == second
    assert len(first) == sum(one is not None for one in (uetr, servicer, entry_reference))
    assert all(len(one) <= 140 for one in first)
