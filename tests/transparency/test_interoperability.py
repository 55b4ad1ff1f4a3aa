"""An independent implementation of C2SP's formats (tlog-scales) reads our log, and ours reads what it writes."""

from pathlib import Path
from typing import Final

import pytest
from tlog_scales.reader import TilesReader
from tlog_scales.signing import NoteSignature, PlainEd25519Signer, Vkey, VkeySet
from tlog_scales.tiles import leaf_hash, tile_path
from tlog_scales.tlog import Checkpoint as TheirCheckpoint
from tlog_scales.tlog import ConsistencyProof, ConsistencyProofInvalid, InclusionProof, InclusionProofInvalid
from tlog_scales.writer import TilesWriter

from tallystick import transparency
from tallystick.transparency import DatabaseTiles, TileNotFoundError, parse_checkpoint
from tallystick.transparency.integrating import integrate
from tallystick.transparency.merkle import verify_consistency, verify_inclusion
from tallystick.transparency.notes import (
    COSIGNATURE_V1,
    cosign,
    format_signature,
    parse_note,
    parse_verifier_key,
    verify_note,
)
from tallystick.transparency.tiles import parse_tile_path
from tests.transparency.keys import key_of, signer_of
from tests.transparency.logs import Issuer, add_events, log_of

TILES: Final = DatabaseTiles()
# A full tile and a partial one above it; the earlier tree ends within the first.
EARLY, SIZE = 200, 777


class Ours:
    """Our log as their reader fetches it: paths of tlog-tiles."""

    def __init__(self, issuer: Issuer) -> None:
        self._issuer = issuer

    def get(self, *path: str) -> bytes | None:
        with self._issuer.database.read() as connection:
            if path == ("checkpoint",):
                note = transparency.published_checkpoint(
                    connection, self._issuer.issuer_id, transparency.NO_WITNESSES
                )
                return note.encode()
            kind, level, *rest = path
            assert kind == "tile"
            try:
                if level == "entries":
                    return transparency.entry_bundle(connection, self._issuer.issuer_id, "/".join(rest))
                return transparency.hash_tile(
                    connection, TILES, self._issuer.issuer_id, int(level), "/".join(rest)
                )
            except TileNotFoundError:
                return None


def grown(issuer: Issuer) -> tuple[TheirCheckpoint, TheirCheckpoint, TilesReader]:
    """Return two checkpoints of our log and their reader of it."""
    reader = TilesReader(Ours(issuer))
    found = []
    for size in (EARLY, SIZE - EARLY):
        add_events(issuer, size)
        integrate(issuer.database, log_of(issuer), issuer.issuer_id)
        found.append(reader.get_checkpoint())
    return found[0], found[1], reader


def test_they_read_our_log(issuer: Issuer) -> None:
    early, late, reader = grown(issuer)
    with issuer.database.read() as connection:
        origin, [vkey] = transparency.log_keys(connection, issuer.issuer_id)
    assert (early.size, late.size, late.origin) == (EARLY, SIZE, origin)
    for checkpoint in (early, late):
        checkpoint.verify(Vkey.from_string(vkey))
    assert Vkey.from_string(vkey).serialize() == vkey  # type: ignore[no-untyped-call]
    # From tiles alone they get the root that we signed, and from bundles the events.
    assert reader.calculate_root_hash() == late.root_hash
    for index in (0, 255, 256, SIZE - 1):
        entry = reader.get_entry(index)
        assert entry == f"event.{issuer.issuer_id}.{index}".encode()
        their_inclusion = reader.get_inclusion_proof(index, SIZE)
        their_inclusion.check(leaf_hash(entry), late.root_hash)
        assert verify_inclusion(leaf_hash(entry), index, SIZE, their_inclusion.node_hashes, late.root_hash)
    their_consistency = reader.get_consistency_proof(EARLY, SIZE)
    their_consistency.check(early.root_hash, late.root_hash)
    assert verify_consistency(EARLY, SIZE, early.root_hash, late.root_hash, their_consistency.node_hashes)


def test_they_check_our_proofs(issuer: Issuer) -> None:
    early, late, reader = grown(issuer)
    with issuer.database.read() as connection:
        for index in (0, 3, 255, 256, SIZE - 1):
            ours = transparency.inclusion(connection, TILES, issuer.issuer_id, index, SIZE)
            leaf = leaf_hash(reader.get_entry(index))
            InclusionProof(index, SIZE, list(ours.hashes)).check(leaf, late.root_hash)
            with pytest.raises(InclusionProofInvalid):
                InclusionProof(index ^ 1, SIZE, list(ours.hashes)).check(leaf, late.root_hash)
        grew = transparency.consistency(connection, TILES, issuer.issuer_id, EARLY, SIZE)
    ConsistencyProof(EARLY, SIZE, list(grew.hashes)).check(early.root_hash, late.root_hash)
    with pytest.raises(ConsistencyProofInvalid):
        ConsistencyProof(EARLY, SIZE, list(grew.hashes)).check(late.root_hash, early.root_hash)


def test_they_verify_our_cosignatures_and_reject_others(issuer: Issuer) -> None:
    add_events(issuer, 5)
    integrate(issuer.database, log_of(issuer), issuer.issuer_id)
    note = Ours(issuer).get("checkpoint")
    assert note is not None
    key, signer = key_of("w.example/1", COSIGNATURE_V1), signer_of("w.example/1")
    line = format_signature(cosign(parse_note(note).text, key, signer, 1_795_000_000)).rstrip("\n")
    checkpoint = TheirCheckpoint.from_text(note.decode() + line + "\n")
    [(_, signature)] = VkeySet(Vkey.from_string(str(key))).verify(checkpoint.signatures, checkpoint)
    assert signature.serialize() == line
    # Of a later moment it says nothing: the time is signed.
    later = NoteSignature(
        signature.name, signature.key_id, (1_795_000_001).to_bytes(8) + signature.payload[8:]
    )
    assert VkeySet(Vkey.from_string(str(key))).verify([later], checkpoint) == set()


def test_we_read_their_log(tmp_path: Path) -> None:
    signer = PlainEd25519Signer("log.example/theirs", bytes(range(32)))
    writer = TilesWriter.create(tmp_path / "log", "log.example/theirs")
    reader = writer.reader
    notes = []
    for size in (EARLY, SIZE):
        for index in range(writer.size, size):
            writer.add_leaf(f"leaf {index}".encode())
        writer.commit([signer])
        notes.append((tmp_path / "log" / "checkpoint").read_bytes())
    key = parse_verifier_key(signer.vkey.serialize())  # type: ignore[no-untyped-call]
    read = []
    for raw in notes:
        note = parse_note(raw)
        assert verify_note(note, [key]) == [key]
        read.append(parse_checkpoint(note.text))
    assert [(one.origin, one.size) for one in read] == [
        ("log.example/theirs", EARLY),
        ("log.example/theirs", SIZE),
    ]
    proof = reader.get_consistency_proof(EARLY, SIZE).node_hashes
    assert verify_consistency(EARLY, SIZE, read[0].root, read[1].root, proof)
    assert not verify_consistency(EARLY, SIZE, read[0].root, read[1].root, proof[::-1])
    path = reader.get_inclusion_proof(300, SIZE).node_hashes
    assert verify_inclusion(leaf_hash(b"leaf 300"), 300, SIZE, path, read[1].root)


@pytest.mark.parametrize("index", [0, 7, 999, 1_000, 1_234_067])
def test_paths_are_spelled_alike(index: int) -> None:
    assert parse_tile_path("/".join(tile_path(0, index)[2:])) == (index, 256)
    assert parse_tile_path("/".join(tile_path(0, index, 17)[2:])) == (index, 17)
