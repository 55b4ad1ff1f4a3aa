"""How Alembic reaches the database: through the connection that `tallystick.core.migrations` hands over, or, from
the `alembic` command, through TALLYSTICK_DATABASE_OWNER_URL.
"""

import importlib
import importlib.util
import os
import pkgutil
from logging.config import fileConfig

import sqlalchemy
from alembic import context
from sqlalchemy import Connection

import tallystick
from tallystick.core.database import metadata


def run() -> None:
    """Run the revisions that Alembic's command asks for."""
    connection: Connection | None = context.config.attributes.get("connection")
    if connection is not None:
        migrate(connection)
        return
    if context.config.config_file_name is not None:
        fileConfig(context.config.config_file_name, disable_existing_loggers=False)
    if context.is_offline_mode():
        # For a database administrator who wants to read the SQL first: alembic upgrade head --sql
        context.configure(dialect_name="postgresql", literal_binds=True)
        with context.begin_transaction():
            context.run_migrations()
        return
    engine = sqlalchemy.create_engine(owner_url(), poolclass=sqlalchemy.NullPool)
    try:
        with engine.connect() as own_connection:
            migrate(own_connection)
    finally:
        engine.dispose()


def migrate(connection: Connection) -> None:
    """Run the revisions on `connection`, all in one transaction."""
    # Revisions stand for themselves: only a comparison with the code needs the code's tables.
    if context.config.attributes.get("compare", True):
        import_every_table()
    context.configure(connection=connection, target_metadata=metadata, compare_server_default=True)
    with context.begin_transaction():
        context.run_migrations()


def owner_url() -> sqlalchemy.URL:
    """Return the URL of the tables' owner from the environment."""
    url = os.environ.get("TALLYSTICK_DATABASE_OWNER_URL") or os.environ.get("TALLYSTICK_DATABASE_URL")
    if not url:
        raise SystemExit("set TALLYSTICK_DATABASE_OWNER_URL to the database whose schema is to change")
    parsed = sqlalchemy.make_url(url)
    if parsed.drivername in {"postgresql", "postgres"}:
        return parsed.set(drivername="postgresql+psycopg")
    return parsed


def import_every_table() -> None:
    """Import each room's models, so that `metadata` is whole when it is compared with a database."""
    for room in pkgutil.iter_modules(tallystick.__path__):
        models = f"tallystick.{room.name}.models"
        if room.ispkg and importlib.util.find_spec(models) is not None:
            importlib.import_module(models)


run()
