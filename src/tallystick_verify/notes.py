"""Signed notes, checkpoints and witnesses' cosignatures: C2SP signed-note, tlog-checkpoint and tlog-cosignature.

Signature types: 0x01 is the log's own Ed25519 signature, 0x04 a witness's timestamped Ed25519 cosignature. Others, such
as ML-DSA, are ignored as the specification says of all unknown signatures; they count for nothing.
"""

import hashlib
import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from tallystick_verify.ed25519 import PublicKey, PublicKeyRefusedError
from tallystick_verify.encodings import EncodingRefusedError, base64_bytes
from tallystick_verify.failures import ExitCode, Failure
from tallystick_verify.merkle import HASH_SIZE_BYTES

__all__ = [
    "LOG",
    "WITNESS",
    "Checkpoint",
    "Note",
    "VerifierKey",
    "checkpoint",
    "read_note",
    "read_verifier_key",
    "verified_by",
]

LOG: Final = 0x01
WITNESS: Final = 0x04

_NOTE_SIZE_MAX_BYTES: Final = 262_144
_SIGNATURES_MAX: Final = 64
_SIZE: Final = re.compile(r"0|[1-9][0-9]{0,15}", re.ASCII)
_DASH: Final = "\N{EM DASH} "
_TIMESTAMP_MAX: Final = 2**63 - 1


class VerifierKey(NamedTuple):
    """A key that notes may be signed with, as its owner publishes it (a *vkey*): name, type and public key."""

    name: str
    key_id: bytes
    signature_type: int
    public_key: PublicKey


class Note(NamedTuple):
    """A note taken apart, not verified yet: `text` ends in a newline; signatures are (name, key id, bytes)."""

    text: str
    signatures: tuple[tuple[str, bytes, bytes], ...]


class Checkpoint(NamedTuple):
    """What a log says of itself: the root of the tree of its first `size` leaves."""

    origin: str
    size: int
    root: bytes


def read_verifier_key(text: str) -> VerifierKey:
    """Read `<name>+<hex key id>+<base64 of type and key>`; raises ValueError for what can't be trusted."""
    name, _, rest = text.partition("+")
    key_id, _, encoded = rest.partition("+")
    if not _is_name(name) or re.fullmatch(r"[0-9a-f]{8}", key_id) is None:
        raise ValueError("a verifier key has the form name+hash+key")
    try:
        octets = base64_bytes(encoded)
        public_key = PublicKey(octets[1:])
    except (EncodingRefusedError, PublicKeyRefusedError) as error:
        raise ValueError(str(error)) from None
    if octets[0] not in (LOG, WITNESS):
        raise ValueError("the verifier key is of a type that is not known here")
    expected = hashlib.sha256(name.encode() + b"\n" + octets).digest()[:4]
    if expected.hex() != key_id:
        raise ValueError("the verifier key's hash is not that of its name and key")
    return VerifierKey(name, expected, octets[0], public_key)


def read_note(octets: bytes) -> Note:
    """Take a signed note apart; raises Failure (log) for what is malformed."""
    try:
        whole = octets.decode()
    except UnicodeDecodeError:
        raise _refused("it is not UTF-8") from None
    if len(octets) > _NOTE_SIZE_MAX_BYTES or any(one < " " and one != "\n" for one in whole):
        raise _refused("it is too long, or has control characters")
    text, blank, lines = whole.rpartition("\n\n")
    if not blank or not lines.endswith("\n"):
        raise _refused("text, a blank line and signatures are wanted")
    signatures = [_signature(line) for line in lines[:-1].split("\n")]
    if len(signatures) > _SIGNATURES_MAX:
        raise _refused("it has too many signatures")
    return Note(text + "\n", tuple(signatures))


def checkpoint(text: str) -> Checkpoint:
    """Read a note's text as a checkpoint; raises Failure (log) for what is malformed."""
    lines = text.split("\n")
    if len(lines) < 4 or lines[-1] or not all(lines[:-1]):
        raise _refused("a checkpoint has at least three lines, and none that is empty")
    origin, size, root = lines[:3]
    if _SIZE.fullmatch(size) is None:
        raise _refused("its size is no number")
    try:
        found = base64_bytes(root)
    except EncodingRefusedError:
        found = b""
    if len(found) != HASH_SIZE_BYTES:
        raise _refused("its root is no hash")
    return Checkpoint(origin, int(size), found)


def verified_by(note: Note, keys: Iterable[VerifierKey]) -> list[VerifierKey]:
    """Return which of `keys` signed the note, each once.

    Signatures of keys that aren't among them are ignored. Raises Failure (signature) for one that names such a key
    and is not its own: somebody forged it, or the text was changed.
    """
    known = {(key.name, key.key_id): key for key in keys}
    found: dict[tuple[str, bytes], VerifierKey] = {}
    for name, key_id, signature in note.signatures:
        key = known.get((name, key_id))
        if key is None:
            continue
        if not _verifies(key, note.text, signature):
            raise Failure(ExitCode.SIGNATURE, f"The checkpoint's signature by {name} does not verify.")
        found[name, key_id] = key
    return list(found.values())


def _verifies(key: VerifierKey, text: str, signature: bytes) -> bool:
    if key.signature_type == LOG:
        return key.public_key.verifies(signature, text.encode())
    timestamp, rest = int.from_bytes(signature[:8], "big"), signature[8:]
    if len(signature) != 72 or timestamp > _TIMESTAMP_MAX:
        return False
    return key.public_key.verifies(rest, f"cosignature/v1\ntime {timestamp}\n{text}".encode())


def _signature(line: str) -> tuple[str, bytes, bytes]:
    name, space, encoded = line.removeprefix(_DASH).partition(" ")
    if not line.startswith(_DASH) or not space or not _is_name(name):
        raise _refused("a signature line is malformed")
    try:
        octets = base64_bytes(encoded)
    except EncodingRefusedError:
        raise _refused("a signature is not base64") from None
    if len(octets) < 5:
        raise _refused("a signature is too short")
    return name, octets[:4], octets[4:]


def _is_name(name: str) -> bool:
    return bool(name) and "+" not in name and not any(one.isspace() for one in name)


def _refused(reason: str) -> Failure:
    return Failure(ExitCode.LOG, f"The checkpoint is malformed: {reason}.")
