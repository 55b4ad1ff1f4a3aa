"""Who acts through a command, and with what: the bearer of an API key with the roles that the API's route asks for,
on the same wiring that serves the route, so that there is no second path.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final

from tallystick import audit, participants
from tallystick.api.access import RoleNotAllowedError
from tallystick.api.service import Service
from tallystick.audit import Decision, Draft
from tallystick.cli.report import CommandRefusedError, ExitCode
from tallystick.cli.running import opened_address
from tallystick.core.clock import SystemClock, parse_time
from tallystick.core.database import Database
from tallystick.core.errors import DomainError
from tallystick.core.settings import Settings
from tallystick.participants import Principal, Role

__all__ = ["authorized", "drafted", "moment", "opened_service", "put_on_record"]

_COMMAND: Final = "command"


@contextmanager
def opened_service(settings: Settings) -> Iterator[Service]:
    """Yield what an API process works with, on the database of an installation that exists."""
    with opened_address(settings) as address:
        service = Service(settings, address.service_url)
        try:
            yield service
        finally:
            service.close()


def authorized(
    database: Database, presented_key: str, roles: frozenset[Role], *, operation: str
) -> Principal:
    """Return the principal that bears the key and has one of `roles`, as the API would.

    Raises ApiKeyInvalidError, and RoleNotAllowedError, which is put on record.
    """
    with database.read() as connection:
        principal = participants.authenticate(connection, SystemClock(), presented_key)
    if principal.roles.isdisjoint(roles):
        refusal = RoleNotAllowedError()
        put_on_record(database, principal, drafted(principal, presented_key, operation, refusal=refusal))
        raise refusal
    return principal


def drafted(
    principal: Principal,
    presented_key: str,
    operation: str,
    *,
    refusal: DomainError | None = None,
    subject_id: str | None = None,
    decision: Decision = Decision.SETTLED,
) -> Draft:
    """Return the entry of what a principal did, or was refused, through a command."""
    named = participants.named_key(presented_key)
    return Draft(
        operation=operation,
        decision=decision if refusal is None else Decision.REFUSED,
        method=_COMMAND,
        status=HTTPStatus.OK.value if refusal is None else refusal.status,
        principal_id=principal.id,
        person=principal.person,
        key_id=None if named is None else named[1],
        subject_id=subject_id,
        code=None if refusal is None else refusal.code,
    )


def put_on_record(database: Database, principal: Principal, draft: Draft) -> None:
    """Write an entry in a transaction of its own."""
    database.run(lambda connection: audit.append(connection, SystemClock(), principal.issuer_id, [draft]))


def moment(option: str, text: str | None) -> datetime | None:
    """Read an option's moment, RFC 3339 with an offset; a day alone is its beginning in UTC."""
    if text is None:
        return None
    try:
        if len(text) == len("2026-11-20"):
            return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
        return parse_time(text)
    except ValueError:
        raise CommandRefusedError(
            "time_malformed",
            f"{option} is a moment with its offset, such as 2026-11-20T09:30:00Z, or a day.",
            ExitCode.USAGE,
        ) from None
