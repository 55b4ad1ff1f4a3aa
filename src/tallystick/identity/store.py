"""All SQL of this room. Every statement leads with the issuer's id; nothing here commits."""

from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Table, delete, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as insert_or_keep

from tallystick.identity.clients import Client
from tallystick.identity.models import access_token, client, client_nonce

# A call never waits for more rows to be cleared than this.
_PRUNED_MAX: Final = 200

# Under the row's lock, so that processes take turns: what the bucket holds now, at most what is wanted.
_HELD: Final = """
greatest(0, least(:wanted, floor(
    extract(epoch FROM CAST(:now AS timestamptz) + :capacity * CAST(:spacing AS interval)
                       - greatest(b.full_at, CAST(:now AS timestamptz))) * 1000000
    / :spacing_microseconds)))::bigint
"""
_LEASE: Final = f"""
INSERT INTO rate_bucket AS b (issuer_id, principal_id, full_at, leased_count)
VALUES (:issuer_id, :principal_id, CAST(:now AS timestamptz) + :first * CAST(:spacing AS interval), :first)
ON CONFLICT (issuer_id, principal_id) DO UPDATE SET
    leased_count = {_HELD},
    full_at = greatest(b.full_at, CAST(:now AS timestamptz)) + {_HELD} * CAST(:spacing AS interval)
RETURNING leased_count, full_at
"""
_RESET: Final = """
UPDATE rate_bucket SET full_at = :now
WHERE issuer_id = :issuer_id AND principal_id = :principal_id AND full_at > :latest
"""


def add_client(connection: Connection, added: Client) -> bool:
    row = connection.execute(
        insert_or_keep(client)
        .values(**{name: getattr(added, name) for name in added.__slots__})
        .on_conflict_do_nothing()
        .returning(client.c.id)
    )
    return row.one_or_none() is not None


def read_client(connection: Connection, issuer_id: str, client_id: str) -> Client | None:
    row = connection.execute(
        select(client).where(client.c.issuer_id == issuer_id, client.c.id == client_id)
    ).one_or_none()
    return None if row is None else Client(**row._mapping)


def read_clients(
    connection: Connection, issuer_id: str, principal_id: str, after: str, limit: int
) -> list[Client]:
    rows = connection.execute(
        select(client)
        .where(client.c.issuer_id == issuer_id, client.c.principal_id == principal_id, client.c.id > after)
        .order_by(client.c.id)
        .limit(limit)
    )
    return [Client(**row._mapping) for row in rows]


def read_principals_with_clients(connection: Connection, issuer_id: str, at: datetime) -> frozenset[str]:
    """Return who has a client that gets tokens and hasn't expired; revoked ones count."""
    rows = connection.execute(
        select(client.c.principal_id).where(
            client.c.issuer_id == issuer_id, client.c.use == "token", client.c.expires_at > at
        )
    )
    return frozenset(rows.scalars())


def revoke_client(connection: Connection, issuer_id: str, client_id: str, revoked_at: datetime) -> bool:
    revoked = connection.execute(
        update(client)
        .where(client.c.issuer_id == issuer_id, client.c.id == client_id, client.c.revoked_at.is_(None))
        .values(revoked_at=revoked_at)
    )
    return revoked.rowcount == 1


def add_nonce(connection: Connection, **values: Any) -> bool:
    row = connection.execute(
        insert_or_keep(client_nonce)
        .values(**values)
        .on_conflict_do_nothing()
        .returning(client_nonce.c.issuer_id)
    )
    return row.one_or_none() is not None


def add_access_token(connection: Connection, **values: Any) -> None:
    connection.execute(insert(access_token).values(**values))


def read_access_token(connection: Connection, issuer_id: str, token_id: str) -> Any | None:
    return connection.execute(
        select(
            access_token.c.secret_hash,
            access_token.c.scopes,
            access_token.c.expires_at,
            client.c.principal_id,
            client.c.expires_at.label("client_expires_at"),
            client.c.revoked_at,
        )
        .join(
            client,
            (client.c.issuer_id == access_token.c.issuer_id) & (client.c.id == access_token.c.client_id),
        )
        .where(access_token.c.issuer_id == issuer_id, access_token.c.id == token_id)
    ).one_or_none()


def prune_nonces(connection: Connection, issuer_id: str, now: datetime) -> int:
    return _prune(connection, client_nonce, issuer_id, now)


def prune_access_tokens(connection: Connection, issuer_id: str, now: datetime) -> int:
    return _prune(connection, access_token, issuer_id, now)


def take_from_bucket(
    connection: Connection,
    issuer_id: str,
    principal_id: str,
    *,
    now: datetime,
    capacity: int,
    spacing: timedelta,
    wanted: int,
    latest: datetime,
) -> tuple[int, datetime]:
    connection.execute(
        text(_RESET), {"issuer_id": issuer_id, "principal_id": principal_id, "now": now, "latest": latest}
    )
    row = connection.execute(
        text(_LEASE),
        {
            "issuer_id": issuer_id,
            "principal_id": principal_id,
            "now": now,
            "capacity": capacity,
            "spacing": spacing,
            "spacing_microseconds": spacing // timedelta(microseconds=1),
            "wanted": wanted,
            "first": min(wanted, capacity),
        },
    ).one()
    return row.leased_count, row.full_at


def _prune(connection: Connection, table: Table, issuer_id: str, now: datetime) -> int:
    # Oldest first. Two sweeps of the same rows take turns, and the second finds them gone.
    key = [one for one in table.primary_key.columns if one.name != "issuer_id"]
    expired = (
        select(*key)
        .where(table.c.issuer_id == issuer_id, table.c.expires_at < now)
        .order_by(table.c.expires_at)
        .limit(_PRUNED_MAX)
        .cte("expired")
    )
    condition = table.c.issuer_id == issuer_id
    for one in key:
        condition &= one == expired.c[one.name]
    return connection.execute(delete(table).where(condition)).rowcount
