"""Receipts (C2SP tlog-proof): a checkpoint and the path to it from one entry, to be checked without anybody's help."""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from tallystick.transparency.checkpoints import Checkpoint, parse_checkpoint, parse_size
from tallystick.transparency.merkle import HASH_SIZE_BYTES, leaf_hash, verify_inclusion
from tallystick.transparency.notes import (
    COSIGNATURE_V1,
    Note,
    VerifierKey,
    decode_base64,
    encode_base64,
    format_note,
    parse_note,
    verify_note,
)

__all__ = [
    "HASHES_MAX",
    "Receipt",
    "ReceiptInvalidError",
    "format_receipt",
    "parse_receipt",
    "verify_receipt",
]

HASHES_MAX: Final = 63
_HEADER: Final = "c2sp.org/tlog-proof@v1"


class ReceiptInvalidError(ValueError):
    """The text is no receipt, or proves nothing about the entry. Says why."""


class Receipt(NamedTuple):
    """The place of an entry, the hashes from its sibling up, and the checkpoint's note.

    Nobody vouches for `extra`.
    """

    leaf_index: int
    hashes: tuple[bytes, ...]
    note: Note
    extra: bytes | None = None


def format_receipt(receipt: Receipt) -> str:
    """Return the receipt as text."""
    extra = [] if receipt.extra is None else [f"extra {encode_base64(receipt.extra)}"]
    hashes = [encode_base64(one) for one in receipt.hashes]
    return "\n".join([_HEADER, *extra, f"index {receipt.leaf_index}", *hashes, "", format_note(receipt.note)])


def parse_receipt(raw: bytes) -> Receipt:
    """Read a receipt; raises ReceiptInvalidError. Nothing is verified yet."""
    head, separator, note = raw.partition(b"\n\n")
    try:
        lines = head.decode("ascii").split("\n")
        if lines.pop(0) == _HEADER and separator:
            extra = None
            if lines and lines[0].startswith("extra "):
                extra = decode_base64(lines.pop(0).removeprefix("extra "))
            if lines and lines[0].startswith("index "):
                leaf_index = parse_size(lines.pop(0).removeprefix("index "))
                return Receipt(leaf_index, _hashes(lines), parse_note(note), extra)
    except ValueError as error:
        raise ReceiptInvalidError(f"a receipt is malformed: {error}") from None
    raise ReceiptInvalidError("a receipt has a version, an index and a checkpoint")


def verify_receipt(
    receipt: Receipt,
    entry: bytes,
    *,
    origin: str,
    log_keys: Iterable[VerifierKey],
    witness_keys: Sequence[VerifierKey] = (),
    quorum: int = 0,
) -> Checkpoint:
    """Return the checkpoint under which the entry is proven to be in the log called `origin`.

    Raises ReceiptInvalidError unless one of the log's keys signed it, `quorum` of the witnesses cosigned it, and the
    path leads from the entry to its root.
    """
    try:
        checkpoint = parse_checkpoint(receipt.note.text)
        signed = verify_note(receipt.note, log_keys)
        cosigned = verify_note(receipt.note, [key for key in witness_keys if key.kind == COSIGNATURE_V1])
    except ValueError as error:
        raise ReceiptInvalidError(str(error)) from None
    if checkpoint.origin != origin or not signed:
        raise ReceiptInvalidError("the checkpoint is not signed by this log")
    # A witness counts once, whatever keys it has.
    if len({key.name for key in cosigned}) < quorum:
        raise ReceiptInvalidError("too few witnesses have cosigned the checkpoint")
    if not verify_inclusion(
        leaf_hash(entry), receipt.leaf_index, checkpoint.size, receipt.hashes, checkpoint.root
    ):
        raise ReceiptInvalidError("the path does not lead from the entry to the root")
    return checkpoint


def _hashes(lines: Sequence[str]) -> tuple[bytes, ...]:
    hashes = tuple(decode_base64(line) for line in lines)
    if len(hashes) > HASHES_MAX or any(len(one) != HASH_SIZE_BYTES for one in hashes):
        raise ValueError("a path is at most 63 hashes of 32 bytes")
    return hashes
