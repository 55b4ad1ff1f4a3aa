"""CSV by a mapping: nothing is guessed, and what a spreadsheet or an editor has done to a file shows."""

import copy
import json
from contextlib import suppress
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick import statements
from tallystick.core.errors import DomainError
from tallystick.statements import CsvMapping, StatementMappingInvalidError, read_mapping, understood_mapping
from tallystick.statements.csv_mapping import Amounts, Days, amount_reader, day_reader
from tallystick.statements.csv_statements import parse_csv
from tallystick.statements.parsed import ParsedMessage, ParsedStatement
from tallystick.statements.refusals import (
    StatementEncodingUnsupportedError,
    StatementMalformedError,
    StatementTooLargeError,
    StatementTooManyEntriesError,
)
from tallystick.statements.values import UnreadableValueError
from tests.bank import Bank, oracle
from tests.camt_writer import Entry, statement
from tests.statements.imports import EXAMPLES, codes, counts, deposit, deposits_minor, entries, only

MAPPING: dict[str, Any] = {
    "version": 1,
    "delimiter": ";",
    "order": "oldest_first",
    "account": {"value": "RIVB-CONTROL-USD"},
    "currency": {"value": "USD"},
    "days": {"format": "YYYY-MM-DD", "booking": "Day"},
    "amounts": {"style": "signed", "column": "Amount", "decimal": ".", "grouping": ","},
    "balance": "Balance",
    "columns": {"bank_reference": "Ref", "remittance": ["Text", "More"]},
}
HEADER = "Day;Ref;Text;More;Amount;Balance"
ROWS = (
    "2026-11-20;B-1;Funding HARBOUR-USD;;1,000.50;1,000.50",
    "2026-11-20;B-2;Fee;November;-0.50;1,000.00",
    "2026-11-21;B-3;LANTERN-USD;;5.00;1,005.00",
)


def mapping(**changed: Any) -> CsvMapping:
    return understood_mapping(copy.deepcopy(MAPPING) | changed)


def file(*rows: str, header: str = HEADER) -> bytes:
    return "\n".join((header, *rows)).encode() + b"\n"


def read(content: bytes, of: CsvMapping | None = None, **limits: int) -> ParsedMessage:
    size_max_bytes = limits.pop("size_max_bytes", 1_000_000)
    return parse_csv(content, of or mapping(), size_max_bytes=size_max_bytes, **limits)


def one(content: bytes, of: CsvMapping | None = None) -> ParsedStatement:
    [only_one] = read(content, of).statements
    return only_one


def found(of: ParsedStatement) -> list[str]:
    return [finding.code for finding in of.findings]


def test_rows_become_a_statement() -> None:
    message = read(file(*ROWS))

    assert (message.message_type, message.message_id) == ("CSV", "2026-11-20..2026-11-21")
    [of] = message.statements
    assert (of.account_other_id, of.currency, of.statement_id) == (
        "RIVB-CONTROL-USD",
        "USD",
        "2026-11-20..2026-11-21",
    )
    assert [(one.type_code, one.signed_minor, str(one.date)) for one in of.balances] == [
        ("OPBD", 0, "2026-11-20"),
        ("CLBD", 100_500, "2026-11-21"),
    ]
    assert [one.signed_minor for one in of.entries] == [100_050, -50, 500]
    assert [one.account_servicer_reference for one in of.entries] == ["B-1", "B-2", "B-3"]
    assert of.entries[1].details[0].remittance_information == "Fee\nNovember"
    assert found(of) == []


def test_newest_first_is_turned_round() -> None:
    turned = one(file(*reversed(ROWS)), mapping(order="newest_first"))

    assert turned == one(file(*ROWS))
    assert "balance_mismatch" in found(one(file(*reversed(ROWS))))


@pytest.mark.parametrize(
    ("changed", "content"),
    [
        (
            {"amounts": {"style": "two_columns", "credit": "In", "debit": "Out", "decimal": "."}},
            "Day;Ref;Text;More;In;Out;Balance\n2026-11-20;B-1;;;1000.50;;1000.50\n2026-11-20;B-2;;;;0.50;1000.00\n",
        ),
        (
            {
                "amounts": {
                    "style": "marked",
                    "column": "Amount",
                    "mark": "CD",
                    "credit_marks": ["C", "H"],
                    "debit_marks": ["D", "S"],
                    "decimal": ",",
                    "grouping": " ",
                    "minus": "trailing",
                },
                "delimiter": "\t",
            },
            (
                "Day\tRef\tText\tMore\tAmount\tCD\tBalance\n2026-11-20\tB-1\t\t\t1 000,50\tH\t1 000,50\n"
                "2026-11-20\tB-2\t\t\t0,50\tS\t1 000,00\n"
            ),
        ),
        (
            {
                "amounts": {"style": "signed", "column": 5, "decimal": ".", "minus": "trailing"},
                "days": {"format": "DD/MM/YY", "booking": 1},
                "header": False,
                "lines_before": 2,
                "lines_behind": 1,
                "balance": 6,
                "columns": {"bank_reference": 2},
            },
            "Account\nstatement\n20/11/26;B-1;;;1000.50;1000.50\n20/11/26;B-2;;;0.50-;1000.00\nTotal;;;;;1000.00\n\n",
        ),
        (
            {"quote": "'", "delimiter": ","},
            (
                "Day,Ref,Text,More,Amount,Balance\n2026-11-20,B-1,'a, ''b''','c\nd','1,000.50','1,000.50'\n"
                "2026-11-20,B-2,,,-0.50,'1,000.00'\n"
            ),
        ),
    ],
)
def test_the_manners_of_banks(changed: dict[str, Any], content: str) -> None:
    of = one(content.encode(), mapping(**changed))

    assert [entry.signed_minor for entry in of.entries] == [100_050, -50]
    assert [entry.booking_date for entry in of.entries] == [date(2026, 11, 20)] * 2
    assert [entry.account_servicer_reference for entry in of.entries] == ["B-1", "B-2"]
    assert found(of) == []


def test_several_accounts_and_what_else_a_row_tells() -> None:
    of = mapping(
        account={"column": "Account"},
        currency={"column": "Ccy"},
        days={"format": "YYYYMMDD", "booking": "Day", "value": "Value"},
        booked={"column": "State", "values": ["BOOKED"]},
        columns={
            "uetr": "UETR",
            "end_to_end_id": "E2E",
            "counterparty_name": "Name",
            "counterparty_account": "Number",
        },
    )
    header = "Account;Ccy;Day;Value;State;UETR;E2E;Name;Number;Amount;Balance"
    iban = "DE02120300000000202051"
    content = file(
        f"A;USD;20261120;20261121;BOOKED;255ae394-9965-4438-ac86-f406feada396;E-1;Harbour;{iban};1.00;1.00",
        "B;JPY;20261120;;BOOKED;nonsense;;;0012345;100;300",
        "A;USD;20261121;;WAITING;;;;;9.00;",
        header=header,
    )

    first, second = read(content, of).statements

    assert (first.account_id, second.account_id, second.currency) == ("A", "B", "JPY")
    assert [entry.status for entry in first.entries] == ["BOOK", "PDNG"]
    [detail] = first.entries[0].details
    assert (detail.uetr, detail.end_to_end_id) == ("255ae394-9965-4438-ac86-f406feada396", "E-1")
    assert (detail.debtor_name, detail.debtor_iban, detail.debtor_account) == ("Harbour", iban, None)
    assert second.entries[0].details[0].debtor_account == "0012345"
    assert [balance.signed_minor for balance in second.balances] == [200, 300]
    assert (found(first), found(second)) == (["entries_not_booked"], ["uetr_invalid"])


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (file(ROWS[0], ROWS[2]), "balance_mismatch"),
        (file(ROWS[1], ROWS[0], ROWS[2]), "balance_mismatch"),
        (file(ROWS[0], "2026-11-19;B-2;;;-0.50;1,000.00"), "dates_inconsistent"),
        (file(f"2026-11-20;{'B' * 36};;;1.00;1.00"), "text_too_long"),
        (file(ROWS[0], "2026-11-20;B-1;;;1,000.50;2,001.00"), "servicer_reference_duplicated"),
    ],
)
def test_what_does_not_fit_is_found(content: bytes, code: str) -> None:
    assert code in found(one(content))


def test_without_balances_nothing_proves_that_a_row_is_not_missing() -> None:
    of = one(file(*ROWS), mapping(balance=None))

    assert found(of) == ["opening_balance_missing", "closing_balance_missing"]


GOOD = file(*ROWS).decode()


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("1,000.50;1", "1.000,50;1"),
        ("1,000.50;1", "10,00.50;1"),
        ("1,000.50;1", "1000.5.0;1"),
        ("1,000.50;1", "1,000.505;1"),
        ("1,000.50;1", "=1000.50;1"),
        ("1,000.50;1", "1.00050E+3;1"),
        ("1,000.50;1", "\u0661,000.50;1"),
        ("1,000.50;1", ";1"),
        ("1,000.50;1", "1,000.50 USD;1"),
        ("1,000.50;1", "--1,000.50;1"),
        ("1,000.50;1", "1,000.50-;1"),
        ("1,000.50;1,000.50", "1,000.50;"),
        ("2026-11-21", "2026-13-21"),
        ("2026-11-21", "21.11.2026"),
        ("2026-11-21", "2026-11-2"),
        ("2026-11-21", ""),
        ("Day;", "Tag;"),
        ("Ref;Text", "Text;Text"),
        (";B-3;", ";B-3;extra;"),
        (";B-3;LANTERN-USD;;", ";B-3;"),
        (";1,005.00", ";1,005.00;more"),
        (";B-3;", ';"B-3;'),
        (";B-3;", ';"B"3;'),
        ("LANTERN", "LAN\x00TERN"),
        ("LANTERN", "\x1b[31mLANTERN"),
        ("LANTERN", "L" * 10_001),
        ("LANTERN", ";" * 250),
    ],
)
def test_malformed_twins_are_refused(right: str, wrong: str) -> None:
    assert right in GOOD
    assert len(one(GOOD.encode()).entries) == 3

    with pytest.raises(StatementMalformedError) as refusal:
        read(GOOD.replace(right, wrong, 1).encode())
    assert "LANTERN" not in str(refusal.value)


@pytest.mark.parametrize("number", ["1,00E+09", "1.00E+09", "1.2e12"])
def test_account_numbers_that_a_spreadsheet_has_rounded_are_refused(number: str) -> None:
    with pytest.raises(StatementMalformedError, match="spreadsheet"):
        read(file(f"2026-11-20;B;T;{number};1.00;1.00"), mapping(columns={"counterparty_account": "More"}))


def test_a_formula_is_text() -> None:
    of = one(file('2026-11-20;=HYPERLINK("http://x");@SUM(1);+1;1.00;1.00'.replace('"', "'")))

    assert of.entries[0].details[0].remittance_information == "@SUM(1)\n+1"
    assert of.entries[0].account_servicer_reference == "=HYPERLINK('http://x')"


def test_sizes_and_encodings() -> None:
    content = file(*ROWS)
    with pytest.raises(StatementTooLargeError):
        read(content, size_max_bytes=len(content) - 1)
    with pytest.raises(StatementTooManyEntriesError):
        read(content, entry_count_max=2)
    with pytest.raises(StatementMalformedError, match="no rows"):
        read(file())
    with pytest.raises(StatementEncodingUnsupportedError):
        read(content.decode().encode("utf-16"))
    latin = GOOD.replace("Fee", "Gebühr").encode("iso-8859-1")
    with pytest.raises(StatementEncodingUnsupportedError):
        read(latin)
    text = one(latin, mapping(encoding="iso-8859-1")).entries[1].details[0].remittance_information
    assert text == "Gebühr\nNovember"
    assert read(b"\xef\xbb\xbf" + content) == read(content)


@pytest.mark.parametrize(
    "changed",
    [
        {"version": 2},
        {"more": 1},
        {"delimiter": "x"},
        {"encoding": "utf-7"},
        {"account": {}},
        {"account": {"value": "A", "column": "B"}},
        {"days": {"format": "DD.MM", "booking": "Day"}},
        {"days": {"format": "DD.MM-YYYY", "booking": "Day"}},
        {"days": {"format": "DD.DD.YYYY", "booking": "Day"}},
        {"amounts": {"style": "signed", "decimal": "."}},
        {"amounts": {"style": "signed", "column": "A", "decimal": ".", "grouping": "."}},
        {"amounts": {"style": "two_columns", "column": "A", "credit": "B", "debit": "C", "decimal": "."}},
        {
            "amounts": {
                "style": "marked", "column": "A", "mark": "B", "credit_marks": ["C"], "debit_marks": ["C"],
                "decimal": ".",
            }
        },
        {"header": False},
        {"lines_before": True},
        {"balance": 0},
    ],
)  # fmt: skip
def test_a_mapping_that_leaves_anything_open_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(StatementMappingInvalidError):
        mapping(**changed)


def test_a_mapping_is_strict_json() -> None:
    assert read_mapping(json.dumps(MAPPING).encode()) == mapping()
    for wrong in (b"[]", b"{}", b"not json", b'{"version": 1, "version": 1}', b"\xff"):
        with pytest.raises(DomainError):
            read_mapping(wrong)
    with pytest.raises(StatementMappingInvalidError, match="days/format"):
        read_mapping(json.dumps(MAPPING | {"days": {"format": 1, "booking": "Day"}}).encode())


@settings(max_examples=100)
@given(
    minor=st.integers(-(10**14), 10**14),
    decimal=st.sampled_from([".", ","]),
    grouping=st.sampled_from([None, " ", "'", "\u00a0"]),
    minus=st.sampled_from(["leading", "trailing"]),
)
def test_amounts_are_read_as_they_are_written(
    minor: int, decimal: str, grouping: str | None, minus: str
) -> None:
    whole = f"{abs(minor) // 100:,}".replace(",", grouping or "")
    text = f"{whole}{decimal}{abs(minor) % 100:02}"
    sign = "-" if minor < 0 else ""
    told = {"style": "signed", "column": "A", "decimal": decimal, "grouping": grouping, "minus": minus}

    read_amount = amount_reader(Amounts.model_validate(told))

    assert read_amount(sign + text if minus == "leading" else text + sign, "USD") == minor


@settings(max_examples=100)
@given(
    day=st.dates(date(2000, 1, 1), date(2099, 12, 31)), separator=st.sampled_from([".", "/", "-", " ", ""])
)
def test_days_are_read_as_they_are_written(day: date, separator: str) -> None:
    for parts, codes_ in (
        (("DD", "MM", "YYYY"), ("%d", "%m", "%Y")),
        (("MM", "DD", "YY"), ("%m", "%d", "%y")),
        (("YYYY", "MM", "DD"), ("%Y", "%m", "%d")),
    ):
        read_day = day_reader(Days(format=separator.join(parts), booking="Day"))
        assert read_day(day.strftime(separator.join(codes_))) == day
        with pytest.raises(UnreadableValueError):
            read_day(f"{day.strftime(separator.join(codes_))} ")


@settings(max_examples=150)
@given(
    position=st.integers(0, len(GOOD)), inserted=st.text(';"\n,.0-=é A', max_size=6), cut=st.integers(0, 6)
)
def test_whatever_a_file_holds_it_is_read_or_refused(position: int, inserted: str, cut: int) -> None:
    message_type = "refused"
    # Anything else than a refusal fails the test.
    with suppress(DomainError):
        message_type = read((GOOD[:position] + inserted + GOOD[position + cut :]).encode()).message_type
    assert message_type in {"CSV", "refused"}


def imported(bank: Bank, content: bytes, of: CsvMapping) -> statements.StatementImport:
    read_content = statements.read_file(content, size_max_bytes=1_000_000, mapping=of)
    return bank.database.run(
        lambda connection: statements.import_statement(connection, bank.settler, bank.maker, read_content)
    )


def test_the_examples_follow_the_other_examples(bank: Bank) -> None:
    for name in ("2026-11-20-usd.xml", "2026-11-21-usd.xml"):
        bank.import_statement((EXAMPLES / name).read_bytes())
    of = read_mapping((EXAMPLES / "2026-11-22-usd.mapping.json").read_bytes())

    stored = only(imported(bank, (EXAMPLES / "2026-11-22-usd.csv").read_bytes(), of))
    swift = only(bank.import_statement((EXAMPLES / "2026-11-23-usd.sta").read_bytes()))

    assert (stored.message_type, stored.opening_minor, stored.closing_minor) == (
        "CSV",
        134_757_827,
        138_256_577,
    )
    assert [one.matched_by for one in entries(bank, stored)] == ["account_number", "reference", None]
    assert [one.matched_by for one in entries(bank, swift)] == ["reference", None]
    assert (codes(bank, stored), codes(bank, swift)) == ([], [])
    assert deposits_minor(bank, "NORTHWIND-USD") == 102_000_000
    oracle(bank)


def test_the_same_rows_again_change_nothing(bank: Bank) -> None:
    imported(bank, file(*ROWS), mapping())
    before = counts(bank)

    assert not imported(bank, file(*reversed(ROWS)), mapping(order="newest_first")).imported
    with pytest.raises(statements.StatementConflictError):
        imported(bank, GOOD.replace("HARBOUR", "LANTERN").encode(), mapping())
    assert counts(bank) == before


def test_rows_of_days_that_are_in_wait_for_a_person(bank: Bank) -> None:
    bank.import_statement(statement(Entry("1000.50", remittance="HARBOUR-USD"), closing="1000.50"))

    stored = only(imported(bank, file(*ROWS), mapping()))

    assert {"period_overlaps", "deposits_not_confirmed"} <= set(codes(bank, stored))
    credits_ = [one for one in entries(bank, stored) if one.credit]
    assert [deposit(bank, one).state for one in credits_] == ["unassigned"] * 2
    assert deposits_minor(bank, "HARBOUR-USD") == 100_050
    # Days behind them are as good as any.
    later = file("2026-11-22;B-4;HARBOUR-USD;;2.00;1,007.00")
    [entry] = entries(bank, only(imported(bank, later, mapping())))
    assert entry.matched_by == "reference"
