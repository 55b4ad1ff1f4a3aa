"""All SQL of the register and of its trees."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, insert, select
from sqlalchemy.dialects.postgresql import insert as insert_or_keep

from tallystick.core.errors import InvariantError
from tallystick.liabilities.merkle_sum import Tile
from tallystick.liabilities.models import (
    liability,
    liability_attestation,
    liability_tree,
    liability_tree_tile,
)
from tallystick.liabilities.records import Attestation, PreparedTree
from tallystick.liabilities.register import Liability

_TREE = tuple(liability_tree.c[name] for name in PreparedTree._fields)


def insert_unless_present(connection: Connection, new: Liability) -> None:
    connection.execute(
        insert_or_keep(liability)
        .values({name: getattr(new, name) for name in new.__slots__})
        .on_conflict_do_nothing(index_elements=["issuer_id", "token_class_id", "holder_id"])
    )


def read_liability(connection: Connection, issuer_id: str, liability_id: str) -> Liability | None:
    row = connection.execute(
        select(liability).where(liability.c.issuer_id == issuer_id, liability.c.id == liability_id)
    ).one_or_none()
    return None if row is None else Liability(**row._mapping)


def read_liabilities(
    connection: Connection,
    issuer_id: str,
    *,
    holder_ids: list[str] | None,
    token_class_id: str | None,
    after: str,
    limit: int,
) -> list[Liability]:
    query = select(liability).where(liability.c.issuer_id == issuer_id, liability.c.id > after)
    if holder_ids is not None:
        query = query.where(liability.c.holder_id.in_(holder_ids))
    if token_class_id is not None:
        query = query.where(liability.c.token_class_id == token_class_id)
    return [
        Liability(**row._mapping) for row in connection.execute(query.order_by(liability.c.id).limit(limit))
    ]


def read_registered(
    connection: Connection, issuer_id: str, token_class_id: str, holder_ids: Sequence[str]
) -> set[str]:
    """Return those of these holders that have a record in a class."""
    rows = connection.execute(
        select(liability.c.holder_id).where(
            liability.c.issuer_id == issuer_id,
            liability.c.token_class_id == token_class_id,
            liability.c.holder_id.in_(holder_ids),
        )
    )
    return set(rows.scalars())


def read_tree(connection: Connection, issuer_id: str, tree_id: str) -> PreparedTree | None:
    row = connection.execute(
        select(*_TREE).where(liability_tree.c.issuer_id == issuer_id, liability_tree.c.id == tree_id)
    ).one_or_none()
    return None if row is None else PreparedTree(*row)


def read_tree_of_request(
    connection: Connection, issuer_id: str, key_digest: bytes, request_hash: bytes
) -> PreparedTree | None:
    row = connection.execute(
        select(*_TREE).where(
            liability_tree.c.issuer_id == issuer_id,
            liability_tree.c.key_digest == key_digest,
            liability_tree.c.request_hash == request_hash,
        )
    ).one_or_none()
    return None if row is None else PreparedTree(*row)


def read_secret(connection: Connection, issuer_id: str, tree_id: str) -> bytes:
    return bytes(
        connection.execute(
            select(liability_tree.c.secret).where(
                liability_tree.c.issuer_id == issuer_id, liability_tree.c.id == tree_id
            )
        ).scalar_one()
    )


def insert_tree(
    connection: Connection,
    issuer_id: str,
    tree: PreparedTree,
    *,
    secret: bytes,
    key_digest: bytes,
    request_hash: bytes,
    made_at: datetime,
) -> bool:
    """Keep a tree unless there is one for the request; tell whether it was kept."""
    kept = connection.execute(
        insert_or_keep(liability_tree)
        .values(
            issuer_id=issuer_id,
            **tree._asdict(),
            secret=secret,
            key_digest=key_digest,
            request_hash=request_hash,
            made_at=made_at,
        )
        .on_conflict_do_nothing(index_elements=["issuer_id", "key_digest", "request_hash"])
        .returning(liability_tree.c.id)
    )
    return kept.one_or_none() is not None


def insert_tiles(connection: Connection, issuer_id: str, tree_id: str, tiles: Sequence[Tile]) -> None:
    connection.execute(
        insert(liability_tree_tile),
        [{"issuer_id": issuer_id, "tree_id": tree_id, **tile._asdict()} for tile in tiles],
    )


def read_tile(connection: Connection, issuer_id: str, tree_id: str, level: int, number: int) -> bytes:
    nodes = connection.execute(
        select(liability_tree_tile.c.nodes).where(
            liability_tree_tile.c.issuer_id == issuer_id,
            liability_tree_tile.c.tree_id == tree_id,
            liability_tree_tile.c.level == level,
            liability_tree_tile.c.number == number,
        )
    ).scalar_one_or_none()
    if nodes is None:
        raise InvariantError(f"{tree_id} has no tile {number} of level {level}")
    return bytes(nodes)


def insert_attestation(
    connection: Connection, issuer_id: str, tree_id: str, event_index: int, attested_at: datetime
) -> None:
    connection.execute(
        insert(liability_attestation).values(
            issuer_id=issuer_id, id=tree_id, event_index=event_index, attested_at=attested_at
        )
    )


def read_attestation(connection: Connection, issuer_id: str, tree_id: str) -> Attestation | None:
    row = connection.execute(_attestations(issuer_id).where(liability_tree.c.id == tree_id)).one_or_none()
    return None if row is None else _attestation(row)


def read_newest_attestation(
    connection: Connection, issuer_id: str, token_class_id: str, event_index_max: int
) -> Attestation | None:
    row = connection.execute(
        _attestations(issuer_id)
        .where(
            liability_tree.c.token_class_id == token_class_id,
            liability_attestation.c.event_index <= event_index_max,
        )
        .order_by(liability_attestation.c.event_index.desc())
        .limit(1)
    ).one_or_none()
    return None if row is None else _attestation(row)


def read_attestations(
    connection: Connection, issuer_id: str, *, token_class_id: str | None, after: str, limit: int
) -> list[Attestation]:
    query = _attestations(issuer_id).where(liability_attestation.c.id > after)
    if token_class_id is not None:
        query = query.where(liability_tree.c.token_class_id == token_class_id)
    rows = connection.execute(query.order_by(liability_attestation.c.id).limit(limit))
    return [_attestation(row) for row in rows]


def _attestations(issuer_id: str) -> Select[Any]:
    both = (liability_tree.c.issuer_id == liability_attestation.c.issuer_id) & (
        liability_tree.c.id == liability_attestation.c.id
    )
    return (
        select(
            liability_attestation.c.issuer_id,
            liability_attestation.c.event_index,
            liability_attestation.c.attested_at,
            *_TREE,
        )
        .select_from(liability_attestation.join(liability_tree, both))
        .where(liability_attestation.c.issuer_id == issuer_id)
    )


def _attestation(row: Row[Any]) -> Attestation:
    columns: list[Any] = list(row)
    return Attestation(columns[0], PreparedTree._make(columns[3:]), columns[1], columns[2])
