"""Signed notes (C2SP signed-note), the keys that verify them, and cosignatures of witnesses (C2SP tlog-cosignature).

A note is text with signature lines below it. Two kinds of Ed25519 signatures are known here: 0x01, over the text, and
0x04, a witness's over the text and a moment. Lines of other kinds and other keys are kept and ignored.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from tallystick.core.errors import MalformedError
from tallystick.signing import PublicKeyRefusedError, Signer, checked_public_key, verify_signature

__all__ = [
    "COSIGNATURE_V1",
    "ED25519",
    "SIGNATURES_MAX",
    "Note",
    "NoteMalformedError",
    "NoteSignature",
    "NoteSignatureInvalidError",
    "VerifierKey",
    "VerifierKeyMalformedError",
    "cosign",
    "cosigned_at_seconds",
    "decode_base64",
    "encode_base64",
    "format_note",
    "format_signature",
    "key_hash",
    "parse_note",
    "parse_signature",
    "parse_verifier_key",
    "sign_note",
    "verified",
    "verify_note",
]

ED25519: Final = 0x01
COSIGNATURE_V1: Final = 0x04
# The specification asks for at least 16; more than this is nobody's honest checkpoint.
SIGNATURES_MAX: Final = 64

_DASH: Final = "\N{EM DASH} "
_KEY_HASH_SIZE_BYTES: Final = 4
_TIMESTAMP_SIZE_BYTES: Final = 8
_TIMESTAMP_MAX: Final = 2**63 - 1
_CONTROL: Final = re.compile(r"[\x00-\x09\x0b-\x1f]")
_KEY_HASH: Final = re.compile(r"[0-9a-f]{8}")


class NoteMalformedError(ValueError):
    """The bytes are no signed note. Says why, quotes nothing."""


class NoteSignatureInvalidError(ValueError):
    """A line names a known key and is not its signature, so the whole note is to be refused."""


class VerifierKeyMalformedError(MalformedError):
    """A verifier key is written `name+hash+key` (C2SP signed-note), with the hash that name and key have."""

    code = "verifier_key_malformed"
    title = "Not a verifier key"


class NoteSignature(NamedTuple):
    """One signature line: who says to have signed, and the bytes behind the four of the key's hash."""

    name: str
    key_hash: bytes
    signature: bytes


class Note(NamedTuple):
    """Signed text, its final newline included, and its signatures in their order. Nothing is verified yet."""

    text: str
    signatures: tuple[NoteSignature, ...]


class VerifierKey(NamedTuple):
    """A public key (32 bytes) under a name, for signatures of one kind: ED25519 or COSIGNATURE_V1."""

    name: str
    kind: int
    public_key: bytes

    @property
    def hash(self) -> bytes:
        """The four bytes that lead to this key from a signature line."""
        return key_hash(self.name, self.kind, self.public_key)

    def __str__(self) -> str:
        """Return the key as text: a *vkey*."""
        return f"{self.name}+{self.hash.hex()}+{encode_base64(bytes([self.kind]) + self.public_key)}"


def encode_base64(octets: bytes) -> str:
    """Return standard base64 (RFC 4648, section 4) with padding."""
    return base64.b64encode(octets).decode("ascii")


def decode_base64(text: str) -> bytes:
    """Return what standard base64 with padding stands for; ValueError unless it is the one spelling of the bytes."""
    try:
        octets = binascii.a2b_base64(text.encode("ascii"), strict_mode=True)
    except (binascii.Error, UnicodeEncodeError):
        octets = b""
    if encode_base64(octets) != text:
        raise ValueError("not canonical base64")
    return octets


def key_hash(name: str, kind: int, public_key: bytes) -> bytes:
    """Return a key's id: the first four bytes of SHA-256 over name, newline, kind and public key."""
    return hashlib.sha256(name.encode() + b"\n" + bytes([kind]) + public_key).digest()[:_KEY_HASH_SIZE_BYTES]


def parse_verifier_key(text: str) -> VerifierKey:
    """Read a vkey. Raises VerifierKeyMalformedError, also for kinds that are not known and keys of low order."""
    name, _, rest = text.partition("+")
    told_hash, _, encoded = rest.partition("+")
    try:
        material = decode_base64(encoded)
    except ValueError:
        raise VerifierKeyMalformedError("The key is not canonical base64.") from None
    if not _is_name(name) or _KEY_HASH.fullmatch(told_hash) is None:
        raise VerifierKeyMalformedError
    if material[:1] not in {bytes([ED25519]), bytes([COSIGNATURE_V1])}:
        raise VerifierKeyMalformedError("The key is of a kind that is not known here.")
    try:
        key = VerifierKey(name, material[0], checked_public_key(material[1:]))
    except PublicKeyRefusedError as error:
        raise VerifierKeyMalformedError(error.detail) from None
    if key.hash.hex() != told_hash:
        raise VerifierKeyMalformedError("The hash is not that of name and key.")
    return key


def parse_note(raw: bytes) -> Note:
    """Read a signed note; raises NoteMalformedError. Nothing is verified: that takes keys."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise NoteMalformedError("a note is UTF-8") from None
    if _CONTROL.search(text):
        raise NoteMalformedError("a note holds no control characters but newlines")
    body, separator, lines = text.rpartition("\n\n")
    if not separator or not body or not lines.endswith("\n"):
        raise NoteMalformedError("a note is text, an empty line and signature lines")
    found = lines[:-1].split("\n")
    if len(found) > SIGNATURES_MAX:
        raise NoteMalformedError("too many signatures")
    return Note(body + "\n", tuple(parse_signature(line) for line in found))


def parse_signature(line: str) -> NoteSignature:
    """Read one signature line without its newline; raises NoteMalformedError."""
    name, _, encoded = line.removeprefix(_DASH).partition(" ")
    try:
        octets = decode_base64(encoded)
    except ValueError:
        raise NoteMalformedError("a signature is canonical base64") from None
    if not line.startswith(_DASH) or not _is_name(name) or len(octets) <= _KEY_HASH_SIZE_BYTES:
        raise NoteMalformedError("a signature line is a dash, a name and a signature")
    return NoteSignature(name, octets[:_KEY_HASH_SIZE_BYTES], octets[_KEY_HASH_SIZE_BYTES:])


def format_signature(signature: NoteSignature) -> str:
    """Return a signature line with its newline."""
    return f"{_DASH}{signature.name} {encode_base64(signature.key_hash + signature.signature)}\n"


def format_note(note: Note) -> str:
    """Return a note as it is stored and sent."""
    return note.text + "\n" + "".join(format_signature(one) for one in note.signatures)


def sign_note(text: str, key: VerifierKey, signer: Signer) -> NoteSignature:
    """Return the ED25519 signature of a text (which ends in a newline) under the key's name."""
    return NoteSignature(key.name, key.hash, signer.sign(text.encode()))


def cosign(text: str, key: VerifierKey, signer: Signer, at_seconds: int) -> NoteSignature:
    """Return a witness's COSIGNATURE_V1 of a checkpoint's text, made at a POSIX time."""
    signature = signer.sign(_cosigned_message(text, at_seconds))
    return NoteSignature(key.name, key.hash, at_seconds.to_bytes(_TIMESTAMP_SIZE_BYTES) + signature)


def cosigned_at_seconds(signature: NoteSignature) -> int:
    """Return the POSIX time that a COSIGNATURE_V1 was made at; mind it only once the signature is verified."""
    return int.from_bytes(signature.signature[:_TIMESTAMP_SIZE_BYTES])


def verify_note(note: Note, keys: Iterable[VerifierKey]) -> list[VerifierKey]:
    """Return the keys that signed, each once; an empty list if none of them did.

    Lines of unknown keys are ignored. Raises NoteSignatureInvalidError where a line names one of these keys by name
    and hash and does not verify.
    """
    known = {(key.name, key.hash): key for key in keys}
    signed = []
    for one in note.signatures:
        key = known.get((one.name, one.key_hash))
        if key is None:
            continue
        if not verified(note.text, one, key):
            raise NoteSignatureInvalidError("a signature of a known key does not verify")
        if key not in signed:
            signed.append(key)
    return signed


def verified(text: str, signature: NoteSignature, key: VerifierKey) -> bool:
    """Tell whether a line is the key's signature of the text, of the key's kind."""
    if (signature.name, signature.key_hash) != (key.name, key.hash):
        return False
    if key.kind == ED25519:
        return verify_signature(key.public_key, text.encode(), signature.signature)
    at_seconds = cosigned_at_seconds(signature)
    if at_seconds > _TIMESTAMP_MAX:
        return False
    return verify_signature(
        key.public_key, _cosigned_message(text, at_seconds), signature.signature[_TIMESTAMP_SIZE_BYTES:]
    )


def _cosigned_message(text: str, at_seconds: int) -> bytes:
    return f"cosignature/v1\ntime {at_seconds}\n{text}".encode()


def _is_name(name: str) -> bool:
    return bool(name) and "+" not in name and not any(one.isspace() for one in name) and name.isprintable()
