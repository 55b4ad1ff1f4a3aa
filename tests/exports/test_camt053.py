"""Statements as camt.053: valid against ISO's schema, and read by our own import without a finding."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from tallystick.exports import ExportFormat, ExportFormatLimitError, camt053
from tallystick.exports.camt053 import _amount, _entry, write_camt053
from tallystick.statements.camt import parse_camt
from tests.bank import Bank
from tests.exports.exported import DAYS, contents, export_of
from tests.exports.reading_back import CAMT, camt_balances
from tests.exports.test_statements import told
from tests.statements.shared_files import shared_file


@pytest.fixture(scope="module")
def schema() -> etree.XMLSchema:
    return etree.XMLSchema(file=str(shared_file("xsd", "camt.053.001.08.xsd")))


def pages(bank: Bank, directory: Path, account: str, **options: Any) -> list[bytes]:
    export = export_of(bank, directory, ExportFormat.CAMT053, account_id=bank.account_id(account), **options)
    files = contents(directory, export)
    return [files[one["name"]] for one in export.manifest["files"]]


def texts(content: bytes, path: str) -> list[str]:
    found = etree.fromstring(content).xpath(f"{path}/text()", namespaces=CAMT)
    assert isinstance(found, list)
    return [str(one) for one in found]


@pytest.mark.parametrize("account", ["HARBOUR-USD", "LANTERN-USD", "NORTHWIND-EUR", "SILKROAD-EUR"])
def test_it_is_valid(shared: Bank, tmp_path: Path, schema: etree.XMLSchema, account: str) -> None:
    for content in pages(shared, tmp_path, account):
        schema.assertValid(etree.fromstring(content))


def test_what_is_hostile_or_long_is_valid_too(lived: Bank, tmp_path: Path, schema: etree.XMLSchema) -> None:
    for reference in ("<&>]]>\"'", "\x01\x1f\ufffe", "Заказ 订单 🏦", " ", "x" * 140):
        lived.transfer("HARBOUR-USD", "LANTERN-USD", "0.01", reference=reference, purpose="LONGERCODE")

    [content] = pages(lived, tmp_path, "LANTERN-USD")

    schema.assertValid(etree.fromstring(content))
    references = texts(content, "//c:Ustrd")
    assert references == [
        "<&>]]>\"'",
        "[U+0001][U+001F][U+FFFE]",
        "Заказ 订单 🏦",
        " ",
        "x" * 140,
    ]
    assert b"ns0:" not in content
    assert content.count(b"xmlns") == 1


def test_names_that_are_too_long_are_cut_visibly(
    lived: Bank, schema: etree.XMLSchema, tmp_path: Path
) -> None:
    statement, _ = told(lived, "HARBOUR-USD")
    long = replace(
        statement,
        issuer=replace(statement.issuer, legal_name="B" * 150),
        of_class=replace(statement.of_class, name="C" * 71),
    )
    with lived.database.read() as connection:
        write_camt053(connection, long, tmp_path)

    content = (tmp_path / "statement_0001.xml").read_bytes()
    schema.assertValid(etree.fromstring(content))
    assert texts(content, "//c:Svcr//c:Nm") == ["B" * 139 + "…"]
    assert texts(content, "//c:Acct/c:Nm") == ["C" * 69 + "…"]


def test_our_own_import_reads_it(shared: Bank, tmp_path: Path) -> None:
    [content] = pages(shared, tmp_path, "HARBOUR-USD", business_date=DAYS[2].date())

    message = parse_camt(content, size_max_bytes=1_000_000)

    [statement] = message.statements
    assert message.findings == ()
    assert (message.message_type, message.version) == ("camt.053", "08")
    assert statement.account_other_id == shared.account_id("HARBOUR-USD")
    assert statement.electronic_sequence_number == 3
    assert statement.owner_name == "Harbour Marketplace"
    assert statement.servicer_bic == shared.issuer.bic
    balances = {one.type_code: one.amount_minor for one in statement.balances}
    assert balances == {"OPBD": 60000, "CLBD": 59500, "CLAV": 59500}
    [entry] = statement.entries
    assert (entry.amount_minor, entry.credit, entry.status) == (500, False, "BOOK")
    assert entry.bank_transaction_code.proprietary == "token.redeemed"


def test_references_and_counterparties(shared: Bank, tmp_path: Path) -> None:
    statement, found = told(shared, "HARBOUR-USD")
    [content] = pages(shared, tmp_path, "HARBOUR-USD")

    assert texts(content, "//c:Ntry/c:NtryRef") == [str(one.event_index) for one in found]
    assert texts(content, "//c:Ntry/c:AcctSvcrRef") == [one.event_id for one in found]
    assert texts(content, "//c:EndToEndId") == [one.end_to_end_id or "NOTPROVIDED" for one in found]
    assert texts(content, "//c:CdtrAcct//c:Id/c:Othr/c:Id") == [shared.account_id("LANTERN-USD")]
    assert texts(content, "//c:Cdtr/c:Pty/c:Nm") == ["Lantern Lighting Co"]
    assert texts(content, "//c:DbtrAcct//c:Id/c:Othr/c:Id") == []
    assert camt_balances(content)[1] == Decimal(statement.amount(statement.closing_minor))


def test_a_reversal_says_so(lived: Bank, tmp_path: Path) -> None:
    lived.reverse(lived.transfer("HARBOUR-USD", "LANTERN-USD", "1.00"), "0.40")

    [content] = pages(lived, tmp_path, "HARBOUR-USD")

    assert texts(content, "//c:Ntry[c:RvslInd='true']/c:Amt") == ["0.40"]


def test_a_long_statement_has_pages(
    shared: Bank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, schema: etree.XMLSchema
) -> None:
    [whole] = pages(shared, tmp_path, "LANTERN-USD")
    monkeypatch.setattr(camt053, "PAGE_ENTRIES_MAX", 1)

    found = pages(shared, tmp_path, "LANTERN-USD")

    assert len(found) == len(texts(whole, "//c:NtryRef")) == 2
    assert [texts(one, "//c:PgNb") for one in found] == [["1"], ["2"]]
    assert [texts(one, "//c:LastPgInd") for one in found] == [["false"], ["true"]]
    assert [texts(one, "//c:Bal/c:Tp/c:CdOrPrtry/c:Cd") for one in found] == [
        ["OPBD", "ITBD"],
        ["ITBD", "CLBD", "CLAV"],
    ]
    assert len({texts(one, "//c:Stmt/c:Id")[0] for one in found}) == 1
    assert len({texts(one, "//c:MsgId")[0] for one in found}) == 2
    for content in found:
        schema.assertValid(etree.fromstring(content))
        assert parse_camt(content, size_max_bytes=1_000_000).findings == ()


def test_amounts_beyond_the_schema_are_refused(shared: Bank) -> None:
    statement, [*_, movement] = told(shared, "HARBOUR-USD")

    assert _amount(statement, 10**18 - 1).text == "9999999999999999.99"
    assert _amount(statement, 10**18).text == "10000000000000000.00"
    with pytest.raises(ExportFormatLimitError):
        _amount(statement, 10**18 + 1)
    fine = replace(statement, of_class=replace(statement.of_class, scale=6))
    assert _amount(fine, 10).text == "0.000010"
    with pytest.raises(ExportFormatLimitError):
        _entry(fine, movement._replace(amount_minor=1))
