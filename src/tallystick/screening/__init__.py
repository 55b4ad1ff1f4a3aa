"""Sanctions screening: lists of whom the bank must not serve, and how each holder stands to them.

A hit refers and never passes silently; two people clear it. Every list version is kept, and every screening says
which one it was made against, which name matched, how alike it is and by which reading.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from sqlalchemy import Connection

from tallystick import participants
from tallystick.core.clock import Clock
from tallystick.core.errors import InvariantError
from tallystick.core.pipeline import Asked, Pipeline
from tallystick.participants import Holder
from tallystick.screening import store
from tallystick.screening.deciding import (
    ScreeningHitsOmittedError,
    ScreeningStateConflictError,
    ScreeningSupersededError,
    check_verdict,
    standing_of,
)
from tallystick.screening.entities import ScreeningListMalformedError
from tallystick.screening.holders import screen_locked
from tallystick.screening.importing import (
    ScreeningListConflictError,
    ScreeningListNameMalformedError,
    ScreeningListShrunkError,
    import_list,
)
from tallystick.screening.matching import HITS_KEPT_MAX, THRESHOLD, subject_hash
from tallystick.screening.records import (
    Decision,
    Hit,
    ListImport,
    Outsider,
    Rescreened,
    Screening,
    ScreeningList,
    ScreeningListNotFoundError,
    ScreeningNotFoundError,
    ScreeningState,
    Standing,
    Subject,
)

__all__ = [
    "HITS_KEPT_MAX",
    "THRESHOLD",
    "Decision",
    "Hit",
    "ListImport",
    "Outsider",
    "Rescreened",
    "Screening",
    "ScreeningHitsOmittedError",
    "ScreeningList",
    "ScreeningListConflictError",
    "ScreeningListMalformedError",
    "ScreeningListNameMalformedError",
    "ScreeningListNotFoundError",
    "ScreeningListShrunkError",
    "ScreeningNotFoundError",
    "ScreeningState",
    "ScreeningStateConflictError",
    "ScreeningSupersededError",
    "Standing",
    "Subject",
    "check_clearance",
    "check_confirmation",
    "clear",
    "confirm",
    "decisions",
    "import_list",
    "lists_in_force",
    "outsider",
    "rescreen",
    "rescreen_holder",
    "screen_holder",
    "screen_outsiders",
    "screening",
    "screening_list",
    "screening_lists",
    "screenings",
    "standing",
    "standing_of_accounts",
]

# As long as other ids' own part.
_OUTSIDER_SUFFIX_LENGTH: Final = 26


def screening_lists(
    connection: Connection, issuer_id: str, *, after: str = "", limit: int = 100
) -> list[ScreeningList]:
    """Return a page of list versions in the order of their import."""
    return store.read_lists(connection, issuer_id, after, limit)


def screening_list(connection: Connection, issuer_id: str, list_id: str) -> ScreeningList:
    """Return one list version or raise ScreeningListNotFoundError."""
    found = store.read_list(connection, issuer_id, list_id)
    if found is None:
        raise ScreeningListNotFoundError
    return found


def lists_in_force(connection: Connection, issuer_id: str) -> list[ScreeningList]:
    """Return the newest version of each list: what a holder must have been screened against."""
    return store.read_lists_in_force(connection, issuer_id)


def screen_holder(
    connection: Connection, clock: Clock, issuer_id: str, holder: Holder, *, threshold: int = THRESHOLD
) -> list[Screening]:
    """Screen one holder now against every list in force; return what counts for it, one screening per list.

    To be called in the transaction that registers a holder or changes its name, country, residency or LEI, with the
    holder as it is afterwards. Nothing to do, and nothing returned, while no list was imported.
    """
    if not store.read_lists_in_force(connection, issuer_id):
        return []
    at = clock.now()
    locked = store.lock_standings(connection, issuer_id, [holder.id], at)
    [screened] = screen_locked(connection, issuer_id, [holder], locked, threshold=threshold, at=at)
    return list(screened.counting)


def rescreen(
    connection: Connection,
    clock: Clock,
    issuer_id: str,
    *,
    after: str = "",
    limit: int = 100,
    threshold: int = THRESHOLD,
) -> Rescreened:
    """Screen the next holders behind the id `after` who were not yet screened against the lists in force, this way.

    One page is one transaction. A run that was broken off may go on from its last `next_after` or begin anew: what is
    done is not done again.
    """
    page = participants.holders_of_issuer(connection, issuer_id, after=after, limit=limit)
    ids = [holder.id for holder in page]
    done = _rescreen(connection, clock, issuer_id, ids, threshold)
    return replace(done, next_after=ids[-1] if len(ids) == limit else None)


def rescreen_holder(
    connection: Connection, clock: Clock, issuer_id: str, holder_id: str, *, threshold: int = THRESHOLD
) -> Rescreened:
    """Screen one holder as `rescreen` does a page of them; the holder exists."""
    return _rescreen(connection, clock, issuer_id, [holder_id], threshold)


def _rescreen(
    connection: Connection, clock: Clock, issuer_id: str, ids: Sequence[str], threshold: int
) -> Rescreened:
    if not ids or not store.read_lists_in_force(connection, issuer_id):
        return Rescreened(0, 0, 0, None)
    at = clock.now()
    locked = store.lock_standings(connection, issuer_id, ids, at)
    # Read under lock: whoever changed a holder meanwhile has screened it under the new name.
    holders = participants.holders_by_id(connection, issuer_id, ids)
    screened = screen_locked(connection, issuer_id, holders.values(), locked, threshold=threshold, at=at)
    return Rescreened(
        screened_count=sum(bool(one.fresh) for one in screened),
        kept_count=sum(not one.fresh for one in screened),
        hit_count=sum(one.standing != Standing.CLEAR for one in screened),
        next_after=None,
    )


def outsider(issuer_id: str, name: str, country: str) -> Outsider:
    """Return a payout's beneficiary as it is screened: known by name and country, whoever pays it and how often.

    So what two people cleared once stays cleared for the next payout to the same name, and for no other.
    """
    digest = subject_hash(Subject(name, country, country, None)).hex()
    return Outsider(
        issuer_id, f"beneficiary_{digest[:_OUTSIDER_SUFFIX_LENGTH]}", name, country, country, None
    )


def screen_outsiders(
    connection: Connection,
    clock: Clock,
    issuer_id: str,
    outsiders: Iterable[Outsider],
    *,
    threshold: int = THRESHOLD,
) -> dict[str, Standing]:
    """Screen outsiders against every list in force that they weren't screened against yet; return how each stands.

    Without a list everybody is `clear`, and nothing is kept.
    """
    chosen = {one.id: one for one in outsiders}
    if not chosen or not store.read_lists_in_force(connection, issuer_id):
        return dict.fromkeys(chosen, Standing.CLEAR)
    at = clock.now()
    locked = store.lock_standings(connection, issuer_id, list(chosen), at)
    screened = screen_locked(connection, issuer_id, chosen.values(), locked, threshold=threshold, at=at)
    return {one.holder_id: one.standing for one in screened}


def standing(pipeline: Pipeline, issuer_id: str, holder_ids: Iterable[str]) -> Asked[dict[str, Standing]]:
    """Ask how holders stand, by id, for the write path: two look-ups by primary key for each.

    A holder who was not screened against every list in force is `unscreened`, unless an earlier screening is still a
    hit; without any list everybody is `clear`.
    """
    return store.ask_standing(pipeline, issuer_id, holder_ids)


def standing_of_accounts(
    pipeline: Pipeline, issuer_id: str, account_ids: Iterable[str]
) -> Asked[dict[str, Standing]]:
    """Ask how the holders of these accounts stand, by account id, so that one trip does; absent ones are left out."""
    return store.ask_standing_of_accounts(pipeline, issuer_id, account_ids)


def screening(connection: Connection, issuer_id: str, screening_id: str) -> Screening:
    """Return one screening or raise ScreeningNotFoundError."""
    found = store.read_screening(connection, issuer_id, screening_id)
    if found is None:
        raise ScreeningNotFoundError
    return found


def screenings(
    connection: Connection,
    issuer_id: str,
    *,
    state: str | None = None,
    holder_id: str | None = None,
    superseded: bool = False,
    after: str = "",
    limit: int = 100,
) -> list[Screening]:
    """Return a page of screenings in the order in which they were made; `state="hit"` is what waits for people.

    Those that newer ones have replaced are among them only if `superseded` ones are asked for.
    """
    return store.read_screenings(
        connection,
        issuer_id,
        state=state,
        holder_id=holder_id,
        superseded=superseded,
        after=after,
        limit=limit,
    )


def decisions(connection: Connection, issuer_id: str, screening_id: str) -> list[Decision]:
    """Return what people decided of a screening, oldest first."""
    of = screening(connection, issuer_id, screening_id)
    made = store.read_decisions(connection, issuer_id, [of.holder_id])
    return [one for one in made if one.screening_id == screening_id]


def check_clearance(connection: Connection, issuer_id: str, screening_id: str) -> Screening:
    """Return a screening that may be cleared now, to be shown to whoever is asked to consent.

    Raises ScreeningNotFoundError, ScreeningSupersededError, ScreeningStateConflictError, ScreeningHitsOmittedError.
    """
    return _checked(connection, issuer_id, screening_id, ScreeningState.CLEARED)


def check_confirmation(connection: Connection, issuer_id: str, screening_id: str) -> Screening:
    """Return a screening whose hits may be confirmed now; raises as `check_clearance`."""
    return _checked(connection, issuer_id, screening_id, ScreeningState.CONFIRMED)


def clear(
    connection: Connection,
    clock: Clock,
    issuer_id: str,
    screening_id: str,
    *,
    reason: str,
    decided_by: str,
    approvals: Sequence[str],
) -> Screening:
    """Record that the holder is none of the entities it was taken for, and return the screening as it stands then.

    `decided_by` is the principal who asked; `approvals` are the ids or hashes of the votes of the other people, which
    the caller has checked: without one this is an InvariantError. Raises as `check_clearance`, on the state under lock.
    """
    verdict = _Verdict(ScreeningState.CLEARED, reason, decided_by, tuple(approvals))
    return _decide(connection, clock, issuer_id, screening_id, verdict)


def confirm(
    connection: Connection,
    clock: Clock,
    issuer_id: str,
    screening_id: str,
    *,
    reason: str,
    decided_by: str,
    approvals: Sequence[str],
) -> Screening:
    """Record that the holder is on the list: it stays `confirmed` until people clear it. Otherwise as `clear`."""
    verdict = _Verdict(ScreeningState.CONFIRMED, reason, decided_by, tuple(approvals))
    return _decide(connection, clock, issuer_id, screening_id, verdict)


class _Verdict(NamedTuple):
    state: ScreeningState
    reason: str
    decided_by: str
    approvals: tuple[str, ...]


def _checked(connection: Connection, issuer_id: str, screening_id: str, verdict: ScreeningState) -> Screening:
    found = screening(connection, issuer_id, screening_id)
    check_verdict(found, verdict)
    return found


def _decide(
    connection: Connection, clock: Clock, issuer_id: str, screening_id: str, verdict: _Verdict
) -> Screening:
    if not verdict.approvals:
        raise InvariantError("a screening was to be decided by one person alone")
    at = clock.now()
    holder_id = screening(connection, issuer_id, screening_id).holder_id
    row = store.lock_standings(connection, issuer_id, [holder_id], at)[holder_id]
    found = _checked(connection, issuer_id, screening_id, verdict.state)
    # From here it must succeed.
    hits = tuple(replace(hit, decision=verdict.state) for hit in found.hits)
    decided = replace(found, state=verdict.state, hits=hits, decided_at=at)
    made = Decision(
        issuer_id=issuer_id,
        holder_id=holder_id,
        number=row.last_number + 1,
        screening_id=screening_id,
        verdict=verdict.state,
        reason=verdict.reason,
        decided_by=verdict.decided_by,
        approvals=verdict.approvals,
        subject_hash=found.subject_hash,
        pairs=tuple((hit.entity_id, hit.entity_hash) for hit in found.hits),
        decided_at=at,
    )
    store.update_decided(connection, decided)
    store.insert_decision(connection, made)
    states = [one.state for one in store.read_current(connection, issuer_id, [holder_id])]
    now = row._replace(state=standing_of(states), last_number=made.number)
    store.update_standings(connection, issuer_id, [now], at)
    return decided
