"""What is read from each version of a message, and what is refused."""

from datetime import UTC, date, datetime

import pytest

from tallystick.core.errors import DomainError
from tallystick.statements.camt import parse_camt
from tallystick.statements.parsed import BankTransactionCode, ParsedCharge, ParsedMessage, ParsedStatement
from tallystick.statements.refusals import (
    StatementMalformedError,
    StatementNamespaceUnknownError,
    StatementNotXmlError,
    StatementTooManyEntriesError,
    StatementTypeUnsupportedError,
)
from tests.statements.camt_documents import IBAN, Balance, Detail, Entry, Statement, camt, camt_bytes

UETR = "255ae394-9965-4438-ac86-f406feada396"
SECRET = "Confidential Payee 4711"


def parse(text: str | bytes, **limits: int) -> ParsedMessage:
    data = text.encode() if isinstance(text, str) else text
    return parse_camt(data, size_max_bytes=limits.pop("size_max_bytes", 5_000_000), **limits)


def parse_one(text: str | bytes) -> ParsedStatement:
    (statement,) = parse(text).statements
    return statement


def codes(message: ParsedMessage | ParsedStatement) -> list[str]:
    return [finding.code for finding in message.findings]


def entries(*of: Entry) -> str:
    """A notification with these entries: no balances to tie."""
    return camt(Statement(entries=of), message_type="camt.054")


@pytest.mark.parametrize("version", ["02", "08"])
def test_a_plain_statement_has_no_findings(version: str) -> None:
    message = parse(camt_bytes(version=version))
    assert (message.message_type, message.version, message.message_id) == ("camt.053", version, "MSG-1")
    assert message.created_at == datetime.fromisoformat("2026-11-20T18:05:00.123+01:00")
    assert message.findings == ()
    (statement,) = message.statements
    assert (statement.statement_id, statement.electronic_sequence_number) == ("STMT-1", 7)
    assert (statement.account_id, statement.account_iban, statement.account_other_id) == (IBAN, IBAN, None)
    assert [balance.signed_minor for balance in statement.balances] == [10_000, 11_000]
    assert statement.balances[0].date == date(2026, 11, 20)
    (entry,) = statement.entries
    assert (entry.sequence, entry.amount_minor, entry.currency, entry.credit) == (1, 1_000, "EUR", True)
    assert (entry.status, entry.booked, entry.reversal) == ("BOOK", True, False)
    assert entry.bank_transaction_code == BankTransactionCode("PMNT", "RCDT", "ESCT")
    assert not entry.details
    assert not entry.batches
    assert not entry.charges


@pytest.mark.parametrize("version", ["02", "08"])
def test_a_transaction_in_full(version: str) -> None:
    detail = Detail(
        amount="10.00",
        end_to_end_id="E2E-1",
        uetr=UETR,
        transaction_id="TX-1",
        instruction_id="I-1",
        debtor_name="Ünal & Co <Ltd>",
        debtor_iban="DE89370400440532013000",
        creditor_name="Creditor",
        creditor_account="0001-22",
        remittance=("line one", "line two"),
        references=("RF18539007547034", "RF712348231"),
        return_reason="AC04",
    )
    statement = parse_one(camt_bytes(Statement(entries=(Entry(details=(detail,)),)), version=version))
    assert statement.findings == ()
    (read,) = statement.entries[0].details
    assert (read.sequence, read.amount_minor, read.currency) == (1, 1_000, "EUR")
    assert (read.end_to_end_id, read.transaction_id, read.instruction_id) == ("E2E-1", "TX-1", "I-1")
    assert read.uetr == (None if version == "02" else UETR)
    assert (read.debtor_name, read.debtor_iban) == ("Ünal & Co <Ltd>", "DE89370400440532013000")
    assert (read.creditor_name, read.creditor_account, read.creditor_iban) == ("Creditor", "0001-22", None)
    assert read.debtor_account is None
    assert read.remittance_information == "line one\nline two"
    assert read.creditor_references == ("RF18539007547034", "RF712348231")
    assert read.creditor_reference == "RF18539007547034"
    assert read.return_reason_code == "AC04"


def test_a_batch_keeps_every_transaction() -> None:
    details = tuple(Detail(amount="2.50", end_to_end_id=f"E2E-{number}") for number in range(4))
    batch = '<Btch><PmtInfId>P-1</PmtInfId><NbOfTxs>4</NbOfTxs><TtlAmt Ccy="EUR">10</TtlAmt></Btch>'
    (entry,) = parse_one(entries(Entry(batch=batch, details=details))).entries
    assert [detail.end_to_end_id for detail in entry.details] == ["E2E-0", "E2E-1", "E2E-2", "E2E-3"]
    assert [detail.sequence for detail in entry.details] == [1, 2, 3, 4]
    (read,) = entry.batches
    assert (read.payment_information_id, read.transaction_count, read.total_minor) == ("P-1", 4, 1_000)


def test_several_groups_of_details_are_one_list() -> None:
    two_groups = entries(Entry(details=(Detail(end_to_end_id="A"), Detail(end_to_end_id="B")))).replace(
        "</TxDtls><TxDtls>", "</TxDtls></NtryDtls><NtryDtls><TxDtls>"
    )
    (entry,) = parse_one(two_groups).entries
    assert [detail.end_to_end_id for detail in entry.details] == ["A", "B"]


def test_a_reversal_is_signed_already() -> None:
    (entry,) = parse_one(entries(Entry(credit=False, reversal=True))).entries
    assert entry.reversal
    assert entry.signed_minor == -1_000


def test_only_booked_entries_count() -> None:
    statement = parse_one(
        camt(
            Statement(
                entries=(
                    Entry(),
                    Entry(status="PDNG", amount="5"),
                    Entry(status="INFO"),
                    Entry(status="FUTR"),
                )
            )
        )
    )
    assert codes(statement) == ["entries_not_booked"]
    assert "3 entries" in statement.findings[0].message
    assert "1 pending, 1 for information, 1 future, 0 other" in statement.findings[0].message


def test_an_unknown_status_is_not_booked() -> None:
    statement = parse_one(entries(Entry(status="DONE")))
    assert statement.entries[0].status == "DONE"
    assert codes(statement) == ["entry_status_unknown", "entries_not_booked"]
    own = parse_one(entries(Entry()).replace("<Cd>BOOK</Cd>", "<Prtry>BOOK</Prtry>"))
    assert own.entries[0].status == "PRTRY:BOOK"
    assert not own.entries[0].booked


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [
        ("0", "EUR", 0),
        ("1", "EUR", 100),
        ("1.5", "EUR", 150),
        ("18.150", "EUR", 1_815),
        ("5442.09000", "RON", 544_209),
        ("+7.01", "USD", 701),
        (".5", "USD", 50),
        ("5.", "USD", 500),
        ("0007", "JPY", 7),
        ("7.00", "JPY", 7),
        ("1.234", "IQD", 1_234),
        ("1.2345", "CLF", 12_345),
        ("92233720368547758.07", "EUR", 2**63 - 1),
        ("-0.00", "EUR", 0),
        ("10.10", "HRK", 1_010),
    ],
)
def test_amounts_are_read_exactly(amount: str, currency: str, minor: int) -> None:
    (entry,) = parse_one(entries(Entry(amount=amount, currency=currency))).entries
    assert (entry.amount_minor, entry.currency) == (minor, currency)


@pytest.mark.parametrize(
    ("amount", "currency"),
    [
        ("", "EUR"),
        (".", "EUR"),
        ("-1.00", "EUR"),
        ("10.005", "EUR"),
        ("1.5", "JPY"),
        ("1,50", "EUR"),
        ("1 000", "EUR"),
        ("1e3", "EUR"),
        ("NaN", "EUR"),
        ("INF", "EUR"),
        ("0x10", "EUR"),
        ("\u0661\u0662", "EUR"),
        ("\uff11\uff12", "EUR"),
        ("1_000", "EUR"),
        ("92233720368547758.08", "EUR"),
        ("9" * 5_000, "EUR"),
        ("1.00", "XAU"),
        ("1.00", "XXX"),
        ("1.00", "EUX"),
        ("1.00", "eur"),
        ("1.00", ""),
        ("10<Cd/>.00", "EUR"),
    ],
)
def test_amounts_that_are_not_certain_are_refused(amount: str, currency: str) -> None:
    with pytest.raises(StatementMalformedError) as caught:
        parse(entries(Entry(amount=amount, currency=currency)))
    assert caught.value.members["where"] == "Ntfctn[1]/Ntry[1]/Amt"


def test_a_comment_does_not_cut_an_amount_in_two() -> None:
    for amount in ("10<!-- 1 -->.25", "10<?x y?>.25", "10<![CDATA[.2]]>5", "&#49;0.25"):
        (entry,) = parse_one(entries(Entry(amount=amount))).entries
        assert entry.amount_minor == 1_025


BAD_ENTRIES = {
    "no sign": ("<CdtDbtInd>CRDT</CdtDbtInd>", "", 1),
    "odd sign": (">CRDT<", ">crdt<", 1),
    "two signs": ("<CdtDbtInd>", "<CdtDbtInd>DBIT</CdtDbtInd><CdtDbtInd>", 1),
    "no status": ("<Sts><Cd>BOOK</Cd></Sts>", "", 1),
    "empty status": ("<Cd>BOOK</Cd>", "", 1),
    "two statuses": ("<Sts>", "<Sts><Cd>PDNG</Cd></Sts><Sts>", 1),
    "no amount": ('<Amt Ccy="EUR">10.00</Amt>', "", 1),
    "two amounts": ('<Amt Ccy="EUR">10.00', '<Amt Ccy="EUR">1</Amt><Amt Ccy="EUR">10.00', 1),
    "no currency": (' Ccy="EUR">10.00', ">10.00", 1),
    "bad reversal": ("<Sts>", "<RvslInd>perhaps</RvslInd><Sts>", 1),
    "two reversals": ("<Sts>", "<RvslInd>true</RvslInd><RvslInd>false</RvslInd><Sts>", 1),
    "bad booking date": ("<BookgDt><Dt>2026-11-20", "<BookgDt><Dt>2026-02-30", 1),
    "bad value date": ("<ValDt><Dt>2026-11-20", "<ValDt><Dt>20.11.2026", 1),
    "no account": (f"<Id><IBAN>{IBAN}</IBAN></Id>", "", 1),
    "two accounts": ("<Acct>", "<Acct><Id><IBAN>DE89370400440532013000</IBAN></Id></Acct><Acct>", 1),
    "bad account currency": ("<Ccy>EUR</Ccy>", "<Ccy>EURO</Ccy>", 1),
    "no identification": ("<Id>STMT-1</Id>", "", 1),
    "no message identification": ("<MsgId>MSG-1</MsgId>", "", 1),
    "an element in a name": ("<Id>STMT-1</Id>", "<Id><b>STMT-1</b></Id>", 1),
    "no statements": ("Ntfctn>", "Other>", -1),
}


@pytest.mark.parametrize("case", BAD_ENTRIES)
def test_what_decides_about_money_must_be_there_once(case: str) -> None:
    found, replacement, count = BAD_ENTRIES[case]
    good = entries(Entry())
    assert found in good
    with pytest.raises(StatementMalformedError):
        parse(good.replace(found, replacement, count))


BAD_BALANCES = {
    "no type": "<Tp><CdOrPrtry><Cd>CLBD</Cd></CdOrPrtry></Tp>",
    "no amount": '<Amt Ccy="EUR">110.00</Amt>',
    "no sign": "<CdtDbtInd>CRDT</CdtDbtInd>",
}


@pytest.mark.parametrize("case", BAD_BALANCES)
def test_a_balance_must_be_certain(case: str) -> None:
    before, bar, after = camt(Statement(entries=())).rpartition("<Bal>")
    assert BAD_BALANCES[case] in after
    with pytest.raises(StatementMalformedError) as caught:
        parse(before + bar + after.replace(BAD_BALANCES[case], "", 1))
    assert str(caught.value.members["where"]).startswith("Stmt[1]/Bal[2]/")


def test_a_second_message_is_refused() -> None:
    message = camt()
    body = message[message.index("<BkToCstmrStmt>") : message.index("</Document>")]
    with pytest.raises(StatementMalformedError):
        parse(message.replace("</Document>", f"{body}</Document>"))


@pytest.mark.parametrize(
    ("root", "refusal"),
    [
        ("<html/>", StatementNamespaceUnknownError),
        ("<Document/>", StatementNamespaceUnknownError),
        ('<Document xmlns="urn:example"/>', StatementNamespaceUnknownError),
        ('<Other xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"/>', StatementNamespaceUnknownError),
        (
            '<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08 "/>',
            StatementNamespaceUnknownError,
        ),
        ('<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.01"/>', StatementTypeUnsupportedError),
        ('<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.13"/>', StatementTypeUnsupportedError),
        ('<Document xmlns="urn:iso:std:iso:20022:tech:xsd:pain.001.001.09"/>', StatementTypeUnsupportedError),
        ('<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"/>', StatementMalformedError),
        ("", StatementNotXmlError),
        ("{}", StatementNotXmlError),
        ("<a>", StatementNotXmlError),
        ("<a/><b/>", StatementNotXmlError),
        ("<a b='&lt'/>", StatementNotXmlError),
    ],
)
def test_other_documents_are_refused(root: str, refusal: type[DomainError]) -> None:
    with pytest.raises(refusal):
        parse(root)


@pytest.mark.parametrize(
    ("found", "replacement"),
    [("10.00", "1&e;0.00"), ('Ccy="EUR">10', 'Ccy="&e;">10'), ("STMT-1", "&e;"), ("<Ntry>", "&e;<Ntry>")],
)
def test_an_entity_that_is_not_declared_is_refused(found: str, replacement: str) -> None:
    with pytest.raises((StatementNotXmlError, StatementMalformedError)):
        parse(camt().replace(found, replacement))


@pytest.mark.parametrize("version", [f"{number:02d}" for number in range(2, 13)])
@pytest.mark.parametrize("message_type", ["camt.052", "camt.053", "camt.054"])
def test_every_version_is_read_in_its_own_shape(message_type: str, version: str) -> None:
    shape = "02" if int(version) < 3 else "08"
    document = camt(
        Statement(bic="ABNANL2A", entries=(Entry(details=(Detail(amount="10.00", debtor_name="Payer"),)),)),
        message_type=message_type,
        version=shape,
    ).replace(f".001.{shape}", f".001.{version}")
    if 3 <= int(version) <= 6:
        document = document.replace("<Sts><Cd>BOOK</Cd></Sts>", "<Sts>BOOK</Sts>")
        document = document.replace("<Pty><Nm>Payer</Nm></Pty>", "<Nm>Payer</Nm>")
    message = parse(document)
    assert (message.message_type, message.version) == (message_type, version)
    assert message.findings == ()
    (statement,) = message.statements
    assert statement.servicer_bic == "ABNANL2A"
    assert statement.entries[0].booked
    assert statement.entries[0].details[0].debtor_name == "Payer"
    assert statement.entries[0].details[0].amount_minor == 1_000


@pytest.mark.parametrize(("claimed", "shape"), [("02", "08"), ("08", "02")])
def test_the_shape_of_another_version_is_read_and_noted(claimed: str, shape: str) -> None:
    document = camt(
        Statement(bic="ABNANL2A", entries=(Entry(details=(Detail(debtor_name="Payer"),)),)), version=shape
    ).replace(f".001.{shape}", f".001.{claimed}")
    statement = parse_one(document)
    assert statement.servicer_bic == "ABNANL2A"
    assert statement.entries[0].booked
    assert statement.entries[0].details[0].debtor_name == "Payer"
    assert codes(statement) == ["element_of_other_version"] * 3


def test_a_debtor_may_be_a_bank() -> None:
    document = entries(Entry(details=(Detail(debtor_name="X"),))).replace(
        "<Pty><Nm>X</Nm></Pty>", "<Agt><FinInstnId><Nm>Some Bank</Nm></FinInstnId></Agt>"
    )
    assert parse_one(document).entries[0].details[0].debtor_name == "Some Bank"


def test_charges_of_both_shapes() -> None:
    record = '<Amt Ccy="EUR">0.35</Amt><CdtDbtInd>DBIT</CdtDbtInd><ChrgInclInd>true</ChrgInclInd><Tp><Cd>COMM</Cd></Tp>'
    new = entries(Entry(charges=f"<Chrgs><Rcrd>{record}</Rcrd><Rcrd>{record}</Rcrd></Chrgs>"))
    expected = ParsedCharge(35, "EUR", credit=False, included=True, type_code="COMM")
    assert parse_one(new).entries[0].charges == (expected, expected)
    assert parse_one(new).findings == ()
    old = entries(Entry(charges=f"<Chrgs>{record}</Chrgs>"))
    assert parse_one(old).entries[0].charges == (expected,)
    assert codes(parse_one(old)) == ["element_of_other_version"]
    claimed_old = camt(
        Statement(entries=(Entry(charges=f"<Chrgs><Rcrd>{record}</Rcrd></Chrgs>"),)), version="02"
    )
    assert parse_one(claimed_old).entries[0].charges == (expected,)
    assert codes(parse_one(claimed_old)) == ["element_of_other_version"]
    unreadable = parse_one(new.replace(' Ccy="EUR">0.35', ">0.35"))
    assert unreadable.entries[0].charges == ()
    assert codes(unreadable) == ["detail_amount_unreadable"] * 2


def test_the_nearest_amount_in_the_entry_currency_is_the_details() -> None:
    document = entries(Entry(details=(Detail(amount="10.80", currency="USD"),))).replace(
        "</CdtDbtInd></TxDtls>",
        '</CdtDbtInd><AmtDtls><InstdAmt><Amt Ccy="USD">10.80</Amt></InstdAmt>'
        '<TxAmt><Amt Ccy="USD">10.80</Amt></TxAmt><CntrValAmt><Amt Ccy="EUR">10.00</Amt></CntrValAmt>'
        "</AmtDtls></TxDtls>",
    )
    statement = parse_one(document)
    (detail,) = statement.entries[0].details
    assert (detail.amount_minor, detail.currency) == (1_000, "EUR")
    assert (detail.instructed_amount_minor, detail.instructed_currency) == (1_080, "USD")
    assert statement.findings == ()


def test_an_unreadable_amount_of_a_detail_is_left_out() -> None:
    statement = parse_one(entries(Entry(details=(Detail(amount="10.00", currency="XAU"),))))
    assert statement.entries[0].details[0].amount_minor is None
    assert codes(statement) == ["detail_amount_unreadable"]


def test_the_look_alike_in_supplementary_data_is_not_an_entry() -> None:
    good = entries(Entry())
    entry = good[good.index("<Ntry>") : good.index("</Ntfctn>")]
    hidden = f"<SplmtryData><Envlp>{entry}<Ntfctn>{entry}</Ntfctn></Envlp></SplmtryData>"
    statement = parse_one(
        good.replace("</Ntry>", f"{hidden}</Ntry>").replace("</Ntfctn></Bk", f"{hidden}</Ntfctn></Bk")
    )
    assert len(statement.entries) == 1
    foreign = good.replace("<Sts>", '<Sts xmlns="urn:other"><Cd>PDNG</Cd></Sts><Sts>')
    assert parse_one(foreign).entries[0].booked


def test_a_prefix_for_the_namespace_changes_nothing() -> None:
    plain = camt()
    prefixed = (
        plain.replace("xmlns=", "xmlns:p=").replace("<", "<p:").replace("<p:/", "</p:").replace("<p:?", "<?")
    )
    assert parse(prefixed) == parse(plain)


def test_blanks_and_line_ends_change_nothing() -> None:
    plain = camt()
    assert parse(plain.replace("><", ">\r\n\t <")) == parse(plain)
    assert parse(plain.replace(">STMT-1<", "> STMT-1\n<")) == parse(plain)


def test_balances_may_stand_behind_the_entries() -> None:
    document = camt()
    start, end = document.index("<Bal>"), document.rindex("</Bal>") + len("</Bal>")
    moved = document[:start] + document[end:].replace("</Stmt>", f"{document[start:end]}</Stmt>")
    assert parse(moved) == parse(document)


def test_several_statements_keep_their_own_findings() -> None:
    bad = Statement(statement_id="STMT-2", balances=(Balance("OPBD", "1"), Balance("CLBD", "1")))
    message = parse(camt(Statement(), bad, Statement(statement_id="STMT-2")))
    assert [codes(statement) for statement in message.statements] == [
        [],
        ["balance_mismatch"],
        ["statement_id_duplicated"],
    ]
    assert [finding.where for finding in message.findings] == ["Stmt[2]", "Stmt[3]"]


def test_page_information_of_statement_and_message() -> None:
    assert parse_one(camt(Statement(page=(1, True)))).page is not None
    statement = parse_one(camt(message_page=(2, False), version="02"))
    assert statement.page is not None
    assert (statement.page.number, statement.page.last, statement.page.only) == (2, False, False)
    odd = parse(camt(message_page=(0, True)))
    assert odd.statements[0].page is None
    assert codes(odd) == ["page_unreadable"]


def test_the_currency_is_inferred_when_not_stated() -> None:
    statement = parse_one(camt(Statement(currency=None)))
    assert statement.currency == "EUR"
    assert codes(statement) == ["account_currency_inferred"]
    with pytest.raises(StatementMalformedError):
        parse(camt(Statement(currency=None, balances=(), entries=())))


def test_moments_without_zone_and_unreadable_ones() -> None:
    message = parse(camt(Statement(created="2026-11-20T18:00:00"), created="yesterday"))
    assert message.created_at is None
    assert message.statements[0].created_at == datetime(2026, 11, 20, 18, tzinfo=UTC)
    assert codes(message) == ["moment_unreadable", "created_at_missing", "moment_without_zone"]


def test_deviations_that_leave_the_money_clear_are_findings() -> None:
    document = camt(
        Statement(
            iban="nl77 ABNA 0574 9087 66",
            bic="NOTABIC",
            sequence="seven",
            copy="DUPL",
            information="x" * 501,
            balances=(Balance("OPBD", "100.00"), Balance("CLBD", "110.00"), Balance("ODD", "1.00")),
            entries=(
                Entry(code=("ABCD", "X", "Y"), details=(Detail(uetr="255AE394", remittance=("r" * 141,)),)),
                Entry(amount="0", code=None),
            ),
        )
    ).replace("<Dt><Dt>2026-11-20</Dt></Dt></Bal><Ntry>", "</Bal><Ntry>")
    statement = parse_one(document)
    assert statement.account_iban == "NL77ABNA0574908766"
    assert sorted(codes(statement)) == [
        "balance_date_missing",
        "balance_type_unknown",
        "bic_invalid",
        "iban_invalid",
        "number_unreadable",
        "statement_is_copy",
        "text_too_long",
        "text_too_long",
        "transaction_code_missing",
        "transaction_code_unknown",
        "uetr_invalid",
    ]


def test_text_beyond_any_use_is_refused() -> None:
    with pytest.raises(StatementMalformedError):
        parse(entries(Entry(information="x" * 10_001)))


def test_an_account_known_by_its_proxy() -> None:
    document = camt(version="12").replace(
        f"<Id><IBAN>{IBAN}</IBAN></Id><Ccy>EUR</Ccy>", "<Ccy>EUR</Ccy><Prxy><Id>+4512</Id></Prxy>"
    )
    assert parse_one(document).account_id == "+4512"


def test_limits_of_entries_and_details() -> None:
    document = entries(Entry(), Entry(), Entry())
    assert len(parse(document, entry_count_max=3).statements[0].entries) == 3
    with pytest.raises(StatementTooManyEntriesError) as caught:
        parse(document, entry_count_max=2)
    assert caught.value.status == 413
    with pytest.raises(StatementTooManyEntriesError):
        parse(entries(Entry(details=(Detail(),) * 3)), entry_count_max=2)


def test_errors_and_findings_do_not_repeat_the_content() -> None:
    document = camt(
        Statement(
            owner=SECRET * 10,
            entries=(
                Entry(
                    reference=SECRET * 3,
                    information=SECRET,
                    details=(
                        Detail(
                            debtor_name=SECRET * 9, debtor_iban=SECRET, remittance=(SECRET * 9,), uetr=SECRET
                        ),
                    ),
                ),
            ),
        )
    )
    message = parse(document)
    assert len(message.findings) >= 5
    assert not [finding for finding in message.findings if "Confidential" in finding.message + finding.where]
    for found, bad in (
        ("10.00", SECRET),
        ("2026-11-20<", f"{SECRET}<"),
        ("BOOK<", "<"),
        ("</Ntry>", f"</{SECRET[:6]}>"),
    ):
        with pytest.raises(DomainError) as caught:
            parse(document.replace(found, bad))
        assert "Confid" not in f"{caught.value.detail} {caught.value.members}"
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__ or caught.value.__context__ is None
