"""A stored tree: roots and proofs of any size that it ever had, read from its tiles and its edge."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from tallystick.core.errors import InvariantError
from tallystick.transparency.merkle import (
    HASH_SIZE_BYTES,
    Node,
    Range,
    consistency_ranges,
    inclusion_ranges,
    nodes_of,
    range_hash,
)
from tallystick.transparency.tiles import (
    TILE_SIZE_BYTES,
    TILE_WIDTH,
    Edge,
    Tile,
    hash_in_tile,
    tile_of,
    width_of,
)

__all__ = ["LoadTiles", "StoredTree"]

# Full tiles by name; those that are not there are left out.
LoadTiles = Callable[[Sequence[Tile]], Mapping[Tile, bytes]]


class StoredTree:
    """The tree of `size` leaves. Tiles are read as they are needed, those of one proof together."""

    def __init__(self, size: int, edge: Edge, load: LoadTiles) -> None:
        self.size = size
        self._edge = edge
        self._load = load
        self._tiles: dict[Tile, bytes] = {}

    def root(self, size: int | None = None) -> bytes:
        """Return the root of the whole tree, or of its first `size` leaves."""
        [found] = self._hashes([Range(0, self.size if size is None else self._known(size))])
        return found

    def inclusion(self, index: int, size: int) -> list[bytes]:
        """Return the proof that the leaf at `index` is in the tree of `size`; ValueError unless index < size."""
        return self._hashes(inclusion_ranges(index, self._known(size)))

    def consistency(self, first: int, second: int) -> list[bytes]:
        """Return the proof from one size to another; ValueError unless 0 < first <= second."""
        return self._hashes(consistency_ranges(first, self._known(second)))

    def tile(self, tile: Tile, width: int) -> bytes | None:
        """Return the first `width` hashes of a tile; None if the tree does not have that many of it."""
        if not 0 < width <= width_of(tile, self.size):
            return None
        self._fetch([tile])
        return self._content(tile)[: width * HASH_SIZE_BYTES]

    def _known(self, size: int) -> int:
        if not 0 <= size <= self.size:
            raise ValueError("the tree never had this size")
        return size

    def _hashes(self, ranges: Sequence[Range]) -> list[bytes]:
        self._fetch(tile_of(node) for leaves in ranges for node in nodes_of(leaves))
        return [range_hash(leaves, self._node) for leaves in ranges]

    def _fetch(self, tiles: Iterable[Tile]) -> None:
        wanted = {one for one in tiles if width_of(one, self.size) == TILE_WIDTH} - self._tiles.keys()
        if wanted:
            self._tiles |= self._load(sorted(wanted))

    def _node(self, node: Node) -> bytes:
        return hash_in_tile(node, self._content(tile_of(node)))

    def _content(self, tile: Tile) -> bytes:
        if width_of(tile, self.size) < TILE_WIDTH:
            return self._edge[tile.level]
        found = self._tiles.get(tile, b"")
        if len(found) != TILE_SIZE_BYTES:
            raise InvariantError(f"tile {tile.tile_index} of level {tile.level} is missing or damaged")
        return found
