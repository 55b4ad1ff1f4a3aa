"""An issuer's keys: exactly one signs events at a time; those before it go on verifying.

Every verb takes a connection and leaves the commit to its owner. A private key is durable before the row that names
it, so a crash leaves a key nobody names and never a named key nobody has. What a key may do changes on the write path
alone: `activate`, `retire` and `revoke` are carried out in the transaction that signs their event, under the log's
head, so that a key's state at an index is what the log says of it.
"""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection

from tallystick.core.clock import Clock
from tallystick.core.errors import ConflictError
from tallystick.core.pipeline import Asked, Pipeline, RowValues
from tallystick.signing import manifests, store
from tallystick.signing.ed25519 import checked_public_key, thumbprint
from tallystick.signing.jws import ALGORITHM, KeyResolver, VerificationKey
from tallystick.signing.key_files import KeyDirectory, SigningKeyUnavailableError
from tallystick.signing.keys import (
    KeyState,
    KeyUse,
    RevocationMalformedError,
    SigningKey,
    SigningKeyConflictError,
    SigningKeyNotFoundError,
)
from tallystick.signing.roots import RootManifestAbsentError
from tallystick.signing.signer import Signer

__all__ = [
    "Activation",
    "SigningKeyNotNamedError",
    "activate",
    "active_key",
    "ask_signer",
    "check_activation",
    "check_retirement",
    "check_revocation",
    "hold_active_key",
    "key_resolver",
    "list_keys",
    "load_signer",
    "prepare_key",
    "prepare_public_key",
    "published_jwks",
    "retire",
    "revoke",
    "signing_key",
]


_REASON_LENGTH_MAX = 500


class SigningKeyNotNamedError(ConflictError):
    """The root manifest does not say that this key may sign."""

    code = "signing_key_not_named"
    title = "The root manifest does not name the key"


class Activation(NamedTuple):
    """A key that may be activated, the manifest that names it, and the key that it replaces, if one is active.

    `brought_under_root` is a key that signs already, in a log that is older than events about keys. `replaces_lost`:
    the manifest says that nobody has the replaced key's private part any more.
    """

    key: SigningKey
    manifest_version: int
    manifest_sha256: bytes
    replaces: str | None
    brought_under_root: bool
    replaces_lost: bool


def prepare_key(
    connection: Connection,
    clock: Clock,
    issuer_id: str,
    key_directory: KeyDirectory,
    *,
    use: KeyUse = KeyUse.EVENT,
) -> SigningKey:
    """Make a key that may sign nothing yet, and return its public part.

    It gives no power: roots have to name it, and people have to activate it. Raises SigningKeyUnavailableError when
    the private part can't be stored.
    """
    return _insert(connection, clock.now(), issuer_id, key_directory.create(issuer_id), use)


def prepare_public_key(
    connection: Connection, clock: Clock, issuer_id: str, public_key: bytes, *, use: KeyUse = KeyUse.EVENT
) -> SigningKey:
    """Take up a key whose private part is kept elsewhere, such as in an HSM; it may sign nothing yet.

    Raises PublicKeyRefusedError for bytes that are no honest Ed25519 public key, and SigningKeyConflictError when
    the issuer has or had this key.
    """
    return _insert(connection, clock.now(), issuer_id, checked_public_key(public_key), use)


def check_activation(
    connection: Connection, issuer_id: str, key_id: str, *, expected_key_id: str | None = None
) -> Activation:
    """Return what activating a key would do, if it may be.

    Raises SigningKeyNotFoundError, SigningKeyConflictError (it was active before, or another key than
    `expected_key_id` is active now), RootManifestAbsentError, SigningKeyNotNamedError.
    """
    key = signing_key(connection, issuer_id, key_id)
    brought = key.state == KeyState.ACTIVE and key.activated_index is None
    if key.state != KeyState.PREPARED and not brought:
        raise SigningKeyConflictError(f"The key is {key.state}.")
    active = store.read_active_key(connection, issuer_id, KeyUse(key.use))
    active_id = None if active is None else active.id
    if expected_key_id is not None and active_id != expected_key_id:
        raise SigningKeyConflictError("Another key is active.")
    if active is not None and not brought and active.activated_index is None:
        raise SigningKeyConflictError(
            "The key that signs now has to come under the root first: activate that."
        )
    signed = manifests.newest_manifest(connection, issuer_id)
    if signed is None:
        raise RootManifestAbsentError
    named = signed.manifest.named(key_id)
    if named is None or named.lost or named.use != key.use or (brought and named.first_index is None):
        raise SigningKeyNotNamedError(f"Version {signed.manifest.version} does not name it for this.")
    replaces = None if brought else active_id
    before = None if replaces is None else signed.manifest.named(replaces)
    lost = before is not None and before.lost
    return Activation(key, signed.manifest.version, signed.sha256, replaces, brought, lost)


def activate(
    connection: Connection,
    issuer_id: str,
    key_id: str,
    *,
    at: datetime,
    event_index: int,
    manifest_version: int,
) -> None:
    """Let a key sign from its own event on; the one before it is retired and stays published.

    What is activated was looked at by `check_activation` under the log's head.
    """
    key = signing_key(connection, issuer_id, key_id)
    active = store.read_active_key(connection, issuer_id, KeyUse(key.use))
    from_index = event_index
    if active is not None and active.id == key_id:
        named = _newest(connection, issuer_id).named(key_id)
        from_index = 0 if named is None or named.first_index is None else named.first_index
    elif active is not None:
        store.set_retired(connection, issuer_id, active.id, at, event_index - 1)
    store.set_active(
        connection,
        issuer_id,
        key_id,
        at=at,
        event_index=event_index,
        from_index=from_index,
        manifest_version=manifest_version,
    )


def check_retirement(connection: Connection, issuer_id: str, key_id: str) -> SigningKey:
    """Return a key that may be retired. Raises SigningKeyNotFoundError, or SigningKeyConflictError otherwise."""
    key = signing_key(connection, issuer_id, key_id)
    if key.state != KeyState.ACTIVE:
        raise SigningKeyConflictError(f"The key is {key.state}.")
    return key


def retire(connection: Connection, issuer_id: str, key_id: str, *, at: datetime, event_index: int) -> None:
    """Let an active key sign no more, without a successor; what it signed stays trusted, its own end included."""
    store.set_retired(connection, issuer_id, key_id, at, event_index)


def check_revocation(
    connection: Connection,
    issuer_id: str,
    key_id: str,
    *,
    reason: str,
    compromised_from_index: int | None,
    last_index: int,
) -> SigningKey:
    """Return a key that may be revoked.

    Raises SigningKeyNotFoundError, SigningKeyConflictError when it was revoked before, RevocationMalformedError for an
    index behind `last_index`, the log's newest, or a reason that is none.
    """
    if not reason.strip() or len(reason) > _REASON_LENGTH_MAX:
        raise RevocationMalformedError("A revocation has a reason of at most 500 characters.")
    if compromised_from_index is not None and not 0 <= compromised_from_index <= last_index + 1:
        raise RevocationMalformedError("The log has not reached the index of compromise.")
    key = signing_key(connection, issuer_id, key_id)
    if key.state == KeyState.REVOKED:
        raise SigningKeyConflictError("The key is revoked.")
    return key


def revoke(
    connection: Connection,
    issuer_id: str,
    key_id: str,
    *,
    at: datetime,
    event_index: int,
    compromised_from_index: int | None,
    reason: str,
) -> None:
    """Trust a key no more: from an index on, or in nothing that it signed where that index is not known (None).

    An issuer whose active key is revoked can't sign until another one is activated. `reason` is published.
    """
    store.set_revoked(
        connection,
        issuer_id,
        key_id,
        at=at,
        event_index=event_index,
        compromised_from_index=compromised_from_index,
        reason=reason,
    )


def signing_key(connection: Connection, issuer_id: str, key_id: str) -> SigningKey:
    """Return one key of the issuer's. Raises SigningKeyNotFoundError."""
    found = store.read_key(connection, issuer_id, key_id)
    if found is None:
        raise SigningKeyNotFoundError
    return found


def active_key(connection: Connection, issuer_id: str, use: KeyUse) -> SigningKey | None:
    """Return the key of this use that may sign now, or None."""
    return store.read_active_key(connection, issuer_id, use)


def list_keys(connection: Connection, issuer_id: str, *, use: KeyUse | None = None) -> list[SigningKey]:
    """Return all keys that the issuer has or had, oldest first, prepared ones too."""
    return store.read_keys(connection, issuer_id, use)


def published_jwks(connection: Connection, issuer_id: str | None = None) -> dict[str, list[dict[str, str]]]:
    """Return the JWK Set (RFC 7517) of one issuer or of all: keys that sign or have signed, oldest first.

    Beyond RFC 8037's members each key tells `issuer_id`, `key_use`, `state`, `activated_at` and, where they apply,
    `retired_at`, `revoked_at`, `compromised_at` and `reason`.
    """
    keys = store.read_keys(connection, issuer_id, None)
    return {"keys": [key.jwk() for key in keys if key.activated_at is not None]}


def load_signer(
    connection: Connection, issuer_id: str, key_directory: KeyDirectory, *, use: KeyUse = KeyUse.EVENT
) -> Signer:
    """Return the signer of the issuer's active key; cheap once its file was read.

    Raises SigningKeyUnavailableError when no key is active or its private part can't be had.
    """
    active = store.read_active_key(connection, issuer_id, use)
    if active is None:
        raise SigningKeyUnavailableError("The issuer has no active signing key.")
    return key_directory.signer(issuer_id, active.id)


def ask_signer(
    pipeline: Pipeline, issuer_id: str, key_directory: KeyDirectory, *, use: KeyUse = KeyUse.EVENT
) -> Asked[Signer]:
    """Ask for the active key's signer; to be asked behind the log's head, under which no key changes.

    No signature can therefore land behind its key's rotation or revocation, and none is asked of a key that was
    replaced meanwhile. The result raises SigningKeyUnavailableError when no key is active or its private part can't be
    had.
    """

    def signer(rows: list[RowValues]) -> Signer:
        key_id = store.read_key_id(rows)
        if key_id is None:
            raise SigningKeyUnavailableError("The issuer has no active signing key.")
        return key_directory.signer(issuer_id, key_id)

    return store.ask_active_key_id(pipeline, issuer_id, use, signer)


def hold_active_key(connection: Connection, issuer_id: str, key_id: str) -> None:
    """Make sure that `key_id` is active and stays so until the transaction ends.

    For who signs without the log's head: checkpoints. Whoever calls this before committing what the key signed can be
    sure that no signature lands behind the key's rotation or revocation. Raises SigningKeyUnavailableError when it is
    active no more: sign anew.
    """
    if not store.hold_active_key(connection, issuer_id, key_id):
        raise SigningKeyUnavailableError("The signing key was replaced meanwhile.")


def key_resolver(
    connection: Connection, issuer_id: str, *, use: KeyUse = KeyUse.EVENT, index: int | None = None
) -> KeyResolver:
    """Return what `verify_compact` asks for keys: those of this use whose signatures prove the event at `index`.

    Without an index a revoked key resolves to none, and no other state is looked at.
    """
    trusted: dict[str | None, VerificationKey] = {
        key.id: key.verification_key
        for key in store.read_keys(connection, issuer_id, use)
        if (key.proves(index) if index is not None else key.trusted_for(None))
    }
    return trusted.get


def _insert(
    connection: Connection, at: datetime, issuer_id: str, public_key: bytes, use: KeyUse
) -> SigningKey:
    key = SigningKey(
        issuer_id=issuer_id,
        id=thumbprint(public_key),
        algorithm=ALGORITHM,
        public_key=public_key,
        use=use,
        state=KeyState.PREPARED,
        created_at=at,
        activated_at=None,
        retired_at=None,
        revoked_at=None,
        compromised_at=None,
        reason=None,
    )
    if not store.insert_key(connection, key):
        raise SigningKeyConflictError("The issuer has or had this key.")
    return key


def _newest(connection: Connection, issuer_id: str) -> "manifests.RootManifest":
    signed = manifests.newest_manifest(connection, issuer_id)
    if signed is None:
        raise RootManifestAbsentError
    return signed.manifest
