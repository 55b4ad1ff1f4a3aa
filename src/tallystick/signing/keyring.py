"""An issuer's keys: exactly one signs events at a time; those before it go on verifying.

Every verb takes a connection and leaves the commit to its owner. A private key is durable before the row that names
it, so a crash leaves a key nobody names and never a named key nobody has.
"""

from datetime import datetime
from typing import Any

import psycopg
from sqlalchemy import Connection

from tallystick.core.clock import Clock
from tallystick.core.pipeline import Asked, Pipeline
from tallystick.signing import store
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
from tallystick.signing.signer import Signer

__all__ = [
    "ask_signer",
    "create_key",
    "hold_active_key",
    "key_resolver",
    "list_keys",
    "load_signer",
    "published_jwks",
    "register_public_key",
    "retire",
    "revoke",
    "rotate",
]

_REASON_LENGTH_MAX = 500


def create_key(
    connection: Connection,
    clock: Clock,
    issuer_id: str,
    key_directory: KeyDirectory,
    *,
    use: KeyUse = KeyUse.EVENT,
) -> SigningKey:
    """Make an issuer's key where none is active, and return its public part.

    Raises SigningKeyConflictError when one is: that is for `rotate` to replace.
    """
    store.lock_keys(connection, issuer_id, use)
    if store.read_active_key(connection, issuer_id, use) is not None:
        raise SigningKeyConflictError("The issuer has an active key already.")
    return _create(connection, clock.now(), issuer_id, key_directory, use)


def rotate(
    connection: Connection,
    clock: Clock,
    issuer_id: str,
    key_directory: KeyDirectory,
    *,
    use: KeyUse = KeyUse.EVENT,
    expected_key_id: str | None = None,
) -> SigningKey:
    """Replace the active key by a new one and return that; the old one is retired and stays published.

    From the commit on `load_signer` gives the new key; whoever still signs with the old one signs what verifies.
    Two rotations at once happen one behind the other; `expected_key_id` lets the second be refused instead. Raises
    SigningKeyConflictError when no key is active or another than expected.
    """
    at = clock.now()
    _retire_active(connection, issuer_id, use, at, expected_key_id)
    return _create(connection, at, issuer_id, key_directory, use)


def register_public_key(
    connection: Connection, clock: Clock, issuer_id: str, public_key: bytes, *, use: KeyUse = KeyUse.EVENT
) -> SigningKey:
    """Make a key active whose private part is kept elsewhere, such as in an HSM; an active one is retired.

    Raises PublicKeyRefusedError for bytes that are no honest Ed25519 public key, and SigningKeyConflictError when
    the issuer has or had this key.
    """
    at = clock.now()
    checked_public_key(public_key)
    store.lock_keys(connection, issuer_id, use)
    if store.read_key(connection, issuer_id, thumbprint(public_key)) is not None:
        raise SigningKeyConflictError("The issuer has or had this key.")
    active = store.read_active_key(connection, issuer_id, use)
    if active is not None:
        store.set_retired(connection, issuer_id, active.id, at)
    return _insert(connection, at, issuer_id, public_key, use)


def retire(connection: Connection, clock: Clock, issuer_id: str, key_id: str) -> SigningKey:
    """Let an active key sign no more, without a successor; what it signed stays trusted.

    Raises SigningKeyNotFoundError, or SigningKeyConflictError when it is not active.
    """
    key = _locked(connection, issuer_id, key_id)
    if key.state != KeyState.ACTIVE:
        raise SigningKeyConflictError(f"The key is {key.state}.")
    store.set_retired(connection, issuer_id, key_id, clock.now())
    return _read(connection, issuer_id, key_id)


def revoke(
    connection: Connection,
    clock: Clock,
    issuer_id: str,
    key_id: str,
    *,
    reason: str,
    compromised_at: datetime | None = None,
) -> SigningKey:
    """Trust a key no more, from `compromised_at` on, or not at all when that moment is not known (None).

    An issuer whose active key is revoked can't sign until `create_key`. `reason` is published with the key. Raises
    SigningKeyNotFoundError, RevocationMalformedError, or SigningKeyConflictError when it was revoked before.
    """
    at = clock.now()
    if not reason.strip() or len(reason) > _REASON_LENGTH_MAX:
        raise RevocationMalformedError("A revocation has a reason of at most 500 characters.")
    if compromised_at is not None and (compromised_at.tzinfo is None or compromised_at > at):
        raise RevocationMalformedError(
            "The moment of compromise has an offset from UTC and is not in the future."
        )
    key = _locked(connection, issuer_id, key_id)
    if key.state == KeyState.REVOKED:
        raise SigningKeyConflictError("The key is revoked.")
    store.set_revoked(connection, issuer_id, key_id, at, compromised_at, reason)
    return _read(connection, issuer_id, key_id)


def list_keys(connection: Connection, issuer_id: str, *, use: KeyUse | None = None) -> list[SigningKey]:
    """Return all keys that the issuer has or had, oldest first."""
    return store.read_keys(connection, issuer_id, use)


def published_jwks(connection: Connection, issuer_id: str | None = None) -> dict[str, list[dict[str, str]]]:
    """Return the JWK Set (RFC 7517) of one issuer or of all: active, retired and revoked keys, oldest first.

    Beyond RFC 8037's members each key tells `issuer_id`, `key_use`, `state`, `activated_at` and, where they apply,
    `retired_at`, `revoked_at`, `compromised_at` and `reason`.
    """
    return {"keys": [key.jwk() for key in store.read_keys(connection, issuer_id, None)]}


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
    """Ask for the active key's signer; the key stays active until the transaction ends.

    No signature can therefore land behind its key's rotation or revocation. The result raises
    SigningKeyUnavailableError when no key is active or its private part can't be had.
    """

    def signer(cursor: psycopg.Cursor[Any]) -> Signer:
        key_id = store.read_key_id(cursor)
        if key_id is None:
            raise SigningKeyUnavailableError("The issuer has no active signing key.")
        return key_directory.signer(issuer_id, key_id)

    return store.ask_active_key_id(pipeline, issuer_id, use, signer)


def hold_active_key(connection: Connection, issuer_id: str, key_id: str) -> None:
    """Make sure that `key_id` is active and stays so until the transaction ends.

    Whoever calls this before committing what the key signed can be sure that no signature lands behind the key's
    rotation or revocation. Raises SigningKeyUnavailableError when it is active no more: sign anew.
    """
    if not store.hold_active_key(connection, issuer_id, key_id):
        raise SigningKeyUnavailableError("The signing key was replaced meanwhile.")


def key_resolver(
    connection: Connection, issuer_id: str, *, use: KeyUse = KeyUse.EVENT, signed_at: datetime | None = None
) -> KeyResolver:
    """Return what `verify_compact` asks for keys: the issuer's of this use, as they are recorded now.

    `signed_at` is what other evidence than the token says of its age; without it a revoked key resolves to none.
    """
    trusted: dict[str | None, VerificationKey] = {
        key.id: key.verification_key
        for key in store.read_keys(connection, issuer_id, use)
        if key.trusted_for(signed_at)
    }
    return trusted.get


def _create(
    connection: Connection, at: datetime, issuer_id: str, key_directory: KeyDirectory, use: KeyUse
) -> SigningKey:
    public_key = key_directory.create(issuer_id)
    try:
        return _insert(connection, at, issuer_id, public_key, use)
    except SigningKeyConflictError:
        key_directory.remove(issuer_id, thumbprint(public_key))
        raise


def _insert(
    connection: Connection, at: datetime, issuer_id: str, public_key: bytes, use: KeyUse
) -> SigningKey:
    key = SigningKey(
        issuer_id=issuer_id,
        id=thumbprint(public_key),
        algorithm=ALGORITHM,
        public_key=public_key,
        use=use,
        state=KeyState.ACTIVE,
        created_at=at,
        activated_at=at,
        retired_at=None,
        revoked_at=None,
        compromised_at=None,
        reason=None,
    )
    if not store.insert_key(connection, key):
        raise SigningKeyConflictError("Another key was made active meanwhile.")
    return key


def _retire_active(
    connection: Connection, issuer_id: str, use: KeyUse, at: datetime, expected_key_id: str | None
) -> None:
    store.lock_keys(connection, issuer_id, use)
    active = store.read_active_key(connection, issuer_id, use)
    if active is None:
        raise SigningKeyConflictError("The issuer has no active key to rotate.")
    if expected_key_id is not None and active.id != expected_key_id:
        raise SigningKeyConflictError("Another key is active.")
    store.set_retired(connection, issuer_id, active.id, at)


def _locked(connection: Connection, issuer_id: str, key_id: str) -> SigningKey:
    use = KeyUse(_read(connection, issuer_id, key_id).use)
    store.lock_keys(connection, issuer_id, use)
    return _read(connection, issuer_id, key_id)


def _read(connection: Connection, issuer_id: str, key_id: str) -> SigningKey:
    found = store.read_key(connection, issuer_id, key_id)
    if found is None:
        raise SigningKeyNotFoundError
    return found
