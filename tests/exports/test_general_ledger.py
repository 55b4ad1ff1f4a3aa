"""The day's hand-off to a general ledger: complete, checkable, and the same whenever it is asked for."""

import hashlib
from collections import defaultdict
from decimal import Decimal
from pathlib import Path

import pytest

from tallystick.exports import ExportFormat, LedgerDetail
from tests.bank import Bank
from tests.exports.exported import DAYS, contents, csv_rows, export_of, json_rows
from tests.exports.reading_back import of_csv, of_json

DAY = DAYS[2].date()
NAME = f"gl_{DAY}"


@pytest.mark.parametrize("detail", [None, *LedgerDetail])
def test_control_totals_are_those_of_the_rows(
    shared: Bank, tmp_path: Path, detail: LedgerDetail | None
) -> None:
    files = contents(
        tmp_path, export_of(shared, tmp_path, ExportFormat.GL_CSV, business_date=DAY, detail=detail)
    )

    rows, control = csv_rows(files[f"{NAME}.csv"]), csv_rows(files[f"{NAME}_control.csv"])
    sides = of_csv(files[f"{NAME}.csv"])
    assert [int(row["sequence"]) for row in rows] == list(range(1, len(rows) + 1))
    assert {row["currency"] for row in control} == {"EUR", "USD"}
    for row in control:
        of_class = [one for one in rows if one["currency"] == row["currency"]]
        assert int(row["rows"]) == len(of_class)
        assert sides.get(row["currency"], (0, 0)) == (Decimal(row["debits"]), Decimal(row["credits"]))
        assert row["debits"] == row["credits"]
        assert row["ties"] == "true"
        assert row["file_sha256"] == hashlib.sha256(files[f"{NAME}.csv"]).hexdigest()
    assert {row["batch_id"] for row in rows + control} == {control[0]["batch_id"]}


def test_each_line_or_each_code(shared: Bank, tmp_path: Path) -> None:
    def rows(detail: LedgerDetail) -> list[dict[str, str]]:
        export = export_of(shared, tmp_path, ExportFormat.GL_CSV, business_date=DAY, detail=detail)
        return csv_rows(contents(tmp_path, export)[f"{NAME}.csv"])

    lines, codes = rows(LedgerDetail.LINES), rows(LedgerDetail.CODES)
    sums: defaultdict[tuple[str, str], list[Decimal]] = defaultdict(lambda: [Decimal(0)] * 2 + [Decimal(0)])
    for line in lines:
        of_code = sums[line["currency"], line["code"]]
        of_code[0] += Decimal(line["debit"] or 0)
        of_code[1] += Decimal(line["credit"] or 0)
        of_code[2] += 1
    assert {
        (row["currency"], row["code"]): [
            Decimal(row["debit"] or 0),
            Decimal(row["credit"] or 0),
            Decimal(row["lines"]),
        ]
        for row in codes
    } == dict(sums)
    assert len(lines) > len(codes) > 0
    assert lines[0]["batch_id"] != codes[0]["batch_id"]


def test_balances_go_on_from_day_to_day(shared: Bank, tmp_path: Path) -> None:
    closing: dict[tuple[str, str], Decimal] = {}
    for day in DAYS:
        name = f"gl_{day.date()}_balances.csv"
        export = export_of(shared, tmp_path, ExportFormat.GL_CSV, business_date=day.date())
        for row in csv_rows(contents(tmp_path, export)[name]):
            place = row["currency"], row["code"]
            moved = Decimal(row["debits"]) - Decimal(row["credits"])
            if row["normal_balance"] == "credit":
                moved = -moved
            assert Decimal(row["opening_balance"]) == closing.get(place, 0)
            assert Decimal(row["opening_balance"]) + moved == Decimal(row["balance"])
            closing[place] = Decimal(row["balance"])
    assert closing["USD", "1100"] == Decimal("995.00")


def test_json_lines_say_the_same(shared: Bank, tmp_path: Path) -> None:
    as_csv = contents(tmp_path, export_of(shared, tmp_path, ExportFormat.GL_CSV, business_date=DAY))
    as_json = contents(tmp_path, export_of(shared, tmp_path, ExportFormat.GL_JSONL, business_date=DAY))

    assert of_json(as_json[f"{NAME}.jsonl"]) == of_csv(as_csv[f"{NAME}.csv"])
    assert [
        {name: "" if value is None else str(value) for name, value in row.items()}
        for row in json_rows(as_json[f"{NAME}_balances.jsonl"])
    ] == csv_rows(as_csv[f"{NAME}_balances.csv"])


def test_a_day_without_business(shared: Bank, tmp_path: Path) -> None:
    day = DAYS[0].date().replace(day=1)

    export = export_of(shared, tmp_path, ExportFormat.GL_CSV, business_date=day)

    assert csv_rows(contents(tmp_path, export)[f"gl_{day}.csv"]) == []


def test_one_class(shared: Bank, tmp_path: Path) -> None:
    class_id = shared.classes["USD"].id
    export = export_of(shared, tmp_path, ExportFormat.GL_CSV, business_date=DAY, token_class_id=class_id)
    whole = export_of(shared, tmp_path, ExportFormat.GL_CSV, business_date=DAY)

    rows, control = (csv_rows(contents(tmp_path, export)[f"{NAME}{part}.csv"]) for part in ("", "_control"))
    assert {row["currency"] for row in rows} == {"USD"}
    assert [row["token_class_id"] for row in control] == [class_id]
    assert rows[0]["batch_id"] != csv_rows(contents(tmp_path, whole)[f"{NAME}.csv"])[0]["batch_id"]
