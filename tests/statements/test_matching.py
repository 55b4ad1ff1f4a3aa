"""Whose a credit is: whole words only, one account only, and the reference before the payer."""

from datetime import UTC, datetime

import pytest

from tallystick.participants import Account
from tallystick.statements.camt import parse_camt
from tallystick.statements.matching import AccountIndex, Match, MatchedBy, match, payers_of, words_of
from tallystick.statements.parsed import ParsedEntry
from tests.camt_writer import Entry, statement

IBAN = "DE02120300000000202051"
OTHER_IBAN = "DE02500105170137075030"


def account(
    account_id: str, reference: str, *, iban: str | None = None, number: str | None = None
) -> Account:
    return Account(
        issuer_id="issuer",
        id=account_id,
        holder_id="holder",
        token_class_id="class",
        status="open",
        status_reason=None,
        deposit_iban=iban,
        deposit_account_number=number,
        reference=reference,
        opened_at=datetime(2026, 11, 20, tzinfo=UTC),
        closed_at=None,
    )


@pytest.fixture
def index() -> AccountIndex:
    found = AccountIndex()
    found.add(
        [
            account("harbour", "HARBOUR-USD", iban=IBAN),
            account("lantern", "LANTERN-USD", iban=OTHER_IBAN),
            account("northwind", "01H455VB4PEX5VSKNK084SN02Q", number="10 0000 0004"),
            account("odd", "Acme & Sons/7", number="77"),
        ]
    )
    return found


def parsed(entry: Entry) -> ParsedEntry:
    [only] = parse_camt(statement(entry), size_max_bytes=100_000).statements[0].entries
    return only


@pytest.mark.parametrize(
    "text",
    [
        "HARBOUR-USD",
        "harbour-usd",
        "  Funding HARBOUR-USD November ",
        "ref:HARBOUR-USD,thanks",
        "/INV/HARBOUR-USD/2026",
        "SVWZ+HARBOUR-USD",
        "(HARBOUR-USD).",
        "first line\nHARBOUR-USD\nlast line",
        "HARBOUR-USD harbour-usd HARBOUR-USD",
    ],
)
def test_a_reference_is_found_as_a_whole_word(index: AccountIndex, text: str) -> None:
    assert match(parsed(Entry("1.00", remittance=text)), index) == Match("harbour", MatchedBy.REFERENCE)


@pytest.mark.parametrize(
    "text",
    [
        "HARBOUR-USD-2",
        "XHARBOUR-USD",
        "HARBOUR USD",
        "HARBOURUSD",
        "HARBOUR-US D",
        "HARBOUR-USD_2",
        "HARBOUR",
    ],
)
def test_a_part_of_a_word_is_no_reference(index: AccountIndex, text: str) -> None:
    assert match(parsed(Entry("1.00", remittance=text)), index) is None


@pytest.mark.parametrize(
    "entry",
    [
        Entry("1.00", creditor_reference="LANTERN-USD"),
        Entry("1.00", end_to_end_id="LANTERN-USD"),
        Entry("1.00", end_to_end_id="LANTERN-USD", remittance="see end to end"),
        Entry("1.00", information="CREDIT LANTERN-USD"),
        Entry("1.00", remittance="LANTERN-USD", payer_iban=IBAN),
    ],
)
def test_a_reference_counts_wherever_the_payer_could_write_it(index: AccountIndex, entry: Entry) -> None:
    assert match(parsed(entry), index) == Match("lantern", MatchedBy.REFERENCE)


@pytest.mark.parametrize("text", ["01H455VB4PEX5VSKNK084SN02Q", "01h455vb4pex5vsknk084sn02q"])
def test_a_reference_that_was_made_here_is_found(index: AccountIndex, text: str) -> None:
    found = match(parsed(Entry("1.00", remittance=f"pay {text}!")), index)
    assert found == Match("northwind", MatchedBy.REFERENCE)


def test_a_reference_with_blanks_must_stand_alone(index: AccountIndex) -> None:
    alone = parsed(Entry("1.00", remittance="Acme & Sons/7"))
    assert match(alone, index) == Match("odd", MatchedBy.REFERENCE)
    assert match(parsed(Entry("1.00", remittance="for Acme & Sons/7")), index) is None


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (Entry("1.00", payer_iban=IBAN), Match("harbour", MatchedBy.IBAN)),
        (Entry("1.00", payer_iban="DE02 1203 0000 0000 2020 51"), Match("harbour", MatchedBy.IBAN)),
        (Entry("1.00", payer_account=IBAN), Match("harbour", MatchedBy.IBAN)),
        (Entry("1.00", payer_account="1000000004"), Match("northwind", MatchedBy.ACCOUNT_NUMBER)),
        (Entry("1.00", payer_account="77", remittance="Invoice 12"), Match("odd", MatchedBy.ACCOUNT_NUMBER)),
        (Entry("1.00", payer_account="78"), None),
        (Entry("1.00"), None),
        (Entry("1.00", information="nothing known"), None),
    ],
)
def test_the_payer_counts_where_there_is_no_reference(
    index: AccountIndex, entry: Entry, expected: Match | None
) -> None:
    assert match(parsed(entry), index) == expected


def test_two_references_are_ambiguous_whoever_paid(index: AccountIndex) -> None:
    found = match(parsed(Entry("1.00", remittance="HARBOUR-USD LANTERN-USD", payer_iban=IBAN)), index)
    assert found is not None
    assert found.ambiguous


@pytest.mark.parametrize(
    ("transactions", "expected"),
    [
        ((Entry("1.00", remittance="HARBOUR-USD"), Entry("1.00", payer_iban=IBAN)), "harbour"),
        ((Entry("1.00", remittance="HARBOUR-USD"), Entry("1.00", remittance="LANTERN-USD")), None),
        ((Entry("1.00", remittance="HARBOUR-USD"), Entry("1.00", remittance="who knows")), None),
    ],
)
def test_a_batch_needs_one_account_for_all_of_it(
    index: AccountIndex, transactions: tuple[Entry, ...], expected: str | None
) -> None:
    found = match(parsed(Entry("2.00", transactions=transactions)), index)
    assert found is not None
    assert found.account_id == expected


def test_a_batch_that_nothing_is_known_of_has_no_match(index: AccountIndex) -> None:
    assert match(parsed(Entry("2.00", transactions=(Entry("1.00"), Entry("1.00")))), index) is None


def test_clues_are_told_as_written_and_as_registered() -> None:
    entry = parsed(
        Entry("1.00", remittance="Rechnung a-1", payer_account="10 00", end_to_end_id="NOTPROVIDED")
    )
    assert words_of(entry) == {"Rechnung a-1", "RECHNUNG A-1", "Rechnung", "RECHNUNG", "a-1", "A-1"}
    assert payers_of(entry) == {"10 00", "1000"}
