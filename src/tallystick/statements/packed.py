"""Very many entries in little memory: a tenth of what they take as objects, for the price of unpacking them anew."""

import pickle
import zlib
from collections.abc import Iterator, Sequence
from typing import Any, Final, overload

from tallystick.statements.parsed import ParsedEntry

__all__ = ["EntryPacker", "PackedEntries", "packed", "unpacked"]

_BLOCK_SIZE: Final = 500
_LEVEL: Final = 1


class PackedEntries(Sequence[ParsedEntry]):
    """Entries that are unpacked, a block at a time, whenever they are walked over or sliced."""

    __slots__ = ("_blocks", "_length")

    def __init__(self, blocks: Sequence[bytes], length: int) -> None:
        self._blocks = blocks
        self._length = length

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[ParsedEntry]:
        for block in self._blocks:
            yield from unpacked(block)

    @overload
    def __getitem__(self, wanted: int) -> ParsedEntry: ...

    @overload
    def __getitem__(self, wanted: slice) -> Sequence[ParsedEntry]: ...

    def __getitem__(self, wanted: int | slice) -> ParsedEntry | Sequence[ParsedEntry]:
        if isinstance(wanted, int):
            position = range(self._length)[wanted]
            entry: ParsedEntry = unpacked(self._blocks[position // _BLOCK_SIZE])[position % _BLOCK_SIZE]
            return entry
        first, last, step = wanted.indices(self._length)
        assert step == 1, "nobody skips entries"
        if first >= last:
            return ()
        begin = first // _BLOCK_SIZE
        some = [
            entry
            for block in self._blocks[begin : (last - 1) // _BLOCK_SIZE + 1]
            for entry in unpacked(block)
        ]
        return some[first - begin * _BLOCK_SIZE : last - begin * _BLOCK_SIZE]


class EntryPacker:
    """Takes entries one by one; a few stay as they are, and many are packed as they come."""

    def __init__(self) -> None:
        self._blocks: list[bytes] = []
        self._open: list[ParsedEntry] = []

    def __len__(self) -> int:
        return len(self._blocks) * _BLOCK_SIZE + len(self._open)

    def add(self, entry: ParsedEntry) -> None:
        """Take up one more entry."""
        if len(self._open) == _BLOCK_SIZE:
            self._pack()
        self._open.append(entry)

    def entries(self) -> Sequence[ParsedEntry]:
        """Return all of them in order."""
        if not self._blocks:
            return tuple(self._open)
        length = len(self)
        self._pack()
        return PackedEntries(tuple(self._blocks), length)

    def _pack(self) -> None:
        self._blocks.append(packed(self._open))
        self._open = []


def packed(block: Sequence[object]) -> bytes:
    """Return objects of this process in as little memory as is cheap."""
    return zlib.compress(pickle.dumps(block, pickle.HIGHEST_PROTOCOL), _LEVEL)


def unpacked(block: bytes) -> list[Any]:
    """Return what `packed` took."""
    # Packed by this very process, from objects of its own: nothing that a bank sent is ever unpickled.
    objects: list[Any] = pickle.loads(zlib.decompress(block))  # noqa: S301
    return objects
