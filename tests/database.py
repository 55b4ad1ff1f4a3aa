"""Databases for tests: one server for the whole run, migrated once, cloned for each test.

Cloning copies what is inside a database; rights and settings *of* a database (GRANT … ON DATABASE, ALTER DATABASE …
SET) stay behind, so no revision may rely on them.
"""

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

import psycopg
import sqlalchemy
from psycopg import sql

from tallystick.core import migrations
from tallystick.core.embedded_postgres import EmbeddedPostgres

# Tests of durability start a server of their own, with the settings of the product.
FAST_SETTINGS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "autovacuum": "off",
        "fsync": "off",
        "full_page_writes": "off",
        "max_connections": "400",
        "max_wal_size": "256MB",
        "synchronous_commit": "off",
    }
)
_OWNER: Final = "tallystick_owner"


@dataclass(frozen=True, slots=True)
class DatabaseUrls:
    """SQLAlchemy URLs of one database, by who logs in."""

    name: str
    owner_url: str = field(repr=False)
    service_url: str = field(repr=False)
    superuser_url: str = field(repr=False)


def urls_of(server: EmbeddedPostgres, database: str) -> DatabaseUrls:
    """Return the URLs of `database` on `server`."""

    def to(url: str) -> str:
        return sqlalchemy.make_url(url).set(database=database).render_as_string(hide_password=False)

    return DatabaseUrls(
        name=database,
        owner_url=to(server.owner_url),
        service_url=to(server.service_url),
        superuser_url=to(server.superuser_url),
    )


def connect(url: str) -> psycopg.Connection[tuple[object, ...]]:
    """Connect to a SQLAlchemy URL with psycopg itself, in autocommit mode."""
    plain = sqlalchemy.make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg.connect(plain, autocommit=True)


def make_template(server: EmbeddedPostgres) -> str:
    """Return the name of a migrated database to clone; the first test process makes it, the others wait."""
    template = "migrated"
    with connect(urls_of(server, "postgres").superuser_url) as connection:
        connection.execute("SELECT pg_advisory_lock(1)")
        if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [template]).fetchone():
            return template
        connection.execute("DROP DATABASE IF EXISTS unmigrated")
        connection.execute(sql.SQL("CREATE DATABASE unmigrated OWNER {}").format(sql.Identifier(_OWNER)))
        migrations.upgrade(urls_of(server, "unmigrated").owner_url)
        connection.execute("ALTER DATABASE unmigrated ALLOW_CONNECTIONS false")
        connection.execute("ALTER DATABASE unmigrated RENAME TO migrated")
    return template


@contextmanager
def cloned_database(server: EmbeddedPostgres, template: str) -> Iterator[DatabaseUrls]:
    """Yield a database of one's own like `template`; connections that are left open at the end are cut."""
    name = f"test_{secrets.token_hex(8)}"
    with connect(urls_of(server, "postgres").superuser_url) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {} STRATEGY file_copy").format(
                sql.Identifier(name), sql.Identifier(template), sql.Identifier(_OWNER)
            )
        )
        try:
            yield urls_of(server, name)
        finally:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
