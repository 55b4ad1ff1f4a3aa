"""All SQL of schedules."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import Connection

from tallystick.schedules.records import ScheduledRun

_COLUMNS = "due_at, token_class_id, business_date, missed_at, done_at, reconciliation_id"


def lead(connection: Connection, issuer_id: str, now: datetime) -> bool:
    """Take the lead until the transaction ends; False if another process has it."""
    connection.exec_driver_sql(
        "INSERT INTO schedule_leader (issuer_id, looked_at) VALUES (%s, %s) ON CONFLICT DO NOTHING",
        (issuer_id, now),
    )
    row = connection.exec_driver_sql(
        "SELECT 1 FROM schedule_leader WHERE issuer_id = %s FOR UPDATE SKIP LOCKED", (issuer_id,)
    ).one_or_none()
    return row is not None


def note_look(connection: Connection, issuer_id: str, now: datetime) -> None:
    connection.exec_driver_sql(
        "UPDATE schedule_leader SET looked_at = %s WHERE issuer_id = %s", (now, issuer_id)
    )


def read_looked_at(connection: Connection, issuer_id: str) -> datetime | None:
    found: datetime | None = connection.exec_driver_sql(
        "SELECT looked_at FROM schedule_leader WHERE issuer_id = %s", (issuer_id,)
    ).scalar()
    return found


def read_runs(connection: Connection, issuer_id: str, since: datetime) -> list[ScheduledRun]:
    """Return the runs that were due since a moment, and older ones that were missed and never made."""
    rows = connection.exec_driver_sql(
        f"SELECT {_COLUMNS} FROM scheduled_run WHERE issuer_id = %s AND (due_at >= %s OR done_at IS NULL)"
        " ORDER BY due_at, token_class_id",
        (issuer_id, since),
    )
    return [ScheduledRun(*row) for row in rows]


def add_missed(connection: Connection, issuer_id: str, missed: Iterable[ScheduledRun], now: datetime) -> None:
    rows = [(issuer_id, one.due_at, one.token_class_id, one.business_date, now) for one in missed]
    if rows:
        connection.exec_driver_sql(
            "INSERT INTO scheduled_run (issuer_id, due_at, token_class_id, business_date, missed_at)"
            " VALUES (%s, %s, %s, %s, %s)",
            rows,
        )


def write_done(
    connection: Connection,
    issuer_id: str,
    made: Sequence[ScheduledRun],
    reconciliation_id: str,
    now: datetime,
) -> None:
    rows = [
        (issuer_id, one.due_at, one.token_class_id, one.business_date, now, reconciliation_id) for one in made
    ]
    if rows:
        connection.exec_driver_sql(
            "INSERT INTO scheduled_run (issuer_id, due_at, token_class_id, business_date, done_at, reconciliation_id)"
            " VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (issuer_id, due_at, token_class_id)"
            " DO UPDATE SET done_at = excluded.done_at, reconciliation_id = excluded.reconciliation_id",
            rows,
        )


def read_reconciled(connection: Connection, issuer_id: str, statement_ids: Sequence[str]) -> set[str]:
    rows = connection.exec_driver_sql(
        "SELECT statement_id FROM reconciled_statement WHERE issuer_id = %s AND statement_id = ANY(%s)",
        (issuer_id, list(statement_ids)),
    )
    return {row[0] for row in rows}


def add_reconciled(
    connection: Connection, issuer_id: str, statement_ids: Iterable[str], reconciliation_id: str
) -> None:
    rows = [(issuer_id, one, reconciliation_id) for one in statement_ids]
    if rows:
        connection.exec_driver_sql(
            "INSERT INTO reconciled_statement (issuer_id, statement_id, reconciliation_id) VALUES (%s, %s, %s)",
            rows,
        )
