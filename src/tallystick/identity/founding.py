"""Whether a bank has been founded: whether there have been two people, of whom one asks and another approves."""

from datetime import datetime

from sqlalchemy import Connection

from tallystick import participants
from tallystick.core.clock import Clock
from tallystick.core.errors import ConflictError
from tallystick.identity import store
from tallystick.participants import Principal, Role

__all__ = ["FoundedError", "is_founded", "require_founding"]


class FoundedError(ConflictError):
    """The bank has two people who can act: nobody gives power alone any more."""

    code = "another_person_required"
    title = "Another person has to approve this"


def is_founded(connection: Connection, clock: Clock, issuer_id: str) -> bool:
    """Return whether an operator and a treasury checker, two people, each have a way in that has not run out.

    A way in is a key, a client, or a login at the bank's identity provider. It counts until its own time is over, even
    where its principal was suspended or it was revoked: one person may do that alone, and must not open the way for
    giving power alone by it.
    """
    now = clock.now()
    having = store.read_principals_with_clients(connection, issuer_id, now) | {
        one.principal_id
        for one in participants.api_keys(connection, issuer_id)
        if one.expires_at is None or one.expires_at > now
    }
    known = [
        one
        for one in participants.principals(connection, issuer_id)
        if _lasts(one, now) and (one.oidc_subject is not None or one.id in having)
    ]
    asking = {one.person for one in known if Role.OPERATOR in one.roles}
    approving = {one.person for one in known if Role.TREASURY_CHECKER in one.roles}
    return any(first != second for first in asking for second in approving)


def require_founding(connection: Connection, clock: Clock, issuer_id: str) -> None:
    """Raise FoundedError once `is_founded`: power is then given by changes that another person approves."""
    if is_founded(connection, clock, issuer_id):
        raise FoundedError(
            "This bank has an operator and a checker: ask with the operator's API key (--key), and the other approves."
        )


def _lasts(one: Principal, now: datetime) -> bool:
    return one.access_until is None or one.access_until > now
