"""Excel: types that calculate beside text that is exact, and nothing that runs."""

import io
import zipfile
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from openpyxl import Workbook, load_workbook  # type: ignore[import-untyped]

from tallystick import participants
from tallystick.exports import ExportArguments, ExportFormat, ExportFormatLimitError, ExportOptions, workbook
from tallystick.exports.manifest import Totals
from tallystick.exports.reading import scope_of
from tallystick.exports.records import Pinned
from tallystick.exports.tables import COLUMNS, ColumnKind, kind_of
from tallystick.exports.workbook import write_workbook
from tallystick.exports.writers import original
from tests.bank import Bank
from tests.exports.exported import contents, csv_rows, export_of
from tests.exports.reading_back import sheet_rows

HOSTILE = [
    "=cmd|' /C calc'!A0",
    '=HYPERLINK("https://nowhere.example","x")',
    "+1+1",
    "-1+1",
    "@SUM(A1)",
    "\t=1",
    "\uff1d1+1",
    "'=1",
    "''",
    "_x003D_1",
    "plain",
]


def opened(content: bytes) -> Workbook:
    return load_workbook(io.BytesIO(content))


def written(bank: Bank, directory: Path, legal_name: str) -> bytes:
    """Return the workbook of a bank of this name."""
    pinned = Pinned(ExportArguments(ExportFormat.XLSX, options=ExportOptions()), 0, 3)
    with bank.database.read() as connection:
        issuer = replace(participants.issuer(connection, bank.auditor, bank.issuer_id), legal_name=legal_name)
        scope = scope_of(connection, bank.auditor, pinned)
        [facts], totals = write_workbook(connection, issuer, scope, directory, pinned)
    assert isinstance(totals, Totals)
    path = directory / facts.name
    content = path.read_bytes()
    path.unlink()
    return content


def test_values_are_native_and_exact(shared: Bank, tmp_path: Path) -> None:
    book = opened(contents(tmp_path, export_of(shared, tmp_path, ExportFormat.XLSX))["books.xlsx"])
    tables = contents(tmp_path, export_of(shared, tmp_path, ExportFormat.CSV))

    assert book.sheetnames == ["control_totals", *(name for name in COLUMNS if name != "sample")]
    for name in book.sheetnames[1:]:
        rows = sheet_rows(book[name])
        ours = csv_rows(tables[f"{name}.csv"])
        assert len(rows) == len(ours)
        for row, exact in zip(rows, ours, strict=True):
            for column, text in exact.items():
                kind = kind_of(column)
                if text == "":
                    assert row[column] is None
                elif kind == ColumnKind.AMOUNT:
                    assert (row[column], row[f"{column} (exact)"]) == (float(text), text)
                elif kind == ColumnKind.MOMENT:
                    assert row[column] == datetime.fromisoformat(text).replace(tzinfo=None)
                    assert row[f"{column} (exact)"] == text
                elif kind == ColumnKind.DAY:
                    assert row[column] == datetime.fromisoformat(text)
                else:
                    assert str(row[column]) == text


def test_sheets_are_made_for_reading(shared: Bank, tmp_path: Path) -> None:
    book = opened(contents(tmp_path, export_of(shared, tmp_path, ExportFormat.XLSX))["books.xlsx"])

    for name in book.sheetnames[1:]:
        sheet, count = book[name], len(sheet_rows(book[name]))
        assert sheet.freeze_panes == "A2"
        assert sheet.auto_filter.ref is not None
        assert sheet.auto_filter.ref.endswith(str(count + 1))
    journal = book["journal"]
    columns = {str(cell.value): place for place, cell in enumerate(journal[1])}
    row = journal[2]
    assert row[columns["booked_at"]].number_format == "yyyy-mm-dd hh:mm:ss.000"
    assert row[columns["debit"]].number_format == "#,##0.00"
    assert row[columns["debit (exact)"]].data_type == "s"


def test_control_totals_are_the_manifest_s(shared: Bank, tmp_path: Path) -> None:
    export = export_of(shared, tmp_path, ExportFormat.XLSX, sample_size=2, seed="x")
    sheet = opened(contents(tmp_path, export)["books.xlsx"])["control_totals"]

    rows = list(sheet.iter_rows(values_only=True))
    heading = next(row for row in rows if row[:2] == ("token_class_id", "currency"))
    told = [
        dict(zip(heading, row, strict=True))
        for row in rows[rows.index(heading) + 1 :]
        if str(row[0]).startswith("class_")
    ]
    assert [
        {name: row.get(f"{name} (exact)", row[name]) for name in one}
        for row, one in zip(told, export.manifest["control_totals"], strict=True)
    ] == export.manifest["control_totals"]
    facts = {row[0]: row[1] for row in rows if row[0]}
    assert (facts["sample_size"], facts["seed"], facts["rows of sample"]) == ("2", "x", 2)
    assert facts["rows of journal"] == sum(one["lines"] for one in export.manifest["control_totals"])


@pytest.mark.parametrize("name", HOSTILE)
def test_no_cell_runs(shared: Bank, tmp_path: Path, name: str) -> None:
    content = written(shared, tmp_path, name)

    sheet = opened(content)["control_totals"]
    cell = sheet["B1"]
    assert cell.data_type == "s"
    assert isinstance(cell.value, str)
    assert cell.value[:1] not in set("=+-@\t\r\n\uff1d")
    # openpyxl leaves the escape of what looks like an escape as it is in the file (ECMA-376, 22.9.2.19).
    assert original(cell.value).replace("_x005F_", "_").replace("_x0009_", "\t") == name
    with zipfile.ZipFile(io.BytesIO(content)) as parts:
        for part in parts.namelist():
            text = parts.read(part)
            assert b"<f>" not in text
            assert b"<hyperlink" not in text
            assert b"externalLink" not in text


def test_the_archive_tells_no_time(shared: Bank, tmp_path: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(written(shared, tmp_path, "Riverbank"))) as parts:
        assert {one.date_time[:3] for one in parts.infolist()} == {(1980, 1, 31)}
        assert b"2026-11-20T08:00:00Z" in parts.read("docProps/core.xml")


def test_a_long_table_goes_on_in_another_sheet(
    shared: Bank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = opened(contents(tmp_path, export_of(shared, tmp_path, ExportFormat.XLSX))["books.xlsx"])
    monkeypatch.setattr(workbook, "SHEET_ROWS_MAX", 5)

    book = opened(contents(tmp_path, export_of(shared, tmp_path, ExportFormat.XLSX))["books.xlsx"])

    names = [name for name in book.sheetnames if name.startswith("journal")]
    assert len(names) > 2
    assert names[:2] == ["journal", "journal (2)"]
    parts = [sheet_rows(book[name]) for name in names]
    assert {len(part) for part in parts[:-1]} == {5}
    assert [row for part in parts for row in part] == sheet_rows(whole["journal"])
    last = list(book[names[-1]].iter_rows(values_only=True))
    first = list(whole["journal"].iter_rows(values_only=True))
    assert [row for row in last if str(row[0]).startswith("Total")] == [
        row for row in first if str(row[0]).startswith("Total")
    ]


def test_what_no_cell_holds_is_refused(shared: Bank, tmp_path: Path) -> None:
    with pytest.raises(ExportFormatLimitError):
        written(shared, tmp_path, "x" * 32_768)


def test_every_column_has_a_kind_that_its_cells_have(shared: Bank, tmp_path: Path) -> None:
    # What is left as text is none of the others by another name.
    text = {
        column for columns in COLUMNS.values() for column in columns if kind_of(column) == ColumnKind.TEXT
    }
    tables = contents(tmp_path, export_of(shared, tmp_path, ExportFormat.CSV, sample_size=2, seed="x"))
    for name in COLUMNS:
        for row in csv_rows(tables[f"{name}.csv"]):
            for column in text & set(row):
                value = row[column]
                assert not value.replace(".", "", 1).isdigit() or column == "code", (column, value)
