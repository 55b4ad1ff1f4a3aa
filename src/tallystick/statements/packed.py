"""Very many entries in little memory: a tenth of what they take as objects, for the price of unpacking them anew."""

import pickle
import zlib
from collections.abc import Iterator, Sequence
from typing import Final, overload

from tallystick.statements.parsed import ParsedEntry

__all__ = ["EntryPacker", "PackedEntries"]

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
            yield from _unpacked(block)

    @overload
    def __getitem__(self, wanted: int) -> ParsedEntry: ...

    @overload
    def __getitem__(self, wanted: slice) -> Sequence[ParsedEntry]: ...

    def __getitem__(self, wanted: int | slice) -> ParsedEntry | Sequence[ParsedEntry]:
        if isinstance(wanted, int):
            position = range(self._length)[wanted]
            return _unpacked(self._blocks[position // _BLOCK_SIZE])[position % _BLOCK_SIZE]
        first, last, step = wanted.indices(self._length)
        assert step == 1, "nobody skips entries"
        if first >= last:
            return ()
        begin = first // _BLOCK_SIZE
        some = [
            entry
            for block in self._blocks[begin : (last - 1) // _BLOCK_SIZE + 1]
            for entry in _unpacked(block)
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
        self._blocks.append(zlib.compress(pickle.dumps(self._open, pickle.HIGHEST_PROTOCOL), _LEVEL))
        self._open = []


def _unpacked(block: bytes) -> list[ParsedEntry]:
    # Packed by this very process, from objects of its own: nothing that a bank sent is ever unpickled.
    entries: list[ParsedEntry] = pickle.loads(zlib.decompress(block))  # noqa: S301
    return entries
