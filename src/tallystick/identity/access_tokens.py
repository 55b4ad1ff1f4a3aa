"""Access tokens: opaque, short-lived, known by their SHA-256 like keys (docs/decisions/0012).

A token ends with its lifetime, its client or its principal, whichever comes first.
"""

import dataclasses
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Connection

from tallystick import participants
from tallystick.core.clock import Clock
from tallystick.core.ids import new_id
from tallystick.identity import store
from tallystick.identity.assertions import AssertionRefusedError, ProvenClient
from tallystick.identity.registering import use_once
from tallystick.participants import ApiKeyInvalidError, Bearer

__all__ = ["AccessToken", "ScopeNotGrantedError", "find_token_bearer", "issue_access_token"]


class ScopeNotGrantedError(Exception):
    """A scope is unknown or beyond the principal's: `invalid_scope` of RFC 6749."""


class AccessToken(NamedTuple):
    """A token as its bearer gets it, this once. `scopes` None is all that the principal's roles allow."""

    text: str
    expires_at: datetime
    scopes: frozenset[str] | None


def issue_access_token(
    connection: Connection,
    clock: Clock,
    proven: ProvenClient,
    *,
    scopes: frozenset[str] | None,
    lifetime_seconds: int,
) -> AccessToken:
    """Use the assertion up and make a token for it, within `scopes` if there are some.

    Raises AssertionRefusedError when the assertion was used before, ScopeNotGrantedError.
    """
    now = clock.now()
    granted = _granted(proven.principal.scopes, scopes)
    client = proven.client
    if not use_once(connection, client, "jti", proven.jti, proven.jti_kept_until):
        raise AssertionRefusedError
    token_id, secret = new_id("token"), participants.generate_secret()
    expires_at = min(now + timedelta(seconds=lifetime_seconds), client.expires_at)
    store.add_access_token(
        connection,
        issuer_id=client.issuer_id,
        id=token_id,
        client_id=client.id,
        secret_hash=participants.secret_hash(secret),
        scopes=None if granted is None else sorted(granted),
        created_at=now,
        expires_at=expires_at,
    )
    store.prune_nonces(connection, client.issuer_id, now)
    store.prune_access_tokens(connection, client.issuer_id, now)
    return AccessToken(participants.key_text(client.issuer_id, token_id, secret), expires_at, granted)


def find_token_bearer(connection: Connection, clock: Clock, presented: str) -> Bearer:
    """Return who bears this token. Raises AccessEndedError after its principal's term, else ApiKeyInvalidError."""
    parts = participants.parse_key(presented)
    found = None if parts is None else store.read_access_token(connection, parts.issuer_id, parts.key_id)
    if parts is None or found is None or not participants.secret_matches(parts.secret, found.secret_hash):
        raise ApiKeyInvalidError
    now = clock.now()
    if min(found.expires_at, found.client_expires_at) <= now or found.revoked_at is not None:
        raise ApiKeyInvalidError
    principal = participants.principal(connection, parts.issuer_id, found.principal_id)
    if principal.status != "active":
        raise ApiKeyInvalidError
    participants.check_access(principal, now)
    # What the principal was narrowed to since the token was made counts too.
    scopes = None if found.scopes is None else frozenset(found.scopes)
    if scopes is not None and principal.scopes is not None:
        scopes &= principal.scopes
    narrowed = principal if scopes is None else dataclasses.replace(principal, scopes=scopes)
    return Bearer(narrowed, expires_at=found.expires_at)


def _granted(own: frozenset[str] | None, asked: frozenset[str] | None) -> frozenset[str] | None:
    if asked is None:
        return own
    if not asked <= frozenset(participants.Scope) or (own is not None and not asked <= own):
        raise ScopeNotGrantedError
    return asked
