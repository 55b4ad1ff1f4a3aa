"""Screening holders against every list in force, each under the lock of its standing.

The lock orders everything that concerns one holder: whoever changes its name screens it in the same transaction, and
a rescreening that comes later reads the holder after it has the lock. What a crash leaves is the state before: the
holder is still `unscreened`, and the next run takes it up.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from threading import Lock
from typing import Final, NamedTuple

from sqlalchemy import Connection

from tallystick.core.ids import new_id
from tallystick.participants import Holder
from tallystick.screening import store
from tallystick.screening.deciding import decided_hits, standing_of, state_of
from tallystick.screening.matching import HITS_KEPT_MAX, basis_hash, find_hits, subject_hash, subject_of
from tallystick.screening.name_index import NameIndex
from tallystick.screening.records import Decision, Outsider, Screening, ScreeningList, Standing
from tallystick.screening.store import StandingRow

__all__ = ["Screened", "screen_locked"]

# A list version never changes, so what was made of it is kept, for the lists that were last asked for.
_INDEXES_KEPT_MAX: Final = 4
_indexes: Final[dict[tuple[str, str], NameIndex]] = {}
_indexes_lock: Final = Lock()


class Screened(NamedTuple):
    """What counts for one holder now: one screening per list in force, of which `fresh` were made just now."""

    holder_id: str
    standing: Standing
    counting: tuple[Screening, ...]
    fresh: tuple[Screening, ...]
    replaced: tuple[tuple[str, str], ...]


class _Way(NamedTuple):
    """How a run screens: against which lists, from which score on, when."""

    lists: Sequence[ScreeningList]
    indexes: Mapping[str, NameIndex]
    threshold: int
    at: datetime


def screen_locked(
    connection: Connection,
    issuer_id: str,
    holders: Iterable[Holder | Outsider],
    locked: Mapping[str, StandingRow],
    *,
    threshold: int,
    at: datetime,
) -> list[Screened]:
    """Screen holders whose standings are locked, and write what they come to.

    What was compared before in the same way is not compared again: it keeps what people decided. Without a list there
    is nothing to do.
    """
    lists = store.read_lists_in_force(connection, issuer_id)
    chosen = list(holders)
    if not lists or not chosen:
        return []
    way = _Way(lists, {one.id: _index(connection, issuer_id, one.id) for one in lists}, threshold, at)
    scope_number = max(one.number for one in lists)
    ids = [holder.id for holder in chosen]
    current: defaultdict[str, dict[str, Screening]] = defaultdict(dict)
    for one in store.read_current(connection, issuer_id, ids):
        current[one.holder_id][one.list_name] = one
    decisions: defaultdict[str, list[Decision]] = defaultdict(list)
    for decision in store.read_decisions(connection, issuer_id, ids):
        decisions[decision.holder_id].append(decision)
    screened = [
        _screen(holder, way, current[holder.id], decisions[holder.id], locked[holder.id].last_number)
        for holder in chosen
    ]
    # The earlier one steps aside first: of a list name only one may count at any moment.
    store.supersede(connection, issuer_id, [pair for one in screened for pair in one.replaced])
    store.insert_screenings(connection, [new for one in screened for new in one.fresh])
    rows = [
        StandingRow(
            one.holder_id,
            one.standing,
            scope_number,
            locked[one.holder_id].last_number + len(one.fresh),
        )
        for one in screened
    ]
    changed = [row for row in rows if row != locked[row.holder_id]]
    store.update_standings(connection, issuer_id, changed, at)
    return screened


def _screen(
    holder: Holder | Outsider,
    way: _Way,
    current: Mapping[str, Screening],
    decisions: Sequence[Decision],
    last_number: int,
) -> Screened:
    """Screen one holder against each list that it was not yet screened against in this way. Pure but for new ids."""
    subject = subject_of(holder)
    of_subject, of_basis = subject_hash(subject), basis_hash(subject, way.threshold)
    counting: list[Screening] = []
    fresh: list[Screening] = []
    replaced: list[tuple[str, str]] = []
    for of_list in way.lists:
        earlier = current.get(of_list.name)
        if earlier is not None and (earlier.list_id, earlier.basis_hash) == (of_list.id, of_basis):
            counting.append(earlier)
            continue
        found = find_hits(subject, way.indexes[of_list.id], way.threshold)
        hits = decided_hits(found, of_subject, decisions, () if earlier is None else earlier.hits)
        kept = tuple(hits[:HITS_KEPT_MAX])
        new = Screening(
            issuer_id=holder.issuer_id,
            id=new_id("screening"),
            holder_id=holder.id,
            number=last_number + len(fresh) + 1,
            list_id=of_list.id,
            list_name=of_list.name,
            state=state_of(kept, len(hits)),
            subject=subject,
            subject_hash=of_subject,
            basis_hash=of_basis,
            threshold=way.threshold,
            hit_count=len(hits),
            hits=kept,
            screened_at=way.at,
        )
        fresh.append(new)
        counting.append(new)
        if earlier is not None:
            replaced.append((earlier.id, new.id))
    standing = standing_of(one.state for one in counting)
    return Screened(holder.id, standing, tuple(counting), tuple(fresh), tuple(replaced))


def _index(connection: Connection, issuer_id: str, list_id: str) -> NameIndex:
    with _indexes_lock:
        known = _indexes.pop((issuer_id, list_id), None)
        if known is not None:
            _indexes[issuer_id, list_id] = known
            return known
    # Outside the lock: two threads may make it at once, and it is the same.
    made = NameIndex(store.stream_entities(connection, issuer_id, list_id))
    with _indexes_lock:
        _indexes[issuer_id, list_id] = made
        while len(_indexes) > _INDEXES_KEPT_MAX:
            del _indexes[next(iter(_indexes))]
    return made
