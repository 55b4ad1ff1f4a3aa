"""All SQL of the log."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from tallystick.core.arrays import BigintArray, TextArray, alike, rows_of
from tallystick.core.errors import InvariantError
from tallystick.core.pipeline import Asked, Pipeline, RowValues
from tallystick.events.records import Event, EventDraft, Head

_INSERT: Final = f"""
INSERT INTO event (issuer_id, booked_at, key_id, event_index, id, type, subject_id, token_class_id, jws)
SELECT %s, %s, %s, n.event_index, n.id, coalesce(%s::text, n.type), n.subject_id,
       coalesce(%s::text, n.token_class_id), n.jws
FROM {rows_of("event_index bigint, id text, type text, subject_id text, token_class_id text, jws text")} AS n
"""
# Times never fall behind an earlier index and indexes have no gap, so halving finds the last one in a few steps and
# the hottest table needs no index of times. `low` was booked at or before the moment, `high` after it.
_INDEX_AS_OF: Final = """
WITH RECURSIVE halved(low, high) AS (
    SELECT -1::bigint, next_index FROM log_head WHERE issuer_id = %(issuer_id)s
    UNION ALL
    SELECT CASE WHEN e.booked_at <= %(at)s THEN s.middle ELSE s.low END,
           CASE WHEN e.booked_at <= %(at)s THEN s.high ELSE s.middle END
    FROM (SELECT low, high, (low + high) / 2 AS middle FROM halved WHERE high - low > 1) s
    JOIN event e ON e.issuer_id = %(issuer_id)s AND e.event_index = s.middle
)
SELECT low FROM halved WHERE high - low <= 1
"""
_COLUMNS: Final = "event_index, id, type, subject_id, token_class_id, booked_at, key_id, jws"


def insert_head(connection: Connection, issuer_id: str, opened_at: datetime) -> None:
    connection.exec_driver_sql(
        "INSERT INTO log_head (issuer_id, next_index, last_booked_at) VALUES (%s, 0, %s)",
        (issuer_id, opened_at),
    )


def lock_head(pipeline: Pipeline, issuer_id: str) -> Asked[Head]:
    return pipeline.ask(
        "SELECT next_index, last_booked_at FROM log_head WHERE issuer_id = %s FOR UPDATE",
        (issuer_id,),
        _read_head,
    )


def move_head(
    pipeline: Pipeline, issuer_id: str, head: Head, next_index: int, booked_at: datetime
) -> Asked[int]:
    return pipeline.tell(
        "UPDATE log_head SET next_index = %s, last_booked_at = %s WHERE issuer_id = %s AND next_index = %s",
        (next_index, booked_at, issuer_id, head.next_index),
    )


def insert_events(
    pipeline: Pipeline,
    issuer_id: str,
    key_id: str,
    booked_at: datetime,
    drafts: Sequence[EventDraft],
    signed: Sequence[str],
) -> None:
    indexes, ids, types, subject_ids, class_ids, _ = zip(*drafts, strict=True)
    one_type, other_types = alike(types)
    one_class_id, other_class_ids = alike(class_ids)
    pipeline.tell(
        _INSERT,
        (
            issuer_id,
            booked_at,
            key_id,
            one_type,
            one_class_id,
            BigintArray(indexes),
            TextArray(ids),
            TextArray(other_types),
            TextArray(subject_ids),
            TextArray(other_class_ids),
            TextArray(signed),
        ),
    )


def read_event(connection: Connection, issuer_id: str, event_id: str) -> Event | None:
    row = connection.exec_driver_sql(
        f"SELECT {_COLUMNS} FROM event WHERE issuer_id = %s AND id = %s", (issuer_id, event_id)
    ).one_or_none()
    return None if row is None else Event(*row)


def read_events(connection: Connection, issuer_id: str, after_index: int, limit: int) -> list[Event]:
    rows = connection.exec_driver_sql(
        f"SELECT {_COLUMNS} FROM event WHERE issuer_id = %s AND event_index > %s ORDER BY event_index LIMIT %s",
        (issuer_id, after_index, limit),
    )
    return [Event(*row) for row in rows]


def read_between(connection: Connection, issuer_id: str, first_index: int, last_index: int) -> list[Event]:
    rows = connection.exec_driver_sql(
        f"SELECT {_COLUMNS} FROM event WHERE issuer_id = %s AND event_index BETWEEN %s AND %s ORDER BY event_index",
        (issuer_id, first_index, last_index),
    )
    return [Event._make(row) for row in rows.cursor.fetchall()]


def read_events_at(connection: Connection, issuer_id: str, indexes: Sequence[int]) -> list[Event]:
    rows = connection.exec_driver_sql(
        f"SELECT {_COLUMNS} FROM event WHERE issuer_id = %s AND event_index = ANY(%s) ORDER BY event_index",
        (issuer_id, list(indexes)),
    )
    return [Event(*row) for row in rows]


def read_subjects_at(connection: Connection, issuer_id: str, indexes: Sequence[int]) -> dict[int, str]:
    rows = connection.exec_driver_sql(
        "SELECT event_index, subject_id FROM event WHERE issuer_id = %s AND event_index = ANY(%s)",
        (issuer_id, list(indexes)),
    )
    return {row[0]: row[1] for row in rows}


def read_jws(connection: Connection, issuer_id: str, first_index: int, limit: int) -> list[tuple[int, str]]:
    rows = connection.exec_driver_sql(
        """SELECT event_index, jws FROM event WHERE issuer_id = %s AND event_index >= %s
           ORDER BY event_index LIMIT %s""",
        (issuer_id, first_index, limit),
    )
    return [(row[0], row[1]) for row in rows]


def read_next_index(connection: Connection, issuer_id: str) -> int:
    return int(
        connection.exec_driver_sql(
            "SELECT next_index FROM log_head WHERE issuer_id = %s", (issuer_id,)
        ).scalar_one()
    )


def read_key_spans(connection: Connection, issuer_id: str) -> dict[str, tuple[int, int]]:
    rows = connection.exec_driver_sql(
        "SELECT key_id, min(event_index), max(event_index) FROM event WHERE issuer_id = %s GROUP BY key_id",
        (issuer_id,),
    )
    return {row[0]: (row[1], row[2]) for row in rows}


def read_index_as_of(connection: Connection, issuer_id: str, at: datetime) -> int:
    return int(connection.exec_driver_sql(_INDEX_AS_OF, {"issuer_id": issuer_id, "at": at}).scalar_one())


def _read_head(rows: list[RowValues]) -> Head:
    if not rows:
        raise InvariantError("the issuer has no log")
    return Head._make(rows[0])
