"""The log's tree as facts, and what callers are refused."""

from datetime import datetime
from typing import NamedTuple

from tallystick.core.errors import ConflictError, NotFoundError
from tallystick.transparency.tiles import Edge

__all__ = [
    "CheckpointNotFoundError",
    "Cosignature",
    "EventNotIntegratedError",
    "SignedCheckpoint",
    "TileNotFoundError",
    "TreeRow",
    "TreeSizeUnknownError",
]


class CheckpointNotFoundError(NotFoundError):
    """Nothing of this issuer's log is signed yet, or there is no such issuer."""

    code = "checkpoint_not_found"
    title = "No such checkpoint"


class TileNotFoundError(NotFoundError):
    """The tree has no such tile or bundle, or not yet that much of it."""

    code = "tile_not_found"
    title = "No such tile"


class EventNotIntegratedError(ConflictError):
    """The event is recorded and not yet under a signed checkpoint: ask again in a second."""

    code = "event_not_integrated"
    title = "The event is not yet under a checkpoint"


class TreeSizeUnknownError(NotFoundError):
    """No tree of this size was signed yet, or there is no such leaf in it."""

    code = "tree_size_unknown"
    title = "No such tree"


class TreeRow(NamedTuple):
    """An issuer's tree as it is stored: every event before `size` is in it."""

    origin: str
    size: int
    edge: Edge


class SignedCheckpoint(NamedTuple):
    """A checkpoint that the log has signed; `note` is the signed note without cosignatures."""

    size: int
    root: bytes
    key_id: str
    note: str
    signed_at: datetime


class Cosignature(NamedTuple):
    """A witness's signature line (with its newline) on the checkpoint of a size. `witness_key` is the vkey."""

    size: int
    witness_key: str
    line: str
    cosigned_at: datetime
