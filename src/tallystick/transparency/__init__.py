"""The transparency log: an issuer's events as the leaves of a Merkle tree, its checkpoints, and who has seen them.

An RFC 6962 tree in the formats of C2SP: tlog-tiles, tlog-checkpoint, signed-note, tlog-cosignature, tlog-witness and
tlog-proof. The leaf of an event is its JWS exactly as it is stored, in ASCII; its index is the event's.
"""

from tallystick.transparency.auditing import LogAudit, audit
from tallystick.transparency.checkpoints import Checkpoint, CheckpointMalformedError, parse_checkpoint
from tallystick.transparency.following import LogFollower
from tallystick.transparency.integrating import Log, checkpoint_keys, integrate
from tallystick.transparency.merkle import leaf_hashes, root_of_leaves
from tallystick.transparency.proofs import (
    Receipt,
    ReceiptInvalidError,
    format_receipt,
    parse_receipt,
    verify_receipt,
)
from tallystick.transparency.reading import (
    ConsistencyProof,
    InclusionProof,
    Standing,
    WitnessStanding,
    consistency,
    cosigned_size,
    entry_bundle,
    first_checkpoint_covering,
    hash_tile,
    inclusion,
    inclusions,
    log_keys,
    log_origin,
    published_checkpoint,
    receipt,
    standing,
    witnessed_checkpoint,
)
from tallystick.transparency.records import (
    CheckpointNotFoundError,
    EventNotIntegratedError,
    TileNotFoundError,
    TreeSizeUnknownError,
)
from tallystick.transparency.tile_stores import DatabaseTiles, DirectoryTiles, TileStore, tile_store
from tallystick.transparency.witness_policy import (
    NO_WITNESSES,
    Witness,
    WitnessPolicy,
    WitnessPolicyMalformedError,
    parse_witness_policy,
)
from tallystick.transparency.witnessing import Asked, ask_witness, witness_client

__all__ = [
    "NO_WITNESSES",
    "Asked",
    "Checkpoint",
    "CheckpointMalformedError",
    "CheckpointNotFoundError",
    "ConsistencyProof",
    "DatabaseTiles",
    "DirectoryTiles",
    "EventNotIntegratedError",
    "InclusionProof",
    "Log",
    "LogAudit",
    "LogFollower",
    "Receipt",
    "ReceiptInvalidError",
    "Standing",
    "TileNotFoundError",
    "TileStore",
    "TreeSizeUnknownError",
    "Witness",
    "WitnessPolicy",
    "WitnessPolicyMalformedError",
    "WitnessStanding",
    "ask_witness",
    "audit",
    "checkpoint_keys",
    "consistency",
    "cosigned_size",
    "entry_bundle",
    "first_checkpoint_covering",
    "format_receipt",
    "hash_tile",
    "inclusion",
    "inclusions",
    "integrate",
    "leaf_hashes",
    "log_keys",
    "log_origin",
    "parse_checkpoint",
    "parse_receipt",
    "parse_witness_policy",
    "published_checkpoint",
    "receipt",
    "root_of_leaves",
    "standing",
    "tile_store",
    "verify_receipt",
    "witness_client",
    "witnessed_checkpoint",
]
