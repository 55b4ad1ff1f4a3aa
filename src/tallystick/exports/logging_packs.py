"""A pack that was made is an event of the log: `export.made`, bound to the SHA-256 of its manifest.

Nobody can then have been given a pack that the bank's own log knows nothing of, and whoever holds one can ask for the
event, or a receipt of it, and compare. The event lies behind the pack's own end.
"""

import hashlib
from typing import Any, Final

from sqlalchemy import Connection

from tallystick import tokens
from tallystick.core.errors import InvariantError
from tallystick.exports.manifest import manifest_bytes
from tallystick.exports.records import Export, Workshop
from tallystick.tokens import Kind, Request, Submission

__all__ = ["log_pack"]

_OPERATION: Final = "export_making"


def log_pack(connection: Connection, workshop: Workshop, export: Export, manifest: dict[str, Any]) -> int:
    """Put a pack's manifest into the log, once, in the service's own name; return the event's index.

    Who asked for it is in the export's record: an event is read by more people than that.

    Raises SigningKeyUnavailableError.
    """
    payload = {"manifest_sha256": hashlib.sha256(manifest_bytes(manifest)).hexdigest()}
    acting = tokens.system_principal(export.issuer_id, workshop.clock.now())
    request = Request(
        id=tokens.new_instruction_id(Kind.CHANGE),
        kind=Kind.CHANGE,
        principal=acting,
        key_digest=tokens.key_digest(acting.id, _OPERATION, export.id),
        request_hash=tokens.request_hash(_OPERATION, {"id": export.id, **payload}),
        related_id=export.id,
        operation=_OPERATION,
        payload=payload,
        source="worker",
    )
    [settled] = tokens.settle(connection, workshop.settler, export.issuer_id, [Submission((request,))])
    [outcome] = settled.outcomes
    if outcome.refusal is not None:
        raise outcome.refusal
    if outcome.event_index is None:
        raise InvariantError(f"{export.id} has no event")
    return outcome.event_index
