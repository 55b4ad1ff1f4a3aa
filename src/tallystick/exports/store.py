"""All SQL of this room. What was asked for and what was made is written once; in between only the run changes.

Every change of a run says from which states it may come, so that of two who change it at once the later one finds that
it has no longer anything to change.
"""

from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, func, insert, literal, select, update

from tallystick.exports.models import export, export_result, export_run
from tallystick.exports.records import (
    OPEN_STATES,
    Export,
    ExportFailure,
    ExportProgress,
    ExportResult,
    ExportState,
    Pinned,
)

__all__ = [
    "count_open",
    "hold",
    "insert_export",
    "insert_result",
    "read_export",
    "read_exports",
    "read_open_ids",
    "update_run",
]

_OPEN: Final = tuple(state.value for state in OPEN_STATES)


def insert_export(connection: Connection, asked: Export) -> None:
    connection.execute(
        insert(export).values(
            issuer_id=asked.issuer_id,
            id=asked.id,
            arguments=asked.pinned.as_json(),
            requested_by=asked.requested_by,
            created_at=asked.created_at,
        )
    )
    connection.execute(
        insert(export_run).values(
            issuer_id=asked.issuer_id,
            export_id=asked.id,
            state=ExportState.PENDING.value,
            attempts=0,
            rows_written=0,
        )
    )


def insert_result(connection: Connection, issuer_id: str, export_id: str, result: ExportResult) -> None:
    connection.execute(
        insert(export_result).values(
            issuer_id=issuer_id,
            export_id=export_id,
            manifest=result.manifest,
            manifest_jws=result.manifest_jws,
            event_index=result.event_index,
        )
    )


def update_run(
    connection: Connection,
    issuer_id: str,
    export_id: str,
    *,
    was: tuple[ExportState, ...],
    attempts_added: int = 0,
    **values: Any,
) -> int | None:
    """Change a run that is in one of the states `was`; return how often it was attempted, or None if it is in none."""
    attempts: int | None = connection.execute(
        update(export_run)
        .where(
            export_run.c.issuer_id == issuer_id,
            export_run.c.export_id == export_id,
            export_run.c.state.in_([one.value for one in was]),
        )
        .values(attempts=export_run.c.attempts + attempts_added, **values)
        .returning(export_run.c.attempts)
    ).scalar_one_or_none()
    return attempts


def hold(connection: Connection, issuer_id: str, export_id: str) -> bool:
    """Take an export for as long as this transaction lasts; tell whether nobody else holds it.

    The server lets go of it when the connection ends, so nobody who is gone holds anything.
    """
    key = func.hashtextextended(f"export {issuer_id} {export_id}", literal(0))
    return bool(connection.execute(select(func.pg_try_advisory_xact_lock(key))).scalar_one())


def read_export(connection: Connection, issuer_id: str, export_id: str) -> Export | None:
    row = connection.execute(
        _exports().where(export.c.issuer_id == issuer_id, export.c.id == export_id)
    ).one_or_none()
    return None if row is None else _export(row)


def read_exports(
    connection: Connection, issuer_id: str, after: str, limit: int, requested_by: str | None = None
) -> list[Export]:
    asked = _exports().where(export.c.issuer_id == issuer_id, export.c.id > after)
    if requested_by is not None:
        asked = asked.where(export.c.requested_by == requested_by)
    return [_export(row) for row in connection.execute(asked.order_by(export.c.id).limit(limit))]


def read_open_ids(connection: Connection, issuer_id: str, limit: int) -> list[str]:
    """Return the ids of exports that are neither made nor given up, oldest first."""
    return list(
        connection.execute(
            select(export_run.c.export_id)
            .where(export_run.c.issuer_id == issuer_id, export_run.c.state.in_(_OPEN))
            .order_by(export_run.c.export_id)
            .limit(limit)
        ).scalars()
    )


def count_open(connection: Connection, issuer_id: str) -> int:
    """Return how many exports are neither made nor given up."""
    return connection.execute(
        select(func.count())
        .select_from(export_run)
        .where(export_run.c.issuer_id == issuer_id, export_run.c.state.in_(_OPEN))
    ).scalar_one()


def _exports() -> Select[Any]:
    run, result = export_run.c, export_result.c
    return (
        select(
            export,
            run.state,
            run.rows_written,
            run.rows_to_write,
            run.current_file,
            run.started_at,
            run.ended_at,
            run.failure_code,
            run.failure_reason,
            result.manifest,
            result.manifest_jws,
            result.event_index,
        )
        .join(export_run, (run.issuer_id == export.c.issuer_id) & (run.export_id == export.c.id))
        .outerjoin(
            export_result, (result.issuer_id == export.c.issuer_id) & (result.export_id == export.c.id)
        )
    )


def _export(row: Row[Any]) -> Export:
    found = row._mapping
    result = failure = None
    if found["manifest"] is not None:
        result = ExportResult(found["manifest"], found["manifest_jws"], found["event_index"])
    if found["failure_code"] is not None:
        failure = ExportFailure(found["failure_code"], found["failure_reason"])
    started_at: datetime | None = found["started_at"]
    return Export(
        found["issuer_id"],
        found["id"],
        Pinned.from_json(found["arguments"]),
        found["requested_by"],
        found["created_at"],
        ExportState(found["state"]),
        ExportProgress(found["rows_written"], found["rows_to_write"], found["current_file"]),
        started_at,
        found["ended_at"],
        result,
        failure,
    )
