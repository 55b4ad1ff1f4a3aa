"""Taking up who acts, and changing what they may: refuse what doesn't fit together, then write.

`suspend` takes power away and is one person's to do. Whatever gives power (`reactivate`, `set_…`, `bind_login`) is
meant to be done only once another person has approved; each has a `check_…` that refuses beforehand what would be
refused then. Both lock the principal, so a transaction that only reads can't call them.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection

from tallystick.core.clock import Clock
from tallystick.core.errors import ConflictError, DeniedError, MalformedError, NotFoundError
from tallystick.core.ids import new_id
from tallystick.participants import store
from tallystick.participants.models import principal
from tallystick.participants.parties import Principal, Role, Scope
from tallystick.participants.registration import HolderNotFoundError

__all__ = [
    "AccessEndedError",
    "LoginTakenError",
    "PrincipalMalformedError",
    "PrincipalNotFoundError",
    "PrincipalStatusConflictError",
    "bind_login",
    "check_access",
    "check_acting_for",
    "check_login",
    "check_reactivation",
    "check_roles",
    "check_term",
    "reactivate",
    "register_principal",
    "required_principal",
    "set_call_limit",
    "set_roles",
    "set_scopes",
    "set_signature_threshold",
    "set_term",
    "suspend",
    "suspend_acting_for",
]

_SUBJECT_LENGTH_MAX: Final = 255
_FOR_HOLDERS: Final = frozenset({Role.PLATFORM, Role.HOLDER})


class PrincipalMalformedError(MalformedError):
    """Roles, person, holder, term or scopes don't fit together."""

    code = "principal_malformed"
    title = "The principal's roles, person and holder do not fit together"


class PrincipalNotFoundError(NotFoundError):
    """No such principal of this issuer."""

    code = "principal_not_found"
    title = "No such principal"


class PrincipalStatusConflictError(ConflictError):
    """The principal is suspended already, or isn't."""

    code = "principal_status_conflict"
    title = "The principal's status does not allow this"


class LoginTakenError(ConflictError):
    """Another principal has this login at the identity provider."""

    code = "login_taken"
    title = "The login belongs to another principal"


class AccessEndedError(DeniedError):
    """The principal's term of access is over."""

    code = "access_ended"
    title = "The term of access has ended"


def register_principal(
    connection: Connection,
    clock: Clock,
    issuer_id: str,
    *,
    name: str,
    roles: frozenset[Role],
    person: str | None = None,
    holder_id: str | None = None,
    scopes: frozenset[Scope] | None = None,
    access_until: datetime | None = None,
) -> Principal:
    """Take up somebody who acts; without a key or a login they open nothing yet.

    Treasury and operator roles need a person; platform and holder ones a holder; an auditor a term, and no other role.
    Raises PrincipalMalformedError, HolderNotFoundError.
    """
    now = clock.now()
    _check_shape(roles, person, holder_id, access_until)
    _check_scopes(scopes)
    if access_until is not None and access_until <= now:
        raise PrincipalMalformedError("The term of access lies in the past.")
    if holder_id is not None and store.read_holder(connection, issuer_id, holder_id) is None:
        raise HolderNotFoundError
    registered = Principal(
        issuer_id=issuer_id,
        id=new_id("principal"),
        name=name,
        person=person,
        roles=frozenset(roles),
        holder_id=holder_id,
        status="active",
        created_at=now,
        scopes=None if scopes is None else frozenset(scopes),
        access_until=access_until,
    )
    values: dict[str, Any] = {name: getattr(registered, name) for name in registered.__slots__}
    values |= {"roles": sorted(roles), "scopes": None if scopes is None else sorted(scopes)}
    store.add(connection, principal, **values)
    return registered


def required_principal(
    connection: Connection, issuer_id: str, principal_id: str, *, lock: bool = False
) -> Principal:
    """Return one principal or raise PrincipalNotFoundError."""
    found = store.read_principal(connection, issuer_id, principal_id, lock=lock)
    if found is None:
        raise PrincipalNotFoundError
    return found


def check_access(found: Principal, now: datetime) -> None:
    """Raise AccessEndedError once the principal's term is over."""
    if found.access_until is not None and found.access_until <= now:
        raise AccessEndedError


def suspend(connection: Connection, issuer_id: str, principal_id: str, reason: str) -> Principal:
    """Close every way in for a principal; a running service refuses it within two seconds.

    Raises PrincipalNotFoundError, PrincipalStatusConflictError.
    """
    found = required_principal(connection, issuer_id, principal_id, lock=True)
    if found.status != "active":
        raise PrincipalStatusConflictError("The principal is suspended already.")
    return _changed(connection, found, status="suspended", status_reason=reason)


def check_reactivation(connection: Connection, issuer_id: str, principal_id: str) -> Principal:
    """Return a suspended principal. Raises PrincipalNotFoundError, PrincipalStatusConflictError."""
    found = required_principal(connection, issuer_id, principal_id, lock=True)
    if found.status != "suspended":
        raise PrincipalStatusConflictError("The principal isn't suspended.")
    return found


def reactivate(connection: Connection, issuer_id: str, principal_id: str, reason: str) -> Principal:
    """Let a suspended principal in again, with the keys and clients it has left."""
    found = check_reactivation(connection, issuer_id, principal_id)
    return _changed(connection, found, status="active", status_reason=reason)


def check_acting_for(connection: Connection, issuer_id: str, holder_id: str) -> list[Principal]:
    """Return the active principals that act for a holder.

    Raises HolderNotFoundError; PrincipalStatusConflictError where there are none.
    """
    if not store.read_holders_by_id(connection, issuer_id, [holder_id]):
        raise HolderNotFoundError
    found = [
        one
        for one in store.read_principals(connection, issuer_id, "", None)
        if one.holder_id == holder_id and one.status == "active"
    ]
    if not found:
        raise PrincipalStatusConflictError("Nobody who is active acts for this holder.")
    return found


def suspend_acting_for(connection: Connection, issuer_id: str, holder_id: str, reason: str) -> None:
    """Suspend everybody who acts for a holder: a platform's kill switch. Raises PrincipalStatusConflictError."""
    for one in check_acting_for(connection, issuer_id, holder_id):
        suspend(connection, issuer_id, one.id, reason)


def check_roles(
    connection: Connection, issuer_id: str, principal_id: str, roles: frozenset[Role]
) -> Principal:
    """Return the principal if these roles fit its person, holder and term.

    Raises PrincipalNotFoundError, PrincipalMalformedError.
    """
    found = required_principal(connection, issuer_id, principal_id, lock=True)
    _check_shape(roles, found.person, found.holder_id, found.access_until)
    return found


def set_roles(connection: Connection, issuer_id: str, principal_id: str, roles: frozenset[Role]) -> Principal:
    """Give a principal these roles instead of those it has; raises what `check_roles` does."""
    found = check_roles(connection, issuer_id, principal_id, roles)
    return _changed(connection, found, roles=sorted(roles))


def set_scopes(
    connection: Connection, issuer_id: str, principal_id: str, scopes: frozenset[Scope] | None
) -> Principal:
    """Narrow a principal to these scopes, or with None to what its roles allow.

    Raises PrincipalNotFoundError, PrincipalMalformedError.
    """
    found = required_principal(connection, issuer_id, principal_id, lock=True)
    _check_scopes(scopes)
    return _changed(connection, found, scopes=None if scopes is None else sorted(scopes))


def check_term(
    connection: Connection, clock: Clock, issuer_id: str, principal_id: str, access_until: datetime | None
) -> Principal:
    """Return the principal if this term fits its roles. Raises PrincipalNotFoundError, PrincipalMalformedError."""
    found = required_principal(connection, issuer_id, principal_id, lock=True)
    if access_until is not None and access_until <= clock.now():
        raise PrincipalMalformedError("The term of access lies in the past.")
    _check_shape(found.roles, found.person, found.holder_id, access_until)
    return found


def set_term(
    connection: Connection, clock: Clock, issuer_id: str, principal_id: str, access_until: datetime | None
) -> Principal:
    """End a principal's access at this moment; None, where its roles allow, at none."""
    found = check_term(connection, clock, issuer_id, principal_id, access_until)
    return _changed(connection, found, access_until=access_until)


def check_login(
    connection: Connection, issuer_id: str, principal_id: str, oidc_subject: str | None
) -> Principal:
    """Return the principal if it may have this login at the identity provider.

    Raises PrincipalNotFoundError, PrincipalMalformedError (machines have none), LoginTakenError.
    """
    found = required_principal(connection, issuer_id, principal_id, lock=True)
    if oidc_subject is None:
        return found
    if found.person is None:
        raise PrincipalMalformedError("Only a person signs in at the identity provider.")
    if not 0 < len(oidc_subject) <= _SUBJECT_LENGTH_MAX:
        raise PrincipalMalformedError("A login has 1 to 255 characters.")
    other = store.read_principal_by_login(connection, issuer_id, oidc_subject)
    if other is not None and other.id != found.id:
        raise LoginTakenError
    return found


def bind_login(
    connection: Connection, issuer_id: str, principal_id: str, oidc_subject: str | None
) -> Principal:
    """Let this login at the identity provider act as the principal; None unbinds it."""
    found = check_login(connection, issuer_id, principal_id, oidc_subject)
    return _changed(connection, found, oidc_subject=oidc_subject)


def set_call_limit(
    connection: Connection, issuer_id: str, principal_id: str, calls_per_minute_max: int | None
) -> Principal:
    """Limit a principal's calls: None is the installation's limit, 0 none.

    Raises PrincipalNotFoundError, PrincipalMalformedError.
    """
    found = required_principal(connection, issuer_id, principal_id, lock=True)
    if calls_per_minute_max is not None and calls_per_minute_max < 0:
        raise PrincipalMalformedError("A limit is not negative.")
    return _changed(connection, found, calls_per_minute_max=calls_per_minute_max)


def set_signature_threshold(
    connection: Connection, issuer_id: str, principal_id: str, required_from_minor: int | None
) -> Principal:
    """Ask for signed payments from this amount on, in minor units; None asks for none.

    Raises PrincipalNotFoundError, PrincipalMalformedError.
    """
    found = required_principal(connection, issuer_id, principal_id, lock=True)
    if required_from_minor is not None and required_from_minor < 0:
        raise PrincipalMalformedError("An amount is not negative.")
    return _changed(connection, found, signature_required_from_minor=required_from_minor)


def _check_shape(
    roles: Iterable[str], person: str | None, holder_id: str | None, access_until: datetime | None
) -> None:
    roles = frozenset(roles)
    for_holders = _FOR_HOLDERS & roles
    if not roles or (for_holders and (len(roles) > 1 or holder_id is None)):
        raise PrincipalMalformedError("A platform or holder principal has that one role, and a holder.")
    if not for_holders and (person is None or holder_id is not None):
        raise PrincipalMalformedError("The issuer's own principals name a person, and no holder.")
    if Role.AUDITOR in roles and len(roles) > 1:
        raise PrincipalMalformedError("An auditor has that one role.")
    if Role.AUDITOR in roles and access_until is None:
        raise PrincipalMalformedError("An auditor's access has a term.")


def _check_scopes(scopes: frozenset[Scope] | None) -> None:
    if scopes is not None and (not scopes or not scopes <= frozenset(Scope)):
        raise PrincipalMalformedError(f"The scopes are {', '.join(Scope)}; leave them out for all.")


def _changed(connection: Connection, found: Principal, **values: Any) -> Principal:
    store.update_principal(connection, found.issuer_id, found.id, **values)
    return required_principal(connection, found.issuer_id, found.id)
