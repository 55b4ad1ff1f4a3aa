"""What is reconciled by itself: at the calendar's times, and whenever a bank's data has come in.

A run that was not made in time is an alert, kept until one is made: told by `standing` whether or not anything runs.
"""

from datetime import datetime

from sqlalchemy import Connection

from tallystick.schedules import store
from tallystick.schedules.due import due_runs, next_due
from tallystick.schedules.records import Arrival, RunState, ScheduledRun
from tallystick.schedules.scheduler import LOOK_BACK, Scheduler, Standing, standing

__all__ = [
    "LOOK_BACK",
    "Arrival",
    "RunState",
    "ScheduledRun",
    "Scheduler",
    "Standing",
    "due_runs",
    "looked_at",
    "next_due",
    "standing",
]


def looked_at(connection: Connection, issuer_id: str) -> datetime | None:
    """Return when a process last looked for what is due, to the minute; None if none ever did."""
    return store.read_looked_at(connection, issuer_id)
