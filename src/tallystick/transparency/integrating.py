"""Integration: sequenced events become leaves, and a checkpoint over them is signed.

Sequencing is the write path's: an event has its index when it is committed. Integration follows, and one transaction
holds all of a step: tiles, edge, checkpoint. Whatever line a crash hits, the state is that before the step or that
after it, and the next step goes on from there; there is no other recovery.

Nothing is signed before it was held against what was signed last: the old root is computed again from stored bytes,
the events of the unfinished tile are hashed again, and a consistency proof is made from the stored tiles and verified.
A tree that is smaller than the last checkpoint, or another, is never signed: InvariantError, which alerts.
"""

from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import Connection

from tallystick import events, signing
from tallystick.core.clock import Clock
from tallystick.core.database import Database
from tallystick.core.errors import InvariantError
from tallystick.signing import KeyDirectory, KeyUse, Signer
from tallystick.transparency import store
from tallystick.transparency.checkpoints import Checkpoint, parse_checkpoint
from tallystick.transparency.merkle import leaf_hashes, verify_consistency
from tallystick.transparency.notes import (
    ED25519,
    Note,
    VerifierKey,
    format_note,
    parse_note,
    sign_note,
    verify_note,
)
from tallystick.transparency.records import SignedCheckpoint, TreeRow
from tallystick.transparency.stored_tree import StoredTree
from tallystick.transparency.tile_stores import DatabaseTiles, TileStore
from tallystick.transparency.tiles import ENTRY_SIZE_MAX_BYTES, TILE_WIDTH, grow

__all__ = ["STEP_SIZE_MAX", "Log", "checkpoint_keys", "integrate", "stored_tree"]

STEP_SIZE_MAX: Final = 4_096


@dataclass(frozen=True, slots=True)
class Log:
    """What integration works with. `signed` is the newest head that this process has seen, by issuer.

    The database may be put back to an earlier state under a running process; the process remembers.
    """

    clock: Clock
    key_directory: KeyDirectory
    origin_prefix: str
    tiles: TileStore = field(default_factory=DatabaseTiles)
    signed: dict[str, Checkpoint] = field(default_factory=dict)


def integrate(database: Database, log: Log, issuer_id: str, *, step_size_max: int = STEP_SIZE_MAX) -> int:
    """Take one step of at most so many events, and return how many of the log are under a signed checkpoint now.

    Does nothing where no event waits, or another process is at it. Raises SigningKeyUnavailableError without a
    checkpoint key, InvariantError where the log is not the one that was signed.
    """
    with database.read() as connection:
        signed_size = store.read_size(connection, issuer_id)
        sequenced_size = events.last_index(connection, issuer_id) + 1
    remembered = log.signed.get(issuer_id)
    if sequenced_size < signed_size or (remembered is not None and signed_size < remembered.size):
        raise InvariantError("the log is shorter than a tree that was signed")
    if sequenced_size == signed_size:
        return signed_size
    head = database.run(lambda connection: _step(connection, log, issuer_id, step_size_max))
    if head is None:
        return signed_size
    # Only now: what a failed commit signed was shown to nobody.
    log.signed[issuer_id] = head
    return head.size


def stored_tree(connection: Connection, tiles: TileStore, issuer_id: str) -> StoredTree:
    """Return the issuer's tree as this transaction sees it; an empty one before the first step."""
    row = store.read_tree(connection, issuer_id) or TreeRow("", 0, ())
    return StoredTree(row.size, row.edge, lambda wanted: tiles.read(connection, issuer_id, wanted))


def checkpoint_keys(connection: Connection, issuer_id: str, origin: str) -> dict[str, VerifierKey]:
    """Return every key that ever signed the issuer's checkpoints, under the log's name, by key id."""
    keys = signing.list_keys(connection, issuer_id, use=KeyUse.CHECKPOINT)
    return {
        key.id: VerifierKey(origin, ED25519, key.public_key) for key in keys if key.activated_at is not None
    }


def _step(connection: Connection, log: Log, issuer_id: str, step_size_max: int) -> Checkpoint | None:
    # What roots have signed is the log's name, whatever the setting has become since.
    origin = signing.root_origin(connection, issuer_id) or f"{log.origin_prefix}/{issuer_id}"
    store.insert_tree(connection, issuer_id, origin)
    before = store.lock_tree(connection, issuer_id)
    if before is None:
        return None
    keys = checkpoint_keys(connection, issuer_id, before.origin)
    last = _checked_last(connection, log, issuer_id, before, keys)
    added = _new_leaves(connection, issuer_id, before, step_size_max)
    if not added:
        return last
    grown = grow(before.size, before.edge, added)
    if grown.tiles:
        log.tiles.write(connection, issuer_id, grown.tiles)
    store.update_tree(connection, issuer_id, before.size, grown.size, grown.edge)
    # Read back: what is signed is what is stored, not what was meant to be.
    tree = stored_tree(connection, log.tiles, issuer_id)
    head = Checkpoint(before.origin, tree.size, tree.root())
    if last is not None:
        _check_consistent(tree, last, head)
    remembered = log.signed.get(issuer_id)
    if remembered is not None and remembered != last:
        _check_consistent(tree, remembered, head)
    signer = _signer(connection, log, issuer_id)
    note = Note(str(head), (sign_note(str(head), keys[signer.key_id], signer),))
    store.insert_checkpoint(
        connection,
        issuer_id,
        SignedCheckpoint(head.size, head.root, signer.key_id, format_note(note), log.clock.now()),
    )
    return head


def _checked_last(
    connection: Connection, log: Log, issuer_id: str, tree: TreeRow, keys: dict[str, VerifierKey]
) -> Checkpoint | None:
    """Return the newest checkpoint, once the stored tree is shown to be the tree that it was signed over."""
    newest = store.read_newest_checkpoint(connection, issuer_id)
    if newest is None:
        if tree.size:
            raise InvariantError("the log has a tree that nothing was signed over")
        return None
    try:
        note = parse_note(newest.note.encode())
        head = parse_checkpoint(note.text)
        signed = verify_note(note, keys.values())
    except ValueError as error:
        raise InvariantError(f"the newest checkpoint is damaged: {error}") from None
    if not signed or head[:3] != (tree.origin, newest.size, newest.root):
        raise InvariantError("the newest checkpoint is not one that this log signed")
    stored = StoredTree(tree.size, tree.edge, lambda wanted: log.tiles.read(connection, issuer_id, wanted))
    if (head.size, head.root) != (tree.size, stored.root()):
        raise InvariantError("the tree is not the one that the newest checkpoint was signed over")
    return head


def _new_leaves(connection: Connection, issuer_id: str, tree: TreeRow, step_size_max: int) -> list[bytes]:
    """Return the hashes of the events behind the tree, having hashed again those of its unfinished tile."""
    first = tree.size - tree.size % TILE_WIDTH
    entries = events.jws_from(connection, issuer_id, first, tree.size - first + step_size_max)
    if any(len(entry) > ENTRY_SIZE_MAX_BYTES for entry in entries):
        raise InvariantError("an event is too long for a bundle")
    leaves = leaf_hashes(entries)
    unfinished = tree.edge[0] if tree.edge else b""
    if b"".join(leaves[: tree.size - first]) != unfinished:
        raise InvariantError("events are not those that the tree was made of")
    return leaves[tree.size - first :]


def _check_consistent(tree: StoredTree, old: Checkpoint, new: Checkpoint) -> None:
    if old.size > new.size:
        raise InvariantError("the log is shorter than a tree that was signed")
    proof = tree.consistency(old.size, new.size)
    if not verify_consistency(old.size, new.size, old.root, new.root, proof):
        raise InvariantError("the log is not the continuation of a tree that was signed")


def _signer(connection: Connection, log: Log, issuer_id: str) -> Signer:
    signer = signing.load_signer(connection, issuer_id, log.key_directory, use=KeyUse.CHECKPOINT)
    # Held until the commit, so that no checkpoint lands behind its key's rotation or revocation.
    signing.hold_active_key(connection, issuer_id, signer.key_id)
    return signer
