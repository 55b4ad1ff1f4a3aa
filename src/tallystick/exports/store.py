"""All SQL of this room: exports are recorded once and never changed."""

from sqlalchemy import Connection, Row, insert, select

from tallystick.exports.models import export
from tallystick.exports.records import Export, Pinned


def insert_export(connection: Connection, made: Export) -> None:
    connection.execute(
        insert(export).values(
            issuer_id=made.issuer_id,
            id=made.id,
            arguments=made.pinned.as_json(),
            manifest=made.manifest,
            requested_by=made.requested_by,
            created_at=made.created_at,
        )
    )


def read_export(connection: Connection, issuer_id: str, export_id: str) -> Export | None:
    row = connection.execute(
        select(export).where(export.c.issuer_id == issuer_id, export.c.id == export_id)
    ).one_or_none()
    return None if row is None else _export(row)


def read_exports(connection: Connection, issuer_id: str, after: str, limit: int) -> list[Export]:
    rows = connection.execute(
        select(export)
        .where(export.c.issuer_id == issuer_id, export.c.id > after)
        .order_by(export.c.id)
        .limit(limit)
    )
    return [_export(row) for row in rows]


def _export(row: Row[tuple[object, ...]]) -> Export:
    found = row._mapping
    return Export(
        found["issuer_id"],
        found["id"],
        Pinned.from_json(found["arguments"]),
        found["manifest"],
        found["requested_by"],
        found["created_at"],
    )
