"""What a command works on: the settings, the database they name or the embedded one, and who acts."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pydantic import ValidationError
from sqlalchemy import Connection

from tallystick import participants
from tallystick.cli.report import CommandRefusedError, ExitCode
from tallystick.core import migrations
from tallystick.core.database import Database
from tallystick.core.embedded_postgres import embedded_postgres
from tallystick.core.interpreter import collect_as_usual
from tallystick.core.settings import Settings

__all__ = [
    "DatabaseAddress",
    "chosen_issuer",
    "database_address",
    "load_settings",
    "migrated_database",
    "opened_address",
    "opened_database",
    "require_api_key",
]

_POOL_SIZE = 2


@dataclass(frozen=True, slots=True)
class DatabaseAddress:
    """Where the service and the tables' owner log in."""

    service_url: str
    owner_url: str
    embedded: bool


def load_settings(**overrides: str | int | None) -> Settings:
    """Read the settings from the environment; `overrides` come before it, unless None.

    Raises CommandRefusedError `settings_invalid` that names each variable, without its value.
    """
    environment = dict(os.environ)
    for name, value in overrides.items():
        if value is not None:
            environment[f"TALLYSTICK_{name.upper()}"] = str(value)
    try:
        return Settings.from_environment(environment)
    except ValidationError as error:
        findings = [
            f"TALLYSTICK_{'_'.join(str(part) for part in found['loc']).upper()}: {found['msg']}"
            for found in error.errors(include_input=False, include_url=False)
        ]
    raise CommandRefusedError("settings_invalid", "; ".join(findings) + ".", ExitCode.MISCONFIGURED)


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
    """Yield the address of a database at this release's schema; raises SchemaMismatchError where it isn't.

    The embedded one is always brought up to date; another only with `migrate`, for that is its owner's decision.
    """
    with database_address(settings) as address:
        if address.embedded or migrate:
            migrations.upgrade(address.owner_url)
        database = Database(address.service_url, pool_size=_POOL_SIZE)
        try:
            with database.read() as connection:
                migrations.require_head(connection)
        finally:
            database.close()
        yield address


@contextmanager
def opened_address(settings: Settings) -> Iterator[DatabaseAddress]:
    """Yield the address of the database of an installation that exists, at this release's schema.

    A command that only looks must not make a database where there was none: CommandRefusedError `state_absent`.
    """
    if settings.database_url is None and not (settings.state_directory / "postgres").is_dir():
        raise CommandRefusedError(
            "state_absent",
            f"There is no database in {settings.state_directory.absolute()}: set TALLYSTICK_STATE_DIRECTORY or "
            "TALLYSTICK_DATABASE_URL, or make one with `tallystick migrate`.",
            ExitCode.MISCONFIGURED,
        )
    # All that the command needs is loaded by now, and what it does may take as long and as many rows as it likes.
    collect_as_usual()
    with migrated_database(settings, migrate=False) as address:
        yield address


@contextmanager
def opened_database(settings: Settings) -> Iterator[Database]:
    """Yield the database at `opened_address`."""
    with opened_address(settings) as address:
        database = Database(
            address.service_url, pool_size=_POOL_SIZE, application_name="tallystick command line"
        )
        try:
            yield database
        finally:
            database.close()


def chosen_issuer(connection: Connection, issuer_id: str | None) -> str:
    """Return the issuer that was asked for, or the only one."""
    known = participants.issuer_ids(connection)
    if issuer_id is not None and issuer_id in known:
        return issuer_id
    if issuer_id is not None:
        raise participants.IssuerNotFoundError
    if len(known) == 1:
        return known[0]
    if not known:
        raise CommandRefusedError(
            "issuer_absent", "There is no issuer yet: `tallystick issuers open` takes one up."
        )
    raise CommandRefusedError("issuer_ambiguous", f"There are {len(known)} issuers: choose with --issuer.")


def require_api_key(presented: str | None) -> str:
    """Return the key of who acts, or refuse: whoever works at the machine is no participant by that alone."""
    if not presented:
        raise CommandRefusedError(
            "api_key_missing",
            "Who acts? Put an API key into TALLYSTICK_API_KEY, or give --key.",
            ExitCode.USAGE,
        )
    return presented
