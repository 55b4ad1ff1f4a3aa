"""The whole tree again from the events: every tile, every root, every signature.

It builds the tree another way than integration does, from the left with one hash per complete subtree, so that a
fault of one shows in the other.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from sqlalchemy import Connection

from tallystick import events
from tallystick.core.errors import InvariantError
from tallystick.transparency import store
from tallystick.transparency.checkpoints import parse_checkpoint
from tallystick.transparency.integrating import checkpoint_keys
from tallystick.transparency.merkle import EMPTY_ROOT, leaf_hashes, node_hash
from tallystick.transparency.notes import (
    COSIGNATURE_V1,
    VerifierKey,
    VerifierKeyMalformedError,
    cosigned_at_seconds,
    parse_note,
    parse_signature,
    parse_verifier_key,
    verified,
    verify_note,
)
from tallystick.transparency.records import SignedCheckpoint, TreeRow
from tallystick.transparency.tile_stores import TileStore
from tallystick.transparency.tiles import TILE_WIDTH, Tile, node_hashes

__all__ = ["LogAudit", "LogFinding", "audit"]

_PAGE: Final = 4 * TILE_WIDTH
_CHECKPOINTS_PAGE: Final = 500
_FINDINGS_MAX: Final = 100


class LogFinding(NamedTuple):
    """What is wrong, and where: the table, its row's key, the column (`*` for a whole row)."""

    text: str
    table: str
    key: str
    column: str

    def __str__(self) -> str:
        return self.text


@dataclass(slots=True)
class LogAudit:
    """What was gone through, and what is wrong with it: at most 100 findings."""

    size: int = 0
    tile_count: int = 0
    checkpoint_count: int = 0
    cosignature_count: int = 0
    findings: list[LogFinding] = field(default_factory=list)

    def expect(self, holds: bool, finding: str, table: str, key: object, column: str = "*") -> None:
        """Note a finding unless something holds."""
        if not holds and len(self.findings) < _FINDINGS_MAX:
            self.findings.append(LogFinding(finding, table, str(key), column))


class _Subtrees:
    """The complete subtrees of the leaves so far, largest first: enough for the root (a compact range)."""

    def __init__(self) -> None:
        self._row: list[tuple[int, bytes]] = []

    def add(self, level: int, found: bytes) -> None:
        while self._row and self._row[-1][0] == level:
            found = node_hash(self._row.pop()[1], found)
            level += 1
        self._row.append((level, found))

    def root(self) -> bytes:
        if not self._row:
            return EMPTY_ROOT
        found = self._row[-1][1]
        for _, left in reversed(self._row[:-1]):
            found = node_hash(left, found)
        return found


def audit(connection: Connection, tiles: TileStore, issuer_id: str) -> LogAudit:
    """Build the issuer's tree again from its events and hold everything that is stored of it against that."""
    found = LogAudit()
    try:
        row = store.read_tree(connection, issuer_id) or TreeRow("", 0, ())
    except InvariantError as error:
        found.expect(False, str(error), "log_tree", issuer_id)
        return found
    try:
        _build_again(connection, tiles, issuer_id, row, found)
    except InvariantError as error:
        found.expect(False, str(error), "event", found.size)
    return found


def _build_again(
    connection: Connection, tiles: TileStore, issuer_id: str, row: TreeRow, found: LogAudit
) -> None:
    keys = checkpoint_keys(connection, issuer_id, row.origin)
    checkpoints = _checkpoints(connection, issuer_id)
    subtrees = _Subtrees()
    rows: list[list[bytes]] = []
    due = next(checkpoints, None)
    while found.size < row.size:
        page = events.jws_from(connection, issuer_id, found.size, min(_PAGE, row.size - found.size))
        if not page:
            found.expect(False, f"events are missing from index {found.size} on", "event", found.size)
            break
        for leaf in leaf_hashes(page):
            subtrees.add(0, leaf)
            found.size += 1
            _fill(connection, tiles, issuer_id, found, rows, leaf)
            while due is not None and due.size == found.size:
                _check_checkpoint(
                    connection, issuer_id, found, row.origin, keys, checkpoint=due, root=subtrees.root()
                )
                due = next(checkpoints, None)
    found.expect(
        due is None,
        "a checkpoint covers more than the tree has",
        "log_checkpoint",
        "" if due is None else due.size,
    )
    edge = tuple(b"".join(one) for one in rows)
    found.expect(edge == row.edge, "the edge is not that of the events", "log_tree", issuer_id, "edge")
    newest = store.read_newest_checkpoint(connection, issuer_id)
    found.expect(
        (0 if newest is None else newest.size) == row.size,
        "the tree is not the one signed last",
        "log_tree",
        issuer_id,
        "size",
    )
    _check_no_further_tiles(connection, issuer_id, found, row.size)


def _fill(
    connection: Connection,
    tiles: TileStore,
    issuer_id: str,
    found: LogAudit,
    rows: list[list[bytes]],
    leaf: bytes,
) -> None:
    """Put a hash into the unfinished tile of level 0, and each tile's hash above it once it is full."""
    added, level = leaf, 0
    while True:
        if level == len(rows):
            rows.append([])
        rows[level].append(added)
        if len(rows[level]) < TILE_WIDTH:
            return
        tile = Tile(level, (found.size >> 8 * (level + 1)) - 1)
        stored = tiles.read(connection, issuer_id, [tile]).get(tile, b"")
        found.expect(
            node_hashes(stored) == rows[level],
            f"tile {tile.tile_index} of level {level} is not the events'",
            "log_tile",
            f"{level}/{tile.tile_index}",
            "hashes",
        )
        found.tile_count += 1
        whole = _Subtrees()
        for one in rows[level]:
            whole.add(0, one)
        rows[level] = []
        added, level = whole.root(), level + 1


def _check_checkpoint(
    connection: Connection,
    issuer_id: str,
    found: LogAudit,
    origin: str,
    keys: dict[str, VerifierKey],
    *,
    checkpoint: SignedCheckpoint,
    root: bytes,
) -> None:
    what = f"the checkpoint of size {checkpoint.size}"
    found.checkpoint_count += 1
    try:
        note = parse_note(checkpoint.note.encode())
        told = parse_checkpoint(note.text)
        signed = verify_note(note, keys.values())
    except ValueError as error:
        found.expect(False, f"{what} is damaged: {error}", "log_checkpoint", checkpoint.size, "note")
        return

    def expect(holds: bool, finding: str, column: str) -> None:
        found.expect(holds, f"{what} {finding}", "log_checkpoint", checkpoint.size, column)

    signed_with = {key_id for key_id, key in keys.items() if key in signed}
    expect(bool(signed), "is not signed by a key of this log", "note")
    expect(not signed or checkpoint.key_id in signed_with, "is signed by another key", "key_id")
    found.expect(told[0] == origin, f"{what} is of another log", "log_tree", issuer_id, "origin")
    expect(told[1:] == (checkpoint.size, checkpoint.root, ()), "is not what its row says", "note")
    expect(checkpoint.root == root, "has another root than the events", "root_hash")
    for one in store.read_cosignatures(connection, issuer_id, checkpoint.size):
        found.cosignature_count += 1
        place = f"{checkpoint.size}/{one.witness_key}"
        seconds = _cosigned_at_seconds(note.text, one.line, one.witness_key)
        told_seconds = int(one.cosigned_at.timestamp())
        found.expect(
            seconds is not None, f"a cosignature of {what} does not verify", "log_cosignature", place, "line"
        )
        found.expect(
            seconds in (None, told_seconds) and not one.cosigned_at.microsecond,
            f"a cosignature of {what} is of another moment",
            "log_cosignature",
            place,
            "cosigned_at",
        )


def _cosigned_at_seconds(text: str, line: str, witness_key: str) -> int | None:
    """Return the moment that a cosignature tells; None where it does not verify."""
    try:
        key, signature = parse_verifier_key(witness_key), parse_signature(line.removesuffix("\n"))
    except (ValueError, VerifierKeyMalformedError):
        return None
    if key.kind != COSIGNATURE_V1 or not verified(text, signature, key):
        return None
    return cosigned_at_seconds(signature)


def _check_no_further_tiles(connection: Connection, issuer_id: str, found: LogAudit, size: int) -> None:
    for tile in store.read_tile_names(connection, issuer_id):
        found.expect(
            (tile.tile_index + 1) << 8 * (tile.level + 1) <= size,
            f"tile {tile.tile_index} of level {tile.level} is of no event",
            "log_tile",
            f"{tile.level}/{tile.tile_index}",
        )


def _checkpoints(connection: Connection, issuer_id: str) -> Iterator[SignedCheckpoint]:
    after_size = 0
    while page := store.read_checkpoints(connection, issuer_id, after_size, _CHECKPOINTS_PAGE):
        yield from page
        after_size = page[-1].size
