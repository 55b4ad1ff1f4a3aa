"""Looking for what is due, and reconciling it: on a calendar, and when a bank's data has come in.

Any number of processes may look. One at a time leads an issuer, by the lock of a row: each class's run is one
transaction that takes the lead, looks whether the run is still due, makes it, attests it and marks it done. A crash
anywhere leaves what is committed, and the next look goes on behind that.
"""

import logging
import threading
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final, NamedTuple

from sqlalchemy import Connection

from tallystick import attestations, business_dates, participants, reconciliation, statements, tokens
from tallystick.core.database import Database
from tallystick.core.errors import DomainError
from tallystick.participants import TokenClass
from tallystick.reconciliation import Reconciliation
from tallystick.schedules import store
from tallystick.schedules.due import due_runs
from tallystick.schedules.records import Arrival, ScheduledRun
from tallystick.tokens import Settler

__all__ = ["LOOK_BACK", "Scheduler", "Standing", "standing"]

_log: Final = logging.getLogger(__name__)
#: What was due longer ago, while nobody looked, is not asked for any more: one run now tells as much.
LOOK_BACK: Final = timedelta(days=10)
# A process says that it is alive so often, and not every time it looks.
_TELL_EVERY: Final = timedelta(minutes=1)
_CLASSES_MAX: Final = 1_000
# Within this time of its coming in a figure is committed, and so seen by every run that begins later.
_SEEN_WITHIN: Final = timedelta(minutes=1)


class Standing(NamedTuple):
    """What is due of an issuer and not done, and everything that was due lately, as of a moment.

    `told_class_ids` are the classes of which the core pushed figures that no run has seen.
    """

    pending: Sequence[ScheduledRun]
    recent: Sequence[ScheduledRun]
    arrivals: Sequence[Arrival]
    told_class_ids: frozenset[str]

    @property
    def class_ids(self) -> set[str]:
        """The classes that are to be reconciled."""
        came = {one.token_class_id for one in self.arrivals}
        return {one.token_class_id for one in self.pending} | came | self.told_class_ids


def standing(connection: Connection, issuer_id: str, now: datetime) -> Standing:
    """Return what was due within the last ten days, what of it is not done, and which statements wait."""
    since = now - LOOK_BACK
    recorded = {
        (one.due_at, one.token_class_id): one for one in store.read_runs(connection, issuer_id, since)
    }
    calendar = business_dates.days(connection, issuer_id).calendar
    if calendar is not None:
        classes = participants.token_classes(connection, issuer_id, limit=_CLASSES_MAX)
        for one in due_runs(calendar, classes, since, now):
            recorded.setdefault((one.due_at, one.token_class_id), one)
    recent = sorted(recorded.values(), key=lambda one: (one.due_at, one.token_class_id))
    came = statements.completed_since(connection, issuer_id, since)
    reconciled = store.read_reconciled(connection, issuer_id, [one.id for one in came])
    arrivals = [
        Arrival(one.id, one.token_class_id, one.completed_at)
        for one in came
        if one.id not in reconciled and one.completed_at is not None
    ]
    pending = [one for one in recent if one.done_at is None]
    return Standing(pending, recent, arrivals, _told_since(connection, issuer_id, now))


def _told_since(connection: Connection, issuer_id: str, now: datetime) -> frozenset[str]:
    """Return the classes with figures that came since their last run, or so shortly before that it may not have seen
    them. However often a core tells some, they are looked at once in that time.
    """
    ran = reconciliation.current_began_at(connection, issuer_id)
    return frozenset(
        class_id
        for class_id, came_at in statements.figures_came_at(connection, issuer_id).items()
        if class_id not in ran or ran[class_id] - came_at < _SEEN_WITHIN <= now - ran[class_id]
    )


class Scheduler:
    """Looks every so many seconds, in a thread of its own once it is started; `look` looks once."""

    def __init__(
        self, database: Database, settler: Settler, *, every_seconds: float, grace: timedelta
    ) -> None:
        self._database = database
        self._settler = settler
        self._every_seconds = every_seconds
        self._grace = grace
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="schedules", daemon=True)

    def start(self) -> None:
        """Begin to look; not at all with `every_seconds` 0."""
        if self._every_seconds > 0:
            self._thread.start()

    def stop(self) -> None:
        """Look no more, once what is under way has ended."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def look(self) -> list[Reconciliation]:
        """Note what was missed and make what is due, for every issuer; return the runs that were made."""
        with self._database.read() as connection:
            issuer_ids = participants.issuer_ids(connection)
        return [run for issuer_id in issuer_ids for run in self._look_at(issuer_id)]

    def _look_at(self, issuer_id: str) -> list[Reconciliation]:
        classes = self._database.run(lambda connection: self._note_missed(connection, issuer_id))
        made = []
        for of_class in classes:
            if self._stopped.is_set():
                break
            run = self._database.run(partial(self._make_due, of_class=of_class))
            if run is not None:
                made.append(run)
        return made

    def _note_missed(self, connection: Connection, issuer_id: str) -> list[TokenClass]:
        """Keep what was missed, if this process leads; return the classes that are to be reconciled."""
        now = self._settler.clock.now()
        due = standing(connection, issuer_id, now)
        looked_at = store.read_looked_at(connection, issuer_id)
        if not due.class_ids and looked_at is not None and now - looked_at < _TELL_EVERY:
            return []
        if not store.lead(connection, issuer_id, now):
            return []
        # Behind the lock: another process may have been at it.
        due = standing(connection, issuer_id, now)
        missed = [one for one in due.pending if one.missed_at is None and one.due_at <= now - self._grace]
        store.add_missed(connection, issuer_id, missed, now)
        store.note_look(connection, issuer_id, now)
        for one in missed:
            _log.error(
                "a reconciliation was missed: %s of %s was due at %s",
                one.token_class_id,
                issuer_id,
                one.due_at.isoformat(),
            )
        classes = participants.token_classes(connection, issuer_id, limit=_CLASSES_MAX)
        return [one for one in classes if one.id in due.class_ids]

    def _make_due(self, connection: Connection, *, of_class: TokenClass) -> Reconciliation | None:
        """Reconcile a class if that is still due and this process leads; all of it in this transaction."""
        issuer_id, now = of_class.issuer_id, self._settler.clock.now()
        if not store.lead(connection, issuer_id, now):
            return None
        due = standing(connection, issuer_id, now)
        pending = [one for one in due.pending if one.token_class_id == of_class.id]
        arrivals = [one for one in due.arrivals if one.token_class_id == of_class.id]
        if of_class.id not in due.class_ids:
            return None
        acting = tokens.system_principal(issuer_id, now)
        run, _ = attestations.reconcile(connection, self._settler, acting, of_class.id)
        store.write_done(connection, issuer_id, pending, run.id, now)
        store.add_reconciled(connection, issuer_id, [one.statement_id for one in arrivals], run.id)
        if any(one.missed_at is not None for one in pending):
            _log.warning("a missed reconciliation of %s was made up for: %s", of_class.id, run.id)
        return run

    def _run(self) -> None:
        while not self._stopped.wait(self._every_seconds):
            try:
                self.look()
            except DomainError as refusal:
                # The database is away, or a key is: the next look finds the same.
                _log.warning("schedules wait: %s", refusal.code)
            except Exception:  # noqa: BLE001 Whatever it is, the next look must come.
                _log.exception("schedules failed")
