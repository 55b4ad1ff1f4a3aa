"""All SQL of signing keys."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

import psycopg
from sqlalchemy import Connection, Row, select, update
from sqlalchemy.dialects.postgresql import insert

from tallystick.core.errors import InvariantError
from tallystick.core.pipeline import Asked, Pipeline
from tallystick.signing.ed25519 import thumbprint
from tallystick.signing.keys import KeyState, KeyUse, SigningKey
from tallystick.signing.models import signing_key

Result = TypeVar("Result")

_COLUMNS = (
    signing_key.c.issuer_id,
    signing_key.c.id,
    signing_key.c.algorithm,
    signing_key.c.public_key,
    signing_key.c.use,
    signing_key.c.state,
    signing_key.c.created_at,
    signing_key.c.activated_at,
    signing_key.c.retired_at,
    signing_key.c.revoked_at,
    signing_key.c.compromised_at,
    signing_key.c.reason,
)


def lock_keys(connection: Connection, issuer_id: str, use: KeyUse) -> None:
    """Let one transaction at a time change an issuer's keys of one use.

    The oldest row stands for all of them: it is the same for everybody, because no row is ever deleted.
    """
    connection.execute(
        select(signing_key.c.id)
        .where(signing_key.c.issuer_id == issuer_id, signing_key.c.use == use)
        .order_by(signing_key.c.created_at, signing_key.c.id)
        .limit(1)
        .with_for_update()
    ).all()


def insert_key(connection: Connection, key: SigningKey) -> bool:
    """Insert `key`; False if its id is taken or another key of its use is active."""
    inserted = connection.execute(
        insert(signing_key)
        .values({column.name: getattr(key, column.name) for column in _COLUMNS})
        .on_conflict_do_nothing()
        .returning(signing_key.c.id)
    )
    return inserted.one_or_none() is not None


def set_retired(connection: Connection, issuer_id: str, key_id: str, at: datetime) -> None:
    connection.execute(
        update(signing_key)
        .where(signing_key.c.issuer_id == issuer_id, signing_key.c.id == key_id)
        .values(state=KeyState.RETIRED, retired_at=at)
    )


def set_revoked(
    connection: Connection,
    issuer_id: str,
    key_id: str,
    at: datetime,
    compromised_at: datetime | None,
    reason: str,
) -> None:
    connection.execute(
        update(signing_key)
        .where(signing_key.c.issuer_id == issuer_id, signing_key.c.id == key_id)
        .values(state=KeyState.REVOKED, revoked_at=at, compromised_at=compromised_at, reason=reason)
    )


def read_key(connection: Connection, issuer_id: str, key_id: str) -> SigningKey | None:
    row = connection.execute(
        select(*_COLUMNS).where(signing_key.c.issuer_id == issuer_id, signing_key.c.id == key_id)
    ).one_or_none()
    return None if row is None else _key(row)


def read_active_key(connection: Connection, issuer_id: str, use: KeyUse) -> SigningKey | None:
    row = connection.execute(
        select(*_COLUMNS).where(
            signing_key.c.issuer_id == issuer_id,
            signing_key.c.use == use,
            signing_key.c.state == KeyState.ACTIVE,
        )
    ).one_or_none()
    return None if row is None else _key(row)


def ask_active_key_id(
    pipeline: Pipeline, issuer_id: str, use: KeyUse, read: Callable[[psycopg.Cursor[Any]], Result]
) -> Asked[Result]:
    """Ask for the active key's id, locked against changes until the transaction ends; for `read_key_id`."""
    return pipeline.ask(
        "SELECT id FROM signing_key WHERE issuer_id = %s AND use = %s AND state = 'active' FOR SHARE",
        (issuer_id, use.value),
        read,
    )


def hold_active_key(connection: Connection, issuer_id: str, key_id: str) -> bool:
    """Lock the key against changes if it is active; False if it is not."""
    held = connection.execute(
        select(signing_key.c.id)
        .where(
            signing_key.c.issuer_id == issuer_id,
            signing_key.c.id == key_id,
            signing_key.c.state == KeyState.ACTIVE,
        )
        .with_for_update(read=True)
    )
    return held.one_or_none() is not None


def read_keys(connection: Connection, issuer_id: str | None, use: KeyUse | None) -> list[SigningKey]:
    statement = select(*_COLUMNS).order_by(
        signing_key.c.issuer_id, signing_key.c.created_at, signing_key.c.id
    )
    if issuer_id is not None:
        statement = statement.where(signing_key.c.issuer_id == issuer_id)
    if use is not None:
        statement = statement.where(signing_key.c.use == use)
    return [_key(row) for row in connection.execute(statement)]


def _key(row: Row[*tuple[Any, ...]]) -> SigningKey:
    key = SigningKey(**row._mapping)
    # The id is made of the key, so a key that somebody exchanged in the table is seen whenever it is read.
    if key.id != thumbprint(key.public_key):
        raise InvariantError(f"signing key {key.id} of {key.issuer_id} does not match its public key")
    return key


def read_key_id(cursor: psycopg.Cursor[Any]) -> str | None:
    """Return the id that `ask_active_key_id` asked for; None if no key is active."""
    row = cursor.fetchone()
    return None if row is None else str(row[0])
