"""The audit trail as facts: what is written of an attempt, what is kept, and how both are asked for."""

from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple

from tallystick.core.errors import UnavailableError

__all__ = [
    "FIRST_PREVIOUS_HASH",
    "AuditUnavailableError",
    "Decision",
    "Draft",
    "Entry",
    "Filters",
    "Head",
    "Page",
    "Place",
]

# What the first entry is chained to.
FIRST_PREVIOUS_HASH: Final = bytes(32)


class AuditUnavailableError(UnavailableError):
    """The attempt could not be put on record, so it is not answered: nobody acts or reads unseen."""

    code = "audit_unavailable"
    title = "The audit trail can't be written: send the same request with the same Idempotency-Key again"


class Decision(StrEnum):
    """What became of an attempt."""

    SETTLED = "settled"
    PENDING = "pending"
    PARTIAL = "partial"
    REPLAYED = "replayed"
    REFUSED = "refused"
    READ = "read"
    FAILED = "failed"


class Draft(NamedTuple):
    """An attempt that is about to be put on record: who, what, from where, and what became of it.

    `reasons` counts refusals by their codes, where there is more than one or more than `code` says. Bodies, amounts,
    keys and what people wrote are never part of it. Without a principal nobody proved who they are: `key_id` then is
    only what they claimed.
    """

    operation: str
    decision: str
    method: str | None = None
    status: int | None = None
    principal_id: str | None = None
    person: str | None = None
    key_id: str | None = None
    subject_id: str | None = None
    source: str | None = None
    request_id: str | None = None
    request_hash: bytes | None = None
    code: str | None = None
    event_index: int | None = None
    reasons: dict[str, int] | None = None


class Entry(NamedTuple):
    """One line of the trail.

    An attempt that has an entry of its own has a `number`, without gaps per issuer, and a `hash` that is chained to
    the entry before. A settled instruction is kept by the signed log and told from there: it has neither.
    """

    issuer_id: str
    id: str
    recorded_at: datetime
    draft: Draft
    number: int | None = None
    hash: bytes | None = None


class Head(NamedTuple):
    """The end of an issuer's trail, held under lock."""

    next_number: int
    last_recorded_at: datetime
    last_hash: bytes


class Filters(NamedTuple):
    """What to tell of; None tells of all. `subject_id` is what an attempt was about, or what it made."""

    principal_id: str | None = None
    decision: str | None = None
    operation: str | None = None
    code: str | None = None
    subject_id: str | None = None


class Place(NamedTuple):
    """How far a walk has come, in log and trail, and where it ends: at what there was when it began."""

    event_index: int
    entry_number: int
    last_event_index: int
    last_entry_number: int


class Page(NamedTuple):
    """A page of the trail in the order of time, and the place to go on from; None at the end."""

    entries: list[Entry]
    next: Place | None
