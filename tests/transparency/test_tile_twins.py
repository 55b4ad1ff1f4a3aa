"""Malformed twins of our own tiles and entry bundles: no reader, ours or an independent one, takes one for the log."""

from collections.abc import Mapping, Sequence

import pytest
from sqlalchemy import Connection
from tlog_scales.reader import TilesReader

from tallystick.transparency import DatabaseTiles
from tallystick.transparency.integrating import integrate
from tallystick.transparency.merkle import leaf_hash, root_of_leaves, verify_inclusion
from tallystick.transparency.tiles import Tile, entries_of_bundle, node_hashes
from tests.transparency.logs import Issuer, add_events, audited, head, log_of
from tests.transparency.test_interoperability import Ours
from tests.verify.twins import byte_twins

# A full tile, and a partial one beside it and above it.
SIZE = 300


class Spoiled(Ours):
    """Our log, read once, with a twin in the place of one of its files."""

    def __init__(self, issuer: Issuer) -> None:
        super().__init__(issuer)
        self._files: dict[str, bytes | None] = {}

    def get(self, *path: str) -> bytes | None:
        name = "/".join(path)
        if name not in self._files:
            self._files[name] = super().get(*path)
        return self._files[name]

    def spoil(self, path: tuple[str, ...], twin: bytes) -> None:
        self._files["/".join(path)] = twin


@pytest.fixture
def grown(issuer: Issuer) -> Issuer:
    add_events(issuer, SIZE)
    integrate(issuer.database, log_of(issuer), issuer.issuer_id)
    return issuer


@pytest.mark.parametrize("path", [("tile", "entries", "000"), ("tile", "entries", "001.p/44")])
def test_a_bundle_s_twin_is_malformed_or_holds_other_entries(grown: Issuer, path: tuple[str, ...]) -> None:
    golden = Ours(grown).get(*path)
    tile = Ours(grown).get("tile", "0", path[2])
    assert golden is not None
    assert tile is not None
    leaves = [leaf_hash(entry) for entry in entries_of_bundle(golden)]
    assert leaves == node_hashes(tile)
    malformed = 0
    for what, twin in byte_twins(golden, places=400):
        try:
            read = [leaf_hash(entry) for entry in entries_of_bundle(twin)]
        except ValueError:
            malformed += 1
            continue
        assert read != leaves, what
        assert root_of_leaves(read) != root_of_leaves(leaves), what
    # Cut within an entry, or a length that leads beyond the end.
    assert malformed >= 400


@pytest.mark.parametrize("path", [("tile", "0", "000"), ("tile", "0", "001.p/44"), ("tile", "1", "000.p/1")])
def test_a_tile_s_twin_leads_to_no_signed_root(grown: Issuer, path: tuple[str, ...]) -> None:
    golden = Ours(grown).get(*path)
    assert golden is not None
    root = head(grown).root
    log = Spoiled(grown)
    assert _leads_to(TilesReader(log), root)
    for what, twin in byte_twins(golden):
        # What stands behind a tile nobody reads.
        if twin.startswith(golden):
            continue
        log.spoil(path, twin)
        # A full tile of level 0 stands behind the one above it, which alone makes the root: proofs go through it.
        assert not _leads_to(TilesReader(log), root), what


def _leads_to(reader: TilesReader, root: bytes) -> bool:
    try:
        assert reader.get_checkpoint().root_hash == root
        found = [
            reader.calculate_root_hash(),
            *(_root_by_proof(reader, index, root) for index in (0, 255, 299)),
        ]
    except Exception:  # noqa: BLE001 Theirs are many; what counts is that it reads nothing from it.
        return False
    return set(found) == {root}


def _root_by_proof(reader: TilesReader, index: int, root: bytes) -> bytes:
    entry = reader.get_entry(index)
    proof = reader.get_inclusion_proof(index, SIZE).node_hashes
    return root if verify_inclusion(leaf_hash(entry), index, SIZE, proof, root) else b""


class TwinTiles(DatabaseTiles):
    """Tiles of the database, with a twin in the place of one."""

    def __init__(self, tile: Tile, twin: bytes) -> None:
        self._twin = {tile: twin}

    def read(self, connection: Connection, issuer_id: str, tiles: Sequence[Tile]) -> Mapping[Tile, bytes]:
        found = super().read(connection, issuer_id, tiles)
        return {tile: self._twin.get(tile, content) for tile, content in found.items()}


def test_the_log_s_own_check_names_a_tile_s_twin(grown: Issuer) -> None:
    tile = Tile(0, 0)
    with grown.database.read() as connection:
        golden = DatabaseTiles().read(connection, grown.issuer_id, [tile])[tile]
    assert audited(grown, TwinTiles(tile, golden)).findings == []
    for what, twin in byte_twins(golden):
        assert [one.table for one in audited(grown, TwinTiles(tile, twin)).findings] == ["log_tile"], what
