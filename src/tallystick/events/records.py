"""Events as facts, before and after they are written."""

from datetime import datetime
from typing import NamedTuple

from tallystick.core.errors import NotFoundError

__all__ = ["Event", "EventDraft", "EventNotFoundError", "Head"]


class EventNotFoundError(NotFoundError):
    """No such event, or none that the caller may know of."""

    code = "event_not_found"
    title = "No such event"


class Head(NamedTuple):
    """The end of an issuer's log, held under lock."""

    next_index: int
    last_booked_at: datetime


class EventDraft(NamedTuple):
    """An event that is about to be signed: `payload` is the canonical JSON, index included."""

    event_index: int
    id: str
    type: str
    subject_id: str
    token_class_id: str | None
    payload: bytes


class Event(NamedTuple):
    """A signed fact. `jws` is the compact JWS; its bytes are the bytes that were signed."""

    event_index: int
    id: str
    type: str
    subject_id: str
    token_class_id: str | None
    booked_at: datetime
    key_id: str
    jws: str
