"""What people decided, and what it is worth on the next list.

A hit waits until two people clear or confirm it. A cleared pair of holder and entity stays cleared on later list
versions as long as nothing of either that is screened has changed. A confirmed one stays confirmed whatever changes,
even if the names no longer match or the entity leaves the list: only people end it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from tallystick.core.errors import ConflictError
from tallystick.screening.records import Decision, Hit, Screening, ScreeningState, Standing

__all__ = [
    "ScreeningHitsOmittedError",
    "ScreeningStateConflictError",
    "ScreeningSupersededError",
    "check_verdict",
    "decided_hits",
    "standing_of",
    "state_of",
]


class ScreeningStateConflictError(ConflictError):
    """The screening found nothing, or was decided so before."""

    code = "screening_state_conflict"
    title = "The screening's state does not allow this"


class ScreeningSupersededError(ConflictError):
    """The holder was screened again, against a newer list or under a newer name: that screening is to be decided."""

    code = "screening_superseded"
    title = "A newer screening has taken this one's place"


class ScreeningHitsOmittedError(ConflictError):
    """There are more hits than are kept, so that nobody can have looked at all of them."""

    code = "screening_hits_omitted"
    title = "The screening has too many hits to be cleared"


def check_verdict(screening: Screening, verdict: ScreeningState) -> None:
    """Refuse a verdict that the screening is not open for.

    `hit` may be cleared or confirmed, and either may be corrected later.
    Raises ScreeningSupersededError, ScreeningStateConflictError, ScreeningHitsOmittedError.
    """
    if screening.superseded_by is not None:
        raise ScreeningSupersededError(screening_id=screening.superseded_by)
    if screening.state in {ScreeningState.CLEAR, verdict}:
        raise ScreeningStateConflictError(f"It is {screening.state}.")
    if verdict == ScreeningState.CLEARED and screening.hit_count > len(screening.hits):
        raise ScreeningHitsOmittedError


def decided_hits(
    hits: Sequence[Hit], subject_hash: bytes, decisions: Iterable[Decision], earlier: Iterable[Hit]
) -> list[Hit]:
    """Return hits with what is already decided of them, and those that stay confirmed without a match; confirmed first.

    `decisions` are the holder's, in order; `earlier` are the hits of the screening that this one follows.
    """
    latest: dict[str, tuple[Decision, str]] = {}
    for decision in decisions:
        for entity_id, entity_hash in decision.pairs:
            latest[entity_id] = decision, entity_hash
    decided = [replace(hit, decision=_decision(hit, subject_hash, latest.get(hit.entity_id))) for hit in hits]
    matched = {hit.entity_id for hit in hits}
    decided += [
        replace(hit, algorithm="confirmed_before")
        for hit in earlier
        if hit.entity_id not in matched and hit.decision == ScreeningState.CONFIRMED
    ]
    return sorted(decided, key=lambda hit: hit.decision != ScreeningState.CONFIRMED)


def state_of(hits: Sequence[Hit], hit_count: int) -> ScreeningState:
    """Return a screening's state: the gravest of its hits, and `hit` where some are not even kept."""
    if not hits:
        return ScreeningState.CLEAR
    decisions = {hit.decision for hit in hits}
    if ScreeningState.CONFIRMED in decisions:
        return ScreeningState.CONFIRMED
    if None in decisions or hit_count > len(hits):
        return ScreeningState.HIT
    return ScreeningState.CLEARED


def standing_of(states: Iterable[str]) -> Standing:
    """Return what a holder's screenings against all lists in force come to: the gravest."""
    found = set(states)
    if ScreeningState.CONFIRMED in found:
        return Standing.CONFIRMED
    return Standing.HIT if ScreeningState.HIT in found else Standing.CLEAR


def _decision(hit: Hit, subject_hash: bytes, latest: tuple[Decision, str] | None) -> str | None:
    if latest is None:
        return None
    decision, entity_hash = latest
    if decision.verdict == ScreeningState.CONFIRMED:
        return ScreeningState.CONFIRMED
    same = decision.subject_hash == subject_hash and entity_hash == hit.entity_hash
    return ScreeningState.CLEARED if same else None
