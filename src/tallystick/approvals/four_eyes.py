"""The rule of four eyes: who may decide, on what exactly, and what their decision is worth later.

An approval binds to the SHA-256 of the exact request. The checker is another *person* than the maker, whatever login
either uses, and types amount and currency again. The hash of each vote travels in the signed event of what was
approved, so that an auditor can tell who let it through.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tallystick.core.canonical_json import canonical_json
from tallystick.core.clock import format_time
from tallystick.core.errors import ConflictError, DeniedError, MalformedError, NotFoundError
from tallystick.core.money import format_amount, parse_amount

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
    "check_amount",
    "check_vote",
    "make_vote",
]


class ApprovalNotFoundError(NotFoundError):
    """No such approval of this issuer."""

    code = "approval_not_found"
    title = "No such approval"


class ApprovalClosedError(ConflictError):
    """It was approved or rejected before."""

    code = "approval_closed"
    title = "The approval is already decided"


class ApprovalExpiredError(ConflictError):
    """Nobody decided in time; the maker must ask again."""

    code = "approval_expired"
    title = "The approval has expired"


class ApprovalNotExpiredError(ConflictError):
    """It is decided, or its time is not over yet."""

    code = "approval_not_expired"
    title = "The approval has not expired"


class CheckerIsMakerError(DeniedError):
    """The person who asked can't approve, through this login or another."""

    code = "checker_is_maker"
    title = "Maker and checker must be different people"


class CheckerHasVotedError(ConflictError):
    """A quorum counts people, and this one has decided already."""

    code = "checker_has_voted"
    title = "This person has already decided"


class CheckerNotAPersonError(DeniedError):
    """A machine can't be the second pair of eyes."""

    code = "checker_not_a_person"
    title = "Only a person may decide an approval"


class ApprovalMismatchError(MalformedError):
    """What the checker typed is not what the maker asked for."""

    code = "approval_mismatch"
    title = "Amount or currency differ from the request"


@dataclass(frozen=True, slots=True)
class Approval:
    """A request that waits for other people. `quorum` is how many of them it takes."""

    issuer_id: str
    id: str
    operation: str
    subject_id: str
    request_hash: bytes
    amount_minor: int | None
    currency: str | None
    scale: int | None
    maker_principal_id: str
    maker_person: str
    quorum: int
    state: str
    created_at: datetime
    expires_at: datetime
    details: dict[str, Any] | None = None

    @property
    def amount(self) -> str | None:
        """The amount as a decimal string."""
        return (
            None
            if self.amount_minor is None or self.scale is None
            else format_amount(self.amount_minor, self.scale)
        )


@dataclass(frozen=True, slots=True)
class Vote:
    """One person's decision. `hash` is the SHA-256 of its canonical JSON."""

    approval_id: str
    person: str
    principal_id: str
    decision: str
    reason: str | None
    hash: bytes
    decided_at: datetime
    event_index: int | None = None


def check_vote(approval: Approval, votes: list[Vote], person: str | None, now: datetime) -> str:
    """Return the person who may decide now, or refuse.

    Raises ApprovalClosedError, ApprovalExpiredError, CheckerNotAPersonError, CheckerIsMakerError, CheckerHasVotedError.
    """
    if approval.state != "pending":
        raise ApprovalClosedError(f"It was {approval.state}.")
    if approval.expires_at <= now:
        raise ApprovalExpiredError
    if person is None:
        raise CheckerNotAPersonError
    if person == approval.maker_person:
        raise CheckerIsMakerError
    if any(vote.person == person for vote in votes):
        raise CheckerHasVotedError
    return person


def check_amount(approval: Approval, amount: str | None, currency: str | None) -> None:
    """Refuse a checker who typed another amount or currency, or none: ApprovalMismatchError."""
    if approval.amount_minor is None or approval.scale is None:
        return
    if currency != approval.currency or amount is None:
        raise ApprovalMismatchError
    if parse_amount(amount, approval.scale) != approval.amount_minor:
        raise ApprovalMismatchError


def make_vote(
    approval: Approval,
    *,
    person: str,
    principal_id: str,
    decision: str,
    reason: str | None,
    decided_at: datetime,
) -> Vote:
    """Return the vote with its hash over everything that it binds."""
    statement = {
        "approval_id": approval.id,
        "issuer_id": approval.issuer_id,
        "operation": approval.operation,
        "subject_id": approval.subject_id,
        "request_hash": approval.request_hash.hex(),
        "maker": approval.maker_person,
        "checker": person,
        "principal_id": principal_id,
        "decision": decision,
        "decided_at": format_time(decided_at),
    }
    if approval.amount is not None and approval.currency is not None:
        statement |= {"amount": approval.amount, "currency": approval.currency}
    digest = hashlib.sha256(canonical_json(statement)).digest()
    return Vote(approval.id, person, principal_id, decision, reason, digest, decided_at)
