"""The chain of an issuer's trail: each entry's hash covers the entry and the hash before it.

`hash` is the SHA-256 of the canonical JSON (RFC 8785) of the entry as it is told, without `hash` and with the hash of
the entry before as `previous_hash`; the first one's is 64 zeros. Whoever kept one hash notices any later change,
removal or insertion before it, with nothing but the entries.
"""

import hashlib
from collections.abc import Sequence
from datetime import datetime

from tallystick.audit.records import Draft, Entry, Head
from tallystick.core.canonical_json import CanonicalValue, canonical_json
from tallystick.core.clock import format_time
from tallystick.core.ids import new_id

__all__ = ["chained", "entry_hash", "resource"]


def resource(entry: Entry) -> dict[str, CanonicalValue]:
    """Return an entry as it is told: strings, integers and null, and so the same bytes wherever it is hashed."""
    draft = entry.draft
    shown: dict[str, CanonicalValue] = {
        "id": entry.id,
        "object": "audit_entry",
        "created_at": format_time(entry.recorded_at),
        "issuer_id": entry.issuer_id,
        "kept_in": "log" if entry.number is None else "trail",
        "number": entry.number,
        "principal_id": draft.principal_id,
        "person": draft.person,
        "key_id": draft.key_id,
        "operation": draft.operation,
        "method": draft.method,
        "subject_id": draft.subject_id,
        "source": draft.source,
        "request_id": draft.request_id,
        "request_hash": None if draft.request_hash is None else draft.request_hash.hex(),
        "decision": str(draft.decision),
        "status": draft.status,
        "code": draft.code,
        "reasons": draft.reasons,
        "event_index": draft.event_index,
        "hash": None if entry.hash is None else entry.hash.hex(),
    }
    return shown


def entry_hash(entry: Entry, previous_hash: bytes) -> bytes:
    """Return the 32 bytes that `entry` must have as its hash behind the one before."""
    hashed = resource(entry)
    del hashed["hash"]
    hashed["previous_hash"] = previous_hash.hex()
    return hashlib.sha256(canonical_json(hashed)).digest()


def chained(issuer_id: str, head: Head, recorded_at: datetime, drafts: Sequence[Draft]) -> list[Entry]:
    """Return the drafts as entries that go on from the head."""
    entries = []
    previous_hash = head.last_hash
    for number, draft in enumerate(drafts, head.next_number):
        unhashed = Entry(issuer_id, new_id("audit"), recorded_at, draft, number)
        previous_hash = entry_hash(unhashed, previous_hash)
        entries.append(unhashed._replace(hash=previous_hash))
    return entries
