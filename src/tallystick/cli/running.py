"""Where a command finds its database: the one that the settings name, or the embedded one in the state directory."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tallystick.core import migrations
from tallystick.core.embedded_postgres import embedded_postgres
from tallystick.core.settings import Settings

__all__ = ["DatabaseAddress", "database_address", "migrated_database"]


@dataclass(frozen=True, slots=True)
class DatabaseAddress:
    """Where the service and the tables' owner log in."""

    service_url: str
    owner_url: str
    embedded: bool


@contextmanager
def database_address(settings: Settings) -> Iterator[DatabaseAddress]:
    """Yield the database's address; an embedded server is started, or joined, and kept for as long."""
    if settings.database_url is not None:
        owner_url = settings.database_owner_url or settings.database_url
        yield DatabaseAddress(settings.database_url, owner_url, embedded=False)
        return
    with embedded_postgres(settings.state_directory) as server:
        yield DatabaseAddress(server.service_url, server.owner_url, embedded=True)


@contextmanager
def migrated_database(settings: Settings, *, migrate: bool) -> Iterator[DatabaseAddress]:
    """Yield the address of a database at this release's schema.

    The embedded one is always brought up to date; another only with `migrate`, for that is its owner's decision.
    """
    with database_address(settings) as address:
        if address.embedded or migrate:
            migrations.upgrade(address.owner_url)
        yield address
