"""Registering and revoking clients, and using once what may be used once."""

import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta

import orjson
from sqlalchemy import Connection

from tallystick import participants
from tallystick.core.canonical_json import canonical_json
from tallystick.core.clock import Clock
from tallystick.core.ids import new_id
from tallystick.core.strict_json import JsonValue
from tallystick.identity import store
from tallystick.identity.clients import (
    SIGNATURE_ALGORITHMS,
    Client,
    ClientKeyReusedError,
    ClientLifetimeRefusedError,
    ClientNotFoundError,
    ClientUse,
)
from tallystick.identity.public_keys import JwkRefusedError, checked_jwk, thumbprint_of

__all__ = ["check_client", "public_members", "register_client", "revoke_client", "use_once"]


def check_client(
    connection: Connection,
    issuer_id: str,
    principal_id: str,
    *,
    use: ClientUse,
    jwk: Mapping[str, JsonValue],
    algorithm: str,
    lifetime_days: int,
    lifetime_days_max: int,
) -> dict[str, str]:
    """Return the members of a key that may be registered.

    Raises PrincipalNotFoundError, JwkRefusedError, ClientLifetimeRefusedError.
    """
    participants.principal(connection, issuer_id, principal_id)
    if not 1 <= lifetime_days <= lifetime_days_max:
        raise ClientLifetimeRefusedError(f"A client lives for 1 to {lifetime_days_max} days here.")
    if use == ClientUse.SIGNATURE and algorithm not in SIGNATURE_ALGORITHMS:
        raise JwkRefusedError(f"Messages are signed with {', '.join(SIGNATURE_ALGORITHMS)}.")
    return checked_jwk(jwk, algorithm)


def register_client(
    connection: Connection,
    clock: Clock,
    issuer_id: str,
    principal_id: str,
    *,
    use: ClientUse,
    jwk: Mapping[str, JsonValue],
    algorithm: str,
    lifetime_days: int,
    lifetime_days_max: int,
) -> Client:
    """Take up a principal's public key for one use; raises what `check_client` does, and ClientKeyReusedError."""
    members = check_client(
        connection,
        issuer_id,
        principal_id,
        use=use,
        jwk=jwk,
        algorithm=algorithm,
        lifetime_days=lifetime_days,
        lifetime_days_max=lifetime_days_max,
    )
    created_at = clock.now()
    registered = Client(
        issuer_id=issuer_id,
        id=new_id("client"),
        principal_id=principal_id,
        use=use.value,
        algorithm=algorithm,
        jwk=canonical_json(members).decode("ascii"),
        thumbprint=thumbprint_of(members),
        created_at=created_at,
        expires_at=created_at + timedelta(days=lifetime_days),
        revoked_at=None,
    )
    if not store.add_client(connection, registered):
        raise ClientKeyReusedError
    return registered


def revoke_client(
    connection: Connection, clock: Clock, issuer_id: str, principal_id: str, client_id: str
) -> Client:
    """Revoke a client for ever, and with it the tokens it got; one that is revoked stays so.

    Raises ClientNotFoundError.
    """
    found = store.read_client(connection, issuer_id, client_id)
    if found is None or found.principal_id != principal_id:
        raise ClientNotFoundError
    store.revoke_client(connection, issuer_id, client_id, clock.now())
    changed = store.read_client(connection, issuer_id, client_id)
    assert changed is not None
    return changed


def public_members(client: Client) -> dict[str, str]:
    """Return a client's key as the members of its JWK."""
    members: dict[str, str] = orjson.loads(client.jwk)
    return members


def use_once(connection: Connection, client: Client, purpose: str, value: str, until: datetime) -> bool:
    """Note that a client used `value`; False if it had. Of callers at the same moment one is the first.

    It is kept until `until`, when it would be refused for its age.
    """
    digest = hashlib.sha256(f"{purpose}\0{value}".encode()).digest()
    return store.add_nonce(
        connection, issuer_id=client.issuer_id, client_id=client.id, digest=digest, expires_at=until
    )
