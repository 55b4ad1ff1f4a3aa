"""Parquet: types that need no guessing, in groups that fit into memory."""

from pathlib import Path
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest

from tallystick.exports import ExportFormat, ExportFormatUnavailableError, arguments, parquet
from tests.bank import Bank
from tests.exports.exported import contents, csv_rows, export_of
from tests.exports.reading_back import queried


def test_types(shared: Bank, tmp_path: Path) -> None:
    export = export_of(shared, tmp_path, ExportFormat.PARQUET)

    schema = pq.read_schema(tmp_path / export.id / "journal.parquet")
    assert schema.field("event_index").type == pa.int64()
    assert schema.field("debit").type == pa.decimal128(38, 2)
    assert schema.field("booked_at").type == pa.timestamp("us", tz="UTC")
    assert schema.field("value_date").type == pa.date32()
    assert schema.field("code").type == pa.string()


@pytest.mark.parametrize(
    "table", ["journal", "events", "balances", "trial_balance", "accounts", "liabilities", "sample"]
)
def test_rows_are_those_of_csv(shared: Bank, tmp_path: Path, table: str) -> None:
    drawn: dict[str, Any] = {"sample_size": 4, "seed": "x"}
    ours = csv_rows(
        contents(tmp_path, export_of(shared, tmp_path, ExportFormat.CSV, **drawn))[f"{table}.csv"]
    )
    export = export_of(shared, tmp_path, ExportFormat.PARQUET, **drawn)

    names, _ = queried(f"SELECT * FROM '{tmp_path / export.id / table}.parquet' LIMIT 0")
    moments = {"booked_at", "opened_at", "since"}
    shown = ", ".join(
        f"strftime({name} AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%S.%fZ')"
        if name in moments
        else f"CAST({name} AS VARCHAR)"
        for name in names
    )
    _, rows = queried(f"SELECT {shown} FROM '{tmp_path / export.id / table}.parquet'")
    assert [dict(zip(names, (cell or "" for cell in row), strict=True)) for row in rows] == ours
    assert ours


def test_row_groups(shared: Bank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "ROW_GROUP_ROWS", 5)

    export = export_of(shared, tmp_path, ExportFormat.PARQUET)

    metadata = pq.read_metadata(tmp_path / export.id / "journal.parquet")
    sizes = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
    assert len(sizes) > 2
    assert set(sizes[:-1]) == {5}
    assert sum(sizes) == sum(one["lines"] for one in export.manifest["control_totals"])


def test_an_empty_period_has_tables_too(shared: Bank, tmp_path: Path) -> None:
    export = export_of(
        shared, tmp_path, ExportFormat.PARQUET, business_date=shared.issuer.created_at.date().replace(day=1)
    )

    assert queried(f"SELECT count(*) AS n FROM '{tmp_path / export.id}/journal.parquet'")[1] == [(0,)]


def test_without_the_extra_it_is_refused(
    shared: Bank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arguments, "find_spec", lambda _: None)

    with pytest.raises(ExportFormatUnavailableError):
        export_of(shared, tmp_path, ExportFormat.PARQUET)
    export_of(shared, tmp_path, ExportFormat.CSV)
