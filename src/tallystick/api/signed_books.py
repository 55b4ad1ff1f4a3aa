"""Figures of the books that the issuer signs on request, so that they can be shown to others and checked offline.

What is signed is the answer itself as canonical JSON (RFC 8785), without `signature`, and without `rows`, which
`row_count` and `rows_hash` stand for: the SHA-256 of each row's canonical JSON and a line feed. So a trial balance of
any length is signed while it is sent. The answer pins the log: `event_index` is the last event that the figures know,
`event_hash` the hash that this event has as a leaf of the log's tree (RFC 6962), and `log_size` how long the log was
when it was signed, by which the key is judged.
"""

import hashlib
from datetime import date, datetime
from typing import Annotated, Any, Final, NamedTuple

from fastapi import Query
from sqlalchemy import Connection

from tallystick import events, signing
from tallystick.api.access import Caller
from tallystick.core.canonical_json import canonical_json
from tallystick.core.clock import format_time
from tallystick.ledger import Standpoint
from tallystick.signing import Signer, sign_compact

__all__ = ["BOOKS_MEDIA_TYPE", "Asked", "RowsHash", "Signed", "pinned", "sign", "signer_of", "standing"]

# The version belongs to the type, as with events.
BOOKS_MEDIA_TYPE: Final = "tallystick-books-v1+jws"

Signed = Annotated[bool, Query(description="Whether the issuer signs the answer.")]


class Asked(NamedTuple):
    """Which books are asked for: as known by a moment, by value date up to a day, and signed or not."""

    as_of: datetime | None = None
    effective_on: date | None = None
    signed: bool = False


class RowsHash:
    """What stands for rows in what is signed: how many there were, and the hash of all in their order."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.count = 0

    def add(self, row: dict[str, Any]) -> None:
        """Take up the next row."""
        self._hash.update(canonical_json(row) + b"\n")
        self.count += 1

    def members(self) -> dict[str, Any]:
        """Return the members that stand for the rows."""
        return {"row_count": self.count, "rows_hash": self._hash.hexdigest()}


def standing(at: Standpoint, asked: Asked) -> dict[str, Any]:
    """Return the members that say from where the books were looked at."""
    return {
        "as_of": None if asked.as_of is None else format_time(asked.as_of),
        "effective_on": None if asked.effective_on is None else asked.effective_on.isoformat(),
        "event_index": at.event_index,
    }


def signer_of(caller: Caller, connection: Connection) -> Signer:
    """Return the issuer's signer, before anything is answered. Raises SigningKeyUnavailableError."""
    return signing.load_signer(connection, caller.issuer_id, caller.service.key_directory)


def pinned(caller: Caller, connection: Connection, event_index: int) -> dict[str, Any]:
    """Return the members that pin an answer to its place in the issuer's log."""
    event_hash = None
    if event_index >= 0:
        leaf = events.event_by_index(connection, caller.issuer_id, event_index).jws.encode("ascii")
        event_hash = hashlib.sha256(b"\x00" + leaf).hexdigest()
    return {
        "issuer_id": caller.issuer_id,
        "event_hash": event_hash,
        "log_size": events.last_index(connection, caller.issuer_id) + 1,
        "signed_at": format_time(caller.service.clock.now()),
    }


def sign(signer: Signer, shown: dict[str, Any]) -> dict[str, Any]:
    """Return the answer with its signature: a compact JWS over all other members but the rows."""
    signature = sign_compact(signer, canonical_json(shown), media_type=BOOKS_MEDIA_TYPE)
    return shown | {"signature": signature}
