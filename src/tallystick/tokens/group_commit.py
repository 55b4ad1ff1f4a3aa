"""Group commit: requests that arrive together settle in one transaction.

One thread settles. It takes whatever is queued, up to a bounded batch, and never lingers for more: under light load a
request is a batch of one, under heavy load a commit is shared by hundreds. The order within an issuer is the order
of arrival. The thread owns every commit, so a caller that goes away can cancel nothing.

A batch that fails for a reason that isn't a refusal is split in halves, so that one poisonous request fails alone. So
is one in which a change of the rules stands before other requests, until it is the last one of its transaction.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

import psycopg
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from tallystick.core.database import Database
from tallystick.core.errors import DomainError, UnavailableError
from tallystick.signing import SigningKeyUnavailableError
from tallystick.tokens.instructions import Submission
from tallystick.tokens.refusals import InternalError
from tallystick.tokens.settle import SubmissionOutcome, settle
from tallystick.tokens.settler import Settler

__all__ = ["DeadlineExceededError", "GroupCommit", "QueueFullError", "ShuttingDownError"]

_log: Final = logging.getLogger(__name__)


class QueueFullError(UnavailableError):
    """Too many instructions wait already."""

    code = "queue_full"
    title = "Too many instructions are waiting"


class DeadlineExceededError(UnavailableError):
    """The instruction waited too long and was never begun."""

    code = "deadline_exceeded"
    title = "The instruction was not begun in time"


class ShuttingDownError(UnavailableError):
    """The process is draining; another one will take the request."""

    code = "shutting_down"
    title = "The service is shutting down"


class _Waiting(NamedTuple):
    issuer_id: str
    submission: Submission
    deadline_seconds: float
    resolve: Callable[[SubmissionOutcome], None]


class GroupCommit:
    """The one queue to the write path of a process, and the thread that empties it.

    `submit` may be called from any thread; `resolve` is called in the settling thread once the outcome is durable, and
    `announce`, if given, once after each batch.
    """

    def __init__(
        self,
        database: Database,
        settler: Settler,
        *,
        batch_size_max: int,
        queue_length_max: int,
        announce: Callable[[], None] = lambda: None,
    ) -> None:
        self._database = database
        self._settler = settler
        self._batch_size_max = batch_size_max
        self._queue_length_max = queue_length_max
        self._announce = announce
        self._queue: deque[_Waiting] = deque()
        self._queued_requests = 0
        self._ready = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._settle_until_closed, name="group-commit", daemon=True)
        self._thread.start()

    def submit(
        self,
        issuer_id: str,
        submission: Submission,
        deadline_seconds: float,
        resolve: Callable[[SubmissionOutcome], None],
    ) -> None:
        """Queue a submission; `deadline_seconds` is monotonic time. Raises QueueFullError, ShuttingDownError."""
        size = len(submission.requests)
        with self._ready:
            if self._closing:
                raise ShuttingDownError
            if self._queued_requests + size > self._queue_length_max:
                raise QueueFullError
            self._queued_requests += size
            self._queue.append(_Waiting(issuer_id, submission, deadline_seconds, resolve))
            self._ready.notify()

    @property
    def queued_requests(self) -> int:
        """How many requests wait to be settled."""
        return self._queued_requests

    def close(self, timeout_seconds: float = 30.0) -> None:
        """Take no more, settle what is queued, and stop."""
        with self._ready:
            self._closing = True
            self._ready.notify()
        self._thread.join(timeout_seconds)

    def _settle_until_closed(self) -> None:
        while True:
            with self._ready:
                while not self._queue:
                    if self._closing:
                        return
                    self._ready.wait()
                taken = self._take()
            started = self._drop_overdue(taken)
            if started:
                self._settle_or_split(started)
            _call(self._announce)

    def _take(self) -> list[_Waiting]:
        """Take one issuer's submissions from the front of the queue, in order, up to the batch's size."""
        issuer_id = self._queue[0].issuer_id
        taken: list[_Waiting] = []
        left: deque[_Waiting] = deque()
        size = 0
        while self._queue:
            waiting = self._queue.popleft()
            requests = len(waiting.submission.requests)
            if waiting.issuer_id != issuer_id:
                left.append(waiting)
                continue
            if taken and size + requests > self._batch_size_max:
                self._queue.appendleft(waiting)
                break
            taken.append(waiting)
            size += requests
        left.extend(self._queue)
        self._queue = left
        self._queued_requests -= size
        return taken

    def _drop_overdue(self, taken: list[_Waiting]) -> list[_Waiting]:
        now_seconds = time.monotonic()
        started = []
        for waiting in taken:
            if waiting.deadline_seconds < now_seconds:
                _call(waiting.resolve, SubmissionOutcome.refused(DeadlineExceededError()))
            else:
                started.append(waiting)
        return started

    def _settle_or_split(self, taken: list[_Waiting]) -> None:
        submissions = [waiting.submission for waiting in taken]

        def work(connection: Connection) -> list[SubmissionOutcome]:
            return settle(connection, self._settler, taken[0].issuer_id, submissions)

        try:
            outcomes = self._database.run(work)
        except UnavailableError as error:
            if isinstance(error, SigningKeyUnavailableError) and len(taken) > 1:
                # Where no key is active, one of them may be what activates one.
                self._split(taken)
                return
            outcomes = [SubmissionOutcome.refused(error)] * len(taken)
        except DomainError as error:
            # A change's own room refused it at the last moment: nothing was written, and its neighbours go on alone.
            if len(taken) > 1:
                self._split(taken)
                return
            outcomes = [SubmissionOutcome.refused(error)]
        except Exception as error:  # noqa: BLE001 Whatever it is, it must not take its neighbours with it.
            if len(taken) > 1:
                self._split(taken)
                return
            _log_fault(error)
            outcomes = [SubmissionOutcome.refused(InternalError())]
        for waiting, outcome in zip(taken, outcomes, strict=True):
            _call(waiting.resolve, outcome)

    def _split(self, taken: list[_Waiting]) -> None:
        middle = len(taken) // 2
        self._settle_or_split(taken[:middle])
        self._settle_or_split(taken[middle:])


def _log_fault(error: Exception) -> None:
    # The database's own words may hold the row that it refused, and with it what a customer wrote.
    if isinstance(error, DBAPIError) and isinstance(error.orig, psycopg.Error):
        found = error.orig.diag
        _log.error(
            "an instruction could not be settled: SQLSTATE %s, table %s, constraint %s",
            found.sqlstate,
            found.table_name,
            found.constraint_name,
        )
    else:
        _log.error("an instruction could not be settled", exc_info=error)


def _call(told: Callable[..., None], *outcome: SubmissionOutcome) -> None:
    # What is settled stands whether or not anybody can still be told; the thread must live for the others.
    try:
        told(*outcome)
    except Exception:  # noqa: BLE001 A caller's fault, whatever it is, is not the queue's.
        _log.exception("a caller could not be told an outcome")
