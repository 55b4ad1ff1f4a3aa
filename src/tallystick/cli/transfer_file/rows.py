"""Reading a file of transfers: strict CSV (RFC 4180, UTF-8) in constant memory, each row checked as the API would."""

import csv
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TextIO

import orjson
from pydantic import ValidationError

from tallystick.api.bodies import checked_key
from tallystick.api.transfers import BatchItem
from tallystick.cli.report import CommandRefusedError
from tallystick.core.errors import DomainError

__all__ = ["BATCH_ROWS_MAX", "Row", "Survey", "batches", "read_rows", "survey"]

BATCH_ROWS_MAX: Final = 1_000
# The service reads bodies of up to 1 MiB; long references reach that before a thousand rows.
_BATCH_SIZE_MAX_BYTES: Final = 900_000
_REQUIRED: Final = ("payer_account_id", "payee_account_id", "amount", "currency")
_OPTIONAL: Final = ("reference", "idempotency_key")
_READ_BYTES: Final = 1_048_576


@dataclass(frozen=True, slots=True)
class Survey:
    """What a file is, before anything of it is sent: how many rows, and the SHA-256 of its bytes in hexadecimal."""

    rows: int
    file_hash: str


@dataclass(frozen=True, slots=True)
class Row:
    """One transfer, numbered from 1. A row that can't be a transfer has a `refusal` and is never sent."""

    number: int
    key: str
    item: Mapping[str, str]
    refusal: tuple[str, str] | None = None

    @property
    def size_bytes(self) -> int:
        """How much of a batch's body it takes."""
        return len(orjson.dumps(self.item)) + 1


def survey(path: Path) -> Survey:
    """Read the whole file once, so that a damaged one is refused before its first row is sent.

    Raises CommandRefusedError `file_malformed`, and OSError where the file can't be read.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_READ_BYTES):
            digest.update(block)
    rows = 0
    for _ in _cells(path):
        rows += 1
    if rows == 0:
        raise CommandRefusedError("file_malformed", "The file has no rows.")
    return Survey(rows, digest.hexdigest())


def read_rows(path: Path, file_hash: str) -> Iterator[Row]:
    """Yield the file's rows; a key that stands twice in a file is refused the second time."""
    seen: set[bytes] = set()
    for number, cells in enumerate(_cells(path), 1):
        row = _row(number, cells, file_hash)
        mark = hashlib.sha256(row.key.encode()).digest()[:16]
        if row.refusal is None and mark in seen:
            row = _refused(row, "idempotency_key_repeated", "An earlier row of the file has this key.")
        seen.add(mark)
        yield row


def batches(rows: Iterator[Row]) -> Iterator[list[Row]]:
    """Yield rows in order, as many at a time as one request may hold."""
    batch: list[Row] = []
    size_bytes = 0
    for row in rows:
        if batch and (len(batch) == BATCH_ROWS_MAX or size_bytes + row.size_bytes > _BATCH_SIZE_MAX_BYTES):
            yield batch
            batch, size_bytes = [], 0
        batch.append(row)
        size_bytes += row.size_bytes
    if batch:
        yield batch


def _cells(path: Path) -> Iterator[dict[str, str] | None]:
    """Yield each row's cells by column; None for a row with too many or too few."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        try:
            yield from _read_cells(file)
        except (csv.Error, UnicodeDecodeError) as error:
            reason = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
            raise CommandRefusedError("file_malformed", f"The file is no CSV: {reason}.") from None


def _read_cells(file: TextIO) -> Iterator[dict[str, str] | None]:
    reader = csv.reader(file, strict=True)
    header = next(reader, [])
    if len(set(header)) != len(header) or not set(_REQUIRED) <= set(header) <= {*_REQUIRED, *_OPTIONAL}:
        raise CommandRefusedError(
            "file_malformed",
            f"The first line names the columns, parted by commas: {', '.join(_REQUIRED)}, and if you like "
            f"{', '.join(_OPTIONAL)}.",
        )
    for cells in reader:
        if cells:
            yield dict(zip(header, cells, strict=True)) if len(cells) == len(header) else None


def _row(number: int, cells: dict[str, str] | None, file_hash: str) -> Row:
    own_key = "" if cells is None else cells.get("idempotency_key", "")
    key = own_key or f"file-{file_hash}-{number}"
    if cells is None:
        row = Row(number, key, {})
        return _refused(row, "row_malformed", "The row has more or fewer cells than the first line.")
    item = {name: cells[name] for name in _REQUIRED}
    if cells.get("reference"):
        item["reference"] = cells["reference"]
    row = Row(number, key, {**item, "idempotency_key": key})
    try:
        checked_key(key)
        BatchItem.model_validate(row.item)
    except DomainError as error:
        return _refused(row, error.code, error.detail)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        return _refused(row, "row_malformed", "; ".join(f"{one['loc'][0]}: {one['msg']}" for one in found))
    if any("\0" in text for text in row.item.values()):
        return _refused(row, "row_malformed", "A cell holds the character U+0000.")
    return row


def _refused(row: Row, code: str, detail: str) -> Row:
    return Row(row.number, row.key, row.item, (code, detail))
