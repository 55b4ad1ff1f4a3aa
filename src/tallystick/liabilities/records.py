"""Attestations and proofs as facts, and why one is refused."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from tallystick.core.errors import ConflictError, NotFoundError
from tallystick.liabilities.merkle_sum import Node

__all__ = [
    "Attestation",
    "AttestationConflictError",
    "AttestationNotFoundError",
    "LiabilityNotAttestedError",
    "LiabilityProof",
    "PreparedTree",
    "TooManyLiabilitiesError",
]


class AttestationNotFoundError(NotFoundError):
    """No such attestation."""

    code = "attestation_not_found"
    title = "No such attestation"


class LiabilityNotAttestedError(NotFoundError):
    """The liability is not in this attestation: nothing had touched it, or it is of another token class."""

    code = "liability_not_attested"
    title = "The liability is not in this attestation"


class AttestationConflictError(ConflictError):
    """This tree is in the log already."""

    code = "attestation_conflict"
    title = "This has been attested already"


class TooManyLiabilitiesError(ConflictError):
    """More liabilities than one tree is made of."""

    code = "too_many_liabilities"
    title = "The token class has more liabilities than one tree is made of"


class PreparedTree(NamedTuple):
    """A tree as it is kept: of which class, as of which event, and what it comes to."""

    id: str
    token_class_id: str
    as_of_index: int
    depth: int
    root_hash: bytes
    total_minor: int


@dataclass(frozen=True, slots=True)
class Attestation:
    """A tree that is in the log: at `event_index`, which is behind the `as_of_index` that it tells of."""

    issuer_id: str
    tree: PreparedTree
    event_index: int
    attested_at: datetime


@dataclass(frozen=True, slots=True)
class LiabilityProof:
    """What one holder checks: the leaf's parts, its place, and its siblings from the leaf up."""

    attestation: Attestation
    liability_id: str
    amount_minor: int
    salt: bytes = field(repr=False)
    position: int
    path: list[Node]
