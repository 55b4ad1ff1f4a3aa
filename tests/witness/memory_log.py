"""A log without a bank: leaves in memory, and what it sends to a witness."""

from dataclasses import dataclass, field

from tallystick.transparency.add_checkpoint import format_add_checkpoint
from tallystick.transparency.checkpoints import Checkpoint
from tallystick.transparency.merkle import (
    Node,
    consistency_ranges,
    leaf_hash,
    range_hash,
    root_of_leaves,
)
from tallystick.transparency.notes import Note, VerifierKey, format_note, sign_note
from tests.transparency.keys import key_of, signer_of

__all__ = ["MemoryLog"]


@dataclass
class MemoryLog:
    """`fork` lets every leaf from an index on be another."""

    origin: str
    fork_at: int | None = None
    extensions: tuple[str, ...] = field(default=())

    @property
    def key(self) -> VerifierKey:
        return key_of(self.origin)

    def leaves(self, size: int) -> list[bytes]:
        at = size if self.fork_at is None else self.fork_at
        return [leaf_hash(f"{index}{'' if index < at else ' forked'}".encode()) for index in range(size)]

    def checkpoint(self, size: int) -> Checkpoint:
        return Checkpoint(self.origin, size, root_of_leaves(self.leaves(size)), self.extensions)

    def note(self, size: int) -> str:
        text = str(self.checkpoint(size))
        return format_note(Note(text, (sign_note(text, self.key, signer_of(self.origin)),)))

    def proof(self, old_size: int, size: int) -> list[bytes]:
        if not 0 < old_size < size:
            return []
        leaves = self.leaves(size)

        def read(node: Node) -> bytes:
            start = node.node_index << node.level
            return root_of_leaves(leaves[start : start + (1 << node.level)])

        return [range_hash(one, read) for one in consistency_ranges(old_size, size)]

    def request(self, old_size: int, size: int) -> bytes:
        return format_add_checkpoint(old_size, self.proof(old_size, size), self.note(size))
