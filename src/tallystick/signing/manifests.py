"""The root manifests that an issuer has: each verified against the one before it when it is put in."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from tallystick.core.clock import Clock
from tallystick.core.errors import InvariantError
from tallystick.signing import store
from tallystick.signing.keys import KeyState, SigningKey
from tallystick.signing.roots import (
    NamedKey,
    RootManifest,
    RootManifestAbsentError,
    RootManifestRefusedError,
    SignedManifest,
    check_successor,
    read_manifest,
)

__all__ = [
    "KeptManifest",
    "RootManifest",
    "draft_manifest",
    "import_manifest",
    "list_manifests",
    "newest_manifest",
    "root_origin",
]


@dataclass(frozen=True, slots=True)
class KeptManifest:
    """A version as it is kept: the signed document (one line), what it says, and when it was put in."""

    signed: SignedManifest
    document: str
    imported_at: datetime


def list_manifests(connection: Connection, issuer_id: str) -> list[KeptManifest]:
    """Return every version of the issuer's root manifest, the first one first; InvariantError for a damaged one."""
    found = []
    for row in store.read_manifests(connection, issuer_id):
        signed = read_manifest(row.document)
        if (signed.manifest.version, signed.sha256) != (row.version, row.sha256):
            raise InvariantError(f"root manifest {row.version} of {issuer_id} is not the one that was put in")
        found.append(KeptManifest(signed, row.document, row.imported_at))
    return found


def newest_manifest(connection: Connection, issuer_id: str) -> SignedManifest | None:
    """Return the root manifest that is in force, or None where the issuer has none."""
    found = list_manifests(connection, issuer_id)
    return found[-1].signed if found else None


def root_origin(connection: Connection, issuer_id: str) -> str | None:
    """Return the log's name as the first root manifest fixes it, or None where there is none."""
    newest = newest_manifest(connection, issuer_id)
    return None if newest is None else newest.manifest.origin


def import_manifest(
    connection: Connection, clock: Clock, issuer_id: str, document: str, *, origin: str
) -> SignedManifest:
    """Put in the next version, and return it. It gives no key power: people have to activate those that it names.

    The first version is taken as it is, and can be replaced until a key was activated under it. Raises
    RootManifestMalformedError, RootManifestRefusedError.
    """
    signed = read_manifest(document)
    before = newest_manifest(connection, issuer_id)
    if before is not None and before.sha256 == signed.sha256:
        return before
    if before is not None and before.manifest.version == 1 and signed.manifest.version == 1:
        if not _is_unused(connection, issuer_id):
            raise RootManifestRefusedError("A key was activated under version 1.")
        before = None
    manifest = None if before is None else before.manifest
    check_successor(manifest, signed, issuer_id=issuer_id, origin=origin)
    _check_spans(signed.manifest, manifest)
    row = store.ManifestRow(signed.manifest.version, signed.document(), signed.sha256, clock.now())
    store.write_manifest(connection, issuer_id, row)
    return signed


def draft_manifest(
    connection: Connection,
    issuer_id: str,
    *,
    origin: str,
    root_keys: tuple[bytes, ...] = (),
    threshold: int | None = None,
    spans: dict[str, tuple[int, int]] | None = None,
    lost: frozenset[str] = frozenset(),
) -> RootManifest:
    """Return the next manifest, to be signed: what the one before it names, and every key that was prepared since.

    `root_keys` and `threshold` are those of the one before it unless given; root keys are given again for a first
    version that is to be replaced, while no key was activated under it. `spans` are the first and last index that
    keys signed in a log that is older than events about keys, by key id; `lost` are ids of keys whose private part is
    gone. Raises RootManifestAbsentError for a first
    version without roots.
    """
    newest = newest_manifest(connection, issuer_id)
    before = None if newest is None else newest.manifest
    if before is not None and before.version == 1 and root_keys and _is_unused(connection, issuer_id):
        before = None
    if before is None and not root_keys:
        raise RootManifestAbsentError("The first version needs root keys.")
    roots = root_keys or (() if before is None else before.root_keys)
    named = [] if before is None else list(before.keys)
    known = {one.public_key for one in named}
    for key in store.read_keys(connection, issuer_id, None):
        if key.public_key not in known and (key.state != KeyState.REVOKED or key.activated_at is not None):
            named.append(_named(key, spans or {}))
    named = [one._replace(lost=one.lost or one.id in lost) for one in named]
    if threshold is None:
        threshold = 1 if before is None else before.threshold
    return RootManifest(
        issuer_id, origin, 1 if before is None else before.version + 1, threshold, tuple(roots), tuple(named)
    )


def _named(key: SigningKey, spans: dict[str, tuple[int, int]]) -> NamedKey:
    if key.state == KeyState.PREPARED or key.activated_index is not None:
        return NamedKey(str(key.use), key.public_key)
    if key.state == KeyState.ACTIVE:
        return NamedKey(str(key.use), key.public_key, spans.get(key.id, (0, 0))[0])
    first_index, last_index = spans.get(key.id, (0, 0))
    return NamedKey(str(key.use), key.public_key, first_index, last_index)


def _is_unused(connection: Connection, issuer_id: str) -> bool:
    keys = store.read_keys(connection, issuer_id, None)
    return all(one.manifest_version is None for one in keys)


def _check_spans(manifest: RootManifest, before: RootManifest | None) -> None:
    known = set(() if before is None else before.keys)
    if before is not None and any(one.first_index is not None for one in manifest.keys if one not in known):
        raise RootManifestRefusedError("Only the first version tells of keys that signed before it.")
