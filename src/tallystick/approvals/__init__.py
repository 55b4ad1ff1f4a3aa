"""Four eyes: what waits for another person, and what each person decided."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from tallystick.approvals import store
from tallystick.approvals.four_eyes import (
    Approval,
    ApprovalClosedError,
    ApprovalExpiredError,
    ApprovalMismatchError,
    ApprovalNotExpiredError,
    ApprovalNotFoundError,
    CheckerHasVotedError,
    CheckerIsMakerError,
    CheckerNotAPersonError,
    Vote,
    check_amount,
    check_vote,
    make_vote,
)
from tallystick.core.ids import with_prefix

__all__ = [
    "Approval",
    "ApprovalClosedError",
    "ApprovalExpiredError",
    "ApprovalMismatchError",
    "ApprovalNotExpiredError",
    "ApprovalNotFoundError",
    "CheckerHasVotedError",
    "CheckerIsMakerError",
    "CheckerNotAPersonError",
    "Vote",
    "approval",
    "approvals",
    "approvals_by_id",
    "check_amount",
    "check_vote",
    "expire",
    "expired_ids",
    "lock",
    "make_vote",
    "record_vote",
    "request",
    "votes",
]


def request(  # noqa: PLR0913 Each is a column.
    connection: Connection,
    *,
    issuer_id: str,
    operation: str,
    subject_id: str,
    request_hash: bytes,
    amount_minor: int | None,
    currency: str | None,
    scale: int | None,
    maker_principal_id: str,
    maker_person: str,
    created_at: datetime,
    lifetime: timedelta,
    quorum: int = 1,
    details: dict[str, Any] | None = None,
) -> Approval:
    """Put a request before other people. Its id wears the subject's suffix: `mint_X` waits for `approval_X`."""
    new = Approval(
        issuer_id=issuer_id,
        id=with_prefix("approval", subject_id),
        operation=operation,
        subject_id=subject_id,
        request_hash=request_hash,
        amount_minor=amount_minor,
        currency=currency,
        scale=scale,
        maker_principal_id=maker_principal_id,
        maker_person=maker_person,
        quorum=quorum,
        state="pending",
        created_at=created_at,
        expires_at=created_at + lifetime,
        details=details,
    )
    store.insert_approval(connection, new)
    return new


def lock(
    connection: Connection, issuer_id: str, approval_ids: Iterable[str]
) -> dict[str, tuple[Approval, list[Vote]]]:
    """Lock approvals until the transaction ends and return them with their votes, by id; absent ones are left out."""
    found = store.lock_approvals(connection, issuer_id, approval_ids)
    cast = store.read_votes(connection, issuer_id, [one.id for one in found])
    return {one.id: (one, cast.get(one.id, [])) for one in found}


def record_vote(connection: Connection, found: Approval, vote: Vote, state: str) -> None:
    """Write a vote that `check_vote` let through, and the state it brings about."""
    store.insert_vote(connection, found.issuer_id, vote)
    if state != found.state:
        store.update_state(connection, found.issuer_id, found.id, state)


def expire(connection: Connection, found: Approval) -> None:
    """Close an approval that nobody decided in time; the caller holds it and has looked at the clock."""
    store.update_state(connection, found.issuer_id, found.id, "expired")


def expired_ids(connection: Connection, issuer_id: str, at: datetime, limit: int) -> list[str]:
    """Return approvals that still wait although their time was over at `at`, the oldest first."""
    return store.read_expired_ids(connection, issuer_id, at, limit)


def approval(connection: Connection, issuer_id: str, approval_id: str) -> Approval:
    """Return one approval or raise ApprovalNotFoundError."""
    found = store.read_approval(connection, issuer_id, approval_id)
    if found is None:
        raise ApprovalNotFoundError
    return found


def approvals(
    connection: Connection,
    issuer_id: str,
    *,
    state: str | None = None,
    subject_id: str | None = None,
    operation: str | None = None,
    waits_for: str | None = None,
    after: str = "",
    limit: int = 100,
) -> list[Approval]:
    """Return a page of approvals in the order they were asked for; batches without their items.

    `waits_for` names a person: only what they may still decide, since they neither asked for it nor have voted.
    """
    return store.read_approvals(
        connection,
        issuer_id,
        state=state,
        subject_id=subject_id,
        operation=operation,
        waits_for=waits_for,
        after=after,
        limit=limit,
    )


def approvals_by_id(connection: Connection, issuer_id: str, approval_ids: Iterable[str]) -> list[Approval]:
    """Return approvals by id; absent ones are left out."""
    return store.read_approvals_by_id(connection, issuer_id, approval_ids)


def votes(connection: Connection, issuer_id: str, approval_ids: Iterable[str]) -> dict[str, list[Vote]]:
    """Return what was decided, by approval id."""
    return store.read_votes(connection, issuer_id, approval_ids)
