"""Bytes of a plain text file, as banks write them: UTF-8 or one of its elders, and nothing that steers a terminal."""

import re
from io import BufferedIOBase
from typing import Final

from tallystick.statements.refusals import (
    StatementEncodingUnsupportedError,
    StatementMalformedError,
    StatementTooLargeError,
)

__all__ = ["ENCODINGS", "decoded", "read_bytes"]

#: What a text may be in, by the names that a mapping may give.
ENCODINGS: Final = ("utf-8", "iso-8859-1", "iso-8859-15", "windows-1252")
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_CONTROL: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x84\x86-\x9f\u2028\u2029]")


def read_bytes(content: bytes | BufferedIOBase, size_max_bytes: int) -> bytes:
    """Return all of the content; raises StatementTooLargeError."""
    if isinstance(content, bytes):
        data = content
    else:
        content.seek(0)
        # One byte more than is allowed is enough to be refused for it.
        data = content.read(size_max_bytes + 1)
    if len(data) > size_max_bytes:
        raise StatementTooLargeError(
            f"The limit is {size_max_bytes} bytes.", size_bytes=len(data), size_max_bytes=size_max_bytes
        )
    return data


def decoded(data: bytes, encoding: str | None = None) -> tuple[str, str]:
    r"""Return the text with `\n` for every line end, and the encoding that it was in.

    Without `encoding` UTF-8 is tried and ISO 8859-1 taken else. Raises StatementEncodingUnsupportedError for bytes
    that aren't in the encoding, or are in UTF-16 or UTF-32, and StatementMalformedError for control characters.
    """
    if b"\x00" in data[:4] or data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise StatementEncodingUnsupportedError("A text of bytes that extend ASCII is read; send UTF-8.")
    bare = data.removeprefix(_BYTE_ORDER_MARK)
    candidates = ("utf-8", "iso-8859-1") if encoding is None else (encoding,)
    for candidate in candidates:
        try:
            text = bare.decode(candidate)
        except UnicodeDecodeError:
            continue
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        if (found := _CONTROL.search(text)) is not None:
            line = text.count("\n", 0, found.start()) + 1
            raise StatementMalformedError(f"Line {line} holds a control character.")
        return text, candidate
    raise StatementEncodingUnsupportedError(f"The bytes are not {encoding}.")
