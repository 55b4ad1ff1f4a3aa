"""The lines of SWIFT MT940 and MT942 files, put together to fields: tags and values, in the order of the file.

Messages and their fields come as they are read, so that a statement of any length is never held as a whole.

Banks send the bare fields, with or without the blocks that SWIFT puts around a message (`{1:…}{4:` … `-}`) and with
headers of their own. A field's further lines begin with anything but a tag.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from tallystick.statements.refusals import StatementMalformedError

__all__ = ["LINE_LENGTH_MAX", "SwiftField", "SwiftStart", "looks_like_swift", "swift_fields"]

_TAG: Final = re.compile(r":([0-9]{2}[A-Z]?|NS):", re.ASCII)
_START: Final = re.compile(rb"^(?:\{4:)?:20:", re.MULTILINE)
_HEAD_SIZE_BYTES: Final = 8_192
LINE_LENGTH_MAX: Final = 2_000
_FIELD_LINES_MAX: Final = 200
_HEADER_LINES_MAX: Final = 20
_END: Final = re.compile(r"-(?:\}.*)?")
_KIND: Final = re.compile(r"\{2:[IO](94[02])|(94[02])", re.ASCII)


@dataclass(frozen=True, slots=True)
class SwiftField:
    """One field: its tag without colons (`61`, `62F`), its lines, and the number of the first in the file."""

    tag: str
    lines: tuple[str, ...]
    line_number: int

    @property
    def where(self) -> str:
        """The field's place, for findings and refusals."""
        return f"line {self.line_number} (:{self.tag}:)"


@dataclass(frozen=True, slots=True)
class SwiftStart:
    """Where a message begins, right before its `:20:`. `kind` is 940 or 942 where a header says so."""

    kind: str | None


def looks_like_swift(data: bytes) -> bool:
    """Whether bytes begin as a SWIFT statement does, whatever stands in its header."""
    head = data[:_HEAD_SIZE_BYTES].replace(b"\r", b"\n")
    return not head.lstrip().startswith(b"<") and _START.search(head) is not None


def swift_fields(lines: Iterable[str]) -> Iterator[SwiftStart | SwiftField]:
    """Yield the start of each message, and then its fields; raises StatementMalformedError for lines of none."""
    reader = _Reader()
    for number, raw in enumerate(lines, 1):
        yield from reader.take(number, raw.rstrip())
    yield from reader.finish()


class _Reader:
    """Puts fields together, line by line."""

    def __init__(self) -> None:
        self._kind: str | None = None
        self._header_count = 0
        self._tag: str | None = None
        self._lines: list[str] = []
        self._line_number = 0

    def take(self, number: int, line: str) -> Iterator[SwiftStart | SwiftField]:
        """Take up one line; yield what it ends and begins."""
        if self._tag is None and "{4:" in line:
            self._kind = _kind_of(line) or self._kind
            line = line.partition("{4:")[2]
        started = _TAG.match(line)
        if started is not None and started[1] == "20":
            yield from self.finish()
            yield SwiftStart(self._kind)
            self._kind, self._header_count = None, 0
            self._open(started[1], number, line[started.end() :])
        elif self._tag is None:
            if started is not None:
                raise StatementMalformedError(f"Line {number}: a field stands outside a statement.")
            self._take_header(number, line)
        elif _END.fullmatch(line):
            yield from self.finish()
        elif started is not None:
            yield from self.finish()
            self._open(started[1], number, line[started.end() :])
        else:
            self._lines.append(line)
            if len(self._lines) > _FIELD_LINES_MAX:
                raise StatementMalformedError(f"The field at line {self._line_number} has too many lines.")

    def finish(self) -> Iterator[SwiftField]:
        """Yield the field that is open, if there is one."""
        if self._tag is not None:
            while self._lines and not self._lines[-1]:
                self._lines.pop()
            yield SwiftField(self._tag, tuple(self._lines), self._line_number)
        self._tag = None

    def _take_header(self, number: int, line: str) -> None:
        if line and not _END.fullmatch(line):
            self._header_count += 1
            self._kind = _kind_of(line) or self._kind
            if self._header_count > _HEADER_LINES_MAX:
                raise StatementMalformedError(f"Line {number}: no statement begins where it should.")

    def _open(self, tag: str, number: int, rest: str) -> None:
        self._tag, self._line_number, self._lines = tag, number, [rest]


def _kind_of(line: str) -> str | None:
    """Return 940 or 942 where a header line says so: in the application header, or alone on its line."""
    found = _KIND.search(line) if "{2:" in line else _KIND.fullmatch(line.strip())
    return None if found is None else found[1] or found[2]
