"""Sealing on schedule: every so many hours a worker checks everything and seals what is new, as `seal-records` does.

Any number of workers may look. One at a time checks an issuer, by a lock that ends with its connection: the others
leave it to that one, and where it died, whoever looks next begins anew. A seal that is not set in time is an alert,
which `seal_standing` tells whether or not anything runs; one that a finding prevents is missed until people looked.
"""

import logging
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from sqlalchemy import Connection

from tallystick import events, participants, seals
from tallystick.core.clock import Clock
from tallystick.core.database import Database
from tallystick.core.errors import DomainError

__all__ = ["SealStanding", "Sealer", "seal_standing"]

_log: Final = logging.getLogger(__name__)
_LOOK_SECONDS: Final = 60.0
# How long a process leaves an issuer alone whose books differ from its log, and the code that says so.
_AGAIN: Final = timedelta(minutes=15)
_BROKEN: Final = "integrity_broken"


class SealStanding(NamedTuple):
    """When an issuer was sealed last, when it is due, and what came behind the seal; `missed` is an alert.

    Nothing is due of a log without events, or where no schedule is set.
    """

    sealed_at: datetime | None
    due_at: datetime | None
    missed: bool
    unsealed_events: int
    unsealed_attempts: int


def seal_standing(
    connection: Connection, issuer_id: str, now: datetime, every: timedelta, grace: timedelta
) -> SealStanding:
    """Return how far an issuer is sealed; without `every` nothing is due."""
    newest = seals.newest(connection, issuer_id)
    event_count, attempt_count = seals.behind_newest(connection, issuer_id)
    begun = events.events_at(connection, issuer_id, [0])
    since = newest.sealed_at if newest is not None else begun[0].booked_at if begun else None
    due_at = since + every if since is not None and every else None
    return SealStanding(
        None if newest is None else newest.sealed_at,
        due_at,
        due_at is not None and due_at + grace <= now,
        event_count,
        attempt_count,
    )


class Sealer:
    """Looks every minute, in a thread of its own once it is started; `look` looks once.

    `seal` checks an issuer and seals it, as `seal_records` does.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        seal: Callable[[str], seals.Seal],
        *,
        every: timedelta,
        grace: timedelta,
    ) -> None:
        self._database = database
        self._clock = clock
        self._seal = seal
        self._every = every
        self._grace = grace
        # When a finding kept an issuer from being sealed: to look again each minute would find it again each minute.
        self._broken_at: dict[str, datetime] = {}
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sealer", daemon=True)

    def start(self) -> None:
        """Begin to look; not at all where no schedule is set."""
        if self._every:
            self._thread.start()

    def stop(self) -> None:
        """Look no more, once what is under way has ended."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def look(self) -> list[seals.Seal]:
        """Seal every issuer whose seal is due; return the seals that were set."""
        with self._database.read() as connection:
            issuer_ids = participants.issuer_ids(connection)
        made = []
        for issuer_id in issuer_ids:
            if self._stopped.is_set():
                break
            made += self._look_at(issuer_id)
        return made

    def _look_at(self, issuer_id: str) -> list[seals.Seal]:
        if self._due(issuer_id) is None:
            return []
        with seals.turn(self._database, issuer_id) as has_turn:
            # Another process checks just now, or has sealed meanwhile.
            due = self._due(issuer_id) if has_turn else None
            if due is None:
                return []
            if due.missed:
                _log.error("a seal was missed: of %s, due at %s", issuer_id, due.due_at)
            try:
                return [self._seal(issuer_id)]
            except DomainError as refusal:
                # A finding keeps it from being sealed, somebody has done it by hand, or a key is away.
                _log.error("%s is not sealed: %s", issuer_id, refusal.code)
                if refusal.code == _BROKEN:
                    self._broken_at[issuer_id] = self._clock.now()
                return []

    def _due(self, issuer_id: str) -> SealStanding | None:
        now = self._clock.now()
        broken_at = self._broken_at.get(issuer_id)
        if broken_at is not None and now < broken_at + _AGAIN:
            return None
        with self._database.read() as connection:
            found = seal_standing(connection, issuer_id, now, self._every, self._grace)
        return found if found.due_at is not None and found.due_at <= now else None

    def _run(self) -> None:
        while not self._stopped.wait(_LOOK_SECONDS):
            try:
                self.look()
            except DomainError as refusal:
                _log.warning("sealing waits: %s", refusal.code)
            except Exception:  # noqa: BLE001 Whatever it is, the next look must come.
                _log.exception("sealing failed")
