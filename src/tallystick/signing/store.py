"""All SQL of signing keys."""

from collections.abc import Callable
from dataclasses import fields
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Connection, Row, func, select, update
from sqlalchemy.dialects.postgresql import insert

from tallystick.core.errors import InvariantError
from tallystick.core.pipeline import Asked, Pipeline, RowValues
from tallystick.signing.ed25519 import thumbprint
from tallystick.signing.keys import KeyState, KeyUse, SigningKey
from tallystick.signing.models import root_manifest, signing_key

Result = TypeVar("Result")


class ManifestRow(NamedTuple):
    """A version of the root manifest as it is kept: the signed document, and the hash of what was signed."""

    version: int
    document: str
    sha256: bytes
    imported_at: datetime


_COLUMNS = tuple(signing_key.c[field.name] for field in fields(SigningKey))


def insert_key(connection: Connection, key: SigningKey) -> bool:
    """Insert `key`; False if its id is taken or another key of its use is active."""
    inserted = connection.execute(
        insert(signing_key)
        .values({column.name: getattr(key, column.name) for column in _COLUMNS})
        .on_conflict_do_nothing()
        .returning(signing_key.c.id)
    )
    return inserted.one_or_none() is not None


def set_active(
    connection: Connection,
    issuer_id: str,
    key_id: str,
    *,
    at: datetime,
    event_index: int,
    from_index: int,
    manifest_version: int,
) -> None:
    _update(
        connection,
        issuer_id,
        key_id,
        state=KeyState.ACTIVE,
        # A key that signed before the log had events about keys keeps the moment that it has.
        activated_at=func.coalesce(signing_key.c.activated_at, at),
        activated_index=event_index,
        from_index=from_index,
        manifest_version=manifest_version,
    )


def set_retired(connection: Connection, issuer_id: str, key_id: str, at: datetime, until_index: int) -> None:
    _update(connection, issuer_id, key_id, state=KeyState.RETIRED, retired_at=at, until_index=until_index)


def set_revoked(
    connection: Connection,
    issuer_id: str,
    key_id: str,
    *,
    at: datetime,
    event_index: int,
    compromised_from_index: int | None,
    reason: str,
) -> None:
    _update(
        connection,
        issuer_id,
        key_id,
        state=KeyState.REVOKED,
        revoked_at=at,
        revoked_index=event_index,
        until_index=func.coalesce(signing_key.c.until_index, event_index),
        compromised_from_index=compromised_from_index,
        reason=reason,
    )


def _update(connection: Connection, issuer_id: str, key_id: str, **values: object) -> None:
    connection.execute(
        update(signing_key)
        .where(signing_key.c.issuer_id == issuer_id, signing_key.c.id == key_id)
        .values(**values)
    )


def read_manifests(connection: Connection, issuer_id: str) -> list[ManifestRow]:
    rows = connection.execute(
        select(
            root_manifest.c.version,
            root_manifest.c.document,
            root_manifest.c.sha256,
            root_manifest.c.imported_at,
        )
        .where(root_manifest.c.issuer_id == issuer_id)
        .order_by(root_manifest.c.version)
    )
    return [ManifestRow(row.version, row.document, bytes(row.sha256), row.imported_at) for row in rows]


def write_manifest(connection: Connection, issuer_id: str, row: ManifestRow) -> None:
    statement = insert(root_manifest).values(issuer_id=issuer_id, **row._asdict())
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=[root_manifest.c.issuer_id, root_manifest.c.version],
            set_={name: statement.excluded[name] for name in ("document", "sha256", "imported_at")},
        )
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
    pipeline: Pipeline, issuer_id: str, use: KeyUse, read: Callable[[list[RowValues]], Result]
) -> Asked[Result]:
    """Ask for the active key's id, for `read_key_id`."""
    return pipeline.ask(
        "SELECT id FROM signing_key WHERE issuer_id = %s AND use = %s AND state = 'active'",
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


def read_key_id(rows: list[RowValues]) -> str | None:
    """Return the id that `ask_active_key_id` asked for; None if no key is active."""
    return str(rows[0][0]) if rows else None
