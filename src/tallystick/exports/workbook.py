"""All tables as one Excel workbook (ECMA-376), written by XlsxWriter a row at a time.

A sheet per table, behind one of control totals. Excel calculates with binary fractions of 15 digits and milliseconds,
so beside every amount and moment stands the exact one as text. No cell is a formula: all text goes through `neutral`,
and is typed as text. A table of more than a million rows goes on in a further sheet.
"""

import tempfile
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import xlsxwriter  # type: ignore[import-untyped]
from sqlalchemy import Connection
from xlsxwriter.format import Format  # type: ignore[import-untyped]
from xlsxwriter.worksheet import Worksheet  # type: ignore[import-untyped]

from tallystick.core.clock import parse_time
from tallystick.exports.arguments import ExportFormatLimitError
from tallystick.exports.manifest import Totals
from tallystick.exports.reading import Scope, told_at
from tallystick.exports.records import FileFacts, Pinned
from tallystick.exports.tables import ColumnKind, kind_of, write_all
from tallystick.exports.writers import Cell, Row, Table, copied, neutral
from tallystick.participants import Issuer

__all__ = ["SHEET_ROWS_MAX", "XLSX", "write_workbook"]

XLSX: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
WORKBOOK_NAME: Final = "books.xlsx"
# Excel's own limit is 1,048,576: the header, an empty row and the totals have place beside these.
SHEET_ROWS_MAX: Final = 1_000_000
_EXACT: Final = " (exact)"
_CONTROL: Final = "control_totals"
# Sums of balances of either side, or of balances as they ran, would mean nothing.
_TOTALLED: Final[dict[str, tuple[str, ...]]] = {
    "journal": ("debit", "credit"),
    "trial_balance": ("debits", "credits", "debit_balance", "credit_balance"),
    "liabilities": ("available", "held", "pledged", "restricted", "dormant", "total"),
    "sample": ("amount",),
}
_WIDTHS: Final = {
    ColumnKind.TEXT: 24,
    ColumnKind.INTEGER: 13,
    ColumnKind.AMOUNT: 18,
    ColumnKind.MOMENT: 24,
    ColumnKind.DAY: 12,
}
_CONTROL_COLUMNS: Final = (
    *("token_class_id", "currency", "scale", "entries", "lines"),
    *("debits", "credits", "opening_supply", "supply", "ties"),
)


def write_workbook(
    connection: Connection, issuer: Issuer, scope: Scope, folder: Path, pinned: Pinned
) -> tuple[list[FileFacts], Totals]:
    """Write the workbook, in constant memory, and return its facts with the totals.

    Raises ExportFormatLimitError for text that is longer than a cell.
    """
    totals = Totals(scope)
    with tempfile.TemporaryDirectory(prefix=".workbook-", dir=folder) as beside:
        path = Path(beside) / WORKBOOK_NAME
        with xlsxwriter.Workbook(path, {"constant_memory": True, "tmpdir": beside}) as book:
            book.use_zip64()
            sheets = _Sheets(book)
            book.set_properties(
                {
                    "title": f"Books of {issuer.legal_name}",
                    "author": issuer.legal_name,
                    "created": told_at(connection, scope, pinned).replace(tzinfo=None),
                }
            )
            control = sheets.new(_CONTROL)
            write_all(connection, scope, sheets, totals, pinned.arguments.options)
            _write_control(sheets, control, issuer, pinned, totals, dict(sheets.rows))
        return [copied(path, folder, WORKBOOK_NAME, XLSX, sum(sheets.rows.values()))], totals


class _Sheets:
    """Tables that are sheets of one workbook; `rows` are counted by table."""

    def __init__(self, book: xlsxwriter.Workbook) -> None:
        self.rows: dict[str, int] = {}
        self.heading: Format = book.add_format({"bold": True, "bottom": 1, "bg_color": "#E8EDF3"})
        self.bold: Format = book.add_format({"bold": True})
        self._book = book
        self._moment = book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss.000"})
        self._day = book.add_format({"num_format": "yyyy-mm-dd"})
        self._amounts: dict[tuple[int, bool], Format] = {}
        self._open: dict[str, _SheetTable] = {}

    def new(self, name: str) -> Worksheet:
        sheet: Worksheet = self._book.add_worksheet(name)
        return sheet

    def open(self, name: str, columns: tuple[str, ...]) -> Table:
        self._open[name] = table = _SheetTable(self, name, columns)
        return table.write

    def close(self, name: str) -> None:
        self.rows[name] = self._open.pop(name).finish()

    def text(self, sheet: Worksheet, row: int, column: int, cell: str, form: Format | None = None) -> None:
        if sheet.write_string(row, column, neutral(cell), form) != 0:
            raise ExportFormatLimitError("A cell of Excel holds 32,767 characters, and one is longer.")

    def amount(self, sheet: Worksheet, row: int, column: int, exact: str, *, bold: bool = False) -> None:
        """Write an amount as a number, and exactly in the next column."""
        key = len(exact.partition(".")[2]), bold
        if key not in self._amounts:
            decimals = "." + "0" * key[0] if key[0] else ""
            self._amounts[key] = self._book.add_format({"num_format": "#,##0" + decimals, "bold": bold})
        sheet.write_number(row, column, float(exact), self._amounts[key])
        self.text(sheet, row, column + 1, exact, self.bold if bold else None)

    def moment(self, sheet: Worksheet, row: int, column: int, at: datetime) -> None:
        sheet.write_datetime(row, column, at.replace(tzinfo=None), self._moment)

    def day(self, sheet: Worksheet, row: int, column: int, day: date) -> None:
        sheet.write_datetime(row, column, day, self._day)


class _SheetTable:
    """One table in one sheet, or in as many as it needs."""

    def __init__(self, sheets: _Sheets, name: str, columns: tuple[str, ...]) -> None:
        self._sheets = sheets
        self._name = name
        self._columns = [(column, kind_of(column)) for column in columns]
        self._currency = columns.index("currency") if "currency" in columns else None
        self._sums: dict[str, dict[str, Decimal]] = {}
        self._sheet_count = 0
        self._finished_rows = 0
        self._begin_sheet()

    def write(self, row: Row) -> None:
        if self._rows == SHEET_ROWS_MAX:
            self._end_sheet()
            self._begin_sheet()
        self._rows += 1
        place = 0
        for (_, kind), cell in zip(self._columns, row, strict=True):
            if cell is not None:
                self._write_cell(place, kind, cell)
            place += _places(kind)
        self._add(row)

    def finish(self) -> int:
        """Write the totals and return how many rows there are."""
        for below, (currency, sums) in enumerate(sorted(self._sums.items()), 2):
            row = self._rows + below
            self._sheets.text(self._sheet, row, 0, f"Total {currency}", self._sheets.bold)
            for place, column, _ in self._layout():
                if column in sums:
                    self._sheets.amount(self._sheet, row, place, str(sums[column]), bold=True)
        self._end_sheet()
        return self._finished_rows

    def _write_cell(self, place: int, kind: ColumnKind, cell: Cell) -> None:
        sheets, sheet, row = self._sheets, self._sheet, self._rows
        if kind == ColumnKind.INTEGER:
            sheet.write_number(row, place, int(cell or 0))
            return
        text = str(cell)
        if kind == ColumnKind.AMOUNT:
            sheets.amount(sheet, row, place, text)
        elif kind == ColumnKind.MOMENT:
            sheets.moment(sheet, row, place, parse_time(text))
            sheets.text(sheet, row, place + 1, text)
        elif kind == ColumnKind.DAY:
            sheets.day(sheet, row, place, date.fromisoformat(text))
        else:
            sheets.text(sheet, row, place, text)

    def _add(self, row: Row) -> None:
        totalled = _TOTALLED.get(self._name, ())
        if not totalled or self._currency is None:
            return
        sums = self._sums.setdefault(str(row[self._currency]), {})
        for (column, _), cell in zip(self._columns, row, strict=True):
            if column in totalled and cell is not None:
                sums[column] = sums.get(column, Decimal(0)) + Decimal(cell)

    def _begin_sheet(self) -> None:
        self._sheet_count += 1
        self._rows = 0
        number = "" if self._sheet_count == 1 else f" ({self._sheet_count})"
        self._sheet = self._sheets.new(self._name + number)
        self._sheet.freeze_panes(1, 0)
        for place, column, kind in self._layout():
            self._sheet.set_column(place, place + _places(kind) - 1, _WIDTHS[kind])
            self._sheets.text(self._sheet, 0, place, column, self._sheets.heading)
            if _places(kind) == 2:
                self._sheets.text(self._sheet, 0, place + 1, column + _EXACT, self._sheets.heading)

    def _end_sheet(self) -> None:
        width = sum(_places(kind) for _, kind in self._columns)
        self._sheet.autofilter(0, 0, self._rows, width - 1)
        self._finished_rows += self._rows

    def _layout(self) -> Iterator[tuple[int, str, ColumnKind]]:
        place = 0
        for column, kind in self._columns:
            yield place, column, kind
            place += _places(kind)


def _places(kind: ColumnKind) -> int:
    return 2 if kind in {ColumnKind.AMOUNT, ColumnKind.MOMENT} else 1


def _write_control(
    sheets: _Sheets, sheet: Worksheet, issuer: Issuer, pinned: Pinned, totals: Totals, rows: dict[str, int]
) -> None:
    sheet.set_column(0, 0, 34)
    sheet.set_column(1, 13, 20)
    told: dict[str, Any] = {
        "issuer": issuer.legal_name,
        "lei": issuer.lei,
        "bic": issuer.bic,
        **{name: "" if value is None else str(value) for name, value in pinned.asked().items()},
        "first_event_index": str(pinned.first_event_index),
        "last_event_index": str(pinned.last_event_index),
    }
    row = 0
    for name, value in told.items():
        sheets.text(sheet, row, 0, name, sheets.bold)
        sheets.text(sheet, row, 1, value)
        row += 1
    row = _write_control_totals(sheets, sheet, row + 1, totals)
    for name, count in rows.items():
        row += 1
        sheets.text(sheet, row, 0, f"rows of {name}", sheets.bold)
        sheet.write_number(row, 1, count)


def _write_control_totals(sheets: _Sheets, sheet: Worksheet, row: int, totals: Totals) -> int:
    amounts = {"debits", "credits", "opening_supply", "supply"}
    place = 0
    for column in _CONTROL_COLUMNS:
        sheets.text(sheet, row, place, column, sheets.heading)
        if column in amounts:
            place += 1
            sheets.text(sheet, row, place, column + _EXACT, sheets.heading)
        place += 1
    for total in totals.control_totals():
        row, place = row + 1, 0
        for column in _CONTROL_COLUMNS:
            value = total[column]
            if column in amounts:
                sheets.amount(sheet, row, place, value)
                place += 1
            elif isinstance(value, bool):
                sheet.write_boolean(row, place, value)
            elif isinstance(value, int):
                sheet.write_number(row, place, value)
            else:
                sheets.text(sheet, row, place, value)
            place += 1
    return row + 1
