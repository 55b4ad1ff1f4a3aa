"""Changes that give power to act: keys, clients, logins, roles, scopes, terms, limits and a way back in.

Each takes another person; to take power away is one person's to do and needs no change. Two exceptions stand here
because they are signed: a platform's kill switch, which suspends all who act for it at once.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from sqlalchemy import Connection

from tallystick import identity, participants
from tallystick.core.clock import parse_time
from tallystick.identity import ClientUse
from tallystick.participants import Role, Scope
from tallystick.tokens.changing import Applied, Change, Wanted

__all__ = ["CHANGES_OF_PRINCIPALS"]

# Nobody's key lives longer, whatever an installation allows.
_LIFETIME_DAYS_MAX: Final = 3_650


def _key(payload: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "secret_sha256": bytes.fromhex(payload["secret_sha256"]),
        "lifetime_days": payload["lifetime_days"],
        "lifetime_days_max": _LIFETIME_DAYS_MAX,
        "ip_allow_list": payload["ip_allow_list"],
    }


def _client(payload: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "use": ClientUse(payload["use"]),
        "jwk": payload["jwk"],
        "algorithm": payload["algorithm"],
        "lifetime_days": payload["lifetime_days"],
        "lifetime_days_max": _LIFETIME_DAYS_MAX,
    }


def _check_key(connection: Connection, wanted: Wanted) -> int:
    participants.check_api_key(connection, wanted.issuer_id, wanted.subject_id, **_key(wanted.payload))
    return 1


def _register_key(connection: Connection, applied: Applied) -> None:
    participants.register_api_key(
        connection, applied.clock, applied.issuer_id, applied.subject_id, **_key(applied.payload)
    )


def _check_rotation(connection: Connection, wanted: Wanted) -> int:
    participants.check_rotation(
        connection, wanted.clock, wanted.issuer_id, wanted.subject_id, wanted.payload["key_id"]
    )
    participants.check_api_key(connection, wanted.issuer_id, wanted.subject_id, **_key(wanted.payload))
    return 1


def _rotate_key(connection: Connection, applied: Applied) -> None:
    payload = applied.payload
    participants.rotate_api_key(
        connection,
        applied.clock,
        applied.issuer_id,
        applied.subject_id,
        payload["key_id"],
        overlap_hours=payload["overlap_hours"],
        lifetime_days=payload["lifetime_days"],
        lifetime_days_max=_LIFETIME_DAYS_MAX,
        secret_sha256=bytes.fromhex(payload["secret_sha256"]),
    )


def _check_client(connection: Connection, wanted: Wanted) -> int:
    identity.check_client(connection, wanted.issuer_id, wanted.subject_id, **_client(wanted.payload))
    return 1


def _register_client(connection: Connection, applied: Applied) -> None:
    identity.register_client(
        connection, applied.clock, applied.issuer_id, applied.subject_id, **_client(applied.payload)
    )


def _check_reactivation(connection: Connection, wanted: Wanted) -> int:
    participants.check_reactivation(connection, wanted.issuer_id, wanted.subject_id)
    return 1


def _reactivate(connection: Connection, applied: Applied) -> None:
    participants.reactivate(connection, applied.issuer_id, applied.subject_id, applied.payload["reason"])


def _check_terms(connection: Connection, wanted: Wanted) -> int:
    """Check what is asked of a principal's terms: members that are left out stay as they are."""
    issuer_id, subject_id, payload = wanted.issuer_id, wanted.subject_id, wanted.payload
    participants.principal(connection, issuer_id, subject_id)
    if "roles" in payload:
        participants.check_roles(connection, issuer_id, subject_id, _roles(payload))
    if "access_until" in payload:
        participants.check_term(connection, wanted.clock, issuer_id, subject_id, _until(payload))
    if "oidc_subject" in payload:
        participants.check_login(connection, issuer_id, subject_id, payload["oidc_subject"])
    return 1


def _set_terms(connection: Connection, applied: Applied) -> None:
    issuer_id, subject_id, payload = applied.issuer_id, applied.subject_id, applied.payload
    if "access_until" in payload:
        participants.set_term(connection, applied.clock, issuer_id, subject_id, _until(payload))
    if "roles" in payload:
        participants.set_roles(connection, issuer_id, subject_id, _roles(payload))
    if "scopes" in payload:
        scopes = payload["scopes"]
        narrowed = None if scopes is None else frozenset(Scope(one) for one in scopes)
        participants.set_scopes(connection, issuer_id, subject_id, narrowed)
    setters: tuple[tuple[str, Callable[[Connection, str, str, Any], object]], ...] = (
        ("oidc_subject", participants.bind_login),
        ("calls_per_minute_max", participants.set_call_limit),
        ("signature_required_from_minor", participants.set_signature_threshold),
    )
    for name, set_term in setters:
        if name in payload:
            set_term(connection, issuer_id, subject_id, payload[name])


def _roles(payload: Mapping[str, Any]) -> frozenset[Role]:
    return frozenset(Role(one) for one in payload["roles"])


def _until(payload: Mapping[str, Any]) -> Any:
    until = payload["access_until"]
    return None if until is None else parse_time(until)


def _check_kill_switch(connection: Connection, wanted: Wanted) -> int:
    participants.check_acting_for(connection, wanted.issuer_id, wanted.subject_id)
    return 0


def _kill_switch(connection: Connection, applied: Applied) -> None:
    participants.suspend_acting_for(
        connection, applied.issuer_id, applied.subject_id, applied.payload["reason"]
    )


CHANGES_OF_PRINCIPALS: Final[dict[str, Change]] = {
    "api_key_registration": Change("api_key.registered", _check_key, _register_key),
    "api_key_rotation": Change("api_key.rotated", _check_rotation, _rotate_key),
    "client_registration": Change("client.registered", _check_client, _register_client),
    "principal_reactivation": Change("principal.reactivated", _check_reactivation, _reactivate),
    "principal_terms": Change("principal.terms_changed", _check_terms, _set_terms),
    "holder_suspension": Change("holder.suspended", _check_kill_switch, _kill_switch),
}
