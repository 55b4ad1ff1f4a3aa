"""What the bank owes one holder in one token class, by status of the claim."""

from dataclasses import dataclass
from datetime import datetime

from tallystick.core.errors import NotFoundError

__all__ = ["Claim", "Liability", "LiabilityNotFoundError"]


class LiabilityNotFoundError(NotFoundError):
    """No such liability, or none that the caller may know of."""

    code = "liability_not_found"
    title = "No such liability"


@dataclass(frozen=True, slots=True)
class Liability:
    """The record itself. `terms_version` is the version of the class's terms that the claim stands under."""

    issuer_id: str
    id: str
    holder_id: str
    token_class_id: str
    terms_version: int
    opened_at: datetime


@dataclass(frozen=True, slots=True)
class Claim:
    """The claim as of an index of the log: minor units by ledger code (2110 … 2140), their total, and what made it.

    `since` is when the first event touched it and `last_event_index` the newest one that did; None before any.
    """

    liability: Liability
    by_code_minor: dict[str, int]
    total_minor: int
    since: datetime | None
    last_event_index: int | None
    account_ids: tuple[str, ...]
