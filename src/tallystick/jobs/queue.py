"""Putting jobs into the queue, in the transaction that makes them necessary.

procrastinate calls its tables and functions by their bare names: every connection of the service has their schema in
its search path (`core.database`).
"""

from typing import Final, NamedTuple

import psycopg
import sqlalchemy
from procrastinate import SyncPsycopgConnector
from procrastinate.exceptions import AlreadyEnqueued, ConnectorException
from procrastinate.jobs import Job as QueuedJob
from procrastinate.manager import JobManager
from sqlalchemy import Connection

from tallystick.core.database import JOB_QUEUE_SCHEMA, Database, DatabaseUnavailableError

__all__ = ["QUEUE_SCHEMA", "Job", "defer", "defer_anew"]

QUEUE_SCHEMA: Final = JOB_QUEUE_SCHEMA
# It is never opened: every call brings its own connection.
_manager: Final = JobManager(SyncPsycopgConnector())


class Job(NamedTuple):
    """One thing to be done: `task` says what, `subject_id` about which of the issuer's objects.

    A queue holds a job that nobody has begun once only.
    """

    task: str
    issuer_id: str
    subject_id: str


def defer(connection: Connection, job: Job) -> None:
    """Put a new subject's job into the queue: workers see it once the connection's transaction is committed.

    Raises DatabaseUnavailableError.
    """
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    # SQLAlchemy opens a transaction with its first statement only, and this one goes past it.
    assert connection.in_transaction(), "a job is put into a transaction"
    queued = QueuedJob(
        queue=job.task,
        lock=None,
        queueing_lock=f"{job.task} {job.issuer_id} {job.subject_id}",
        task_name=job.task,
        task_kwargs={"issuer_id": job.issuer_id, "subject_id": job.subject_id},
    )
    try:
        _manager.defer_job(queued, connection=driver)
    except ConnectorException as error:
        raise DatabaseUnavailableError from error


def defer_anew(database: Database, job: Job) -> bool:
    """Put a job into the queue unless it waits there already; tell whether it had to be put there."""

    def work(connection: Connection) -> None:
        connection.execute(sqlalchemy.text("SELECT 1"))
        defer(connection, job)

    try:
        database.run(work)
    except AlreadyEnqueued:
        return False
    return True
