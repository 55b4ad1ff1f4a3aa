"""All SQL of the log's tree."""

from collections.abc import Iterator, Sequence

from sqlalchemy import Connection

from tallystick.core.errors import InvariantError
from tallystick.transparency.records import Cosignature, SignedCheckpoint, TreeRow
from tallystick.transparency.tiles import Edge, Tile, edge_bytes, edge_of

_CHECKPOINT = "size, root_hash, key_id, note, signed_at"


def insert_tree(connection: Connection, issuer_id: str, origin: str) -> None:
    connection.exec_driver_sql(
        "INSERT INTO log_tree (issuer_id, origin, size, edge) VALUES (%s, %s, 0, '') ON CONFLICT DO NOTHING",
        (issuer_id, origin),
    )


def read_tree(connection: Connection, issuer_id: str) -> TreeRow | None:
    row = connection.exec_driver_sql(
        "SELECT origin, size, edge FROM log_tree WHERE issuer_id = %s", (issuer_id,)
    ).one_or_none()
    return None if row is None else _tree(row.origin, row.size, row.edge)


def read_size(connection: Connection, issuer_id: str) -> int:
    found = connection.exec_driver_sql("SELECT size FROM log_tree WHERE issuer_id = %s", (issuer_id,))
    return int(found.scalar_one_or_none() or 0)


def lock_tree(connection: Connection, issuer_id: str) -> TreeRow | None:
    # Whoever finds the row locked has nothing to do here: somebody else integrates.
    row = connection.exec_driver_sql(
        "SELECT origin, size, edge FROM log_tree WHERE issuer_id = %s FOR UPDATE SKIP LOCKED", (issuer_id,)
    ).one_or_none()
    return None if row is None else _tree(row.origin, row.size, row.edge)


def update_tree(connection: Connection, issuer_id: str, size_before: int, size: int, edge: Edge) -> None:
    updated = connection.exec_driver_sql(
        "UPDATE log_tree SET size = %s, edge = %s WHERE issuer_id = %s AND size = %s",
        (size, edge_bytes(edge), issuer_id, size_before),
    )
    if updated.rowcount != 1:
        raise InvariantError("the tree changed under its lock")


def insert_tiles(connection: Connection, issuer_id: str, tiles: Sequence[tuple[Tile, bytes]]) -> None:
    connection.exec_driver_sql(
        """INSERT INTO log_tile (issuer_id, level, tile_index, hashes)
           SELECT %s, n.level, n.tile_index, n.hashes
           FROM unnest(%s::smallint[], %s::bigint[], %s::bytea[]) AS n(level, tile_index, hashes)""",
        (
            issuer_id,
            [tile.level for tile, _ in tiles],
            [tile.tile_index for tile, _ in tiles],
            [content for _, content in tiles],
        ),
    )


def read_tiles(connection: Connection, issuer_id: str, tiles: Sequence[Tile]) -> dict[Tile, bytes]:
    rows = connection.exec_driver_sql(
        """SELECT t.level, t.tile_index, t.hashes
           FROM unnest(%s::smallint[], %s::bigint[]) AS n(level, tile_index)
           JOIN log_tile t ON t.issuer_id = %s AND t.level = n.level AND t.tile_index = n.tile_index""",
        ([tile.level for tile in tiles], [tile.tile_index for tile in tiles], issuer_id),
    )
    return {Tile(row.level, row.tile_index): bytes(row.hashes) for row in rows}


def read_tile_names(connection: Connection, issuer_id: str) -> Iterator[Tile]:
    rows = connection.exec_driver_sql(
        "SELECT level, tile_index FROM log_tile WHERE issuer_id = %s ORDER BY level, tile_index", (issuer_id,)
    )
    yield from (Tile(row.level, row.tile_index) for row in rows)


def insert_checkpoint(connection: Connection, issuer_id: str, new: SignedCheckpoint) -> None:
    connection.exec_driver_sql(
        f"INSERT INTO log_checkpoint (issuer_id, {_CHECKPOINT}) VALUES (%s, %s, %s, %s, %s, %s)",
        (issuer_id, *new),
    )


def read_newest_checkpoint(connection: Connection, issuer_id: str) -> SignedCheckpoint | None:
    row = connection.exec_driver_sql(
        f"SELECT {_CHECKPOINT} FROM log_checkpoint WHERE issuer_id = %s ORDER BY size DESC LIMIT 1",
        (issuer_id,),
    ).one_or_none()
    return None if row is None else SignedCheckpoint(*row)


def read_checkpoint(connection: Connection, issuer_id: str, size: int) -> SignedCheckpoint | None:
    row = connection.exec_driver_sql(
        f"SELECT {_CHECKPOINT} FROM log_checkpoint WHERE issuer_id = %s AND size = %s", (issuer_id, size)
    ).one_or_none()
    return None if row is None else SignedCheckpoint(*row)


def read_checkpoints(
    connection: Connection, issuer_id: str, after_size: int, limit: int
) -> list[SignedCheckpoint]:
    rows = connection.exec_driver_sql(
        f"SELECT {_CHECKPOINT} FROM log_checkpoint WHERE issuer_id = %s AND size > %s ORDER BY size LIMIT %s",
        (issuer_id, after_size, limit),
    )
    return [SignedCheckpoint(*row) for row in rows]


def insert_cosignature(connection: Connection, issuer_id: str, new: Cosignature) -> None:
    # Two processes may ask one witness about one checkpoint; either answer is as good as the other.
    connection.exec_driver_sql(
        """INSERT INTO log_cosignature (issuer_id, size, witness_key, line, cosigned_at)
           VALUES (%s, %s, %s, %s, %s) ON CONFLICT DO NOTHING""",
        (issuer_id, *new),
    )


def read_cosignatures(
    connection: Connection, issuer_id: str, size: int, witness_keys: Sequence[str] | None = None
) -> list[Cosignature]:
    rows = connection.exec_driver_sql(
        """SELECT size, witness_key, line, cosigned_at FROM log_cosignature
           WHERE issuer_id = %s AND size = %s AND (%s::text[] IS NULL OR witness_key = ANY(%s::text[]))
           ORDER BY witness_key""",
        (issuer_id, size, *[None if witness_keys is None else list(witness_keys)] * 2),
    )
    return [Cosignature(*row) for row in rows]


def read_newest_cosigned(connection: Connection, issuer_id: str, witness_key: str) -> Cosignature | None:
    row = connection.exec_driver_sql(
        """SELECT size, witness_key, line, cosigned_at FROM log_cosignature
           WHERE issuer_id = %s AND witness_key = %s ORDER BY size DESC LIMIT 1""",
        (issuer_id, witness_key),
    ).one_or_none()
    return None if row is None else Cosignature(*row)


def read_cosigned_size(connection: Connection, issuer_id: str, size_max: int) -> int:
    found = connection.exec_driver_sql(
        "SELECT max(size) FROM log_cosignature WHERE issuer_id = %s AND size <= %s", (issuer_id, size_max)
    )
    return int(found.scalar_one() or 0)


def read_witnessed_size(
    connection: Connection, issuer_id: str, witness_keys: Sequence[str], quorum: int, size_max: int
) -> int:
    # Each witness's newest few are enough: a checkpoint that most have passed by is not cosigned later.
    found = connection.exec_driver_sql(
        """SELECT recent.size
           FROM unnest(%s::text[]) AS w(witness_key)
           CROSS JOIN LATERAL (
               SELECT c.size FROM log_cosignature c
               WHERE c.issuer_id = %s AND c.witness_key = w.witness_key AND c.size <= %s
               ORDER BY c.size DESC LIMIT 1000
           ) recent
           GROUP BY recent.size HAVING count(*) >= %s ORDER BY recent.size DESC LIMIT 1""",
        (list(witness_keys), issuer_id, size_max, quorum),
    )
    return int(found.scalar_one_or_none() or 0)


def _tree(origin: str, size: int, edge: bytes) -> TreeRow:
    try:
        return TreeRow(origin, size, edge_of(size, bytes(edge)))
    except ValueError as error:
        raise InvariantError(f"the log's tree is damaged: {error}") from None
