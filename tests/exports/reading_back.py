"""What each format comes to, read by programs that are not ours: DuckDB, openpyxl, lxml, PDFium, Beancount."""

import csv
import io
import re
from collections import defaultdict
from decimal import Decimal
from typing import Any, Final

import duckdb
import pypdfium2  # type: ignore[import-untyped]
from beancount import loader
from beancount.core.data import Transaction
from lxml import etree
from openpyxl import load_workbook  # type: ignore[import-untyped]
from openpyxl.worksheet.worksheet import Worksheet  # type: ignore[import-untyped]

from tests.exports.exported import as_told, json_rows

__all__ = [
    "CAMT",
    "Sides",
    "camt_balances",
    "of_beancount",
    "of_csv",
    "of_json",
    "of_parquet",
    "of_workbook",
    "pdf_pages",
    "queried",
    "sheet_rows",
]

#: Debits and credits by currency.
Sides = dict[str, tuple[Decimal, Decimal]]
CAMT: Final = {"c": "urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"}
_BAL: Final = f"{{{CAMT['c']}}}Bal"
_NTRY: Final = f"{{{CAMT['c']}}}Ntry"


def _summed(rows: list[dict[str, Any]]) -> Sides:
    sums: defaultdict[str, list[Decimal]] = defaultdict(lambda: [Decimal(0), Decimal(0)])
    for row in rows:
        sums[row["currency"]][0] += Decimal(row["debit"] or 0)
        sums[row["currency"]][1] += Decimal(row["credit"] or 0)
    return {currency: (debit, credit) for currency, (debit, credit) in sums.items()}


def of_csv(content: bytes) -> Sides:
    """Return the sums of a file with the columns `currency`, `debit` and `credit`."""
    return _summed(list(csv.DictReader(io.StringIO(content.decode(), newline=""), strict=True)))


def of_json(content: bytes) -> Sides:
    """Return the same of JSON Lines."""
    return _summed(json_rows(content))


def of_parquet(path: str) -> Sides:
    """Return the same of a Parquet file."""
    _, rows = queried(
        f"SELECT currency, coalesce(sum(debit), 0), coalesce(sum(credit), 0) FROM '{path}' GROUP BY currency"
    )
    return {currency: (debit, credit) for currency, debit, credit in rows}


def queried(sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Return what DuckDB answers: the columns' names, and the rows."""
    found = duckdb.sql(sql)
    assert found is not None
    return found.columns, found.fetchall()


def sheet_rows(sheet: Worksheet) -> list[dict[str, Any]]:
    """Return a sheet's data by column, a key's id as it is: all rows down to the empty one."""
    heading, *rows = list(sheet.iter_rows(values_only=True))
    found = []
    for row in rows:
        if all(cell is None for cell in row):
            break
        found.append({str(name): as_told(str(name), cell) for name, cell in zip(heading, row, strict=True)})
    return found


def of_workbook(content: bytes) -> Sides:
    """Return the sums of the exact amounts; the numbers beside them and the totals below are held against these."""
    book = load_workbook(io.BytesIO(content))
    rows = sheet_rows(book["journal"])
    exact = _summed(
        [
            {
                "currency": row["currency"],
                "debit": row["debit (exact)"],
                "credit": row["credit (exact)"],
            }
            for row in rows
        ]
    )
    for row in rows:
        for side in ("debit", "credit"):
            number, text = row[side], row[f"{side} (exact)"]
            assert (number is None) == (text is None)
            assert number is None or float(text) == number
    sheet = book["journal"]
    columns = {str(cell.value): place for place, cell in enumerate(sheet[1])}
    below = list(sheet.iter_rows(min_row=len(rows) + 3, values_only=True))
    totals = {
        str(row[0]).removeprefix("Total "): tuple(
            Decimal(str(row[columns[f"{side} (exact)"]])) for side in ("debit", "credit")
        )
        for row in below
    }
    assert totals == exact
    return exact


def of_beancount(text: str) -> Sides:
    """Return the sums of what the period's own transactions post."""
    directives, errors, _ = loader.load_string(text)
    assert errors == []
    rows = []
    for one in directives:
        if isinstance(one, Transaction) and one.narration != "opening balances":
            for posting in one.postings:
                assert posting.units is not None
                number = posting.units.number
                assert number is not None
                rows.append(
                    {
                        "currency": posting.units.currency,
                        "debit": max(number, Decimal(0)),
                        "credit": max(-number, Decimal(0)),
                    }
                )
    return _summed(rows)


def camt_balances(content: bytes) -> tuple[Decimal, Decimal, Decimal]:
    """Return opening and closing balance, and the signed sum of the entries."""
    document = etree.fromstring(content)

    balances = {
        one.findtext("c:Tp/c:CdOrPrtry/c:Cd", None, CAMT): _signed(one) for one in document.iter(_BAL)
    }
    return balances["OPBD"], balances["CLBD"], sum(map(_signed, document.iter(_NTRY)), Decimal(0))


def _signed(node: etree._Element) -> Decimal:
    amount, side = node.findtext("c:Amt", None, CAMT), node.findtext("c:CdtDbtInd", None, CAMT)
    assert amount is not None
    return Decimal(amount) if side == "CRDT" else -Decimal(amount)


def pdf_pages(content: bytes) -> list[str]:
    """Return each page's text, its lines put together by single spaces."""
    document = pypdfium2.PdfDocument(content)
    try:
        return [
            re.sub(r"\s+", " ", document[number].get_textpage().get_text_bounded())
            for number in range(len(document))
        ]
    finally:
        document.close()
