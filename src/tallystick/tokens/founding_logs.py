"""The first keys of a log: the root manifest that names them, and their events, which stand in front of all others."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection

from tallystick import signing
from tallystick.signing import KeyDirectory, KeyState, KeyUse, SigningKey
from tallystick.tokens.expiring import system_principal
from tallystick.tokens.instructions import Kind, Outcome, Request, Submission
from tallystick.tokens.requests import key_digest, new_instruction_id, request_hash
from tallystick.tokens.settle import settle
from tallystick.tokens.settler import Settler

__all__ = ["ROOT_FOLDER", "change_unasked", "found_log"]

#: What root keys are kept under in a folder of theirs, where an issuer's id stands otherwise.
ROOT_FOLDER = "root"


def found_log(
    connection: Connection,
    settler: Settler,
    issuer_id: str,
    key_directory: KeyDirectory,
    root_directory: KeyDirectory,
    *,
    origin: str,
) -> SigningKey:
    """Make a root and the first keys of a new issuer, and record those; return the key that signs events.

    Everything at once, on one machine: for the sandbox, and for who takes the root's folder away afterwards. The
    log's first event is of the key that signs it, its second of the key that signs checkpoints.
    """
    for use in (KeyUse.EVENT, KeyUse.CHECKPOINT):
        signing.prepare_key(connection, settler.clock, issuer_id, key_directory, use=use)
    root = root_directory.create(ROOT_FOLDER)
    drafted = signing.draft_manifest(connection, issuer_id, origin=origin, root_keys=(root,))
    signer = root_directory.signer(ROOT_FOLDER, signing.thumbprint(root))
    document = signing.add_signature(signing.unsigned(drafted), signer).document()
    signing.import_manifest(connection, settler.clock, issuer_id, document, origin=origin)
    for key in _prepared(connection, issuer_id):
        change_unasked(connection, settler, issuer_id, "signing_key_activation", key.id, {})
    active = signing.active_key(connection, issuer_id, KeyUse.EVENT)
    assert active is not None
    return active


def change_unasked(
    connection: Connection,
    settler: Settler,
    issuer_id: str,
    operation: str,
    subject_id: str,
    payload: dict[str, Any],
) -> Outcome:
    """Carry out a change for which there is no principal yet that could ask: while a bank is being founded.

    Raises what refuses it; MakerNotAPersonError where it would take another person.
    """
    acting = system_principal(issuer_id, settler.clock.now())
    instruction_id = new_instruction_id(Kind.CHANGE)
    request = Request(
        id=instruction_id,
        kind=Kind.CHANGE,
        principal=acting,
        key_digest=key_digest(acting.id, operation, instruction_id),
        request_hash=request_hash(operation, {"id": subject_id, **payload}),
        related_id=subject_id,
        reason=payload.get("reason"),
        source="command",
        operation=operation,
        payload=payload,
    )
    [settled] = settle(connection, settler, issuer_id, [Submission((request,))])
    [outcome] = settled.outcomes
    if outcome.refusal is not None:
        raise outcome.refusal
    return outcome


def _prepared(connection: Connection, issuer_id: str) -> Iterator[SigningKey]:
    keys = [one for one in signing.list_keys(connection, issuer_id) if one.state == KeyState.PREPARED]
    # Events first: whatever else is recorded is signed by that key.
    yield from sorted(keys, key=lambda one: one.use != KeyUse.EVENT)
