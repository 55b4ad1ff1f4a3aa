"""What people do about a break: who owns it, what explains it, what shows that, and which instruction corrects it.

Nothing here moves money or changes a difference: only a later run tells that a break is gone. Each step is kept
with who did it and when, and none is taken back.
"""

import hashlib
from dataclasses import replace
from typing import Final

from sqlalchemy import Connection

from tallystick import participants, tokens
from tallystick.core.clock import Clock
from tallystick.participants import Principal, PrincipalNotFoundError, Role
from tallystick.reconciliation import store
from tallystick.reconciliation.records import (
    ENDED_STATES,
    ActionKind,
    Break,
    BreakAction,
    BreakFile,
    BreakState,
)
from tallystick.reconciliation.refusals import (
    BreakEndedError,
    BreakEvidenceFullError,
    BreakEvidenceNotFoundError,
    BreakEvidenceTooLargeError,
    BreakNotFoundError,
    BreakOwnerUnfitError,
    BreakWorkNotAllowedError,
    CorrectionUnfitError,
)
from tallystick.tokens import State

__all__ = [
    "FILES_MAX",
    "FILE_SIZE_MAX_BYTES",
    "WORKERS",
    "add_evidence",
    "add_note",
    "assign",
    "evidence_content",
    "explain",
    "resolve",
    "take_action",
]

#: Who works on breaks.
WORKERS: Final = frozenset({Role.TREASURY_MAKER, Role.TREASURY_CHECKER, Role.OPERATOR})
FILE_SIZE_MAX_BYTES: Final = 5_242_880
FILES_MAX: Final = 20
_CORRECTED: Final = frozenset({State.SETTLED, State.HELD, State.EXECUTED, State.VOIDED})


def assign(
    connection: Connection, clock: Clock, actor: Principal, break_id: str, owner_id: str, *, note: str | None
) -> Break:
    """Give a break an owner, in place of whoever had it; the caller commits.

    Raises BreakNotFoundError, BreakWorkNotAllowedError, BreakEndedError and BreakOwnerUnfitError.
    """
    found = _waiting(connection, actor, break_id)
    try:
        owner = participants.principal(connection, actor.issuer_id, owner_id)
    except PrincipalNotFoundError:
        raise BreakOwnerUnfitError from None
    if owner.status != "active" or owner.roles.isdisjoint(WORKERS):
        raise BreakOwnerUnfitError
    state = BreakState.ASSIGNED if found.state == BreakState.OPEN else BreakState(found.state)
    after = replace(found, owner_id=owner.id, state=state.value)
    return take_action(connection, clock, actor.id, after, ActionKind.ASSIGNED, note, owner.id)


def explain(connection: Connection, clock: Clock, actor: Principal, break_id: str, explanation: str) -> Break:
    """Say what a break comes from; the difference stays, and so does the verdict. The caller commits.

    Raises BreakNotFoundError, BreakWorkNotAllowedError and BreakEndedError.
    """
    found = _waiting(connection, actor, break_id)
    after = replace(found, state=BreakState.EXPLAINED.value)
    return take_action(connection, clock, actor.id, after, ActionKind.EXPLAINED, explanation, None)


def add_note(connection: Connection, clock: Clock, actor: Principal, break_id: str, note: str) -> Break:
    """Add a note, at any time; the caller commits. Raises BreakNotFoundError and BreakWorkNotAllowedError."""
    found = _locked(connection, actor, break_id)
    return take_action(connection, clock, actor.id, found, ActionKind.NOTED, note, None)


def add_evidence(
    connection: Connection,
    clock: Clock,
    actor: Principal,
    break_id: str,
    *,
    name: str,
    media_type: str,
    content: bytes,
) -> tuple[Break, BreakFile]:
    """Put a file to a break; it is known by its SHA-256 and kept for ever. The caller commits.

    The same content again is the file that is there. Raises BreakNotFoundError, BreakWorkNotAllowedError,
    BreakEvidenceTooLargeError and BreakEvidenceFullError.
    """
    if not 0 < len(content) <= FILE_SIZE_MAX_BYTES:
        raise BreakEvidenceTooLargeError(size_max_bytes=FILE_SIZE_MAX_BYTES)
    found = _locked(connection, actor, break_id)
    content_hash = hashlib.sha256(content).digest()
    files = store.read_files(connection, actor.issuer_id, found.id)
    for known in files:
        if known.content_hash == content_hash:
            return found, known
    if len(files) >= FILES_MAX:
        raise BreakEvidenceFullError(f"{FILES_MAX} files are there.")
    file = BreakFile(found.id, content_hash, name, media_type, len(content), actor.id, clock.now())
    store.add_file(connection, actor.issuer_id, file, content)
    after = take_action(
        connection, clock, actor.id, found, ActionKind.EVIDENCE_ADDED, name, content_hash.hex()
    )
    return after, file


def evidence_content(
    connection: Connection, issuer_id: str, break_id: str, content_hash: str
) -> tuple[BreakFile, bytes]:
    """Return a file of a break by its SHA-256 in hexadecimal, or raise BreakEvidenceNotFoundError."""
    try:
        digest = bytes.fromhex(content_hash)
    except ValueError:
        raise BreakEvidenceNotFoundError from None
    found = store.read_content(connection, issuer_id, break_id, digest)
    if found is None:
        raise BreakEvidenceNotFoundError
    return found


def resolve(
    connection: Connection,
    clock: Clock,
    actor: Principal,
    break_id: str,
    instruction_id: str,
    *,
    note: str | None,
) -> Break:
    """Name the instruction that corrects a break; the caller commits. If a run still finds it, it is open again.

    The instruction is one of the break's class that settled since the break was found. Raises BreakNotFoundError,
    BreakWorkNotAllowedError, BreakEndedError and CorrectionUnfitError.
    """
    found = _waiting(connection, actor, break_id)
    correcting = tokens.instructions_by_id(connection, actor.issuer_id, [instruction_id]).get(instruction_id)
    if correcting is None or correcting.token_class_id != found.token_class_id:
        raise CorrectionUnfitError("No instruction of the break's token class has this id.")
    if correcting.state not in _CORRECTED or correcting.settled_at is None or not correcting.amount_minor:
        raise CorrectionUnfitError("The instruction has not moved anything.")
    if correcting.settled_at < found.created_at:
        raise CorrectionUnfitError("The instruction settled before the break was found.")
    after = replace(
        found, state=BreakState.RESOLVED.value, instruction_id=instruction_id, ended_at=clock.now()
    )
    return take_action(connection, clock, actor.id, after, ActionKind.RESOLVED, note, instruction_id)


def take_action(  # noqa: PLR0917 What an action is made of.
    connection: Connection,
    clock: Clock,
    principal_id: str,
    after: Break,
    kind: ActionKind,
    note: str | None,
    subject_id: str | None,
) -> Break:
    """Write a locked break as it stands now, with the action that made it so, and return it."""
    numbers = store.read_last_numbers(connection, after.issuer_id, [after.id])
    number = numbers.get(after.id, 0) + 1
    action = BreakAction(after.id, number, kind.value, principal_id, note, subject_id, clock.now())
    store.write_break(connection, after)
    store.add_actions(connection, after.issuer_id, [action])
    return after


def _locked(connection: Connection, actor: Principal, break_id: str) -> Break:
    if actor.roles.isdisjoint(WORKERS):
        raise BreakWorkNotAllowedError
    found = store.lock_break(connection, actor.issuer_id, break_id)
    if found is None:
        raise BreakNotFoundError
    return found


def _waiting(connection: Connection, actor: Principal, break_id: str) -> Break:
    found = _locked(connection, actor, break_id)
    if found.state in ENDED_STATES:
        raise BreakEndedError(f"The break is {found.state}.")
    return found
