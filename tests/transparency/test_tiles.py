"""Tiles: their names and bytes, and that a tree which grows in steps is the tree that grew at once."""

from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.core.errors import InvariantError
from tallystick.transparency.merkle import leaf_hash, root_of_leaves, verify_consistency, verify_inclusion
from tallystick.transparency.stored_tree import StoredTree
from tallystick.transparency.tiles import (
    TILE_SIZE_BYTES,
    Edge,
    Tile,
    bundle_entries,
    edge_bytes,
    edge_of,
    entries_of_bundle,
    grow,
    parse_tile_path,
    tile_path,
    width_of,
)

# More than one full tile of level 1 holds would take too long to hash by the definition: 256 full tiles are enough.
LEAVES: Final = [leaf_hash(str(number).encode()) for number in range(70_000)]


@pytest.mark.parametrize(
    ("path", "index", "width"),
    [
        ("000", 0, 256),
        ("067", 67, 256),
        ("x001/000", 1_000, 256),
        ("x001/x234/067", 1_234_067, 256),
        ("x001/x234/067.p/1", 1_234_067, 1),
        ("999.p/255", 999, 255),
    ],
)
def test_a_path_names_a_tile(path: str, index: int, width: int) -> None:
    assert parse_tile_path(path) == (index, width)
    assert tile_path(index, width) == path


@pytest.mark.parametrize(
    "path",
    [
        "", "0", "00", "0000", "x000/001", "001/002", "x001", "x001/", "/001", "001/", "001.p", "001.p/", "001.p/0",
        "001.p/00", "001.p/01", "001.p/256", "001.p/257", "001.p/1000", "001.p/-1", "001.P/1", "x1/001", "X001/002",
        "\u0660\u0660\u0661", "001\n", " 001", "001.p/1 ", "x001/x000000/001", "-01", "001.p/1/", "x001//001",
    ],
)  # fmt: skip
def test_a_path_has_one_spelling(path: str) -> None:
    assert parse_tile_path(path) is None


@given(st.integers(0, 10**12), st.integers(1, 256))
def test_every_path_is_read_back(index: int, width: int) -> None:
    assert parse_tile_path(tile_path(index, width)) == (index, width)


def test_the_specification_s_example_of_widths() -> None:
    assert width_of(Tile(0, 272), 70_000) == 256
    assert width_of(Tile(0, 273), 70_000) == 112
    assert width_of(Tile(0, 274), 70_000) == 0
    assert (width_of(Tile(1, 0), 70_000), width_of(Tile(1, 1), 70_000)) == (256, 17)
    assert (width_of(Tile(2, 0), 70_000), width_of(Tile(2, 1), 70_000)) == (1, 0)
    assert (width_of(Tile(0, 0), 256), width_of(Tile(1, 0), 256)) == (256, 1)


class Memory:
    """A tree that grows, its full tiles in a dictionary."""

    def __init__(self) -> None:
        self.size = 0
        self.edge: Edge = ()
        self.tiles: dict[Tile, bytes] = {}

    def add(self, count: int) -> None:
        grown = grow(self.size, self.edge, LEAVES[self.size : self.size + count])
        assert not self.tiles.keys() & dict(grown.tiles).keys(), "a full tile never changes"
        assert all(len(content) == TILE_SIZE_BYTES for _, content in grown.tiles)
        self.tiles |= dict(grown.tiles)
        self.size, self.edge = grown.size, edge_of(grown.size, edge_bytes(grown.edge))

    @property
    def tree(self) -> StoredTree:
        return StoredTree(
            self.size, self.edge, lambda wanted: {one: self.tiles[one] for one in wanted if one in self.tiles}
        )


@settings(max_examples=25)
@given(st.lists(st.integers(0, 700), max_size=6), st.data())
def test_a_tree_that_grew_in_steps_is_the_tree_that_grew_at_once(
    steps: list[int], data: st.DataObject
) -> None:
    memory, at_once = Memory(), Memory()
    for step in steps:
        memory.add(step)
    at_once.add(memory.size)
    assert (memory.edge, memory.tiles) == (at_once.edge, at_once.tiles)
    assert memory.tree.root() == root_of_leaves(LEAVES[: memory.size])
    if memory.size:
        second = data.draw(st.integers(1, memory.size))
        first = data.draw(st.integers(1, second))
        roots = [root_of_leaves(LEAVES[:size]) for size in (first, second)]
        assert [memory.tree.root(size) for size in (first, second)] == roots
        assert verify_consistency(first, second, roots[0], roots[1], memory.tree.consistency(first, second))
        proof = memory.tree.inclusion(first - 1, second)
        assert verify_inclusion(LEAVES[first - 1], first - 1, second, proof, roots[1])


def test_a_tree_of_three_levels() -> None:
    memory = Memory()
    for step in (65_535, 1, 4_464):
        memory.add(step)
        tree = memory.tree
        root = root_of_leaves(LEAVES[: memory.size])
        assert tree.root() == root
        for index in (0, 255, 256, 65_534, memory.size - 1):
            proof = tree.inclusion(index, memory.size)
            assert verify_inclusion(LEAVES[index], index, memory.size, proof, root)
        for first in (1, 256, 257, 40_000, 65_535):
            proof = tree.consistency(first, memory.size)
            assert verify_consistency(first, memory.size, root_of_leaves(LEAVES[:first]), root, proof)
    assert len(memory.tiles) == 273 + 1
    last = memory.tree.tile(Tile(1, 1), 17)
    assert last is not None
    assert last[:32] == root_of_leaves(LEAVES[65_536 : 65_536 + 256])


def test_a_partial_tile_is_the_beginning_of_the_full_one() -> None:
    memory = Memory()
    memory.add(100)
    early = memory.tree.tile(Tile(0, 0), 77)
    assert memory.tree.tile(Tile(0, 0), 101) is None
    memory.add(300)
    assert memory.tree.tile(Tile(0, 0), 77) == early == b"".join(LEAVES[:77])
    assert memory.tree.tile(Tile(0, 0), 256) == memory.tiles[Tile(0, 0)]
    for tile, width in (
        (Tile(0, 0), 0),
        (Tile(0, 0), 257),
        (Tile(0, 2), 1),
        (Tile(2, 0), 1),
        (Tile(63, 0), 1),
    ):
        assert memory.tree.tile(tile, width) is None


def test_a_tile_that_is_lost_or_damaged_is_noticed() -> None:
    memory = Memory()
    memory.add(600)
    for tiles in ({}, {Tile(0, 0): memory.tiles[Tile(0, 0)][:-1]}):
        tree = StoredTree(memory.size, memory.edge, lambda _wanted, found=tiles: found)  # type: ignore[misc]
        with pytest.raises(InvariantError):
            tree.inclusion(3, 600)


def test_an_edge_of_another_size_is_refused() -> None:
    memory = Memory()
    memory.add(300)
    stored = edge_bytes(memory.edge)
    assert edge_of(300, stored) == memory.edge
    for size, octets in ((300, stored[:-1]), (300, stored + b"\0"), (301, stored), (0, stored)):
        with pytest.raises(ValueError, match="size"):
            edge_of(size, octets)


@given(st.lists(st.binary(max_size=40), max_size=8))
def test_bundles_are_read_back_and_never_cut(entries: list[bytes]) -> None:
    bundle = bundle_entries(entries)
    assert entries_of_bundle(bundle) == entries
    if entries:
        with pytest.raises(ValueError, match="middle"):
            entries_of_bundle(bundle[:-1])


def test_an_entry_in_a_bundle_has_at_most_65_535_bytes() -> None:
    assert entries_of_bundle(bundle_entries([b"a" * 65_535])) == [b"a" * 65_535]
    with pytest.raises(OverflowError):
        bundle_entries([b"a" * 65_536])
