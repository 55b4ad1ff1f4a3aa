"""Merkle trees as RFC 6962, section 2.1, defines them: hashes, which of them prove what, and checking the proofs.

Nothing here knows how a tree is stored. A *node* is a complete subtree, named by its level (0 is a leaf) and its index
within the level; it covers the leaves from `index << level` to `(index + 1) << level`. Verifying follows the
algorithms of RFC 9162, sections 2.1.3.2 and 2.1.4.2, which are those of RFC 6962 written out.
"""

import hashlib
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

__all__ = [
    "EMPTY_ROOT",
    "HASH_SIZE_BYTES",
    "Node",
    "Range",
    "ReadNode",
    "consistency_ranges",
    "inclusion_ranges",
    "leaf_hash",
    "leaf_hashes",
    "node_hash",
    "nodes_of",
    "range_hash",
    "root_of_leaves",
    "verify_consistency",
    "verify_inclusion",
]

HASH_SIZE_BYTES: Final = 32
EMPTY_ROOT: Final = hashlib.sha256(b"").digest()


class Node(NamedTuple):
    """A complete subtree of `2 ** level` leaves."""

    level: int
    node_index: int


class Range(NamedTuple):
    """The leaves from `start` up to, and without, `end`; it starts where a complete subtree of its length could."""

    start: int
    end: int


ReadNode = Callable[[Node], bytes]


def leaf_hash(entry: bytes) -> bytes:
    """Return the hash of one entry: SHA-256 of 0x00 and the entry."""
    return hashlib.sha256(b"\x00" + entry).digest()


def leaf_hashes(entries: Sequence[str]) -> list[bytes]:
    """Return the hashes of entries that are ASCII text, in their order."""
    sha256 = hashlib.sha256
    return [sha256(b"\x00" + entry.encode("ascii")).digest() for entry in entries]


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash above two hashes: SHA-256 of 0x01 and both."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root_of_leaves(hashes: Sequence[bytes]) -> bytes:
    """Return the root above leaf hashes (RFC 6962: MTH), or above any hashes that lie side by side."""
    if not hashes:
        return EMPTY_ROOT
    row = list(hashes)
    sha256 = hashlib.sha256
    while len(row) > 1:
        # Of an odd row the last hash goes up as it is: the largest power of two below is always on its left.
        left_over = row[len(row) & ~1 :]
        row = [sha256(b"\x01" + row[at] + row[at + 1]).digest() for at in range(0, len(row) - 1, 2)]
        row += left_over
    return row[0]


def nodes_of(leaves: Range) -> list[Node]:
    """Return the complete subtrees that make up a range, from left to right."""
    nodes, start = [], leaves.start
    while start < leaves.end:
        level = (leaves.end - start).bit_length() - 1
        nodes.append(Node(level, start >> level))
        start += 1 << level
    return nodes


def range_hash(leaves: Range, read: ReadNode) -> bytes:
    """Return the Merkle tree hash of a range from the hashes of its complete subtrees."""
    nodes = nodes_of(leaves)
    if not nodes:
        return EMPTY_ROOT
    found = read(nodes[-1])
    for node in reversed(nodes[:-1]):
        found = node_hash(read(node), found)
    return found


def inclusion_ranges(index: int, size: int) -> list[Range]:
    """Return the ranges whose hashes prove that a leaf is in the tree of `size` leaves, from the leaf's level up.

    RFC 6962, section 2.1.1. Raises ValueError unless 0 <= index < size.
    """
    if not 0 <= index < size:
        raise ValueError("the leaf is not in the tree")
    proof, start, end = [], 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            proof.append(Range(middle, end))
            end = middle
        else:
            proof.append(Range(start, middle))
            start = middle
    return proof[::-1]


def consistency_ranges(first: int, second: int) -> list[Range]:
    """Return the ranges whose hashes prove that the first `first` leaves of a tree of `second` are an earlier tree.

    RFC 6962, section 2.1.2. Raises ValueError unless 0 < first <= second: from an empty tree there is nothing to prove.
    """
    if not 0 < first <= second:
        raise ValueError("there is no such earlier tree")
    proof, start, end, whole = [], 0, second, True
    while first < end:
        middle = start + _split(end - start)
        if first <= middle:
            proof.append(Range(middle, end))
            end = middle
        else:
            proof.append(Range(start, middle))
            start, whole = middle, False
    if not whole:
        proof.append(Range(start, end))
    return proof[::-1]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Tell whether `proof` shows that the leaf with this hash is at `index` of the tree with this size and root.

    RFC 9162, section 2.1.3.2. Never raises for any bytes or numbers.
    """
    if not 0 <= index < size or not _are_hashes((leaf, *proof)):
        return False
    at, last, found = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if at & 1 or at == last:
            found = node_hash(sibling, found)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            found = node_hash(found, sibling)
        at, last = at >> 1, last >> 1
    return last == 0 and found == root


def verify_consistency(
    first: int, second: int, first_root: bytes, second_root: bytes, proof: Sequence[bytes]
) -> bool:
    """Tell whether `proof` shows that the tree of `second` leaves began as the tree of `first`.

    RFC 9162, section 2.1.4.2. False for an empty first tree, which proves nothing. Never raises for any bytes or
    numbers.
    """
    if not 0 < first <= second or not _are_hashes(proof):
        return False
    if first == second:
        return not proof and first_root == second_root
    # A complete first tree is itself the first hash, and is left out of the proof.
    path = [first_root, *proof] if first & (first - 1) == 0 else list(proof)
    if not path:
        return False
    at, last = first - 1, second - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    old = new = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            new = node_hash(new, sibling)
        at, last = at >> 1, last >> 1
    return last == 0 and old == first_root and new == second_root


def _split(count: int) -> int:
    """Return the largest power of two below `count`, which is at least 2."""
    return 1 << (count - 1).bit_length() - 1


def _are_hashes(values: Sequence[bytes]) -> bool:
    return all(len(value) == HASH_SIZE_BYTES for value in values)
