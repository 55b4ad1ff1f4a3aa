"""An auditor draws the same sample from the exported journal alone."""

import hashlib
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.exports import Export, ExportFormat, SampleMethod
from tallystick.exports.sampling import selected_units
from tests.bank import Bank
from tests.exports.exported import contents, csv_rows, export_of
from tests.exports.reading_back import queried


def drawn(bank: Bank, directory: Path, **options: Any) -> tuple[Export, list[dict[str, str]]]:
    export = export_of(bank, directory, ExportFormat.CSV, **options)
    return export, csv_rows(contents(directory, export)["sample.csv"])


@pytest.mark.parametrize("size", [1, 3, 10_000])
def test_at_random_in_sql(shared: Bank, tmp_path: Path, size: int) -> None:
    export, sample = drawn(shared, tmp_path, sample_size=size, seed="Prüfung 2026")

    _, again = queried(
        f"""SELECT event_id FROM (SELECT DISTINCT event_id FROM '{tmp_path / export.id}/journal.csv')
            ORDER BY sha256('Prüfung 2026' || event_id) LIMIT {size}"""
    )
    assert [row["event_id"] for row in sample] == [row[0] for row in again]
    assert [int(row["draw"]) for row in sample] == list(range(1, len(sample) + 1))
    assert (
        sample[0]["selected_by"]
        == hashlib.sha256(f"Prüfung 2026{sample[0]['event_id']}".encode()).hexdigest()
    )


def test_another_seed_is_another_sample(shared: Bank, tmp_path: Path) -> None:
    samples = {
        tuple(row["event_id"] for row in drawn(shared, tmp_path, sample_size=3, seed=seed)[1])
        for seed in ("a", "b", "c")
    }
    assert len(samples) > 1


@pytest.mark.parametrize("size", [1, 5, 60])
def test_by_amount_from_the_journal(shared: Bank, tmp_path: Path, size: int) -> None:
    class_id = shared.classes["USD"].id
    export, sample = drawn(
        shared,
        tmp_path,
        sample_size=size,
        seed="x",
        sample_method=SampleMethod.MONETARY_UNIT,
        token_class_id=class_id,
    )

    # Written out from the documented rule, with nothing of ours but the file.
    amounts = [
        (row["event_id"], int(row["debit"].replace(".", "")))
        for row in csv_rows(contents(tmp_path, export)["journal.csv"])
        if row["debit"]
    ]
    units = [event_id for event_id, amount in amounts for _ in range(amount)]
    start = int(hashlib.sha256(b"x").hexdigest(), 16) % len(units)
    again = [units[(draw * len(units) + start) // size] for draw in range(size)]
    assert [row["event_id"] for row in sample] == again
    assert {row["currency"] for row in sample} == {"USD"}
    certain = [event_id for event_id, amount in amounts if amount * size >= len(units)]
    assert set(certain) <= set(again)


@given(st.text(min_size=1, max_size=10), st.integers(1, 200), st.integers(0, 2**63))
def test_units_are_evenly_spread(seed: str, size: int, total_minor: int) -> None:
    units = list(selected_units(seed, size, total_minor))

    assert len(units) == (size if total_minor else 0)
    assert all(0 <= unit < total_minor for unit in units)
    gaps = Counter(after - before for before, after in pairwise(units))
    assert set(gaps) <= {total_minor // size, total_minor // size + 1}


def test_nothing_to_draw_from(shared: Bank, tmp_path: Path) -> None:
    day = shared.issuer.created_at.date().replace(day=1)
    class_id = shared.classes["USD"].id
    for method in SampleMethod:
        _, sample = drawn(
            shared,
            tmp_path,
            business_date=day,
            sample_size=2,
            seed="x",
            sample_method=method,
            token_class_id=class_id,
        )
        assert sample == []
