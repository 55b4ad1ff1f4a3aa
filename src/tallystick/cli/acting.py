"""Who acts through a command, and with what: the bearer of an API key with the roles that the API's route asks for,
on the same wiring that serves the route, so that there is no second path.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from tallystick import participants
from tallystick.api import Service
from tallystick.api.access import RoleNotAllowedError
from tallystick.cli.report import CommandRefusedError, ExitCode
from tallystick.cli.running import opened_address
from tallystick.core.clock import SystemClock, parse_time
from tallystick.core.database import Database
from tallystick.core.settings import Settings
from tallystick.participants import Principal, Role

__all__ = ["authorized", "moment", "opened_service"]


@contextmanager
def opened_service(settings: Settings) -> Iterator[Service]:
    """Yield what an API process works with, on the database of an installation that exists."""
    with opened_address(settings) as address:
        service = Service(settings, address.service_url)
        try:
            yield service
        finally:
            service.close()


def authorized(database: Database, presented_key: str, roles: frozenset[Role]) -> Principal:
    """Return the principal that bears the key and has one of `roles`, as the API would.

    Raises ApiKeyInvalidError, RoleNotAllowedError.
    """
    with database.read() as connection:
        principal = participants.authenticate(connection, SystemClock(), presented_key)
    if principal.roles.isdisjoint(roles):
        raise RoleNotAllowedError
    return principal


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
