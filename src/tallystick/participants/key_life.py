"""The life of bearer keys: issued, replaced with an overlap, revoked, used.

A key's secret is made either here, and shown once (`issue_api_key`, for whoever runs the machine), or by its bearer,
who tells only its SHA-256 (`register_api_key`). The second way is the one for requests that wait for another person,
and whose answers are kept: no secret travels, and none is stored.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection

from tallystick.core.clock import Clock
from tallystick.core.errors import ConflictError, DomainError, MalformedError, NotFoundError
from tallystick.core.ids import new_id
from tallystick.participants import store
from tallystick.participants.api_keys import (
    generate_secret,
    key_text,
    parse_key,
    secret_hash,
    secret_matches,
)
from tallystick.participants.models import api_key
from tallystick.participants.networks import checked_networks, parsed_networks
from tallystick.participants.parties import ApiKey, Bearer
from tallystick.participants.principals import check_access, required_principal

__all__ = [
    "OVERLAP_HOURS_MAX",
    "ApiKeyInvalidError",
    "ApiKeyLifetimeRefusedError",
    "ApiKeyNotFoundError",
    "ApiKeyNotLiveError",
    "bearer",
    "check_api_key",
    "check_lifetime",
    "check_rotation",
    "issue_api_key",
    "record_uses",
    "register_api_key",
    "revoke_api_key",
    "rotate_api_key",
]

OVERLAP_HOURS_MAX: Final = 720


class ApiKeyInvalidError(DomainError):
    """A key or token that is unknown, expired, revoked, malformed, or used from elsewhere: all alike to its bearer."""

    code = "api_key_invalid"
    status = 401
    title = "The API key or token is not valid"


class ApiKeyNotFoundError(NotFoundError):
    """The principal has no such key."""

    code = "api_key_not_found"
    title = "No such API key"


class ApiKeyNotLiveError(ConflictError):
    """The key was revoked, or has expired."""

    code = "api_key_not_live"
    title = "The API key is no longer valid"


class ApiKeyLifetimeRefusedError(MalformedError):
    """Every key expires, and not later than the installation's longest lifetime."""

    code = "api_key_lifetime_refused"
    title = "The lifetime of the API key is refused"


def bearer(connection: Connection, clock: Clock, presented: str) -> Bearer:
    """Return the active principal that bears this key, and from where it may.

    Raises AccessEndedError after its term, ApiKeyInvalidError for everything else.
    """
    parts = parse_key(presented)
    # An access token's id is no key's, so it is found nowhere here.
    found = None if parts is None else store.read_bearer(connection, parts.issuer_id, parts.key_id)
    if parts is None or found is None:
        raise ApiKeyInvalidError
    key, stored_hash, principal = found
    if not secret_matches(parts.secret, stored_hash) or principal.status != "active":
        raise ApiKeyInvalidError
    now = clock.now()
    if not _is_live(key, now):
        raise ApiKeyInvalidError
    check_access(principal, now)
    return Bearer(principal, parsed_networks(key.ip_allow_list), key.expires_at, key.id)


def issue_api_key(
    connection: Connection,
    clock: Clock,
    issuer_id: str,
    principal_id: str,
    *,
    lifetime_days: int | None = None,
    ip_allow_list: Sequence[str] = (),
) -> tuple[ApiKey, str]:
    """Make a bearer key and return it with its text, which is never to be had again.

    Without a lifetime it doesn't expire: that is for the sandbox. Raises IpAllowListMalformedError.
    """
    secret = generate_secret()
    networks = checked_networks(ip_allow_list)
    key = _add(
        connection,
        _new_key(clock, issuer_id, principal_id, lifetime_days, networks),
        secret_hash(secret),
    )
    return key, key_text(issuer_id, key.id, secret)


def check_api_key(
    connection: Connection,
    issuer_id: str,
    principal_id: str,
    *,
    secret_sha256: bytes,
    lifetime_days: int,
    lifetime_days_max: int,
    ip_allow_list: Sequence[str] = (),
) -> None:
    """Refuse a key that can't be registered.

    Raises PrincipalNotFoundError, ApiKeyLifetimeRefusedError, IpAllowListMalformedError, MalformedError.
    """
    required_principal(connection, issuer_id, principal_id)
    _check_secret_hash(secret_sha256)
    check_lifetime(lifetime_days, lifetime_days_max)
    checked_networks(ip_allow_list)


def register_api_key(
    connection: Connection,
    clock: Clock,
    issuer_id: str,
    principal_id: str,
    *,
    secret_sha256: bytes,
    lifetime_days: int,
    lifetime_days_max: int,
    ip_allow_list: Sequence[str] = (),
) -> ApiKey:
    """Take up a key whose secret its bearer made; `key_prefix` and that secret are its text.

    The secret is 43 characters of base64url, 32 random bytes; raises what `check_api_key` does.
    """
    check_api_key(
        connection,
        issuer_id,
        principal_id,
        secret_sha256=secret_sha256,
        lifetime_days=lifetime_days,
        lifetime_days_max=lifetime_days_max,
        ip_allow_list=ip_allow_list,
    )
    networks = checked_networks(ip_allow_list)
    return _add(connection, _new_key(clock, issuer_id, principal_id, lifetime_days, networks), secret_sha256)


def check_rotation(
    connection: Connection, clock: Clock, issuer_id: str, principal_id: str, key_id: str
) -> ApiKey:
    """Return the principal's live key. Raises ApiKeyNotFoundError, ApiKeyNotLiveError."""
    found = store.read_api_key(connection, issuer_id, key_id, lock=True)
    if found is None or found.principal_id != principal_id:
        raise ApiKeyNotFoundError
    if not _is_live(found, clock.now()):
        raise ApiKeyNotLiveError
    return found


def rotate_api_key(
    connection: Connection,
    clock: Clock,
    issuer_id: str,
    principal_id: str,
    key_id: str,
    *,
    overlap_hours: int,
    lifetime_days: int,
    lifetime_days_max: int,
    secret_sha256: bytes | None = None,
) -> tuple[ApiKey, str | None]:
    """Let a new key, of the same networks, take an old one's place; the old one expires after the overlap.

    The new key's text is returned where its secret was made here. Raises ApiKeyNotFoundError, ApiKeyNotLiveError,
    ApiKeyLifetimeRefusedError, MalformedError.
    """
    replaced = check_rotation(connection, clock, issuer_id, principal_id, key_id)
    check_lifetime(lifetime_days, lifetime_days_max)
    if not 0 <= overlap_hours <= OVERLAP_HOURS_MAX:
        raise MalformedError(f"The overlap lies between 0 and {OVERLAP_HOURS_MAX} hours.")
    if secret_sha256 is not None:
        _check_secret_hash(secret_sha256)
    secret = generate_secret() if secret_sha256 is None else None
    stored = secret_sha256 if secret is None else secret_hash(secret)
    assert stored is not None
    key = _add(
        connection,
        _new_key(clock, issuer_id, principal_id, lifetime_days, replaced.ip_allow_list),
        stored,
    )
    ends_at = clock.now() + timedelta(hours=overlap_hours)
    if replaced.expires_at is None or replaced.expires_at > ends_at:
        store.update_api_key(connection, issuer_id, key_id, expires_at=ends_at)
    return key, None if secret is None else key_text(issuer_id, key.id, secret)


def revoke_api_key(connection: Connection, clock: Clock, issuer_id: str, key_id: str) -> bool:
    """Revoke a key for ever; False if there is none or it was revoked before."""
    return store.revoke_api_key(connection, issuer_id, key_id, clock.now())


def record_uses(connection: Connection, issuer_id: str, uses: Mapping[str, datetime]) -> None:
    """Note when keys, by id, were used last; an earlier use never replaces a later one."""
    store.update_last_used(connection, issuer_id, uses)


def check_lifetime(lifetime_days: int, lifetime_days_max: int) -> None:
    """Raise ApiKeyLifetimeRefusedError unless a key may live that long."""
    if not 1 <= lifetime_days <= lifetime_days_max:
        raise ApiKeyLifetimeRefusedError(f"A key lives for 1 to {lifetime_days_max} days here.")


def _check_secret_hash(secret_sha256: bytes) -> None:
    if len(secret_sha256) != len(secret_hash("")):
        raise MalformedError("A SHA-256 has 32 bytes.")


def _is_live(key: ApiKey, now: datetime) -> bool:
    return key.revoked_at is None and (key.expires_at is None or key.expires_at > now)


def _new_key(
    clock: Clock, issuer_id: str, principal_id: str, lifetime_days: int | None, networks: tuple[str, ...]
) -> ApiKey:
    created_at = clock.now()
    return ApiKey(
        issuer_id=issuer_id,
        id=new_id("key"),
        principal_id=principal_id,
        created_at=created_at,
        expires_at=None if lifetime_days is None else created_at + timedelta(days=lifetime_days),
        revoked_at=None,
        ip_allow_list=networks,
    )


def _add(connection: Connection, key: ApiKey, stored_hash: bytes) -> ApiKey:
    values: dict[str, Any] = {name: getattr(key, name) for name in key.__slots__}
    values |= {"ip_allow_list": list(key.ip_allow_list) or None, "secret_hash": stored_hash}
    store.add(connection, api_key, **values)
    return key
