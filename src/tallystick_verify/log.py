"""The log as a tree: the pack's root against the signed checkpoint, and against every root the auditor ever noted.

A leaf is an event's compact JWS, byte for byte (ASCII); its index is the event's. What was seen before must still be
the beginning of what is shown now, and nothing that was seen may be missing at the end.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tallystick_verify.encodings import EncodingRefusedError, base64_bytes
from tallystick_verify.failures import ExitCode, Failure
from tallystick_verify.merkle import KeptTree, ProofRefusedError, check_consistency
from tallystick_verify.notes import Checkpoint, Note, VerifierKey, checkpoint, read_note, verified_by
from tallystick_verify.policy_file import CheckpointRule, Seen

__all__ = ["LogTree", "SignedCheckpoint", "held_checkpoints", "read_proof", "remember", "signed_checkpoint"]

_PROOF_HASHES_MAX: Final = 128
_HELD_FILES_MAX: Final = 10_000


@dataclass(frozen=True, slots=True)
class SignedCheckpoint:
    """A checkpoint that a pinned key signed, with the witnesses that cosigned it."""

    checkpoint: Checkpoint
    witnesses: tuple[VerifierKey, ...]
    log_keys: tuple[VerifierKey, ...] = ()


@dataclass(slots=True)
class LogTree:
    """The tree over the pack's events; `roots` are kept for the sizes that are asked for beforehand."""

    wanted: set[int]
    tree: KeptTree
    roots: dict[int, bytes] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """How many events were added."""
        return self.tree.size

    def root(self) -> bytes:
        """Return the root over all events added so far."""
        return self.tree.root()

    def root_at(self, size: int) -> bytes:
        """Return the root over the first `size` events, of which there must be as many."""
        return self.tree.root_at(size)

    def add(self, leaf_hash: bytes) -> None:
        """Add the next event's JWS by its hash."""
        self.tree.add_hash(leaf_hash)
        if self.tree.size in self.wanted:
            self.roots[self.tree.size] = self.tree.root()

    def check_seen(self, seen: Iterable[Seen], signed: SignedCheckpoint | None) -> int:
        """Raise Failure (log) unless all that was seen before is in this log; return how many there were."""
        known = dict(self.roots)
        if signed is not None:
            known.setdefault(signed.checkpoint.size, signed.checkpoint.root)
        count = 0
        for one in seen:
            count += 1
            if one.size not in known:
                raise _refused(
                    f"The log is shown with {self.tree.size} events, and {one.size} were seen before ({one.source})."
                )
            if known[one.size] != one.root:
                raise _refused(
                    f"The first {one.size} events are others than were seen before ({one.source})."
                )
        return count

    def check_covered(
        self, signed: SignedCheckpoint, proof: Sequence[bytes] | None, rule: CheckpointRule
    ) -> int:
        """Raise Failure (log) unless the checkpoint covers the events; return how many lie behind it."""
        size, root = signed.checkpoint.size, signed.checkpoint.root
        if size > self.tree.size:
            self._check_prefix(size, root, proof)
            return 0
        if self.roots.get(size, self.tree.root()) != root:
            raise _refused("The checkpoint's root is not that of the events.")
        if proof:
            raise _refused("There is a consistency proof, and nothing for it to prove.")
        uncovered = self.tree.size - size
        if uncovered > rule.uncovered_events_max:
            raise _refused(
                f"{uncovered} events lie behind the checkpoint: nobody has vouched for their place."
            )
        return uncovered

    def _check_prefix(self, size: int, root: bytes, proof: Sequence[bytes] | None) -> None:
        if proof is None:
            raise _refused("The checkpoint is of a longer log, and there is no consistency.txt.")
        if not self.tree.size:
            return
        try:
            check_consistency(self.tree.size, size, self.tree.root(), root, proof)
        except ProofRefusedError as error:
            raise _refused(f"The events are not the beginning of the checkpoint's log: {error}.") from None


def signed_checkpoint(octets: bytes, rule: CheckpointRule, *, quorum: int | None = None) -> SignedCheckpoint:
    """Return a checkpoint that the pinned log signed and enough witnesses cosigned.

    Raises Failure (log), or (signature) for a forged signature of a key that is pinned.
    """
    note: Note = read_note(octets)
    found = checkpoint(note.text)
    if found.origin != rule.origin:
        raise _refused("The checkpoint is of another log than the one that is pinned.")
    log_keys = tuple(verified_by(note, rule.log_keys))
    if not log_keys:
        raise _refused("No pinned key of the log signed the checkpoint.")
    witnesses = tuple(verified_by(note, rule.witnesses))
    wanted = rule.quorum if quorum is None else quorum
    if len(witnesses) < wanted:
        raise _refused(f"{len(witnesses)} witnesses cosigned the checkpoint, and {wanted} are needed.")
    return SignedCheckpoint(found, witnesses, log_keys)


def read_proof(octets: bytes) -> list[bytes]:
    """Read `consistency.txt`: one hash in base64 per line. Raises Failure (log)."""
    try:
        proof = [base64_bytes(line) for line in octets.decode("ascii").splitlines()]
    except (UnicodeDecodeError, EncodingRefusedError):
        raise _refused("consistency.txt is malformed.") from None
    if len(proof) > _PROOF_HASHES_MAX:
        raise _refused("consistency.txt is longer than any proof.")
    return proof


def held_checkpoints(folder: Path, origins: Collection[str]) -> list[Seen]:
    """Read the checkpoints that the auditor holds: notes, or their text alone. Raises Failure (log), OSError.

    They are the auditor's own, so their signatures are not asked for.
    """
    seen: list[Seen] = []
    for path in sorted(folder.iterdir()):
        if len(seen) >= _HELD_FILES_MAX:
            raise _refused("You hold more checkpoints than are read: keep fewer.")
        if path.is_file():
            text, _, _ = path.read_text(encoding="utf-8").rpartition("\n\n")
            found = checkpoint(f"{text}\n" if text else path.read_text(encoding="utf-8"))
            if found.origin not in origins:
                raise _refused(f"{path.name} is of another log.")
            if found.size:
                seen.append(Seen(found.size, found.root, path.name))
    return seen


def remember(folder: Path, origin: str, size: int, root: str) -> Path:
    """Write down a size and its root (base64) for the next time; a crash leaves the file whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{size}.txt"
    unfinished = folder / f".{size}.new"
    unfinished.write_text(f"{origin}\n{size}\n{root}\n", encoding="utf-8")
    unfinished.replace(path)
    return path


def _refused(message: str) -> Failure:
    return Failure(ExitCode.LOG, message)
