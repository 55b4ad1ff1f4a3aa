"""Exports in a worker: made as their jobs come, and looked for where a job was lost."""

import logging
import threading
from typing import Final

from tallystick import jobs, participants
from tallystick.core.errors import DomainError
from tallystick.exports import store
from tallystick.exports.asking import job_of
from tallystick.exports.making import make
from tallystick.exports.records import Workshop
from tallystick.jobs import JobWorker

__all__ = ["ExportWorker", "defer_forgotten", "make_open"]

_log: Final = logging.getLogger(__name__)
_AT_ONCE_MAX: Final = 2
_LOOK_SECONDS: Final = 5.0
_LOOKED_AT_MAX: Final = 1_000


class ExportWorker:
    """Makes exports until it is stopped; any number of processes may run one.

    When it is stopped, what it is at is left to another, from the beginning.
    """

    def __init__(self, workshop: Workshop, database_url: str) -> None:
        self._workshop = workshop
        self._stopping = threading.Event()
        self._jobs = JobWorker(database_url, {job_of("", "").task: self._make}, at_once_max=_AT_ONCE_MAX)
        self._thread = threading.Thread(target=self._look, name="exports", daemon=True)

    def start(self) -> None:
        """Begin, in the process that works."""
        self._jobs.start()
        self._thread.start()

    def stop(self) -> None:
        """End, within a second or so."""
        self._stopping.set()
        self._jobs.stop()
        if self._thread.is_alive():
            self._thread.join()

    def _make(self, issuer_id: str, export_id: str) -> None:
        make(self._workshop, issuer_id, export_id, stopping=self._stopping.is_set)

    def _look(self) -> None:
        while not self._stopping.wait(_LOOK_SECONDS):
            try:
                defer_forgotten(self._workshop)
            except DomainError as refusal:
                _log.info("looking for exports waits: %s", refusal.code)
            except Exception:  # noqa: BLE001 Whatever it is, the next look must come.
                _log.exception("looking for exports failed")


def defer_forgotten(workshop: Workshop) -> int:
    """Put every export that is still to be made, and that nobody is making, into the queue; return how many.

    The queue knows of most already. It doesn't where it was lost or restored from a backup, where a worker died, and
    where the disk or the database was away.
    """
    return sum(jobs.defer_anew(workshop.database, job_of(*one)) for one in _open(workshop))


def make_open(workshop: Workshop) -> int:
    """Make every export that is still to be made, here and now; return how many there were."""
    found = _open(workshop)
    for issuer_id, export_id in found:
        make(workshop, issuer_id, export_id)
    return len(found)


def _open(workshop: Workshop) -> list[tuple[str, str]]:
    with workshop.database.read() as connection:
        return [
            (issuer_id, export_id)
            for issuer_id in participants.issuer_ids(connection)
            for export_id in store.read_open_ids(connection, issuer_id, _LOOKED_AT_MAX)
            if store.hold(connection, issuer_id, export_id)
        ]
