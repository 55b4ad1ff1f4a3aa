"""Making an export: pin the part of the log, read it in one snapshot, write the files, and only then record it."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection

from tallystick import events, participants, signing
from tallystick.core.clock import Clock
from tallystick.core.database import Database
from tallystick.core.durable_files import write_durably
from tallystick.core.errors import InvariantError
from tallystick.core.ids import new_id
from tallystick.exports.account_statement import pinned_statement
from tallystick.exports.arguments import STATEMENT_FORMATS, checked_arguments
from tallystick.exports.evidence import pinned_evidence, write_evidence
from tallystick.exports.folders import publish, put_back, storage, working_folder
from tallystick.exports.formats import write_format
from tallystick.exports.manifest import (
    MANIFEST_MEDIA_TYPE,
    MANIFEST_NAME,
    SIGNATURE_NAME,
    ControlTotals,
    build_manifest,
    manifest_bytes,
)
from tallystick.exports.reading import scope_of
from tallystick.exports.records import (
    Export,
    ExportArguments,
    ExportFormat,
    ExportNotAllowedError,
    ExportPeriodInvalidError,
    ExportsBusyError,
    ExportScopeInvalidError,
    Pinned,
    Vouching,
)
from tallystick.exports.written_by import check_writers
from tallystick.participants import Principal
from tallystick.signing import Signer

__all__ = ["PreparedExport", "make_again", "prepared_export"]

_log: Final = logging.getLogger(__name__)

# Each keeps a connection and a thread busy for as long as it takes; the rest of the process must go on meanwhile.
_AT_A_TIME_MAX: Final = 2
_places: Final = threading.BoundedSemaphore(_AT_A_TIME_MAX)
# No log is older; years of fewer than four digits would not be read back as they were written.
_EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class PreparedExport:
    """An export whose files are finished and that is not on record yet."""

    export: Export
    folder: Path
    directory: Path

    def publish(self) -> None:
        """Put the files where they are served from, once the export is on record.

        Should that fail the export stands all the same: its files are made again when they are asked for.
        """
        try:
            publish(self.folder, self.directory / self.export.id)
        except OSError:
            _log.exception("the files of %s could not be put in place", self.export.id)


@contextmanager
def prepared_export(
    database: Database,
    clock: Clock,
    viewer: Principal,
    arguments: ExportArguments,
    directory: Path,
    vouching: Vouching,
) -> Iterator[PreparedExport]:
    """Make an export's files and yield it, to be recorded and then published; else they are removed at the end.

    No transaction is open while they wait for that. `vouching` is for evidence packs, whose manifest is signed.
    Raises ExportNotAllowedError, ExportPeriodInvalidError, ExportScopeInvalidError, ExportOptionsInvalidError,
    ExportFormatUnavailableError, ExportFormatLimitError, TokenClassNotFoundError, AccountNotFoundError,
    ExportsBusyError, ExportStorageError, SigningKeyUnavailableError, DatabaseUnavailableError, and InvariantError when
    the log has a gap.
    """
    if not viewer.sees_whole_issuer:
        raise ExportNotAllowedError
    with _place(), working_folder(directory) as folder:
        with database.read() as connection:
            pinned, signer = _pin(connection, clock, viewer, arguments), None
            if arguments.format == ExportFormat.EVIDENCE:
                signer = signing.load_signer(connection, viewer.issuer_id, vouching.key_directory)
                pinned = pinned_evidence(connection, viewer.issuer_id, pinned, signer.key_id, vouching)
            manifest = _make_files(connection, viewer, pinned, folder)
        if signer is not None:
            pinned = _signed(pinned, manifest, signer)
            _write_signature(folder, pinned)
        export = Export(viewer.issuer_id, new_id("export"), pinned, manifest, viewer.id, clock.now())
        yield PreparedExport(export, folder, directory)


def make_again(database: Database, viewer: Principal, export: Export, directory: Path) -> None:
    """Make the files of a recorded export again, from the part of the log that was pinned for it.

    Raises InvariantError, and leaves what is there, when they would not be the bytes of its manifest: then the books
    or the log have been changed since. ExportWriterChangedError comes first, where a library has changed.
    """
    check_writers(export.pinned.arguments.format, export.manifest)
    with _place(), working_folder(directory) as folder:
        with database.read() as connection:
            manifest = _make_files(connection, viewer, export.pinned, folder)
        if manifest != export.manifest:
            raise InvariantError(f"{export.id} can't be made again as it was")
        _write_signature(folder, export.pinned)
        with storage():
            put_back(folder, directory / export.id)


@contextmanager
def _place() -> Iterator[None]:
    if not _places.acquire(blocking=False):
        raise ExportsBusyError
    try:
        yield
    finally:
        _places.release()


def _signed(pinned: Pinned, manifest: dict[str, Any], signer: Signer) -> Pinned:
    assert pinned.evidence is not None
    jws = signing.sign_compact(signer, manifest_bytes(manifest), media_type=MANIFEST_MEDIA_TYPE)
    return replace(pinned, evidence=replace(pinned.evidence, manifest_jws=jws))


def _write_signature(folder: Path, pinned: Pinned) -> None:
    if pinned.evidence is not None:
        with storage():
            write_durably(folder / SIGNATURE_NAME, pinned.evidence.manifest_jws)


def _pin(connection: Connection, clock: Clock, viewer: Principal, arguments: ExportArguments) -> Pinned:
    now = clock.now()
    arguments = checked_arguments(arguments, now)
    after, until = arguments.booked_after, arguments.booked_until
    if arguments.format == ExportFormat.EVIDENCE and arguments.token_class_id is not None:
        raise ExportScopeInvalidError
    if until is not None and until > now:
        raise ExportPeriodInvalidError("The period must have ended; without an end it ends now.")
    if min(after or now, until or now) < _EARLIEST:
        raise ExportPeriodInvalidError(
            "Neither end may lie before 1970; without a beginning the period begins with the log."
        )
    if after is not None and after > (until or now):
        raise ExportPeriodInvalidError("The period must end after it begins.")
    issuer_id = viewer.issuer_id
    pinned = Pinned(
        arguments,
        0 if after is None else events.index_as_of(connection, issuer_id, after) + 1,
        events.last_index(connection, issuer_id)
        if until is None
        else events.index_as_of(connection, issuer_id, until),
    )
    return pinned_statement(connection, viewer, pinned) if arguments.format in STATEMENT_FORMATS else pinned


def _make_files(connection: Connection, viewer: Principal, pinned: Pinned, folder: Path) -> dict[str, Any]:
    scope = scope_of(connection, viewer, pinned)
    issuer = participants.issuer(connection, viewer, viewer.issuer_id)
    totals: ControlTotals
    with storage():
        if pinned.evidence is not None:
            files, totals = write_evidence(connection, scope, folder, pinned.evidence)
        else:
            files, totals = write_format(connection, issuer, scope, folder, pinned)
        manifest = build_manifest(issuer, pinned, files, totals)
        write_durably(folder / MANIFEST_NAME, manifest_bytes(manifest).decode())
    return manifest
