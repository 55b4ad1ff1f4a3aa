"""The log: one signed fact per committed instruction, indexed without gaps in the order of commit, per issuer."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

from sqlalchemy import Connection

from tallystick.core.errors import InvariantError
from tallystick.core.pipeline import Asked, Pipeline
from tallystick.events import store
from tallystick.events.records import Event, EventDraft, EventNotFoundError, Head
from tallystick.signing import CompactSigning, Signer, begin_compact_many

__all__ = [
    "EVENT_VERSION",
    "Event",
    "EventDraft",
    "EventNotFoundError",
    "Head",
    "append",
    "begin_signing",
    "between",
    "event",
    "event_by_index",
    "events",
    "events_at",
    "index_as_of",
    "jws_from",
    "key_spans",
    "last_index",
    "lock_head",
    "move_head",
    "open_log",
    "stream",
    "subjects_at",
]

EVENT_VERSION = 1


def open_log(connection: Connection, issuer_id: str, opened_at: datetime) -> None:
    """Begin an issuer's log at index 0."""
    store.insert_head(connection, issuer_id, opened_at)


def lock_head(pipeline: Pipeline, issuer_id: str) -> Asked[Head]:
    """Take the issuer's head until the transaction ends: always the last lock taken.

    Whoever holds it gives out the next indexes, so that index order is commit order and a rollback leaves no gap.
    """
    return store.lock_head(pipeline, issuer_id)


def begin_signing(drafts: Sequence[EventDraft], signer: Signer) -> CompactSigning:
    """Begin to sign drafts; the result is each event's JWS."""
    return begin_compact_many(signer, [draft.payload for draft in drafts])


def append(
    pipeline: Pipeline,
    issuer_id: str,
    booked_at: datetime,
    drafts: Sequence[EventDraft],
    key_id: str,
    signed: Sequence[str],
) -> None:
    """Write signed drafts, at least one, whose indexes go on from the head's."""
    store.insert_events(pipeline, issuer_id, key_id, booked_at, drafts, signed)


def move_head(
    pipeline: Pipeline, issuer_id: str, head: Head, next_index: int, booked_at: datetime
) -> Callable[[], None]:
    """Move the head behind what was appended; the check to make when the pipeline has ended raises InvariantError."""
    moved = store.move_head(pipeline, issuer_id, head, next_index, booked_at)

    def check() -> None:
        if moved.result() != 1:
            raise InvariantError("the log's head moved under its lock")

    return check


def event(connection: Connection, issuer_id: str, event_id: str) -> Event:
    """Return one event or raise EventNotFoundError."""
    found = store.read_event(connection, issuer_id, event_id)
    if found is None:
        raise EventNotFoundError
    return found


def event_by_index(connection: Connection, issuer_id: str, event_index: int) -> Event:
    """Return the event at an index or raise EventNotFoundError."""
    found = store.read_events_at(connection, issuer_id, [event_index])
    if not found:
        raise EventNotFoundError
    return found[0]


def events(connection: Connection, issuer_id: str, *, after_index: int = -1, limit: int = 100) -> list[Event]:
    """Return a page of events behind `after_index`, in order."""
    return store.read_events(connection, issuer_id, after_index, limit)


def events_at(connection: Connection, issuer_id: str, indexes: Sequence[int]) -> list[Event]:
    """Return the events at these indexes, in order."""
    return store.read_events_at(connection, issuer_id, indexes)


def between(connection: Connection, issuer_id: str, first_index: int, last_index: int) -> list[Event]:
    """Return the events from one index to another, both included, in order; how many that may be, the caller says."""
    return store.read_between(connection, issuer_id, first_index, last_index)


def subjects_at(connection: Connection, issuer_id: str, indexes: Sequence[int]) -> dict[int, str]:
    """Return, by index, what events are about: the instruction, account or approval that each one names."""
    return store.read_subjects_at(connection, issuer_id, indexes)


def stream(connection: Connection, issuer_id: str, first_index: int, last_index: int) -> Iterator[Event]:
    """Yield events from one index to another, both included, in constant memory."""
    after_index = first_index - 1
    while after_index < last_index:
        page = store.read_events(connection, issuer_id, after_index, min(1_000, last_index - after_index))
        if not page:
            return
        yield from page
        after_index = page[-1].event_index


def jws_from(connection: Connection, issuer_id: str, first_index: int, limit: int) -> list[str]:
    """Return what was signed of up to `limit` events from an index on, in order; InvariantError across a gap."""
    rows = store.read_jws(connection, issuer_id, first_index, limit)
    if [row[0] for row in rows] != list(range(first_index, first_index + len(rows))):
        raise InvariantError("the log has a gap")
    return [row[1] for row in rows]


def last_index(connection: Connection, issuer_id: str) -> int:
    """Return the index of the newest event; -1 in an empty log."""
    return store.read_next_index(connection, issuer_id) - 1


def key_spans(connection: Connection, issuer_id: str) -> dict[str, tuple[int, int]]:
    """Return the first and the last index that each key signed, by key id. Reads the whole log."""
    return store.read_key_spans(connection, issuer_id)


def index_as_of(connection: Connection, issuer_id: str, at: datetime) -> int:
    """Return the index of the last event that was booked at or before `at`; -1 if there was none."""
    return store.read_index_as_of(connection, issuer_id, at)
