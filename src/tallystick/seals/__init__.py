"""Seals: one signed event over every record that no event of its own tells of.

What moves money is in the log by itself. Holders, accounts, statements, screenings and all other evidence are rows:
a seal hashes each that is new or has changed since the seal before, keeps the hashes, and has one hash over them signed
into the log. From then on nobody without the signing key can change, remove or add one as if it had been there.
A seal says that a record was so, not that it was right: what was changed before its first seal is sealed as it is.
"""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection

from tallystick.core.canonical_json import canonical_json
from tallystick.core.database import Database
from tallystick.seals import store
from tallystick.seals.hashing import HASH_SIZE_BYTES, Part, parts, prepare_session, split_hashes
from tallystick.seals.records import Seal, SealNumberTakenError, contents
from tallystick.seals.store import Difference

__all__ = [
    "HASH_SIZE_BYTES",
    "Difference",
    "Part",
    "Seal",
    "SealNumberTakenError",
    "behind_newest",
    "check_seal",
    "contents_of",
    "differences",
    "newest",
    "parts",
    "prepare",
    "prepare_session",
    "record",
    "records_hash",
    "seals",
    "split_hashes",
    "turn",
]

_MEMBERS: Final = (
    "number",
    "record_count",
    "records_hash",
    "columns",
    "spans",
    "audit_next_number",
    "audit_last_hash",
)


@contextmanager
def turn(database: Database, issuer_id: str) -> Iterator[bool]:
    """Hold the turn to check an issuer and seal it, for as long as the block lasts; False where another process has it.

    Nobody waits for it, and the server lets go of it when the connection ends: whoever dies leaves it to the others.
    """
    with database.read() as connection:
        yield store.take_turn(connection, issuer_id)


def prepare(connection: Connection, issuer_id: str) -> dict[str, Any]:
    """Hash what is new or has changed since the last seal, keep the hashes, and return what the seal's event hashes.

    To be called in the transaction that has the event recorded. One seal is prepared at a time; others wait.
    """
    store.lock(connection, issuer_id)
    prepare_session(connection)
    before = store.newest_seal(connection, issuer_id)
    number = 0 if before is None else before.number + 1
    ends, audit_last_hash = store.read_ends(connection, issuer_id)
    spans: dict[str, int] = {} if before is None else dict(before.spans)
    sealed = parts(connection)
    for part in sealed:
        last = -1 if part.along is None else ends[part.along]
        first = 0 if before is None else before.spans.get(part.table, 0)
        store.seal_new_records(connection, issuer_id, part, number, first=first, last=last)
        if part.along is not None:
            spans[part.table] = max(first, last + 1)
    count, digest = records_hash(connection, issuer_id, number)
    return contents(
        number=number,
        record_count=count,
        records_hash=digest,
        columns={part.name: list(part.columns) for part in sealed},
        spans=spans,
        audit_next_number=ends["entry_number"] + 1,
        audit_last_hash=audit_last_hash,
    )


def check_seal(connection: Connection, issuer_id: str, payload: Mapping[str, Any]) -> None:
    """Refuse a seal that is not the next one: SealNumberTakenError."""
    before = store.newest_seal(connection, issuer_id)
    if payload["number"] != (0 if before is None else before.number + 1):
        raise SealNumberTakenError


def record(
    connection: Connection,
    issuer_id: str,
    payload: Mapping[str, Any],
    *,
    sealed_at: datetime,
    event_index: int,
) -> None:
    """Keep a seal's head in the transaction of its event."""
    members = {name: payload[name] for name in _MEMBERS}
    for name in ("records_hash", "audit_last_hash"):
        members[name] = bytes.fromhex(members[name])
    store.insert_seal(
        connection, Seal(issuer_id=issuer_id, sealed_at=sealed_at, event_index=event_index, **members)
    )


def newest(connection: Connection, issuer_id: str) -> Seal | None:
    """Return the seal that was set last; None where there is none."""
    return store.newest_seal(connection, issuer_id)


def behind_newest(connection: Connection, issuer_id: str) -> tuple[int, int]:
    """Return how many events, and how many entries of the audit trail, no seal has seen; a seal's own is no event."""
    before = store.newest_seal(connection, issuer_id)
    ends, _ = store.read_ends(connection, issuer_id)
    sealed_index, sealed_number = (
        (-1, -1) if before is None else (before.event_index, before.audit_next_number - 1)
    )
    return max(ends["event_index"] - sealed_index, 0), max(ends["entry_number"] - sealed_number, 0)


def seals(connection: Connection, issuer_id: str) -> Iterator[Seal]:
    """Yield every seal in order."""
    return store.read_seals(connection, issuer_id)


def contents_of(seal: Seal) -> dict[str, Any]:
    """Return what the seal's event hashes, from its head."""
    return contents(**{name: getattr(seal, name) for name in _MEMBERS})


def records_hash(connection: Connection, issuer_id: str, seal_number: int) -> tuple[int, bytes]:
    """Return how many records a seal found new or changed, and the SHA-256 over them in constant memory.

    Each is a line of canonical JSON: table, key, and the columns' hashes in hexadecimal.
    """
    hashed = hashlib.sha256()
    count = 0
    for table, key, column_hashes in store.read_records(connection, issuer_id, seal_number):
        hashed.update(canonical_json([table, key, column_hashes.hex()]) + b"\n")
        count += 1
    return count, hashed.digest()


def differences(connection: Connection, issuer_id: str, part: Part, seal: Seal) -> Iterator[Difference]:
    """Yield the records of a part that are not as they were sealed last; `seal` is the newest one."""
    ends, _ = store.read_ends(connection, issuer_id)
    last = -1 if part.along is None else ends[part.along]
    return store.differences(connection, issuer_id, part, span_end=seal.spans.get(part.table, 0), last=last)
