"""Who may log in to an embedded PostgreSQL: three roles, and their passwords in a file that only its user can read."""

import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import psycopg
from psycopg import sql

from tallystick.core.database import SERVICE_ROLE
from tallystick.core.durable_files import write_durably

__all__ = ["OWNER_ROLE", "SUPERUSER_ROLE", "EmbeddedPostgresError", "ensure_roles", "load_or_make_passwords"]

SUPERUSER_ROLE: Final = "postgres"
OWNER_ROLE: Final = "tallystick_owner"


class EmbeddedPostgresError(RuntimeError):
    """The embedded server can't be started or joined; the message says why and what to do."""


def load_or_make_passwords(credentials: Path, *, required: bool) -> dict[str, str]:
    """Read the password of each role from the file `credentials`, or make them and write the file.

    `required` says that the data directory exists, which was made with passwords of this file: they can't be
    made anew. Raises EmbeddedPostgresError where the file is missing then, or damaged.
    """
    roles = (SUPERUSER_ROLE, OWNER_ROLE, SERVICE_ROLE)
    try:
        passwords = json.loads(credentials.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if required:
            raise EmbeddedPostgresError(
                f"{credentials} is missing, and nobody can log in to the database without its passwords. Restore it "
                "from a backup, or remove the state directory to begin anew"
            ) from None
        passwords = {role: secrets.token_urlsafe(32) for role in roles}
        write_durably(credentials, json.dumps(passwords, indent=2) + "\n")
        return passwords
    except ValueError as error:
        raise EmbeddedPostgresError(f"{credentials} is damaged: restore it from a backup") from error
    if not isinstance(passwords, dict) or not all(isinstance(passwords.get(role), str) for role in roles):
        raise EmbeddedPostgresError(f"{credentials} lacks a role's password: restore it from a backup")
    return passwords


def ensure_roles(
    passwords: Mapping[str, str], *, socket_directory: Path, port: int, data_directory: Path, database: str
) -> None:
    """Create the roles and the database where they are missing; a crash midway is mended by the next start.

    Raises EmbeddedPostgresError when the server on that socket serves another data directory.
    """
    with psycopg.connect(
        host=str(socket_directory),
        port=port,
        dbname="postgres",
        user=SUPERUSER_ROLE,
        password=passwords[SUPERUSER_ROLE],
        connect_timeout=10,
        autocommit=True,
    ) as connection:
        served = connection.execute("SHOW data_directory").fetchone()
        if served is None or served[0] != str(data_directory):
            raise EmbeddedPostgresError(f"the server on {socket_directory} does not serve {data_directory}")
        roles = {name for (name,) in connection.execute("SELECT rolname FROM pg_roles")}
        if SERVICE_ROLE not in roles:
            _create_role(connection, SERVICE_ROLE, passwords[SERVICE_ROLE], "LOGIN")
        if OWNER_ROLE not in roles:
            _create_role(connection, OWNER_ROLE, passwords[OWNER_ROLE], "LOGIN CREATEROLE")
        # As if the owner had created the service's role, which its migrations do on a server of the bank's own.
        connection.execute(
            sql.SQL("GRANT {} TO {} WITH ADMIN OPTION").format(
                sql.Identifier(SERVICE_ROLE), sql.Identifier(OWNER_ROLE)
            )
        )
        known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [database]).fetchone()
        if known is None:
            connection.execute(
                sql.SQL("CREATE DATABASE {} OWNER {}").format(
                    sql.Identifier(database), sql.Identifier(OWNER_ROLE)
                )
            )


def _create_role(connection: psycopg.Connection[object], role: str, password: str, attributes: str) -> None:
    # Only the SCRAM verifier is sent: statements may end up in the server's log.
    verifier = connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256")
    connection.execute(
        sql.SQL("CREATE ROLE {} {} PASSWORD {}").format(
            sql.Identifier(role), sql.SQL(attributes), sql.Literal(verifier.decode())
        )
    )
