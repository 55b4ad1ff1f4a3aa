"""Files that are hashed as they are written, and the two ways to write a table into one.

CSV is RFC 4180: a header, CRLF, quotation marks where needed, UTF-8. JSON Lines is one JSON object per line.
Spreadsheets run cells as formulas that begin with certain characters; those get an apostrophe in front in CSV.
"""

import csv
import hashlib
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, TypeAlias

import orjson

from tallystick.exports.progress import watcher
from tallystick.exports.records import FileFacts

__all__ = ["CSV", "JSON_LINES", "Cell", "NewFile", "Row", "Table", "csv_table", "json_lines_table", "neutral"]

CSV: Final = "text/csv"
JSON_LINES: Final = "application/x-ndjson"

Cell: TypeAlias = str | int | None
Row: TypeAlias = tuple[Cell, ...]
Table: TypeAlias = Callable[[Row], None]

_BUFFER_BYTES: Final = 262_144
_WRITES_PER_LOOK: Final = 256
# Full-width forms too: spreadsheets in East Asian locales read them as the plain ones.
_FORMULA_STARTS: Final = frozenset("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
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
        return "'" + cell
    return cell


class _Encoded:
    """What the csv module writes its text to."""

    def __init__(self, file: NewFile) -> None:
        self._file = file

    def write(self, text: str) -> None:
        self._file.write(text.encode())
