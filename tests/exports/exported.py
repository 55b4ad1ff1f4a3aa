"""What the tests of exports share: a bank with three busy days in two currencies, and exports read back."""

import csv
import hashlib
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from tallystick.api.pack_runs import read_runs
from tallystick.exports import (
    Export,
    ExportArguments,
    ExportFormat,
    ExportOptions,
    Vouching,
    Workshop,
    ask,
    create_export,
    pin,
)
from tallystick.transparency import NO_WITNESSES, DatabaseTiles
from tests.bank import OPENED_AT, Bank

__all__ = [
    "DAYS",
    "as_told",
    "ask_for",
    "contents",
    "csv_rows",
    "export_of",
    "json_rows",
    "live_three_days",
    "needed",
    "workshop",
]

# The moment that each day's business is booked at.
DAYS: Final = tuple(OPENED_AT + timedelta(days=number) for number in range(3))


def live_three_days(bank: Bank) -> None:
    """Do something of every kind, in two currencies; the clock then stands a day behind the last day."""
    bank.mint("HARBOUR-USD", "1000.00")
    bank.transfer("HARBOUR-USD", "LANTERN-USD", "400.00")
    bank.clock.at = DAYS[1]
    bank.mint("NORTHWIND-EUR", "250.50")
    bank.transfer("NORTHWIND-EUR", "HARBOUR-EUR", "0.01")
    hold = bank.hold("LANTERN-USD", "SILKROAD-USD", "50.00")
    bank.clock.at = DAYS[2]
    bank.execute_hold(hold, "20.00")
    bank.redeem("HARBOUR-USD", "5.00")
    bank.release_deposit("HARBOUR-USD", "5.00")
    bank.freeze("NORTHWIND-EUR")
    bank.clock.at = DAYS[2] + timedelta(days=1)


def workshop(bank: Bank, directory: Path) -> Workshop:
    """What the bank's exports are made with: its keys, tiles in the database, and no witnesses."""
    vouching = Vouching(bank.key_directory, DatabaseTiles(), NO_WITNESSES)
    return Workshop(bank.database, bank.clock, bank.settler, vouching, directory, read_runs)


def ask_for(bank: Bank, export_format: ExportFormat = ExportFormat.CSV) -> Export:
    """Ask for an export as the bank's auditor; nobody makes it yet."""
    asking = workshop(bank, Path("nowhere"))
    with bank.database.read() as connection:
        pinned = pin(connection, bank.clock, bank.auditor, ExportArguments(export_format), asking.vouching)
    return bank.database.run(lambda connection: ask(connection, bank.clock, bank.auditor, pinned))


def export_of(
    bank: Bank,
    directory: Path,
    export_format: ExportFormat = ExportFormat.CSV,
    *,
    after: datetime | None = None,
    until: datetime | None = None,
    token_class_id: str | None = None,
    **options: Any,
) -> Export:
    """Export as the bank's auditor; `options` are those of ExportOptions."""
    return create_export(
        workshop(bank, directory),
        bank.auditor,
        ExportArguments(export_format, after, until, token_class_id, ExportOptions(**options)),
    )


def needed(bank: Bank, export_format: ExportFormat) -> dict[str, Any]:
    """Return the options that a format can't do without."""
    if export_format in {ExportFormat.PDF, ExportFormat.CAMT053}:
        return {"account_id": bank.account_id("HARBOUR-USD")}
    if export_format in {ExportFormat.GL_CSV, ExportFormat.GL_JSONL}:
        return {"business_date": (bank.clock.at - timedelta(days=1)).date()}
    return {}


def contents(directory: Path, export: Export) -> dict[str, bytes]:
    """Return every file of an export by name, once the manifest's hashes have been found right."""
    found = {one.name: one.read_bytes() for one in (directory / export.id).iterdir()}
    manifest = json.loads(found["manifest.json"])
    assert manifest == export.manifest
    signed = {"manifest.jws"} if export.pinned.evidence else set()
    assert {one["name"] for one in manifest["files"]} == set(found) - {"manifest.json"} - signed
    for one in manifest["files"]:
        content = found[one["name"]]
        assert (one["bytes"], one["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    return found


def csv_rows(content: bytes) -> list[dict[str, str]]:
    """Return a CSV file's rows by column, a key's id as it is."""
    rows = list(csv.DictReader(content.decode().splitlines(keepends=True), strict=True))
    return [{name: as_told(name, cell) for name, cell in row.items()} for row in rows]


def as_told(column: str, cell: Any) -> Any:
    """Return a spreadsheet's cell without its guard, if it is a key's id: one of 64 begins like a formula."""
    return cell.removeprefix("'") if column == "key_id" and cell is not None else cell


def json_rows(content: bytes) -> list[dict[str, Any]]:
    """Return a JSON Lines file's rows."""
    return [json.loads(line) for line in content.splitlines()]
