"""What the service does by itself: closing what time has ended, through the same queue as everybody, and letting
payouts follow a statement whose import was cut short before they did.
"""

import logging
import threading
from collections.abc import Callable
from typing import Final

from tallystick import participants, payouts, tokens
from tallystick.core.clock import Clock
from tallystick.core.database import Database
from tallystick.core.errors import DomainError
from tallystick.tokens import Request

__all__ = ["Housekeeping"]

_log: Final = logging.getLogger(__name__)
_CLOSED_AT_ONCE_MAX: Final = 200
#: An import lets payouts follow by itself, so this makes up for crashes only.
_LOOKS_PER_FOLLOWING: Final = 60


class Housekeeping:
    """A thread that looks for what is over and asks for it to be closed.

    Several processes may do so at once: a key that is made of what is closed lets only one of them do it.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        every_seconds: float,
        submit: Callable[[str, Request], None],
        follow: Callable[[str, str], object] | None = None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._every_seconds = every_seconds
        self._submit = submit
        self._follow = follow
        self._looks_count = 0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="housekeeping", daemon=True)

    def start(self) -> None:
        """Begin to look, every so many seconds."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def look(self) -> int:
        """Look once; return how many closings were asked for."""
        with self._database.read() as connection:
            issuers = participants.issuer_ids(connection)
            due = [
                (issuer_id, request)
                for issuer_id in issuers
                for request in tokens.due(connection, issuer_id, self._clock.now(), _CLOSED_AT_ONCE_MAX)
            ]
        for issuer_id, request in due:
            self._submit(issuer_id, request)
        return len(due)

    def follow(self) -> None:
        """Let the payouts of every class that has files follow what statements are there."""
        if self._follow is None:
            return
        with self._database.read() as connection:
            classes = [
                (issuer_id, class_id)
                for issuer_id in participants.issuer_ids(connection)
                for class_id in payouts.filing_classes(connection, issuer_id)
            ]
        for issuer_id, class_id in classes:
            self._follow(issuer_id, class_id)

    def _run(self) -> None:
        while not self._stopped.wait(self._every_seconds):
            try:
                self.look()
                self._looks_count += 1
                if self._looks_count % _LOOKS_PER_FOLLOWING == 1:
                    self.follow()
            except DomainError as refusal:
                # The database is away, or the queue is full: the next look finds the same.
                _log.info("housekeeping waits: %s", refusal.code)
            except Exception:  # noqa: BLE001 Whatever it is, the next look must come.
                _log.exception("housekeeping failed")
