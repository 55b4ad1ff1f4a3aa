"""docs/exports.md says what the code does: formats, columns, and recipes that run."""

import re
from pathlib import Path

import pytest

from tallystick.exports import ExportFormat
from tallystick.exports.general_ledger import (
    _BALANCE_COLUMNS,
    _CODE_COLUMNS,
    _CONTROL_COLUMNS,
    _LINE_COLUMNS,
)
from tallystick.exports.tables import COLUMNS
from tests.bank import Bank
from tests.docs.documents import REPOSITORY, table
from tests.exports.exported import export_of
from tests.exports.reading_back import queried

_DOCUMENT = (REPOSITORY / "docs" / "exports.md").read_text()
_RECIPES = [
    statement
    for block in re.findall(r"^```sql\n(.*?)^```$", _DOCUMENT, re.MULTILINE | re.DOTALL)
    for statement in block.split(";")
    if statement.strip()
]


def _named(cell: str) -> tuple[str, ...]:
    return tuple(re.findall(r"`([^`]+)`", cell))


def test_every_format_is_told() -> None:
    told = [name for row in table("exports.md", "format", "what it is") for name in _named(row[0])]
    assert sorted(told) == sorted(ExportFormat)


def test_columns_are_those_of_the_files() -> None:
    assert {_named(row[0])[0]: _named(row[2]) for row in table("exports.md", "table", "a row per")} == COLUMNS
    assert [_named(row[1]) for row in table("exports.md", "file", "columns")] == [
        _LINE_COLUMNS,
        _CODE_COLUMNS,
        _BALANCE_COLUMNS,
        _CONTROL_COLUMNS,
    ]


@pytest.mark.parametrize("recipe", _RECIPES)
def test_recipes_run(shared: Bank, tmp_path: Path, recipe: str) -> None:
    folders = [
        tmp_path / export_of(shared, tmp_path, one).id for one in (ExportFormat.PARQUET, ExportFormat.CSV)
    ]
    sql = re.sub(r"'(\w+\.parquet)'", rf"'{folders[0]}/\1'", recipe)
    sql = re.sub(r"'(\w+\.csv)'", rf"'{folders[1]}/\1'", sql)

    columns, rows = queried(sql)

    # The two checks answer with no rows, the others tell something.
    assert (rows == []) == ("HAVING" in recipe)
    if "change_of_supply" in columns:
        assert [(str(row[0]), row[1], str(row[2])) for row in rows] == [
            ("2026-11-20", "USD", "1000.00"),
            ("2026-11-21", "EUR", "250.50"),
            ("2026-11-21", "USD", "0.00"),
            ("2026-11-22", "USD", "-5.00"),
        ]


def test_the_checks_would_notice(shared: Bank, tmp_path: Path) -> None:
    folder = tmp_path / export_of(shared, tmp_path, ExportFormat.PARQUET).id
    [unbalanced, untied] = [one for one in _RECIPES if "HAVING" in one]
    journal = f"(SELECT * FROM '{folder}/journal.parquet' WHERE line_number = 0 OR event_index <> 3)"

    for recipe in (unbalanced, untied):
        sql = recipe.replace("'journal.parquet'", journal).replace("'balances", f"'{folder}/balances")
        assert queried(sql)[1]
