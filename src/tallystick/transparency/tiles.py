"""Tiles (C2SP tlog-tiles): how a tree is cut into pieces of 256 hashes, how the pieces are named, and how it grows.

A full tile never changes. What is right of the last full tile of each level is the tree's *edge*: at most 255 hashes
per level, kept as one string of bytes per level. A partial tile is always the beginning of the edge or of the full
tile that it became, so none is ever stored by itself.
"""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from tallystick.transparency.merkle import HASH_SIZE_BYTES, Node, root_of_leaves

__all__ = [
    "ENTRY_SIZE_MAX_BYTES",
    "TILE_SIZE_BYTES",
    "TILE_WIDTH",
    "Edge",
    "Grown",
    "Tile",
    "bundle_entries",
    "edge_bytes",
    "edge_of",
    "entries_of_bundle",
    "grow",
    "hash_in_tile",
    "node_hashes",
    "parse_tile_path",
    "tile_of",
    "tile_path",
    "width_of",
]

TILE_WIDTH: Final = 256
TILE_SIZE_BYTES: Final = TILE_WIDTH * HASH_SIZE_BYTES
LEVEL_MAX: Final = 63
# Entries in a bundle are preceded by their length in two bytes.
ENTRY_SIZE_MAX_BYTES: Final = 65_535

_HEIGHT: Final = 8
_PATH: Final = re.compile(r"((?:x[0-9]{3}/){0,6}[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?", re.ASCII)

Edge = tuple[bytes, ...]


class Tile(NamedTuple):
    """The name of a tile: 256 hashes of nodes at level `8 * level`, the `index`-th such of its level."""

    level: int
    tile_index: int


class Grown(NamedTuple):
    """A tree after it has grown: the tiles that became full, and its edge."""

    size: int
    edge: Edge
    tiles: list[tuple[Tile, bytes]]


def grow(size: int, edge: Edge, leaves: Sequence[bytes]) -> Grown:
    """Return the tree of `size` leaves after these leaf hashes were added on its right."""
    levels = list(edge)
    tiles: list[tuple[Tile, bytes]] = []
    added, level = list(leaves), 0
    while added:
        if level == len(levels):
            levels.append(b"")
        row = levels[level] + b"".join(added)
        full_count = len(row) // TILE_SIZE_BYTES
        first_index = size >> _HEIGHT * (level + 1)
        added = []
        for number in range(full_count):
            content = row[number * TILE_SIZE_BYTES : (number + 1) * TILE_SIZE_BYTES]
            tiles.append((Tile(level, first_index + number), content))
            added.append(root_of_leaves(node_hashes(content)))
        levels[level] = row[full_count * TILE_SIZE_BYTES :]
        level += 1
    return Grown(size + len(leaves), tuple(levels), tiles)


def edge_bytes(edge: Edge) -> bytes:
    """Return the edge as one string of bytes, level by level; `edge_of` takes it apart again."""
    return b"".join(edge)


def edge_of(size: int, stored: bytes) -> Edge:
    """Return the edge of the tree of `size` leaves; ValueError where the bytes can't be that tree's."""
    levels, at = [], 0
    while size:
        width_bytes = size % TILE_WIDTH * HASH_SIZE_BYTES
        levels.append(stored[at : at + width_bytes])
        at += width_bytes
        size >>= _HEIGHT
    if at != len(stored):
        raise ValueError("the edge does not have the tree's size")
    return tuple(levels)


def node_hashes(content: bytes) -> list[bytes]:
    """Return the hashes that lie side by side in a tile."""
    return [content[at : at + HASH_SIZE_BYTES] for at in range(0, len(content), HASH_SIZE_BYTES)]


def width_of(tile: Tile, size: int) -> int:
    """Return how many hashes of a tile the tree of `size` leaves has: 0 to 256."""
    return max(0, min(TILE_WIDTH, (size >> _HEIGHT * tile.level) - tile.tile_index * TILE_WIDTH))


def tile_of(node: Node) -> Tile:
    """Return the tile that holds a node, or what the node is made of."""
    within = node.level % _HEIGHT
    return Tile(node.level // _HEIGHT, (node.node_index << within) // TILE_WIDTH)


def hash_in_tile(node: Node, content: bytes) -> bytes:
    """Return a node's hash from its tile's content, full or partial. ValueError where that is too short."""
    within = node.level % _HEIGHT
    first = (node.node_index << within) % TILE_WIDTH
    hashes = node_hashes(content[first * HASH_SIZE_BYTES : (first + (1 << within)) * HASH_SIZE_BYTES])
    if len(hashes) != 1 << within:
        raise ValueError("the tile does not reach this node")
    return root_of_leaves(hashes)


def tile_path(index: int, width: int = TILE_WIDTH) -> str:
    """Return the end of a tile's or a bundle's path: `x001/x234/067`, and `.p/<width>` where it is partial."""
    groups = [f"{index % 1000:03d}"]
    while index >= 1000:
        index //= 1000
        groups.append(f"x{index % 1000:03d}")
    return "/".join(reversed(groups)) + ("" if width == TILE_WIDTH else f".p/{width}")


def parse_tile_path(path: str) -> tuple[int, int] | None:
    """Return index and width; None for whatever `tile_path` would not have written."""
    found = _PATH.fullmatch(path)
    if found is None:
        return None
    index = int(found[1].replace("x", "").replace("/", ""))
    width = TILE_WIDTH if found[2] is None else int(found[2])
    return (index, width) if tile_path(index, width) == path and width <= TILE_WIDTH else None


def bundle_entries(entries: Sequence[bytes]) -> bytes:
    """Return entries as a bundle: each behind its length, two bytes, big-endian. OverflowError for one too long."""
    return b"".join(len(entry).to_bytes(2) + entry for entry in entries)


def entries_of_bundle(bundle: bytes) -> list[bytes]:
    """Return a bundle's entries; ValueError where it ends in the middle of one."""
    entries, at = [], 0
    while at < len(bundle):
        end = at + 2 + int.from_bytes(bundle[at : at + 2])
        if end > len(bundle) or at + 2 > len(bundle):
            raise ValueError("the bundle ends in the middle of an entry")
        entries.append(bundle[at + 2 : end])
        at = end
    return entries
