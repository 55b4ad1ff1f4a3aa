"""All SQL of the log."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from tallystick.core.clock import format_time
from tallystick.core.copy_text import NULL, copy_rows
from tallystick.core.errors import InvariantError
from tallystick.events.records import Event, EventDraft, Head

_COLUMNS: Final = "event_index, id, type, subject_id, token_class_id, booked_at, key_id, jws"


def insert_head(connection: Connection, issuer_id: str, opened_at: datetime) -> None:
    connection.exec_driver_sql(
        "INSERT INTO log_head (issuer_id, next_index, last_booked_at) VALUES (%s, 0, %s)",
        (issuer_id, opened_at),
    )


def lock_head(connection: Connection, issuer_id: str) -> Head:
    row = connection.exec_driver_sql(
        "SELECT next_index, last_booked_at FROM log_head WHERE issuer_id = %s FOR UPDATE", (issuer_id,)
    ).one()
    return Head(row[0], row[1])


def move_head(
    connection: Connection, issuer_id: str, head: Head, next_index: int, booked_at: datetime
) -> None:
    moved = connection.exec_driver_sql(
        """UPDATE log_head SET next_index = %s, last_booked_at = %s
           WHERE issuer_id = %s AND next_index = %s""",
        (next_index, booked_at, issuer_id, head.next_index),
    )
    if moved.rowcount != 1:
        raise InvariantError("the log's head moved under its lock")


def insert_events(
    connection: Connection,
    issuer_id: str,
    key_id: str,
    booked_at: datetime,
    drafts: Sequence[EventDraft],
    signed: Sequence[str],
) -> None:
    at = format_time(booked_at)
    copy_rows(
        connection,
        f"event (issuer_id, {_COLUMNS})",
        [
            f"{issuer_id}\t{index}\t{event_id}\t{type_}\t{subject_id}\t{token_class_id or NULL}\t{at}\t{key_id}\t{jws}"
            for (index, event_id, type_, subject_id, token_class_id, _), jws in zip(
                drafts, signed, strict=True
            )
        ],
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


def read_events_at(connection: Connection, issuer_id: str, indexes: Sequence[int]) -> list[Event]:
    rows = connection.exec_driver_sql(
        f"SELECT {_COLUMNS} FROM event WHERE issuer_id = %s AND event_index = ANY(%s) ORDER BY event_index",
        (issuer_id, list(indexes)),
    )
    return [Event(*row) for row in rows]


def read_next_index(connection: Connection, issuer_id: str) -> int:
    return int(
        connection.exec_driver_sql(
            "SELECT next_index FROM log_head WHERE issuer_id = %s", (issuer_id,)
        ).scalar_one()
    )


def read_index_as_of(connection: Connection, issuer_id: str, at: datetime) -> int:
    # Times never fall behind an earlier index, so the last event by time is the last by index.
    found = connection.exec_driver_sql(
        """SELECT event_index FROM event WHERE issuer_id = %s AND booked_at <= %s
           ORDER BY booked_at DESC, event_index DESC LIMIT 1""",
        (issuer_id, at),
    ).scalar_one_or_none()
    return -1 if found is None else int(found)
