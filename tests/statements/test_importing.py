"""Importing statements: each credit becomes one deposit, once, whatever is sent again, torn or odd."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from lxml import etree

from tallystick import events, statements, tokens
from tallystick.core.clock import FixedClock
from tallystick.core.errors import DomainError
from tallystick.ledger import Code
from tests.bank import Bank, oracle
from tests.camt_writer import EUR_CONTROL, Entry, Stated, message, replace, statement
from tests.database import connect
from tests.statements.imports import EXAMPLES, codes, counts, deposit, deposits_minor, entries, only, read
from tests.statements.shared_files import shared_file


def test_a_day_of_credits_becomes_deposits(bank: Bank) -> None:
    imported = bank.import_statement((EXAMPLES / "2026-11-20-usd.xml").read_bytes())

    assert imported.imported
    assert (imported.message_type, imported.message_id) == ("camt.053", "RIVB-20261120-USD")
    stored = only(imported)
    assert (stored.opening_minor, stored.closing_minor, stored.entry_count) == (0, 126_327_827, 4)
    assert (stored.bank_account, stored.currency, stored.sequence_number) == ("RIVB-CONTROL-USD", "USD", 1)
    assert stored.imported_by == bank.maker.id
    kept = entries(bank, stored)
    assert [(one.amount_minor, one.matched_by) for one in kept] == [
        (25_000_000, "reference"),
        (1_250_050, "account_number"),
        (100_000_000, "reference"),
        (77_777, None),
    ]
    assert deposits_minor(bank, "HARBOUR-USD") == 25_000_000
    assert deposits_minor(bank, "LANTERN-USD") == 1_250_050
    assert deposits_minor(bank, "NORTHWIND-USD") == 100_000_000
    assert bank.balance_minor(Code.DEPOSITS_AT_CORE, "USD") == 126_250_050
    confirmed, waiting = deposit(bank, kept[0]), deposit(bank, kept[3])
    assert (confirmed.state, confirmed.related_id, confirmed.reference) == (
        "settled",
        kept[0].id,
        "HM-FUND-0001",
    )
    assert confirmed.value_date is not None
    assert confirmed.value_date.isoformat() == "2026-11-20"
    assert (waiting.state, waiting.payee_account_id, waiting.amount_minor) == ("unassigned", None, 77_777)
    assert codes(bank, stored) == ["previous_statement_unknown"]
    oracle(bank)


def test_the_examples_follow_each_other(bank: Bank) -> None:
    bank.import_statement((EXAMPLES / "2026-11-20-usd.xml").read_bytes())
    euro = only(bank.import_statement((EXAMPLES / "2026-11-20-eur.xml").read_bytes()))
    saturday = only(bank.import_statement((EXAMPLES / "2026-11-21-usd.xml").read_bytes()))

    assert [one.matched_by for one in entries(bank, euro)] == ["iban"] * 4
    assert bank.balance_minor(Code.DEPOSITS_AT_CORE, "EUR") == euro.closing_minor == 43_400_025
    assert [(one.matched_by, one.booked) for one in entries(bank, saturday)] == [
        ("account_number", True),
        ("reference", True),
        (None, False),
    ]
    assert codes(bank, saturday) == ["entries_not_booked"]
    assert saturday.closing_minor == 134_757_827
    oracle(bank)


def test_the_same_statement_again_changes_nothing(bank: Bank) -> None:
    content = (EXAMPLES / "2026-11-20-usd.xml").read_bytes()
    first = only(bank.import_statement(content))
    before = counts(bank)
    bank.clock.at = bank.clock.at.replace(hour=20)
    text = content.decode()
    respelled = [
        content,
        text.replace("UTF-8", "UTF-16").encode("utf-16"),
        text.replace("\n", "").replace("  ", "").encode(),
        text.replace("RIVB-20261120-USD", "RESENT-1").replace("T23:30:00Z", "T23:45:00Z").encode(),
    ]

    for same in respelled:
        again = bank.import_statement(same)
        assert not again.imported
        assert only(again) == first
    assert counts(bank) == before


def test_the_same_file_is_the_same_statement_however_it_was_read_before(bank: Bank) -> None:
    content = statement(Entry("100.00", remittance="HARBOUR-USD"))
    first = only(bank.import_statement(content))
    with connect(bank.urls.superuser_url) as connection:
        connection.execute(b"ALTER TABLE statement DISABLE TRIGGER USER")
        connection.execute(b"UPDATE statement SET content_hash = sha256('read by an earlier release')")

    again = bank.import_statement(content)

    assert (again.imported, only(again).id) == (False, first.id)
    assert deposits_minor(bank, "HARBOUR-USD") == 10_000


@pytest.mark.parametrize(
    "changed",
    [
        Entry("100.01", remittance="HARBOUR-USD"),
        Entry("100.00", remittance="LANTERN-USD"),
        Entry("100.00", remittance="HARBOUR-USD", day="2026-11-19"),
        Entry("100.00", remittance="HARBOUR-USD", bank_reference="B1"),
    ],
)
def test_another_statement_of_the_same_name_is_refused(bank: Bank, changed: Entry) -> None:
    first = only(bank.import_statement(statement(Entry("100.00", remittance="HARBOUR-USD"))))
    before = counts(bank)

    with pytest.raises(statements.StatementConflictError) as refusal:
        bank.import_statement(statement(changed))

    assert refusal.value.members == {"statement_id": first.id}
    assert counts(bank) == before


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (statement(Entry("1.00"), account="SOMEBODY-ELSE"), "statement_account_unknown"),
        (statement(Entry("1.00"), currency="EUR"), "statement_currency_mismatch"),
        (statement(Entry("1.00"), Entry("1.00", currency="EUR")), "statement_currency_mismatch"),
        (message(Stated((Entry("1.00"),)), kind="camt.055.001.08"), "statement_type_unsupported"),
        (b"<Document/>", "statement_namespace_unknown"),
    ],
)
def test_what_is_not_for_us_is_refused_whole(bank: Bank, content: bytes, code: str) -> None:
    before = counts(bank)

    with pytest.raises(DomainError) as refusal:
        bank.import_statement(content)

    assert (refusal.value.code, refusal.value.status) == (code, 422)
    assert counts(bank) == before


@pytest.mark.parametrize("who", ["platform", "holder"])
def test_only_the_banks_own_people_import(bank: Bank, who: str) -> None:
    with pytest.raises(statements.StatementImportNotAllowedError):
        bank.database.run(
            lambda connection: statements.import_statement(
                connection, bank.settler, getattr(bank, who), read(statement(Entry("1.00")))
            )
        )


@pytest.mark.parametrize(
    ("name", "version"), [("2026-11-20-usd", "08"), ("2026-11-21-usd", "08"), ("2026-11-20-eur", "02")]
)
def test_the_examples_are_valid_under_their_schema(name: str, version: str) -> None:
    schema = etree.XMLSchema(etree.parse(shared_file("xsd", f"camt.053.001.{version}.xsd")))
    schema.assertValid(etree.parse(EXAMPLES / f"{name}.xml"))


def test_a_message_is_imported_whole_or_not_at_all(bank: Bank) -> None:
    bank.import_statement(statement(Entry("1.00", remittance="HARBOUR-USD")))
    before = counts(bank)
    euro = Stated((Entry("5.00", remittance="HARBOUR-EUR"),), account=EUR_CONTROL, currency="EUR")

    with pytest.raises(statements.StatementConflictError):
        bank.import_statement(message(euro, Stated((Entry("2.00", remittance="HARBOUR-USD"),))))
    assert counts(bank) == before
    with pytest.raises(statements.StatementConflictError):
        bank.import_statement(message(euro, replace(euro, entries=(Entry("6.00"),))))
    assert counts(bank) == before

    imported = bank.import_statement(message(euro, Stated((Entry("1.00", remittance="HARBOUR-USD"),)), euro))
    assert [one.imported for one in imported.statements] == [True, False, False]
    assert deposits_minor(bank, "HARBOUR-EUR") == 500
    assert deposits_minor(bank, "HARBOUR-USD") == 100
    oracle(bank)


@pytest.mark.parametrize(("scale", "kept_minor"), [(0, None), (1, 123), (2, 1_230), (6, 12_300_000)])
def test_amounts_are_kept_in_the_scale_of_the_class(bank: Bank, scale: int, kept_minor: int | None) -> None:
    with bank.database.engine.begin() as connection:
        of_class = tokens.open_token_class(
            connection,
            bank.clock,
            bank.issuer_id,
            currency="GBP",
            name="Riverbank pound",
            scale=scale,
            backing_account_number="RIVB-CONTROL-GBP",
        )
        tokens.open_account(
            connection,
            bank.clock,
            bank.issuer_id,
            holder_id=bank.holders["HARBOUR"].id,
            token_class_id=of_class.id,
            deposit_account_number="77",
            reference="HARBOUR-GBP",
        )
    credit = Entry("12.30", remittance="HARBOUR-GBP")
    days = [
        statement(credit, account="RIVB-CONTROL-GBP", currency="GBP"),
        statement(credit, account="RIVB-CONTROL-GBP", currency="GBP", day="2026-11-21", opening="12.30"),
    ]

    if kept_minor is None:
        with pytest.raises(statements.StatementAmountInexactError):
            bank.import_statement(days[0])
        return
    stored = [only(bank.import_statement(day)) for day in days]
    assert [one.closing_minor for one in stored] == [kept_minor, 2 * kept_minor]
    assert entries(bank, stored[0])[0].amount_minor == kept_minor
    assert codes(bank, stored[1]) == []
    oracle(bank)


def test_imports_of_one_file_at_once_make_its_deposits_once(bank: Bank) -> None:
    content = (EXAMPLES / "2026-11-20-usd.xml").read_bytes()
    with ThreadPoolExecutor(8) as pool:
        imported = list(pool.map(lambda _: bank.import_statement(content), range(8)))

    assert sorted(one.imported for one in imported) == [False] * 7 + [True]
    assert len({only(one).id for one in imported}) == 1
    assert bank.balance_minor(Code.DEPOSITS_AT_CORE, "USD") == 126_250_050
    oracle(bank)


def test_imports_of_different_files_at_once_all_count(bank: Bank) -> None:
    days = [
        statement(Entry("10.00", remittance="HARBOUR-USD"), day=f"2026-11-{day}", opening=f"{day}.00")
        for day in range(10, 18)
    ]
    days += [
        statement(Entry("10.00", remittance="HARBOUR-EUR"), account=EUR_CONTROL, currency="EUR", day=day)
        for day in ("2026-11-10", "2026-11-11")
    ]
    with ThreadPoolExecutor(8) as pool:
        imported = list(pool.map(bank.import_statement, days))

    assert all(one.imported for one in imported)
    assert deposits_minor(bank, "HARBOUR-USD") == 8_000
    assert deposits_minor(bank, "HARBOUR-EUR") == 2_000
    oracle(bank)


def test_a_crash_before_the_commit_leaves_nothing(bank: Bank) -> None:
    before = counts(bank)

    class CrashError(Exception):
        pass

    def import_and_crash(connection: object) -> None:
        statements.import_statement(
            connection,  # type: ignore[arg-type]
            bank.settler,
            bank.maker,
            read((EXAMPLES / "2026-11-20-usd.xml").read_bytes()),
        )
        raise CrashError

    with pytest.raises(CrashError):
        bank.database.run(import_and_crash)
    assert counts(bank) == before
    assert bank.import_statement((EXAMPLES / "2026-11-20-usd.xml").read_bytes()).imported


def test_the_log_remembers_an_entry_even_if_its_statement_is_lost(bank: Bank) -> None:
    content = statement(Entry("10.00", remittance="HARBOUR-USD"))
    first = entries(bank, only(bank.import_statement(content)))[0]
    with connect(bank.urls.superuser_url) as connection:
        for table in ("statement_completion", "statement_finding", "statement_entry", "statement"):
            connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER".encode())
            connection.execute(f"DELETE FROM {table}".encode())

    again = entries(bank, only(bank.import_statement(content)))[0]

    assert again.deposit_id == first.deposit_id
    assert deposits_minor(bank, "HARBOUR-USD") == 1_000


def test_reading_page_by_page(bank: Bank) -> None:
    days = [
        only(bank.import_statement(statement(Entry("1.00"), Entry("2.00"), Entry("3.00"), day=day)))
        for day in ("2026-11-10", "2026-11-11", "2026-11-12")
    ]
    euro = only(
        bank.import_statement(statement(Entry("1.00"), account=EUR_CONTROL, currency="EUR", opening="1.00"))
    )
    with bank.database.read() as connection:
        issuer_id = bank.issuer_id
        assert statements.statements(connection, issuer_id, limit=2) == days[:2]
        assert statements.statements(connection, issuer_id, after=days[1].id) == [days[2], euro]
        usd = bank.classes["USD"].id
        assert statements.statements(connection, issuer_id, token_class_id=usd) == days
        assert statements.statement(connection, issuer_id, euro.id) == euro
        page = statements.entries(connection, issuer_id, days[0].id, after=1, limit=1)
        assert [one.entry_number for one in page] == [2]
        wanted = [f"{days[0].id}.2", f"{days[2].id}.3", f"{days[0].id}.4", "nonsense", "statement_x.y", ".1"]
        assert set(statements.entries_by_id(connection, issuer_id, wanted)) == set(wanted[:2])
        with pytest.raises(statements.StatementNotFoundError):
            statements.statement(connection, issuer_id, "statement_00000000000000000000000000")
        with pytest.raises(statements.StatementNotFoundError):
            statements.statement(connection, "issuer_other", euro.id)


def test_what_was_imported_later_can_be_left_out(bank: Bank) -> None:
    first = only(bank.import_statement(statement(Entry("1.00"), day="2026-11-19")))
    until = bank.clock.at
    bank.clock = FixedClock(until.replace(hour=23))
    bank.settler = tokens.Settler.of(bank.clock, bank.key_directory, bank.settler.approval_lifetime)
    second = only(bank.import_statement(statement(Entry("1.00"), opening="1.00")))
    with bank.database.read() as connection:
        usd = bank.classes["USD"].id
        in_order = statements.statements_in_order(connection, bank.issuer_id, usd, imported_until=until)
        assert in_order == [first]
        assert statements.latest_statement(connection, bank.issuer_id, usd, imported_until=until) == first
        assert statements.latest_statement(connection, bank.issuer_id, usd) == second


def test_the_event_names_the_entry_as_its_evidence(bank: Bank) -> None:
    [entry] = entries(bank, only(bank.import_statement(statement(Entry("1.00", remittance="HARBOUR-USD")))))
    event_index = deposit(bank, entry).event_index
    assert event_index is not None
    with bank.database.read() as connection:
        [event] = events.events_at(connection, bank.issuer_id, [event_index])
    assert (event.type, event.subject_id) == ("deposit.confirmed", entry.deposit_id)
