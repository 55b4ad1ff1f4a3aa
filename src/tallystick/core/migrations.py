"""The database's schema and its version: brought up to date by the owner, checked by the service at every start.

Revisions are Alembic's. They lie in `migrations` in the repository and in `tallystick/_migrations` in a wheel.
"""

from functools import cache
from pathlib import Path
from typing import Final

import sqlalchemy
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

__all__ = [
    "SchemaMismatchError",
    "alembic_configuration",
    "current_revision",
    "head_revision",
    "migrations_directory",
    "require_head",
    "upgrade",
]

# Any number does that nothing else in this database takes a lock of.
_ADVISORY_LOCK_KEY: Final = 0x7461_6C6C_7973
_LOCK_SECONDS_MAX: Final = 60


class SchemaMismatchError(RuntimeError):
    """The database's schema is not the one that this release works with."""


def upgrade(owner_url: str) -> None:
    """Bring the database at `owner_url` (a SQLAlchemy URL of the tables' owner) to this release's schema.

    All revisions run in one transaction, so that a failure leaves the schema as it was; a second process that
    upgrades at the same time waits and then finds nothing to do.
    Raises SchemaMismatchError where the database has a revision that this release does not know: a newer release
    has been here, and an older one must not touch its tables.
    """
    url = sqlalchemy.make_url(owner_url)
    if url.drivername in {"postgresql", "postgres"}:
        url = url.set(drivername="postgresql+psycopg")
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
    try:
        with engine.begin() as connection:
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{_LOCK_SECONDS_MAX}s'")
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK_KEY})")
            _require_known(current_revision(connection))
            command.upgrade(alembic_configuration(connection, compare=False), "head")
    finally:
        engine.dispose()


def current_revision(connection: Connection) -> str | None:
    """Return the revision that the database is at, or None before the first one.

    Raises SchemaMismatchError where the version table holds more than one row: this project's revisions are one
    line, so somebody else wrote there.
    """
    revisions = MigrationContext.configure(connection).get_current_heads()
    if len(revisions) > 1:
        raise SchemaMismatchError(
            f"the database claims {len(revisions)} revisions at once: {', '.join(revisions)}"
        )
    return revisions[0] if revisions else None


@cache
def head_revision() -> str | None:
    """Return the revision that this release works with; None while there is no revision at all.

    A release's revisions don't change while it runs, and reading them means to load every one of their files.
    """
    return _scripts().get_current_head()


def require_head(connection: Connection) -> None:
    """Raise SchemaMismatchError unless the database is at exactly this release's revision."""
    current, head = current_revision(connection), head_revision()
    if current == head:
        return
    _require_known(current)
    raise SchemaMismatchError(
        f"the database is at revision {current or 'none'}, and this release works with {head}: run `tallystick migrate`"
    )


def alembic_configuration(connection: Connection | None = None, *, compare: bool = True) -> Config:
    """Return Alembic's configuration for its own commands, which then work in `connection`'s transaction.

    `compare` loads the tables of every room, for the commands that compare them with the database.
    """
    configuration = Config()
    # ConfigParser reads a lone percent sign as the start of a reference.
    configuration.set_main_option("script_location", str(migrations_directory()).replace("%", "%%"))
    configuration.set_main_option("path_separator", "os")
    configuration.attributes.update(connection=connection, compare=compare)
    return configuration


def _require_known(revision: str | None) -> None:
    if revision is not None and revision not in {script.revision for script in _scripts().walk_revisions()}:
        raise SchemaMismatchError(
            f"the database is at revision {revision}, which this release does not know: a newer release has been "
            "here. Run that one, or restore the backup from before it"
        )


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(alembic_configuration())


def migrations_directory() -> Path:
    """Return where the revisions lie, and what they read."""
    package = Path(__file__).resolve().parents[1]
    in_wheel = package / "_migrations"
    return in_wheel if in_wheel.is_dir() else package.parents[1] / "migrations"
