"""Tables come back as they were written, and no spreadsheet runs a cell of them."""

import csv
import io
import json
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tallystick.exports.writers import (
    CSV,
    JSON_LINES,
    NewFile,
    Row,
    csv_table,
    json_lines_table,
    neutral,
    original,
)

_STARTS = "=+-@\t\r\n\uff1d\uff0b\uff0d\uff20"
_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_COLUMNS = ("first", "second", "third")


def written(directory: Path, rows: list[Row], kind: str) -> bytes:
    with NewFile(directory, "table", kind) as file:
        write_row = (csv_table if kind == CSV else json_lines_table)(file, _COLUMNS)
        for row in rows:
            write_row(row)
        facts = file.finish()
    content = (directory / "table").read_bytes()
    (directory / "table").unlink()
    assert (facts.rows, facts.size_bytes) == (len(rows), len(content))
    return content


@given(st.sampled_from(_STARTS), _TEXT)
@example("=", "HYPERLINK(1)")
@example("-", "1+1")
@example("-", "1.5e3")
@example("-", "")
def test_what_could_be_a_formula_is_text(start: str, rest: str) -> None:
    cell = neutral(start + rest)

    if start == "-" and rest.isascii() and rest.replace(".", "", 1).isdigit() and rest.strip(".") == rest:
        assert cell == start + rest
    else:
        assert cell == "'" + start + rest


@given(_TEXT)
@example("'")
@example("'=1")
@example("''=1")
@example("-1")
def test_no_cell_begins_like_a_formula_and_all_come_back(text: str) -> None:
    cell = neutral(text)

    assert original(cell) == text
    if cell[:1] in set(_STARTS):
        float(cell)


@pytest.mark.parametrize("number", ["-1", "-0.01", "-12345678901234567.89", "12.00", "0"])
def test_numbers_stay_numbers(number: str) -> None:
    assert neutral(number) == number


@pytest.mark.parametrize("text", ["-1.", "-.5", "--1", "-1,00", "-1 ", "-1\n", "-\u0661", "+1", "-1e5"])
def test_what_only_looks_like_a_number_does_not(text: str) -> None:
    assert neutral(text) == "'" + text


@given(rows=st.lists(st.tuples(*[st.none() | st.integers(-(2**53), 2**53) | _TEXT] * 3), max_size=5))
def test_tables_are_read_back(tmp_path_factory: pytest.TempPathFactory, rows: list[Row]) -> None:
    directory = tmp_path_factory.mktemp("written")

    as_csv = written(directory, rows, CSV).decode()
    read = list(csv.reader(io.StringIO(as_csv, newline=""), strict=True))
    assert as_csv.endswith("\r\n")
    assert tuple(read[0]) == _COLUMNS
    assert read[1:] == [
        ["" if cell is None else neutral(cell) if isinstance(cell, str) else str(cell) for cell in row]
        for row in rows
    ]

    as_json = written(directory, rows, JSON_LINES).decode()
    assert [tuple(json.loads(line).values()) for line in as_json.split("\n")[:-1]] == rows


def test_a_file_is_never_written_over(tmp_path: Path) -> None:
    (tmp_path / "table").write_text("here")

    with pytest.raises(FileExistsError):
        NewFile(tmp_path, "table", CSV)
    assert (tmp_path / "table").read_text() == "here"
