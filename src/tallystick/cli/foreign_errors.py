"""What libraries raise when a database, a server or a file is not as it should be, in one sentence and with a code."""

import httpx
import psycopg
import sqlalchemy.exc

from tallystick.cli.report import CommandRefusedError, ExitCode
from tallystick.core.embedded_postgres_logins import EmbeddedPostgresError
from tallystick.core.migrations import SchemaMismatchError
from tallystick.core.postgres_programs import PostgresProgramsError

__all__ = ["explained"]

_UNAVAILABLE = "The database can't be reached, or refuses this login."


def explained(error: Exception) -> CommandRefusedError | None:
    """Return the refusal that stands for `error`; None if it is a fault of ours."""
    if isinstance(error, SchemaMismatchError):
        return CommandRefusedError("schema_mismatch", _sentence(error), ExitCode.MISCONFIGURED)
    if isinstance(error, EmbeddedPostgresError | PostgresProgramsError):
        return CommandRefusedError("embedded_postgres_failed", _sentence(error), ExitCode.UNAVAILABLE)
    if isinstance(error, sqlalchemy.exc.ArgumentError):
        detail = "TALLYSTICK_DATABASE_URL or TALLYSTICK_DATABASE_OWNER_URL is no PostgreSQL URL."
        return CommandRefusedError("settings_invalid", detail, ExitCode.MISCONFIGURED)
    if isinstance(error, sqlalchemy.exc.DBAPIError):
        return _refused_by_database(error.orig)
    if isinstance(error, psycopg.Error):
        return _refused_by_database(error)
    if isinstance(error, httpx.TransportError):
        detail = f"The service does not answer any more ({type(error).__name__})."
        return CommandRefusedError("service_unavailable", detail, ExitCode.UNAVAILABLE)
    if isinstance(error, OSError) and error.filename is not None:
        return CommandRefusedError("file_unusable", f"{error.filename}: {error.strerror}.")
    return None


def _refused_by_database(error: BaseException | None) -> CommandRefusedError | None:
    """Explain a lost connection, a refused login and a missing right; a faulty statement is a fault of ours."""
    if not isinstance(error, psycopg.Error):
        return None
    state = error.sqlstate
    if state is None:
        return CommandRefusedError("database_unavailable", _UNAVAILABLE, ExitCode.UNAVAILABLE)
    if isinstance(error, psycopg.OperationalError):
        detail = error.diag.message_primary or _UNAVAILABLE
        return CommandRefusedError("database_unavailable", detail, ExitCode.UNAVAILABLE)
    if isinstance(
        error,
        psycopg.errors.InsufficientPrivilege
        | psycopg.errors.UndefinedTable
        | psycopg.errors.InvalidParameterValue,
    ):
        # The service's role or its tables are missing: nobody has migrated this database, or somebody else's login did.
        detail = f"The database refuses this login or was not migrated: {error.diag.message_primary}."
        return CommandRefusedError("database_not_ready", detail, ExitCode.MISCONFIGURED)
    return None


def _sentence(error: Exception) -> str:
    text = str(error)
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "\n")) else ".")
