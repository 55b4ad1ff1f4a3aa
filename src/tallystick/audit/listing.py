"""The trail as it is read: the entries of its own table and the settled instructions of the log, in the order of time.

Nothing is written twice: who settled what, and when, is in the instruction and its signed event already. Every page
costs a bounded amount of work. Where a filter has no index of its own, a page looks through a bounded stretch and may
be short, or empty, and still say that there is more.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from tallystick import events, tokens
from tallystick.audit import store
from tallystick.audit.chain import entry_hash
from tallystick.audit.merging import Found, Side, merged
from tallystick.audit.records import FIRST_PREVIOUS_HASH, Decision, Draft, Entry, Filters, Page, Place
from tallystick.core.ids import with_prefix
from tallystick.tokens import Instruction

__all__ = ["begin", "first_broken_number", "page"]

# An event is some ten times the size of an entry.
_EVENTS_SEARCHED_MAX: Final = 5_000
_ENTRIES_SEARCHED_MAX: Final = 20_000
_PER_READ: Final = 1_000
_ABOUT_ONE_SUBJECT_MAX: Final = 10_000
_NOTHING: Final = Filters()


def begin(
    connection: Connection, issuer_id: str, *, after: datetime | None = None, until: datetime | None = None
) -> Place:
    """Return the place to begin a walk through what was recorded after `after` and up to `until`.

    It ends at what there is now: what is recorded meanwhile, the walk's own reading included, is for the next one.
    """
    return Place(
        -1 if after is None else events.index_as_of(connection, issuer_id, after),
        -1 if after is None else store.read_number_as_of(connection, issuer_id, after),
        events.last_index(connection, issuer_id)
        if until is None
        else events.index_as_of(connection, issuer_id, until),
        store.read_last_number(connection, issuer_id)
        if until is None
        else store.read_number_as_of(connection, issuer_id, until),
    )


def page(
    connection: Connection, issuer_id: str, place: Place, filters: Filters = _NOTHING, *, limit: int = 100
) -> Page:
    """Return the entries behind `place` that pass the filters, and the place to go on from."""
    log = _settled(connection, issuer_id, place, filters, limit)
    trail = _recorded(connection, issuer_id, place, filters, limit)
    entries, event_index, entry_number, more = merged(log, trail, limit)
    if not more:
        return Page(entries, None)
    return Page(entries, place._replace(event_index=event_index, entry_number=entry_number))


def entries(connection: Connection, issuer_id: str) -> Iterator[Entry]:
    """Yield every entry of the trail itself in order, in constant memory."""
    after_number = -1
    while page := store.read_entries(
        connection,
        issuer_id,
        _NOTHING,
        after_number=after_number,
        last_number=2**63 - 1,
        limit=_PER_READ,
    ):
        yield from page
        assert page[-1].number is not None
        after_number = page[-1].number


def first_broken_number(connection: Connection, issuer_id: str) -> int | None:
    """Return the number of the first entry that is missing or isn't what it was; None if the whole chain holds.

    The chain's head is compared too, so that an end that was cut off is noticed; whoever can write both tables can
    forge both, which only a hash that was kept elsewhere shows.
    """
    expected, previous_hash = 0, FIRST_PREVIOUS_HASH
    last = store.read_last_number(connection, issuer_id)
    while True:
        found = store.read_entries(
            connection,
            issuer_id,
            _NOTHING,
            after_number=expected - 1,
            last_number=2**63 - 1,
            limit=_PER_READ,
        )
        for entry in found:
            if entry.number != expected or entry.hash != entry_hash(entry, previous_hash):
                return expected
            expected, previous_hash = expected + 1, entry.hash
        if len(found) < _PER_READ:
            break
    intact = expected == last + 1 and store.read_last_hash(connection, issuer_id) in (None, previous_hash)
    return None if intact else expected


def _recorded(
    connection: Connection, issuer_id: str, place: Place, filters: Filters, limit: int
) -> Side[Entry]:
    last = place.last_entry_number
    until = last
    if _needs_searching(filters):
        until = min(last, place.entry_number + _ENTRIES_SEARCHED_MAX)
    found = store.read_entries(
        connection, issuer_id, filters, after_number=place.entry_number, last_number=until, limit=limit + 1
    )
    side = [Found(entry.recorded_at, entry.number or 0, entry) for entry in found]
    if len(side) > limit:
        return Side(side, side[-1].position, side[-1].at)
    if until == last:
        return Side(side, last)
    [reached] = store.read_entries(
        connection, issuer_id, _NOTHING, after_number=until - 1, last_number=until, limit=1
    )
    return Side(side, until, reached.recorded_at)


def _needs_searching(filters: Filters) -> bool:
    # Each of principal, subject and code has an index that is in order; the rest, and any two, are looked for.
    asked = sum(value is not None for value in filters)
    return asked > 1 or filters.decision is not None or filters.operation is not None


def _settled(
    connection: Connection, issuer_id: str, place: Place, filters: Filters, limit: int
) -> Side[Entry]:
    end = Side[Entry]([], place.last_event_index)
    if filters.code is not None or filters.decision not in (None, Decision.SETTLED):
        return end
    if filters.subject_id is not None:
        about = tokens.instructions_about(
            connection, issuer_id, filters.subject_id, limit=_ABOUT_ONE_SUBJECT_MAX
        )
        ordered = sorted(
            (
                (index, one)
                for one in about
                if (index := one.event_index) is not None
                and place.event_index < index <= place.last_event_index
            ),
        )
        return end._replace(
            found=[_found(issuer_id, index, one) for index, one in ordered if _passes(one, filters)]
        )
    return _searched(connection, issuer_id, place, filters, limit)


def _searched(
    connection: Connection, issuer_id: str, place: Place, filters: Filters, limit: int
) -> Side[Entry]:
    filtered = filters.principal_id is not None or filters.operation is not None
    reached, last = place.event_index, place.last_event_index
    reached_at: datetime | None = None
    found: list[Found[Entry]] = []
    while reached < last and len(found) <= limit and reached - place.event_index < _EVENTS_SEARCHED_MAX:
        wanted = _PER_READ if filtered else limit + 1 - len(found)
        log = events.events(
            connection, issuer_id, after_index=reached, limit=min(wanted, _PER_READ, last - reached)
        )
        if not log:
            break
        rows = tokens.instructions_by_id(connection, issuer_id, [event.subject_id for event in log])
        found += [
            _found(issuer_id, event.event_index, row)
            for event in log
            if (row := rows.get(event.subject_id)) is not None and _passes(row, filters)
        ]
        reached, reached_at = log[-1].event_index, log[-1].booked_at
    return Side(found, reached, None if reached >= last else reached_at)


def _passes(row: Instruction, filters: Filters) -> bool:
    return filters.principal_id in (None, row.principal_id) and filters.operation in (None, row.kind)


def _found(issuer_id: str, event_index: int, row: Instruction) -> Found[Entry]:
    assert row.settled_at is not None
    draft = Draft(
        operation=row.kind,
        decision=Decision.SETTLED,
        principal_id=row.principal_id,
        subject_id=row.id,
        source=row.source,
        request_hash=row.request_hash,
        event_index=event_index,
    )
    entry = Entry(issuer_id, with_prefix("event", row.id), row.settled_at, draft)
    return Found(row.settled_at, event_index, entry)
