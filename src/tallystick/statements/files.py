"""A bank's file, read and ready to be imported: what it says, and by what it is known when it comes again."""

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from io import BufferedIOBase
from typing import Final

from tallystick.statements.camt import parse_camt
from tallystick.statements.content import content_hash
from tallystick.statements.csv_mapping import CsvMapping
from tallystick.statements.csv_statements import parse_csv
from tallystick.statements.parsed import ParsedMessage
from tallystick.statements.swift import parse_swift
from tallystick.statements.swift_fields import looks_like_swift

__all__ = ["StatementFile", "read_file"]

_HEAD_SIZE_BYTES: Final = 8_192


@dataclass(frozen=True, slots=True)
class StatementFile:
    """What a file says, with the SHA-256 of its bytes and of what each of its statements says about money.

    `left_out` counts, by statement and code, the findings that were not kept by parts imported in this process.
    """

    message: ParsedMessage
    file_hash: bytes
    content_hashes: tuple[bytes, ...]
    left_out: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def entry_count(self) -> int:
        """How many entries all of its statements have."""
        return sum(len(one.entries) for one in self.message.statements)


def read_file(
    content: bytes | BufferedIOBase, *, size_max_bytes: int, mapping: CsvMapping | None = None
) -> StatementFile:
    """Return what a bank's file says: camt.052, camt.053 or camt.054, MT940 or MT942, whichever it begins as.

    With a mapping it is read as CSV.

    A file that is opened for reading bytes is read piece by piece and must not change meanwhile. Nothing here touches
    the database. Raises what `parse_camt`, `parse_swift` and `parse_csv` raise.
    """
    if mapping is not None:
        message = parse_csv(content, mapping, size_max_bytes=size_max_bytes)
    elif looks_like_swift(_head(content)):
        message = parse_swift(content, size_max_bytes=size_max_bytes)
    else:
        message = parse_camt(content, size_max_bytes=size_max_bytes)
    hashes = tuple(content_hash(message.message_type, one) for one in message.statements)
    return StatementFile(message, _sha256(content), hashes)


def _head(content: bytes | BufferedIOBase) -> bytes:
    if isinstance(content, bytes):
        return content[:_HEAD_SIZE_BYTES]
    content.seek(0)
    return content.read(_HEAD_SIZE_BYTES)


def _sha256(content: bytes | BufferedIOBase) -> bytes:
    if isinstance(content, bytes):
        return hashlib.sha256(content).digest()
    content.seek(0)
    return hashlib.file_digest(content, "sha256").digest()
