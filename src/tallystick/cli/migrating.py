"""`tallystick migrate`: the schema, brought up to date by its owner."""

import sqlalchemy

from tallystick.cli.report import Report
from tallystick.cli.running import database_address
from tallystick.core import migrations
from tallystick.core.settings import Settings

__all__ = ["migrate"]


def migrate(report: Report, settings: Settings) -> None:
    """Upgrade the database and tell its revision before and after."""
    with database_address(settings) as address:
        before = _revision(address.owner_url)
        migrations.upgrade(address.owner_url)
        after = _revision(address.owner_url)
    report.document({"object": "migration", "revision_before": before, "revision_after": after})
    if before == after:
        report.say(f"The schema is at revision {after} already.")
    else:
        report.say(f"The schema was at revision {before or 'none'} and is now at {after}.")


def _revision(owner_url: str) -> str | None:
    url = sqlalchemy.make_url(owner_url).set(drivername="postgresql+psycopg")
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
    try:
        with engine.connect() as connection:
            return migrations.current_revision(connection)
    finally:
        engine.dispose()
