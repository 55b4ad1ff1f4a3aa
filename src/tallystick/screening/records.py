"""What is kept of lists and screenings. Scores are whole numbers from 0 to 100."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from tallystick.core.errors import NotFoundError

__all__ = [
    "Decision",
    "Hit",
    "ListImport",
    "ListedEntity",
    "Outsider",
    "Rescreened",
    "Screening",
    "ScreeningList",
    "ScreeningListNotFoundError",
    "ScreeningNotFoundError",
    "ScreeningState",
    "Standing",
    "Subject",
]


class ScreeningListNotFoundError(NotFoundError):
    """No such screening list of this issuer."""

    code = "screening_list_not_found"
    title = "No such screening list"


class ScreeningNotFoundError(NotFoundError):
    """No such screening of this issuer."""

    code = "screening_not_found"
    title = "No such screening"


class ScreeningState(StrEnum):
    """What one screening found: nothing; a hit that waits for people; and what two people made of it."""

    CLEAR = "clear"
    HIT = "hit"
    CLEARED = "cleared"
    CONFIRMED = "confirmed"


class Standing(StrEnum):
    """What all screenings of a holder come to, for whoever decides on its money.

    `hit` and `unscreened` refer, `confirmed` denies. Without any list a holder is `clear`.
    """

    CLEAR = "clear"
    HIT = "hit"
    CONFIRMED = "confirmed"
    UNSCREENED = "unscreened"


@dataclass(frozen=True, slots=True)
class ScreeningList:
    """One version of a list, never changed. `number` counts the issuer's imports from 1; the newest of a name is in
    force.
    """

    issuer_id: str
    id: str
    number: int
    name: str
    version: str
    content_hash: bytes
    entity_count: int
    skipped_count: int
    imported_by: str
    imported_at: datetime


@dataclass(frozen=True, slots=True)
class ListImport:
    """What became of a file; `imported` is False if this version was there before and nothing was done."""

    list: ScreeningList
    imported: bool


class ListedEntity(NamedTuple):
    """Somebody on a list: what is screened against, and what people need to tell them from a holder.

    `entity_hash` is the SHA-256 of all that is below it but `datasets` and `last_change`.
    """

    entity_id: str
    entity_hash: bytes
    schema: str
    names: tuple[str, ...]
    aliases: tuple[str, ...]
    weak_aliases: tuple[str, ...]
    countries: tuple[str, ...]
    birth_dates: tuple[str, ...]
    registration_numbers: tuple[str, ...]
    leis: tuple[str, ...]
    datasets: tuple[str, ...]
    last_change: str | None


class Outsider(NamedTuple):
    """Somebody who is no holder, such as a payout's beneficiary; the id follows from what of it is screened."""

    issuer_id: str
    id: str
    legal_name: str
    country: str
    residency: str
    lei: str | None


class Subject(NamedTuple):
    """What of a holder, or of somebody who is none, is screened."""

    legal_name: str
    country: str
    residency: str
    lei: str | None


@dataclass(frozen=True, slots=True)
class Hit:
    """A listed entity that a holder may be. `algorithm` is a reading of `similarity`, or `lei`, or `confirmed_before`.

    `confidence` is the score with the countries taken into account; it sorts and hides nothing. `decision` is None
    while people have not decided, or what they decided of this pair: `cleared`, `confirmed`.
    """

    entity_id: str
    entity_hash: str
    schema: str
    matched_name: str
    matched_property: str
    algorithm: str
    score: int
    confidence: int
    countries: tuple[str, ...]
    datasets: tuple[str, ...]
    decision: str | None = None


@dataclass(frozen=True, slots=True)
class Screening:
    """One holder against one list version, with everything that explains it. `holder_id` may be an outsider's.

    `number` orders a holder's screenings and decisions, whatever the clocks say. `hit_count` may be more than the hits
    that are kept. `basis_hash` is the SHA-256 of what was compared and how.
    """

    issuer_id: str
    id: str
    holder_id: str
    number: int
    list_id: str
    list_name: str
    state: str
    subject: Subject
    subject_hash: bytes
    basis_hash: bytes
    threshold: int
    hit_count: int
    hits: tuple[Hit, ...]
    screened_at: datetime
    decided_at: datetime | None = None
    superseded_by: str | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What people made of a screening: `cleared` or `confirmed`, with who asked and what proves the others' consent.

    `pairs` are the entities it was about, each with its hash at that time.
    """

    issuer_id: str
    holder_id: str
    number: int
    screening_id: str
    verdict: str
    reason: str
    decided_by: str
    approvals: tuple[str, ...]
    subject_hash: bytes
    pairs: tuple[tuple[str, str], ...]
    decided_at: datetime


@dataclass(frozen=True, slots=True)
class Rescreened:
    """A page of holders that was gone through. `next_after` is where to go on, None behind the last one."""

    screened_count: int
    kept_count: int
    hit_count: int
    next_after: str | None
