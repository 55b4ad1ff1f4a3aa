"""Long MT940 and CSV files: read as they come, in memory that grows with what is kept of them, and little with that."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.statements.measure_memory import measure
from tests.statements.test_camt_size import MEGABYTE, pytestmark

__all__ = ["pytestmark"]

MAPPING: dict[str, Any] = {
    "version": 1,
    "delimiter": ";",
    "account": {"value": "DE45500105175000000USD"},
    "currency": {"value": "USD"},
    "days": {"format": "YYYY-MM-DD", "booking": "day"},
    "amounts": {"style": "signed", "column": "amount", "decimal": "."},
    "balance": "balance",
    "columns": {"bank_reference": "reference", "counterparty_name": "payer", "remittance": ["text"]},
}


def swift(count: int) -> Iterator[str]:
    yield ":20:STARTUMS\n:25:50010517/0123456789\n:28C:00001/001\n:60F:C261119USD0,\n"
    for number in range(count):
        yield f":61:2611201120C1,25NTRFREF-{number}//BANK-{number}\n"
        yield f":86:166?00CREDIT?20EREF+E2E-{number}?21SVWZ+Invoice {number} for goods?32Payer {number}\n"
    cents = count * 125
    yield f":62F:C261120USD{cents // 100},{cents % 100:02}\n-\n"


def csv(count: int, *, newest_first: bool) -> Iterator[str]:
    yield "day;amount;balance;reference;payer;text\n"
    for number in reversed(range(count)) if newest_first else range(count):
        cents = (number + 1) * 125
        yield (
            f"2026-11-20;1.25;{cents // 100}.{cents % 100:02};BANK-{number};Payer {number};"
            f"Invoice {number} for goods\n"
        )


def written(folder: Path, form: str, count: int) -> tuple[Path, ...]:
    path = folder / f"long.{'sta' if form == 'swift' else 'csv'}"
    with path.open("w") as file:
        file.writelines(swift(count) if form == "swift" else csv(count, newest_first=form == "newest_first"))
    if form == "swift":
        return (path,)
    mapping = folder / "mapping.json"
    mapping.write_text(json.dumps({**MAPPING, "order": "oldest_first" if form == "csv" else form}))
    return path, mapping


@pytest.mark.parametrize("form", ["swift", "csv", "newest_first"])
def test_a_long_file_costs_little_of_what_it_holds(form: str, tmp_path: Path) -> None:
    growth_bytes = {}
    for count in (1_000, 20_000):
        outcome, growth_bytes[count] = measure(*written(tmp_path, form, count))
        assert outcome == f"entries {count}"
    # Between two lengths, since what a first reading costs differs among machines. As text and rows it would be forty.
    assert growth_bytes[20_000] - growth_bytes[1_000] < 20 * MEGABYTE


def test_a_line_that_never_ends_is_refused_in_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "endless.sta"
    path.write_text(":20:A\n:25:1\n:28C:1\n:60F:C261119USD0,\n:86:" + "x" * (50 * MEGABYTE))
    outcome, growth_bytes = measure(path)
    assert outcome == "statement_malformed"
    assert growth_bytes < 20 * MEGABYTE
