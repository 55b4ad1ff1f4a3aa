"""What a change is made of: how it is checked, how it takes effect, and what its event is called."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection

from tallystick.core.clock import Clock
from tallystick.core.errors import MalformedError

__all__ = ["Applied", "Change", "ChangeUnknownError", "CheckedChange", "Payload", "Wanted"]

Payload = Mapping[str, Any]


class ChangeUnknownError(MalformedError):
    """No change of this name."""

    code = "change_unknown"
    title = "No such change"


class Wanted(NamedTuple):
    """A change as it is asked for: what `payload` says shall become of the subject."""

    clock: Clock
    issuer_id: str
    subject_id: str
    payload: Payload


class Applied(NamedTuple):
    """A change that takes effect: who asked, whose votes let it through, and where the log has it."""

    clock: Clock
    issuer_id: str
    subject_id: str
    payload: Payload
    principal_id: str
    approval_hashes: Sequence[bytes]
    event_index: int
    booked_at: datetime


class Change(NamedTuple):
    """One kind of change; `told` are the members of its payload that its event says itself, beside their hash.

    `check` raises the DomainError that refuses it, when it is asked for and again when it is approved, and returns
    how many other people it takes; 0: none, it takes effect at once. `apply` then carries it out. Both are called under
    the issuer's lock. A person must ask for it, unless `machines_may_ask`.
    """

    event_type: str
    check: Callable[[Connection, Wanted], int]
    apply: Callable[[Connection, Applied], None]
    told: tuple[str, ...] = ()
    machines_may_ask: bool = False


class CheckedChange(NamedTuple):
    """A change that was checked under the lock and may be carried out."""

    operation: str
    change: Change
    subject_id: str
    payload: Payload
    checkers: int

    @property
    def told(self) -> dict[str, Any]:
        """What the event says of the payload itself."""
        return {name: self.payload[name] for name in self.change.told}
