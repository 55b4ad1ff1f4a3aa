"""The root manifest: which keys may sign for an issuer, said by keys that are kept offline (the root role of TUF).

A manifest names the log, the keys that may sign for it, the root keys, and how many of those it takes. It is a JWS in
the JSON serialization (RFC 7515, section 7.2.1), so that several can sign. Each version is signed by as many roots as
the version before it asks for, and by as many as it asks for itself. Nothing in it expires: the log has no clock.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from tallystick.core.base64url import base64url
from tallystick.core.canonical_json import canonical_json
from tallystick.core.errors import ConflictError, DomainError, MalformedError, NotFoundError
from tallystick.core.strict_json import parse_json
from tallystick.signing.ed25519 import checked_public_key, thumbprint
from tallystick.signing.jws import JwsInvalidError, VerificationKey, decoded, sign_compact, verify_compact
from tallystick.signing.keys import KeyUse
from tallystick.signing.signer import Signer

__all__ = [
    "ROOT_MEDIA_TYPE",
    "NamedKey",
    "RootManifest",
    "RootManifestAbsentError",
    "RootManifestMalformedError",
    "RootManifestRefusedError",
    "SignedManifest",
    "add_signature",
    "check_successor",
    "missing_signatures",
    "read_manifest",
    "unsigned",
]

ROOT_MEDIA_TYPE: Final = "tallystick-root-v1+jws"

_SIZE_MAX: Final = 262_144
_MEMBERS: Final = frozenset({"issuer_id", "keys", "origin", "root_keys", "threshold", "version"})
_KEY_MEMBERS: Final = frozenset({"use", "x"})
_OPTIONAL_MEMBERS: Final = frozenset({"first_index", "last_index", "lost"})
_ALGORITHM: Final = "EdDSA"


class RootManifestMalformedError(MalformedError):
    """The document is no root manifest of a version that is known here."""

    code = "root_manifest_malformed"
    title = "The root manifest is malformed"


class RootManifestRefusedError(ConflictError):
    """The manifest is of another log, of another version than the next, or not signed by the roots that it takes."""

    code = "root_manifest_refused"
    title = "The root manifest does not follow on the one that is in force"


class RootManifestAbsentError(NotFoundError):
    """The issuer has no root manifest: no key may be activated."""

    code = "root_manifest_absent"
    title = "The issuer has no root manifest"


class NamedKey(NamedTuple):
    """A key that may sign. The indexes are of a key that signed before the log had events about keys.

    `last_index` None is for the one that was active when the log came under its root. A key is `lost` whose private
    part nobody has any more: it can sign neither its own end nor a vote for the next one, so the roots say so.
    """

    use: str
    public_key: bytes
    first_index: int | None = None
    last_index: int | None = None
    lost: bool = False

    @property
    def id(self) -> str:
        """The key's RFC 7638 thumbprint."""
        return thumbprint(self.public_key)

    def members(self) -> dict[str, str | int | bool]:
        """Return the key as it is written in the manifest."""
        spans = {"first_index": self.first_index, "last_index": self.last_index}
        written: dict[str, str | int | bool] = {"use": self.use, "x": _x(self.public_key)}
        written |= {name: index for name, index in spans.items() if index is not None}
        return written | {"lost": True} if self.lost else written


@dataclass(frozen=True, slots=True)
class RootManifest:
    """What roots sign: the log's origin, every key that may sign or has signed, the roots and their threshold."""

    issuer_id: str
    origin: str
    version: int
    threshold: int
    root_keys: tuple[bytes, ...]
    keys: tuple[NamedKey, ...]

    def payload(self) -> bytes:
        """Return the canonical JSON (RFC 8785) that is signed."""
        return canonical_json(
            {
                "issuer_id": self.issuer_id,
                "keys": [one.members() for one in self.keys],
                "origin": self.origin,
                "root_keys": [_x(one) for one in self.root_keys],
                "threshold": self.threshold,
                "version": self.version,
            }
        )

    def named(self, key_id: str) -> NamedKey | None:
        """Return a key that the manifest names, or None."""
        return next((one for one in self.keys if one.id == key_id), None)


@dataclass(frozen=True, slots=True)
class SignedManifest:
    """A manifest with its signatures, each a compact JWS; none is verified yet."""

    manifest: RootManifest
    payload: bytes
    tokens: tuple[str, ...]

    @property
    def sha256(self) -> bytes:
        """The hash of what was signed, by which events name the manifest."""
        return hashlib.sha256(self.payload).digest()

    def signed_by(self, root_keys: Iterable[bytes]) -> set[str]:
        """Return the ids of those of `root_keys` that signed. Signatures of others count for nothing.

        Raises RootManifestRefusedError for a signature that names one of them and is not its own.
        """
        known: dict[str | None, VerificationKey] = {}
        for one in root_keys:
            known[thumbprint(one)] = VerificationKey(thumbprint(one), _ALGORITHM, one)
        found = set()
        for token in self.tokens:
            key_id = _key_id(token)
            if key_id not in known:
                continue
            try:
                verify_compact(token, known.get, media_type=ROOT_MEDIA_TYPE)
            except JwsInvalidError as error:
                raise RootManifestRefusedError(
                    f"A signature of root {key_id} is not its own ({error.code})."
                ) from None
            found.add(key_id)
        return found

    def document(self) -> str:
        """Return the JWS, JSON serialization, as one line without a newline."""
        parts = [token.split(".") for token in self.tokens]
        return json.dumps(
            {
                "payload": base64url(self.payload).decode(),
                "signatures": [{"protected": one[0], "signature": one[2]} for one in parts],
            },
            separators=(",", ":"),
        )


def unsigned(manifest: RootManifest) -> SignedManifest:
    """Return a manifest that nobody has signed yet; raises RootManifestMalformedError for one that can't be."""
    payload = manifest.payload()
    _manifest(payload)
    return SignedManifest(manifest, payload, ())


def add_signature(signed: SignedManifest, signer: Signer) -> SignedManifest:
    """Return the manifest with one more root's signature, or as it is where that root signed before."""
    if signer.key_id in {_key_id(one) for one in signed.tokens}:
        return signed
    token = sign_compact(signer, signed.payload, media_type=ROOT_MEDIA_TYPE)
    return SignedManifest(signed.manifest, signed.payload, (*signed.tokens, token))


def read_manifest(document: str) -> SignedManifest:
    """Take a document apart. Raises RootManifestMalformedError; signatures are not verified."""
    found = _json(document.encode())
    if not isinstance(found, dict) or found.keys() != {"payload", "signatures"}:
        raise RootManifestMalformedError("It is no JWS with a payload and signatures.")
    segment, signatures = found["payload"], found["signatures"]
    if not isinstance(segment, str) or not isinstance(signatures, list):
        raise RootManifestMalformedError("It is no JWS with a payload and signatures.")
    tokens = []
    for one in signatures:
        if (
            not isinstance(one, dict)
            or one.keys() != {"protected", "signature"}
            or not all(isinstance(value, str) for value in one.values())
        ):
            raise RootManifestMalformedError("A signature has `protected` and `signature`, and nothing else.")
        tokens.append(f"{one['protected']}.{segment}.{one['signature']}")
    try:
        payload = decoded(segment)
    except JwsInvalidError:
        raise RootManifestMalformedError("The payload is not canonical base64url.") from None
    return SignedManifest(_manifest(payload), payload, tuple(tokens))


def check_successor(
    before: RootManifest | None, signed: SignedManifest, *, issuer_id: str, origin: str
) -> None:
    """Raise RootManifestRefusedError unless a manifest is the next of its issuer and its log, and signed as it must be.

    A key that was named stays named: what it signed is in the log for ever, and only an event takes trust away.
    """
    manifest = signed.manifest
    if manifest.issuer_id != issuer_id:
        raise RootManifestRefusedError("The manifest is another issuer's.")
    if manifest.origin != origin:
        raise RootManifestRefusedError(
            f"The manifest is of the log {manifest.origin}, and this one is {origin}."
        )
    version = 1 if before is None else before.version + 1
    if manifest.version != version:
        raise RootManifestRefusedError(
            f"The manifest is version {manifest.version}, and {version} is the next."
        )
    for what, roots in (("before it", before), ("of its own", manifest)):
        if roots is not None:
            count = len(signed.signed_by(roots.root_keys))
            if count < roots.threshold:
                raise RootManifestRefusedError(
                    f"{count} roots {what} signed the manifest, and {roots.threshold} have to."
                )
    if before is not None and not _keeps(before, manifest):
        raise RootManifestRefusedError(
            "The manifest leaves out a key, or changes one, that the one before it names."
        )


def _keeps(before: RootManifest, manifest: RootManifest) -> bool:
    """Tell whether every key is named as before; one that was not lost may have been lost since."""
    now = {one._replace(lost=False) for one in manifest.keys}
    lost = {one.public_key for one in manifest.keys if one.lost}
    return all(
        one._replace(lost=False) in now and (not one.lost or one.public_key in lost) for one in before.keys
    )


def _manifest(payload: bytes) -> RootManifest:
    found = _json(payload)
    if not isinstance(found, dict) or found.keys() != _MEMBERS or canonical_json(found) != payload:
        raise RootManifestMalformedError("It is not the canonical JSON of a manifest's members.")
    keys, root_keys = found["keys"], found["root_keys"]
    if not isinstance(keys, list) or not isinstance(root_keys, list):
        raise RootManifestMalformedError("`keys` and `root_keys` are lists.")
    if not isinstance(found["origin"], str) or not isinstance(found["issuer_id"], str):
        raise RootManifestMalformedError("`issuer_id` and `origin` are texts.")
    roots = tuple(_public_key(one) for one in root_keys)
    named = tuple(_named(one) for one in keys)
    if len({one.public_key for one in named} | set(roots)) != len(named) + len(roots):
        raise RootManifestMalformedError("A key is named twice.")
    version, threshold = found["version"], found["threshold"]
    if not _is_index(version) or version < 1 or not _is_index(threshold) or not 1 <= threshold <= len(roots):
        raise RootManifestMalformedError("`version` counts from 1; `threshold` lies between 1 and all roots.")
    return RootManifest(found["issuer_id"], found["origin"], version, threshold, roots, named)


def _named(found: Any) -> NamedKey:
    if not isinstance(found, dict) or not _KEY_MEMBERS <= found.keys() <= _KEY_MEMBERS | _OPTIONAL_MEMBERS:
        raise RootManifestMalformedError("A key has other members than are known.")
    if found["use"] not in set(KeyUse):
        raise RootManifestMalformedError("A key's use is `event` or `checkpoint`.")
    first_index, last_index = found.get("first_index"), found.get("last_index")
    spans = [one for one in (first_index, last_index) if one is not None]
    if not all(_is_index(one) for one in spans) or (last_index is not None and first_index is None):
        raise RootManifestMalformedError("A key's indexes are none.")
    if found.get("lost", True) is not True:
        raise RootManifestMalformedError("`lost` is true, or left out.")
    return NamedKey(found["use"], _public_key(found["x"]), first_index, last_index, "lost" in found)


def _public_key(x: Any) -> bytes:
    try:
        return checked_public_key(decoded(x if isinstance(x, str) else "?"))
    except DomainError as error:
        raise RootManifestMalformedError(f"A public key can't be trusted ({error.code}).") from None


def _json(octets: bytes) -> Any:
    try:
        return parse_json(octets, size_max_bytes=_SIZE_MAX, depth_max=4)
    except DomainError as error:
        raise RootManifestMalformedError(f"It is refused as JSON ({error.code}).") from None


def _key_id(token: str) -> str:
    try:
        header = parse_json(decoded(token.partition(".")[0]), size_max_bytes=1_024, depth_max=1)
    except DomainError:
        raise RootManifestMalformedError("A signature's header can't be read.") from None
    key_id = header.get("kid") if isinstance(header, dict) else None
    if not isinstance(key_id, str):
        raise RootManifestMalformedError("A signature names no key.")
    return key_id


def _is_index(value: Any) -> bool:
    return type(value) is int and value >= 0


def _x(public_key: bytes) -> str:
    return base64url(public_key).decode("ascii")


def missing_signatures(signed: SignedManifest, roots: Sequence[RootManifest]) -> int:
    """Return how many more signatures the manifest takes: by the roots before it and by its own."""
    return max(one.threshold - len(signed.signed_by(one.root_keys)) for one in (*roots, signed.manifest))
