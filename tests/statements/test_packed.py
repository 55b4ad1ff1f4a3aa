"""Packed entries are what was put in, in whatever way they are asked for."""

import pytest

from tallystick.statements.camt import parse_camt
from tallystick.statements.packed import EntryPacker, PackedEntries
from tallystick.statements.parsed import ParsedEntry
from tests.camt_writer import Entry, statement


def some(count: int) -> list[ParsedEntry]:
    content = statement(*[Entry(f"{n + 1}.00", remittance=f"Invoice {n}") for n in range(count)])
    return list(parse_camt(content, size_max_bytes=10_000_000).statements[0].entries)


@pytest.mark.parametrize("count", [0, 1, 500, 501, 1_000, 1_207])
def test_what_goes_in_comes_out(count: int) -> None:
    entries = some(count)
    packer = EntryPacker()
    for number, entry in enumerate(entries):
        assert len(packer) == number
        packer.add(entry)

    packed = packer.entries()

    assert isinstance(packed, PackedEntries) == (count > 500)
    assert len(packed) == count
    assert list(packed) == entries
    assert list(packed) == entries, "they can be walked again"


def test_slices_are_those_of_a_list() -> None:
    entries = some(1_207)
    packer = EntryPacker()
    for entry in entries:
        packer.add(entry)
    packed = packer.entries()

    for first in (0, 1, 499, 500, 501, 999, 1_000, 1_206, 1_207, 5_000):
        for last in (None, 0, 1, 500, 501, 1_000, 1_207, 5_000):
            assert list(packed[first:last]) == entries[first:last]
    assert [packed[n] for n in (0, 499, 500, 1_206, -1)] == [entries[n] for n in (0, 499, 500, 1_206, -1)]
    with pytest.raises(IndexError):
        packed[1_207]
