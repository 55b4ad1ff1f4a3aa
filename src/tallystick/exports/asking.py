"""Asking for an export: refuse what can't be made, pin the part of the log, put it on record with its job."""

from datetime import UTC, datetime
from typing import Final

from sqlalchemy import Connection

from tallystick import events, jobs, participants, signing
from tallystick.core.clock import Clock
from tallystick.core.ids import new_id
from tallystick.exports import store
from tallystick.exports.account_statement import pinned_statement
from tallystick.exports.arguments import STATEMENT_FORMATS, checked_arguments
from tallystick.exports.evidence import pinned_evidence
from tallystick.exports.records import (
    OPEN_STATES,
    Export,
    ExportArguments,
    ExportClosedError,
    ExportFormat,
    ExportNotAllowedError,
    ExportPeriodInvalidError,
    ExportsBusyError,
    ExportScopeInvalidError,
    ExportState,
    Pinned,
    Vouching,
)
from tallystick.jobs import Job
from tallystick.participants import Principal

__all__ = ["ask", "cancel", "job_of", "pin", "pinned_period"]

_TASK: Final = "exports"
# No log is older; years of fewer than four digits would not be read back as they were written.
_EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
# Of one issuer, waiting or being made.
_OPEN_MAX: Final = 100


def pin(
    connection: Connection, clock: Clock, viewer: Principal, arguments: ExportArguments, vouching: Vouching
) -> Pinned:
    """Return the arguments with the part of the log that they stand for now, which makes an export repeatable.

    `vouching` is for evidence packs, whose manifest is signed. Raises ExportNotAllowedError, ExportPeriodInvalidError,
    ExportOptionsInvalidError, ExportFormatUnavailableError, AccountNotFoundError,
    ExportScopeInvalidError, TokenClassNotFoundError, HolderNotFoundError, SigningKeyUnavailableError, and for a
    holder's pack CheckpointNotFoundError.
    """
    _check_holder(connection, viewer, arguments)
    now = clock.now()
    arguments = checked_arguments(arguments, now)
    issuer_id = viewer.issuer_id
    _check_period(now, arguments.booked_after, arguments.booked_until)
    is_evidence = arguments.format == ExportFormat.EVIDENCE
    if arguments.token_class_id is not None:
        if is_evidence:
            raise ExportScopeInvalidError
        participants.token_class(connection, issuer_id, arguments.token_class_id)
    if arguments.options.handed_off is not None:
        return Pinned(arguments, 0, arguments.options.handed_off.known_index)
    pinned = pinned_period(connection, issuer_id, arguments, now)
    if is_evidence:
        signer = signing.load_signer(connection, issuer_id, vouching.key_directory)
        return pinned_evidence(connection, issuer_id, pinned, signer.key_id, vouching)
    return pinned_statement(connection, viewer, pinned) if arguments.format in STATEMENT_FORMATS else pinned


def pinned_period(
    connection: Connection, issuer_id: str, arguments: ExportArguments, now: datetime
) -> Pinned:
    """Return the arguments with the part of the log that their period is; raises ExportPeriodInvalidError."""
    after, until = arguments.booked_after, arguments.booked_until
    _check_period(now, after, until)
    return Pinned(
        arguments,
        0 if after is None else events.index_as_of(connection, issuer_id, after) + 1,
        events.last_index(connection, issuer_id)
        if until is None
        else events.index_as_of(connection, issuer_id, until),
    )


def _check_holder(connection: Connection, viewer: Principal, arguments: ExportArguments) -> None:
    if arguments.options.holder_id is None:
        if not viewer.sees_whole_issuer:
            raise ExportNotAllowedError
        return
    if arguments.format != ExportFormat.EVIDENCE:
        raise ExportScopeInvalidError("An export for one holder is an evidence pack.")
    participants.holder(connection, viewer, arguments.options.holder_id)


def ask(connection: Connection, clock: Clock, viewer: Principal, pinned: Pinned) -> Export:
    """Put an export on record, to be made by a worker; raises ExportsBusyError and DatabaseUnavailableError."""
    if store.count_open(connection, viewer.issuer_id) >= _OPEN_MAX:
        raise ExportsBusyError
    asked = Export(viewer.issuer_id, new_id("export"), pinned, viewer.id, clock.now())
    store.insert_export(connection, asked)
    jobs.defer(connection, job_of(asked.issuer_id, asked.id))
    return asked


def cancel(connection: Connection, clock: Clock, asked: Export, reason: str) -> None:
    """Give an export up that is not finished; whoever is making it stops within a second or so.

    Whoever may see it may: that it was cancelled, by whom and why, stays on record. Raises ExportClosedError.
    """
    cancelled = store.update_run(
        connection,
        asked.issuer_id,
        asked.id,
        was=OPEN_STATES,
        state=ExportState.CANCELLED.value,
        ended_at=clock.now(),
        failure_code="export_cancelled",
        failure_reason=reason,
    )
    if cancelled is None:
        raise ExportClosedError


def job_of(issuer_id: str, export_id: str) -> Job:
    """Return the job that makes an export."""
    return Job(_TASK, issuer_id, export_id)


def _check_period(now: datetime, after: datetime | None, until: datetime | None) -> None:
    if until is not None and until > now:
        raise ExportPeriodInvalidError("The period must have ended; without an end it ends now.")
    if min(after or now, until or now) < _EARLIEST:
        raise ExportPeriodInvalidError(
            "Neither end may lie before 1970; without a beginning the period begins with the log."
        )
    if after is not None and after > (until or now):
        raise ExportPeriodInvalidError("The period must end after it begins.")
