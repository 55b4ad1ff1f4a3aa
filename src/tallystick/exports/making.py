"""Making an export that was asked for: hold it, write its files from one snapshot, and record what was made.

Whoever makes one holds it by a lock of the transaction that reads the books. A worker that dies therefore lets go of it
at once, and leaves a folder that nobody serves; the next one begins anew, and since everything is pinned, writes the
same bytes. Two can't make the same one at a time.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from tallystick import participants, signing, tokens
from tallystick.core.database import OutcomeUnknownError
from tallystick.core.durable_files import write_durably
from tallystick.core.errors import DomainError, InvariantError, UnavailableError
from tallystick.exports import store
from tallystick.exports.evidence import write_evidence
from tallystick.exports.folders import publish, put_back, storage, working_folder
from tallystick.exports.formats import write_format
from tallystick.exports.holder_packs import write_holder_pack
from tallystick.exports.logging_packs import log_pack
from tallystick.exports.manifest import (
    MANIFEST_MEDIA_TYPE,
    MANIFEST_NAME,
    SIGNATURE_NAME,
    ControlTotals,
    build_manifest,
    manifest_bytes,
)
from tallystick.exports.progress import watched
from tallystick.exports.reading import rows_to_write, scope_of
from tallystick.exports.records import (
    OPEN_STATES,
    Export,
    ExportFailure,
    ExportKeyChangedError,
    ExportProgress,
    ExportResult,
    ExportsBusyError,
    ExportState,
    Workshop,
)
from tallystick.exports.written_by import check_writers

__all__ = ["Watching", "make", "make_again"]

_log: Final = logging.getLogger(__name__)

# Each keeps a connection and a thread busy for as long as it takes; the rest of the process must go on meanwhile.
_AGAIN_AT_A_TIME_MAX: Final = 2
_places: Final = threading.BoundedSemaphore(_AGAIN_AT_A_TIME_MAX)
# What fails this often because of the disk or the database, or kills its worker, is given up.
_ATTEMPTS_MAX: Final = 5
_TELL_SECONDS: Final = 1.0
_INTERRUPTED: Final = ExportFailure(
    "export_interrupted", "It was begun several times, and each time its worker ended before it."
)
_INCONSISTENT: Final = ExportFailure(
    "books_inconsistent",
    "The books or the log are not what they must be: nothing is exported before that is clear.",
)
_INTERNAL: Final = ExportFailure("internal_error", "The service itself failed; its log tells of it.")

#: Told how far an export is, about once a second.
Watching = Callable[[ExportProgress], None]


class _CancelledError(Exception):
    """The export was given up by a person."""


class _StoppedError(Exception):
    """The worker is to end; the export is left to the next one."""


def make(
    workshop: Workshop,
    issuer_id: str,
    export_id: str,
    *,
    stopping: Callable[[], bool] = lambda: False,
    watching: Watching | None = None,
    raising: bool = False,
) -> None:
    """Make an export if it is still to be made and nobody else is at it; however it ends, that is on record.

    With `raising`, for who waits for it, what it failed for is raised too, and it is not tried again; otherwise it
    goes back to those that wait when the database or the disk was away. Raises DatabaseUnavailableError and
    OutcomeUnknownError where that can't be put on record: then it is found again.
    """
    with workshop.database.read() as connection:
        if not store.hold(connection, issuer_id, export_id):
            return
        # Files may take longer to finish than a forgotten transaction is given.
        connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")
        run = _Run(workshop, issuer_id, export_id, stopping, watching)
        attempts = run.begin()
        if attempts is None:
            return
        if attempts > _ATTEMPTS_MAX:
            run.fail(_INTERRUPTED)
            return
        try:
            _attempt(connection, workshop, run)
        except _CancelledError:
            return
        except _StoppedError:
            run.leave(attempts_added=-1)
        except OutcomeUnknownError:
            # It may be finished: the next one to look finds out.
            raise
        except Exception as error:
            passes = isinstance(error, (UnavailableError, OperationalError))
            if passes and attempts < _ATTEMPTS_MAX and not raising:
                _log.warning("%s waits: %s", export_id, error)
                run.leave()
                return
            run.fail(_explained(export_id, error))
            if raising:
                raise


def make_again(workshop: Workshop, export: Export) -> None:
    """Make the files of a finished export again, from the part of the log that was pinned for it.

    Raises InvariantError, and leaves what is there, when they would not be the bytes of its manifest: then the books
    or the log have been changed since. Raises ExportsBusyError, and ExportWriterChangedError where a
    library has changed.
    """
    check_writers(export.pinned.arguments.format, export.manifest)
    with _place(), working_folder(workshop.directory) as folder:
        with workshop.database.read() as connection:
            manifest = _make_files(connection, workshop, export, folder)
        if manifest != export.manifest:
            raise InvariantError(f"{export.id} can't be made again as it was")
        assert export.result is not None
        _write_signature(folder, export.result.manifest_jws)
        with storage():
            put_back(folder, workshop.directory / export.id)


class _Run:
    """One attempt at an export, as its row tells of it. Every step is a transaction of its own."""

    def __init__(
        self,
        workshop: Workshop,
        issuer_id: str,
        export_id: str,
        stopping: Callable[[], bool],
        watching: Watching | None,
    ) -> None:
        self.issuer_id, self.export_id = issuer_id, export_id
        self._workshop = workshop
        self._stopping = stopping
        self._watching = watching
        self._rows: dict[str, int] = {}
        self._rows_to_write = 0
        self._tell_at_seconds = 0.0

    def begin(self) -> int | None:
        """Return the number of this attempt; None if the export is not to be made any more."""
        return self._update(
            *OPEN_STATES,
            attempts_added=1,
            state=ExportState.RUNNING.value,
            started_at=self._workshop.clock.now(),
            rows_written=0,
            rows_to_write=None,
            current_file=None,
        )

    def leave(self, *, attempts_added: int = 0) -> None:
        """Let it wait for another attempt."""
        self._update(ExportState.RUNNING, attempts_added=attempts_added, state=ExportState.PENDING.value)

    def fail(self, failure: ExportFailure) -> None:
        """Give it up."""
        self._update(
            ExportState.RUNNING,
            state=ExportState.FAILED.value,
            ended_at=self._workshop.clock.now(),
            failure_code=failure.code,
            failure_reason=failure.reason,
        )

    def finish(self, connection: Connection, result: ExportResult) -> None:
        """Record what was made, in the caller's transaction; raises _CancelledError if it was given up meanwhile."""
        rows = sum(one["rows"] for one in result.manifest["files"])
        finished = store.update_run(
            connection,
            self.issuer_id,
            self.export_id,
            was=(ExportState.RUNNING,),
            state=ExportState.FINISHED.value,
            ended_at=self._workshop.clock.now(),
            rows_written=rows,
            rows_to_write=rows,
            current_file=None,
        )
        if finished is None:
            raise _CancelledError
        store.insert_result(connection, self.issuer_id, self.export_id, result)

    def expect(self, rows_to_write: int) -> None:
        """Say about how many rows there will be."""
        self._rows_to_write = rows_to_write

    def wrote(self, name: str, rows: int) -> None:
        """Take note of a file's rows; about once a second put it on record, and see whether to go on."""
        self._rows[name] = rows
        now_seconds = time.monotonic()
        if now_seconds < self._tell_at_seconds:
            return
        self._tell_at_seconds = now_seconds + _TELL_SECONDS
        if self._stopping():
            raise _StoppedError
        written = sum(self._rows.values())
        progress = ExportProgress(written, max(self._rows_to_write, written), name)
        if self._update(ExportState.RUNNING, **progress._asdict()) is None:
            raise _CancelledError
        if self._watching is not None:
            self._watching(progress)

    def _update(self, *was: ExportState, attempts_added: int = 0, **values: Any) -> int | None:
        return self._workshop.database.run(
            lambda connection: store.update_run(
                connection,
                self.issuer_id,
                self.export_id,
                was=was,
                attempts_added=attempts_added,
                **values,
            )
        )


def _attempt(connection: Connection, workshop: Workshop, run: _Run) -> None:
    found = store.read_export(connection, run.issuer_id, run.export_id)
    assert found is not None
    with working_folder(workshop.directory) as folder:
        with watched(run.wrote):
            run.expect(rows_to_write(connection, found.issuer_id, found.pinned))
            manifest = _make_files(connection, workshop, found, folder)
        manifest_jws = _signature(connection, workshop, found, manifest)
        _write_signature(folder, manifest_jws)
        workshop.database.run(lambda writing: _record(writing, workshop, run, found, manifest, manifest_jws))
        try:
            publish(folder, workshop.directory / found.id)
        except OSError:
            # It is finished all the same: its files are made again when they are asked for.
            _log.exception("the files of %s could not be put in place", found.id)


def _record(
    writing: Connection,
    workshop: Workshop,
    run: _Run,
    export: Export,
    manifest: dict[str, Any],
    manifest_jws: str | None,
) -> None:
    """Record what was made; a pack's event is in the log with it, or neither is."""
    event_index = None
    if manifest_jws is not None:
        event_index = log_pack(writing, workshop, export, manifest)
    run.finish(writing, ExportResult(manifest, manifest_jws, event_index))


def _explained(export_id: str, error: Exception) -> ExportFailure:
    if isinstance(error, DomainError):
        return ExportFailure(error.code, error.detail)
    if isinstance(error, InvariantError):
        _log.critical("%s can't be made", export_id, exc_info=error)
        return _INCONSISTENT
    _log.error("%s failed", export_id, exc_info=error)
    return _INTERNAL


@contextmanager
def _place() -> Iterator[None]:
    if not _places.acquire(blocking=False):
        raise ExportsBusyError
    try:
        yield
    finally:
        _places.release()


def _signature(
    connection: Connection, workshop: Workshop, export: Export, manifest: dict[str, Any]
) -> str | None:
    evidence = export.pinned.evidence
    if evidence is None:
        return None
    signer = signing.load_signer(connection, export.issuer_id, workshop.vouching.key_directory)
    if signer.key_id != evidence.export_key_id:
        raise ExportKeyChangedError
    return signing.sign_compact(signer, manifest_bytes(manifest), media_type=MANIFEST_MEDIA_TYPE)


def _write_signature(folder: Path, manifest_jws: str | None) -> None:
    if manifest_jws is not None:
        with storage():
            write_durably(folder / SIGNATURE_NAME, manifest_jws)


def _make_files(connection: Connection, workshop: Workshop, export: Export, folder: Path) -> dict[str, Any]:
    # Whoever asked for it may be anybody by now: what an export tells follows from its arguments alone.
    reader = tokens.system_principal(export.issuer_id, export.created_at)
    pinned = export.pinned
    scope = scope_of(connection, reader, pinned)
    issuer = participants.issuer(connection, reader, export.issuer_id)
    totals: ControlTotals
    with storage():
        if pinned.evidence is not None and pinned.arguments.options.holder_id is not None:
            files, totals = write_holder_pack(connection, scope, folder, pinned.evidence, workshop.vouching)
        elif pinned.evidence is not None:
            until = pinned.arguments.booked_until or export.created_at
            files, totals = write_evidence(
                connection, scope, folder, pinned.evidence, workshop.read_runs, until
            )
        else:
            files, totals = write_format(connection, issuer, scope, folder, pinned)
        manifest = build_manifest(issuer, pinned, files, totals)
        write_durably(folder / MANIFEST_NAME, manifest_bytes(manifest).decode())
    return manifest
