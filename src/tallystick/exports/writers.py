"""Files that are hashed as they are written, and the two ways to write a table into one.

CSV is RFC 4180: a header, CRLF, quotation marks where needed, UTF-8. JSON Lines is one JSON object per line.
Spreadsheets run cells as formulas that begin with certain characters (OWASP, "CSV Injection"); in CSV and Excel those
get an apostrophe in front, and so does what begins with an apostrophe already, so that taking one away gives back
exactly what was there.
"""

import csv
import hashlib
import os
import re
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol, TypeAlias

import orjson

from tallystick.exports.progress import watcher
from tallystick.exports.records import FileFacts

__all__ = [
    "CSV",
    "JSON_LINES",
    "Cell",
    "NewFile",
    "Row",
    "SeparateFiles",
    "Table",
    "Tables",
    "copied",
    "csv_table",
    "json_lines_table",
    "neutral",
    "original",
]

CSV: Final = "text/csv"
JSON_LINES: Final = "application/x-ndjson"

Cell: TypeAlias = str | int | None
Row: TypeAlias = tuple[Cell, ...]
Table: TypeAlias = Callable[[Row], None]

_BUFFER_BYTES: Final = 262_144
_WRITES_PER_LOOK: Final = 256
# Full-width forms too: spreadsheets in East Asian locales read them as the plain ones.
_FORMULA_STARTS: Final = frozenset("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
_GUARD: Final = "'"
_NEGATIVE_NUMBER: Final = re.compile(r"-[0-9]+(\.[0-9]+)?", re.ASCII)


class NewFile:
    """A file of mode 0600 that is being written: it counts its bytes and hashes them on the way.

    `rows` is counted by whoever writes them. `finish` makes the content durable; its name is durable only when the
    directory is.
    """

    def __init__(self, directory: Path, name: str, media_type: str) -> None:
        self.name = name
        self.media_type = media_type
        self.rows = 0
        self._size_bytes = 0
        self._writes = 0
        self._watcher = watcher()
        self._digest = hashlib.sha256()
        descriptor = os.open(directory / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self._file = os.fdopen(descriptor, "wb", buffering=_BUFFER_BYTES)

    def __enter__(self) -> "NewFile":
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._file.close()

    def write(self, data: bytes) -> None:
        """Append bytes."""
        self._digest.update(data)
        self._size_bytes += len(data)
        self._file.write(data)
        self._writes += 1
        if self._writes % _WRITES_PER_LOOK == 0:
            self._watcher(self.name, self.rows)

    def finish(self) -> FileFacts:
        """Wait until everything is on disk and return what was written."""
        self._watcher(self.name, self.rows)
        self._file.flush()
        os.fsync(self._file.fileno())
        return FileFacts(self.name, self.media_type, self.rows, self._size_bytes, self._digest.hexdigest())


def csv_table(file: NewFile, columns: Sequence[str]) -> Table:
    """Write the header and return what writes a row: None becomes an empty cell."""
    writer = csv.writer(_Encoded(file), lineterminator="\r\n")
    writer.writerow(columns)

    def write_row(row: Row) -> None:
        writer.writerow([neutral(cell) if isinstance(cell, str) else cell for cell in row])
        file.rows += 1

    return write_row


def json_lines_table(file: NewFile, columns: Sequence[str]) -> Table:
    """Return what writes a row as one object with the columns' names in their order."""

    def write_row(row: Row) -> None:
        file.write(orjson.dumps(dict(zip(columns, row, strict=True)), option=orjson.OPT_APPEND_NEWLINE))
        file.rows += 1

    return write_row


def neutral(cell: str) -> str:
    """Return a cell that no spreadsheet runs as a formula; plain negative numbers stay numbers."""
    if cell[:1] in _FORMULA_STARTS and _NEGATIVE_NUMBER.fullmatch(cell) is None:
        return _GUARD + cell
    return _GUARD + cell if cell.startswith(_GUARD) else cell


def original(cell: str) -> str:
    """Return what `neutral` was given."""
    return cell.removeprefix(_GUARD)


class Tables(Protocol):
    """Where the tables of an export go. Several may be open at a time; each is opened and closed once."""

    def open(self, name: str, columns: tuple[str, ...]) -> Table: ...

    def close(self, name: str) -> None: ...


class SeparateFiles(AbstractContextManager["SeparateFiles"]):
    """Tables that are a file each; `files` are the finished ones."""

    def __init__(
        self,
        folder: Path,
        extension: str,
        media_type: str,
        table: Callable[[NewFile, tuple[str, ...]], Table],
    ) -> None:
        self.files: list[FileFacts] = []
        self._folder = folder
        self._extension = extension
        self._media_type = media_type
        self._table = table
        self._open: dict[str, NewFile] = {}
        self._stack = ExitStack()

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def open(self, name: str, columns: tuple[str, ...]) -> Table:
        """Begin a file and return what writes a row into it."""
        file = NewFile(self._folder, f"{name}.{self._extension}", self._media_type)
        self._open[name] = self._stack.enter_context(file)
        return self._table(file, columns)

    def close(self, name: str) -> None:
        """Finish a file."""
        self.files.append(self._open.pop(name).finish())


def copied(source: Path, directory: Path, name: str, media_type: str, rows: int) -> FileFacts:
    """Copy a file that a library wrote, a piece at a time, hashing it on the way."""
    with NewFile(directory, name, media_type) as file, source.open("rb") as written:
        while piece := written.read(_BUFFER_BYTES):
            file.write(piece)
        file.rows = rows
        return file.finish()


class _Encoded:
    """What the csv module writes its text to."""

    def __init__(self, file: NewFile) -> None:
        self._file = file

    def write(self, text: str) -> None:
        self._file.write(text.encode())
