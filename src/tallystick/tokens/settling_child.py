"""The other side of `settling_process`: the queue to the write path, filled from a socket until its parent is gone.

The first message are the terms, every other one a list of submissions; the answers are lists of outcomes, the first
of them empty: from then on this process takes submissions. Whatever is queued when the parent closes its end, or
dies, is still settled: its callers were told nothing, and learn of it by the same key.
"""

import contextlib
import logging
import pickle
import signal
import socket
import sys
import threading
from typing import Any, Final

from tallystick.core.clock import SystemClock
from tallystick.core.database import Database, OutcomeUnknownError
from tallystick.core.errors import DomainError
from tallystick.core.interpreter import tune_interpreter
from tallystick.signing import KeyDirectory
from tallystick.tokens.group_commit import GroupCommit
from tallystick.tokens.instructions import Outcome
from tallystick.tokens.settle import SubmissionOutcome
from tallystick.tokens.settler import Settler
from tallystick.tokens.settling_process import HEADER, SettlingTerms

__all__ = ["main"]

_log: Final = logging.getLogger(__name__)

# One settles; the other is there when a connection was lost and its place isn't free yet.
_CONNECTIONS: Final = 2
_BUFFER_SIZE_BYTES: Final = 1_048_576

Told = tuple[int, SubmissionOutcome]


class _Parent:
    """The parent's end: submissions in, outcomes out. Answers may be written by any thread."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._stream = channel.makefile("rb", _BUFFER_SIZE_BYTES)
        self._writing = threading.Lock()
        self._told: list[Told] = []

    def read(self) -> Any:
        """Return the next message, None when there is no parent any more."""
        header = self._stream.read(HEADER.size)
        if len(header) < HEADER.size:
            return None
        [size_bytes] = HEADER.unpack(header)
        data = self._stream.read(size_bytes)
        return pickle.loads(data) if len(data) == size_bytes else None  # noqa: S301 From our own parent.

    def tell(self, number: int, outcome: SubmissionOutcome) -> None:
        """Note an outcome, to be written with the others of its batch."""
        self._told.append((number, outcome))

    def announce(self) -> None:
        """Write what was noted."""
        told, self._told = self._told, []
        if told:
            self.write(told)

    def write(self, told: list[Told]) -> None:
        """Write outcomes, each of them, whatever is wrong with one; to nobody, if the parent is gone."""
        try:
            data = pickle.dumps([(number, _as_told(one)) for number, one in told], pickle.HIGHEST_PROTOCOL)
        except Exception:  # noqa: BLE001 Who isn't told would be waited for by the parent for ever.
            if len(told) > 1:
                for one in told:
                    self.write([one])
                return
            # It may be settled: whoever asked must not take it for something that was never done.
            _log.exception("an outcome could not be told")
            data = pickle.dumps([(told[0][0], SubmissionOutcome.refused(OutcomeUnknownError()))])
        with self._writing, contextlib.suppress(OSError):
            self._channel.sendall(HEADER.pack(len(data)) + data)


def _as_told(outcome: SubmissionOutcome) -> SubmissionOutcome:
    """Return an outcome with the bytes of the one answer that its caller gets, without what they are made of."""
    if outcome.batch is None:
        return SubmissionOutcome([_with(one, one.body) for one in outcome.outcomes])
    return SubmissionOutcome(
        [_with(one, b"") for one in outcome.outcomes], _with(outcome.batch, outcome.batch.body)
    )


def _with(outcome: Outcome, body: bytes) -> Outcome:
    status, _, resource_id, event_index, refusal, replayed, _ = outcome
    return Outcome(status, body, resource_id, event_index, refusal, replayed)


def main(descriptor: int) -> None:
    """Settle what comes through a socket until its other end is closed, and then what is queued."""
    # Whoever stops the service stops its whole group: what is queued is still to be settled. The parent's end closes
    # the socket, and that ends this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with socket.socket(fileno=descriptor) as channel:
        _settle(_Parent(channel))


def _settle(parent: _Parent) -> None:
    terms: SettlingTerms | None = parent.read()
    if terms is None:
        return
    database = Database(terms.database_url, pool_size=_CONNECTIONS)
    keys = KeyDirectory(terms.key_directory, terms.key_passphrase)
    queue = GroupCommit(
        database,
        Settler.of(SystemClock(), keys, terms.approval_lifetime),
        batch_size_max=terms.batch_size_max,
        queue_length_max=terms.queue_length_max,
        announce=parent.announce,
    )
    tune_interpreter()
    parent.write([])
    while (handed := parent.read()) is not None:
        for number, issuer_id, submission, deadline_seconds in handed:
            try:
                queue.submit(
                    issuer_id,
                    submission,
                    deadline_seconds,
                    lambda outcome, number=number: parent.tell(number, outcome),  # type: ignore[misc]
                )
            except DomainError as refusal:
                parent.write([(number, SubmissionOutcome.refused(refusal))])
    queue.close()
    database.close()


if __name__ == "__main__":
    main(int(sys.argv[1]))
