"""Checkpoints (C2SP tlog-checkpoint): a log's name, how many leaves it has, and the root above them."""

import re
from typing import Final, NamedTuple

from tallystick.transparency.merkle import HASH_SIZE_BYTES
from tallystick.transparency.notes import decode_base64, encode_base64

__all__ = ["SIZE_MAX", "Checkpoint", "CheckpointMalformedError", "parse_checkpoint", "parse_size"]

SIZE_MAX: Final = 2**63 - 1
_SIZE: Final = re.compile(r"(?:0|[1-9][0-9]{0,18})", re.ASCII)


class CheckpointMalformedError(ValueError):
    """The text is no checkpoint. Says why, quotes nothing."""


class Checkpoint(NamedTuple):
    """The head of a tree. `extensions` are further lines, which we never write and always keep."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return the text that is signed: lines, each with its newline."""
        lines = (self.origin, str(self.size), encode_base64(self.root), *self.extensions)
        return "".join(f"{line}\n" for line in lines)


def parse_checkpoint(text: str) -> Checkpoint:
    """Read the text of a checkpoint's note; raises CheckpointMalformedError. One tree head has one text."""
    lines = text.split("\n")
    if len(lines) < 4 or lines.pop() or not all(lines):
        raise CheckpointMalformedError("a checkpoint has three lines or more, and none is empty")
    origin, size, root, *extensions = lines
    try:
        root_hash = decode_base64(root)
    except ValueError:
        raise CheckpointMalformedError("the root hash is not canonical base64") from None
    if len(root_hash) != HASH_SIZE_BYTES:
        raise CheckpointMalformedError("the root hash does not have 32 bytes")
    try:
        return Checkpoint(origin, parse_size(size), root_hash, tuple(extensions))
    except ValueError:
        raise CheckpointMalformedError("the size is no decimal number without leading zeroes") from None


def parse_size(text: str) -> int:
    """Read a tree's size as the C2SP formats write it; ValueError for any other spelling and above 2^63 - 1."""
    if _SIZE.fullmatch(text) is None or int(text) > SIZE_MAX:
        raise ValueError("no size of a tree")
    return int(text)
