"""MT940 and MT942: read exactly or refused, and never more than the file says."""

import logging
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.core.errors import DomainError
from tallystick.statements.parsed import PageInformation, ParsedEntry, ParsedMessage, ParsedStatement
from tallystick.statements.refusals import (
    StatementEncodingUnsupportedError,
    StatementMalformedError,
    StatementTooLargeError,
    StatementTooManyEntriesError,
)
from tallystick.statements.swift import parse_swift
from tallystick.statements.swift_fields import looks_like_swift
from tallystick.statements.swift_values import read_line, read_moment, short_date
from tallystick.statements.values import UnreadableValueError
from tests.statements.shared_files import shared_file
from tests.swift_writer import Line, mt940, mt942, replace

CREDIT = Line("1234.50", "Funding HARBOUR-USD")
IBAN = "DE02120300000000202051"


def read(content: bytes, **limits: int) -> ParsedMessage:
    return parse_swift(content, size_max_bytes=limits.pop("size_max_bytes", 1_000_000), **limits)


def one(content: bytes) -> ParsedStatement:
    [statement] = read(content).statements
    return statement


def entry(line: Line) -> ParsedEntry:
    [only] = one(mt940(line, opening="99999.00")).entries
    return only


def codes(statement: ParsedStatement) -> list[str]:
    return [found.code for found in statement.findings]


def test_the_sample_of_a_bank() -> None:
    message = read(shared_file("samples", "mt940_abnamro.sta").read_bytes())

    assert (message.message_type, message.message_id, message.findings[0].code) == (
        "MT940",
        "ABN AMRO BANK NV",
        "balance_mismatch",
    )
    first, second = message.statements
    assert (first.statement_id, first.account_id, first.currency) == ("2011-05-23-19321", "517852257", "EUR")
    assert [balance.signed_minor for balance in first.balances] == [323_628, 87_684]
    assert [one.signed_minor for one in first.entries] == [
        -900, -1_159, -1_163, -1_180, -1_345, -1_549, -10_700, -14_148,
    ]  # fmt: skip
    assert (first.entries[0].booking_date, first.entries[0].value_date) == (date(2011, 5, 24),) * 2
    assert (first.entries[1].booking_date, first.entries[1].value_date) == (
        date(2011, 5, 23),
        date(2011, 5, 21),
    )
    assert second.page == PageInformation(1, last=False)
    assert [balance.type_code for balance in second.balances] == ["ITBD", "ITBD"]


def test_a_statement_and_its_lines() -> None:
    statement = one(
        mt940(
            replace(CREDIT, owner_reference="E2E-1", servicer_reference="BANK-1"),
            Line("200.00", "Back to payer", mark="RC"),
            Line("3.00", mark="D", type_code="NCHG", supplementary="Fees of November"),
            Line("5.00", mark="RD"),
            opening="-10.00",
            number="00324",
        )
    )

    assert (statement.account_other_id, statement.currency, statement.electronic_sequence_number) == (
        "RIVB-CONTROL-USD",
        "USD",
        324,
    )
    assert (statement.statement_id, statement.page) == ("2026-11-20-324", None)
    assert [balance.signed_minor for balance in statement.balances] == [-1_000, 102_650]
    assert codes(statement) == []
    first, reversal, fee, back = statement.entries
    assert (first.signed_minor, first.booked, first.reversal) == (123_450, True, False)
    assert (first.account_servicer_reference, first.details[0].end_to_end_id) == ("BANK-1", "E2E-1")
    assert first.details[0].remittance_information == "Funding HARBOUR-USD"
    assert (reversal.signed_minor, reversal.reversal, back.signed_minor, back.reversal) == (
        -20_000,
        True,
        500,
        True,
    )
    assert (fee.signed_minor, fee.bank_transaction_code.proprietary, fee.additional_information) == (
        -300,
        "NCHG",
        None,
    )


@pytest.mark.parametrize(
    ("information", "remittance", "name", "account", "end_to_end_id"),
    [
        ("Invoice 7", "Invoice 7", None, None, None),
        (
            f"166?00GUTSCHRIFT?20EREF+E2E-7?21SVWZ+Funding HARBOUR-USD?30BYLADEM1001?31{IBAN}?32Harbour?33 GmbH",
            "Funding HARBOUR-USD",
            "Harbour GmbH",
            IBAN,
            "E2E-7",
        ),
        (
            f"/TRTP/SEPA/IBAN/{IBAN}/BIC/BYLADEM1001/NAME/Harbour B.V./REMI/HARBOUR-USD/EREF/E2E-7",
            "HARBOUR-USD",
            "Harbour B.V.",
            IBAN,
            "E2E-7",
        ),
        ("/REMI/Pays for/ORDP/ things", "Pays for", None, None, None),
    ],
)
def test_what_payers_wrote(
    information: str, remittance: str, name: str | None, account: str | None, end_to_end_id: str | None
) -> None:
    [detail] = entry(Line("1.00", information)).details

    assert (detail.remittance_information, detail.debtor_name) == (remittance, name)
    assert (detail.debtor_iban, detail.end_to_end_id) == (account, end_to_end_id)


def test_a_full_line_goes_on_in_the_next_and_a_short_one_does_not() -> None:
    full = "x" * 60 + " HARB"
    assert len(full) == 65
    [detail] = entry(Line("1.00", f"{full}\nOUR-USD\nThanks")).details

    assert detail.remittance_information == f"{'x' * 60} HARBOUR-USD\nThanks"


@pytest.mark.parametrize(
    ("stated", "iban", "other_id"),
    [
        (IBAN, IBAN, None),
        ("DE02 1203 0000 0000 2020 51", IBAN, None),
        (f"{IBAN}EUR", IBAN, None),
        (f"BYLADEM1001/{IBAN}", IBAN, None),
        ("12030000/202051", None, "12030000/202051"),
        ("517852257", None, "517852257"),
    ],
)
def test_accounts(stated: str, iban: str | None, other_id: str | None) -> None:
    statement = one(mt940(CREDIT, account=stated))

    assert (statement.account_iban, statement.account_other_id) == (iban, other_id)


def test_envelopes_line_ends_and_several_statements() -> None:
    first = mt940(CREDIT, ending="-}{5:{CHK:123456789ABC}}\n").decode()
    second = mt940(CREDIT, opening="1234.50", day="261121", number="325/1", ending="-\n").decode()
    text = f"{{1:F01RIVBDEFFAXXX0000000000}}{{2:I940RIVBDEFFXXXXN}}{{4:\n{first}\nRIVBDEFF\n940\n{second}"

    message = read(text.replace("\n", "\r\n").encode())

    assert [one.statement_id for one in message.statements] == ["2026-11-20-324", "2026-11-21-325"]
    assert [len(one.entries) for one in message.statements] == [1, 1]
    assert message.findings == ()


def test_pages_of_one_statement() -> None:
    first = mt940(CREDIT, number="324/1", marks="FM")
    last = mt940(CREDIT, opening="1234.50", number="324/2", marks="MF")

    pages = read(first + last).statements

    assert [one.page for one in pages] == [PageInformation(1, last=False), PageInformation(2, last=True)]
    assert [codes(one) for one in pages] == [[], []]


def test_an_interim_report() -> None:
    message = read(
        mt942(
            CREDIT, Line("7.00", mark="EC"), Line("9.00", mark="ED"), sums=":90D:1USD9,00\n:90C:2USD1241,50\n"
        )
    )

    assert message.message_type == "MT942"
    [report] = message.statements
    assert report.statement_id == "2026-11-20T12:30-1"
    assert report.created_at == datetime(2026, 11, 20, 12, 30, tzinfo=timezone(timedelta(hours=1)))
    assert [(one.signed_minor, one.status) for one in report.entries] == [
        (123_450, "BOOK"),
        (700, "PDNG"),
        (-900, "PDNG"),
    ]
    assert codes(report) == ["entries_not_booked"]


def test_deviations_become_findings() -> None:
    said = mt940(CREDIT, closing="1234.51").decode()
    odd = said.replace(":28C:", ":21:X\n:77E:Y\n:28C:").replace("NONREF", "A" * 17).replace("Funding", "Für")

    message = read(odd.encode("iso-8859-1"))

    assert sorted(found.code for found in message.findings) == [
        "balance_mismatch",
        "encoding_not_declared",
        "field_unknown",
        "text_too_long",
    ]
    assert message.statements[0].entries[0].details[0].remittance_information == "Für HARBOUR-USD"


GOOD = mt940(replace(CREDIT, servicer_reference="B-1"), Line("1.00", "Second")).decode()


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        (":61:2611201120C", ":61:2611311120C"),
        (":61:2611201120C", ":61:2611201331C"),
        (":61:2611201120C", ":61:2611201120X"),
        (":61:2611201120C", ":61:26112011C"),
        ("C1234,50N", "C1234.50N"),
        ("C1234,50N", "C1234N"),
        ("C1234,50N", "C-1234,50N"),
        ("C1234,50N", "C1234,501N"),
        ("C1234,50N", "C\u0661\u0662\u0663\u0664,50N"),
        ("C1234,50N", f"C{'9' * 15},{'9' * 3}N"),
        ("C1234,50NTRF", "C1234,50XTRF"),
        (":60F:C261120USD0,00", ":60F:C261120USD0.00"),
        (":60F:C261120USD0,00", ":60F:C261120USD0,001"),
        (":60F:C261120USD0,00", ":60F:C261120XXX0,00"),
        (":60F:C261120USD0,00", ":60F:X261120USD0,00"),
        (":60F:C261120USD0,00", ":60F:C260230USD0,00"),
        (":60F:C261120USD0,00", ":60F:C261120USD0,00\nmore"),
        (":60F:C261120USD0,00", ":60F:C261120USD0,00\n:60F:C261120USD0,00"),
        (":60F:C261120USD0,00", ":60F:C261120USD0,00\n:60M:C261120USD0,00"),
        (":62F:", ":61:2611201120C1,00NTRFX\n:62F:C261120USD0,00\n:62F:"),
        (":28C:324/1", ":28C:A/1"),
        (":28C:324/1\n", ""),
        (":25:RIVB-CONTROL-USD", ":25:"),
        (":25:RIVB-CONTROL-USD\n", ""),
        (":25:RIVB-CONTROL-USD", ":25:A\n:25:B"),
        ("Funding", "Fund\x00ing"),
        ("Funding", "Fund\x1b[2Jing"),
        ("Funding", "x" * 2_001),
        ("Funding", "x\n" * 201),
        ("Second\n", "Second\n-\n:61:2611201120C1,00NTRFX\n"),
        (":20:STATEMENT", ":19:STATEMENT"),
        ("//B-1", "//B-1\none\ntwo"),
    ],
)
def test_malformed_twins_are_refused(right: str, wrong: str) -> None:
    assert right in GOOD
    assert len(one(GOOD.encode()).entries) == 2

    with pytest.raises(StatementMalformedError):
        read(GOOD.replace(right, wrong, 1).encode())


def test_a_line_behind_the_closing_balance_is_refused() -> None:
    with pytest.raises(StatementMalformedError, match="outside its balances"):
        read(mt940(CREDIT, ending=":61:2611201120C1,00NTRFX\n-\n"))


def test_both_kinds_in_one_file_are_refused() -> None:
    with pytest.raises(StatementMalformedError):
        read(mt940(CREDIT) + mt942(CREDIT))


def test_sizes_and_encodings() -> None:
    content = mt940(CREDIT, CREDIT)
    with pytest.raises(StatementTooLargeError):
        read(content, size_max_bytes=len(content) - 1)
    with pytest.raises(StatementTooManyEntriesError):
        read(content, entry_count_max=1)
    with pytest.raises(StatementEncodingUnsupportedError):
        read(content.decode().encode("utf-16"))
    assert read(b"\xef\xbb\xbf" + content) == read(content)


def test_nothing_of_the_file_is_logged_or_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(StatementMalformedError) as refusal:
        read(mt940(replace(CREDIT, day="261199"), Line("1.00", "canary")).replace(b"NTRF", b"NTRFcanary"))

    assert "canary" not in str(refusal.value)
    assert caplog.records == []


def test_many_lines_are_read_some_at_a_time() -> None:
    content = mt940(*[Line("1.00", f"Payment {number}") for number in range(1_203)])

    statement = one(content)

    assert [entry.sequence for entry in statement.entries] == list(range(1, 1_204))
    assert statement.entries[1_202].details[0].remittance_information == "Payment 1202"


@pytest.mark.parametrize(
    ("start", "swift"),
    [
        (":20:X\n:25:", True),
        ("{1:F01}{2:I940}{4:\n:20:X\n:25:", True),
        ("{1:F01}\n{4::20:X", True),
        ("ABNANL2A\r\n940\r\nABNANL2A\r\n:20:X", True),
        ("<Document>\n:20:X", False),
        ("a;b\n1;:20:", False),
        ("", False),
    ],
)
def test_what_looks_like_swift(start: str, swift: bool) -> None:
    assert looks_like_swift(start.encode()) is swift


@pytest.mark.parametrize(
    ("value_day", "entry_day", "booked"),
    [
        ("261231", "0102", date(2027, 1, 2)),
        ("270102", "1231", date(2026, 12, 31)),
        ("240228", "0229", date(2024, 2, 29)),
        ("261120", "", None),
        ("261120", "    ", None),
    ],
)
def test_entry_days_lie_in_the_nearest_year(value_day: str, entry_day: str, booked: date | None) -> None:
    assert read_line(f"{value_day}{entry_day}C1,NTRFNONREF").entry_date == booked


def test_centuries_and_offsets() -> None:
    assert [short_date(text).year for text in ("791231", "800101")] == [2079, 1980]
    assert read_moment("2611201230") == datetime(2026, 11, 20, 12, 30, tzinfo=UTC)
    for wrong in ("261120", "2611202530", "2611201230+9900", "2611311230"):
        with pytest.raises(UnreadableValueError):
            read_moment(wrong)


@settings(max_examples=150)
@given(st.data())
def test_whatever_a_file_holds_it_is_read_or_refused(data: st.DataObject) -> None:
    position = data.draw(st.integers(0, len(GOOD)))
    inserted = data.draw(st.text(alphabet=":-}{0126CDF\n ,A/?é", max_size=12))
    cut = data.draw(st.integers(0, 12))
    text = GOOD[:position] + inserted + GOOD[position + cut :]
    message_type = "refused"
    # Anything else than a refusal fails the test.
    with suppress(DomainError):
        message_type = read(text.encode()).message_type
    assert message_type in {"MT940", "MT942", "refused"}


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 10**12), st.sampled_from(["C", "D", "RC", "RD"])), max_size=8))
def test_amounts_and_signs_are_exact(drawn: list[tuple[int, str]]) -> None:
    lines = [Line(f"{minor // 100}.{minor % 100:02}", mark=mark) for minor, mark in drawn]

    statement = one(mt940(*lines))

    signs = {"C": 1, "RD": 1, "D": -1, "RC": -1}
    assert [entry.signed_minor for entry in statement.entries] == [
        signs[mark] * minor for minor, mark in drawn
    ]
    assert codes(statement) == []
