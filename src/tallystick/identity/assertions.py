"""Client assertions: `private_key_jwt` of RFC 7523, section 3, for the client credentials grant of RFC 6749.

Narrower than the standard: issuer and subject are the client, the audience is one string, the lifetime at most five
minutes, `jti` is required and used once, and the header holds `alg`, `typ` and perhaps the key's own thumbprint.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection

from tallystick import participants
from tallystick.core.clock import Clock
from tallystick.core.errors import DomainError
from tallystick.identity import store
from tallystick.identity.clients import Client, ClientUse, client_text, parse_client_text
from tallystick.identity.jwt import LEEWAY, Jwt, JwtRefusedError, check_times, read_jwt, verify_jwt
from tallystick.identity.public_keys import loaded
from tallystick.identity.registering import public_members
from tallystick.participants import Principal

__all__ = ["ASSERTION_LIFETIME_MAX", "AssertionRefusedError", "ProvenClient", "prove_client"]

ASSERTION_LIFETIME_MAX: Final = timedelta(minutes=5)
_SIZE_MAX_BYTES: Final = 8_192
_JTI_LENGTH_MAX: Final = 256
_TYPES: Final = frozenset({"jwt", "client-authentication+jwt"})


class AssertionRefusedError(Exception):
    """The assertion proves no client: `invalid_client` of RFC 6749, and no word about why."""


@dataclass(frozen=True, slots=True)
class ProvenClient:
    """A client that proved itself with an assertion, whose `jti` is yet to be used up."""

    client: Client
    principal: Principal
    jti: str
    jti_kept_until: datetime


def prove_client(
    connection: Connection, clock: Clock, assertion: str, *, audience: str, client_id: str | None = None
) -> ProvenClient:
    """Return who signed the assertion. `client_id` is what the request says beside it, and must agree.

    Raises AssertionRefusedError. Nothing is written: `issue_access_token` uses the `jti` up.
    """
    try:
        token = read_jwt(assertion, size_max_bytes=_SIZE_MAX_BYTES)
        return _proven(connection, clock.now(), token, audience, client_id)
    except (JwtRefusedError, DomainError) as error:
        raise AssertionRefusedError from error


def _proven(
    connection: Connection, now: datetime, token: Jwt, audience: str, client_id: str | None
) -> ProvenClient:
    client = _client_of(connection, token, client_id)
    if not client.is_live(now) or client.use != ClientUse.TOKEN:
        raise JwtRefusedError("the client is revoked, expired, or for another use")
    if token.key_id not in {None, client.thumbprint} or (token.type or "jwt").lower() not in _TYPES:
        raise JwtRefusedError("the header names another key or type")
    verify_jwt(token, loaded(public_members(client)), client.algorithm)
    if token.word("aud") != audience:
        raise JwtRefusedError("made for somebody else")
    expires_at = check_times(token.claims, now, ASSERTION_LIFETIME_MAX)
    jti = token.word("jti")
    if not jti or len(jti) > _JTI_LENGTH_MAX:
        raise JwtRefusedError("no jti")
    principal = participants.principal(connection, client.issuer_id, client.principal_id)
    if principal.status != "active":
        raise JwtRefusedError("the principal is suspended")
    participants.check_access(principal, now)
    return ProvenClient(client, principal, jti, expires_at + LEEWAY)


def _client_of(connection: Connection, token: Jwt, client_id: str | None) -> Client:
    claimed = token.word("sub")
    if claimed is None or token.word("iss") != claimed or client_id not in {None, claimed}:
        raise JwtRefusedError("issuer, subject and client are not one")
    name = parse_client_text(claimed)
    found = None if name is None else store.read_client(connection, name.issuer_id, name.client_id)
    if found is None or client_text(found.issuer_id, found.id) != claimed:
        raise JwtRefusedError("no such client")
    return found
