"""Exports: the books and the log of a period as files that can be made again, byte for byte, and checked by hash.

An export is asked for, which pins what it covers, and made by a worker. What a file says follows from the pinned
arguments alone. The files are written in constant memory from one snapshot of the database; on disk they are a copy
that may be lost, for they are made again when they are asked for.
"""

import time
from typing import Final

from sqlalchemy import Connection

from tallystick.exports import store
from tallystick.exports.arguments import (
    SAMPLE_SIZE_MAX,
    SEED_LENGTH_MAX,
    ExportFormatLimitError,
    ExportFormatUnavailableError,
    ExportOptionsInvalidError,
)
from tallystick.exports.asking import ask, pin
from tallystick.exports.asking import cancel as cancel_asked
from tallystick.exports.folders import holds, storage
from tallystick.exports.general_ledger import canonical_line
from tallystick.exports.making import Watching, make, make_again
from tallystick.exports.manifest import files_of
from tallystick.exports.options import ExportOptions, HandedOff, LedgerDetail, SampleMethod
from tallystick.exports.records import (
    OPEN_STATES,
    Export,
    ExportArguments,
    ExportClosedError,
    ExportFailure,
    ExportFile,
    ExportFileNotFoundError,
    ExportFormat,
    ExportKeyChangedError,
    ExportNotAllowedError,
    ExportNotFinishedError,
    ExportNotFoundError,
    ExportPeriodInvalidError,
    ExportProgress,
    ExportResult,
    ExportsBusyError,
    ExportScopeInvalidError,
    ExportState,
    ExportStorageError,
    FileFacts,
    Vouching,
    Workshop,
)
from tallystick.exports.statements_at_once import (
    MOVEMENTS_MAX,
    AccountStatementTooLongError,
    StatementFile,
    statement_at_once,
)
from tallystick.exports.working import ExportWorker, defer_forgotten, make_open
from tallystick.exports.written_by import ExportWriterChangedError
from tallystick.participants import Principal

__all__ = [
    "MOVEMENTS_MAX",
    "OPEN_STATES",
    "SAMPLE_SIZE_MAX",
    "SEED_LENGTH_MAX",
    "AccountStatementTooLongError",
    "Export",
    "ExportArguments",
    "ExportClosedError",
    "ExportFailure",
    "ExportFile",
    "ExportFileNotFoundError",
    "ExportFormat",
    "ExportFormatLimitError",
    "ExportFormatUnavailableError",
    "ExportKeyChangedError",
    "ExportNotAllowedError",
    "ExportNotFinishedError",
    "ExportNotFoundError",
    "ExportOptions",
    "ExportOptionsInvalidError",
    "ExportPeriodInvalidError",
    "ExportProgress",
    "ExportResult",
    "ExportScopeInvalidError",
    "ExportState",
    "ExportStorageError",
    "ExportWorker",
    "ExportWriterChangedError",
    "ExportsBusyError",
    "FileFacts",
    "HandedOff",
    "LedgerDetail",
    "SampleMethod",
    "StatementFile",
    "Vouching",
    "Watching",
    "Workshop",
    "ask",
    "cancel",
    "canonical_line",
    "create_export",
    "defer_forgotten",
    "export",
    "export_file",
    "exports",
    "make",
    "make_open",
    "pin",
    "statement_at_once",
]

_LOOK_SECONDS: Final = 0.2


def create_export(
    workshop: Workshop, viewer: Principal, arguments: ExportArguments, watching: Watching | None = None
) -> Export:
    """Ask for an export and make it here, or wait for the worker that came first; return it as it ended.

    Its files are in the workshop's directory then. Raises what `pin`, `ask` and the making raise.
    """
    with workshop.database.read() as connection:
        pinned = pin(connection, workshop.clock, viewer, arguments, workshop.vouching)
    asked = workshop.database.run(lambda connection: ask(connection, workshop.clock, viewer, pinned))
    while True:
        make(workshop, asked.issuer_id, asked.id, watching=watching, raising=True)
        with workshop.database.read() as connection:
            ended = export(connection, viewer, asked.id)
        if ended.state not in OPEN_STATES:
            break
        if watching is not None:
            watching(ended.progress)
        time.sleep(_LOOK_SECONDS)
    if ended.state == ExportState.FINISHED:
        _put_in_place(workshop, ended)
    return ended


def export(connection: Connection, viewer: Principal, export_id: str) -> Export:
    """Return one export of the viewer's issuer, or raise ExportNotFoundError.

    Those who don't see the whole issuer see what they asked for themselves.
    """
    found = store.read_export(connection, viewer.issuer_id, export_id)
    if found is None or not (viewer.sees_whole_issuer or found.requested_by == viewer.id):
        raise ExportNotFoundError
    return found


def exports(connection: Connection, viewer: Principal, *, after: str = "", limit: int = 100) -> list[Export]:
    """Return a page of the exports that `viewer` may know of, oldest first."""
    asked_by = None if viewer.sees_whole_issuer else viewer.id
    return store.read_exports(connection, viewer.issuer_id, after, limit, asked_by)


def cancel(
    connection: Connection, workshop: Workshop, viewer: Principal, export_id: str, reason: str
) -> Export:
    """Give up an export that is not finished, and return it.

    Raises ExportNotFoundError and ExportClosedError.
    """
    cancel_asked(connection, workshop.clock, export(connection, viewer, export_id), reason)
    return export(connection, viewer, export_id)


def export_file(workshop: Workshop, viewer: Principal, export_id: str, name: str) -> ExportFile:
    """Return where a file of an export lies, having checked its bytes; make it again if it is lost or damaged.

    Raises ExportNotFoundError, ExportNotFinishedError, ExportFileNotFoundError, ExportsBusyError, ExportStorageError,
    and InvariantError when the books no longer yield the bytes of the manifest.
    """
    with workshop.database.read() as connection:
        found = export(connection, viewer, export_id)
    facts = files_of(found).get(name)
    if facts is None:
        raise ExportFileNotFoundError
    path = workshop.directory / found.id / name
    with storage():
        whole = holds(path, facts)
    if not whole:
        make_again(workshop, found)
    return ExportFile(path, facts)


def _put_in_place(workshop: Workshop, ended: Export) -> None:
    """A worker that came first put the files where its own directory is."""
    folder = workshop.directory / ended.id
    with storage():
        whole = all(holds(folder / name, facts) for name, facts in files_of(ended).items())
    if not whole:
        make_again(workshop, ended)
