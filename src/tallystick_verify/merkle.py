"""RFC 6962, section 2.1: roots of Merkle trees, and inclusion and consistency proofs (verified as in RFC 9162, 2.1).

Written from the standard for this package alone. A hash has 32 bytes; whatever has not is refused, and so is any proof
about an empty tree, which would prove nothing.
"""

import hashlib
import io
import tempfile
from collections.abc import Iterator, Sequence
from typing import Final

__all__ = [
    "HASH_SIZE_BYTES",
    "KeptTree",
    "ProofRefusedError",
    "RunningRoot",
    "check_consistency",
    "check_inclusion",
    "leaf_hash",
    "node_hash",
]

HASH_SIZE_BYTES: Final = 32
_EMPTY_ROOT: Final = hashlib.sha256(b"").digest()


class ProofRefusedError(ValueError):
    """The proof does not prove it; the message says why."""


def leaf_hash(leaf: bytes) -> bytes:
    """Return the hash of a leaf's bytes."""
    return hashlib.sha256(b"\0" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node."""
    return hashlib.sha256(b"\1" + left + right).digest()


class RunningRoot:
    """The tree over the leaves added so far, in memory that grows with the logarithm of their number."""

    __slots__ = ("_peaks", "size")

    def __init__(self) -> None:
        self.size = 0
        # The roots of the perfect subtrees, from the largest to the smallest: one per bit of `size`.
        self._peaks: list[bytes] = []

    def add(self, leaf: bytes) -> None:
        """Add a leaf by its bytes."""
        self.add_hash(leaf_hash(leaf))

    def add_hash(self, peak: bytes) -> None:
        """Add a leaf by its hash."""
        size = self.size
        while size & 1:
            peak = node_hash(self._peaks.pop(), peak)
            size >>= 1
        self._peaks.append(peak)
        self.size += 1

    def root(self) -> bytes:
        """Return the root of the tree as it stands; of no leaves, the hash of nothing."""
        return _folded(self._peaks)


class KeptTree(RunningRoot):
    """A tree whose nodes lie in a nameless file on disk, so that the root of any of its beginnings can be told.

    Each leaf is written, then the perfect subtrees that it completes, from small to large: where a node lies follows
    from its place in the tree. `close` gives the disk back.
    """

    __slots__ = ("_nodes",)

    def __init__(self) -> None:
        super().__init__()
        self._nodes = tempfile.TemporaryFile()  # noqa: SIM115 It is open as long as the tree is.

    def close(self) -> None:
        """Drop the nodes."""
        self._nodes.close()

    def add_hash(self, peak: bytes) -> None:
        """Add a leaf by its hash."""
        self._nodes.write(peak)
        size = self.size
        while size & 1:
            peak = node_hash(self._peaks.pop(), peak)
            self._nodes.write(peak)
            size >>= 1
        self._peaks.append(peak)
        self.size += 1

    def root_at(self, size: int) -> bytes:
        """Return the root of the first `size` leaves, of which there must be as many."""
        if not 0 <= size <= self.size:
            raise ValueError("there are fewer leaves than that")
        peaks, end = [], 0
        for level in reversed(range(size.bit_length())):
            if size >> level & 1:
                end += 1 << level
                peaks.append(self._node(end - 1, level))
        self._nodes.seek(0, io.SEEK_END)
        return _folded(peaks)

    def _node(self, last: int, level: int) -> bytes:
        """Return the perfect subtree that the leaf at `last` completes at a level."""
        # Of n leaves there are 2n nodes, less one for each peak.
        self._nodes.seek((2 * last - last.bit_count() + level) * HASH_SIZE_BYTES)
        return self._nodes.read(HASH_SIZE_BYTES)


def _folded(peaks: Sequence[bytes]) -> bytes:
    """Return the root over perfect subtrees, from the largest to the smallest; of none, the hash of nothing."""
    if not peaks:
        return _EMPTY_ROOT
    root = peaks[-1]
    for peak in reversed(peaks[:-1]):
        root = node_hash(peak, root)
    return root


def check_inclusion(index: int, size: int, leaf: bytes, proof: Sequence[bytes], root: bytes) -> None:
    """Raise ProofRefusedError unless the leaf of hash `leaf` is at `index` of the tree of `size` and `root`."""
    if not 0 <= index < size:
        raise ProofRefusedError("the index lies outside the tree")
    _check_hashes(leaf, root, *proof)
    found = leaf
    for sibling, on_the_left in _climb(index, size - 1, proof):
        found = node_hash(sibling, found) if on_the_left else node_hash(found, sibling)
    if found != root:
        raise ProofRefusedError("the proof leads to another root")


def check_consistency(
    first_size: int, second_size: int, first_root: bytes, second_root: bytes, proof: Sequence[bytes]
) -> None:
    """Raise ProofRefusedError unless the tree of `first_size` is a prefix of that of `second_size`."""
    if not 0 < first_size <= second_size:
        raise ProofRefusedError("the first tree is empty, or larger than the second")
    if first_size == second_size:
        # Equal texts are one root, whatever its length: callers read roots of 32 bytes only.
        if proof:
            raise ProofRefusedError("trees of one size need no proof")
        if first_root != second_root:
            raise ProofRefusedError("two trees of one size have different roots")
        return
    _check_hashes(first_root, second_root, *proof)
    path = list(proof)
    if first_size & (first_size - 1) == 0:
        # A perfect first tree is itself a node of the second: the proof leaves it out.
        path.insert(0, first_root)
    if not path:
        raise ProofRefusedError("the proof is too short")
    place, last = first_size - 1, second_size - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    first = second = path[0]
    for sibling, on_the_left in _climb(place, last, path[1:]):
        if on_the_left:
            first, second = node_hash(sibling, first), node_hash(sibling, second)
        else:
            second = node_hash(second, sibling)
    if first != first_root or second != second_root:
        raise ProofRefusedError("the proof leads to another root")


def _climb(place: int, last: int, proof: Sequence[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Yield each sibling on the way up from node `place` of `last` + 1, and whether it stands on the left."""
    for sibling in proof:
        if last == 0:
            raise ProofRefusedError("the proof is too long")
        on_the_left = bool(place & 1) or place == last
        yield sibling, on_the_left
        # A node without a right sibling goes up as it is until it has a left one.
        while on_the_left and place and not place & 1:
            place, last = place >> 1, last >> 1
        place, last = place >> 1, last >> 1
    if last:
        raise ProofRefusedError("the proof is too short")


def _check_hashes(*hashes: bytes) -> None:
    if any(len(one) != HASH_SIZE_BYTES for one in hashes):
        raise ProofRefusedError("a hash does not have 32 bytes")
