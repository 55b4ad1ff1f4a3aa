"""Tables as Apache Parquet files, for those who compute on them: typed, compressed, in row groups.

Amounts are decimal128 with the largest scale of the export's classes (of one class, its own), moments microseconds in
UTC, days dates. Each file is written a row group at a time, so memory does not grow with it. pyarrow is an extra: the
arguments are refused before this module is imported where it is missing (`arguments.py`).
"""

from collections.abc import Callable
from contextlib import ExitStack
from datetime import date
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
from sqlalchemy import Connection

from tallystick.core.clock import parse_time
from tallystick.exports.manifest import Totals
from tallystick.exports.options import ExportOptions
from tallystick.exports.reading import Scope
from tallystick.exports.records import FileFacts
from tallystick.exports.tables import ColumnKind, kind_of, write_all
from tallystick.exports.writers import Cell, NewFile, Row, Table

__all__ = ["PARQUET", "ROW_GROUP_ROWS", "write_parquet"]

PARQUET: Final = "application/vnd.apache.parquet"
# A signed event has about 1.5 kB, so that a group of them is some 15 MB.
ROW_GROUP_ROWS: Final = 10_000
_PRECISION: Final = 38
_NATIVE: Final[dict[ColumnKind, Callable[[Any], Any]]] = {
    ColumnKind.TEXT: str,
    ColumnKind.INTEGER: int,
    ColumnKind.AMOUNT: Decimal,
    ColumnKind.MOMENT: parse_time,
    ColumnKind.DAY: date.fromisoformat,
}


def write_parquet(
    connection: Connection, scope: Scope, folder: Path, options: ExportOptions
) -> tuple[list[FileFacts], Totals]:
    """Write every table into a file of its own, add up the totals on the way, and return the files' facts."""
    totals = Totals(scope)
    with _ParquetFiles(folder, max((one.scale for one in scope.classes), default=0)) as tables:
        write_all(connection, scope, tables, totals, options)
        return tables.files, totals


class _ParquetFiles:
    """Tables that are a Parquet file each."""

    def __init__(self, folder: Path, scale: int) -> None:
        self.files: list[FileFacts] = []
        self._folder = folder
        self._scale = scale
        self._open: dict[str, _ParquetTable] = {}
        self._stack = ExitStack()

    def __enter__(self) -> "_ParquetFiles":
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def open(self, name: str, columns: tuple[str, ...]) -> Table:
        file = self._stack.enter_context(NewFile(self._folder, f"{name}.parquet", PARQUET))
        table = self._open[name] = _ParquetTable(file, columns, self._scale)
        return table.write

    def close(self, name: str) -> None:
        self.files.append(self._open.pop(name).finish())


class _ParquetTable:
    """One table, gathered by column until a row group is full."""

    def __init__(self, file: NewFile, columns: tuple[str, ...], scale: int) -> None:
        kinds = [kind_of(column) for column in columns]
        types = {
            ColumnKind.TEXT: pa.string(),
            ColumnKind.INTEGER: pa.int64(),
            ColumnKind.AMOUNT: pa.decimal128(_PRECISION, scale),
            ColumnKind.MOMENT: pa.timestamp("us", tz="UTC"),
            ColumnKind.DAY: pa.date32(),
        }
        self._file = file
        self._natives = [_NATIVE[kind] for kind in kinds]
        self._schema = pa.schema([(name, types[kind]) for name, kind in zip(columns, kinds, strict=True)])
        self._columns: list[list[Any]] = [[] for _ in columns]
        self._writer = pq.ParquetWriter(
            pa.PythonFile(_Sink(file), mode="w"), self._schema, compression="zstd"
        )

    def write(self, row: Row) -> None:
        cells: zip[tuple[list[Any], Callable[[Any], Any], Cell]]
        cells = zip(self._columns, self._natives, row, strict=True)
        for column, native, cell in cells:
            column.append(None if cell is None else native(cell))
        self._file.rows += 1
        if len(self._columns[0]) == ROW_GROUP_ROWS:
            self._write_group()

    def finish(self) -> FileFacts:
        if self._columns[0]:
            self._write_group()
        self._writer.close()
        return self._file.finish()

    def _write_group(self) -> None:
        arrays = [
            pa.array(column, type=one.type) for column, one in zip(self._columns, self._schema, strict=True)
        ]
        self._writer.write_table(
            pa.Table.from_arrays(arrays, schema=self._schema), row_group_size=ROW_GROUP_ROWS
        )
        for column in self._columns:
            column.clear()


class _Sink:
    """What pyarrow writes its bytes to; it asks for the position and for nothing that came before."""

    closed = False

    def __init__(self, file: NewFile) -> None:
        self._file = file
        self._position = 0

    def write(self, data: bytes) -> int:
        content = bytes(data)
        self._file.write(content)
        self._position += len(content)
        return len(content)

    def tell(self) -> int:
        return self._position

    def flush(self) -> None:
        """Leave it to `NewFile.finish`."""

    def close(self) -> None:
        """Leave it to `NewFile`."""
