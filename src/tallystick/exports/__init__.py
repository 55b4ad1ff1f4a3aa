"""Exports: the books and the log of a period as files that can be made again, byte for byte, and checked by hash.

What a file says follows from the export's pinned arguments alone. The files are written in constant memory from one
snapshot of the database; on disk they are a copy that may be lost, for they are made again when they are asked for.
"""

from pathlib import Path

from sqlalchemy import Connection

from tallystick.core.clock import Clock
from tallystick.core.database import Database
from tallystick.exports import store
from tallystick.exports.arguments import (
    SAMPLE_SIZE_MAX,
    SEED_LENGTH_MAX,
    ExportFormatLimitError,
    ExportFormatUnavailableError,
    ExportOptionsInvalidError,
)
from tallystick.exports.folders import holds, storage
from tallystick.exports.making import PreparedExport, make_again, prepared_export
from tallystick.exports.manifest import files_of
from tallystick.exports.options import ExportOptions, LedgerDetail, SampleMethod
from tallystick.exports.records import (
    Export,
    ExportArguments,
    ExportFile,
    ExportFileNotFoundError,
    ExportFormat,
    ExportNotAllowedError,
    ExportNotFoundError,
    ExportPeriodInvalidError,
    ExportsBusyError,
    ExportScopeInvalidError,
    ExportStorageError,
    FileFacts,
    Vouching,
)
from tallystick.exports.written_by import ExportWriterChangedError
from tallystick.participants import Principal

__all__ = [
    "SAMPLE_SIZE_MAX",
    "SEED_LENGTH_MAX",
    "Export",
    "ExportArguments",
    "ExportFile",
    "ExportFileNotFoundError",
    "ExportFormat",
    "ExportFormatLimitError",
    "ExportFormatUnavailableError",
    "ExportNotAllowedError",
    "ExportNotFoundError",
    "ExportOptions",
    "ExportOptionsInvalidError",
    "ExportPeriodInvalidError",
    "ExportScopeInvalidError",
    "ExportStorageError",
    "ExportWriterChangedError",
    "ExportsBusyError",
    "FileFacts",
    "LedgerDetail",
    "PreparedExport",
    "SampleMethod",
    "Vouching",
    "create_export",
    "export",
    "export_file",
    "exports",
    "prepared_export",
    "record_export",
]


def create_export(
    database: Database,
    clock: Clock,
    viewer: Principal,
    arguments: ExportArguments,
    directory: Path,
    vouching: Vouching,
) -> Export:
    """Make an export, record it, and put its files into `directory`/<export id>; its manifest lies beside them.

    Raises what `prepared_export` and `Database.run` raise.
    """
    with prepared_export(database, clock, viewer, arguments, directory, vouching) as prepared:
        database.run(lambda connection: record_export(connection, prepared.export))
        prepared.publish()
    return prepared.export


def record_export(connection: Connection, made: Export) -> None:
    """Put a prepared export on record."""
    store.insert_export(connection, made)


def export(connection: Connection, viewer: Principal, export_id: str) -> Export:
    """Return one export of the viewer's issuer, or raise ExportNotFoundError."""
    found = store.read_export(connection, viewer.issuer_id, export_id) if viewer.sees_whole_issuer else None
    if found is None:
        raise ExportNotFoundError
    return found


def exports(connection: Connection, viewer: Principal, *, after: str = "", limit: int = 100) -> list[Export]:
    """Return a page of the issuer's exports, oldest first; nothing to those who don't see the whole issuer."""
    if not viewer.sees_whole_issuer:
        return []
    return store.read_exports(connection, viewer.issuer_id, after, limit)


def export_file(
    database: Database, viewer: Principal, export_id: str, name: str, directory: Path
) -> ExportFile:
    """Return where a file of an export lies, having checked its bytes; make it again if it is lost or damaged.

    Raises ExportNotFoundError, ExportFileNotFoundError, ExportsBusyError, ExportStorageError, and InvariantError when
    the books no longer yield the bytes of the manifest.
    """
    with database.read() as connection:
        found = export(connection, viewer, export_id)
    facts = files_of(found).get(name)
    if facts is None:
        raise ExportFileNotFoundError
    path = directory / found.id / name
    with storage():
        whole = holds(path, facts)
    if not whole:
        make_again(database, viewer, found, directory)
    return ExportFile(path, facts)
