"""Bearer tokens of the bank's identity provider (OpenID Connect Core 1.0), mapped to registered people.

The provider says who somebody is; what they may is registered here, and the provider's groups can only narrow it.
An unknown login, or one of a suspended person, is answered like any other bad key.
"""

import dataclasses
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from sqlalchemy import Connection

from tallystick import participants
from tallystick.core.clock import Clock
from tallystick.core.strict_json import JsonValue
from tallystick.identity.jwt import JwtRefusedError, check_times, read_jwt, verify_jwt
from tallystick.identity.key_sets import KeySet
from tallystick.participants import ApiKeyInvalidError, Bearer, Role

__all__ = ["StaffClaims", "StaffRules", "StaffTokens", "find_staff_bearer", "looks_like_jwt"]

STAFF_TOKEN_LIFETIME_MAX: Final = timedelta(hours=12)
_SIZE_MAX_BYTES: Final = 16_384
_SUBJECT_LENGTH_MAX: Final = 255
_GROUPS_MAX: Final = 1_000
_TYPES: Final = frozenset({"jwt", "at+jwt", "application/at+jwt"})


class StaffRules(NamedTuple):
    """What makes a token of the provider one for us, and how to read it.

    `person_claim` is `sub` or `email`. `roles` maps the provider's groups to roles; None leaves roles to us alone.
    """

    issuer: str
    audience: str
    algorithms: frozenset[str]
    person_claim: str
    groups_claim: str
    roles: Mapping[str, Role] | None


class StaffClaims(NamedTuple):
    """What a verified token says: a login, the roles that its groups stand for (None: not asked), and its end."""

    subject: str
    roles: frozenset[Role] | None
    expires_at: datetime


class StaffTokens:
    """Verifies tokens of one identity provider."""

    def __init__(self, rules: StaffRules, keys: KeySet) -> None:
        self._rules = rules
        self._keys = keys

    def verified(self, clock: Clock, presented: str) -> StaffClaims:
        """Return what a token says; it may ask the provider for its keys, so no transaction may be open.

        Raises ApiKeyInvalidError, IdentityProviderUnavailableError.
        """
        try:
            return self._verified(clock.now(), presented)
        except JwtRefusedError as error:
            raise ApiKeyInvalidError from error

    def _verified(self, now: datetime, presented: str) -> StaffClaims:
        rules = self._rules
        token = read_jwt(presented, size_max_bytes=_SIZE_MAX_BYTES)
        if token.algorithm not in rules.algorithms or not token.key_id:
            raise JwtRefusedError("an algorithm that isn't taken, or no key id")
        if (token.type or "JWT").lower() not in _TYPES:
            raise JwtRefusedError("a token of another type")
        # Before the provider may be asked for keys: whoever can't get this far costs it nothing.
        if token.word("iss") != rules.issuer or not _is_for(token.claims.get("aud"), rules.audience):
            raise JwtRefusedError("another issuer or audience")
        expires_at = check_times(token.claims, now, STAFF_TOKEN_LIFETIME_MAX)
        key = self._keys.key(token.key_id, token.algorithm)
        if key is None:
            raise JwtRefusedError("no such key")
        verify_jwt(token, key, token.algorithm)
        subject = token.word(rules.person_claim)
        if not subject or len(subject) > _SUBJECT_LENGTH_MAX:
            raise JwtRefusedError("nobody is named")
        if rules.person_claim == "email" and token.claims.get("email_verified") is not True:
            raise JwtRefusedError("an address that anybody may have typed")
        return StaffClaims(subject, self._roles(token.claims.get(rules.groups_claim)), expires_at)

    def _roles(self, groups: JsonValue) -> frozenset[Role] | None:
        mapping = self._rules.roles
        if mapping is None:
            return None
        named = groups[:_GROUPS_MAX] if isinstance(groups, list) else [groups]
        return frozenset(mapping[one] for one in named if isinstance(one, str) and one in mapping)


def looks_like_jwt(presented: str) -> bool:
    """Tell whether what was presented can only be a token of the identity provider."""
    return presented.startswith("ey") and presented.count(".") == 2


def find_staff_bearer(
    connection: Connection, clock: Clock, issuer_id: str | None, claims: StaffClaims
) -> Bearer:
    """Return the person of this login at the issuer; `issuer_id` None is the only one there is.

    Raises AccessEndedError after the person's term, ApiKeyInvalidError where there is nobody.
    """
    known = [issuer_id] if issuer_id is not None else participants.issuer_ids(connection)
    found = participants.principal_by_login(connection, known[0], claims.subject) if len(known) == 1 else None
    if found is None or found.status != "active" or found.person is None:
        raise ApiKeyInvalidError
    participants.check_access(found, clock.now())
    if claims.roles is not None:
        found = dataclasses.replace(found, roles=found.roles & claims.roles)
    return Bearer(found, expires_at=claims.expires_at)


def _is_for(audience: JsonValue, expected: str) -> bool:
    # A token for several parties could be shown to us by any of the others.
    return audience in (expected, [expected])
