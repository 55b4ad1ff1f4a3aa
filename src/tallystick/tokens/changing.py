"""What a change is made of: how it is checked, how it takes effect, and what its event is called."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any, NamedTuple

from sqlalchemy import Connection

from tallystick.core.clock import Clock
from tallystick.core.errors import MalformedError
from tallystick.core.money import format_amount
from tallystick.ledger import Posting
from tallystick.signing import Signer

__all__ = ["Applied", "Change", "ChangeUnknownError", "CheckedChange", "Entry", "Payload", "Told", "Wanted"]

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


class Entry(NamedTuple):
    """The journal entry that a change posts: one amount, from one of a token class's own accounts to another."""

    token_class_id: str
    currency: str
    scale: int
    amount_minor: int
    debited: str
    credited: str

    @property
    def postings(self) -> tuple[Posting, Posting]:
        """The debit and the credit."""
        return Posting(self.debited, self.amount_minor, 0), Posting(self.credited, 0, self.amount_minor)

    @property
    def told(self) -> dict[str, Any]:
        """What people see of it before they approve, and the change's event says."""
        amount = format_amount(self.amount_minor, self.scale)
        return {
            "amount": amount,
            "currency": self.currency,
            "lines": [
                {"account": self.debited, "debit": amount},
                {"account": self.credited, "credit": amount},
            ],
            "scale": self.scale,
            "token_class_id": self.token_class_id,
        }


class Applied(NamedTuple):
    """A change that takes effect: who asked, whose votes let it through, where the log has it and what else it says."""

    clock: Clock
    issuer_id: str
    subject_id: str
    payload: Payload
    principal_id: str
    approval_hashes: Sequence[bytes]
    event_index: int
    booked_at: datetime
    instruction_id: str
    members: Payload = MappingProxyType({})
    entry: Entry | None = None


class Told(NamedTuple):
    """What a change's event says beside the hash of its payload, the key that signs it if not the active one, and the
    entry that it posts, if any.
    """

    members: Mapping[str, Any]
    signed_by: str | None = None
    entry: Entry | None = None


class Change(NamedTuple):
    """One kind of change; `tell` gives what its event says itself, beside its payload's hash.

    `check` raises the DomainError that refuses it, when it is asked for and again when it is approved, and returns
    how many other people it takes; 0: none, it takes effect at once. `apply` then carries it out. Both are called under
    the issuer's lock, and so is `tell` between them, for what everybody must be able to read in the log. Of a change
    that may post an entry, `locks` names the ledger accounts beforehand, for those are locked before the log.
    """

    event_type: str
    check: Callable[[Connection, Wanted], int]
    apply: Callable[[Connection, Applied], None]
    tell: Callable[[Connection, Wanted], Told] | None = None
    locks: Callable[[Connection, str, str], list[str]] | None = None


class CheckedChange(NamedTuple):
    """A change that was checked under the lock and may be carried out. `signer` is set if it isn't the active key's."""

    operation: str
    change: Change
    subject_id: str
    payload: Payload
    checkers: int
    members: Mapping[str, Any] = MappingProxyType({})
    signer: Signer | None = None
    entry: Entry | None = None
