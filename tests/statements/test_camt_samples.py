"""Real banks' files and the published schemas, where they lie beside the repository."""

from datetime import UTC, date, datetime

import pytest
from lxml import etree

from tallystick.statements.camt import parse_camt
from tallystick.statements.parsed import ParsedMessage
from tallystick.statements.statement_checks import booked_sum_minor, closing_balance, opening_balance
from tests.statements.camt_documents import Balance, Detail, Entry, Statement, camt_bytes
from tests.statements.shared_files import sample_names, shared_file

SIZE_MAX_BYTES = 1_000_000


def _sample(name: str) -> ParsedMessage:
    return parse_camt(shared_file("samples", name).read_bytes(), size_max_bytes=SIZE_MAX_BYTES)


def _codes(message: ParsedMessage) -> set[str]:
    return {finding.code for finding in message.findings}


@pytest.mark.parametrize(
    "name", sample_names() or [pytest.param("any", marks=pytest.mark.skip("no samples here"))]
)
def test_every_sample_is_read_and_ties_or_names_the_sum_that_does_not(name: str) -> None:
    message = _sample(name)
    assert message.statements
    for statement in message.statements:
        assert statement.entries
        opening, closing = opening_balance(statement), closing_balance(statement)
        mismatches = [finding for finding in statement.findings if finding.code == "balance_mismatch"]
        if opening is None or closing is None:
            assert message.message_type in {"camt.052", "camt.054"}
        elif opening.signed_minor + booked_sum_minor(statement) == closing.signed_minor:
            assert not mismatches
        else:
            assert len(mismatches) == 1
            assert "plus booked entries" in mismatches[0].message


def test_nordea_in_full() -> None:
    message = _sample("camt053_v02_nordea.xml")
    assert (message.message_type, message.version) == ("camt.053", "02")
    assert message.message_id == "XML12345678901234567890123456789012"
    assert message.created_at == datetime(2019, 5, 9, 4, 33, 0, 444_000, tzinfo=UTC)
    (statement,) = message.statements
    assert statement.statement_id == "2019-05-09-04.44.12-EUR0574"
    assert (statement.electronic_sequence_number, statement.legal_sequence_number) == (25, 20)
    assert statement.account_iban == "FI8529501800030574"
    assert (statement.owner_name, statement.servicer_bic, statement.currency) == (
        "TEST COMPANY",
        "NDEAFIHH",
        "EUR",
    )
    assert [entry.signed_minor for entry in statement.entries] == [
        1_000_000,
        10_050,
        -70_050,
        -30_000,
        -40_000,
        -10_000,
    ]
    first, second = statement.entries[:2]
    assert first.booking_date == first.value_date == date(2019, 5, 8)
    assert first.account_servicer_reference == "1905082588CEAA0001"
    assert first.details[0].end_to_end_id == "20190501-E00005"
    assert first.details[0].creditor_reference == "00000000000000001245"
    assert (
        second.details[0].remittance_information
        == "Free text max 140 characters and ma\nx 35 characters in one line"
    )
    # The sample's account number is made up; that is all there is to say about the file.
    assert _codes(message) == {"iban_invalid"}


def test_abnamro_batches_and_overlong_remittance() -> None:
    message = _sample("camt053_v02_abnamro.xml")
    (statement,) = message.statements
    assert [len(entry.details) for entry in statement.entries] == [0, 1, 1, 10, 1, 1, 2, 0, 1, 7, 0, 1, 1]
    assert "text_too_long" in _codes(message)
    assert "balance_mismatch" not in _codes(message)
    longest = max(
        len(detail.remittance_information or "") for entry in statement.entries for detail in entry.details
    )
    assert longest == 204


def test_goldman_names_the_sum_that_does_not_tie() -> None:
    message = _sample("camt053_v02_goldman_us.xml")
    (statement,) = message.statements
    (finding,) = [finding for finding in message.findings if finding.code == "balance_mismatch"]
    assert finding.severity == "error"
    assert "USD -843686.20 plus booked entries USD 60.00" in finding.message
    assert "CLBD is USD -846665.15" in finding.message
    assert statement.account_other_id == "DD01100056869"
    assert statement.entries[0].reversal
    assert statement.entries[0].details[0].return_reason_information is not None
    assert {"entry_currency_mismatch", "summary_mismatch", "moment_without_zone"} <= _codes(message)


def test_notification_with_uetr() -> None:
    (statement,) = _sample("camt054_v08_uetr_genkgo.xml").statements
    assert statement.entries[0].details[0].uetr == "255ae394-9965-4438-ac86-f406feada396"
    assert statement.currency == "SEK"
    assert statement.entries[0].amount_minor == 20_000_000


def test_report_with_batch() -> None:
    message = _sample("camt052_v08_genkgo.xml")
    (statement,) = message.statements
    (batch,) = statement.entries[0].batches
    assert (batch.message_id, batch.payment_information_id, batch.transaction_count) == (
        "FINP-0055",
        "FINP-0055-001",
        20,
    )
    assert statement.copy_duplicate_code == "CODU"
    assert statement.page is not None
    assert statement.page.only
    assert statement.period_from_at == datetime.fromisoformat("2007-10-18T08:00:00+01:00")


RICH = Statement(
    period=("2026-11-20T00:00:00+01:00", "2026-11-20T23:59:59+01:00"),
    owner="Marketplace & Söhne GmbH",
    bic="ABNANL2A",
    copy="COPY",
    balances=(Balance("OPBD", "100.00", credit=False), Balance("CLBD", "0.00"), Balance("CLAV", "5")),
    entries=(
        Entry(
            amount="100.00",
            reversal=True,
            reference="E-1",
            servicer_reference="BANK-1",
            information="rückgebucht",
            details=(
                Detail(
                    amount="60.00",
                    end_to_end_id="E2E-1",
                    uetr="255ae394-9965-4438-ac86-f406feada396",
                    transaction_id="TX-1",
                    instruction_id="I-1",
                    debtor_name="Ünal & Co <Ltd>",
                    debtor_iban="DE89370400440532013000",
                    remittance=("line one", "line two"),
                    references=("RF18539007547034",),
                    return_reason="AC04",
                ),
                Detail(amount="40.00", creditor_name="Creditor", creditor_account="0001-22"),
            ),
        ),
    ),
    information="end of day",
)


@pytest.mark.parametrize(
    ("message_type", "version"),
    [("camt.052", "08"), ("camt.053", "02"), ("camt.053", "08"), ("camt.054", "08")],
)
def test_the_documents_that_the_tests_write_follow_the_published_schema(
    message_type: str, version: str
) -> None:
    schema = etree.XMLSchema(etree.parse(shared_file("xsd", f"{message_type}.001.{version}.xsd")))
    document = camt_bytes(RICH, Statement(statement_id="STMT-2"), message_type=message_type, version=version)
    assert schema.validate(etree.fromstring(document)), schema.error_log
    assert parse_camt(document, size_max_bytes=SIZE_MAX_BYTES).message_type == message_type
