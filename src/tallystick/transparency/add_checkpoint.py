"""The body of `add-checkpoint` (C2SP tlog-witness): a checkpoint, and a proof from the size that was cosigned last."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from tallystick.transparency.checkpoints import parse_size
from tallystick.transparency.merkle import HASH_SIZE_BYTES
from tallystick.transparency.notes import decode_base64, encode_base64

__all__ = [
    "BODY_SIZE_MAX_BYTES",
    "SIZE_MEDIA_TYPE",
    "AddCheckpoint",
    "RequestMalformedError",
    "format_add_checkpoint",
    "parse_add_checkpoint",
]

# The proof's 63 lines and a note with many signatures, some of them long, are well below it.
BODY_SIZE_MAX_BYTES: Final = 65_536
SIZE_MEDIA_TYPE: Final = "text/x.tlog.size"
_HASHES_MAX: Final = 63


class RequestMalformedError(ValueError):
    """The body is no `add-checkpoint` request. Says why, quotes nothing."""


class AddCheckpoint(NamedTuple):
    """The size that the witness cosigned last, the consistency proof from it, and the signed note of the checkpoint."""

    old_size: int
    proof: tuple[bytes, ...]
    note: bytes


def format_add_checkpoint(old_size: int, proof: Sequence[bytes], note: str) -> bytes:
    """Return the body of a request."""
    lines = [f"old {old_size}", *(encode_base64(one) for one in proof), "", note]
    return "\n".join(lines).encode()


def parse_add_checkpoint(body: bytes) -> AddCheckpoint:
    """Read the body of a request; raises RequestMalformedError. The note is left to `parse_note`."""
    head, separator, note = body.partition(b"\n\n")
    if not separator:
        raise RequestMalformedError("the body has no empty line")
    try:
        old, *lines = head.decode("ascii").split("\n")
        old_size = parse_size(old.removeprefix("old "))
        proof = tuple(decode_base64(line) for line in lines[: _HASHES_MAX + 1])
    except ValueError as error:
        raise RequestMalformedError(f"the old size or a hash is malformed: {error}") from None
    if not old.startswith("old ") or len(proof) > _HASHES_MAX:
        raise RequestMalformedError("the body begins with the old size and at most 63 hashes")
    if any(len(one) != HASH_SIZE_BYTES for one in proof):
        raise RequestMalformedError("a hash has 32 bytes")
    return AddCheckpoint(old_size, proof, note)
