"""What people do about a finding: who owns it, what was learnt, how it ended, and what corrects it, if anything does.

Nothing here moves money or changes a payout. Each step is kept with who did it and when, and none is taken back; the
same word of the bank is never found again, so that what is resolved stays so.
"""

from typing import Final

from sqlalchemy import Connection

from tallystick import participants, payouts, tokens
from tallystick.core.clock import Clock
from tallystick.core.errors import ConflictError, MalformedError
from tallystick.participants import Principal, PrincipalNotFoundError, Role
from tallystick.payouts import Finding, FindingActionKind, FindingState
from tallystick.tokens import State

__all__ = [
    "WORKERS",
    "PayoutCorrectionUnfitError",
    "PayoutFindingEndedError",
    "PayoutFindingOwnerUnfitError",
    "assign_finding",
    "note_finding",
    "resolve_finding",
]

#: Who works on findings: whoever works on breaks.
WORKERS: Final = frozenset({Role.TREASURY_MAKER, Role.TREASURY_CHECKER, Role.OPERATOR})
_CORRECTED: Final = frozenset({State.SETTLED, State.HELD, State.EXECUTED, State.VOIDED})


class PayoutFindingEndedError(ConflictError):
    """The finding is resolved; a note can still be added."""

    code = "payout_finding_ended"
    title = "The finding has ended"


class PayoutFindingOwnerUnfitError(MalformedError):
    """A finding's owner is an active member of the issuer's staff who may work on it."""

    code = "payout_finding_owner_unfit"
    title = "This principal can't own a finding"


class PayoutCorrectionUnfitError(ConflictError):
    """What corrects a finding settled after it was found, in the token class of its payout."""

    code = "payout_correction_unfit"
    title = "The instruction does not correct this"


def assign_finding(
    connection: Connection,
    clock: Clock,
    actor: Principal,
    finding_id: str,
    owner_id: str,
    *,
    note: str | None = None,
) -> Finding:
    """Give a finding an owner, in place of whoever had it; the caller commits.

    Raises PayoutFindingNotFoundError, PayoutFindingEndedError and PayoutFindingOwnerUnfitError.
    """
    found = _waiting(connection, actor, finding_id)
    try:
        owner = participants.principal(connection, actor.issuer_id, owner_id)
    except PrincipalNotFoundError:
        raise PayoutFindingOwnerUnfitError from None
    if owner.status != "active" or owner.roles.isdisjoint(WORKERS):
        raise PayoutFindingOwnerUnfitError
    return _act(connection, clock, actor, found, FindingActionKind.ASSIGNED, note, owner.id)


def note_finding(
    connection: Connection, clock: Clock, actor: Principal, finding_id: str, note: str
) -> Finding:
    """Add a note, at any time; the caller commits. Raises PayoutFindingNotFoundError."""
    found = payouts.lock_finding(connection, actor.issuer_id, finding_id)
    return _act(connection, clock, actor, found, FindingActionKind.NOTED, note, None)


def resolve_finding(
    connection: Connection,
    clock: Clock,
    actor: Principal,
    finding_id: str,
    note: str,
    *,
    instruction_id: str | None = None,
) -> Finding:
    """Say how a finding ended, and name the instruction that corrects it, if one does; the caller commits.

    Raises PayoutFindingNotFoundError, PayoutFindingEndedError and PayoutCorrectionUnfitError.
    """
    found = _waiting(connection, actor, finding_id)
    if instruction_id is not None:
        _check_correction(connection, found, instruction_id)
    return _act(connection, clock, actor, found, FindingActionKind.RESOLVED, note, instruction_id)


def _check_correction(connection: Connection, found: Finding, instruction_id: str) -> None:
    correcting = tokens.instructions_by_id(connection, found.issuer_id, [instruction_id]).get(instruction_id)
    if correcting is None:
        raise PayoutCorrectionUnfitError("No instruction has this id.")
    if found.payout_id is not None:
        of = payouts.payouts(connection, found.issuer_id, [found.payout_id])[found.payout_id]
        if correcting.token_class_id != of.token_class_id:
            raise PayoutCorrectionUnfitError("The instruction is of another token class than the payout.")
    if correcting.state not in _CORRECTED or correcting.settled_at is None or not correcting.amount_minor:
        raise PayoutCorrectionUnfitError("The instruction has not moved anything.")
    if correcting.settled_at < found.found_at:
        raise PayoutCorrectionUnfitError("The instruction settled before this was found.")


def _waiting(connection: Connection, actor: Principal, finding_id: str) -> Finding:
    found = payouts.lock_finding(connection, actor.issuer_id, finding_id)
    if found.state == FindingState.RESOLVED:
        raise PayoutFindingEndedError
    return found


def _act(  # noqa: PLR0917 What an action is made of.
    connection: Connection,
    clock: Clock,
    actor: Principal,
    found: Finding,
    kind: FindingActionKind,
    note: str | None,
    subject_id: str | None,
) -> Finding:
    return payouts.add_finding_action(
        connection,
        found,
        kind,
        principal_id=actor.id,
        note=note,
        subject_id=subject_id,
        done_at=clock.now(),
    )
