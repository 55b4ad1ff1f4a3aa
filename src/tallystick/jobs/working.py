"""The worker's side of the queue: a thread with procrastinate's event loop, whose tasks run in threads beside it.

A job is deleted when its task returns, however that went: whether the work is done stands elsewhere. What a dead worker
had begun is deleted too, once it has not been heard of for a while.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping
from typing import Final

import psycopg
import sqlalchemy
from procrastinate import App, PsycopgConnector
from procrastinate.exceptions import ConnectorException
from procrastinate.jobs import Status
from procrastinate.worker import Worker

from tallystick.core.database import SERVICE_ROLE, SESSION_OPTIONS

__all__ = ["JobWorker"]

_log: Final = logging.getLogger(__name__)
_CONNECTIONS_MAX: Final = 4
_POLL_SECONDS: Final = 5.0
_PAUSE_SECONDS: Final = 2.0
_STOP_LOOK_SECONDS: Final = 0.2
_HEARTBEAT_SECONDS: Final = 5.0
_SILENCE_SECONDS_MAX: Final = 30.0

#: What does a job, given the issuer's id and the subject's.
Task = Callable[[str, str], None]


class JobWorker:
    """Does jobs as they come, `at_once_max` at a time, until it is stopped.

    `tasks` are by their names. A task that raises is logged; it is not tried again by the queue.
    """

    def __init__(self, database_url: str, tasks: Mapping[str, Task], *, at_once_max: int) -> None:
        url = sqlalchemy.make_url(database_url).set(drivername="postgresql")
        self._conninfo = url.render_as_string(hide_password=False)
        self._tasks = dict(tasks)
        self._at_once_max = at_once_max
        self._stopping = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._worker: Worker | None = None
        self._thread = threading.Thread(target=self._run, name="jobs", daemon=True)

    def start(self) -> None:
        """Begin, in the process that works, not in one that forks."""
        self._thread.start()

    def stop(self) -> None:
        """Begin no other job, and wait for those under way."""
        self._stopping.set()
        while self._thread.is_alive():
            # A worker that is just beginning forgets what it was told before: it is told again.
            worker = self._worker
            if worker is not None:
                worker.stop()  # type: ignore[no-untyped-call]
            self._thread.join(_STOP_LOOK_SECONDS)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                asyncio.run(self._work())
            except Exception as error:  # noqa: BLE001 The database is away, or what else: a worker must come back.
                _log.warning("the job queue waits: %s", error)
            self._stopping.wait(_PAUSE_SECONDS)

    async def _work(self) -> None:
        connector = PsycopgConnector(
            conninfo=self._conninfo,
            min_size=1,
            max_size=_CONNECTIONS_MAX,
            timeout=5,
            kwargs={
                "application_name": "tallystick jobs",
                "connect_timeout": 5,
                "options": SESSION_OPTIONS,
            },
            configure=_assume_service_role,
        )
        app = App(connector=connector)
        for name, task in self._tasks.items():
            app.task(name=name, queue=name)(_taking(task))
        async with app.open_async():
            worker = Worker(
                app,
                queues=list(self._tasks),
                concurrency=self._at_once_max,
                fetch_job_polling_interval=_POLL_SECONDS,
                delete_jobs="always",
                install_signal_handlers=False,
                update_heartbeat_interval=_HEARTBEAT_SECONDS,
                stalled_worker_timeout=_SILENCE_SECONDS_MAX,
            )
            sweeping = asyncio.create_task(_sweep(app))
            self._worker = worker
            try:
                # Whoever stopped it before it could be told finds it stopped.
                if not self._stopping.is_set():
                    await worker.run()  # type: ignore[no-untyped-call]
            finally:
                self._worker = None
                sweeping.cancel()


def _taking(task: Task) -> Callable[..., None]:
    def run(issuer_id: str, subject_id: str) -> None:
        task(issuer_id, subject_id)

    return run


async def _sweep(app: App) -> None:
    """Delete the jobs of workers that are gone."""
    while True:
        try:
            stalled = await app.job_manager.get_stalled_jobs(seconds_since_heartbeat=_SILENCE_SECONDS_MAX)
            for job in stalled:
                await app.job_manager.finish_job(job, Status.ABORTED, delete_job=True)
        except ConnectorException as error:
            # The database is away, or another worker was faster.
            _log.info("sweeping the job queue waits: %s", error)
        await asyncio.sleep(_SILENCE_SECONDS_MAX)


async def _assume_service_role(connection: psycopg.AsyncConnection[object]) -> None:
    # By itself, and in no transaction: what the connection is for begins its own, or none. The one that listens would
    # hear nothing in one, and let no table be cleaned for as long.
    autocommit = connection.autocommit
    await connection.set_autocommit(True)
    await connection.execute(f"SET ROLE {SERVICE_ROLE}")
    await connection.set_autocommit(autocommit)
