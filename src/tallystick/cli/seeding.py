"""Seeding the sandbox, for `serve --sandbox` and by itself."""

from pathlib import Path

from tallystick import sandbox
from tallystick.cli.report import CommandRefusedError, Report
from tallystick.cli.running import migrated_database
from tallystick.core.clock import SystemClock
from tallystick.core.database import Database
from tallystick.core.settings import Settings
from tallystick.sandbox import Sandbox
from tallystick.signing import KeyDirectory

__all__ = ["keys_file", "seed", "seed_sandbox"]


def keys_file(settings: Settings) -> Path:
    """Return where the sandbox's API keys lie."""
    return settings.state_directory / sandbox.KEYS_FILE_NAME


def seed(settings: Settings, service_url: str) -> Sandbox | None:
    """Seed the database unless it has an issuer; return what was seeded."""
    settings.state_directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    database = Database(service_url, pool_size=2)
    try:
        return sandbox.seed_unless_present(
            database,
            SystemClock(),
            KeyDirectory(settings.key_directory, settings.key_passphrase),
            settings.state_directory,
            origin_prefix=settings.log_origin_or_unnamed,
        )
    finally:
        database.close()


def seed_sandbox(report: Report, settings: Settings) -> None:
    """Seed an empty database; refuse with `database_not_empty` one that has an issuer."""
    with migrated_database(settings, migrate=False) as address:
        seeded = seed(settings, address.service_url)
    if seeded is None:
        raise CommandRefusedError("database_not_empty", "The database has an issuer already.")
    # The keys themselves stay in the file: what is printed ends up in logs.
    report.document(
        {
            "object": "sandbox",
            "issuer_id": seeded.issuer_id,
            "token_classes": seeded.token_classes,
            "accounts": seeded.accounts,
            "keys_file": str(keys_file(settings).absolute()),
        }
    )
    report.say(f"Seeded {seeded.issuer_id}. Its API keys: {keys_file(settings)}")
