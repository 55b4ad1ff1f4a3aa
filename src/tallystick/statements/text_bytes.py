"""Bytes of a plain text file, as banks write them: UTF-8 or one of its elders, and nothing that steers a terminal.

A file is gone through twice, a piece at a time: once to see what it is in and that nothing in it steers anything, and
once more for its lines. So a file of any length costs the memory of a few of its lines.
"""

import codecs
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedIOBase
from typing import Final

from tallystick.statements.refusals import (
    StatementEncodingUnsupportedError,
    StatementMalformedError,
    StatementTooLargeError,
)

__all__ = ["ENCODINGS", "TextFile", "opened_text"]

#: What a text may be in, by the names that a mapping may give.
ENCODINGS: Final = ("utf-8", "iso-8859-1", "iso-8859-15", "windows-1252")
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_CONTROL: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x84\x86-\x9f\u2028\u2029]")
_PIECE_SIZE_BYTES: Final = 262_144


@dataclass(frozen=True, slots=True)
class TextFile:
    """A text that was looked through. `last_line` is the number, from 1, of the last line that is not blank, or 0."""

    content: BufferedIOBase
    start: int
    encoding: str
    ascii_only: bool
    last_line: int

    def lines(self, length_max: int) -> Iterator[str]:
        r"""Yield the lines without their ends, which are `\n`, `\r\n` or `\r`.

        Raises StatementMalformedError for a line of more than `length_max` characters.
        """
        number, open_line = 0, ""
        for text in _pieces(self.content, self.start, self.encoding):
            lines = (open_line + text).split("\n")
            open_line = lines.pop()
            for line in lines:
                number += 1
                yield _bounded(line, number, length_max)
            _bounded(open_line, number + 1, length_max)
        if open_line:
            yield open_line


def opened_text(
    content: bytes | BufferedIOBase, size_max_bytes: int, encoding: str | None = None
) -> TextFile:
    """Look through the content and return it as text; an opened file must not change meanwhile.

    Without `encoding` UTF-8 is tried and ISO 8859-1 taken else. Raises StatementTooLargeError,
    StatementEncodingUnsupportedError for bytes that aren't in the encoding, or are in UTF-16 or UTF-32, and
    StatementMalformedError for control characters.
    """
    opened: BufferedIOBase = io.BytesIO(content) if isinstance(content, bytes) else content
    size_bytes = opened.seek(0, io.SEEK_END)
    if size_bytes > size_max_bytes:
        raise StatementTooLargeError(
            f"The limit is {size_max_bytes} bytes.", size_bytes=size_bytes, size_max_bytes=size_max_bytes
        )
    opened.seek(0)
    head = opened.read(4)
    if b"\x00" in head or head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise StatementEncodingUnsupportedError("A text of bytes that extend ASCII is read; send UTF-8.")
    start = len(_BYTE_ORDER_MARK) if head.startswith(_BYTE_ORDER_MARK) else 0
    for candidate in ("utf-8", "iso-8859-1") if encoding is None else (encoding,):
        try:
            return _looked_through(opened, start, candidate)
        except UnicodeDecodeError:
            continue
    raise StatementEncodingUnsupportedError(f"The bytes are not {encoding}.")


def _bounded(line: str, number: int, length_max: int) -> str:
    if len(line) > length_max:
        raise StatementMalformedError(f"Line {number} is longer than {length_max} characters.")
    return line


def _pieces(opened: BufferedIOBase, start: int, encoding: str) -> Iterator[str]:
    r"""Yield the text piece by piece, with `\n` for every line end; raises UnicodeDecodeError."""
    decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder(encoding)(), translate=True)
    opened.seek(start)
    more = True
    while more:
        piece = opened.read(_PIECE_SIZE_BYTES)
        more = bool(piece)
        yield decoder.decode(piece, final=not more)


def _looked_through(opened: BufferedIOBase, start: int, encoding: str) -> TextFile:
    number, last_line, blank, ascii_only, control_line = 1, 0, True, True, None
    for text in _pieces(opened, start, encoding):
        ascii_only = ascii_only and text.isascii()
        # The bytes behind it may still show that it is another encoding, so the refusal waits.
        if control_line is None and (found := _CONTROL.search(text)) is not None:
            control_line = number + text.count("\n", 0, found.start())
        first, *others = text.split("\n")
        blank = blank and not first.strip()
        for line in others:
            last_line = last_line if blank else number
            number += 1
            blank = not line.strip()
    if control_line is not None:
        raise StatementMalformedError(f"Line {control_line} holds a control character.")
    return TextFile(opened, start, encoding, ascii_only, last_line if blank else number)
