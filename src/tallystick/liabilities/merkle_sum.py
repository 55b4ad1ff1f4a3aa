"""A Merkle-sum tree over liabilities: one root for all of them, and for each a path that shows it is counted in.

Maxwell's summation tree, in the form that binds both sums: the original hashed only their total, so that some
liability could be left out of it (Hu, Zhang, Guo, "Breaking the binding: Attacks on the Merkle approach to prove
liabilities and its applications", Computers & Security, 2019). Salted leaves in an order that tells nothing, filled up
so that nobody can count them, come from DAPOL (Chalkias and others, 2020) and DAPOL+ (Ji, Chalkias, "Generalized Proof
of Liabilities", CCS 2021); that those hide the sums as well, this tree has not. SHA-256, all integers big-endian:

    leaf = SHA-256(00 ‖ salt (32) ‖ amount (8) ‖ the liability's id in ASCII)       sum = amount
    node = SHA-256(01 ‖ left hash (32) ‖ left sum (8) ‖ right hash (32) ‖ right sum (8))   sum = left sum + right sum

Amounts are minor units from 0 to 2⁶³ - 1, and so is every sum. A leaf without an id has amount 0 and fills up.
"""

import hashlib
import hmac
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from tallystick.core.errors import InvariantError
from tallystick.core.money import AMOUNT_MINOR_MAX

__all__ = [
    "LEVELS_PER_TILE",
    "TILE_WIDTH",
    "Node",
    "Tile",
    "Tree",
    "build",
    "filling_salt",
    "leaf",
    "parent",
    "path_within",
    "place_in",
    "salt_of",
    "unpacked",
]

LEVELS_PER_TILE: Final = 8
TILE_WIDTH: Final = 2**LEVELS_PER_TILE
_HASH_SIZE_BYTES: Final = 32
_NODE_SIZE_BYTES: Final = _HASH_SIZE_BYTES + 8


class Node(NamedTuple):
    """A leaf or an inner node: its hash, and the sum of all amounts below it."""

    hash: bytes
    sum_minor: int


class Tile(NamedTuple):
    """Up to 256 packed nodes of one level, from 256 times `number` on."""

    level: int
    number: int
    nodes: bytes


class Tree(NamedTuple):
    """A whole tree: its root, how many levels lie below that, and the tiles of each eighth level."""

    root: Node
    depth: int
    tiles: list[Tile]


def salt_of(secret: bytes, liability_id: str) -> bytes:
    """Return one leaf's salt: HMAC-SHA-256 under the tree's secret, so that it tells nothing of any other."""
    return hmac.digest(secret, b"leaf\0" + liability_id.encode("ascii"), "sha256")


def filling_salt(secret: bytes, number: int) -> bytes:
    """Return the salt of a leaf that fills up: nobody but the issuer can tell it from a holder's."""
    return hmac.digest(secret, b"filling\0" + number.to_bytes(8), "sha256")


def leaf(salt: bytes, liability_id: str, amount_minor: int) -> Node:
    """Return a liability's leaf. Raises InvariantError for an amount that no liability has."""
    if not 0 <= amount_minor <= AMOUNT_MINOR_MAX:
        raise InvariantError("a liability is negative, or larger than any can be")
    hashed = b"\x00" + salt + amount_minor.to_bytes(8) + liability_id.encode("ascii")
    return Node(hashlib.sha256(hashed).digest(), amount_minor)


def parent(left: Node, right: Node) -> Node:
    """Return the node above two. Raises InvariantError for sums that none can have."""
    return unpacked(_parent(_packed(left), _packed(right)))


def build(secret: bytes, leaves: Iterable[Node]) -> Tree:
    """Return the tree over these leaves, filled up to a power of two, in the order of their hashes.

    The order depends on salts that nobody else knows, so that a place tells nothing. Memory: some 200 bytes per leaf.
    """
    packed = [_packed(one) for one in leaves]
    width = 1 << max(len(packed) - 1, 0).bit_length()
    packed += [_packed(leaf(filling_salt(secret, number), "", 0)) for number in range(width - len(packed))]
    packed.sort()
    tiles, level = list(_tiles(0, packed)), 0
    while len(packed) > 1:
        packed = [_parent(packed[place], packed[place + 1]) for place in range(0, len(packed), 2)]
        level += 1
        if level % LEVELS_PER_TILE == 0:
            tiles += _tiles(level, packed)
    return Tree(unpacked(packed[0]), level, tiles)


def path_within(nodes: bytes, place: int) -> list[Node]:
    """Return the siblings from one node of a tile up to below the tile's top, the nearest first."""
    packed = _split(nodes)
    path = []
    while len(packed) > 1:
        path.append(unpacked(packed[place ^ 1]))
        packed = [_parent(packed[left], packed[left + 1]) for left in range(0, len(packed), 2)]
        place >>= 1
    return path


def place_in(nodes: bytes, wanted: Node) -> int | None:
    """Return where a leaf is among a tile's, or None. (`nodes` are sorted.)"""
    packed = _split(nodes)
    sought = _packed(wanted)
    return packed.index(sought) if sought in packed else None


def unpacked(packed: bytes) -> Node:
    """Return a node from the 40 bytes that are hashed of it."""
    return Node(packed[:_HASH_SIZE_BYTES], int.from_bytes(packed[_HASH_SIZE_BYTES:]))


def _packed(node: Node) -> bytes:
    return node.hash + node.sum_minor.to_bytes(8)


def _parent(left: bytes, right: bytes) -> bytes:
    sum_minor = int.from_bytes(left[_HASH_SIZE_BYTES:]) + int.from_bytes(right[_HASH_SIZE_BYTES:])
    if sum_minor > AMOUNT_MINOR_MAX:
        raise InvariantError("liabilities sum up to more than any total can be")
    return hashlib.sha256(b"\x01" + left + right).digest() + sum_minor.to_bytes(8)


def _tiles(level: int, packed: Sequence[bytes]) -> Iterator[Tile]:
    for number, start in enumerate(range(0, len(packed), TILE_WIDTH)):
        yield Tile(level, number, b"".join(packed[start : start + TILE_WIDTH]))


def _split(nodes: bytes) -> list[bytes]:
    return [nodes[start : start + _NODE_SIZE_BYTES] for start in range(0, len(nodes), _NODE_SIZE_BYTES)]
