"""What others may see of the tree: published checkpoints, tiles, entry bundles, proofs, receipts and the window."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection

from tallystick import events
from tallystick.transparency import store
from tallystick.transparency.checkpoints import Checkpoint, parse_checkpoint
from tallystick.transparency.integrating import checkpoint_keys, stored_tree
from tallystick.transparency.notes import parse_note
from tallystick.transparency.proofs import Receipt, format_receipt
from tallystick.transparency.records import (
    CheckpointNotFoundError,
    EventNotIntegratedError,
    SignedCheckpoint,
    TileNotFoundError,
    TreeSizeUnknownError,
)
from tallystick.transparency.tile_stores import TileStore
from tallystick.transparency.tiles import (
    LEVEL_MAX,
    TILE_WIDTH,
    Tile,
    bundle_entries,
    parse_tile_path,
    width_of,
)
from tallystick.transparency.witness_policy import WitnessPolicy

__all__ = [
    "ConsistencyProof",
    "InclusionProof",
    "Standing",
    "WitnessStanding",
    "consistency",
    "cosigned_size",
    "entry_bundle",
    "first_checkpoint_covering",
    "hash_tile",
    "inclusion",
    "log_keys",
    "log_origin",
    "published_checkpoint",
    "receipt",
    "standing",
    "witnessed_checkpoint",
]


class InclusionProof(NamedTuple):
    """RFC 6962's audit path: the hashes that lead from the leaf at `index` to the root of the tree of `size`."""

    origin: str
    leaf_index: int
    size: int
    root: bytes
    hashes: list[bytes]


class ConsistencyProof(NamedTuple):
    """RFC 6962's consistency proof between the trees of two sizes, with both roots."""

    origin: str
    first: int
    second: int
    first_root: bytes
    second_root: bytes
    hashes: list[bytes]


@dataclass(frozen=True, slots=True)
class WitnessStanding:
    """How far one witness has seen the log: the size and moment of its newest cosignature, if there is one."""

    name: str
    witness_key: str
    cosigned_size: int
    cosigned_at: datetime | None


@dataclass(frozen=True, slots=True)
class Standing:
    """How far the log is recorded, signed and witnessed; `window` counts the events that no quorum has seen yet.

    `unwitnessed_since` is when the oldest of those was booked; None where there is none.
    """

    origin: str | None
    sequenced_size: int
    signed_size: int
    signed_at: datetime | None
    witnessed_size: int
    quorum: int
    witnesses: Sequence[WitnessStanding]
    unwitnessed_since: datetime | None

    @property
    def window(self) -> int:
        """The events that could still be changed without a witness noticing."""
        return self.sequenced_size - self.witnessed_size

    def window_seconds(self, at: datetime) -> int:
        """How long the oldest of them has been waiting to be seen, in whole seconds; 0 where there is none."""
        if self.unwitnessed_since is None:
            return 0
        return max(0, int((at - self.unwitnessed_since).total_seconds()))


def log_keys(connection: Connection, issuer_id: str) -> tuple[str, list[str]]:
    """Return the log's origin, and the verifier keys of all that ever signed its checkpoints, oldest first.

    Raises CheckpointNotFoundError before the first checkpoint.
    """
    row = store.read_tree(connection, issuer_id)
    if row is None:
        raise CheckpointNotFoundError
    return row.origin, [str(key) for key in checkpoint_keys(connection, issuer_id, row.origin).values()]


def published_checkpoint(connection: Connection, issuer_id: str, policy: WitnessPolicy) -> str:
    """Return the newest witnessed checkpoint with its cosignatures, or the newest signed one if none is witnessed yet.

    Raises CheckpointNotFoundError.
    """
    newest = store.read_newest_checkpoint(connection, issuer_id)
    if newest is None:
        raise CheckpointNotFoundError
    witnessed = _witnessed(connection, issuer_id, policy, newest)
    return _with_cosignatures(connection, issuer_id, policy, witnessed or newest)


def first_checkpoint_covering(connection: Connection, issuer_id: str, event_index: int) -> Checkpoint | None:
    """Return the first signed checkpoint of a log that has the event; None if none has it yet.

    It is the same for ever: later checkpoints are larger.
    """
    found = store.read_checkpoints(connection, issuer_id, event_index, 1)
    return parse_checkpoint(found[0].note.rpartition("\n\n")[0] + "\n") if found else None


def witnessed_checkpoint(
    connection: Connection, issuer_id: str, policy: WitnessPolicy, size_max: int
) -> str | None:
    """Return the newest checkpoint of at most so many events that a quorum has cosigned, with its cosignatures."""
    size = store.read_witnessed_size(connection, issuer_id, policy.keys, max(policy.quorum, 1), size_max)
    found = store.read_checkpoint(connection, issuer_id, size) if size else None
    return None if found is None else _with_cosignatures(connection, issuer_id, policy, found)


def cosigned_size(connection: Connection, issuer_id: str, size_max: int) -> int:
    """Return the size of the largest tree of at most so many events that any witness has cosigned; 0 if none has."""
    return store.read_cosigned_size(connection, issuer_id, size_max)


def log_origin(connection: Connection, issuer_id: str) -> str | None:
    """Return the log's name, or None before the first checkpoint."""
    row = store.read_tree(connection, issuer_id)
    return None if row is None else row.origin


def hash_tile(connection: Connection, tiles: TileStore, issuer_id: str, level: int, path: str) -> bytes:
    """Return the hashes of the tile that a path names; raises TileNotFoundError."""
    named = parse_tile_path(path)
    if named is None or not 0 <= level <= LEVEL_MAX:
        raise TileNotFoundError
    index, width = named
    content = stored_tree(connection, tiles, issuer_id).tile(Tile(level, index), width)
    if content is None:
        raise TileNotFoundError
    return content


def entry_bundle(connection: Connection, issuer_id: str, path: str) -> bytes:
    """Return the signed events that a path names, each behind its length; raises TileNotFoundError."""
    named = parse_tile_path(path)
    if named is None:
        raise TileNotFoundError
    index, width = named
    if width > width_of(Tile(0, index), store.read_size(connection, issuer_id)):
        raise TileNotFoundError
    found = events.jws_from(connection, issuer_id, index * TILE_WIDTH, width)
    return bundle_entries([one.encode("ascii") for one in found])


def inclusion(
    connection: Connection, tiles: TileStore, issuer_id: str, index: int, size: int | None = None
) -> InclusionProof:
    """Prove that a leaf is in the tree of `size`, or in the newest; raises TreeSizeUnknownError."""
    row = store.read_tree(connection, issuer_id)
    if row is None:
        raise TreeSizeUnknownError
    tree = stored_tree(connection, tiles, issuer_id)
    size = tree.size if size is None else size
    if not 0 <= index < size <= tree.size:
        raise TreeSizeUnknownError
    return InclusionProof(row.origin, index, size, tree.root(size), tree.inclusion(index, size))


def inclusions(
    connection: Connection, tiles: TileStore, issuer_id: str, indexes: Sequence[int], size: int
) -> list[list[bytes]]:
    """Return the hashes that prove each of these leaves to be in the tree of `size`; raises TreeSizeUnknownError."""
    tree = stored_tree(connection, tiles, issuer_id)
    if size > tree.size or any(not 0 <= index < size for index in indexes):
        raise TreeSizeUnknownError
    return [tree.inclusion(index, size) for index in indexes]


def consistency(
    connection: Connection, tiles: TileStore, issuer_id: str, first: int, second: int
) -> ConsistencyProof:
    """Prove that the tree of `second` leaves began as that of `first`; raises TreeSizeUnknownError."""
    row = store.read_tree(connection, issuer_id)
    if row is None or not 0 < first <= second <= row.size:
        raise TreeSizeUnknownError
    tree = stored_tree(connection, tiles, issuer_id)
    return ConsistencyProof(
        row.origin, first, second, tree.root(first), tree.root(second), tree.consistency(first, second)
    )


def receipt(
    connection: Connection, tiles: TileStore, issuer_id: str, index: int, policy: WitnessPolicy
) -> str:
    """Return the receipt (C2SP tlog-proof) of the event at an index.

    Its checkpoint is the newest witnessed one if that has the event, and else the newest one. Raises
    EventNotIntegratedError until the event is under a signed checkpoint.
    """
    newest = store.read_newest_checkpoint(connection, issuer_id)
    if newest is None or newest.size <= index:
        raise EventNotIntegratedError
    witnessed = _witnessed(connection, issuer_id, policy, newest)
    under = newest if witnessed is None or witnessed.size <= index else witnessed
    hashes = stored_tree(connection, tiles, issuer_id).inclusion(index, under.size)
    note = parse_note(_with_cosignatures(connection, issuer_id, policy, under).encode())
    return format_receipt(Receipt(index, tuple(hashes), note))


def standing(connection: Connection, issuer_id: str, policy: WitnessPolicy) -> Standing:
    """Return how far the log is recorded, signed and witnessed."""
    row = store.read_tree(connection, issuer_id)
    newest = store.read_newest_checkpoint(connection, issuer_id)
    witnessed = None if newest is None else _witnessed(connection, issuer_id, policy, newest)
    found = []
    for one in policy.witnesses:
        last = store.read_newest_cosigned(connection, issuer_id, str(one.key))
        found.append(
            WitnessStanding(
                one.key.name,
                str(one.key),
                0 if last is None else last.size,
                None if last is None else last.cosigned_at,
            )
        )
    sequenced_size = events.last_index(connection, issuer_id) + 1
    witnessed_size = 0 if witnessed is None else witnessed.size
    oldest = events.events_at(connection, issuer_id, [witnessed_size])
    return Standing(
        origin=None if row is None else row.origin,
        sequenced_size=sequenced_size,
        signed_size=0 if newest is None else newest.size,
        signed_at=None if newest is None else newest.signed_at,
        witnessed_size=witnessed_size,
        quorum=policy.quorum,
        witnesses=found,
        unwitnessed_since=oldest[0].booked_at if oldest else None,
    )


def _witnessed(
    connection: Connection, issuer_id: str, policy: WitnessPolicy, newest: SignedCheckpoint
) -> SignedCheckpoint | None:
    """Return the newest checkpoint that a quorum has cosigned; with no quorum to reach, none is a witnessed one."""
    if policy.quorum == 0:
        return None
    size = store.read_witnessed_size(connection, issuer_id, policy.keys, policy.quorum, newest.size)
    return store.read_checkpoint(connection, issuer_id, size) if size else None


def _with_cosignatures(
    connection: Connection, issuer_id: str, policy: WitnessPolicy, signed: SignedCheckpoint
) -> str:
    lines = store.read_cosignatures(connection, issuer_id, signed.size, policy.keys)
    return signed.note + "".join(one.line for one in lines)
