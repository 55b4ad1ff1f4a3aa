"""Importing what is odd: nothing is guessed, a person decides, and a finding says why."""

from tallystick import participants, statements
from tallystick.participants import KycStatus
from tallystick.statements import Statement
from tallystick.tokens import Kind
from tests.bank import Bank, oracle
from tests.camt_writer import Entry, Stated, message, replace, statement
from tests.statements.imports import codes, deposit, deposits_minor, entries, only


def test_a_credit_to_an_account_that_cannot_be_credited_waits(bank: Bank) -> None:
    bank.freeze("HARBOUR-USD")
    bank.close_account("LANTERN-USD")
    with bank.database.engine.begin() as connection:
        participants.record_kyc(
            connection, bank.issuer_id, bank.holders["NORTHWIND"].id, KycStatus.REJECTED, None
        )

    stored = only(
        bank.import_statement(
            statement(
                Entry("1.00", remittance="HARBOUR-USD"),
                Entry("2.00", payer_account="1000000002"),
                Entry("3.00", remittance="NORTHWIND-USD"),
                Entry("4.00", remittance="SILKROAD-USD"),
            ),
        )
    )

    kept = entries(bank, stored)
    assert [deposit(bank, one).state for one in kept] == ["unassigned"] * 3 + ["settled"]
    assert [one.matched_by for one in kept] == [None, None, None, "reference"]
    with bank.database.read() as connection:
        found = statements.findings(connection, bank.issuer_id, stored.id)
    refused = [one for one in found if one.code == "deposit_refused"]
    assert [one.location for one in refused] == ["Ntry[1]", "Ntry[2]", "Ntry[3]"]
    assert ["account_frozen" in refused[0].message, "account_closed" in refused[1].message] == [True, True]
    assert "kyc_not_verified" in refused[2].message

    bank.unfreeze("HARBOUR-USD")
    bank.ask(
        Kind.DEPOSIT_ASSIGNMENT,
        bank.maker,
        related_id=kept[0].deposit_id,
        payee_account_id=bank.account_id("HARBOUR-USD"),
    )
    assert deposits_minor(bank, "HARBOUR-USD") == 100
    oracle(bank)


def test_only_booked_credits_become_deposits(bank: Bank) -> None:
    stored = only(
        bank.import_statement(
            statement(
                Entry("10.00", credit=False, remittance="HARBOUR-USD"),
                Entry("20.00", status="PDNG", remittance="HARBOUR-USD"),
                Entry("30.00", reversal=True, remittance="HARBOUR-USD"),
                Entry("40.00", credit=False, reversal=True, remittance="HARBOUR-USD"),
                Entry("0.00", remittance="HARBOUR-USD"),
                Entry("50.00", remittance="HARBOUR-USD"),
                opening="100.00",
            ),
        )
    )

    kept = entries(bank, stored)
    assert [one.deposit_id is not None for one in kept] == [False] * 5 + [True]
    assert [(one.signed_minor, one.booked, one.reversal) for one in kept] == [
        (-1_000, True, False),
        (2_000, False, False),
        (3_000, True, True),
        (-4_000, True, True),
        (0, True, False),
        (5_000, True, False),
    ]
    assert deposits_minor(bank, "HARBOUR-USD") == 5_000


def test_a_statement_that_contradicts_itself_confirms_nothing(bank: Bank) -> None:
    stored = only(bank.import_statement(statement(Entry("10.00", remittance="HARBOUR-USD"), closing="10.01")))

    [kept] = entries(bank, stored)
    assert deposit(bank, kept).state == "unassigned"
    assert codes(bank, stored) == ["balance_mismatch", "previous_statement_unknown", "deposits_not_confirmed"]
    assert deposits_minor(bank, "HARBOUR-USD") == 0


def test_breaks_between_statements_are_found(bank: Bank) -> None:
    credit = Entry("10.00", remittance="HARBOUR-USD")

    def day(number: int, sequence: int, opening: str) -> Statement:
        content = statement(credit, day=f"2026-11-{number}", sequence=sequence, opening=opening)
        return only(bank.import_statement(content))

    first = day(10, 1, "0.00")
    follows = day(11, 2, "10.00")
    gap = day(14, 5, "25.00")
    between = day(12, 3, "20.00")

    assert codes(bank, first) == ["previous_statement_unknown"]
    assert codes(bank, follows) == []
    assert codes(bank, gap) == ["opening_differs_from_previous_closing", "sequence_gap"]
    assert codes(bank, between) == ["sequence_not_ascending", "opening_differs_from_previous_closing"]
    with bank.database.read() as connection:
        found = statements.findings(connection, bank.issuer_id, gap.id)
        assert "USD 25.00" in found[0].message
        assert "USD 20.00" in found[0].message
        found = statements.findings(connection, bank.issuer_id, between.id)
        assert "USD 30.00" in found[1].message
        assert "USD 25.00" in found[1].message
        in_order = statements.statements_in_order(connection, bank.issuer_id, bank.classes["USD"].id)
        latest = statements.latest_statement(connection, bank.issuer_id, bank.classes["USD"].id)
    assert [one.id for one in in_order] == [first.id, follows.id, between.id, gap.id]
    assert latest == gap
    assert deposits_minor(bank, "HARBOUR-USD") == 4_000


def test_an_entry_told_twice_is_confirmed_once(bank: Bank) -> None:
    told = Entry("10.00", remittance="HARBOUR-USD", bank_reference="B-1", day="2026-11-20")
    bank.import_statement(statement(told))

    again = only(
        bank.import_statement(
            statement(
                told,
                replace(told, amount="11.00"),
                replace(told, bank_reference="B-2"),
                replace(told, bank_reference="B-2"),
                replace(told, bank_reference="NONREF"),
                replace(told, bank_reference="NONREF"),
                day="2026-11-21",
                opening="10.00",
            ),
        )
    )

    states = [deposit(bank, one).state for one in entries(bank, again)]
    assert states == ["unassigned", "settled", "settled", "unassigned", "settled", "settled"]
    assert codes(bank, again).count("entry_seen_before") == 2
    assert deposits_minor(bank, "HARBOUR-USD") == 1_000 + 1_100 + 1_000 + 2_000

    both = bank.import_statement(
        message(
            Stated((replace(told, bank_reference="B-3"),), day="2026-11-22"),
            Stated((replace(told, bank_reference="B-3"),), day="2026-11-23"),
        ),
    )
    told_in_one_file = [entries(bank, one.statement)[0] for one in both.statements]
    assert [deposit(bank, one).state for one in told_in_one_file] == ["settled", "unassigned"]


def test_clues_to_two_accounts_leave_it_to_a_person(bank: Bank) -> None:
    stored = only(
        bank.import_statement(
            statement(
                Entry("1.00", remittance="HARBOUR-USD or LANTERN-USD", payer_account="1000000004"),
                Entry(
                    "3.00",
                    transactions=(
                        Entry("1.00", remittance="HARBOUR-USD"),
                        Entry("2.00", payer_account="1000000001"),
                    ),
                ),
                Entry(
                    "3.00",
                    transactions=(
                        Entry("1.00", remittance="HARBOUR-USD"),
                        Entry("2.00", remittance="LANTERN-USD"),
                    ),
                ),
                Entry("5.00", information="CASH DEPOSIT SILKROAD-USD"),
            ),
        )
    )

    kept = entries(bank, stored)
    assert [one.matched_by for one in kept] == [None, "reference", None, "reference"]
    assert codes(bank, stored).count("account_ambiguous") == 2
    assert deposits_minor(bank, "HARBOUR-USD") == 300
    assert deposits_minor(bank, "SILKROAD-USD") == 500
    assert (kept[1].end_to_end_id, kept[1].remittance) == (None, "HARBOUR-USD")


def test_pages_of_a_statement_are_imported_one_by_one(bank: Bank) -> None:
    first = only(
        bank.import_statement(
            statement(Entry("1.00", remittance="HARBOUR-USD"), page=(1, False), statement_id="P")
        )
    )
    assert (first.bank_statement_id, first.opening_minor, first.closing_minor) == ("P/1", 0, None)
    with bank.database.read() as connection:
        assert statements.latest_statement(connection, bank.issuer_id, bank.classes["USD"].id) is None

    last = only(
        bank.import_statement(
            statement(
                Entry("2.00", remittance="HARBOUR-USD"), page=(2, True), statement_id="P", opening="1.00"
            ),
        )
    )
    assert (last.bank_statement_id, last.opening_minor, last.closing_minor) == ("P/2", 100, 300)
    assert codes(bank, last) == []
    with bank.database.read() as connection:
        assert statements.latest_statement(connection, bank.issuer_id, bank.classes["USD"].id) == last


def test_many_odd_entries_are_told_in_few_findings(bank: Bank) -> None:
    bank.freeze("HARBOUR-USD")
    credits_ = [Entry("1.00", remittance="HARBOUR-USD") for _ in range(60)]
    stored = only(bank.import_statement(statement(*credits_)))

    assert codes(bank, stored).count("deposit_refused") == 50
    with bank.database.read() as connection:
        last = statements.findings(connection, bank.issuer_id, stored.id, after=51)
    assert [(one.finding_number, one.code) for one in last] == [(52, "findings_suppressed")]
    assert last[0].message.startswith("10 more findings of code deposit_refused")
