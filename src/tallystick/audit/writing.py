"""Writing the trail: in a transaction that somebody else commits, or through a queue of the process's own.

One thread empties the queue. It takes whatever waits of one issuer, up to a bounded batch, writes it as one statement
and never lingers for more. Whoever waits is told when the entry is durable, and not before; a crash earlier leaves
neither the entry nor an answer.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from sqlalchemy import Connection

from tallystick.audit import store
from tallystick.audit.chain import chained
from tallystick.audit.records import AuditUnavailableError, Decision, Draft
from tallystick.audit.strays import StrayLimit
from tallystick.core.clock import Clock
from tallystick.core.database import Database
from tallystick.core.errors import InvariantError, UnavailableError
from tallystick.core.pipeline import pipelined

__all__ = ["AuditTrail", "append"]

_log: Final = logging.getLogger(__name__)
_BATCH_SIZE_MAX: Final = 1_000
# Somebody waits behind each attempt: better to say soon that it can't be written.
_ATTEMPTS_MAX: Final = 2

Resolve = Callable[[AuditUnavailableError | None], None]


def append(connection: Connection, clock: Clock, issuer_id: str, drafts: Sequence[Draft]) -> None:
    """Put attempts on record in this transaction, numbered and chained behind the issuer's last one.

    It holds the end of the issuer's trail until the transaction ends, so it is the last thing that one does.
    """
    now = clock.now()
    head = store.lock_head(connection, issuer_id, now)
    entries = chained(issuer_id, head, max(now, head.last_recorded_at), drafts)
    with pipelined(connection) as pipeline:
        store.insert_entries(pipeline, issuer_id, entries)
        moved = store.move_head(pipeline, issuer_id, head, entries[-1])
    if moved.result() != 1:
        raise InvariantError("the end of the trail moved under its lock")


class _Waiting(NamedTuple):
    issuer_id: str
    draft: Draft
    resolve: Resolve


class AuditTrail:
    """The one queue to the trail of a process, and the thread that empties it.

    `record` and `record_stray` may be called from any thread. `resolve` is called in the writing thread, with None
    once the entry is durable or with why it isn't; `announce`, if given, once after each batch.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        queue_length_max: int,
        strays_per_minute_max: int,
        announce: Callable[[], None] = lambda: None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._queue_length_max = queue_length_max
        self._announce = announce
        self._strays = StrayLimit(strays_per_minute_max)
        self._queue: deque[_Waiting] = deque()
        self._ready = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._write_until_closed, name="audit-trail", daemon=True)
        self._thread.start()

    def record(self, issuer_id: str, draft: Draft, resolve: Resolve) -> None:
        """Queue an attempt; raises AuditUnavailableError when too many wait already, or none is taken any more."""
        with self._ready:
            self._put(issuer_id, draft, resolve)

    def record_stray(self, issuer_id: str, draft: Draft, resolve: Resolve) -> bool:
        """Queue an attempt of nobody in particular, or only count it and return False: see `strays`.

        The issuer must exist. Raises what `record` raises.
        """
        with self._ready:
            now_seconds = time.monotonic()
            self._put_overdue(now_seconds)
            if not self._strays.admit(issuer_id, now_seconds):
                self._ready.notify()
                return False
            self._put(issuer_id, draft, resolve)
            return True

    def close(self, timeout_seconds: float = 30.0) -> None:
        """Take no more, write what is queued and what was only counted, and stop."""
        with self._ready:
            if not self._closing:
                self._put_overdue(float("inf"))
            self._closing = True
            self._ready.notify()
        self._thread.join(timeout_seconds)

    def _put(self, issuer_id: str, draft: Draft, resolve: Resolve) -> None:
        if self._closing or len(self._queue) >= self._queue_length_max:
            raise AuditUnavailableError
        self._queue.append(_Waiting(issuer_id, draft, resolve))
        self._ready.notify()

    def _put_overdue(self, now_seconds: float) -> None:
        for issuer_id, count in self._strays.overdue(now_seconds):
            # Past the queue's limit on purpose: there is one for each issuer, and it speaks for many.
            self._queue.append(_Waiting(issuer_id, _summary(count), lambda _: None))
            self._ready.notify()

    def _write_until_closed(self) -> None:
        while True:
            with self._ready:
                while not self._queue:
                    if self._closing:
                        return
                    self._ready.wait(self._strays.seconds_until_due(time.monotonic()))
                    self._put_overdue(time.monotonic())
                taken = self._take()
            self._write_or_split(taken)
            _call(self._announce)

    def _take(self) -> list[_Waiting]:
        """Take one issuer's entries from the front of the queue, in order, up to a batch."""
        issuer_id = self._queue[0].issuer_id
        taken: list[_Waiting] = []
        left: deque[_Waiting] = deque()
        while self._queue and len(taken) < _BATCH_SIZE_MAX:
            waiting = self._queue.popleft()
            (taken if waiting.issuer_id == issuer_id else left).append(waiting)
        left.extend(self._queue)
        self._queue = left
        return taken

    def _write_or_split(self, taken: list[_Waiting]) -> None:
        drafts = [waiting.draft for waiting in taken]

        def work(connection: Connection) -> None:
            append(connection, self._clock, taken[0].issuer_id, drafts)

        refusal = None
        try:
            self._database.run(work, attempts_max=_ATTEMPTS_MAX)
        except Exception as error:  # noqa: BLE001 Whatever it is, the thread must live for the others.
            if len(taken) > 1 and not isinstance(error, UnavailableError):
                middle = len(taken) // 2
                self._write_or_split(taken[:middle])
                self._write_or_split(taken[middle:])
                return
            # The database's own words may hold the row: its kind is enough.
            _log.error("the audit trail could not be written: %s", type(error).__name__)
            refusal = AuditUnavailableError()
        for waiting in taken:
            _call(waiting.resolve, refusal)


def _summary(count: int) -> Draft:
    return Draft(
        operation="*",
        decision=Decision.REFUSED,
        method="*",
        status=401,
        code="api_key_invalid",
        reasons={"api_key_invalid": count},
    )


def _call(told: Callable[..., None], *outcome: AuditUnavailableError | None) -> None:
    # What is written stands whether or not anybody can still be told.
    try:
        told(*outcome)
    except Exception:  # noqa: BLE001 A caller's fault, whatever it is, is not the trail's.
        _log.exception("a caller could not be told that an attempt is on record")
