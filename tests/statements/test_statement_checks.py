"""Statements that contradict themselves, and those that only look as if they did."""

import pytest

from tallystick.statements.camt import parse_camt
from tallystick.statements.findings import Finding
from tallystick.statements.parsed import ParsedStatement
from tallystick.statements.statement_checks import booked_sum_minor, closing_balance, opening_balance
from tests.statements.camt_documents import Balance, Detail, Entry, Statement, camt_bytes


def _read(statement: Statement, message_type: str = "camt.053", version: str = "08") -> ParsedStatement:
    document = camt_bytes(statement, message_type=message_type, version=version)
    (parsed,) = parse_camt(document, size_max_bytes=1_000_000).statements
    return parsed


def _codes(statement: ParsedStatement) -> list[str]:
    return [finding.code for finding in statement.findings]


def _only(statement: ParsedStatement, code: str) -> Finding:
    (finding,) = statement.findings
    assert finding.code == code
    return finding


def test_opening_plus_booked_entries_is_closing() -> None:
    statement = _read(
        Statement(
            balances=(Balance("OPBD", "5.00", credit=False), Balance("CLBD", "2.50")),
            entries=(
                Entry(amount="10.00"),
                Entry(amount="2.50", credit=False),
                Entry(amount="99", status="PDNG"),
            ),
        )
    )
    assert booked_sum_minor(statement) == 750
    assert _codes(statement) == ["entries_not_booked"]


def test_a_sum_that_misses_names_both_figures() -> None:
    statement = _read(Statement(balances=(Balance("PRCD", "100.00"), Balance("CLBD", "110.01"))))
    finding = _only(statement, "balance_mismatch")
    assert finding.severity == "error"
    assert finding.message == (
        "PRCD EUR 100.00 plus booked entries EUR 10.00 is EUR 110.00, but CLBD is EUR 110.01."
    )


def test_one_minor_unit_is_found_among_the_largest_amounts() -> None:
    statement = _read(
        Statement(
            balances=(Balance("OPBD", "0.01"), Balance("CLBD", "92233720368547758.06")),
            entries=(Entry(amount="92233720368547758.06"),),
        )
    )
    assert _codes(statement) == ["balance_mismatch"]


def test_missing_balances() -> None:
    assert _codes(_read(Statement(balances=(Balance("CLBD", "1"),)))) == ["opening_balance_missing"]
    assert _codes(_read(Statement(balances=(Balance("OPBD", "1"),)))) == ["closing_balance_missing"]
    assert _codes(_read(Statement(balances=()))) == ["opening_balance_missing", "closing_balance_missing"]
    assert _codes(_read(Statement(balances=()), "camt.052")) == []


def test_a_report_need_not_reach_its_balance() -> None:
    statement = _read(Statement(balances=(Balance("OPBD", "100"), Balance("CLBD", "500"))), "camt.052")
    assert _only(statement, "report_balance_mismatch").severity == "info"


def test_balances_told_twice() -> None:
    opening = Balance("OPBD", "100.00")
    statement = _read(Statement(balances=(opening, opening, Balance("CLBD", "110.00"))))
    assert _only(statement, "balance_duplicated").message == "OPBD stands 2 times; the first is used."


PAGES = {
    "first": ((1, False), ("OPBD", "100"), ("ITBD", "110"), []),
    "middle": ((2, False), ("ITBD", "100"), ("ITBD", "110"), []),
    "last": ((3, True), ("ITBD", "100"), ("CLBD", "110"), []),
    "broken": ((2, False), ("ITBD", "100"), ("ITBD", "111"), ["balance_mismatch"]),
    "balances of the whole": ((2, False), ("OPBD", "7"), ("CLBD", "900"), ["balance_not_checkable"]),
    "no balance carried forward": ((1, False), ("OPBD", "100"), ("CLAV", "1"), ["balance_not_checkable"]),
    "one balance in the middle": ((2, False), ("ITBD", "100"), ("CLAV", "1"), ["balance_not_checkable"]),
    "only": ((1, True), ("OPBD", "100"), ("CLBD", "110"), []),
}


@pytest.mark.parametrize("case", PAGES)
def test_pages(case: str) -> None:
    page, opening, closing, codes = PAGES[case]
    statement = _read(Statement(page=page, balances=(Balance(*opening), Balance(*closing))))
    assert _codes(statement) == codes


def test_opening_and_closing_of_a_middle_page() -> None:
    statement = _read(Statement(page=(2, False), balances=(Balance("ITBD", "100"), Balance("ITBD", "110"))))
    opening, closing = opening_balance(statement), closing_balance(statement)
    assert opening is not None
    assert closing is not None
    assert (opening.signed_minor, closing.signed_minor) == (10_000, 11_000)


def test_other_currencies() -> None:
    statement = _read(
        Statement(
            balances=(Balance("OPBD", "100"), Balance("CLBD", "110"), Balance("CLBD", "3", currency="USD")),
            entries=(Entry(), Entry(amount="5", currency="USD")),
        )
    )
    assert _codes(statement) == ["balance_currency_mismatch", "entry_currency_mismatch"]
    assert [finding.where for finding in statement.findings] == ["Stmt[1]/Bal[3]", "Stmt[1]/Ntry[2]"]
    broken = _read(
        Statement(balances=(Balance("OPBD", "100"), Balance("CLBD", "115")), entries=(Entry(currency="USD"),))
    )
    assert _codes(broken) == ["entry_currency_mismatch", "balance_mismatch"]
    assert broken.findings[1].message.endswith(" 1 booked entries in other currencies are not counted.")


def test_references_told_twice() -> None:
    statement = _read(
        Statement(
            balances=(Balance("OPBD", "100"), Balance("CLBD", "140")),
            entries=(
                Entry(reference="R", servicer_reference="A"),
                Entry(reference="S", servicer_reference="A"),
                Entry(reference="R", servicer_reference="B", amount="11"),
                Entry(servicer_reference="B", amount="9"),
            ),
        )
    )
    assert [(finding.code, finding.where) for finding in statement.findings] == [
        ("entry_reference_duplicated", "Stmt[1]/Ntry[1]"),
        ("servicer_reference_duplicated", "Stmt[1]/Ntry[1]"),
        ("servicer_reference_duplicated", "Stmt[1]/Ntry[2]"),
        ("entry_reference_duplicated", "Stmt[1]/Ntry[3]"),
    ]


def test_dates() -> None:
    period = ("2026-11-20T00:00:00+01:00", "2026-11-20T23:59:59+01:00")
    assert _codes(_read(Statement(period=period))) == []
    assert _codes(_read(Statement(period=period[::-1]))) == ["dates_inconsistent"]
    for day in ("2026-11-19", "2026-11-21"):
        outside = Statement(period=period, entries=(Entry(booking_date=day),))
        assert _codes(_read(outside)) == ["entry_date_outside_period"]
    ahead = Statement(entries=(Entry(booking_date="2026-11-22"),))
    assert _codes(_read(ahead)) == ["entry_date_outside_period"]
    assert _codes(_read(Statement(entries=(Entry(booking_date="2026-11-21"),)))) == []
    assert _codes(_read(Statement(entries=(Entry(booking_date=None),), created=None))) == []
    backwards = (Balance("OPBD", "100", date="2026-11-21"), Balance("CLBD", "110"))
    assert _codes(_read(Statement(balances=backwards))) == ["dates_inconsistent"]


TOTALS = (
    "<TxsSummry><TtlNtries><NbOfNtries>{count}</NbOfNtries><Sum>15</Sum>{net}</TtlNtries>"
    "<TtlCdtNtries><NbOfNtries>1</NbOfNtries><Sum>{credit}</Sum></TtlCdtNtries>"
    "<TtlDbtNtries><NbOfNtries>1</NbOfNtries><Sum>5.00</Sum></TtlDbtNtries></TxsSummry>"
)
NET_OLD = "<TtlNetNtryAmt>{}</TtlNetNtryAmt><CdtDbtInd>CRDT</CdtDbtInd>"
NET_NEW = "<TtlNetNtry><Amt>{}</Amt><CdtDbtInd>CRDT</CdtDbtInd></TtlNetNtry>"


@pytest.mark.parametrize(("version", "net"), [("02", NET_OLD), ("08", NET_NEW)])
def test_stated_totals(version: str, net: str) -> None:
    entries = (Entry(), Entry(amount="5", credit=False), Entry(status="PDNG", credit=False, amount="1"))
    balances = (Balance("OPBD", "100"), Balance("CLBD", "105"))

    def read(count: int, net_sum: str, credit: str, page: tuple[int, bool] | None = None) -> list[str]:
        totals = TOTALS.format(count=count, net=net.format(net_sum), credit=credit)
        page = page if version == "08" else None
        statement = _read(
            Statement(entries=entries, balances=balances, totals=totals, page=page), version=version
        )
        return [finding.message for finding in statement.findings if finding.code == "summary_mismatch"]

    assert read(2, "5.00", "10") == read(3, "4", "10.00") == []
    assert read(4, "6.00", "11.00") == [
        "The number of entries is stated as 4; the entries have 3.",
        "The net sum in minor units is stated as 600; the entries have 400.",
        "The sum of credits in minor units is stated as 1100; the entries have 1000.",
    ]
    if version == "08":
        assert read(40, "6.00", "11.00", page=(1, False)) == []


def test_totals_that_can_not_be_read() -> None:
    totals = TOTALS.format(count="many", net="", credit="10.005")
    statement = _read(
        Statement(entries=(Entry(), Entry(amount="5", credit=False)), totals=totals, balances=())
    )
    assert _codes(statement) == [
        "number_unreadable",
        "number_unreadable",
        "opening_balance_missing",
        "closing_balance_missing",
    ]


def _entry_findings(entry: Entry) -> list[Finding]:
    return list(_read(Statement(entries=(entry,)), "camt.054").findings)


def test_an_entry_is_the_sum_of_its_transactions() -> None:
    assert _entry_findings(Entry(details=(Detail(amount="4.00"), Detail(amount="6.00")))) == []
    assert _entry_findings(Entry(details=(Detail(amount="14"), Detail(amount="4", credit=False)))) == []
    assert _entry_findings(Entry(details=(Detail(amount="4.00"), Detail()))) == []
    assert _entry_findings(Entry(details=(Detail(amount="4.00", currency="USD"),))) == []
    (finding,) = _entry_findings(Entry(details=(Detail(amount="4.00"), Detail(amount="6.01"))))
    assert (finding.code, finding.where) == ("details_sum_mismatch", "Ntfctn[1]/Ntry[1]")
    assert finding.message == "The entry is EUR 10.00, its transactions come to EUR 10.01."


def test_charges_explain_a_difference() -> None:
    charge = '<Chrgs><Rcrd><Amt Ccy="EUR">0.50</Amt><CdtDbtInd>DBIT</CdtDbtInd></Rcrd></Chrgs>'
    (finding,) = _entry_findings(Entry(charges=charge, details=(Detail(amount="10.50"),)))
    assert finding.message.endswith("come to EUR 10.50; charges of EUR 0.50 are the difference.")


def test_a_batch_says_what_it_holds() -> None:
    def batch(count: int, total: str) -> str:
        return f'<Btch><NbOfTxs>{count}</NbOfTxs><TtlAmt Ccy="EUR">{total}</TtlAmt></Btch>'

    two = (Detail(amount="4.00"), Detail(amount="6.00"))
    assert _entry_findings(Entry(batch=batch(2, "10.00"), details=two)) == []
    assert _entry_findings(Entry(batch=batch(20, "10.00"))) == []
    assert _entry_findings(Entry(batch=batch(20, "10.00"), details=(Detail(),))) == []
    findings = _entry_findings(Entry(batch=batch(3, "11.00"), details=two))
    assert [finding.code for finding in findings] == ["batch_count_mismatch", "batch_total_mismatch"]
    assert findings[0].message == "The batch has 3 transactions as stated, 2 as listed."
