"""XML 1.0 documents from outside, checked before any parser sees them: size, encoding, no document type.

A parser that resolves nothing still accepts a document that declares entities and leaves holes in its text, so a
document type is refused here, on the bytes, in the very encoding that the parser is then told to use: the two can't
disagree about what the document says.
"""

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedIOBase
from typing import Final

from tallystick.statements.refusals import (
    StatementDoctypeForbiddenError,
    StatementEncodingUnsupportedError,
    StatementNotXmlError,
    StatementTooLargeError,
)

__all__ = ["GuardedXml", "guard_xml"]

#: Names that a declaration may give, and the name that the parser is told. All extend ASCII, so that markup has
#: the same bytes in each of them.
_ENCODINGS: Final = {
    "ascii": "utf-8",
    "us-ascii": "utf-8",
    "utf-8": "utf-8",
    "utf8": "utf-8",
    "iso-8859-1": "iso-8859-1",
    "iso8859-1": "iso-8859-1",
    "latin1": "iso-8859-1",
    "iso-8859-15": "iso-8859-15",
    "windows-1252": "windows-1252",
    "cp1252": "windows-1252",
}
_WIDE_DECLARATIONS: Final = frozenset({"utf-16", "utf-16le", "utf-16be"})
_NARROW_DECLARATIONS: Final = frozenset({"utf-8", "utf8", "ascii", "us-ascii"})
_BYTE_ORDER_MARKS: Final = (
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe\x00\x00", "utf-32-le"),
    (b"\x00\x00\xfe\xff", "utf-32-be"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)
#: How `<` followed by anything of ASCII begins in the wide encodings, for documents without a byte order mark.
_WIDE_STARTS: Final = (
    (b"<\x00\x00\x00", "utf-32-le"),
    (b"\x00\x00\x00<", "utf-32-be"),
    (b"<\x00", "utf-16-le"),
    (b"\x00<", "utf-16-be"),
)
_EBCDIC_START: Final = b"\x4c\x6f\xa7\x94"
_DECLARATION: Final = re.compile(rb"<\?xml[ \t\r\n][^>]{0,400}?\?>")
_DECLARED_ENCODING: Final = re.compile(
    rb"""[ \t\r\n]encoding[ \t\r\n]*=[ \t\r\n]*["']([A-Za-z0-9._-]{1,40})["']"""
)
#: Comments and instructions before the root are a few lines; walking over fifty megabytes of them takes seconds.
_PROLOG_SIZE_MAX_BYTES: Final = 65_536
_BLANKS: Final = re.compile(rb"[ \t\r\n]*")
#: As much of a file is looked at before it is parsed: the longest prolog, and whatever stands before it.
_HEAD_SIZE_BYTES: Final = 2 * _PROLOG_SIZE_MAX_BYTES
_CHUNK_SIZE_BYTES: Final = 65_536


@dataclass(frozen=True, slots=True)
class GuardedXml:
    """A document without a document type: its bytes from `start`, and the encoding that the parser must use.

    Of a file, `data` is the head, and `file` holds all of it. `declaration_differs` says that the declaration names
    another encoding than the one found.
    """

    data: bytes
    start: int
    encoding: str
    declaration_differs: bool
    file: BufferedIOBase | None = None

    def chunks(self) -> Iterator[bytes]:
        """Yield the document from its start, piece by piece; may be called again."""
        if self.file is None:
            for position in range(self.start, len(self.data), _CHUNK_SIZE_BYTES):
                yield self.data[position : position + _CHUNK_SIZE_BYTES]
            return
        self.file.seek(self.start)
        while chunk := self.file.read(_CHUNK_SIZE_BYTES):
            yield chunk


def guard_xml(source: bytes | BufferedIOBase, *, size_max_bytes: int) -> GuardedXml:
    """Return the document ready for a parser that is given `encoding`.

    UTF-16 is converted to UTF-8, so that everything behind this function handles bytes that extend ASCII.

    Raises StatementTooLargeError, StatementEncodingUnsupportedError, StatementDoctypeForbiddenError, and
    StatementNotXmlError when there is nothing, or something else, where the root element should start.
    """
    file = None if isinstance(source, bytes) else source
    size_bytes = len(source) if isinstance(source, bytes) else source.seek(0, io.SEEK_END)
    if size_bytes > size_max_bytes:
        raise StatementTooLargeError(
            f"The limit is {size_max_bytes} bytes.", size_bytes=size_bytes, size_max_bytes=size_max_bytes
        )
    data = source if isinstance(source, bytes) else _head(source, _HEAD_SIZE_BYTES)
    found, start = _detect(data)
    if found is not None and found != "utf-8":
        whole = data if file is None else _head(file, size_bytes)
        data, start, file = _as_utf8(whole, start, found), 0, None
    # A line end before the declaration is against the letter of XML, frequent, and harmless.
    start = _end_of_blanks(data, start)
    _refuse_doctype(data, start)
    declared = _declared(data, start)
    if found is None:
        return _as_declared(data, start, declared, file)
    if found.startswith("utf-32"):
        raise StatementEncodingUnsupportedError("UTF-32 is not read; send UTF-8.")
    accepted = _WIDE_DECLARATIONS if found.startswith("utf-16") else _NARROW_DECLARATIONS
    return GuardedXml(data, start, "utf-8", declared is not None and declared not in accepted, file)


def _head(file: BufferedIOBase, size_bytes: int) -> bytes:
    file.seek(0)
    return file.read(size_bytes)


def _as_declared(data: bytes, start: int, declared: str | None, file: BufferedIOBase | None) -> GuardedXml:
    """Return a document whose first bytes prove no encoding, in the one that it declares."""
    if declared in _WIDE_DECLARATIONS:
        # Written by programs that declare the encoding of their strings in memory and then save UTF-8.
        return GuardedXml(data, start, "utf-8", declaration_differs=True, file=file)
    encoding = "utf-8" if declared is None else _ENCODINGS.get(declared)
    if encoding is None:
        raise StatementEncodingUnsupportedError("The declared encoding is not read; send UTF-8.")
    return GuardedXml(data, start, encoding, declaration_differs=False, file=file)


def _detect(data: bytes) -> tuple[str | None, int]:
    """Return the encoding that the first bytes prove, or None for one that extends ASCII; and where text starts."""
    for mark, encoding in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return encoding, len(mark)
    for beginning, encoding in _WIDE_STARTS:
        if data.startswith(beginning):
            return encoding, 0
    if data.startswith(_EBCDIC_START):
        raise StatementEncodingUnsupportedError("EBCDIC is not read; send UTF-8.")
    return None, 0


def _as_utf8(data: bytes, start: int, encoding: str) -> bytes:
    try:
        text = str(memoryview(data)[start:], encoding, "strict")
        return text.encode("utf-8")
    except UnicodeError:
        raise StatementNotXmlError(
            "The bytes are not text in the encoding that the document starts with."
        ) from None


def _declared(data: bytes, start: int) -> str | None:
    """Return the encoding named in the XML declaration, in lower case."""
    declaration = _DECLARATION.match(data, start)
    if declaration is None:
        return None
    encoding = _DECLARED_ENCODING.search(declaration.group())
    return None if encoding is None else encoding.group(1).decode("ascii").lower()


def _refuse_doctype(data: bytes, start: int) -> None:
    """Walk over the prolog (XML 1.0, production 22) to the root element; refuse any declaration on the way.

    A document type can stand nowhere else. Comments and processing instructions may mention one.
    """
    position = start
    while position - start <= _PROLOG_SIZE_MAX_BYTES:
        position = _end_of_blanks(data, position)
        if data.startswith(b"<!--", position):
            position = _after(data, b"-->", position + 4)
        elif data.startswith(b"<?", position):
            position = _after(data, b"?>", position + 2)
        elif data.startswith(b"<!", position):
            raise StatementDoctypeForbiddenError
        elif data.startswith(b"<", position):
            return
        else:
            raise StatementNotXmlError("No root element was found where it should start.")
    raise StatementNotXmlError(f"No root element starts in the first {_PROLOG_SIZE_MAX_BYTES} bytes.")


def _end_of_blanks(data: bytes, position: int) -> int:
    blanks = _BLANKS.match(data, position)
    return position if blanks is None else blanks.end()


def _after(data: bytes, ending: bytes, position: int) -> int:
    found = data.find(ending, position)
    if found < 0:
        raise StatementNotXmlError(
            "A comment or processing instruction before the root element does not end."
        )
    return found + len(ending)
