"""Settling beside the process that serves: the same queue to the write path, in a process of its own.

In one process the thread that settles and the one that serves take turns of one interpreter, and each finds the
processor's caches full of the other's. The child holds nothing but the write path (see `settling_child`) and takes
submissions through a socket pair that nobody else has, in the order of their arrival. If it dies, whoever waits is
told that the outcome is unknown, as it is, and the next submission starts another.
"""

import asyncio
import logging
import os
import pickle
import socket
import struct
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

from tallystick.core.database import OutcomeUnknownError
from tallystick.tokens.group_commit import QueueFullError, ShuttingDownError
from tallystick.tokens.instructions import Submission
from tallystick.tokens.refusals import InternalError
from tallystick.tokens.settle import SubmissionOutcome

__all__ = ["HEADER", "SettlingProcess", "SettlingTerms"]

_log: Final = logging.getLogger(__name__)

#: before each message, in either direction: its length in bytes
HEADER: Final = struct.Struct("!I")
# Nothing that lies in the working directory may come in between.
_CHILD: Final = ("-P", "-m", "tallystick.tokens.settling_child")
_BUFFER_SIZE_BYTES: Final = 4_194_304
_START_SECONDS_MAX: Final = 60.0
_KILL_SECONDS_MAX: Final = 5.0


class SettlingTerms(NamedTuple):
    """What the child is told once. It goes through the socket: arguments and environments are for others to read."""

    database_url: str
    key_directory: Path
    key_passphrase: str | None
    approval_lifetime: timedelta
    batch_size_max: int
    queue_length_max: int


class _Waiting(NamedTuple):
    resolve: Callable[[SubmissionOutcome], None]
    requests: int


class SettlingProcess:
    """The queue to a process that settles, for the callers of one event loop, which alone may use it.

    `resolve` is called in the loop once the outcome is durable or can't be known, and `announce` after all that were
    told together.
    """

    def __init__(self, terms: SettlingTerms, *, announce: Callable[[], None] = lambda: None) -> None:
        self._terms = terms
        self._announce = announce
        self._process: subprocess.Popen[bytes] | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()
        self._closing = False
        self._handed = 0
        self._to_hand_over: list[tuple[int, str, Submission, float]] = []
        self._waiting: dict[int, _Waiting] = {}
        self._queued_requests = 0

    @property
    def process_id(self) -> int | None:
        """The child's process id, None while there is none."""
        return None if self._process is None else self._process.pid

    @property
    def queued_requests(self) -> int:
        """How many requests wait to be settled, or are being settled."""
        return self._queued_requests

    async def start(self) -> None:
        """Start the child and wait until it takes submissions; raises TimeoutError or OSError when it doesn't."""
        self._begin()
        async with asyncio.timeout(_START_SECONDS_MAX):
            await self._ready.wait()
        if self._process is None:
            raise OSError("the process that settles ended before it had begun")

    def submit(
        self,
        issuer_id: str,
        submission: Submission,
        deadline_seconds: float,
        resolve: Callable[[SubmissionOutcome], None],
    ) -> None:
        """Queue a submission; `deadline_seconds` is monotonic time, which all processes of a machine share.

        Raises QueueFullError, ShuttingDownError. The child's own queue may refuse later, as an outcome.
        """
        if self._closing:
            raise ShuttingDownError
        requests = len(submission.requests)
        # Beside what may wait there is what is being settled.
        if self._queued_requests + requests > self._terms.queue_length_max + self._terms.batch_size_max:
            raise QueueFullError
        self._handed += 1
        self._queued_requests += requests
        self._waiting[self._handed] = _Waiting(resolve, requests)
        self._to_hand_over.append((self._handed, issuer_id, submission, deadline_seconds))
        if len(self._to_hand_over) == 1:
            # Behind whatever else has arrived by now: what arrives together goes over together.
            asyncio.get_running_loop().call_soon(self._hand_over)

    async def close(self, timeout_seconds: float = 30.0) -> None:
        """Take no more, let the child settle what it has, and see it end."""
        self._closing = True
        self._hand_over()
        if self._writer is not None and self._writer.can_write_eof():
            self._writer.write_eof()
        if self._reading is not None:
            await asyncio.wait([self._reading], timeout=timeout_seconds)
            self._reading.cancel()
            await asyncio.wait([self._reading])

    def _begin(self) -> None:
        """Start a child; what is handed over before it listens waits in the socket."""
        ours, theirs = socket.socketpair()
        with theirs:
            for end in (ours, theirs):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER_SIZE_BYTES)
            try:
                self._process = subprocess.Popen(  # noqa: S603 Our own module, by our own interpreter.
                    [sys.executable, *_CHILD, str(theirs.fileno())],
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    env={
                        name: value
                        for name, value in os.environ.items()
                        if not name.startswith("TALLYSTICK_")
                    },
                )
            except OSError:
                ours.close()
                raise
        self._ready.clear()
        self._reading = asyncio.get_running_loop().create_task(self._serve(ours, self._process))

    def _hand_over(self) -> None:
        if not self._to_hand_over:
            return
        if self._process is None:
            self._begin_or_refuse()
        elif self._writer is not None:
            handed, self._to_hand_over = self._to_hand_over, []
            self._write_each(handed)

    def _begin_or_refuse(self) -> None:
        try:
            self._begin()
        except OSError:
            _log.exception("the process that settles can't be started")
            refused, self._to_hand_over = self._to_hand_over, []
            for number, *_ in refused:
                self._tell(number, SubmissionOutcome.refused(OutcomeUnknownError()))
            self._announce()

    def _write_each(self, handed: list[tuple[int, str, Submission, float]]) -> None:
        try:
            self._write(handed)
        except Exception:  # noqa: BLE001 Whatever can't be written must not take its neighbours with it.
            if len(handed) > 1:
                for one in handed:
                    self._write_each([one])
                return
            _log.exception("an instruction could not be handed over")
            self._tell(handed[0][0], SubmissionOutcome.refused(InternalError()))
            self._announce()

    def _write(self, message: Any) -> None:
        assert self._writer is not None
        data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
        # Not drained: what may be under way is bounded by the length of the queue.
        self._writer.write(HEADER.pack(len(data)) + data)

    async def _serve(self, ours: socket.socket, process: "subprocess.Popen[bytes]") -> None:
        """Tell outcomes until the child is gone."""
        try:
            reader, self._writer = await asyncio.open_unix_connection(sock=ours, limit=_BUFFER_SIZE_BYTES)
            self._write(self._terms)
            self._hand_over()
            if self._closing:
                self._writer.write_eof()
            while True:
                [size_bytes] = HEADER.unpack(await reader.readexactly(HEADER.size))
                told: list[tuple[int, SubmissionOutcome]] = pickle.loads(await reader.readexactly(size_bytes))  # noqa: S301 From our own child, through a socket that nobody else has.
                self._ready.set()
                for number, outcome in told:
                    self._tell(number, outcome)
                self._announce()
        except (asyncio.IncompleteReadError, OSError):
            if not self._closing:
                _log.error(
                    "the process that settles is gone; another one is started for the next instruction"
                )
        except Exception:  # noqa: BLE001 Whatever it is, those who wait must be told.
            _log.exception("the process that settles can't be understood")
        finally:
            if self._writer is None:
                ours.close()
            await self._end(process)

    def _tell(self, number: int, outcome: SubmissionOutcome) -> None:
        waiting = self._waiting.pop(number)
        self._queued_requests -= waiting.requests
        waiting.resolve(outcome)

    async def _end(self, process: "subprocess.Popen[bytes]") -> None:
        """Tell whoever still waits that the outcome is unknown, and see the child gone."""
        if self._writer is not None:
            self._writer.close()
        self._writer = self._process = None
        self._ready.set()
        # What was not handed over yet, too: it comes again by its key. A child that can't begin is not begun for ever.
        self._to_hand_over = []
        for number in list(self._waiting):
            self._tell(number, SubmissionOutcome.refused(OutcomeUnknownError()))
        self._announce()
        # Its end of the socket is closed, by itself or by its death: it is ending, or stuck.
        try:
            await asyncio.to_thread(process.wait, _KILL_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
