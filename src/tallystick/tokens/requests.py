"""What every request wears: its id, where the answer to its key is kept, and the hash of what it asks."""

import hashlib
from collections.abc import Mapping

from tallystick.core.canonical_json import CanonicalValue, canonical_json
from tallystick.core.ids import new_id
from tallystick.tokens.instructions import ID_PREFIX

__all__ = ["key_digest", "new_instruction_id", "request_hash"]


def new_instruction_id(kind: str) -> str:
    """Return a fresh id with the kind's prefix, such as `transfer_…`."""
    return new_id(ID_PREFIX[kind])


def key_digest(principal_id: str, operation: str, idempotency_key: str) -> bytes:
    """Return where the answer to this key is kept: unique per principal and operation, for ever."""
    return hashlib.sha256(f"{principal_id}\0{operation}\0{idempotency_key}".encode()).digest()


def request_hash(operation: str, asked: Mapping[str, CanonicalValue]) -> bytes:
    """Return the SHA-256 of the canonical JSON of what is asked: the same request, however it is spelled."""
    return hashlib.sha256(canonical_json({"operation": str(operation), "request": asked})).digest()
