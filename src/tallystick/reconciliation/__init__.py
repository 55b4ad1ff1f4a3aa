"""Reconciliation: log, balances, books, register and bank, compared to the minor unit, and each break by its name.

No run adjusts anything: a break is for people to look into, to correct or to write off, and a later run shows whether
it is gone.
"""

from datetime import datetime

from sqlalchemy import Connection

from tallystick.reconciliation import store
from tallystick.reconciliation.in_parts import NOTHING_VERIFIED, VerifiedLog
from tallystick.reconciliation.records import (
    ENDED_STATES,
    EXPLAINED_TYPES,
    ActionKind,
    AsOfInFutureError,
    Backing,
    Break,
    BreakAction,
    BreakFile,
    BreakState,
    BreakType,
    Evidence,
    Figures,
    Finding,
    Reconciliation,
    ReconciliationNotAllowedError,
    ReconciliationNotFoundError,
    Verdict,
)
from tallystick.reconciliation.refusals import (
    BreakBundledError,
    BreakChangedError,
    BreakEndedError,
    BreakEvidenceFullError,
    BreakEvidenceNotFoundError,
    BreakEvidenceTooLargeError,
    BreakNotFoundError,
    BreakOwnerUnfitError,
    BreakWorkNotAllowedError,
    CorrectionUnfitError,
)
from tallystick.reconciliation.replay import proven_payload
from tallystick.reconciliation.running import VerifiedEarlier, reconcile
from tallystick.reconciliation.working import (
    FILE_SIZE_MAX_BYTES,
    FILES_MAX,
    WORKERS,
    add_evidence,
    add_note,
    assign,
    evidence_content,
    explain,
    resolve,
)
from tallystick.reconciliation.writing_off import WRITE_OFF

__all__ = [
    "ENDED_STATES",
    "EXPLAINED_TYPES",
    "FILES_MAX",
    "FILE_SIZE_MAX_BYTES",
    "NOTHING_VERIFIED",
    "WORKERS",
    "WRITE_OFF",
    "ActionKind",
    "AsOfInFutureError",
    "Backing",
    "Break",
    "BreakAction",
    "BreakBundledError",
    "BreakChangedError",
    "BreakEndedError",
    "BreakEvidenceFullError",
    "BreakEvidenceNotFoundError",
    "BreakEvidenceTooLargeError",
    "BreakFile",
    "BreakNotFoundError",
    "BreakOwnerUnfitError",
    "BreakState",
    "BreakType",
    "BreakWorkNotAllowedError",
    "CorrectionUnfitError",
    "Evidence",
    "Figures",
    "Finding",
    "Reconciliation",
    "ReconciliationNotAllowedError",
    "ReconciliationNotFoundError",
    "Verdict",
    "VerifiedEarlier",
    "VerifiedLog",
    "actions",
    "add_evidence",
    "add_note",
    "assign",
    "break_",
    "breaks",
    "current_began_at",
    "evidence",
    "evidence_content",
    "explain",
    "findings",
    "proven_payload",
    "reconcile",
    "reconciliation",
    "reconciliations",
    "resolve",
]


def reconciliation(connection: Connection, issuer_id: str, reconciliation_id: str) -> Reconciliation:
    """Return one run or raise ReconciliationNotFoundError."""
    found = store.read_reconciliation(connection, issuer_id, reconciliation_id)
    if found is None:
        raise ReconciliationNotFoundError
    return found


def reconciliations(
    connection: Connection,
    issuer_id: str,
    *,
    token_class_id: str | None = None,
    after: str = "",
    limit: int = 100,
) -> list[Reconciliation]:
    """Return a page of runs, oldest first."""
    return store.read_reconciliations(connection, issuer_id, token_class_id, after, limit)


def current_began_at(connection: Connection, issuer_id: str) -> dict[str, datetime]:
    """Return by token class when its last run of the present began; classes without one are left out."""
    return store.read_current_began(connection, issuer_id)


def findings(
    connection: Connection, issuer_id: str, reconciliation_id: str, *, after: int = 0, limit: int = 100
) -> list[Finding]:
    """Return a page of what one run found, in its order, behind the finding numbered `after`."""
    return store.read_findings(connection, issuer_id, reconciliation_id, after, limit)


def breaks(
    connection: Connection,
    issuer_id: str,
    *,
    reconciliation_id: str | None = None,
    token_class_id: str | None = None,
    state: str | None = None,
    break_type: str | None = None,
    owner_id: str | None = None,
    overdue_at: datetime | None = None,
    after: str = "",
    limit: int = 100,
) -> list[Break]:
    """Return a page of breaks in the order in which they were first found.

    `reconciliation_id` keeps those that this run found, `overdue_at` those that wait and were due before that moment.
    """
    wanted = {
        "token_class_id": token_class_id,
        "state": state,
        "type": break_type,
        "owner_id": owner_id,
    }
    return store.read_breaks(
        connection,
        issuer_id,
        filters={name: value for name, value in wanted.items() if value is not None},
        reconciliation_id=reconciliation_id,
        overdue_at=overdue_at,
        after=after,
        limit=limit,
    )


def break_(connection: Connection, issuer_id: str, break_id: str) -> Break:
    """Return one break or raise BreakNotFoundError."""
    found = store.read_break(connection, issuer_id, break_id)
    if found is None:
        raise BreakNotFoundError
    return found


def actions(
    connection: Connection, issuer_id: str, break_id: str, *, after: int = 0, limit: int = 100
) -> list[BreakAction]:
    """Return a page of what happened to a break, oldest first."""
    return store.read_actions(connection, issuer_id, break_id, after, limit)


def evidence(connection: Connection, issuer_id: str, break_id: str) -> list[BreakFile]:
    """Return the files of a break, oldest first, without their content."""
    return store.read_files(connection, issuer_id, break_id)
