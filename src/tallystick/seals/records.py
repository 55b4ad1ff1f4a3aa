"""What a seal tells."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tallystick.core.errors import ConflictError

__all__ = ["Seal", "SealNumberTakenError", "contents"]


class SealNumberTakenError(ConflictError):
    """Another seal was set meanwhile."""

    code = "seal_number_taken"
    title = "Another seal was set meanwhile: set the next one"


@dataclass(frozen=True, slots=True)
class Seal:
    """A seal's head. `records_hash` is the SHA-256 over the records that it found new or changed.

    `columns` are those hashed, by part; `spans` where each table's next span begins; the audit trail is sealed by its
    end. `sealed_at` and `event_index` are those of its event, which carries the hash of all the rest.
    """

    issuer_id: str
    number: int
    record_count: int
    records_hash: bytes
    columns: dict[str, list[str]]
    spans: dict[str, int]
    audit_next_number: int
    audit_last_hash: bytes
    sealed_at: datetime
    event_index: int


def contents(
    *,
    number: int,
    record_count: int,
    records_hash: bytes,
    columns: dict[str, list[str]],
    spans: dict[str, int],
    audit_next_number: int,
    audit_last_hash: bytes,
) -> dict[str, Any]:
    """Return what a seal's event hashes as its payload."""
    return {
        "number": number,
        "record_count": record_count,
        "records_hash": records_hash.hex(),
        "columns": columns,
        "spans": spans,
        "audit_next_number": audit_next_number,
        "audit_last_hash": audit_last_hash.hex(),
    }
